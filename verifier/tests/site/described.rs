//! Sites as their settings describe them, on the store that these name: in one process, and in two that end without a word.

use std::process::{Child, Command, Stdio};

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_mint::{InitOptions, Mint};
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::wire::{DoubleSpendFrame, Frame};
use farthing_verifier::Decision;
use farthing_verifier::site::{Original, Settings, SettingsError, Site};
use http::HeaderMap;
use mpp::PaymentChallenge;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;

use crate::real_mint::RealMint;
use crate::site::{Reader, Reply, eventually, free_address, listening, pay};
use crate::world::copy;

const PUBLISHER: &str = "127.0.0.1:8801";

fn text(mint: &str, root: &[u8], data: &std::path::Path, more: &str) -> String {
    let root = Base64UrlUnpadded::encode_string(root);
    format!(
        "publisher = \"{PUBLISHER}\"\nmint = \"{mint}\"\nmint_key = \"{root}\"\ndata = \"{}\"\n{more}\n\
         [[rules]]\npath = \"/articles/*\"\nprice = \"0.005\"\n[[rules]]\npath = \"/**\"\nfree = true\n",
        data.display(),
    )
}

fn settings(mint: &str, root: &[u8], data: &std::path::Path, more: &str) -> Result<Settings, SettingsError> {
    Settings::parse(&text(mint, root, data, more))
}

fn request(credential: Option<&str>) -> Original {
    let mut headers = HeaderMap::new();
    headers.extend(credential.map(|credential| (http::header::AUTHORIZATION, credential.parse().unwrap())));
    Original::new("GET", "/articles/one", headers).unwrap()
}

/// What the publisher has signed of what is served, or the code of the answer.
async fn ask(site: &Site, credential: &str) -> Result<serde_json::Value, String> {
    match site.decide(&request(Some(credential))).await.unwrap() {
        Decision::Serve(paid) => {
            let receipt = mpp::parse_receipt(paid.receipt().unwrap().to_str().unwrap()).unwrap();
            Ok(serde_json::json!(receipt.extensions))
        }
        Decision::Answer(answer) => {
            let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            Err(body["code"].as_str().unwrap().to_owned())
        }
    }
}

async fn challenge(site: &Site) -> PaymentChallenge {
    let Decision::Answer(answer) = site.decide(&request(None)).await.unwrap() else { panic!("served for nothing") };
    mpp::parse_www_authenticate(answer.headers()["www-authenticate"].to_str().unwrap()).unwrap()
}

