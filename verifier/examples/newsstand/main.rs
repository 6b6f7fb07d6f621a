//! A mint, two publishers and a reader on this machine, over real HTTP, with real keys and durable stores.
//!
//! - `cargo run --release --example newsstand` plays the whole loop and goes on serving;
//! - `.. -- --once` ends after the play, with an exit code that says whether everything was as it should be;
//! - `.. -- publisher ..` serves one publisher beside a mint that runs elsewhere.

mod articles;
mod publisher;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64ct::{Base64UrlUnpadded, Encoding};
use clap::{Parser, Subcommand};
use farthing_mint::{InitOptions, Mint, MintOptions};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::group::Point;
use farthing_protocol::wire::{DoubleSpendFrame, Frame};
use farthing_verifier::Verifier;
use farthing_verifier::store::RedbStore;
use farthing_wallet::{ClientOptions, Delivery, DeliveryKind, PayOptions, Wallet, WalletError};
use tokio::net::TcpListener;
use url::Url;

use publisher::Publisher;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The whole of Farthing on one machine.
#[derive(Parser)]
#[command(name = "newsstand")]
struct Arguments {
    /// End after the play instead of serving on.
    #[arg(long)]
    once: bool,
    /// The Markdown articles to sell.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/newsstand/articles"), global = true)]
    articles: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves one publisher for a mint that runs elsewhere.
    Publisher {
        /// The mint's address.
        #[arg(long)]
        mint: Url,
        /// The mint's root key.
        #[arg(long, allow_hyphen_values = true)]
        mint_key: String,
        /// Where to listen; also the publisher's name.
        #[arg(long, default_value = "127.0.0.1:8801")]
        listen: String,
        /// Where to keep claims, outbox and secret.
        #[arg(long, default_value = "publisher-data")]
        data: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Publisher { mint, mint_key, listen, data }) => {
            Box::pin(serve_publisher(mint, &mint_key, &listen, data, arguments.articles)).await
        }
        None => Box::pin(play(arguments.once, arguments.articles)).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("newsstand: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_publisher(mint: Url, mint_key: &str, listen: &str, data: PathBuf, articles: PathBuf) -> Outcome<()> {
    let mut key = [0; 32];
    if !Base64UrlUnpadded::decode(mint_key, &mut key).is_ok_and(|decoded| decoded.len() == 32) {
        return Err("the mint key is not a root key".into());
    }
    let root = Point::from_bytes(key)?;
    let listener = TcpListener::bind(listen).await?;
    let name = listener.local_addr()?.to_string();
    let verifier = Publisher { name: name.clone(), articles, data, mint, root }.serve(listener).await?;
    println!("Serving http://{name}/ until interrupted.");
    tokio::signal::ctrl_c().await?;
    verifier.shutdown().await;
    Ok(())
}

/// The stage: everything that runs while the play is on.
struct Stage {
    directory: tempfile::TempDir,
    mint: Mint,
    mint_url: Url,
    names: [String; 2],
    verifiers: [Verifier<RedbStore>; 2],
}

impl Stage {
    async fn set(articles: &Path) -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let root = Mint::init(&directory.path().join("mint"), InitOptions::default()).await?;
        let mint = Mint::open(&directory.path().join("mint"), MintOptions::default()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mint_url: Url = format!("http://{}", listener.local_addr()?).parse()?;
        let serving = mint.clone();
        tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
        let (first, first_name) = Self::publisher("courier", articles, directory.path(), &mint, &mint_url, root).await?;
        let (second, second_name) = Self::publisher("gazette", articles, directory.path(), &mint, &mint_url, root).await?;
        Ok(Self { directory, mint, mint_url, names: [first_name, second_name], verifiers: [first, second] })
    }

    async fn publisher(
        title: &str,
        articles: &Path,
        directory: &Path,
        mint: &Mint,
        mint_url: &Url,
        root: Point,
    ) -> Outcome<(Verifier<RedbStore>, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let name = listener.local_addr()?.to_string();
        mint.add_publisher(&name).await?;
        let publisher =
            Publisher { name: name.clone(), articles: articles.to_owned(), data: directory.join(title), mint: mint_url.clone(), root };
        Ok((publisher.serve(listener).await?, name))
    }

