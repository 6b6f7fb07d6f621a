//! Fixed-length bytes on the wire: bare in a frame, base64url in JSON, never printed.

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `N` bytes. In a frame they stand bare; in JSON as unpadded base64url. `Debug` shows only the length, because most of what they
/// hold (keys, signatures, proofs) must not reach a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Bytes<const N: usize>(pub [u8; N]);

impl<const N: usize> From<[u8; N]> for Bytes<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{N} bytes]")
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&Base64UrlUnpadded::encode_string(&self.0));
        }
        let mut tuple = serializer.serialize_tuple(N)?;
        for byte in &self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

struct Bare<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Bare<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(bytes)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<[u8; N], E> {
        let mut bytes = [0; N];
        match Base64UrlUnpadded::decode(text, &mut bytes) {
            Ok(decoded) if decoded.len() == N => Ok(bytes),
            _ => Err(E::custom("not the base64url of the right number of bytes")),
        }
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Bare::<N>)
        } else {
            deserializer.deserialize_tuple(N, Bare::<N>)
        }
        .map(Self)
    }
}
