//! `farthing-mint payout` and what belongs to it at `farthing-mint publisher`.

use std::path::PathBuf;

use clap::Subcommand;
use farthing_mint::{Address, BankAccount, MintError, PayoutOptions};

use crate::{Data, Failure, open, print};

#[derive(Subcommand)]
pub enum PayoutCommand {
    /// Books a payout for every publisher with enough, and writes `payout-ID.xml` (SEPA, pain.001.001.09), `payout-ID.csv` and
    /// `payout-ID.json`. The same id again books nothing and writes the same files; what was cut off is finished first
    Run {
        #[command(flatten)]
        data: Data,
        /// Where the files go
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The run's id, at most 16 letters, digits and hyphens; today's date (UTC) if it is not given
        #[arg(long)]
        id: Option<String>,
        /// Publishers with less than this wait, in main units
        #[arg(long, env = "FARTHING_MINT_PAYOUT_MINIMUM", default_value = "1.00")]
        minimum: String,
        /// What the mint keeps, in thousandths
        #[arg(long, env = "FARTHING_MINT_FEE_SHARE", value_name = "PER MILLE", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=999))]
        fee_share: u16,
        /// Who pays
        #[arg(long, env = "FARTHING_MINT_DEBTOR_NAME", value_name = "NAME")]
        debtor_name: String,
        /// The account that pays
        #[arg(long, env = "FARTHING_MINT_DEBTOR_IBAN", value_name = "IBAN")]
        debtor_iban: String,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
    /// Books runs again that were booked after the backup that this ledger was restored from, exactly as they were: pays nobody. The same file
    /// again changes nothing
    Adopt {
        #[command(flatten)]
        data: Data,
        /// Leaves a publisher of the run out that was paid and whose deposits do not come back, and forgets its account: no run pays it before
        /// `publisher iban`. It has to be in every file named
        #[arg(long, value_name = "PUBLISHER")]
        without: Vec<String>,
        /// `payout-ID.json`, as `run` wrote it; several in the order in which they were booked
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Prints all booked runs; `run` with the id of one writes its files again
    List {
        #[command(flatten)]
        data: Data,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
}

/// Where a publisher is paid.
#[derive(clap::Args)]
pub struct PayeeArguments {
    #[command(flatten)]
    data: Data,
    /// The domain
    publisher: String,
    /// The account
    #[arg(long)]
    iban: String,
    /// Its holder, as the bank knows it
    #[arg(long)]
    name: String,
    /// The holder's street and number
    #[arg(long, requires = "town")]
    street: Option<String>,
    /// The holder's postal code
    #[arg(long, requires = "town")]
    postcode: Option<String>,
    /// The holder's town
    #[arg(long, requires = "country")]
    town: Option<String>,
    /// The holder's country, two letters
    #[arg(long, requires = "town")]
    country: Option<String>,
}

/// Which statement.
#[derive(clap::Args)]
pub struct StatementArguments {
    #[command(flatten)]
    data: Data,
    /// The domain
    publisher: String,
    /// The first day, such as 2026-01-01, UTC
    #[arg(long)]
    from: Option<String>,
    /// The last day
    #[arg(long)]
    to: Option<String>,
    /// Prints CSV, amounts in smallest units
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Prints JSON, amounts in smallest units
    #[arg(long)]
    json: bool,
}

pub async fn payee(arguments: PayeeArguments) -> Result<(), Failure> {
    let PayeeArguments { data, publisher, iban, name, street, postcode, town, country } = arguments;
    let address = town.zip(country).map(|(town, country)| Address { street, postcode, town, country });
    Ok(open(data).await?.set_payee(&publisher, &BankAccount { iban, name, address }).await?)
}

pub async fn statement(arguments: StatementArguments) -> Result<(), Failure> {
    let StatementArguments { data, publisher, from, to, csv, json } = arguments;
    let mint = open(data).await?;
    let statement = mint.statement(&publisher, from.as_deref(), to.as_deref()).await?.ok_or(Failure::Usage("no such publisher"))?;
    if json {
        return print(&serde_json::to_string_pretty(&statement).map_err(|_| Failure::Output)?);
    }
    if csv {
        return print(&statement.csv());
    }
    let unit = mint.unit();
    let mut lines = vec![
        format!("{:<12}{:>20}{:>20}{:>20}{:>20}", "day", "credited", "refunded", "paid out", "balance"),
        format!("{:<72}{:>20}", "opening", unit.display(statement.opening)),
    ];
    for line in &statement.lines {
        let amounts = [line.credited, line.refunded, line.paid_out, line.balance];
        lines.push(format!("{:<12}{}", line.day, amounts.map(|amount| format!("{:>20}", unit.display(amount))).concat()));
    }
    print(&lines.join("\n"))
}

/// Prints all publishers.
pub async fn publishers(data: Data, json: bool) -> Result<(), Failure> {
    let mint = open(data).await?;
    let (publishers, unit) = (mint.publishers().await?, mint.unit());
    if json {
        return print(&serde_json::to_string_pretty(&publishers).map_err(|_| Failure::Output)?);
    }
    publishers.iter().try_for_each(|one| {
        let key = if one.key.is_some() { "key" } else { "no key" };
        let account = one.payee.as_ref().map_or("no account", |payee| payee.iban.as_str());
        print(&format!("{:<40}{:>24}   {key}   {account}", one.name, unit.display(one.balance)))
    })
}

async fn payouts(data: Data, json: bool) -> Result<(), Failure> {
    let mint = open(data).await?;
    let (payouts, unit) = (mint.payouts().await?, mint.unit());
    if json {
        return print(&serde_json::to_string_pretty(&payouts).map_err(|_| Failure::Output)?);
    }
    payouts.iter().try_for_each(|run| {
        let files = if run.written { "files written" } else { "files NOT written" };
        let (amount, fee) = (unit.display(run.amount), unit.display(run.fee));
        print(&format!("run {}   booked {}   {} publishers   {amount}   fee {fee}   {files}", run.id, run.time, run.publishers))
    })
}

async fn adopt(data: Data, without: &[String], files: &[PathBuf]) -> Result<(), Failure> {
    let mint = open(data).await?;
    for file in files {
        let bytes = std::fs::read(file).map_err(|error| MintError::File("the payout's file", error.kind()))?;
        let (run, now) = mint.adopt_payout(&bytes, without).await?;
        let how = if now { "booked again" } else { "booked already" };
        print(&format!("run {}   {} publishers   {how}", run.id, run.payouts.len()))?;
    }
    Ok(())
}

pub async fn payout(command: PayoutCommand) -> Result<(), Failure> {
    let (data, out, id, minimum, fee_share, debtor_name, debtor_iban, json) = match command {
        PayoutCommand::Adopt { data, without, files } => return adopt(data, &without, &files).await,
        PayoutCommand::List { data, json } => return payouts(data, json).await,
        PayoutCommand::Run { data, out, id, minimum, fee_share, debtor_name, debtor_iban, json } => {
            (data, out, id, minimum, fee_share, debtor_name, debtor_iban, json)
        }
    };
    let mint = open(data).await?;
    let unit = mint.unit();
    let minimum = unit.parse(&minimum).ok_or(Failure::Usage("not an amount in main units, such as 5.00"))?;
    let debtor = BankAccount { iban: debtor_iban, name: debtor_name, address: None };
    let report = mint.pay_out(PayoutOptions { id, debtor, minimum, fee_share }, &out).await?;
    for name in &report.without_account {
        eprintln!("farthing-mint: {name} has earned something and no account: see `farthing-mint publisher iban`");
    }
    if json {
        return print(&serde_json::to_string_pretty(&report).map_err(|_| Failure::Output)?);
    }
    if report.written.is_empty() {
        return print(&format!("run {}: nobody is to be paid", report.id));
    }
    for run in &report.written {
        for payout in &run.payouts {
            let (amount, fee) = (unit.display(payout.amount), unit.display(payout.fee));
            print(&format!("run {}   {}   {amount}   fee {fee}", run.id, payout.publisher))?;
        }
        let how = if run.id == report.id && report.booked { "booked now" } else { "booked before" };
        print(&format!("run {}: {how}, files written", run.id))?;
    }
    Ok(())
}
