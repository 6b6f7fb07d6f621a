//! The books: accounts, entries, and what may be asked of them.
//!
//! ```text
//! voucher made           sold             ->  vouchers
//! voucher reversed       vouchers         ->  sold
//! issue                  vouchers         ->  tokens of a keyset
//! refresh                tokens           ->  tokens
//! deposit                tokens           ->  publisher, change due
//! change taken           change due       ->  tokens
//! refund                 publisher        ->  refunds due
//! reclaim                refunds due      ->  tokens
//! recovery               tokens           ->  tokens           of a frozen denomination, for the session that made them
//! payout                 publisher        ->  fees, paid out
//! back after a restore   recovered        ->  tokens of a keyset
//! ```
//!
//! On the left what is debited, on the right what is credited. `sold` is what the mint was given, `recovered` what it was given after a
//! backup that was restored since (see [`super::resync`]), every other account what it owes, has earned or has passed on. So at any time:
//! sold + recovered = vouchers + tokens + change due + refunds due + publishers + fees + paid out. The tokens of a keyset may be below zero:
//! by counterfeits of a frozen denomination that came back, whose honest tokens were paid back too.

use std::collections::BTreeMap;
use std::fmt;

use farthing_protocol::amount::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, LedgerError};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// What the mint was given for vouchers; its debits exceed its credits.
    Sold,
    /// Tokens that came back and were issued after a backup that was restored since; its debits exceed its credits.
    Recovered,
    /// Left on vouchers.
    Vouchers,
    /// Tokens of a keyset, by its number, in readers' wallets.
    Tokens(u32),
    /// Change of settled payments not yet taken.
    ChangeDue,
    /// Refunded payments not yet reclaimed.
    RefundsDue,
    /// What a publisher has earned and not been paid.
    Publisher(String),
    /// What the mint kept of payouts.
    Fees,
    /// What publishers were paid.
    PaidOut,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sold => f.write_str("sold"),
            Self::Recovered => f.write_str("recovered"),
            Self::Vouchers => f.write_str("vouchers"),
            Self::Tokens(keyset) => write!(f, "tokens:{keyset}"),
            Self::ChangeDue => f.write_str("change-due"),
            Self::RefundsDue => f.write_str("refunds-due"),
            Self::Publisher(name) => write!(f, "publisher:{name}"),
            Self::Fees => f.write_str("fees"),
            Self::PaidOut => f.write_str("paid-out"),
        }
    }
}

/// What one transaction debits and credits, by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(BTreeMap<Account, (u64, u64)>);

const TOO_MUCH: LedgerError = LedgerError::Corrupt("amounts beyond 64 bits");

impl Entries {
    fn add(&mut self, account: Account, debit: u64, credit: u64) -> Result<(), LedgerError> {
        if debit == 0 && credit == 0 {
            return Ok(());
        }
        let row = self.0.entry(account).or_default();
        let debits = row.0.checked_add(debit).ok_or(TOO_MUCH)?;
        let credits = row.1.checked_add(credit).ok_or(TOO_MUCH)?;
        *row = (debits, credits);
        Ok(())
    }

    /// Takes from what an account owes, or adds to what was sold.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] if the sum does not fit.
    pub fn debit(&mut self, account: Account, amount: Amount) -> Result<(), LedgerError> {
        self.add(account, amount.units(), 0)
    }

    /// Adds to what an account owes.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] if the sum does not fit.
    pub fn credit(&mut self, account: Account, amount: Amount) -> Result<(), LedgerError> {
        self.add(account, 0, amount.units())
    }

    /// Takes over another request's entries, which must balance by themselves.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] if they do not balance or do not fit.
    pub fn absorb(&mut self, other: Self) -> Result<(), LedgerError> {
        other.check()?;
        other.0.into_iter().try_for_each(|(account, (debit, credit))| self.add(account, debit, credit))
    }

    /// As many debits as credits.
    ///
    /// Implements R-BOOKS-01.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`].
    pub fn check(&self) -> Result<(), LedgerError> {
        let sum = |side: fn(&(u64, u64)) -> u64| self.0.values().map(|row| u128::from(side(row))).sum::<u128>();
        if sum(|row| row.0) == sum(|row| row.1) { Ok(()) } else { Err(LedgerError::Corrupt("a booking that does not balance")) }
    }

    /// Account, debit, credit.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Account, u64, u64)> {
        self.0.iter().map(|(account, (debit, credit))| (account, *debit, *credit))
    }
}

/// What an account's debits and credits come to: what it owes more; for `sold` and `recovered`, what it was given more.
pub(super) fn balance(account: &str, debit: u64, credit: u64) -> Result<i64, LedgerError> {
    let given = [Account::Sold, Account::Recovered].iter().any(|one| one.to_string() == account);
    let (plus, minus) = if given { (debit, credit) } else { (credit, debit) };
    i64::try_from(i128::from(plus) - i128::from(minus)).map_err(|_| TOO_MUCH)
}

/// `tokens` of one denomination.
pub(super) fn worth(denomination: Amount, tokens: u64) -> Result<Amount, LedgerError> {
    denomination.units().checked_mul(tokens).map(Amount::from_units).ok_or(TOO_MUCH)
}

