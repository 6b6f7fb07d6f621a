//! `farthing-mint backup` and `farthing-mint restore`.

use std::path::PathBuf;

use farthing_mint::{Mint, keys_are_sealed};

use crate::{Data, Failure, open, print};

/// What is copied, and where to.
#[derive(clap::Args)]
pub struct BackupArguments {
    #[command(flatten)]
    data: Data,
    /// An empty or new directory
    to: PathBuf,
    /// Copies root.key too: whoever has it can announce keysets of their own
    #[arg(long)]
    with_root_key: bool,
}

/// What is taken back, and where to.
#[derive(clap::Args)]
pub struct RestoreArguments {
    #[command(flatten)]
    data: Data,
    /// The backup
    from: PathBuf,
}

pub async fn backup(arguments: BackupArguments) -> Result<(), Failure> {
    let sealed = keys_are_sealed(&arguments.data.dir);
    let mint = open(arguments.data).await?;
    let manifest = mint.back_up(&arguments.to, arguments.with_root_key).await?;
    if !sealed {
        eprintln!("farthing-mint: the keys are not sealed: whoever reads this backup can make money");
    }
    print(&format!("ledger {} at sequence {}, complete", manifest.ledger, manifest.sequence))
}

pub async fn restore(arguments: RestoreArguments) -> Result<(), Failure> {
    let restored = Mint::restore(&arguments.from, &arguments.data.dir).await?;
    let (manifest, bookings) = (restored.manifest, restored.bookings);
    print(&format!("ledger {} at sequence {}; {bookings} bookings recomputed, 0 differences", manifest.ledger, manifest.sequence))?;
    eprintln!(
        "\nTHIS LEDGER IS OLD. It is as it was at {} (Unix seconds). Tokens spent since look unspent, vouchers used since look unused, and \
         publishers credited since are not. Do not serve it while the lost ledger may come back, and never beside it.\n\
         Verifiers that have seen a later sequence say so with their next deposit; the mint then books nothing until it has been brought \
         up to date from what they have kept. Until one of them asks, readers could spend again what they have spent: let publishers \
         deposit before readers are let in.\n\
         No keyset is announced and no payout run is booked before `farthing-mint resync begin --restored` and `resync finish`.",
        manifest.made
    );
    Ok(())
}
