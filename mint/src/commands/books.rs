//! `farthing-mint audit`: everything recomputed; `farthing-mint books`: closes.

use clap::Subcommand;
use farthing_mint::{Close, CloseTotal};
use farthing_protocol::amount::Amount;
use serde_json::json;

use crate::{Data, Failure, open, print};

#[derive(Subcommand)]
pub enum BooksCommand {
    /// Closes the books up to the last booking, unless every booking belongs to a close; a serving mint does so after each midnight, UTC
    Close {
        #[command(flatten)]
        data: Data,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
    /// Lists the closes with their digests: keep the newest digest elsewhere, and no booking before it can be changed unseen
    Closes {
        #[command(flatten)]
        data: Data,
        /// Prints JSON
        #[arg(long, conflicts_with = "csv")]
        json: bool,
        /// Prints CSV
        #[arg(long)]
        csv: bool,
    },
    /// Prints what every account moved in a close
    Show {
        #[command(flatten)]
        data: Data,
        /// The close's number
        number: u64,
        /// Prints JSON, amounts in smallest units
        #[arg(long, conflicts_with = "csv")]
        json: bool,
        /// Prints CSV, amounts in smallest units
        #[arg(long)]
        csv: bool,
    },
}

pub async fn books(command: BooksCommand) -> Result<(), Failure> {
    match command {
        BooksCommand::Close { data, json } => match open(data).await?.close_books().await? {
            Some(close) if json => print(&pretty(&close)?),
            Some(close) => print(&table(&close)),
            None if json => print(&json!({ "nothing": true }).to_string()),
            None => print("nothing to close: every booking belongs to a close"),
        },
        BooksCommand::Closes { data, json, csv } => {
            let closes = open(data).await?.book_closes().await?;
            if json {
                return print(&pretty(&closes)?);
            }
            let mut lines = vec![if csv { "number,day,first_booking,last_booking,time,digest".to_owned() } else { heading() }];
            lines.extend(closes.iter().map(|close| if csv { csv_line(close) } else { line(close) }));
            print(&lines.join("\n"))
        }
        BooksCommand::Show { data, number, json, csv } => {
            let close = open(data).await?.book_close(number).await?.ok_or(Failure::Usage("no such close"))?;
            if json {
                return print(&pretty(&close)?);
            }
            if !csv {
                return print(&table(&close));
            }
            let mut lines = vec!["account,debit,credit,balance".to_owned()];
            lines.extend(close.totals.iter().map(|one| format!("{},{},{},{}", one.account, one.debit, one.credit, one.balance)));
            print(&lines.join("\n"))
        }
    }
}

fn pretty(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|_| Failure::Output)
}

fn heading() -> String {
    format!("{:>6}  {:<12}{:>12}{:>12}  {}", "close", "day", "from", "to", "digest")
}

fn line(close: &Close) -> String {
    let Close { number, first_booking, last_booking, digest, .. } = close;
    format!("{number:>6}  {:<12}{first_booking:>12}{last_booking:>12}  {digest}", close.day())
}

fn csv_line(close: &Close) -> String {
    let Close { number, first_booking, last_booking, time, digest, .. } = close;
    format!("{number},{},{first_booking},{last_booking},{time},{digest}", close.day())
}

/// A close for people, in smallest units.
fn table(close: &Close) -> String {
    let row = |name: &str, debit: String, credit: String, balance: String| format!("{name:<40}{debit:>20}{credit:>20}{balance:>20}");
    let mut lines = vec![heading(), line(close), row("account", "debit".into(), "credit".into(), "balance".into())];
    lines.extend(close.totals.iter().map(|one| row(&one.account, one.debit.to_string(), one.credit.to_string(), one.balance.to_string())));
    let sum = |side: fn(&CloseTotal) -> Amount| {
        close.totals.iter().map(side).try_fold(Amount::ZERO, Amount::checked_add).map_or_else(String::new, |sum| sum.to_string())
    };
    lines.push(row("", sum(|one| one.debit), sum(|one| one.credit), String::new()));
    lines.join("\n")
}

pub async fn audit(data: Data, json: bool) -> Result<(), Failure> {
    let mint = open(data).await?;
    let audit = mint.audit().await?;
    if json {
        print(&serde_json::to_string_pretty(&audit).map_err(|_| Failure::Output)?)?;
    } else {
        let mut lines: Vec<String> = audit.balances.iter().map(|one| format!("{:<40}{:>24}", one.account, one.balance)).collect();
        lines.extend(audit.differences.iter().map(|one| {
            let (what, recomputed, stated) = (&one.what, one.recomputed, one.stated);
            format!("DIFFERENCE: {what}: recomputed {recomputed}, stated {stated}")
        }));
        lines.push(format!("{} bookings, {} differences; {}", audit.bookings, audit.differences.len(), mint.unit().name()));
        print(&lines.join("\n"))?;
    }
    if audit.differences.is_empty() { Ok(()) } else { Err(Failure::Usage("the books differ")) }
}
