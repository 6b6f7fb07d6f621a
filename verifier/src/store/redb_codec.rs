//! The bytes of the embedded store's rows. Private to this crate: change the layout's version in `redb_rows` when one changes.
//!
//! ```text
//! row     version, flags, payment id, challenge, resource, amount, change, two times, what the flags say, deposit      never changes
//! ruling  state; if settled: ledger and sequence of the mark, number of the answer; if refused: why                  the mint's
//! ```
//!
//! A deposit holds the list, the proof and what S and the digest are hashes of, so a row says only which of these are not its own deposit's:
//! of a checked payment none, and each token stands in its row once.

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{PaymentId, SpentKey, Statement};
use farthing_protocol::settle::Refusal;
use farthing_protocol::wire::{Bytes, DepositBody, DoubleSpendFrame, Frame, ProofBody, SpendingSideBody, SpentKeyBody};
use sha2::{Digest, Sha256};

use super::codec::{Reader, decode_deposit, encode_deposit, key_from_bytes, spent_key};
use super::{Claim, PaymentRecord, PaymentState, RefusedBecause, StoreError, UsedChallenge};

const VERSION: u8 = 1;
const ACCEPTED: u8 = 1;
const OWN_DIGEST: u8 = 2;
const OWN_STATEMENT: u8 = 4;
const OWN_SIDE: u8 = 8;

fn digest_of(deposit: &DepositBody) -> [u8; 32] {
    Sha256::digest(deposit.payment.to_bytes()).into()
}

fn statement_of(deposit: &DepositBody) -> [u8; 32] {
    let payment = &deposit.payment;
    Statement::new(deposit.recipient.as_bytes(), Amount::from_units(payment.amount), payment.deposit_by, &deposit.subject.0).to_bytes()
}

fn list_of(deposit: &DepositBody) -> Option<Vec<SpentKeyBody>> {
    let tokens = &deposit.payment.tokens;
    let key = |token: &farthing_protocol::wire::TokenBody| {
        let keyset = *tokens.keysets.get(usize::from(token.keyset))?;
        Some(SpentKeyBody { keyset, denomination: token.denomination, key: token.key })
    };
    tokens.tokens.iter().map(key).collect()
}

/// A claim as it is kept.
pub(super) fn encode_claim(claim: Claim) -> Vec<u8> {
    let Claim { payment, challenge, record, deposit, .. } = claim;
    let own_digest = record.digest != digest_of(&deposit);
    let own_statement = record.side.statement.0 != statement_of(&deposit);
    let own_side = record.side.proof != deposit.payment.proof || list_of(&deposit).as_ref() != Some(&record.side.list);
    let accepted = record.state == PaymentState::Accepted;
    let deposit = encode_deposit(deposit);
    let mut out = Vec::with_capacity(320 + deposit.len() + if own_side { 65 + SpentKey::SIZE * record.side.list.len() } else { 0 });
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(accepted, ACCEPTED) | flag(own_digest, OWN_DIGEST) | flag(own_statement, OWN_STATEMENT) | flag(own_side, OWN_SIDE);
    out.extend_from_slice(&[VERSION, flags]);
    out.extend_from_slice(&payment.0);
    out.extend_from_slice(&challenge.expires.to_le_bytes());
    out.extend_from_slice(&challenge.id);
    out.extend_from_slice(&record.resource);
    for number in [record.amount.units(), record.change.units(), record.claimed_at, record.access_until] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    if accepted {
        out.extend_from_slice(&record.window.to_le_bytes());
    }
    if own_digest {
        out.extend_from_slice(&record.digest);
    }
    if own_statement {
        out.extend_from_slice(&record.side.statement.0);
    }
    if own_side {
        out.extend_from_slice(&record.side.proof.t.0);
        out.extend_from_slice(&record.side.proof.u.0);
        // A payment holds at most 24 tokens; 255 could not be decoded below and would be refused there.
        out.push(u8::try_from(record.side.list.len()).unwrap_or(u8::MAX));
        for key in &record.side.list {
            out.extend_from_slice(&spent_key(key).to_bytes());
        }
    }
    out.extend_from_slice(&deposit);
    out
}

