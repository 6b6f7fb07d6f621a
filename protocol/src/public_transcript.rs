//! Merlin transcripts of public values only: the same bytes as [`crate::transcript`], in less time.
//!
//! A verifier hashes two transcripts for every token it sees. The library takes its bytes one by one, which costs more than half as much
//! as the permutation itself; here they are copied, and enter the state a block at a time. Nothing is wiped, so nothing may enter that
//! has to stay secret. That both say the same is tested over random transcripts, and by every vector.
//!
//! ```text
//! STROBE-128 as Merlin uses it: rate 166; state, position and where the operation began
//! append    meta-AD(field || length as u32), AD(value)
//! squeeze   meta-AD(field || length as u32), PRF
//! ```

use crate::labels::{self, Domain, Field};

/// Bytes a permutation takes in; the two after them hold the padding.
const RATE: usize = 166;
const BLOCK: usize = RATE + 2;

/// STROBE's flags.
const ASSOCIATED: u8 = 1 << 1;
const META: u8 = 1 << 4 | ASSOCIATED;
const PRF: u8 = 1 | ASSOCIATED | 1 << 2;

/// The first 24 bytes of the state before the first permutation.
const START: [[u8; 8]; 3] = [[1, 168, 1, 0, 1, 96, b'S', b'T'], *b"ROBEv1.0", [b'.', b'2', 0, 0, 0, 0, 0, 0]];

/// A transcript under one domain separator, of public values.
#[derive(Clone)]
pub(crate) struct PublicTranscript {
    state: [u64; 25],
    /// What will be added to the state; zero from `position` on.
    block: [u8; BLOCK],
    position: usize,
    /// One more than where the last operation began in this block, or zero.
    begun: u8,
}

#[allow(clippy::inline_always, reason = "most lengths are constants of the caller: known there, a copy is a few moves instead of a call")]
impl PublicTranscript {
    /// Starts a transcript for one purpose.
    pub(crate) fn new(domain: Domain) -> Self {
        let mut new = Self { state: [0; 25], block: [0; BLOCK], position: 0, begun: 0 };
        // Without padding: 1, rate + 2, 1, 0, 1, 96, "STROBEv1.0.2".
        new.state[..3].copy_from_slice(&START.map(u64::from_le_bytes));
        keccak::f1600(&mut new.state);
        new.begin(META);
        new.absorb(b"Merlin v1.0");
        new.append(b"dom-sep", domain.as_str().as_bytes());
        new
    }

    /// Appends bytes, framed with their length.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, field: Field, value: &[u8]) -> &mut Self {
        self.append(field.as_bytes(), value);
        self
    }

    /// Appends a number as 8 little-endian bytes.
    #[inline(always)]
    pub(crate) fn u64(&mut self, field: Field, value: u64) -> &mut Self {
        self.bytes(field, &value.to_le_bytes())
    }

    /// Appends a length or count.
    #[inline(always)]
    pub(crate) fn count(&mut self, value: usize) -> &mut Self {
        self.u64(labels::COUNT, value as u64)
    }

    /// Squeezes 32 bytes.
    pub(crate) fn digest(&mut self) -> [u8; 32] {
        let mut out = [0; 32];
        self.fill(labels::OUTPUT, &mut out);
        out
    }

    /// Squeezes bytes into `out`.
    pub(crate) fn fill(&mut self, field: Field, out: &mut [u8]) {
        self.frame(field.as_bytes(), out.len());
        self.begin(PRF);
        if self.position != 0 {
            self.permute();
        }
        for piece in out.chunks_mut(RATE) {
            // What is given out is added to itself, so that it is gone from the state.
            for (bytes, lane) in self.block[..piece.len().next_multiple_of(8)].as_chunks_mut::<8>().0.iter_mut().zip(&self.state) {
                *bytes = lane.to_le_bytes();
            }
            piece.copy_from_slice(&self.block[..piece.len()]);
            self.block[piece.len()..].fill(0);
            self.position = piece.len();
            if self.position == RATE {
                self.permute();
            }
        }
    }

    #[inline(always)]
    fn append(&mut self, field: &[u8], value: &[u8]) {
        self.frame(field, value.len());
        self.begin(ASSOCIATED);
        self.absorb(value);
    }

    /// A field's name, and the length of what follows.
    #[inline(always)]
    fn frame(&mut self, field: &[u8], length: usize) {
        self.begin(META);
        self.absorb(field);
        // No value of the protocol is near 4 GiB; the library panics there too.
        self.absorb(&u32::try_from(length).expect("below 4 GiB").to_le_bytes());
    }

    #[inline(always)]
    fn begin(&mut self, flags: u8) {
        let before = self.begun;
        // At most 166.
        self.begun = self.position.to_le_bytes()[0] + 1;
        self.absorb(&[before, flags]);
    }

    #[inline(always)]
    fn absorb(&mut self, bytes: &[u8]) {
        let end = self.position + bytes.len();
        if end < RATE {
            self.block[self.position..end].copy_from_slice(bytes);
            self.position = end;
        } else {
            self.absorb_beyond(bytes);
        }
    }

    /// Absorbs what fills the block.
    #[inline(never)]
    fn absorb_beyond(&mut self, mut bytes: &[u8]) {
        while let Some((now, later)) = bytes.split_at_checked(RATE - self.position) {
            self.block[self.position..RATE].copy_from_slice(now);
            self.position = RATE;
            self.permute();
            bytes = later;
        }
        self.block[..bytes.len()].copy_from_slice(bytes);
        self.position = bytes.len();
    }

    #[inline(never)]
    fn permute(&mut self) {
        self.block[self.position] ^= self.begun;
        self.block[self.position + 1] ^= 0x04;
        self.block[RATE + 1] ^= 0x80;
        for (lane, bytes) in self.state.iter_mut().zip(self.block.as_chunks::<8>().0) {
            *lane ^= u64::from_le_bytes(*bytes);
        }
        keccak::f1600(&mut self.state);
        self.block = [0; BLOCK];
        (self.position, self.begun) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Transcript;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn it_says_what_the_library_says() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..300 {
            let (mut ours, mut merlin) = (PublicTranscript::new(labels::PROOF), Transcript::new(labels::PROOF));
            for _ in 0..rng.random_range(0..30) {
                let length = rng.random_range(0..400_usize);
                let value: alloc::vec::Vec<u8> = (0..length).map(|_| rng.random()).collect();
                match rng.random_range(0..5) {
                    0 => {
                        ours.bytes(labels::KEY, &value);
                        merlin.bytes(labels::KEY, &value);
                    }
                    1 => {
                        ours.u64(labels::AMOUNT, length as u64);
                        merlin.u64(labels::AMOUNT, length as u64);
                    }
                    2 => {
                        ours.count(length);
                        merlin.count(length);
                    }
                    3 => assert_eq!(ours.digest(), merlin.digest()),
                    _ => {
                        let mut filled = [alloc::vec![0; length], alloc::vec![1; length]];
                        ours.fill(labels::CHALLENGE, &mut filled[0]);
                        merlin.fill(labels::CHALLENGE, &mut filled[1]);
                        assert_eq!(filled[0], filled[1]);
                    }
                }
            }
            assert_eq!(ours.digest(), merlin.digest());
        }
    }
}
