//! What all databases keep in the same bytes.

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, SpentKey};
use farthing_protocol::wire::{DepositBody, DepositRequestFrame, Frame, SpentKeyBody};
use sha2::{Digest, Sha256};

use super::StoreError;

/// The name an answer is kept under.
pub(super) fn answer_name(answer: &[u8]) -> [u8; 32] {
    Sha256::digest(answer).into()
}

/// The key that [`SpentKey::to_bytes`] wrote.
pub(super) fn key_from_bytes(bytes: &[u8; SpentKey::SIZE]) -> Result<SpentKey, StoreError> {
    let mut reader = Reader(bytes);
    let keyset = KeysetId(reader.take()?);
    let denomination = Amount::from_units(u64::from_be_bytes(reader.take()?));
    Ok(SpentKey { keyset, denomination, key: reader.take()? })
}

pub(crate) fn spent_key(body: &SpentKeyBody) -> SpentKey {
    SpentKey { keyset: KeysetId(body.keyset.0), denomination: Amount::from_units(body.denomination), key: body.key.0 }
}

/// A deposit travels as a batch of one.
pub(crate) fn encode_deposit(deposit: DepositBody) -> Vec<u8> {
    DepositRequestFrame { seen: None, payments: vec![deposit] }.to_bytes()
}

pub(crate) fn decode_deposit(bytes: &[u8]) -> Result<DepositBody, StoreError> {
    let mut frame = DepositRequestFrame::from_bytes(bytes).map_err(|_| StoreError::Corrupt)?;
    frame.payments.pop().ok_or(StoreError::Corrupt)
}

/// Takes bytes from the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(StoreError::Corrupt)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(super) fn number(&mut self) -> Result<u64, StoreError> {
        self.take().map(u64::from_le_bytes)
    }
}
