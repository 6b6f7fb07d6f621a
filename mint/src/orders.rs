//! Orders: vouchers made once for a reference, whose codes can be told again; reversals; and who is paid.

use farthing_protocol::voucher::VoucherCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Amount, Arc, MOST_VOUCHERS, Mint, MintError};
use crate::config::base64url;
use crate::signer::OrderKind;
use crate::store::books::BankAccount;
use crate::store::orders::{Order, OrderBooked, OrderBooking};

/// The longest reference of an order, in characters.
const LONGEST_REFERENCE: usize = 255;

/// What was ordered under a reference.
pub struct OrderVouchers {
    /// What each voucher was worth, in smallest units.
    pub amount: Amount,
    /// When they were made, Unix seconds.
    pub time: u64,
    /// What was reversed since, in smallest units.
    pub reversed: Amount,
    /// The codes: whoever reads them has the money.
    pub codes: Vec<VoucherCode>,
}

/// What became of a paid checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutSold {
    /// A voucher was made now.
    Sold,
    /// It was made before.
    Earlier,
}

/// A publisher and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PublisherView {
    /// The domain, with the port if it is not 443.
    pub name: String,
    /// Earned and not paid out, in smallest units.
    #[schema(value_type = u64)]
    pub balance: Amount,
    /// The public key with which it asks for refunds, base64url.
    pub key: Option<String>,
    /// Where it is paid.
    pub payee: Option<BankAccount>,
}

impl Mint {
    /// Creates vouchers once for an idempotency key: the same key, amount and count again return the same codes, after any crash, and make
    /// nothing. The ledger holds neither key nor codes.
    ///
    /// Implements R-ORDER-01.
    ///
    /// # Errors
    /// [`MintError::OrderDiffers`] if the key was used for another amount or count, [`MintError::OrderReference`], [`MintError::KeysWithheld`]:
    /// codes are derived from the mint's seal key; and those of [`Mint::create_vouchers`]. After [`crate::store::LedgerError::Unavailable`]
    /// the same call finds out.
    pub async fn order_vouchers(&self, key: &str, amount: Amount, count: u32) -> Result<Vec<VoucherCode>, MintError> {
        if amount.is_zero() || count == 0 || count > MOST_VOUCHERS {
            return Err(MintError::VoucherCount);
        }
        let id = self.order_id(OrderKind::Key, key)?;
        self.sell(id, None, amount, count).await.map(|(codes, _)| codes)
    }

    /// Makes the voucher of a paid checkout, once, however often and in however many events it is told. `payment` is what a later reversal
    /// will name.
    ///
    /// # Errors
    /// As [`Mint::order_vouchers`]; [`MintError::OrderDiffers`] also if another checkout had this payment.
    pub async fn sell_checkout(&self, checkout: &str, payment: Option<&str>, amount: Amount) -> Result<CheckoutSold, MintError> {
        if amount.is_zero() {
            return Err(MintError::VoucherCount);
        }
        let id = self.order_id(OrderKind::Checkout, checkout)?;
        let payment = payment.map(|payment| self.order_id(OrderKind::Payment, payment)).transpose()?;
        self.sell(id, payment, amount, 1).await.map(|(_, sold)| sold)
    }

    /// The voucher of a checkout; `None` if it was not told to be paid.
    ///
    /// # Errors
    /// [`MintError::OrderReference`], [`MintError::KeysWithheld`], [`MintError::Ledger`].
    pub async fn order(&self, checkout: &str) -> Result<Option<OrderVouchers>, MintError> {
        let id = self.order_id(OrderKind::Checkout, checkout)?;
        let Some(Order { amount, count, time, reversed }) = self.0.ledger.order(id).await? else { return Ok(None) };
        let (codes, _) = self.codes(id, amount, count).await?;
        Ok(Some(OrderVouchers { amount, time, reversed, codes }))
    }

    /// Takes back what a provider took back of a payment, `total` so far, from what is left on its voucher. What was spent stays spent. A
    /// checkout that is told later gets so much less.
    ///
    /// Implements R-ORDER-04.
    ///
    /// # Errors
    /// [`MintError::OrderReference`], [`MintError::KeysWithheld`], [`MintError::ClockJumped`], [`MintError::Ledger`].
    pub async fn reverse_payment(&self, payment: &str, total: Amount) -> Result<Amount, MintError> {
        let payment = self.order_id(OrderKind::Payment, payment)?;
        if total.is_zero() {
            return Ok(total);
        }
        // More than a ledger counts is all of it.
        let total = total.min(Amount::from_units(1 << 62));
        Ok(self.0.ledger.reverse(payment, total, self.time()?).await?)
    }

    /// All publishers, by name.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn publishers(&self) -> Result<Vec<PublisherView>, MintError> {
        let rows = self.0.ledger.publishers().await?;
        let view = |row: crate::store::orders::PublisherRow| PublisherView {
            name: row.name,
            balance: row.balance,
            key: row.key.map(|key| base64url(&key)),
            payee: row.payee,
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// The service's time, if anything irreversible may be done now, Unix seconds.
    ///
    /// # Errors
    /// [`MintError::ClockJumped`].
    pub(crate) fn service_time(&self) -> Result<u64, MintError> {
        self.time()
    }

    fn order_id(&self, kind: OrderKind, reference: &str) -> Result<[u8; 32], MintError> {
        // Without its keys a mint would derive codes that anybody can.
        if self.0.vault.is_none() {
            return Err(MintError::KeysWithheld);
        }
        let fits = (1..=LONGEST_REFERENCE).contains(&reference.len()) && reference.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(MintError::OrderReference);
        }
        Ok(self.0.operations.signer().order_id(kind, reference))
    }

    /// Codes and public keys of an order, derived on a thread of its own: ten thousand take a while.
    async fn codes(&self, id: [u8; 32], amount: Amount, count: u32) -> Result<(Vec<VoucherCode>, Vec<[u8; 32]>), MintError> {
        let operations = Arc::clone(&self.0.operations);
        let derive = move || {
            let codes: Vec<_> = (0..count).map(|index| operations.signer().order_code(&id, amount, count, index)).collect();
            let keys = codes.iter().map(|code| code.key().map(|key| key.public().to_bytes())).collect::<Result<Vec<_>, _>>();
            keys.map(|keys| (codes, keys)).map_err(|_| MintError::Damaged("a voucher code"))
        };
        tokio::task::spawn_blocking(derive).await.unwrap_or(Err(MintError::Damaged("a voucher code")))
    }

    async fn sell(
        &self,
        id: [u8; 32],
        payment: Option<[u8; 32]>,
        amount: Amount,
        count: u32,
    ) -> Result<(Vec<VoucherCode>, CheckoutSold), MintError> {
        let now = self.time()?;
        let (codes, keys) = self.codes(id, amount, count).await?;
        match self.0.ledger.sell(OrderBooking { id, payment, keys, amount, now }).await? {
            OrderBooked::Booked => Ok((codes, CheckoutSold::Sold)),
            OrderBooked::Earlier(order) if (order.amount, order.count) == (amount, count) => Ok((codes, CheckoutSold::Earlier)),
            OrderBooked::Earlier(_) | OrderBooked::PaymentUsed => Err(MintError::OrderDiffers),
            OrderBooked::SoldTooMuch => Err(MintError::SoldTooMuch),
        }
    }
}
