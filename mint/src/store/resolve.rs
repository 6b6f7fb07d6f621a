//! The rules by which a batch of payments is booked: one by one, in order, without a database.
//!
//! An engine reads what the batch touches ([`Known`]), resolves, and writes the [`Plan`] in the same transaction. Two payments of one
//! batch that share a token meet here exactly as if they had come in two batches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::settle::Refusal;

use super::{LedgerError, PaymentBooked, PaymentBooking, SessionId};

/// What a token was spent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpentBy {
    /// A payment.
    Payment(PaymentId),
    /// The session of a refresh.
    Session(SessionId),
}

/// How many tokens of a kind are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Tokens issued.
    pub issued: u64,
    /// Tokens that came back.
    pub redeemed: u64,
    /// Whether the key takes nothing any more.
    pub frozen: bool,
}

/// What the ledger holds about everything a batch touches.
#[derive(Default)]
pub struct Known {
    /// Payments of the batch that are booked.
    pub payments: HashSet<PaymentId>,
    /// Payments of the batch that were booked and given back.
    pub refunded: HashSet<PaymentId>,
    /// Tokens of the batch that are spent.
    pub spent: HashMap<SpentKey, SpentBy>,
    /// The sides of the payments in `spent`.
    pub sides: HashMap<PaymentId, Vec<u8>>,
    /// Publishers of the batch that exist.
    pub publishers: HashSet<String>,
    /// Keysets of the batch that are closing or closed, whose rows of `spent` may be gone.
    pub closed: HashSet<KeysetId>,
    /// The counters of the batch's tokens.
    pub counts: HashMap<(KeysetId, Amount), Count>,
}

/// What to write, and what to answer.
#[derive(Default)]
pub struct Plan {
    /// One outcome a payment, in order.
    pub outcomes: Vec<PaymentBooked>,
    /// The payments to insert with their tokens, by index.
    pub insert: Vec<usize>,
    /// Tokens that came back, by kind.
    pub redeemed: BTreeMap<(KeysetId, Amount), u64>,
    /// What each publisher gets.
    pub credits: BTreeMap<String, Amount>,
    /// Kinds to freeze.
    pub freeze: BTreeSet<(KeysetId, Amount)>,
}

/// Resolves a batch.
///
/// Implements R-BACK-07, R-LIFE-01.
///
/// ```text
/// booked before and given back             refunded
/// booked before                            already credited
/// a reason not to book it                  refused
/// a token of a keyset that is not open     refused
/// publisher unknown                        refused
/// a token in another payment               double-spent, with that payment's side
/// a token in a refresh                     refused
/// redeemed + 1 > issued, or frozen         refused; the kind is frozen
/// else                                     credited
/// ```
///
/// # Errors
/// [`LedgerError::Corrupt`] if a token is spent by a payment whose side is not in `known`.
pub fn resolve(batch: &[&PaymentBooking], known: Known) -> Result<Plan, LedgerError> {
    let mut plan = Plan::default();
    let Known { mut payments, refunded, mut spent, mut sides, publishers, closed, mut counts } = known;
    for (index, payment) in batch.iter().enumerate() {
        let outcome = if refunded.contains(&payment.id) {
            PaymentBooked::Refunded
        } else if payments.contains(&payment.id) {
            PaymentBooked::AlreadyCredited
        } else if let Some(refusal) = payment.refusal {
            PaymentBooked::Refused(refusal)
        } else if payment.tokens.iter().any(|token| closed.contains(&token.keyset)) {
            PaymentBooked::Refused(Refusal::KeysetClosed)
        } else if !publishers.contains(&payment.publisher) {
            PaymentBooked::Refused(Refusal::UnknownPublisher)
        } else if let Some(outcome) = spent_before(payment, &spent, &sides)? {
            outcome
        } else if let Some(kinds) = over_cap(payment, &counts) {
            for kind in kinds {
                // What is frozen already needs no second alarm.
                if let Some(count) = counts.get_mut(&kind).filter(|count| !count.frozen) {
                    count.frozen = true;
                    plan.freeze.insert(kind);
                }
            }
            PaymentBooked::Refused(Refusal::Frozen)
        } else {
            let credit = plan.credits.get(&payment.publisher).copied().unwrap_or_default().checked_add(payment.amount);
            // More than 2^64 units in one batch cannot have been sold.
            let credit = credit.ok_or(LedgerError::Corrupt("credits beyond 64 bits"))?;
            plan.credits.insert(payment.publisher.clone(), credit);
            payments.insert(payment.id);
            sides.insert(payment.id, payment.side.clone());
            for token in &payment.tokens {
                spent.insert(*token, SpentBy::Payment(payment.id));
                let kind = (token.keyset, token.denomination);
                *plan.redeemed.entry(kind).or_default() += 1;
                if let Some(count) = counts.get_mut(&kind) {
                    count.redeemed += 1;
                }
            }
            plan.insert.push(index);
            PaymentBooked::Credited
        };
        plan.outcomes.push(outcome);
    }
    Ok(plan)
}

/// A proof is worth more to the publisher than a reason: a payment found among the tokens goes before a refresh.
fn spent_before(
    payment: &PaymentBooking,
    spent: &HashMap<SpentKey, SpentBy>,
    sides: &HashMap<PaymentId, Vec<u8>>,
) -> Result<Option<PaymentBooked>, LedgerError> {
    let mut refreshed = None;
    for token in &payment.tokens {
        match spent.get(token) {
            Some(SpentBy::Payment(id)) => {
                let earlier = sides.get(id).cloned().ok_or(LedgerError::Corrupt("a token is spent by a payment that is not there"))?;
                return Ok(Some(PaymentBooked::DoubleSpent { earlier }));
            }
            Some(SpentBy::Session(_)) => refreshed = Some(PaymentBooked::Refused(Refusal::Refreshed)),
            None => {}
        }
    }
    Ok(refreshed)
}

/// The kinds of which this payment would bring back more than was issued.
fn over_cap(payment: &PaymentBooking, counts: &HashMap<(KeysetId, Amount), Count>) -> Option<Vec<(KeysetId, Amount)>> {
    let mut own: BTreeMap<(KeysetId, Amount), u64> = BTreeMap::new();
    for token in &payment.tokens {
        *own.entry((token.keyset, token.denomination)).or_default() += 1;
    }
    let over = |(kind, tokens): (&(KeysetId, Amount), &u64)| match counts.get(kind) {
        Some(count) => (count.frozen || count.redeemed.saturating_add(*tokens) > count.issued).then_some(*kind),
        None => Some(*kind),
    };
    let kinds: Vec<_> = own.iter().filter_map(over).collect();
    (!kinds.is_empty()).then_some(kinds)
}
