//! A payment given back, with a real mint and a real wallet: taken back once, and the page costs its price again.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_mint::{InitOptions, Mint};
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use farthing_verifier::store::{MemoryStore, RedbStore};
use farthing_verifier::{NotRefunded, PublisherKey, VerifierError};
use farthing_wallet::{ClientOptions, Delivery, DeliveryKind, PayOptions, Wallet, WalletError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;

use crate::real_mint::{RealMint, now};
use crate::site::{PATIENCE, Plan, Reader, Site, eventually, pay, reread};
use crate::stand_in::{Fault, StandIn};
use crate::world::World;

const PRICE: Amount = Amount::from_units(500);

async fn start(directory: &Path) -> RealMint {
    let data = directory.join("mint");
    Mint::init(&data, InitOptions::default()).await.unwrap();
    RealMint::serve(&data, TcpListener::bind("127.0.0.1:0").await.unwrap()).await
}

/// A site whose data directory is also one for a sidecar.
async fn open_site(mint: &RealMint, directory: &Path) -> (Site<RedbStore>, PublisherKey) {
    let data = directory.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let key = PublisherKey::load_or_create(&data.join("publisher-key")).unwrap();
    let mut plan = Plan::new(&mint.url, mint.mint.root()).await;
    plan.clock.0.store(now(), Ordering::SeqCst);
    plan.config = plan.config.publisher_key(key.clone());
    mint.mint.add_publisher(&plan.name).await.unwrap();
    (plan.open(RedbStore::open(data.join("claims.redb")).unwrap()).await, key)
}

async fn wallet(mint: &RealMint, directory: &Path) -> Wallet {
    let options = ClientOptions { proxy: None, timeout: PATIENCE };
    let mut wallet = Wallet::init(&directory.join("wallet"), mint.url.clone(), mint.mint.root(), options).await.unwrap();
    let voucher = mint.mint.create_vouchers(Amount::from_units(5_000), 1).await.unwrap().remove(0);
    wallet.topup(&voucher).await.unwrap();
    wallet
}

async fn read(wallet: &mut Wallet, url: &str) -> Result<Delivery, WalletError> {
    wallet.pay(&url.parse().unwrap(), PayOptions::default(), &mut |_, _| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_is_taken_back_once_and_costs_its_price_again() {
    let directory = tempfile::tempdir().unwrap();
    let mint = start(directory.path()).await;
    let (site, key) = open_site(&mint, directory.path()).await;
    mint.mint.set_publisher_key(&site.name, key.public()).await.unwrap();
    let mut wallet = wallet(&mint, directory.path()).await;
    let url = site.url("/articles/one");
    let paid = read(&mut wallet, &url).await.unwrap();
    assert_eq!((paid.kind, read(&mut wallet, &url).await.unwrap().kind), (DeliveryKind::Paid, DeliveryKind::ReadAgain));
    assert_eq!(mint.balance(&site.name).await, 500);

    // Once, however often and by however many at a time.
    let payment = PaymentId(paid.payment);
    let (first, second) = tokio::join!(site.verifier.refund(payment), site.verifier.refund(payment));
    assert_eq!((first.unwrap(), second.unwrap()), (PRICE, PRICE));
    assert_eq!(site.verifier.refund(payment).await.unwrap(), PRICE);
    assert_eq!(mint.balance(&site.name).await, 0);

    // The page asks for payment, and says why.
    let served = site.served();
    let refused = read(&mut wallet, &url).await;
    assert!(matches!(&refused, Err(WalletError::PaymentRefused { code, .. }) if code == "refused-refunded"), "{refused:?}");
    assert_eq!(site.served(), served);

    let address = url.parse().unwrap();
    assert_eq!(wallet.reclaim(&address).await.unwrap(), PRICE);
    assert!(matches!(wallet.reclaim(&address).await, Err(WalletError::NothingPaid)));
    wallet.refresh(false).await.unwrap();
    assert_eq!(wallet.balance().unwrap().spendable, Amount::from_units(5_000));
    assert_eq!(site.verifier.refund(payment).await.unwrap(), PRICE, "nothing changes any more");
    assert_eq!(mint.balance(&site.name).await, 0);

    let again = read(&mut wallet, &url).await.unwrap();
    assert_eq!((again.kind, again.amount), (DeliveryKind::Paid, PRICE));
    assert_ne!(again.payment, paid.payment);
    assert_eq!(mint.balance(&site.name).await, 500);
    assert!(mint.mint.status().await.unwrap().balanced);
    mint.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_given_back_stays_paid() {
    let directory = tempfile::tempdir().unwrap();
    let mint = start(directory.path()).await;
    let (site, key) = open_site(&mint, directory.path()).await;
    let mut wallet = wallet(&mint, directory.path()).await;
    let url = site.url("/articles/one");
    let payment = PaymentId(read(&mut wallet, &url).await.unwrap().payment);
    let refused = async |payment| match site.verifier.refund(payment).await {
        Err(VerifierError::NotRefunded(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(PaymentId([1; 32])).await, NotRefunded::UnknownPayment);
    assert_eq!(refused(payment).await, NotRefunded::KeyNotRegistered);
    mint.mint.set_publisher_key(&site.name, PublisherKey::generate().public()).await.unwrap();
    assert_eq!(refused(payment).await, NotRefunded::KeyNotRegistered, "another key");
    mint.mint.set_publisher_key(&site.name, key.public()).await.unwrap();
    assert_eq!(read(&mut wallet, &url).await.unwrap().kind, DeliveryKind::ReadAgain);

    // Without a mint nothing is decided, and what was paid is still read.
    let balance = mint.balance(&site.name).await;
    mint.stop().await;
    assert!(matches!(site.verifier.refund(payment).await, Err(VerifierError::MintUnavailable)));
    assert_eq!(read(&mut wallet, &url).await.unwrap().kind, DeliveryKind::ReadAgain);
    assert_eq!((balance, site.verifier.statistics().refunded), (500, 0));
}

#[tokio::test]
async fn only_the_mints_signed_word_gives_back_and_replayed_bytes_are_refused_then() {
    let (mint, url) = StandIn::start(World::new(94)).await;
    let root = mint.books().world.root();
    let mut plan = Plan::new(&url, root).await;
    plan.config = plan.config.publisher_key(PublisherKey::generate());
    let site = plan.open(MemoryStore::new()).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(94));
    let one = site.url("/articles/one");
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
    for fault in [Fault::Unavailable, Fault::Garbage, Fault::BadSignature] {
        mint.fail_once(fault);
        assert!(matches!(site.verifier.refund(sent.id).await, Err(VerifierError::MintUnavailable)));
        assert_eq!(reader.get_with(&one, &sent.header).await.status, 200, "nothing has changed");
    }
    assert_eq!((site.verifier.statistics().mint_alarm, site.verifier.statistics().refunded), (1, 0));
    assert_eq!(site.verifier.refund(sent.id).await.unwrap(), PRICE);
    let refused = ("verification-failed".to_owned(), "refused-refunded".to_owned());
    assert_eq!(reader.get_with(&one, &sent.header).await.problem(), refused);
    let again = reread(&reader.challenge(&one).await, sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&one, &again).await.problem(), refused);
}

fn command(arguments: &[&str], config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-verifier"));
    command.arg(arguments[0]).arg("--config").arg(config).args(&arguments[1..]);
    command
}

async fn say(arguments: &[&str], config: &Path) -> Result<String, String> {
    let mut command = command(arguments, config);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

async fn serve(config: &Path, socket: &Path) -> Child {
    let child = command(&["serve"], config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("that somebody listens", async || tokio::net::UnixStream::connect(socket).await.is_ok()).await;
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_command_line_beside_a_sidecar_and_without_one() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let mint = start(directory.path()).await;
    let (site, key) = open_site(&mint, directory.path()).await;
    let mut wallet = wallet(&mint, directory.path()).await;
    let mut payments = Vec::new();
    for path in ["/articles/one", "/articles/two"] {
        let paid = read(&mut wallet, &site.url(path)).await.unwrap();
        payments.push(Base64UrlUnpadded::encode_string(&paid.payment));
    }
    let (data, name) = (directory.path().join("data"), site.name.clone());
    site.close().await;
    drop(crate::site::reopen(&data.join("claims.redb")).await);

    let (config, socket) = (directory.path().join("verifier.toml"), directory.path().join("verifier.sock"));
    let written = format!(
        "listen = \"unix:{}\"\nproxy = \"envoy\"\npublisher = \"{name}\"\nmint = \"{}\"\nmint_key = \"{}\"\ndata = \"{}\"\n\
         [[rules]]\npath = \"/**\"\nfree = true\n",
        socket.display(),
        mint.url,
        Base64UrlUnpadded::encode_string(mint.mint.root().as_bytes()),
        data.display(),
    );
    std::fs::write(&config, written).unwrap();
    assert_eq!(say(&["key"], &config).await.unwrap(), Base64UrlUnpadded::encode_string(key.public().as_bytes()));
    let mode = |name: &str| std::fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("publisher-key"), 0o600);
    let unregistered = say(&["refund", &payments[0]], &config).await;
    let said = unregistered.unwrap_err();
    assert!(said.contains("does not know this publisher's key"), "{said}");
    mint.mint.set_publisher_key(&name, key.public()).await.unwrap();
    let resynced = |had: u8| Ok(format!("The mint has booked again: 0. It had still: {had}, and as refunded: 0. It refuses: 0."));
    assert_eq!(say(&["resync"], &config).await, resynced(2), "what the mint has booked is kept for it");

    // The mint's signed answer, from the data itself and then from the sidecar; checked by whoever has the mint's key.
    let receipt = directory.path().join("receipt.json");
    let written = receipt.to_str().unwrap();
    assert_eq!(say(&["receipt", &payments[1], "--out", written], &config).await.unwrap(), "");
    assert!(say(&["receipt", &payments[1], "--out", written], &config).await.is_err(), "no file is overwritten");
    let verify = |key: &[u8]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-verifier"));
        let output = command
            .args(["receipt", "verify", written, &format!("--mint-key={}", Base64UrlUnpadded::encode_string(key))])
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (holds, said) = verify(mint.mint.root().as_bytes());
    assert!(holds && said.contains(&name) && said.contains(&payments[1]) && said.contains("does not say"), "{said}");
    let (holds, said) = verify(key.public().as_bytes());
    assert!(!holds && said.contains("receipt-other-mint"), "{said}");
    let kept = std::fs::read_to_string(&receipt).unwrap();

    let refunded = say(&["refund", &payments[0]], &config).await.unwrap();
    assert!(refunded.starts_with("Refunded: "), "{refunded}");
    assert_eq!(mint.balance(&name).await, 500);
    let mut sidecar = serve(&config, &socket).await;
    assert_eq!(mode("control"), 0o700);
    assert_eq!(say(&["resync"], &config).await, resynced(1), "the sidecar that runs is asked; what was given back is not kept");
    assert_eq!(say(&["resync", "--after", "9000000000000000000"], &config).await, resynced(0));
    assert_eq!(say(&["receipt", &payments[1]], &config).await.unwrap(), kept.trim());
    assert!(say(&["receipt", &payments[0]], &config).await.unwrap_err().contains("given back"));
    assert!(say(&["serve"], &config).await.unwrap_err().contains("another process uses the store"), "one process has the store");
    assert!(say(&["secret", "prepare"], &config).await.unwrap_err().contains("not shared"));
    for payment in &payments {
        assert_eq!(say(&["refund", payment], &config).await.unwrap(), refunded, "the sidecar that runs is asked");
    }
    assert_eq!(mint.balance(&name).await, 0);
    // Ids that look like options among them: -P.., -h.., --..
    for start in [[1, 1], [0xf8, 0xf8], [0xfa, 0x10], [0xfb, 0xe0]] {
        let mut unknown = [1; 32];
        unknown[..2].copy_from_slice(&start);
        let unknown = Base64UrlUnpadded::encode_string(&unknown);
        for asked in ["refund", "receipt"] {
            assert_eq!(say(&[asked, &unknown], &config).await.unwrap_err(), "farthing-verifier: no such payment", "{unknown}");
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-verifier"));
        let output = command.args(["receipt", "verify", written, "--mint-key", &unknown]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && !said.contains("Usage"), "a key as an option's value: {said}");
    }
    assert!(say(&["refund", "no id"], &config).await.is_err());
    sidecar.kill().unwrap();
    sidecar.wait().unwrap();
    // Its socket is left behind, and nobody listens on it.
    assert_eq!(say(&["refund", &payments[1]], &config).await.unwrap(), refunded);
    assert_eq!(wallet.reclaim(&format!("http://{name}/articles/one").parse().unwrap()).await.unwrap(), PRICE);
    mint.stop().await;
}
