//! Double-spend proofs: two payments that share a token, checkable by anybody, naming nobody.
//!
//! ```text
//! (S, L, T, u) twice, with different payment ids, both L holding (keyset, denomination, P), and a signature (R, s, t) on P
//! ```
//!
//! S stays opaque: L, T and the index are hashed beside it, so that nobody can be framed by a list they never signed. Only proofs with
//! purpose `pay` count; a payment and a refresh of one token are the mint's reason to refuse, never an accusation.

use alloc::vec::Vec;

use crate::amount::Amount;
use crate::error::{EvidenceError, ProofError};
use crate::proof::{KeyList, KeyProof, KeysetId, PaymentId, Purpose, SpentKey, Statement};
use crate::snowblind::Signature;
use crate::spending::{KeyTable, Spending, verify_signature};
use crate::token::{MAX_TOKENS, Token};
use crate::wire::{DoubleSpendFrame, SpendingSideBody, SpentKeyBody};

/// One payment as far as a double-spend proof needs it: S, L, T, u. What a store keeps of every payment it has accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct SpendingSide {
    statement: Statement,
    list: Vec<SpentKey>,
    proof: KeyProof,
}

impl SpendingSide {
    /// The side of a verified payment.
    pub fn of(spending: &Spending) -> Self {
        Self { statement: *spending.statement(), list: spending.list().to_vec(), proof: *spending.proof() }
    }

    /// Decodes a side; the list must be canonical.
    ///
    /// # Errors
    /// [`EvidenceError::InvalidList`] or [`EvidenceError::InvalidProof`].
    pub fn from_body(body: &SpendingSideBody) -> Result<Self, EvidenceError> {
        let list = list_from_body(&body.list).ok_or(EvidenceError::InvalidList)?;
        let proof = KeyProof::from_body(&body.proof).map_err(|_| EvidenceError::InvalidProof)?;
        Ok(Self { statement: Statement::from_bytes(body.statement.0), list, proof })
    }

    /// The body to store or send.
    pub fn to_body(&self) -> SpendingSideBody {
        SpendingSideBody { statement: self.statement.to_bytes().into(), list: list_to_body(&self.list), proof: self.proof.to_body() }
    }

    /// The payment's id.
    pub fn payment_id(&self) -> PaymentId {
        PaymentId::new(&self.statement, &self.list)
    }

    /// S.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// L, ascending.
    pub fn list(&self) -> &[SpentKey] {
        &self.list
    }
}

/// A claim that a token was paid twice; not verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct DoubleSpend {
    token: Token,
    sides: [SpendingSide; 2],
}

impl DoubleSpend {
    /// Puts two payments together that share a token, if they do.
    ///
    /// `later` is the payment in hand, whose tokens carry the signature; `earlier` what the store kept.
    ///
    /// # Errors
    /// [`EvidenceError::SamePayment`] or [`EvidenceError::NotShared`].
    pub fn new(earlier: SpendingSide, later: &Spending) -> Result<Self, EvidenceError> {
        let shared = later.tokens().iter().find(|token| earlier.list.binary_search(token.spent_key()).is_ok());
        let token = *shared.ok_or(EvidenceError::NotShared)?;
        let mut sides = [earlier, SpendingSide::of(later)];
        sides.sort_by_key(SpendingSide::payment_id);
        if sides[0].payment_id() == sides[1].payment_id() {
            return Err(EvidenceError::SamePayment);
        }
        Ok(Self { token, sides })
    }

    /// Decodes a proof; both lists must be canonical and the sides in order.
    ///
    /// Implements R-EVID-01.
    ///
    /// # Errors
    /// [`EvidenceError`], one variant per defect.
    pub fn from_frame(frame: &DoubleSpendFrame) -> Result<Self, EvidenceError> {
        let signature = Signature::from_body(&frame.signature).map_err(|_| EvidenceError::InvalidSignature)?;
        let sides = [SpendingSide::from_body(&frame.sides[0])?, SpendingSide::from_body(&frame.sides[1])?];
        match sides[0].payment_id().cmp(&sides[1].payment_id()) {
            core::cmp::Ordering::Equal => return Err(EvidenceError::SamePayment),
            core::cmp::Ordering::Greater => return Err(EvidenceError::InvalidList),
            core::cmp::Ordering::Less => {}
        }
        Ok(Self { token: Token::new(spent_key_from_body(&frame.token), signature), sides })
    }