    fn url(&self, publisher: usize, path: &str) -> Outcome<Url> {
        Ok(format!("http://{}{path}", self.names[publisher]).parse()?)
    }

    fn wallet_directory(&self) -> PathBuf {
        self.directory.path().join("wallet")
    }

    /// What a cheat does: copies the wallet's file while its tokens are unspent.
    fn copy_wallet(&self, name: &str) -> Outcome<Wallet> {
        let copy = self.directory.path().join(name);
        std::fs::create_dir(&copy)?;
        for entry in std::fs::read_dir(self.wallet_directory())? {
            let entry = entry?;
            std::fs::copy(entry.path(), copy.join(entry.file_name()))?;
        }
        Ok(Wallet::open(&copy, ClientOptions::default())?)
    }
}

fn say(text: &str) {
    println!("\n{text}");
}

async fn pay(wallet: &mut Wallet, url: &Url, tip: Option<Amount>) -> Result<Delivery, WalletError> {
    let unit = wallet.unit().clone();
    let delivery = wallet
        .pay(url, PayOptions { tip, max_price: None, ..PayOptions::default() }, &mut |offer, amount| {
            println!("  {} asks {} for \"{}\"; the reader agrees.", offer.publisher, unit.display(amount), offer.title);
            true
        })
        .await?;
    let cost = match delivery.kind {
        DeliveryKind::Paid | DeliveryKind::Finished => format!("paid {}", unit.display(delivery.amount)),
        DeliveryKind::ReadAgain | DeliveryKind::Free => "paid nothing".to_owned(),
    };
    println!("  Delivered: {} bytes; {cost}.", delivery.body.len());
    Ok(delivery)
}

/// Stops the play if something is not as it should be.
fn expect(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("this should hold and does not: {what}").into()) }
}

async fn play(once: bool, articles: PathBuf) -> Outcome<()> {
    let unit = Unit::default_eur();
    let stage = Stage::set(&articles).await?;
    let root_key = Base64UrlUnpadded::encode_string(stage.mint.root().as_bytes());
    println!("A mint at {}, publishers at {} and {}.", stage.mint_url, stage.names[0], stage.names[1]);

    say("1. The reader buys a voucher of one euro and turns it into tokens.");
    let voucher = stage.mint.create_vouchers(Amount::from_units(100_000), 1).await?.pop().ok_or("no voucher")?;
    let mut wallet = Wallet::init(&stage.wallet_directory(), stage.mint_url.clone(), stage.mint.root(), ClientOptions::default()).await?;
    let added = wallet.topup(&voucher).await?;
    println!("  {} in {} tokens; the mint signed them without seeing them.", unit.display(added), wallet.balance()?.tokens);
    expect(added == Amount::from_units(100_000), "the voucher's whole value arrives")?;
    drop(wallet);
    // Two copies of the wallet's file, for later: the same tokens in other hands.
    let (mut cheat_here, mut cheat_there) = (stage.copy_wallet("cheat-here")?, stage.copy_wallet("cheat-there")?);
    let mut wallet = Wallet::open(&stage.wallet_directory(), ClientOptions::default())?;

    say("2. She buys an article, and reads it again.");
    let article = stage.url(0, "/articles/a-coin-for-one-page")?;
    let bought = pay(&mut wallet, &article, None).await?;
    expect(bought.kind == DeliveryKind::Paid && bought.amount == Amount::from_units(5_000), "five cents are paid")?;
    let again = pay(&mut wallet, &article, None).await?;
    expect(again.kind == DeliveryKind::ReadAgain && again.body == bought.body, "reading again is free and gives the same page")?;

    say("3. She buys an article for a fraction of a cent from the other publisher, and leaves a tip of her own choosing.");
    let fraction = pay(&mut wallet, &stage.url(1, "/articles/signing-in-the-dark")?, None).await?;
    expect(fraction.amount == Amount::from_units(400), "four tenths of a cent are paid")?;
    let tip = pay(&mut wallet, &stage.url(1, "/tips")?, Some(Amount::from_units(1_234))).await?;
    expect(tip.amount == Amount::from_units(1_234), "the tip is the reader's choice")?;

    say("4. Somebody with a copy of her wallet pays with the same token at the same publisher.");
    check_refusal(&wallet, pay(&mut cheat_here, &article, None).await)?;
    say("5. Another copy pays with it at the other publisher, which has never seen it: the mint finds it out before anything is served.");
    check_refusal(&wallet, pay(&mut cheat_there, &stage.url(1, "/articles/the-honest-accountant")?, None).await)?;
    drop((cheat_here, cheat_there));

    report(&stage, &wallet, &unit).await?;
    if once {
        for verifier in &stage.verifiers {
            verifier.shutdown().await;
        }
        return Ok(());
    }
    serve_on(&stage, wallet, &article, &root_key).await
}

