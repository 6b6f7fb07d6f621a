//! `farthing-mint resync`: after a backup was restored.

use clap::Subcommand;
use farthing_mint::ResyncView;
use farthing_protocol::amount::Unit;

use crate::{Data, Failure, open, print, sheet};

#[derive(Subcommand)]
pub enum ResyncCommand {
    /// Begins: the serving mint takes deposits, late ones too, and nothing else, until `finish`
    Begin {
        #[command(flatten)]
        data: Data,
        /// On your word that a backup was restored, though no verifier has shown it yet
        #[arg(long)]
        restored: bool,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
    /// Prints where the ledger stands, and what each publisher has handed in again
    Status {
        #[command(flatten)]
        data: Data,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
    /// Ends, once every publisher has handed in what it kept
    Finish {
        #[command(flatten)]
        data: Data,
        /// How much of tokens sold after the backup may still come back, in main units: what your records say was sold and refreshed
        /// since, less what has come back. Beyond it a denomination is frozen
        #[arg(long, value_name = "AMOUNT")]
        allow: String,
        /// Leaves out a signed keyset list that was shown and could not be adopted: whoever has seen it will take the next announcement for
        /// a fork, and stop
        #[arg(long)]
        drop_keysets: bool,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
}

/// What no verifier holds; spec/resync.md says what each may cost.
const LOST: &str = "Not rebuilt, because no publisher holds it (spec/resync.md): what vouchers paid for since the backup, vouchers made since, \
refreshes, change and refunds taken since, payouts booked since. DO NOT PAY OUT before every payout file of that time was given to \
`farthing-mint payout adopt`.";

pub async fn resync(command: ResyncCommand) -> Result<(), Failure> {
    match command {
        ResyncCommand::Begin { data, restored, json } => {
            let mint = open(data).await?;
            shown(&mint.begin_resync(restored).await?, &mint.unit(), json)
        }
        ResyncCommand::Status { data, json } => {
            let mint = open(data).await?;
            shown(&mint.resync_view().await?, &mint.unit(), json)
        }
        ResyncCommand::Finish { data, allow, drop_keysets, json } => {
            let mint = open(data).await?;
            let unit = mint.unit();
            let allowance = unit.parse(&allow).ok_or(Failure::Usage("not an amount in main units, such as 5.00"))?;
            shown(&mint.finish_resync(allowance, drop_keysets).await?, &unit, json)?;
            if !json {
                print(&sheet(&mint.status().await?, &unit))?;
            }
            eprintln!("{LOST}");
            Ok(())
        }
    }
}

fn shown(view: &ResyncView, unit: &Unit, json: bool) -> Result<(), Failure> {
    if json {
        return print(&serde_json::to_string_pretty(view).map_err(|_| Failure::Output)?);
    }
    let ResyncView { standing, sequence, state, resynced } = view;
    let mut lines = vec![format!("{standing}   sequence {sequence}   shown {}", state.shown)];
    if state.keysets_shown > 0 {
        lines.push(format!("a signed list of {} keysets was shown, which this ledger lacks", state.keysets_shown));
    }
    lines.push(format!("recovered {}   may still come back {}", unit.display(state.recovered), unit.display(state.allowance)));
    lines.extend(resynced.iter().map(|one| format!("{:<40}{:>12}{:>24}", one.publisher, one.payments, unit.display(one.credited))));
    print(&lines.join("\n"))
}
