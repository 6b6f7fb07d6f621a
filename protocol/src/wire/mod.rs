//! The one codec: every frame of the protocol is encoded and decoded here.
//!
//! ```text
//! +---------+------+----------------------------------------------------+
//! | version | kind | body: bincode, fixed-width little-endian integers  |
//! |  1 byte | 1 b. | arrays bare; lists and strings behind a u64 length |
//! +---------+------+----------------------------------------------------+
//! ```
//!
//! Decoding is strict: a size limit per kind before anything is read, the whole input consumed, and the decoded value must encode to the
//! very bytes that came in. Frames hold raw bytes and numbers only; the modules above turn them into validated types. Nothing is ever
//! keyed on raw wire bytes.

mod bytes;
mod frames;

use alloc::vec::Vec;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use bytes::Bytes;
pub use frames::*;

use crate::error::FrameError;

/// The protocol version, the first byte of every frame.
pub const VERSION: u8 = 1;

/// No frame of any kind is longer: 4 MiB.
const LARGEST: usize = 4 << 20;

/// Implements R-WIRE-03.
const CONFIG: Configuration<LittleEndian, Fixint, Limit<LARGEST>> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<LARGEST>();

mod sealed {
    pub trait Sealed {}
}

/// A frame: a kind, a size limit, and one canonical encoding.
pub trait Frame: Serialize + DeserializeOwned + sealed::Sealed {
    /// The second byte of the frame.
    const KIND: u8;
    /// The longest encoding accepted, in bytes, header included.
    const LIMIT: usize;

    /// Encodes the frame.
    ///
    /// # Panics
    /// If the value is longer than 4 MiB, which constructors of the validated types prevent.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = alloc::vec![VERSION, Self::KIND];
        let body = bincode::serde::encode_to_vec(self, CONFIG).expect("frames of validated types fit and encode");
        out.extend_from_slice(&body);
        out
    }

    /// Decodes a whole frame.
    ///
    /// Implements R-WIRE-01, R-WIRE-02, R-WIRE-05.
    ///
    /// # Errors
    /// [`FrameError`], one variant per defect.
    fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() > Self::LIMIT {
            return Err(FrameError::TooLong);
        }
        let [version, kind, body @ ..] = bytes else { return Err(FrameError::Truncated) };
        if *version != VERSION {
            return Err(FrameError::UnknownVersion);
        }
        if *kind != Self::KIND {
            return Err(FrameError::WrongKind);
        }
        let (frame, read): (Self, usize) = bincode::serde::decode_from_slice(body, CONFIG).map_err(|error| match error {
            bincode::error::DecodeError::UnexpectedEnd { .. } => FrameError::Truncated,
            // A length prefix beyond the limit claims more than the input could hold.
            bincode::error::DecodeError::LimitExceeded => FrameError::TooLong,
            _ => FrameError::Malformed,
        })?;
        if read != body.len() {
            return Err(FrameError::TrailingBytes);
        }
        if frame.to_bytes() != bytes {
            return Err(FrameError::NonCanonical);
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn reread() -> RereadFrame {
        RereadFrame { payment: [1; 32].into(), proof: ProofBody { t: [2; 32].into(), u: [3; 32].into() } }
    }

    #[test]
    fn each_defect_has_its_own_error() {
        let good = reread().to_bytes();
        assert_eq!(good.len(), 98);
        assert!(RereadFrame::from_bytes(&good) == Ok(reread()));
        let mut wrong = good.clone();
        wrong[0] = 9;
        assert_eq!(RereadFrame::from_bytes(&wrong).err(), Some(FrameError::UnknownVersion));
        let mut wrong = good.clone();
        wrong[1] = 9;
        assert_eq!(RereadFrame::from_bytes(&wrong).err(), Some(FrameError::WrongKind));
        assert_eq!(RereadFrame::from_bytes(&good[..97]).err(), Some(FrameError::Truncated));
        assert_eq!(RereadFrame::from_bytes(&[1]).err(), Some(FrameError::Truncated));
        let mut wrong = good;
        wrong.push(0);
        assert_eq!(RereadFrame::from_bytes(&wrong).err(), Some(FrameError::TooLong));
    }

    #[test]
    fn a_gigabyte_length_prefix_allocates_nothing() {
        let frame = IssueResponseFrame { responses: vec![] };
        let mut bytes = frame.to_bytes();
        bytes[2..10].copy_from_slice(&(1_u64 << 40).to_le_bytes());
        assert!(IssueResponseFrame::from_bytes(&bytes).is_err());
        bytes[2..10].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(IssueResponseFrame::from_bytes(&bytes).is_err());
        let mut trailing = frame.to_bytes();
        trailing.push(7);
        assert_eq!(IssueResponseFrame::from_bytes(&trailing).err(), Some(FrameError::TrailingBytes));
    }
}
