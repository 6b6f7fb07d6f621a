//! `farthing-mint clock`: what to do when the machine's clock was wrong.

use clap::Subcommand;
use farthing_mint::ClockView;

use crate::{Data, Failure, open, print};

#[derive(Subcommand)]
pub enum ClockCommand {
    /// Prints the time that the ledger has recorded, and this machine's; Unix seconds
    Show {
        #[command(flatten)]
        data: Data,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Says that this machine's clock is right, whatever the ledger has recorded: after a wrong clock was set right, or the mint was
    /// switched off for more than a week
    Accept {
        #[command(flatten)]
        data: Data,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
}

pub async fn clock(command: ClockCommand) -> Result<(), Failure> {
    match command {
        ClockCommand::Show { data, json } => shown(open(data).await?.clock().await?, json),
        ClockCommand::Accept { data, json } => shown(open(data).await?.accept_clock().await?, json),
    }
}

fn shown(view: ClockView, json: bool) -> Result<(), Failure> {
    if json {
        return print(&serde_json::to_string(&view).map_err(|_| Failure::Output)?);
    }
    let verdict = if view.believed { "believed" } else { "NOT BELIEVED: nothing irreversible is done" };
    print(&format!("recorded {}\nclock    {}\n{verdict}", view.recorded, view.clock))
}