/// Two ways to the same number that do not agree, in smallest units or rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Difference {
    /// What was compared.
    pub what: String,
    /// What the journal, or the rows, come to.
    pub recomputed: i64,
    /// What the ledger says.
    pub stated: i64,
}

/// An account's balance: what it owes; for `sold` and `recovered`, what it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Balance {
    /// The account.
    pub account: String,
    /// Its balance, in smallest units.
    pub balance: i64,
}

/// Everything recomputed, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Audit {
    /// Bookings in the journal.
    pub bookings: u64,
    /// Balances according to the journal, without accounts at zero.
    pub balances: Vec<Balance>,
    /// What does not agree; empty if all is well.
    pub differences: Vec<Difference>,
}

/// A postal address, structured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Street and number.
    pub street: Option<String>,
    /// Postal code.
    pub postcode: Option<String>,
    /// Town.
    pub town: String,
    /// ISO 3166 code, two capitals.
    pub country: String,
}

/// A bank account and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BankAccount {
    /// The IBAN, checked, without spaces.
    pub iban: String,
    /// Its holder, in the characters that banks agree on.
    pub name: String,
    /// The holder's address.
    pub address: Option<Address>,
}

/// What a payout run is to do.
#[derive(Clone, Debug)]
pub struct PayoutOrder {
    /// The run's id: a second order of the same id books nothing.
    pub id: String,
    /// The account that pays.
    pub debtor: BankAccount,
    /// How many smallest units one cent has.
    pub cent: Amount,
    /// Publishers with less than this wait.
    pub minimum: Amount,
    /// What the mint keeps, in thousandths, rounded down to whole cents.
    pub fee_share: u16,
    /// The service's time, Unix seconds.
    pub now: u64,
}

/// What became of a payout order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoutBooked {
    /// Durable: the files may leave.
    Booked,
    /// The run was booked before; nothing changed.
    Earlier,
    /// Nobody is to be paid; nothing changed.
    Nothing,
    /// The ledger was restored from a backup and may lack payouts; nothing changed.
    Restored,
}

/// What became of a run that was booked before a loss and is to be booked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayoutAdopted {
    /// Durable: the run stands as it was.
    Adopted,
    /// The same run is booked already; its files count as complete, and nothing else changed.
    Earlier,
    /// Another run of this id is booked; nothing changed.
    Differs,
    /// The ledger was never said to be restored, so that it lacks no run; nothing changed.
    InStep,
    /// These are no publishers of this ledger; nothing changed.
    Unknown(Vec<String>),
    /// The balances of these publishers are below what the run takes from them; nothing changed.
    Short(Vec<String>),
}

/// One publisher's part of a run; credited = fee + amount, all in whole cents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payout {
    /// The publisher.
    pub publisher: String,
    /// Taken from its balance.
    #[schema(value_type = u64)]
    pub credited: Amount,
    /// Kept.
    #[schema(value_type = u64)]
    pub fee: Amount,
    /// To be paid.
    #[schema(value_type = u64)]
    pub amount: Amount,
    /// Where to.
    pub payee: BankAccount,
}

/// A booked run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PayoutRun {
    /// Its id.
    pub id: String,
    /// When it was booked, Unix seconds.
    pub time: u64,
    /// The account that pays.
    pub debtor: BankAccount,
    /// Whether its files were once complete.
    pub written: bool,
    /// By publisher, ascending.
    pub payouts: Vec<Payout>,
}

/// One day of a publisher's account, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementDay {
    /// Days since 1970.
    pub day: u64,
    /// Payments credited.
    pub credited: Amount,
    /// Payments given back.
    pub refunded: Amount,
    /// Paid out, fees included.
    pub paid_out: Amount,
}

/// The ledger's part in the books. Changes are one transaction each, as in [`super::Ledger`].
pub trait Books: Send + Sync + 'static {
    /// Recomputes everything from the journal and from the tables. Reads every row: for operators and tests.
    fn audit(&self) -> Answer<'_, Audit>;

    /// Sets or changes where a publisher is paid; `false` if there is no such publisher.
    fn set_payee(&self, publisher: String, payee: BankAccount) -> Answer<'_, bool>;

    /// Publishers that have earned something and whose bank account is not known.
    fn without_payee(&self) -> Answer<'_, Vec<String>>;

    /// Books one payout for every publisher that is to be paid, in one transaction.
    fn pay_out(&self, order: PayoutOrder) -> Answer<'_, PayoutBooked>;

    /// Books a run again that was booked before the ledger was lost: the same id, time, accounts and amounts, in one transaction. Its files
    /// count as complete. The journal has it under the time of this booking. The accounts of `held` publishers are forgotten in the same
    /// transaction, so that no run pays them before theirs is set again.
    fn adopt_payout(&self, run: PayoutRun, held: Vec<String>, now: u64) -> Answer<'_, PayoutAdopted>;

    /// Runs by id, or those whose files were never complete.
    fn payout_runs(&self, id: Option<String>) -> Answer<'_, Vec<PayoutRun>>;

    /// Remembers that a run's files are complete.
    fn payout_written(&self, id: String) -> Answer<'_, ()>;

    /// Every day on which a publisher's account moved, ascending; `None` if there is no such publisher.
    fn statement(&self, publisher: String) -> Answer<'_, Option<Vec<StatementDay>>>;
}