    /// The frame to hand on.
    pub fn to_frame(&self) -> DoubleSpendFrame {
        DoubleSpendFrame {
            token: spent_key_to_body(self.token.spent_key()),
            signature: self.token.signature().to_body(),
            sides: [self.sides[0].to_body(), self.sides[1].to_body()],
        }
    }

    /// The two payments' ids, the smaller first.
    pub fn payment_ids(&self) -> [PaymentId; 2] {
        [self.sides[0].payment_id(), self.sides[1].payment_id()]
    }

    /// Checks the proof with public keys only. Anybody can.
    ///
    /// Implements R-EVID-01, R-EVID-02, R-EVID-03.
    ///
    /// # Errors
    /// [`EvidenceError`]: why it proves nothing.
    ///
    /// # Security
    /// Success proves that whoever knew the token's key made two different payments with it. It does not say who that is, what was
    /// bought, or which payment came first.
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify(self, keys: &KeyTable) -> Result<ProvenDoubleSpend, EvidenceError> {
        for side in &self.sides {
            if side.list.binary_search(self.token.spent_key()).is_err() {
                return Err(EvidenceError::NotShared);
            }
        }
        verify_signature(&self.token, keys).map_err(|error| match error {
            ProofError::UnknownKeyset | ProofError::UnknownDenomination => EvidenceError::UnknownKey,
            _ => EvidenceError::InvalidSignature,
        })?;
        for side in &self.sides {
            side.proof.verify(Purpose::Pay, &side.statement, KeyList::Tokens(&side.list)).map_err(|_| EvidenceError::InvalidProof)?;
        }
        Ok(ProvenDoubleSpend(self))
    }
}

/// A double-spend that was verified. Only verification makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct ProvenDoubleSpend(DoubleSpend);

impl ProvenDoubleSpend {
    /// The verified proof.
    pub const fn proof(&self) -> &DoubleSpend {
        &self.0
    }

    /// The token that was paid twice.
    pub const fn token(&self) -> &SpentKey {
        self.0.token.spent_key()
    }
}

pub(crate) fn spent_key_from_body(body: &SpentKeyBody) -> SpentKey {
    SpentKey { keyset: KeysetId(body.keyset.0), denomination: Amount::from_units(body.denomination), key: body.key.0 }
}

fn spent_key_to_body(spent: &SpentKey) -> SpentKeyBody {
    SpentKeyBody { keyset: spent.keyset.0.into(), denomination: spent.denomination.units(), key: spent.key.into() }
}

/// A list L: 1 to 24 spent keys, strictly ascending.
///
/// Implements R-EVID-04.
pub(crate) fn list_from_body(body: &[SpentKeyBody]) -> Option<Vec<SpentKey>> {
    if body.is_empty() || body.len() > MAX_TOKENS {
        return None;
    }
    let list: Vec<SpentKey> = body.iter().map(spent_key_from_body).collect();
    list.is_sorted_by(|a, b| a < b).then_some(list)
}

pub(crate) fn list_to_body(list: &[SpentKey]) -> Vec<SpentKeyBody> {
    list.iter().map(spent_key_to_body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_one_to_24_keys() {
        let keys = |count: u8| -> Vec<SpentKeyBody> {
            (0..count).map(|index| SpentKeyBody { keyset: [7; 32].into(), denomination: 500, key: [index; 32].into() }).collect()
        };
        for (count, accepted) in [(0, false), (1, true), (24, true), (25, false)] {
            assert_eq!(list_from_body(&keys(count)).is_some(), accepted, "{count} keys");
        }
    }

    #[test]
    fn a_side_hands_out_the_list_it_holds() {
        let key = |last: u8| SpentKeyBody { keyset: [7; 32].into(), denomination: 500, key: [last; 32].into() };
        let list = list_from_body(&[key(1), key(2)]).unwrap();
        let proof = KeyProof { t: [1; 32], u: curve25519_dalek::Scalar::ONE };
        let side = SpendingSide { statement: Statement::from_bytes([3; 32]), list: list.clone(), proof };
        assert!(side.list() == list);
    }
}
