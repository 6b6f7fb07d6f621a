//! The `farthing` command: a reader's wallet in a terminal.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use clap::{Parser, Subcommand};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_protocol::voucher::VoucherCode;
use farthing_wallet::{ClientOptions, Delivery, DeliveryKind, Offer, PayOptions, RefreshReport, ShownReceipt, Wallet, WalletError};
use serde_json::{Value, json};
use url::Url;

/// The most lines of challenges that are read.
const MOST_CHALLENGES: usize = 16;

/// The longest receipt that is read, in bytes.
const LONGEST_RECEIPT: u64 = 64 << 10;

/// Prepaid tokens for paying fractions of a cent per article.
#[derive(Parser)]
#[command(name = "farthing", version)]
struct Arguments {
    /// The wallet's directory; by default `farthing` in the user's data directory.
    #[arg(long, env = "FARTHING_WALLET", global = true)]
    wallet: Option<PathBuf>,
    /// Answer in JSON, errors too.
    #[arg(long, global = true)]
    json: bool,
    /// A proxy for all requests, such as `socks5h://127.0.0.1:9050`.
    #[arg(long, env = "FARTHING_PROXY", global = true)]
    proxy: Option<Url>,
    /// Seconds one request may take.
    #[arg(long, default_value_t = 30, global = true)]
    timeout: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a wallet for one mint.
    Init {
        /// The mint's address.
        #[arg(long)]
        mint: Url,
        /// The mint's root key, as the operator publishes it.
        #[arg(long, allow_hyphen_values = true)]
        mint_key: String,
    },
    /// Turns a voucher into tokens.
    Topup {
        /// The voucher's code; `-` reads it from standard input, so that it stays out of the shell's history.
        voucher: String,
    },
    /// Shows what the wallet holds.
    Balance,
    /// Shows what a page costs, asks, pays, and prints the page; reads again what was paid for.
    Pay {
        /// The page's address.
        url: Url,
        /// Pay without asking.
        #[arg(long)]
        yes: bool,
        /// The most it may cost, in the main unit, such as 0.05.
        #[arg(long)]
        max_price: Option<String>,
        /// What to give where the reader chooses the amount, in the main unit.
        #[arg(long)]
        amount: Option<String>,
        /// Buy the pass that is sold beside the page. A held pass is used by itself; its publisher sees which pages are read with it.
        #[arg(long, conflicts_with = "amount")]
        pass: bool,
        /// Write the page here instead of to standard output.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Pays for a page that another program has asked for: reads the 402's WWW-Authenticate values from standard input, one a line, and
    /// prints the Authorization value that answers one of them. `farthing pay` with the same address finishes it if it did not arrive.
    Answer {
        /// The page's address: the program sends the answer there and nowhere else.
        url: Url,
        /// The most it may cost, in the main unit, such as 0.05.
        #[arg(long)]
        max_price: String,
        /// What to give where the reader chooses the amount, in the main unit.
        #[arg(long)]
        amount: Option<String>,
    },
    /// Takes the change that is due and replaces tokens that may no longer be paid.
    Refresh {
        /// Replace every token.
        #[arg(long)]
        all: bool,
    },
    /// Takes back what was paid for a page, if its publisher has refunded it.
    Reclaim {
        /// The page's address.
        url: Url,
    },
    /// Shows the seed, to be written down and kept: whoever has it has the money.
    Seed,
    /// Makes a wallet again from the seed of a lost one, read from standard input.
    Restore {
        /// The mint's address.
        #[arg(long)]
        mint: Url,
        /// The mint's root key, as the operator publishes it.
        #[arg(long, allow_hyphen_values = true)]
        mint_key: String,
    },
    /// Lists what was paid.
    History,
    /// Publishers' receipts.
    Receipt {
        #[command(subcommand)]
        command: ReceiptCommand,
    },
}

#[derive(Subcommand)]
enum ReceiptCommand {
    /// Prints the receipt of what was paid for a page, in JSON. Whoever is shown it learns what was read.
    Show {
        /// The page's address.
        url: Url,
    },
    /// Checks a receipt that somebody shows; needs no wallet and asks nobody.
    Verify {
        /// The receipt, as `receipt show` printed it.
        file: PathBuf,
        /// The publisher's key, as its mint tells at /v1/publishers/NAME.
        #[arg(long, allow_hyphen_values = true)]
        key: String,
    },
}

enum Failure {
    Wallet(WalletError),
    Usage(&'static str, &'static str),
    Output,
}

impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        Self::Wallet(error)
    }
}

