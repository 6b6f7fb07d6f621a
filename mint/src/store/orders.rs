//! Orders: vouchers made once for a reference, and reversed when the payment behind them is; and the lists an operator asks for.
//!
//! ```text
//! order      id = keyed hash of the reference  ->  vouchers, exactly once
//! reversal   keyed hash of the payment, total  ->  what is left on its voucher, up to the total; remembered if the order comes later
//! ```
//!
//! The ledger sees neither the reference nor a code: whoever reads it can neither spend a voucher nor tell whose it is.

use farthing_protocol::amount::Amount;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use super::books::BankAccount;

/// Vouchers to be made for an order.
#[derive(Clone)]
pub struct OrderBooking {
    /// The order, unique for good.
    pub id: [u8; 32],
    /// The payment behind it, if it may be reversed; then there is one voucher.
    pub payment: Option<[u8; 32]>,
    /// The vouchers' public keys.
    pub keys: Vec<[u8; 32]>,
    /// What each is worth.
    pub amount: Amount,
    /// The service's time, Unix seconds.
    pub now: u64,
}

/// What the ledger holds of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What each voucher was worth.
    pub amount: Amount,
    /// How many.
    pub count: u32,
    /// When it was booked, Unix seconds.
    pub time: u64,
    /// What was reversed of it.
    pub reversed: Amount,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBooked {
    /// Durable: the codes may leave.
    Booked,
    /// The order was booked before; nothing changed.
    Earlier(Order),
    /// Another order was booked for this payment; nothing changed.
    PaymentUsed,
    /// The mint would have sold more than it can count; nothing changed.
    SoldTooMuch,
}

/// A publisher and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherRow {
    /// The publisher.
    pub name: String,
    /// Earned and not paid out.
    pub balance: Amount,
    /// The key with which it asks for refunds.
    pub key: Option<[u8; 32]>,
    /// Where it is paid.
    pub payee: Option<BankAccount>,
}

/// A booked payout run in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PayoutSummary {
    /// Its id.
    pub id: String,
    /// When it was booked, Unix seconds.
    pub time: u64,
    /// Whether its files were once complete.
    pub written: bool,
    /// How many publishers are paid.
    pub publishers: u64,
    /// To be paid, in smallest units.
    #[schema(value_type = u64)]
    pub amount: Amount,
    /// Kept, in smallest units.
    #[schema(value_type = u64)]
    pub fee: Amount,
}

/// The ledger's part in orders. Changes are one transaction each, as in [`super::Ledger`].
pub trait Orders: Send + Sync + 'static {
    /// Books an order and makes its vouchers, less what was reversed of its payment before it came.
    ///
    /// Implements R-ORDER-01.
    fn sell(&self, order: OrderBooking) -> Answer<'_, OrderBooked>;

    /// Looks up an order.
    fn order(&self, id: [u8; 32]) -> Answer<'_, Option<Order>>;

    /// Takes back what a payment provider took back of a payment, `total` so far: from what is left on its voucher, never more. Returns what
    /// was taken now.
    ///
    /// Implements R-ORDER-04.
    fn reverse(&self, payment: [u8; 32], total: Amount, now: u64) -> Answer<'_, Amount>;

    /// All publishers, by name.
    fn publishers(&self) -> Answer<'_, Vec<PublisherRow>>;

    /// All payout runs, oldest first.
    fn payouts(&self) -> Answer<'_, Vec<PayoutSummary>>;
}
