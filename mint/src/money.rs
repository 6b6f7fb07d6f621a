//! Money out: where publishers are paid, payout runs and their files, statements; and the audit of it all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Amount, Mint, MintError, publisher_name};
use crate::error::AdoptionError;
use crate::store::books::{Audit, BankAccount, PayoutAdopted, PayoutBooked, PayoutOrder, PayoutRun};
use crate::store::orders::PayoutSummary;
use crate::{saved_run, sepa};

/// What a payout run is to do.
#[derive(Clone, Debug)]
pub struct PayoutOptions {
    /// The run's id, at most 16 letters, digits and hyphens; `None` for today's date, UTC. An id is booked once.
    pub id: Option<String>,
    /// The account that pays.
    pub debtor: BankAccount,
    /// Publishers with less than this wait.
    pub minimum: Amount,
    /// What the mint keeps, in thousandths, rounded down to whole cents.
    pub fee_share: u16,
}

/// What a payout run has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PayoutReport {
    /// The id that was asked for.
    pub id: String,
    /// Whether this call booked it; if not, it was booked before or nobody is to be paid.
    pub booked: bool,
    /// The runs whose files are complete now: the one asked for, and any that was cut off before.
    pub written: Vec<PayoutRun>,
    /// Publishers that have earned something and whose bank account is not known.
    pub without_account: Vec<String>,
}

/// A file of a payout run, as a bank or a bookkeeper takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PayoutFile {
    /// The run.
    pub run: String,
    /// `payout-ID.csv`, `payout-ID.xml` or `payout-ID.json`.
    pub name: String,
    /// What is in it.
    pub content: String,
}

/// A line of a statement, amounts in smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StatementLine {
    /// The day, UTC.
    pub day: String,
    /// Payments credited.
    #[schema(value_type = u64)]
    pub credited: Amount,
    /// Payments given back.
    #[schema(value_type = u64)]
    pub refunded: Amount,
    /// Paid out, fees included.
    #[schema(value_type = u64)]
    pub paid_out: Amount,
    /// The balance at the day's end.
    #[schema(value_type = u64)]
    pub balance: Amount,
}

/// A publisher's account over some days, amounts in smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PublisherStatement {
    /// The publisher.
    pub publisher: String,
    /// What the mint counts in.
    pub unit: String,
    /// The balance before the first line.
    #[schema(value_type = u64)]
    pub opening: Amount,
    /// The days on which anything moved.
    pub lines: Vec<StatementLine>,
    /// The balance after the last line.
    #[schema(value_type = u64)]
    pub closing: Amount,
}

impl PublisherStatement {
    /// The statement as CSV, one line a day, amounts in smallest units.
    pub fn csv(&self) -> String {
        let line = |line: &StatementLine| {
            let amounts = [line.credited, line.refunded, line.paid_out, line.balance].map(|amount| amount.to_string());
            format!("{},{}", line.day, amounts.join(","))
        };
        let header = "day,credited,refunded,paid_out,balance".to_owned();
        std::iter::once(header).chain(self.lines.iter().map(line)).collect::<Vec<_>>().join("\n")
    }
}

