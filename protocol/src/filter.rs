//! What a mint tells verifiers about spent tokens: a filter for each stretch of a keyset's spent tokens, in the order in which they came back.
//!
//! ```text
//! spent tokens of a keyset    0 .. 4096 .. 8192 .. 9216 .. 9300
//! segments                    [  4096  ][  4096  ][1024 ][ 84 ]      each a binary fuse filter of 16 bits: 18 to 26 bits a token
//! ```
//!
//! A segment of full length never changes, four neighbours are merged into one of the next length, and the short one at the end is made
//! anew. So whoever follows downloads a token at most seven times, and both sides hold each about once.
//!
//! # Security
//! A hit says "ask the mint first" and nothing else, and nobody has signed it. Of tokens that were never spent one in 65,536 hits a segment, so
//! that not one in a thousand hits any of the 58 segments of fifty million. A miss says nothing at all. What it shows of tokens: whoever knows (keyset, denomination, P) learns that it was probably spent, and roughly
//! when; nobody learns a P from it. How many tokens of a keyset were spent by when is public.

use alloc::boxed::Box;
use alloc::vec::Vec;

use xorf::{BinaryFuse16, Descriptor, Filter};

use crate::labels;
use crate::proof::{KeysetId, SpentKey};
use crate::transcript::Transcript;

/// Tokens of the shortest segment of full length.
pub const SMALLEST: u64 = 1 << 10;

/// Tokens of the longest.
pub const LARGEST: u64 = 1 << 20;

/// How many segments of one length become one of the next.
const MERGED: u64 = 4;

/// Bytes before the fingerprints.
const HEADER: usize = 72;

/// The first bytes of a segment.
const MAGIC: [u8; 8] = *b"fspent/2";

/// The longest block that a builder makes.
const LONGEST_BLOCK: u32 = 1 << 18;

/// A segment is never longer than this, in bytes.
pub const LIMIT: usize = 4 << 20;

/// What stands for a spent token in a filter: 64 bits of Hash(keyset, denomination, P).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpentMark(u64);

impl SpentMark {
    /// Size of [`SpentMark::to_bytes`].
    pub const SIZE: usize = 8;

    /// The first 8 bytes of the digest of the spent key, little-endian.
    pub fn of(spent: &SpentKey) -> Self {
        let digest = Transcript::new(labels::SPENT_MARK).bytes(labels::KEY, &spent.to_bytes()).digest();
        let mut first = [0; Self::SIZE];
        first.copy_from_slice(&digest[..Self::SIZE]);
        Self(u64::from_le_bytes(first))
    }

    /// Reads a mark that was stored.
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// The mark to be stored.
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        self.0.to_le_bytes()
    }
}

/// How the first `count` spent tokens of a keyset are cut into segments: (first token, tokens), ascending. All are of full length but the
/// last, which may be shorter than [`SMALLEST`].
///
/// Implements R-FILTER-01.
pub fn plan(count: u64) -> Vec<(u64, u64)> {
    let (mut out, mut first, mut length) = (Vec::new(), 0, LARGEST);
    while length >= SMALLEST {
        while count - first >= length {
            out.push((first, length));
            first += length;
        }
        length /= MERGED;
    }
    if first < count {
        out.push((first, count - first));
    }
    out
}

/// A filter of some spent tokens of one keyset.
#[derive(Clone, Debug)]
pub struct SpentSegment {
    keyset: KeysetId,
    first: u64,
    count: u64,
    filter: BinaryFuse16,
}

impl SpentSegment {
    /// Builds the segment of these tokens, of which `first` is the number of the first. The same tokens give the same segment.
    ///
    /// `None` for none, for more than [`LARGEST`], and if no filter of these marks was found, which for different marks has a chance of
    /// nothing.
    pub fn build(keyset: KeysetId, first: u64, mut marks: Vec<SpentMark>) -> Option<Self> {
        let count = marks.len() as u64;
        if count == 0 || count > LARGEST {
            return None;
        }
        marks.sort_unstable();
        marks.dedup();
        let keys: Vec<u64> = marks.into_iter().map(|mark| mark.0).collect();
        Some(Self { keyset, first, count, filter: BinaryFuse16::try_from(keys).ok()? })
    }

    /// The keyset.
    pub const fn keyset(&self) -> KeysetId {
        self.keyset
    }

    /// The number of its first token, and how many it holds.
    pub const fn range(&self) -> (u64, u64) {
        (self.first, self.count)
    }

    /// Bytes it takes in memory, nearly.
    pub fn size(&self) -> usize {
        2 * self.filter.fingerprints.len() + HEADER
    }

    /// Whether the token may be one of them. Every one of them may.
    ///
    /// # Timing
    /// Variable; the token is being shown to the verifier.
    pub fn may_hold(&self, mark: SpentMark) -> bool {
        self.filter.contains(&mark.0)
    }

    /// The segment's bytes, as `spec/wire.md` draws them.
    ///
    /// Implements R-FILTER-02.
    pub fn to_bytes(&self) -> Vec<u8> {
        let descriptor = &self.filter.descriptor;
        let mut out = Vec::with_capacity(self.size());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.keyset.0);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&descriptor.seed.to_le_bytes());
        out.extend_from_slice(&descriptor.segment_length.to_le_bytes());
        out.extend_from_slice(&descriptor.segment_count_length.to_le_bytes());
        out.extend(self.filter.fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
        out
    }

    /// Reads a segment. `None` if the bytes are not one: every number is checked, so that no look-up leaves the fingerprints.
    ///
    /// Implements R-FILTER-02.
    ///
    /// # Security
    /// Anybody can make a segment in which everything hits.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > LIMIT {
            return None;
        }
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (keyset, rest) = rest.split_first_chunk::<32>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (seed, rest) = rest.split_first_chunk::<8>()?;
        let (block, rest) = rest.split_first_chunk::<4>()?;
        let (starts, fingerprints) = rest.split_first_chunk::<4>()?;
        let (fingerprints, odd) = fingerprints.as_chunks::<2>();
        let (first, count) = (u64::from_le_bytes(*first), u64::from_le_bytes(*count));
        let (block, starts) = (u32::from_le_bytes(*block), u32::from_le_bytes(*starts));
        let sound = *magic == MAGIC
            && (1..=LARGEST).contains(&count)
            && first.checked_add(count).is_some()
            && block.is_power_of_two()
            && block <= LONGEST_BLOCK
            && starts > 0
            && starts % block == 0
            // A token has a place in each of three neighbouring blocks, the first of which begins below `starts`.
            && u64::from(starts) + 2 * u64::from(block) == fingerprints.len() as u64
            && odd.is_empty();
        let descriptor = Descriptor {
            seed: u64::from_le_bytes(*seed),
            segment_length: block,
            segment_length_mask: block.wrapping_sub(1),
            segment_count_length: starts,
        };
        let fingerprints: Box<[u16]> = fingerprints.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
        let filter = BinaryFuse16 { descriptor, fingerprints };
        sound.then_some(Self { keyset: KeysetId(*keyset), first, count, filter })
    }
}