impl Failure {
    fn code(&self) -> &'static str {
        match self {
            Self::Wallet(error) => error.code(),
            Self::Usage(code, _) => code,
            Self::Output => "output-failed",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Wallet(error) => error.to_string(),
            Self::Usage(_, text) => (*text).to_owned(),
            Self::Output => "the page could not be written; it is paid for: repeat the command".to_owned(),
        }
    }

    fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.code(), "message": self.text() });
        if let Self::Wallet(wallet) = self {
            if let Some(code) = wallet.peer_code() {
                error["peer"] = json!(code);
            }
            if let WalletError::PaymentRefused { proof: Some(proof), .. } = wallet {
                error["proof"] = json!(Base64UrlUnpadded::encode_string(proof));
            }
        }
        json!({ "error": error })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if json {
                eprintln!("{}", failure.to_json());
            } else {
                eprintln!("farthing: {} [{}]", failure.text(), failure.code());
            }
            ExitCode::FAILURE
        }
    }
}

fn directory(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let data = || std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let default = || data().or_else(home).map(|base| base.join("farthing"));
    given.or_else(default).ok_or(Failure::Usage("no-directory", "say where the wallet is: --wallet DIRECTORY"))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let directory = directory(arguments.wallet)?;
    let options = ClientOptions { proxy: arguments.proxy, timeout: Duration::from_secs(arguments.timeout) };
    let json = arguments.json;
    if let Command::Init { mint, mint_key } = arguments.command {
        let wallet = Wallet::init(&directory, mint, root_key(&mint_key)?, options).await?;
        return print(json, &json!({ "currency": wallet.unit().name() }), || format!("A wallet for {} is ready.", wallet.unit().name()));
    }
    if let Command::Restore { mint, mint_key } = arguments.command {
        return restore(&directory, mint, root_key(&mint_key)?, options, json).await;
    }
    if let Command::Receipt { command: ReceiptCommand::Verify { file, key } } = &arguments.command {
        return verify_receipt(file, key, json);
    }
    let mut wallet = Wallet::open(&directory, options)?;
    match arguments.command {
        Command::Init { .. } | Command::Restore { .. } | Command::Receipt { command: ReceiptCommand::Verify { .. } } => Ok(()),
        Command::Receipt { command: ReceiptCommand::Show { url } } => {
            let receipt = serde_json::to_value(wallet.receipt(&url)?).unwrap_or_default();
            print(json, &receipt, || format!("{receipt:#}"))
        }
        Command::Topup { voucher } => topup(&mut wallet, &voucher, json).await,
        Command::Balance => balance(&wallet, json),
        Command::Pay { url, yes, max_price, amount, pass, output } => {
            let options = PayOptions { max_price: parse_amount(&wallet, max_price)?, tip: parse_amount(&wallet, amount)?, pass };
            pay(&mut wallet, &url, options, yes, output, json).await
        }
        Command::Answer { url, max_price, amount } => {
            let options =
                PayOptions { max_price: parse_amount(&wallet, Some(max_price))?, tip: parse_amount(&wallet, amount)?, pass: false };
            let lines = std::io::stdin().lines().take(MOST_CHALLENGES).collect::<Result<Vec<_>, _>>();
            let lines = lines.map_err(|_| Failure::Usage("no-challenge", "no challenge on standard input"))?;
            let answer = wallet.answer(&url, &lines, options, &mut |_, _| true).await?;
            print(json, &json!({ "authorization": answer }), || answer.clone())
        }
        Command::Refresh { all } => {
            let report = wallet.refresh(all).await?;
            print(json, &serde_json::to_value(&report).unwrap_or_default(), || refreshed(&report, wallet.unit()))
        }
        Command::Reclaim { url } => {
            let amount = wallet.reclaim(&url).await?;
            print(json, &json!({ "reclaimed": amount }), || format!("Took back {}.", wallet.unit().display(amount)))
        }
        Command::Seed => {
            let text = wallet.seed_text();
            print(json, &json!({ "seed": text.as_str() }), || text.to_string())
        }
        Command::History => history(&wallet, json),
    }
}

