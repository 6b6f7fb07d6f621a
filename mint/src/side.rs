//! The stored form of a payment's side, from which double-spend proofs are made.
//!
//! ```text
//! S (32)  T (32)  u (32)  n times: keyset (32) denomination (8, big-endian) P (32)        96 + 72 n bytes, n from 1 to 24
//! ```

use farthing_protocol::error::EvidenceError;
use farthing_protocol::evidence::SpendingSide;
use farthing_protocol::wire::{ProofBody, SpendingSideBody, SpentKeyBody};

/// Encodes a side for the ledger.
pub fn encode(side: &SpendingSide) -> Vec<u8> {
    let body = side.to_body();
    let mut out = Vec::with_capacity(96 + 72 * body.list.len());
    for part in [&body.statement, &body.proof.t, &body.proof.u] {
        out.extend_from_slice(&part.0);
    }
    for spent in side.list() {
        out.extend_from_slice(&spent.to_bytes());
    }
    out
}

/// Decodes a stored side.
///
/// # Errors
/// [`EvidenceError::InvalidList`] or [`EvidenceError::InvalidProof`]: the ledger's bytes are damaged.
pub fn decode(bytes: &[u8]) -> Result<SpendingSide, EvidenceError> {
    let (head, list) = bytes.split_at_checked(96).ok_or(EvidenceError::InvalidList)?;
    let part = |index: usize| -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(&head[32 * index..32 * (index + 1)]);
        out
    };
    let (spent, rest) = list.as_chunks::<72>();
    if !rest.is_empty() {
        return Err(EvidenceError::InvalidList);
    }
    let spent_key = |bytes: &[u8; 72]| -> SpentKeyBody {
        let (mut keyset, mut denomination, mut key) = ([0; 32], [0; 8], [0; 32]);
        keyset.copy_from_slice(&bytes[..32]);
        denomination.copy_from_slice(&bytes[32..40]);
        key.copy_from_slice(&bytes[40..]);
        SpentKeyBody { keyset: keyset.into(), denomination: u64::from_be_bytes(denomination), key: key.into() }
    };
    SpendingSide::from_body(&SpendingSideBody {
        statement: part(0).into(),
        list: spent.iter().map(spent_key).collect(),
        proof: ProofBody { t: part(1).into(), u: part(2).into() },
    })
}