/// A payment as it was claimed.
pub(super) struct Row<'a> {
    pub(super) payment: PaymentId,
    pub(super) challenge: UsedChallenge,
    pub(super) accepted: bool,
    resource: [u8; 32],
    pub(super) amount: Amount,
    change: Amount,
    pub(super) claimed_at: u64,
    pub(super) access_until: u64,
    pub(super) window: u64,
    digest: Option<[u8; 32]>,
    statement: Option<[u8; 32]>,
    side: Option<(ProofBody, Vec<SpentKeyBody>)>,
    deposit: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let [version, flags] = reader.take()?;
        if version != VERSION || flags > ACCEPTED | OWN_DIGEST | OWN_STATEMENT | OWN_SIDE {
            return Err(StoreError::Corrupt);
        }
        let has = |flag: u8| flags & flag != 0;
        let payment = PaymentId(reader.take()?);
        let challenge = UsedChallenge { expires: reader.number()?, id: reader.take()? };
        let resource = reader.take()?;
        let amount = Amount::from_units(reader.number()?);
        let change = Amount::from_units(reader.number()?);
        let claimed_at = reader.number()?;
        let access_until = reader.number()?;
        let window = if has(ACCEPTED) { reader.number()? } else { 0 };
        let digest = if has(OWN_DIGEST) { Some(reader.take()?) } else { None };
        let statement = if has(OWN_STATEMENT) { Some(reader.take()?) } else { None };
        let side = if has(OWN_SIDE) { Some(reader.side()?) } else { None };
        let accepted = has(ACCEPTED);
        let deposit = reader.0;
        Ok(Self {
            payment,
            challenge,
            accepted,
            resource,
            amount,
            change,
            claimed_at,
            access_until,
            window,
            digest,
            statement,
            side,
            deposit,
        })
    }

    pub(super) const fn claimed_as(&self) -> PaymentState {
        if self.accepted { PaymentState::Accepted } else { PaymentState::Pending }
    }

    pub(super) fn deposit(&self) -> Result<DepositBody, StoreError> {
        decode_deposit(self.deposit)
    }

    /// The spent keys.
    pub(super) fn list(&self) -> Result<Vec<SpentKey>, StoreError> {
        let list = match &self.side {
            Some((_, list)) => list,
            None => &list_of(&self.deposit()?).ok_or(StoreError::Corrupt)?,
        };
        Ok(list.iter().map(spent_key).collect())
    }

    pub(super) fn record(self, state: PaymentState, answer: Option<[u8; 32]>) -> Result<PaymentRecord, StoreError> {
        let deposit = self.deposit()?;
        let (proof, list) = match self.side {
            Some(side) => side,
            None => (deposit.payment.proof, list_of(&deposit).ok_or(StoreError::Corrupt)?),
        };
        let statement = Bytes(self.statement.unwrap_or_else(|| statement_of(&deposit)));
        Ok(PaymentRecord {
            state,
            side: SpendingSideBody { statement, list, proof },
            digest: self.digest.unwrap_or_else(|| digest_of(&deposit)),
            resource: self.resource,
            amount: self.amount,
            change: self.change,
            claimed_at: self.claimed_at,
            access_until: self.access_until,
            window: self.window,
            answer,
        })
    }
}

/// What the mint has decided about a payment.
pub(super) struct Ruling {
    pub(super) state: PaymentState,
    /// The mark it was booked under: which of the ledgers seen, and the sequence (0 stands for none).
    pub(super) mark: (u64, u64),
    /// The number of the answer that is kept with it; 0 stands for none.
    pub(super) answer: u64,
}

impl Ruling {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match &self.state {
            PaymentState::Settled => {
                let mut out = vec![0];
                for number in [self.mark.0, self.mark.1, self.answer] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out
            }
            PaymentState::Refunded => vec![1],
            PaymentState::Refused(RefusedBecause::Refusal(refusal)) => [&[2][..], &refusal.number().to_le_bytes()].concat(),
            PaymentState::Refused(RefusedBecause::DoubleSpent(proof)) => [&[3][..], &proof.to_bytes()].concat(),
            // No decision leads to them, so no row of them is read.
            PaymentState::Pending | PaymentState::Accepted => Vec::new(),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let [state] = reader.take()?;
        let (mut mark, mut answer) = ((0, 0), 0);
        let state = match state {
            0 => {
                mark = (reader.number()?, reader.number()?);
                answer = reader.number()?;
                PaymentState::Settled
            }
            1 => PaymentState::Refunded,
            2 => PaymentState::Refused(RefusedBecause::Refusal(Refusal::from_number(u16::from_le_bytes(reader.take()?)))),
            3 => {
                let proof = DoubleSpendFrame::from_bytes(std::mem::take(&mut reader.0)).map_err(|_| StoreError::Corrupt)?;
                PaymentState::Refused(RefusedBecause::DoubleSpent(Box::new(proof)))
            }
            _ => return Err(StoreError::Corrupt),
        };
        if reader.0.is_empty() { Ok(Self { state, mark, answer }) } else { Err(StoreError::Corrupt) }
    }
}

