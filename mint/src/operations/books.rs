//! Vouchers, publishers, and the sums.

use farthing_protocol::amount::Amount;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Asking, OperationError, Operations};

/// Tokens of one denomination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DenominationStatus {
    /// The value of a token, in smallest units.
    #[schema(value_type = u64)]
    pub denomination: Amount,
    /// Tokens issued.
    pub issued: u64,
    /// Tokens that came back.
    pub redeemed: u64,
    /// Tokens paid back for their sessions because the denomination is frozen.
    pub repaid: u64,
    /// Tokens in readers' wallets: issued less redeemed and repaid.
    pub outstanding: u64,
    /// Counterfeits that came back, at least: redeemed and repaid less issued. Zero unless frozen.
    pub counterfeits: u64,
    /// Whether more wanted to come back than were issued, or the operator said that its key has leaked.
    pub frozen: bool,
}

/// One keyset's money, in smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeysetStatus {
    /// The place in the list, from 0.
    pub number: u64,
    /// The id, in base64url.
    pub id: String,
    /// Value issued.
    #[schema(value_type = u64)]
    pub issued: Amount,
    /// Value that came back.
    #[schema(value_type = u64)]
    pub redeemed: Amount,
    /// Value in readers' wallets.
    #[schema(value_type = u64)]
    pub outstanding: Amount,
    /// By denomination, ascending.
    pub denominations: Vec<DenominationStatus>,
}

/// The mint's balance sheet at one moment, in smallest units.
///
/// ```text
/// sold + recovered + counterfeits = vouchers + outstanding + change due + refunds due + credits + fees + paid out
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Status {
    /// What the mint counts in, such as `eur/100000`.
    pub unit: String,
    /// Vouchers ever created, less what was reversed.
    #[schema(value_type = u64)]
    pub sold: Amount,
    /// Tokens that came back and were issued after a backup that was restored since.
    #[schema(value_type = u64)]
    pub recovered: Amount,
    /// Counterfeits of frozen denominations that came back, at least: the mint's own loss.
    #[schema(value_type = u64)]
    pub counterfeits: Amount,
    /// Left on vouchers.
    #[schema(value_type = u64)]
    pub vouchers: Amount,
    /// In readers' wallets.
    #[schema(value_type = u64)]
    pub outstanding: Amount,
    /// Change of settled payments not yet taken.
    #[schema(value_type = u64)]
    pub change_due: Amount,
    /// Refunded payments not yet reclaimed.
    #[schema(value_type = u64)]
    pub refunds_due: Amount,
    /// Credited to publishers and not paid out.
    #[schema(value_type = u64)]
    pub credits: Amount,
    /// Kept of payouts.
    #[schema(value_type = u64)]
    pub fees: Amount,
    /// Paid out to publishers.
    #[schema(value_type = u64)]
    pub paid_out: Amount,
    /// Whether the equation above holds.
    pub balanced: bool,
    /// The keysets, oldest first.
    pub keysets: Vec<KeysetStatus>,
}

impl Operations {
    /// What is left on a voucher.
    ///
    /// # Errors
    /// [`OperationError::VoucherUnknown`] or [`OperationError::Unavailable`].
    pub async fn voucher_balance(&self, key: [u8; 32]) -> Result<Amount, OperationError> {
        let _place = self.admit(Asking::Reader)?;
        self.ledger.voucher_balance(key).await?.ok_or(OperationError::VoucherUnknown)
    }

    /// The balance sheet.
    ///
    /// # Errors
    /// [`OperationError::Unavailable`].
    pub async fn status(&self) -> Result<Status, OperationError> {
        let (sheet, list) = (self.ledger.sheet().await?, self.list());
        let mut keysets = Vec::with_capacity(list.keysets().len());
        let (mut all, mut forged) = (Sum::default(), Sum::default());
        for keyset in list.keysets() {
            let (mut issued, mut redeemed, mut outstanding) = (Sum::default(), Sum::default(), Sum::default());
            let mut denominations = Vec::new();
            for counter in sheet.counters.iter().filter(|counter| u64::from(counter.keyset) == keyset.number()) {
                let out = counter.outstanding();
                issued.add(counter.denomination, counter.issued);
                redeemed.add(counter.denomination, counter.redeemed);
                outstanding.add(counter.denomination, out);
                all.add(counter.denomination, out);
                forged.add(counter.denomination, counter.counterfeits());
                denominations.push(DenominationStatus {
                    denomination: counter.denomination,
                    issued: counter.issued,
                    redeemed: counter.redeemed,
                    repaid: counter.repaid,
                    outstanding: out,
                    counterfeits: counter.counterfeits(),
                    frozen: counter.frozen,
                });
            }
            keysets.push(KeysetStatus {
                number: keyset.number(),
                id: crate::config::base64url(&keyset.id().0),
                issued: issued.amount(),
                redeemed: redeemed.amount(),
                outstanding: outstanding.amount(),
                denominations,
            });
        }
        let outstanding = all.amount();
        let parts = Amount::checked_sum([
            sheet.vouchers,
            outstanding,
            sheet.change_due,
            sheet.refunds_due,
            sheet.credits,
            sheet.fees,
            sheet.paid_out,
        ]);
        let counterfeits = forged.amount();
        let given = Amount::checked_sum([sheet.sold, sheet.recovered, counterfeits]);
        Ok(Status {
            unit: self.unit.name(),
            sold: sheet.sold,
            recovered: sheet.recovered,
            counterfeits,
            vouchers: sheet.vouchers,
            outstanding,
            change_due: sheet.change_due,
            refunds_due: sheet.refunds_due,
            credits: sheet.credits,
            fees: sheet.fees,
            paid_out: sheet.paid_out,
            balanced: parts.is_some() && parts == given,
            keysets,
        })
    }
}

/// A sum that is shown as the largest amount if it does not fit, which then cannot balance.
#[derive(Default)]
struct Sum(u128);

impl Sum {
    fn add(&mut self, denomination: Amount, tokens: u64) {
        self.0 += u128::from(denomination.units()) * u128::from(tokens);
    }

    fn amount(&self) -> Amount {
        Amount::from_units(u64::try_from(self.0).unwrap_or(u64::MAX))
    }
}
