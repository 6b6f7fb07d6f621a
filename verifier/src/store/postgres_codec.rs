//! The bytes of a payment record in a shared database. Private to this crate: change [`VERSION`] when the layout changes.

use std::ops::Range;

use farthing_protocol::amount::Amount;
use farthing_protocol::settle::Refusal;
use farthing_protocol::wire::{Bytes, DoubleSpendFrame, Frame, ProofBody, SpendingSideBody, SpentKeyBody};

use super::codec::{Reader, spent_key};
use super::{PaymentRecord, PaymentState, RefusedBecause, StoreError};

/// The layout's version, the first byte of a record: with an answer's name, and without one.
const VERSION: u8 = 2;
const WITHOUT_ANSWER: u8 = 1;

/// Where a record says when it was claimed, in either version: behind version, state, resource, digest, amount and change.
pub(super) const CLAIMED_AT: Range<usize> = 82..90;

/// version, state, resource, digest, five numbers, S, T, u, count, L, name of the answer if there is one, rest of the state.
pub(super) fn encode_record(record: &PaymentRecord) -> Vec<u8> {
    let (state, rest): (u8, Vec<u8>) = match &record.state {
        PaymentState::Pending => (0, Vec::new()),
        PaymentState::Accepted => (1, Vec::new()),
        PaymentState::Settled => (2, Vec::new()),
        PaymentState::Refunded => (3, Vec::new()),
        PaymentState::Refused(RefusedBecause::Refusal(refusal)) => (4, refusal.number().to_le_bytes().to_vec()),
        PaymentState::Refused(RefusedBecause::DoubleSpent(proof)) => (5, proof.to_bytes()),
    };
    let version = if record.answer.is_some() { VERSION } else { WITHOUT_ANSWER };
    let mut out = Vec::with_capacity(288 + 72 * record.side.list.len() + rest.len());
    out.extend_from_slice(&[version, state]);
    out.extend_from_slice(&record.resource);
    out.extend_from_slice(&record.digest);
    for number in [record.amount.units(), record.change.units(), record.claimed_at, record.access_until, record.window] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for part in [record.side.statement, record.side.proof.t, record.side.proof.u] {
        out.extend_from_slice(&part.0);
    }
    // A payment holds at most 24 tokens; 255 could not be decoded below and would be refused there.
    out.push(u8::try_from(record.side.list.len()).unwrap_or(u8::MAX));
    for key in &record.side.list {
        out.extend_from_slice(&spent_key(key).to_bytes());
    }
    out.extend(record.answer.into_iter().flatten());
    out.extend_from_slice(&rest);
    out
}

pub(super) fn decode_record(bytes: &[u8]) -> Result<PaymentRecord, StoreError> {
    let mut reader = Reader(bytes);
    let [version, state] = reader.take::<2>()?;
    if !matches!(version, VERSION | WITHOUT_ANSWER) {
        return Err(StoreError::Corrupt);
    }
    let resource = reader.take()?;
    let digest = reader.take()?;
    let amount = Amount::from_units(reader.number()?);
    let change = Amount::from_units(reader.number()?);
    let claimed_at = reader.number()?;
    let access_until = reader.number()?;
    let window = reader.number()?;
    let statement = Bytes(reader.take()?);
    let proof = ProofBody { t: Bytes(reader.take()?), u: Bytes(reader.take()?) };
    let [count] = reader.take::<1>()?;
    let mut list = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let keyset = Bytes(reader.take()?);
        let denomination = u64::from_be_bytes(reader.take()?);
        list.push(SpentKeyBody { keyset, denomination, key: Bytes(reader.take()?) });
    }
    let answer = if version == VERSION { Some(reader.take()?) } else { None };
    let state = match state {
        0 => PaymentState::Pending,
        1 => PaymentState::Accepted,
        2 => PaymentState::Settled,
        3 => PaymentState::Refunded,
        4 => PaymentState::Refused(RefusedBecause::Refusal(Refusal::from_number(u16::from_le_bytes(reader.take()?)))),
        5 => {
            let proof = DoubleSpendFrame::from_bytes(std::mem::take(&mut reader.0)).map_err(|_| StoreError::Corrupt)?;
            PaymentState::Refused(RefusedBecause::DoubleSpent(Box::new(proof)))
        }
        _ => return Err(StoreError::Corrupt),
    };
    if !reader.0.is_empty() {
        return Err(StoreError::Corrupt);
    }
    let side = SpendingSideBody { statement, list, proof };
    Ok(PaymentRecord { state, side, digest, resource, amount, change, claimed_at, access_until, window, answer })
}