#[test]
fn a_store_that_does_not_fit_is_named() {
    let root = crate::world::World::new(120).root();
    let refused = |more: &str| {
        let error = settings("http://127.0.0.1:1", root.as_bytes(), "data".as_ref(), more).err();
        error.map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(refused("store = \"memory\""), "");
    assert!(refused("instances = 2").contains("(private-store)"));
    assert!(refused("store = \"memory\"\ninstances = 2").contains("(private-store)"));
    assert!(refused("instances = 0").contains("instances"));
    assert!(refused("store = \"postgres\"\ninstances = 2").starts_with("database: "));
    assert!(refused("database = \"postgres://db.internal/verifier\"").starts_with("database: "));
    assert!(!refused("store = \"paper\"").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_of_one_database_share_claims_secret_and_key() {
    let Some(server) = crate::postgres::Server::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("mint");
    Mint::init(&data, InitOptions::default()).await.unwrap();
    let mint = RealMint::serve(&data, TcpListener::bind("127.0.0.1:0").await.unwrap()).await;
    mint.mint.add_publisher(PUBLISHER).await.unwrap();
    let (_tls, mut rng) = (Reader::new(), StdRng::seed_from_u64(121));
    let (mut tokens, _) = mint.tokens(&[500, 500], &mut rng).await;

    let (shared, other) = (server.database(), server.database());
    let mut sites = Vec::new();
    for (name, database) in [("one", &shared), ("two", &shared), ("three", &other)] {
        let more = format!("store = \"postgres\"\ndatabase = \"{database}\"\ninstances = 2");
        let settings = settings(mint.url.as_str(), mint.mint.root().as_bytes(), &directory.path().join(name), &more).unwrap();
        sites.push(Site::open(settings).await.unwrap());
    }

    let token = tokens.remove(0);
    let copied = copy(&token);
    let sent = pay(&challenge(&sites[0]).await, vec![token], None, &mut rng);
    assert_eq!(ask(&sites[2], &sent.header).await, Err("challenge-unknown".into()), "another database, another secret");
    let receipt = ask(&sites[1], &sent.header).await.unwrap();
    let again = ask(&sites[0], &sent.header).await.unwrap();
    for field in ["key", "paidAt", "state"] {
        assert!(!receipt[field].is_null() && again[field] == receipt[field], "claimed once, and signed with one key: {field}");
    }
    assert_eq!(mint.balance(PUBLISHER).await, 500);
    let cheat = pay(&challenge(&sites[1]).await, vec![copied], None, &mut rng);
    assert_eq!(ask(&sites[0], &cheat.header).await, Err("double-spend".into()));

    // The others go on without the one that ends.
    sites.remove(0).verifier().shutdown().await;
    let sent = pay(&challenge(&sites[0]).await, tokens, None, &mut rng);
    assert!(ask(&sites[0], &sent.header).await.is_ok());
    assert_eq!(mint.balance(PUBLISHER).await, 1_000);
    for site in sites {
        site.verifier().shutdown().await;
    }
    mint.stop().await;
}

/// A sidecar in a process of its own.
struct Sidecar {
    process: Child,
    url: String,
}

impl Sidecar {
    async fn start(mint: &str, root: &[u8], directory: &std::path::Path, more: &str) -> Self {
        let address = free_address().await;
        std::fs::create_dir(directory).unwrap();
        let file = directory.join("verifier.toml");
        let own = format!("listen = \"{address}\"\nproxy = \"nginx\"\ntrusted_peers = [\"127.0.0.1\"]\nlog = \"trace\"\n");
        std::fs::write(&file, own + &text(mint, root, &directory.join("data"), more)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-verifier"));
        let log = std::fs::File::create(directory.join("log")).unwrap();
        let process = command.args(["serve", "--config"]).arg(file).stderr(log).spawn().unwrap();
        Self { process, url: format!("http://{address}") }
    }

    async fn ready(&self) {
        listening(self.url.trim_start_matches("http://")).await;
    }

    async fn ask(&self, reader: &Reader, credential: Option<&str>) -> Reply {
        let question = serde_json::json!({ "method": "GET", "url": "/articles/one", "authorization": credential });
        reader.post_json(&format!("{}/v1/settle", self.url), &question).await
    }

    async fn state(&self, reader: &Reader, reference: &str) -> String {
        let reply = reader.post_json(&format!("{}/v1/release", self.url), &serde_json::json!({ "reference": reference })).await;
        reply.json()["state"].as_str().unwrap_or_default().to_owned()
    }

    fn end(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A payment, a double-spend, a broken question, a mint that goes away: of all that the log names no address, page, payment or credential.
///
/// Named attack: tokens, URLs or addresses in logs.
#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_logs_everything_names_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("mint");
    Mint::init(&data, InitOptions::default()).await.unwrap();
    let mint = RealMint::serve(&data, crate::site::listener().await).await;
    mint.mint.add_publisher(PUBLISHER).await.unwrap();
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(123));
    let (mut tokens, _) = mint.tokens(&[500, 500], &mut rng).await;
    let root = mint.mint.root();
    let mut sidecar = Sidecar::start(mint.url.as_str(), root.as_bytes(), &directory.path().join("one"), "").await;
    sidecar.ready().await;
    let token = tokens.remove(0);
    let copied = copy(&token);
    let sent = pay(&sidecar.ask(&reader, None).await.challenge(), vec![token], None, &mut rng);
    assert_eq!(sidecar.ask(&reader, Some(&sent.header)).await.status, 200);
    let cheat = pay(&sidecar.ask(&reader, None).await.challenge(), vec![copied], None, &mut rng);
    assert_eq!(sidecar.ask(&reader, Some(&cheat.header)).await.code(), "double-spend");
    let garbage = serde_json::json!({ "method": "GET", "url": 1, "authorization": sent.header });
    assert_eq!(reader.post_json(&format!("{}/v1/settle", sidecar.url), &garbage).await.status, 400);
    mint.stop().await;
    let late = pay(&sidecar.ask(&reader, None).await.challenge(), tokens, None, &mut rng);
    assert_eq!(sidecar.ask(&reader, Some(&late.header)).await.code(), "mint-unavailable");
    sidecar.end();
    let log = std::fs::read_to_string(directory.path().join("one/log")).unwrap();
    assert!(log.contains("a question that is not answered"), "{log}");
    let mut words = ["127.0.0.1", "/articles/", "/v1/", PUBLISHER].map(str::to_owned).to_vec();
    for sent in [&sent, &cheat, &late] {
        words.extend([sent.header["Payment ".len()..][..40].to_owned(), Base64UrlUnpadded::encode_string(&sent.id.0)]);
    }
    for word in words {
        assert!(!log.contains(&word), "the log holds {word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sidecars_share_claims_and_limits_and_one_finishes_what_the_other_began() {
    let Some(server) = crate::postgres::Server::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("mint");
    Mint::init(&data, InitOptions::default()).await.unwrap();
    let listener = crate::site::listener().await;
    let address = listener.local_addr().unwrap();
    let mint = RealMint::serve(&data, listener).await;
    mint.mint.add_publisher(PUBLISHER).await.unwrap();
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(122));
    let (mut tokens, list) = mint.tokens(&[500, 500, 500, 500, 500], &mut rng).await;

    let database = server.database();
    let more = format!(
        "store = \"postgres\"\ndatabase = \"{database}\"\ninstances = 2\n\
         [deferred]\noutstanding = \"0.01\"\nper_window = \"1.00\"\nwindow = 3600\n"
    );
    let (url, root) = (mint.url.clone(), mint.mint.root());
    let start = async |name| Sidecar::start(url.as_str(), root.as_bytes(), &directory.path().join(name), &more).await;
    let (mut one, two) = (start("one").await, start("two").await);
    one.ready().await;
    two.ready().await;
    let state = |reply: &Reply| {
        assert_eq!(reply.status, 200, "{}", reply.body);
        (reply.json()["reference"].as_str().unwrap().to_owned(), reply.json()["state"].as_str().unwrap().to_owned())
    };

    // Claimed at one, known at the other; the same token for something else is a conflict there, with the proof.
    let token = tokens.remove(0);
    let copied = copy(&token);
    let sent = pay(&one.ask(&reader, None).await.challenge(), vec![token], None, &mut rng);
    let (reference, _) = state(&one.ask(&reader, Some(&sent.header)).await);
    assert_eq!(state(&two.ask(&reader, Some(&sent.header)).await).0, reference, "a replay");
    let cheat = pay(&two.ask(&reader, None).await.challenge(), vec![copied], None, &mut rng);
    let refused = two.ask(&reader, Some(&cheat.header)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (402, "double-spend"));
    let proof = Base64UrlUnpadded::decode_vec(refused.json()["proof"].as_str().unwrap()).unwrap();
    let proof = DoubleSpend::from_frame(&DoubleSpendFrame::from_bytes(&proof).unwrap()).unwrap();
    assert!(proof.verify(&list.key_table()).is_ok());
    eventually("the deposit", async || two.state(&reader, &reference).await == "settled").await;
    assert_eq!(mint.balance(PUBLISHER).await, 500, "booked once");

    // While the mint is away each serves one on trust. That fills the limit for both.
    mint.stop().await;
    let mut accepted = Vec::new();
    for sidecar in [&one, &two] {
        let sent = pay(&sidecar.ask(&reader, None).await.challenge(), vec![tokens.remove(0)], None, &mut rng);
        let (reference, state) = state(&sidecar.ask(&reader, Some(&sent.header)).await);
        assert_eq!(state, "accepted");
        accepted.push((reference, sent.header));
    }
    let fifth = tokens.pop().unwrap();
    let third = pay(&two.ask(&reader, None).await.challenge(), tokens, None, &mut rng);
    for sidecar in [&two, &one] {
        assert_eq!(sidecar.ask(&reader, Some(&third.header)).await.code(), "mint-unavailable", "settled first");
    }

    // One ends without a word. What it holds is left to it for a minute, which is made to have passed.
    one.end();
    let passed = "UPDATE outbox SET held_until = CURRENT_TIMESTAMP - INTERVAL '1 second'";
    assert!(Command::new("psql").args(["-q", "-d", &database, "-c", passed]).status().unwrap().success());
    let mint = RealMint::serve(&data, TcpListener::bind(address).await.unwrap()).await;
    for (reference, _) in &accepted {
        eventually("the deposit", async || two.state(&reader, reference).await == "settled").await;
    }
    for (reference, header) in &accepted {
        assert_eq!(state(&two.ask(&reader, Some(header)).await), (reference.clone(), "settled".to_owned()));
    }
    eventually("the deposit", async || two.ask(&reader, Some(&third.header)).await.status == 200).await;
    assert_eq!(mint.balance(PUBLISHER).await, 2_000, "everything once");

    // Their secret is replaced. Whoever started after that takes challenges of whoever has not.
    let config = directory.path().join("one/verifier.toml");
    for step in ["prepare", "switch"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-verifier"));
        assert!(command.args(["secret", "--config"]).arg(&config).arg(step).stdout(Stdio::null()).status().unwrap().success(), "{step}");
    }
    let again = start("one again").await;
    again.ready().await;
    let foreign = pay(&again.ask(&reader, None).await.challenge(), vec![copy(&fifth)], None, &mut rng);
    assert_eq!(two.ask(&reader, Some(&foreign.header)).await.code(), "challenge-unknown", "started before");
    let old = pay(&two.ask(&reader, None).await.challenge(), vec![fifth], None, &mut rng);
    assert_eq!(again.ask(&reader, Some(&old.header)).await.status, 200);
    mint.stop().await;
}
