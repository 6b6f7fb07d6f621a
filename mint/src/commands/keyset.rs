//! `farthing-mint keyset`: list, rotate, retire; prepare, sign and publish where the root key is kept elsewhere.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use farthing_mint::{Announced, KeysetSummary, Mint, MintError, SignedAnnouncement, UnsignedKeyset};
use farthing_protocol::amount::Amount;
use serde_json::json;

use super::secret::{NewSecretArguments, SecretArguments, read};
use crate::{Data, Failure, open, print};

const HOUR: u64 = 3_600;

#[derive(Subcommand)]
pub enum KeysetCommand {
    /// Prints all keysets: windows, states, counts; times are Unix seconds
    List {
        #[command(flatten)]
        data: Data,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Announces a keyset with fresh keys, which issues from tomorrow on; a serving process takes it over within seconds
    Rotate {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        secret: SecretArguments,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Stops the issuing of a keyset early and for good; what it has issued stays good
    Retire {
        #[command(flatten)]
        data: Data,
        /// The keyset's number
        number: u32,
    },
    /// Freezes a denomination whose key has leaked, for good: nothing of it is issued, refreshed or credited any more
    Freeze {
        #[command(flatten)]
        data: Data,
        /// The keyset's number
        number: u32,
        /// The denomination, in smallest units
        denomination: u64,
    },
    /// Makes fresh keys and prints their public half, to be signed where the root key is
    Prepare {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        secret: SecretArguments,
        /// Hours that signing and publishing may take
        #[arg(long, default_value_t = 72, value_parser = clap::value_parser!(u64).range(1..=8_760))]
        hours: u64,
    },
    /// Shows what was prepared, signs it with the root key and prints the announcement; needs no mint
    Sign {
        /// The file with the root secret key; `FILE.signed` beside it remembers what was signed
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// Signs again a number that was signed before: only if that announcement was never published
        #[arg(long)]
        replace: bool,
        /// What was prepared
        proposal: PathBuf,
    },
    /// Adds keysets that were announced before the ledger was lost, while it is being resynchronised: from any saved copy of the mint's
    /// `/v1/keysets`. Verifiers that know more keysets show them by themselves
    Adopt {
        #[command(flatten)]
        data: Data,
        /// The list, as JSON
        list: PathBuf,
    },
    /// Publishes an announcement that was signed elsewhere
    Publish {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        secret: SecretArguments,
        /// The announcement
        announcement: PathBuf,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Seals the keys with another passphrase or key file, or for the first time
    Seal {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        secret: SecretArguments,
        #[command(flatten)]
        new: NewSecretArguments,
    },
}

pub async fn keys(command: KeysCommand) -> Result<(), Failure> {
    let KeysCommand::Seal { data, secret, new } = command;
    let mint = Mint::open(&data.dir, secret.options(&data)?).await?;
    Ok(mint.seal_keys(new.seals()?).await?)
}

pub async fn keyset(command: KeysetCommand) -> Result<(), Failure> {
    match command {
        KeysetCommand::List { data, json } => {
            let mint = open(data).await?;
            let (keysets, size) = (mint.keysets().await?, mint.ledger_size().await?);
            if json {
                let text = serde_json::to_string_pretty(&json!({ "keysets": keysets, "ledger": size }));
                return print(&text.map_err(|_| Failure::Output)?);
            }
            let mut lines: Vec<String> = keysets.iter().map(line).collect();
            lines.push(format!("ledger: {} spent tokens, {} payments, {} bytes", size.spent, size.payments, size.bytes));
            print(&lines.join("\n"))
        }
        KeysetCommand::Rotate { data, secret, json } => {
            let mint = Mint::open(&data.dir, secret.options(&data)?).await?;
            shown(&mint.rotate().await?, json)
        }
        KeysetCommand::Freeze { data, number, denomination } => {
            open(data).await?.freeze_denomination(number, Amount::from_units(denomination)).await?;
            print("Frozen. Rotate, so that readers get other keys; what is left of it is settled by hand (spec/restore.md, section 5).")
        }
        KeysetCommand::Retire { data, number } => {
            let mint = open(data).await?;
            mint.retire_keyset(number).await?;
            let keysets = mint.keysets().await?;
            if !keysets.iter().any(|keyset| keyset.window == "issuing") {
                let next = keysets.iter().find(|keyset| keyset.window == "announced").map(|next| next.issue_from.to_string());
                let until = next.unwrap_or_else(|| "one is announced with `keyset rotate`".into());
                eprintln!("farthing-mint: no keyset issues until {until}");
            }
            Ok(())
        }
        KeysetCommand::Prepare { data, secret, hours } => {
            let mint = Mint::open(&data.dir, secret.options(&data)?).await?;
            print(&mint.prepare_keyset(hours.saturating_mul(HOUR)).await?.to_json()?)
        }
        KeysetCommand::Adopt { data, list } => {
            let list = std::fs::read(list).map_err(|error| MintError::File("the keyset list", error.kind()))?;
            let keysets = open(data).await?.adopt_keysets(&list).await?;
            print(&format!("the list has {keysets} keysets now"))
        }
        KeysetCommand::Sign { root, replace, proposal } => sign(&root, &proposal, replace),
        KeysetCommand::Publish { data, secret, announcement, json } => {
            let signed = std::fs::read(announcement).map_err(|error| MintError::File("the announcement", error.kind()))?;
            let mint = Mint::open(&data.dir, secret.options(&data)?).await?;
            shown(&mint.publish_keyset(&signed).await?, json)
        }
    }
}

fn line(keyset: &KeysetSummary) -> String {
    let KeysetSummary { number, state, window, issue_from, issue_until, spend_until, refresh_until, deposit_until, .. } = keyset;
    let state = format!("{state:?}").to_lowercase();
    format!(
        "keyset {number}   {state:<8}{window:<11}issues {issue_from} to {issue_until}   spend {spend_until}   refresh {refresh_until}   deposit \
         {deposit_until}   issued {}   redeemed {}",
        keyset.issued, keyset.redeemed
    )
}

fn shown(announced: &Announced, json: bool) -> Result<(), Failure> {
    if announced.gap > 0 {
        eprintln!("farthing-mint: no keyset issues for {} seconds before this one begins", announced.gap);
    }
    if json {
        return print(&serde_json::to_string(announced).map_err(|_| Failure::Output)?);
    }
    print(&format!("keyset {} issues {} to {}", announced.number, announced.issue_from, announced.issue_until))
}

fn sign(root: &Path, proposal: &Path, replace: bool) -> Result<(), Failure> {
    let proposal = std::fs::read(proposal).map_err(|error| MintError::File("what was prepared", error.kind()))?;
    let unsigned = UnsignedKeyset::from_json(&proposal)?;
    eprintln!("{}", unsigned.describe());
    let signed = unsigned.sign(&read(root, "the root key's file")?)?;
    remember(root, &signed, replace)?;
    print(&signed.json)
}

/// Writes down what is signed before it leaves. Two announcements of one number, both published, would prove a fork.
///
/// Implements R-LIFE-07.
fn remember(root: &Path, signed: &SignedAnnouncement, replace: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Mint(MintError::File("the list of what was signed", error.kind()));
    let mut name = root.as_os_str().to_owned();
    name.push(".signed");
    let known = match std::fs::read_to_string(&name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.map_err(failed)?,
    };
    let (number, entry) = (signed.number.to_string(), format!("{} {}", signed.number, signed.head));
    let earlier = known.lines().rev().find(|line| line.split(' ').next() == Some(number.as_str()));
    if earlier == Some(entry.as_str()) {
        return Ok(());
    }
    if earlier.is_some() && !replace {
        let why = "another keyset of this number was signed before: publish that one, or --replace it if it was never published";
        return Err(Failure::Usage(why));
    }
    let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&name).map_err(failed)?;
    file.write_all(format!("{entry}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}