impl Reader<'_> {
    fn side(&mut self) -> Result<(ProofBody, Vec<SpentKeyBody>), StoreError> {
        let proof = ProofBody { t: Bytes(self.take()?), u: Bytes(self.take()?) };
        let [count] = self.take()?;
        let key = |_| {
            let SpentKey { keyset, denomination, key } = key_from_bytes(&self.take()?)?;
            Ok::<_, StoreError>(SpentKeyBody { keyset: Bytes(keyset.0), denomination: denomination.units(), key: Bytes(key) })
        };
        Ok((proof, (0..count).map(key).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use farthing_protocol::proof::KeysetId;
    use farthing_protocol::wire::{TokenBody, TokensBody};

    use super::super::{RiskLimits, conformance};
    use super::*;

    fn claim() -> Claim {
        let token = SpentKey { keyset: KeysetId([7; 32]), denomination: Amount::from_units(1), key: [9; 32] };
        let limits = RiskLimits { outstanding: Amount::from_units(10), per_window: Amount::from_units(10) };
        conformance::accepted_payment(1, token, Amount::from_units(1), 1_000, 0, limits)
    }

    fn record(bytes: &[u8]) -> Result<PaymentRecord, StoreError> {
        Row::parse(bytes)?.record(PaymentState::Accepted, None)
    }

    #[test]
    fn a_row_is_read_whole_or_not_at_all() {
        let bytes = encode_claim(claim());
        assert!(record(&bytes) == Ok(claim().record));
        for end in 0..bytes.len() {
            assert!(record(&bytes[..end]) == Err(StoreError::Corrupt), "{end} bytes");
        }
        // Another version, and a flag that nobody knows.
        for (place, value) in [(0, VERSION + 1), (1, bytes[1] | 16)] {
            let mut other = bytes.clone();
            other[place] = value;
            assert!(Row::parse(&other).err() == Some(StoreError::Corrupt), "{value} at {place}");
        }
    }

    #[test]
    fn a_deposit_says_what_a_row_says_of_a_checked_payment() {
        let made_up = encode_claim(claim());
        let mut checked = claim();
        let payment = &checked.deposit.payment;
        checked.record.digest = Sha256::digest(payment.to_bytes()).into();
        let statement = Statement::new(b"news.example", Amount::from_units(payment.amount), payment.deposit_by, &checked.deposit.subject.0);
        checked.record.side.statement = Bytes(statement.to_bytes());
        checked.record.side.proof = payment.proof;
        let TokensBody { keysets, tokens } = &payment.tokens;
        let key = |token: &TokenBody| SpentKeyBody { keyset: keysets[0], denomination: token.denomination, key: token.key };
        checked.record.side.list = tokens.iter().map(key).collect();
        let bytes = encode_claim(checked.clone());
        assert!(record(&bytes) == Ok(checked.record));
        assert_eq!(bytes[1], ACCEPTED);
        let own = 32 + 32 + 64 + 1 + SpentKey::SIZE;
        assert_eq!((made_up[1], made_up.len()), (ACCEPTED | OWN_DIGEST | OWN_STATEMENT | OWN_SIDE, bytes.len() + own));
    }

    #[test]
    fn a_ruling_is_read_whole_or_not_at_all() {
        let ruling = |state| Ruling { state, mark: (1, 2), answer: 3 };
        for state in
            [PaymentState::Settled, PaymentState::Refunded, PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late))].map(ruling)
        {
            let bytes = state.to_bytes();
            let read = Ruling::parse(&bytes).unwrap();
            let settled = state.state == PaymentState::Settled;
            assert!(read.state == state.state && (read.mark, read.answer) == if settled { ((1, 2), 3) } else { ((0, 0), 0) });
            for other in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
                assert!(Ruling::parse(other).err() == Some(StoreError::Corrupt), "{} bytes", other.len());
            }
        }
        assert!(Ruling::parse(&[4]).err() == Some(StoreError::Corrupt));
    }
}