impl Mint {
    /// Recomputes everything from the journal and from the tables, and names what differs.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn audit(&self) -> Result<Audit, MintError> {
        Ok(self.0.ledger.audit().await?)
    }

    /// Sets or changes where a publisher is paid.
    ///
    /// # Errors
    /// [`MintError::BankAccount`] if the bank would not take it, [`MintError::PublisherName`] also if there is no such publisher,
    /// [`MintError::Ledger`].
    pub async fn set_payee(&self, name: &str, payee: &BankAccount) -> Result<(), MintError> {
        let name = publisher_name(name).ok_or(MintError::PublisherName)?;
        let payee = sepa::account(payee).map_err(MintError::BankAccount)?;
        if self.0.ledger.set_payee(name, payee).await? { Ok(()) } else { Err(MintError::PublisherName) }
    }

    /// Books a payout run, unless its id is booked, and writes its files, and those of runs that were cut off: `payout-ID.csv`,
    /// `payout-ID.xml` and `payout-ID.json`, made from the ledger alone.
    ///
    /// # Errors
    /// [`MintError::Payout`] if the order makes no sense, [`MintError::BankAccount`], [`MintError::ClockJumped`], [`MintError::Ledger`],
    /// [`MintError::Restored`] before the end of a resynchronisation;
    /// [`MintError::File`] if the files cannot be written or others of their names are there: the run stays booked, and the next call
    /// writes them.
    pub async fn pay_out(&self, options: PayoutOptions, out: &Path) -> Result<PayoutReport, MintError> {
        let mut report = self.book_payout(options).await?;
        for run in &mut report.written {
            for file in self.files(run).await? {
                write_once(out, &file.name, file.content.as_bytes())?;
            }
            self.handed_out(run).await?;
        }
        Ok(report)
    }

    /// As [`Mint::pay_out`], with the files in the answer instead of a directory. Only the run of this id counts as handed out then: an
    /// answer may be lost, and who asks again asks for that id. The files of runs that were cut off come again with every call.
    ///
    /// # Errors
    /// As [`Mint::pay_out`], without [`MintError::File`].
    pub async fn pay_out_here(&self, options: PayoutOptions) -> Result<(PayoutReport, Vec<PayoutFile>), MintError> {
        let mut report = self.book_payout(options).await?;
        let mut files = Vec::new();
        for run in &mut report.written {
            files.extend(self.files(run).await?);
            if run.id == report.id {
                self.handed_out(run).await?;
            }
        }
        Ok((report, files))
    }

    /// A booked run and its files, as often as they are asked for; `None` if there is no such run.
    ///
    /// # Errors
    /// [`MintError::Payout`], [`MintError::Ledger`].
    pub async fn payout(&self, id: &str) -> Result<Option<(PayoutRun, Vec<PayoutFile>)>, MintError> {
        let Some(run) = self.0.ledger.payout_runs(Some(id.to_owned())).await?.into_iter().next() else { return Ok(None) };
        let files = self.files(&run).await?.into();
        Ok(Some((run, files)))
    }

    /// Books a run again from `payout-ID.json`, for a ledger that was restored and has forgotten it: the same id, time, accounts and amounts.
    /// `true` if this call booked it; the same file again only counts its files as handed out.
    ///
    /// `without` leaves publishers out whose balances do not cover what they were paid, and will not: their deposits do not come back. Their
    /// accounts are forgotten, so that no run pays them again before the operator has set those anew.
    ///
    /// Implements R-BOOKS-09.
    ///
    /// # Errors
    /// [`MintError::Adoption`], [`MintError::Payout`] if this mint's unit cannot be paid out, [`MintError::LedgerBehind`],
    /// [`MintError::ClockJumped`], [`MintError::Ledger`].
    ///
    /// # Security
    /// The file is believed as the operator's own: its digest tells mistakes, not forgeries.
    pub async fn adopt_payout(&self, file: &[u8], without: &[String]) -> Result<(PayoutRun, bool), MintError> {
        self.refresh().await?;
        let now = self.deposit_time()?;
        let (ledger, cent) = (self.0.ledger.position().await?.ledger, self.cent()?);
        let mut run = saved_run::read(file, &ledger, cent).map_err(MintError::Adoption)?;
        let elsewhere = |name: &&String| !run.payouts.iter().any(|payout| payout.publisher == **name);
        let wrong: Vec<String> = without.iter().filter(elsewhere).cloned().collect();
        run.payouts.retain(|payout| !without.contains(&payout.publisher));
        if !wrong.is_empty() || run.payouts.is_empty() {
            return Err(MintError::Adoption(AdoptionError::Without(if wrong.is_empty() { without.to_vec() } else { wrong })));
        }
        let refused = match self.0.ledger.adopt_payout(run.clone(), without.to_vec(), now).await? {
            PayoutAdopted::Adopted => return Ok((run, true)),
            PayoutAdopted::Earlier => return Ok((run, false)),
            PayoutAdopted::Differs => AdoptionError::Differs,
            PayoutAdopted::InStep => AdoptionError::InStep,
            PayoutAdopted::Unknown(names) => AdoptionError::Unknown(names),
            PayoutAdopted::Short(names) => AdoptionError::Short(names),
        };
        Err(MintError::Adoption(refused))
    }

    /// All booked runs, oldest first.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn payouts(&self) -> Result<Vec<PayoutSummary>, MintError> {
        Ok(self.0.ledger.payouts().await?)
    }

    /// How many smallest units a cent has.
    fn cent(&self) -> Result<Amount, MintError> {
        let unit = self.unit();
        let decimals = unit.decimals().checked_sub(2).filter(|_| unit.currency() == "eur");
        let decimals = decimals.ok_or(MintError::Payout("SEPA carries euros, in cents: this mint's unit cannot be paid out so"))?;
        Ok(Amount::from_units(10_u64.pow(u32::from(decimals))))
    }

    /// Books a run, unless its id is booked. The report has the runs whose files are to be handed out.
    async fn book_payout(&self, options: PayoutOptions) -> Result<PayoutReport, MintError> {
        let cent = self.cent()?;
        if options.fee_share > 999 {
            return Err(MintError::Payout("the fee share is given in thousandths, 0 to 999"));
        }
        let debtor = sepa::account(&options.debtor).map_err(MintError::BankAccount)?;
        let now = self.time()?;
        let id = options.id.unwrap_or_else(|| sepa::date(now / 86_400));
        if !sepa::is_run_id(&id) {
            return Err(MintError::Payout("a run's id has at most 16 letters, digits and hyphens"));
        }
        let (minimum, fee_share) = (options.minimum, options.fee_share);
        let order = PayoutOrder { id: id.clone(), debtor, cent, minimum, fee_share, now };
        let booked = match self.0.ledger.pay_out(order).await? {
            PayoutBooked::Restored => return Err(MintError::Restored),
            booked => booked == PayoutBooked::Booked,
        };
        let mut written = self.0.ledger.payout_runs(None).await?;
        if !written.iter().any(|run| run.id == id) {
            written.extend(self.0.ledger.payout_runs(Some(id.clone())).await?);
        }
        Ok(PayoutReport { id, booked, written, without_account: self.0.ledger.without_payee().await? })
    }

    /// A run's files, made from the ledger alone.
    async fn files(&self, run: &PayoutRun) -> Result<[PayoutFile; 3], MintError> {
        let (ledger, cent) = (self.0.ledger.position().await?.ledger, self.cent()?);
        let files = sepa::Files { run, ledger, cent };
        let file = |kind, content| PayoutFile { run: run.id.clone(), name: format!("payout-{}.{kind}", run.id), content };
        let saved = saved_run::write(run, &ledger).ok_or(MintError::Damaged("the payout run"))?;
        // Last the one that says that the run's files were once complete.
        Ok([file("csv", files.csv()), file("xml", files.xml()), file("json", saved)])
    }

    /// Remembers that a run's files are complete.
    async fn handed_out(&self, run: &mut PayoutRun) -> Result<(), MintError> {
        if !run.written {
            self.0.ledger.payout_written(run.id.clone()).await?;
            run.written = true;
        }
        Ok(())
    }

    /// A publisher's account from one day to another, both included, as `2026-01-31`; `None` if there is no such publisher.
    ///
    /// # Errors
    /// [`MintError::PublisherName`], [`MintError::Day`], [`MintError::Damaged`], [`MintError::Ledger`].
    pub async fn statement(&self, name: &str, from: Option<&str>, to: Option<&str>) -> Result<Option<PublisherStatement>, MintError> {
        let name = publisher_name(name).ok_or(MintError::PublisherName)?;
        let day = |text: Option<&str>, open| text.map_or(Ok(open), |text| sepa::days(text).ok_or(MintError::Day));
        let (from, to) = (day(from, 0)?, day(to, u64::MAX)?);
        let Some(days) = self.0.ledger.statement(name.clone()).await? else { return Ok(None) };
        let (mut balance, mut opening, mut lines) = (Amount::ZERO, Amount::ZERO, Vec::new());
        for one in days.into_iter().take_while(|one| one.day <= to) {
            let after = balance.checked_add(one.credited).and_then(|sum| sum.checked_sub(one.refunded)?.checked_sub(one.paid_out));
            balance = after.ok_or(MintError::Damaged("the journal"))?;
            if one.day < from {
                opening = balance;
                continue;
            }
            let (credited, refunded, paid_out) = (one.credited, one.refunded, one.paid_out);
            lines.push(StatementLine { day: sepa::date(one.day), credited, refunded, paid_out, balance });
        }
        Ok(Some(PublisherStatement { publisher: name, unit: self.unit().name(), opening, lines, closing: balance }))
    }
}

/// Writes a file that is complete or not there, for the operator alone; the same content again changes nothing, another one is refused.
fn write_once(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), MintError> {
    let write = || {
        let whole = std::path::absolute(dir)?;
        let made: Vec<&Path> = whole.ancestors().take_while(|above| !above.is_dir()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // A directory whose own entry is lost takes the files with it.
        for parent in made.iter().filter_map(|made| made.parent()) {
            File::open(parent)?.sync_all()?;
        }
        let path = dir.join(name);
        match fs::read(&path) {
            // Whoever wrote it may have died before it was durable.
            Ok(known) if known == bytes => File::open(&path)?.sync_all()?,
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {
                // Of a name of its own, and gone if this fails: another process may be writing the same file.
                let mut file = tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(dir)?;
                file.write_all(bytes)?;
                file.as_file().sync_all()?;
                match fs::hard_link(file.path(), &path) {
                    // It was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::read(&path)? == bytes => {
                        File::open(&path)?.sync_all()?;
                    }
                    linked => linked?,
                }
            }
        }
        File::open(dir)?.sync_all()
    };
    write().map_err(|error: io::Error| MintError::File("the payout's file", error.kind()))
}
