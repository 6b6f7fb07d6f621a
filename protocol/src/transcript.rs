//! Labelled hashing: a thin wrapper over a Merlin transcript that accepts only labels from [`crate::labels`].
//!
//! `Hash(a, b, ..)` in the specification always means: a transcript of its own domain, the values appended in order under their field
//! names (Merlin frames every value with its length), then bytes squeezed from it.

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use crate::labels::{self, Domain, Field};

/// A transcript under one domain separator.
#[derive(Clone)]
pub(crate) struct Transcript(merlin::Transcript);

impl Transcript {
    /// Starts a transcript for one purpose.
    pub(crate) fn new(domain: Domain) -> Self {
        Self(merlin::Transcript::new(domain.as_str().as_bytes()))
    }

    /// Appends bytes; their length is framed by Merlin.
    pub(crate) fn bytes(&mut self, field: Field, value: &[u8]) -> &mut Self {
        self.0.append_message(field.as_bytes(), value);
        self
    }

    /// Appends a number as 8 little-endian bytes.
    pub(crate) fn u64(&mut self, field: Field, value: u64) -> &mut Self {
        self.0.append_u64(field.as_bytes(), value);
        self
    }

    /// Appends a length or count.
    pub(crate) fn count(&mut self, value: usize) -> &mut Self {
        // usize is at most 64 bits wide on every supported target, so nothing is cut off.
        self.u64(labels::COUNT, value as u64)
    }

    /// Appends whether a value is there, and the value if so: an absent value and an empty one differ.
    ///
    /// Implements R-WIRE-10.
    pub(crate) fn optional(&mut self, field: Field, value: Option<&[u8]>) -> &mut Self {
        match value {
            None => self.u64(labels::PRESENT, 0),
            Some(value) => self.u64(labels::PRESENT, 1).bytes(field, value),
        }
    }

    /// Squeezes 32 bytes.
    pub(crate) fn digest(&mut self) -> [u8; 32] {
        let mut out = [0; 32];
        self.0.challenge_bytes(labels::OUTPUT.as_bytes(), &mut out);
        out
    }

    /// Squeezes bytes into `out`.
    pub(crate) fn fill(&mut self, field: Field, out: &mut [u8]) {
        self.0.challenge_bytes(field.as_bytes(), out);
    }

    /// Squeezes 64 bytes and reduces them modulo l: the result is within 2^-252 of uniform.
    pub(crate) fn scalar(&mut self, field: Field) -> Scalar {
        let mut wide = Zeroizing::new([0; 64]);
        self.fill(field, wide.as_mut());
        Scalar::from_bytes_mod_order_wide(&wide)
    }
}