/// Checks a shown receipt under the key of who is said to have signed it.
fn verify_receipt(file: &Path, key: &str, json: bool) -> Result<(), Failure> {
    let wrong = |text| Failure::Usage("receipt-invalid", text);
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|_| wrong("the receipt cannot be read"))?;
    opened.take(LONGEST_RECEIPT).read_to_string(&mut text).map_err(|_| wrong("the receipt cannot be read"))?;
    let receipt: ShownReceipt = serde_json::from_str(&text).map_err(|_| wrong("this is no receipt"))?;
    if receipt.key != key.trim() {
        return Err(wrong("another key has signed it"));
    }
    if !receipt.holds() {
        return Err(wrong("the signature does not hold: something was changed"));
    }
    let value = serde_json::to_value(&receipt).unwrap_or_default();
    let booked = if receipt.settled { "booked by the mint" } else { "not yet booked by the mint" };
    print(json, &value, || {
        let ShownReceipt { publisher, amount, currency, resource, paid_at, access_until, .. } = &receipt;
        format!(
            "The receipt holds: {publisher} took {} units of {currency} for {resource} at {paid_at}, {booked}, to be read until {access_until}.",
            amount.units()
        )
    })
}

fn parse_amount(wallet: &Wallet, text: Option<String>) -> Result<Option<Amount>, Failure> {
    text.map(|text| wallet.unit().parse(&text).ok_or(Failure::Usage("bad-amount", "an amount looks like 0.05"))).transpose()
}

fn root_key(text: &str) -> Result<Point, Failure> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text.trim(), &mut bytes).is_ok_and(|decoded| decoded.len() == 32);
    let root = decoded.then(|| Point::from_bytes(bytes).ok()).flatten();
    root.ok_or(Failure::Usage("bad-mint-key", "the mint key is not a root key"))
}

fn refreshed(report: &RefreshReport, unit: &Unit) -> String {
    let parts = [
        (report.refreshed, "refreshed."),
        (report.change, "of change taken."),
        (report.change_waiting, "of change is not booked at the mint yet."),
        (report.reclaimed, "taken back after a refund."),
        (report.recovered, "of frozen tokens paid back."),
        (report.recovery_waiting, "of frozen tokens waits for the mint's next keyset."),
        (report.lost, "had been spent before. A wallet put back from an old copy finds what they became by restoring from the seed."),
    ];
    let done = parts.iter().filter(|(value, _)| !value.is_zero());
    let lines: Vec<String> = done.map(|(value, what)| format!("{} {what}", unit.display(*value))).collect();
    if lines.is_empty() { "Nothing to do.".into() } else { lines.join("\n") }
}

async fn restore(directory: &Path, mint: Url, root: Point, options: ClientOptions, json: bool) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        eprintln!("Type the seed:");
    }
    let mut text = zeroize::Zeroizing::new(String::with_capacity(256));
    std::io::stdin().lock().read_line(&mut text).map_err(|_| Failure::Usage("bad-seed", "no seed on standard input"))?;
    let (mut wallet, report) = Wallet::restore(directory, mint, root, &text, options).await?;
    let unit = wallet.unit().clone();
    if !json {
        print(false, &Value::Null, || format!("Found {} tokens, issued for {}.", report.tokens, unit.display(report.issued)))?;
    }
    // What is left undone by a failure here, `farthing refresh` does.
    let done = wallet.refresh(false).await?;
    print(json, &json!({ "found": report, "refreshed": done.refreshed, "recovered": done.recovered, "spent_before": done.lost }), || {
        refreshed(&done, &unit)
    })
}

fn print(json: bool, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let line = if json { value.to_string() } else { text() };
    writeln!(std::io::stdout(), "{line}").map_err(|_| Failure::Output)
}

async fn topup(wallet: &mut Wallet, voucher: &str, json: bool) -> Result<(), Failure> {
    let text = if voucher == "-" {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|_| Failure::Usage("no-voucher", "no voucher on standard input"))?;
        line
    } else {
        voucher.to_owned()
    };
    let code = VoucherCode::parse(&text).map_err(|error| {
        let mistyped = error == farthing_protocol::error::VoucherError::Checksum;
        Failure::Usage(error.code(), if mistyped { "the voucher code has a typing error" } else { "this is not a voucher code" })
    })?;
    let amount = wallet.topup(&code).await?;
    let unit = wallet.unit().clone();
    print(json, &json!({ "added": amount, "currency": unit.name() }), || format!("Added {}.", unit.display(amount)))
}

fn balance(wallet: &Wallet, json: bool) -> Result<(), Failure> {
    let balance = wallet.balance()?;
    let unit = wallet.unit();
    print(json, &serde_json::to_value(&balance).unwrap_or_default(), || {
        let mut lines = vec![format!("{} to spend, in {} tokens", unit.display(balance.spendable), balance.tokens)];
        let others = [
            (balance.change_due, "of change to be taken: farthing refresh"),
            (balance.to_refresh, "to be refreshed first: farthing refresh"),
            (balance.in_payments, "in unfinished payments: pay the same address again"),
            (balance.in_issues, "being issued: farthing refresh"),
        ];
        lines.extend(others.iter().filter(|(value, _)| !value.is_zero()).map(|(value, what)| format!("{} {what}", unit.display(*value))));
        lines.join("\n")
    })
}