/// A refusal must come with a double-spend proof that holds under the mint's public keys alone.
fn check_refusal(wallet: &Wallet, delivered: Result<Delivery, WalletError>) -> Outcome<()> {
    let Err(WalletError::PaymentRefused { code, proof: Some(proof) }) = delivered else {
        return Err("a token was accepted twice".into());
    };
    expect(code == "double-spend", "the refusal says why")?;
    println!("  Refused ({code}), with a proof of {} bytes.", proof.len());
    let proven = DoubleSpend::from_frame(&DoubleSpendFrame::from_bytes(&proof)?)?.verify(&wallet.keysets().key_table())?;
    let [first, second] = proven.proof().payment_ids();
    expect(first != second, "the proof is about two payments")?;
    println!("  Checked here with public keys only: one key has signed two different payments. It names nobody and no article.");
    Ok(())
}

async fn report(stage: &Stage, wallet: &Wallet, unit: &Unit) -> Outcome<()> {
    let status = stage.mint.status().await?;
    let balance = wallet.balance()?;
    say("What each has learned:");
    println!("  The mint: it sold {} and owes", unit.display(status.sold));
    let mut credits = Amount::ZERO;
    for name in &stage.names {
        let credit = stage.mint.publisher_balance(name).await?.ok_or("a publisher is missing")?;
        println!("    {} to {name},", unit.display(credit));
        credits = credits.checked_add(credit).ok_or("overflow")?;
    }
    println!("    but not which reader paid whom, nor for which article.");
    for (name, verifier) in stage.names.iter().zip(&stage.verifiers) {
        let proofs = verifier.double_spend_proofs().await?.len();
        println!("  {name}: which of its articles were paid for, and {proofs} double-spend(s); not by whom.");
        expect(proofs == 1, "each publisher has kept one proof")?;
    }
    let in_wallet = Amount::checked_sum([balance.spendable, balance.to_refresh, balance.in_payments, balance.in_issues]);
    let in_wallet = in_wallet.ok_or("overflow")?;
    say("The balance sheet:");
    let rows =
        [("left on vouchers", status.vouchers), ("in the wallet", in_wallet), ("change due", balance.change_due), ("credited", credits)];
    for (what, amount) in rows {
        println!("  {:>16}  {what}", unit.display(amount));
    }
    let sum = Amount::checked_sum(rows.map(|(_, amount)| amount)).ok_or("overflow")?;
    println!("  {:>16}  = sold {}", unit.display(sum), unit.display(status.sold));
    expect(sum == status.sold, "sold = vouchers + wallet + change due + credited")?;
    expect(balance.change_due == status.change_due, "wallet and mint agree about the change due")
}

async fn serve_on(stage: &Stage, wallet: Wallet, article: &Url, root_key: &str) -> Outcome<()> {
    drop(wallet);
    let voucher = stage.mint.create_vouchers(Amount::from_units(50_000), 1).await?.pop().ok_or("no voucher")?;
    let farthing = format!("cargo run -q --release -p farthing-wallet --bin farthing -- --wallet {}", stage.wallet_directory().display());
    say("Everything goes on serving until interrupted. To continue by hand, in another terminal:");
    println!("  {farthing} balance");
    println!("  {farthing} topup {}", *voucher.expose_secret());
    println!("  {farthing} pay {article}");
    println!("  {farthing} pay {}", stage.url(0, "/articles/the-honest-accountant")?);
    println!("  {farthing} pay --amount 0.01 {}", stage.url(1, "/tips")?);
    println!("  {farthing} refresh");
    println!("  {farthing} history");
    println!("A wallet of your own: farthing init --mint {} --mint-key={root_key}", stage.mint_url);
    tokio::signal::ctrl_c().await?;
    for verifier in &stage.verifiers {
        verifier.shutdown().await;
    }
    Ok(())
}