async fn pay(wallet: &mut Wallet, url: &Url, options: PayOptions, yes: bool, output: Option<PathBuf>, json: bool) -> Result<(), Failure> {
    let unit = wallet.unit().clone();
    let somebody = std::io::stdin().is_terminal();
    let mut ask = |offer: &Offer, amount: Amount| -> bool {
        // Whoever is asked is told what for.
        if !json || (!yes && somebody) {
            eprintln!("{} asks {} for: {}", offer.publisher, unit.display(amount), offer.title);
            if let Some(scope) = &offer.scope {
                eprintln!(
                    "A pass for everything below {scope}: {} sees which pages you read with it, but not who you are.",
                    offer.publisher
                );
            }
        }
        yes || (somebody && answered_yes())
    };
    let delivery = wallet.pay(url, options, &mut ask).await?;
    let unit = wallet.unit();
    if let Some(path) = &output {
        std::fs::write(path, &delivery.body).map_err(|_| Failure::Output)?;
    }
    if json {
        let mut value = json!({
            "kind": delivery.kind,
            "publisher": delivery.publisher,
            "title": delivery.title,
            "amount": delivery.amount,
            "change": delivery.change,
            "currency": unit.name(),
            "content_type": delivery.content_type,
            "payment": Base64UrlUnpadded::encode_string(&delivery.payment),
        });
        if output.is_none() {
            value["body"] = json!(String::from_utf8_lossy(&delivery.body));
        }
        return print(true, &value, String::new);
    }
    eprintln!("{}", summary(&delivery, &unit.display(delivery.amount)));
    if output.is_none() {
        let mut out = std::io::stdout();
        let body = if out.is_terminal() { harmless(&delivery.body).into_bytes() } else { delivery.body };
        out.write_all(&body).and_then(|()| out.flush()).map_err(|_| Failure::Output)?;
    }
    Ok(())
}

/// A page as a terminal may show it: what a site sends must not steer the reader's terminal.
fn harmless(page: &[u8]) -> String {
    String::from_utf8_lossy(page).chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

fn summary(delivery: &Delivery, price: &str) -> String {
    match delivery.kind {
        DeliveryKind::Free => "This page is free.".into(),
        DeliveryKind::Paid => format!("Paid {price}."),
        DeliveryKind::Finished => format!("Finished the payment of {price} begun before."),
        DeliveryKind::ReadAgain => "Already paid: read again for nothing.".into(),
    }
}

fn answered_yes() -> bool {
    eprint!("Pay? [y/N] ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

fn history(wallet: &Wallet, json: bool) -> Result<(), Failure> {
    let payments = wallet.history()?;
    let unit = wallet.unit();
    let state = |payment: &farthing_wallet::PaymentRecord| serde_json::to_value(&payment.state).unwrap_or_default();
    let rows: Vec<Value> = payments
        .iter()
        .map(|payment| {
            json!({
                "time": payment.created,
                "publisher": payment.publisher,
                "title": payment.title,
                "url": payment.url,
                "amount": payment.amount,
                "change": payment.change,
                "change_due": payment.change_is_due(),
                "read_again_until": payment.access_until,
                "payment": payment.id,
                "receipt": payment.receipt.as_ref().map(|receipt| json!({ "settled": receipt.settled, "another_key": receipt.another_key })),
                "status": state(payment),
            })
        })
        .collect();
    print(json, &json!(rows), || {
        let line = |payment: &farthing_wallet::PaymentRecord| {
            let time = time::OffsetDateTime::from_unix_timestamp(i64::try_from(payment.created).unwrap_or(0)).ok();
            let time = time.and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok()).unwrap_or_default();
            let state = state(payment)["state"].as_str().unwrap_or_default().to_owned();
            format!("{time}  {:>18}  {state:<9}  {}  {}", unit.display(payment.amount), payment.publisher, payment.title)
        };
        if payments.is_empty() { "Nothing was paid yet.".into() } else { payments.iter().map(line).collect::<Vec<_>>().join("\n") }
    })
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_page_steers_the_terminal() {
        let page = b"\x1b]0;title\x07one\r\n\ttwo\x1b[2J\xc2\x9b31m\x9b\x08 \xc3\xa9";
        assert_eq!(harmless(page), "]0;titleone\n\ttwo[2J31m\u{fffd} \u{e9}");
    }
}
