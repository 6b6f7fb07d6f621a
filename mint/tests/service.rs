//! The mint as a service: the real binary with its configuration, what it shows, what it never says, and how it stops.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::{BINARY, Http, PATIENCE, World, copy, eventually, statement};
use farthing_mint::metrics::{ALL, Kind};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::LoneKey;
use farthing_protocol::refund::request;
use farthing_protocol::settle::Outcome;
use farthing_protocol::token::{OwnedToken, OwnedTokens};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{DepositRequestFrame, Frame};
use http::{Method, StatusCode};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PASSPHRASE: &str = "correct horse battery staple";
const IBAN: &str = "DE89370400440532013000";
const DEBTOR: &str = "GB33BUKB20201555555555";
const CLIENT: &str = "198.51.100.77";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-mint"));
    command.args(arguments).stdin(Stdio::null());
    for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("FARTHING_MINT_")) {
        command.env_remove(variable);
    }
    command
}

fn secret_file(path: &Path, content: &str) {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_str().unwrap())
}

/// A directory with a sealed mint, and one with its configuration.
struct Made {
    data: TempDir,
    etc: TempDir,
    /// What the commands have written to standard error.
    log: String,
}

impl Made {
    fn new(more: &str) -> Self {
        let (data, etc) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        secret_file(&etc.path().join("passphrase"), PASSPHRASE);
        let config = format!(
            "data = {}\nlisten = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"\npassphrase_file = {}\n{more}",
            quoted(data.path()),
            quoted(&etc.path().join("passphrase"))
        );
        std::fs::write(etc.path().join("mint.toml"), config).unwrap();
        let mut made = Self { data, etc, log: String::new() };
        let passphrase = made.etc.path().join("passphrase");
        made.run(&["init", "--passphrase-file", passphrase.to_str().unwrap()]);
        made
    }

    fn config(&self) -> String {
        self.etc.path().join("mint.toml").to_str().unwrap().to_owned()
    }

    /// Runs a command at the highest log level; it must succeed.
    fn run(&mut self, arguments: &[&str]) -> String {
        let output = command(arguments).arg("--data").arg(self.data.path()).env("FARTHING_MINT_LOG", "trace").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        self.log.push_str(&String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn check(&self, variables: &[(&str, &str)]) -> Output {
        command(&["config", "check", "--config", &self.config()]).envs(variables.iter().copied()).output().unwrap()
    }
}

/// A serving process, killed when dropped.
struct Serving {
    child: Child,
    address: SocketAddr,
    metrics: Http,
}

impl Serving {
    fn start(config: &str) -> Self {
        let mut child = command(&["serve", "--config", config]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            line.trim().to_owned()
        };
        let address = line().strip_prefix("serving on http://").unwrap().parse().unwrap();
        assert!(line().starts_with("root public key "));
        let metrics = line().strip_prefix("metrics on http://").unwrap().strip_suffix("/metrics").unwrap().parse().unwrap();
        Self { child, address, metrics: Http::new(metrics) }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for a good end; returns everything it logged.
    fn ended(mut self) -> String {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success(), "{log}");
        log
    }

    async fn metrics(&self) -> String {
        let answer = self.metrics.get("/metrics", &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
        String::from_utf8(answer.body.to_vec()).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn a_configuration_is_checked_before_it_is_served() {
    let made = Made::new("log_format = \"json\"\n[limits]\nrequests = 7");
    let good = made.check(&[("FARTHING_MINT_LIMITS__CLIENT_RATE", "9")]);
    assert!(good.status.success(), "{}", text(&good));
    let shown = String::from_utf8(good.stdout).unwrap();
    for line in ["# the secret of the keys: given", "requests = 7", "client_rate = 9", "log_format = \"json\"", "rotate = false"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert!(!shown.contains(PASSPHRASE));

    let wrong = made.check(&[("FARTHING_MINT_LISTEN", "here"), ("FARTHING_MINT_LIMITS__WORKERS", "0"), ("FARTHING_MINT_LISTENS", "x")]);
    assert!(!wrong.status.success() && wrong.stdout.is_empty());
    for key in ["listen: ", "limits.workers: ", "listens: no such setting"] {
        assert!(text(&wrong).contains(key), "{key}: {}", text(&wrong));
    }
    let several = made.check(&[
        ("FARTHING_MINT_LISTEN", "127.0.0.1:9"),
        ("FARTHING_MINT_METRICS_LISTEN", "0.0.0.0:9"),
        ("FARTHING_MINT_DATA", made.etc.path().to_str().unwrap()),
    ]);
    assert!(!several.status.success());
    assert!(text(&several).contains("the same address") && text(&several).contains("holds no mint"), "{}", text(&several));

    // The doors beside the public one open with tokens of enough length, which are not repeated.
    let tokens = made.etc.path().join("tokens");
    let door = [("FARTHING_MINT_ADMIN_LISTEN", "127.0.0.1:0"), ("FARTHING_MINT_ADMIN_TOKEN_FILE", tokens.to_str().unwrap())];
    assert!(text(&made.check(&door[..1])).contains("admin_listen: there is no admin_token_file"));
    secret_file(&tokens, "sesame");
    let short = text(&made.check(&door));
    assert!(short.contains("admin_token_file: ") && !short.contains("sesame"), "{short}");
    secret_file(&tokens, "the-only-token-4567890123456789012345678901234");
    let long = made.check(&door);
    assert!(long.status.success() && text(&long).contains("admin_listen = \"127.0.0.1:0\"") && !text(&long).contains("the-only"));

    // A secret that others can read opens nothing, and neither does a wrong one.
    let secret = made.etc.path().join("passphrase");
    secret_file(&secret, "wrong horse battery staple");
    assert!(text(&made.check(&[])).contains("does not open"));
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for output in [made.check(&[]), command(&["serve", "--config", &made.config()]).output().unwrap()] {
        assert!(!output.status.success() && text(&output).contains("passphrase_file: others can read"), "{}", text(&output));
    }
    // What systemd hands over may show its group's rights, and nobody else's.
    secret_file(&secret, PASSPHRASE);
    let credentials = [("CREDENTIALS_DIRECTORY", made.etc.path().to_str().unwrap())];
    for (mode, elsewhere, handed_over) in [(0o400, true, true), (0o440, false, true), (0o444, false, false)] {
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(made.check(&[]).status.success(), elsewhere, "{mode:o}");
        assert_eq!(made.check(&credentials).status.success(), handed_over, "{mode:o}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_is_finished_before_the_end() {
    let made = Made::new("");
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let serving = Serving::start(&made.config());
        let mut idle = tokio::net::TcpStream::connect(serving.address).await.unwrap();
        let mut begun = tokio::net::TcpStream::connect(serving.address).await.unwrap();
        let body = [1, 7, 9];
        let head =
            format!("POST /v1/deposits HTTP/1.1\r\nhost: a\r\ncontent-type: {BINARY}\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
        begun.write_all(head.as_bytes()).await.unwrap();
        // The mint says when it has begun to read the body.
        let mut answer = vec![0; CONTINUE.len()];
        tokio::time::timeout(PATIENCE, begun.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, CONTINUE);
        begun.write_all(&body[..1]).await.unwrap();
        serving.signal(signal);
        let refused = async {
            while tokio::net::TcpStream::connect(serving.address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.expect("new connections are refused");
        begun.write_all(&body[1..]).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, begun.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("frame-"), "{answer}");
        assert_eq!(tokio::time::timeout(PATIENCE, idle.read(&mut [0; 16])).await.unwrap().unwrap_or(0), 0);
        tokio::task::spawn_blocking(|| serving.ended()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_being_booked_is_booked_and_answered_at_the_end() {
    let mut made = Made::new("");
    made.run(&["publisher", "add", "news.example"]);
    let serving = Serving::start(&made.config());
    let mut world = World::beside(made.data, serving.address).await;
    let mut deposits = Vec::new();
    for _ in 0..20 {
        let tokens = world.tokens(&[100]).await;
        deposits.push(world.pay(tokens, "news.example", 100).0);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for deposit in &deposits {
        let frame = DepositRequestFrame { seen: None, payments: vec![deposit.to_body()] };
        let http = Http::new(serving.address);
        tasks.spawn(async move { http.try_send(Method::POST, "/v1/deposits", &[("content-type", BINARY)], frame.to_bytes()).await });
    }
    let first = tasks.join_next().await.unwrap().unwrap();
    serving.signal(rustix::process::Signal::TERM);
    let mut answers = vec![first];
    answers.extend(tasks.join_all().await);
    let credited = answers.iter().flatten().filter(|answer| answer.status == StatusCode::OK).count() as u64;
    tokio::task::spawn_blocking(|| serving.ended()).await.unwrap();
    assert!(credited >= 1);
    assert_eq!(world.earned("news.example").await, 100 * credited, "who was told nothing has lost nothing, and the other way round");
    world.balanced().await;
}

/// What must not be seen anywhere.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn add(&mut self, name: &'static str, bytes: &[u8]) {
        self.0.push((name, bytes.to_vec()));
    }

    fn tokens(&mut self, tokens: &[OwnedToken]) {
        for token in tokens {
            self.add("a token", &token.token().spent_key().key);
            self.add("a token's key", token.key().expose_secret().as_slice());
        }
    }
}

/// A whole life; returns a deposit that was refunded.
async fn readers_and_publishers(world: &mut World, voucher: &LoneKey, secrets: &mut Secrets) -> Deposit {
    // Top up, by a voucher made at the command line.
    secrets.add("a voucher's key", &voucher.public().to_bytes());
    let (pending, issue) = world.session(&[100, 200, 50_000], &FundingKeys::Voucher(voucher)).await.unwrap();
    secrets.add("a session", &issue.session.0);
    let issued = world.http.post("/v1/issue", &issue).await;
    let mut tokens = pending.unblind(&issued.frame()).unwrap();
    secrets.tokens(&tokens);
    let (third, second, first) = (tokens.pop().unwrap(), tokens.pop().unwrap(), tokens.pop().unwrap());

    // Payment with change, the same again, a double-spend, a refresh of what is spent and of what is not.
    let until = world.now() + 3_600;
    let again = copy(&third);
    let (deposit, used) = world.pay_until(vec![third], "news.example", 49_950, until);
    secrets.add("a payment id", &deposit.spending().payment_id().0);
    secrets.add("a subject", &[5; 32]);
    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::Credited { .. }));
    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::AlreadyCredited { .. }));
    let change = world.issue(&[50], &FundingKeys::Change(&used, statement("news.example", 49_950, until))).await.unwrap();
    secrets.tokens(&change);
    let (cheat, _) = world.pay(vec![again], "blog.example", 50_000);
    secrets.add("another payment id", &cheat.spending().payment_id().0);
    assert!(matches!(world.deposit(&[&cheat]).await[0], Outcome::DoubleSpent(_)));
    let twice = copy(&second);
    let refreshed = world.issue(&[200], &FundingKeys::Refresh(&OwnedTokens::new(vec![second]).unwrap().retire())).await.unwrap();
    secrets.tokens(&refreshed);
    let retired = OwnedTokens::new(vec![twice]).unwrap().retire();
    assert_eq!(world.issue(&[200], &FundingKeys::Refresh(&retired)).await.err().unwrap(), "token-spent");

    // A refund, taken back.
    let key = LoneKey::generate(&mut world.rng);
    secrets.add("a publisher's key", &key.public().to_bytes());
    world.mint.set_publisher_key("news.example", key.public()).await.unwrap();
    let (deposit, used) = world.pay_until(vec![first], "news.example", 100, until);
    let id = deposit.spending().payment_id();
    world.deposit(&[&deposit]).await;
    let frame = request(&world.root, id, "news.example", &key, &mut world.rng).unwrap();
    assert_eq!(world.http.post("/v1/refunds", &frame).await.status, StatusCode::OK);
    let back = world.issue(&[100], &FundingKeys::Reclaim(&used, statement("news.example", 100, until))).await.unwrap();
    secrets.tokens(&back);
    deposit
}

/// Somebody in particular, with a voucher's `code`, asks in every wrong way.
async fn bad_input(world: &World, balance: &str, deposit: &Deposit, code: &str) {
    let frame = DepositRequestFrame { seen: None, payments: vec![deposit.to_body()] }.to_bytes();
    let (flipped, cut) = ([&frame[..frame.len() - 1], &[frame[frame.len() - 1] ^ 1]].concat(), frame[..frame.len() - 9].to_vec());
    let json = format!("{{\"payments\": \"{code}\"}}").into_bytes();
    for (path, media, body) in [
        ("/v1/deposits", BINARY, flipped),
        ("/v1/deposits", BINARY, cut.clone()),
        ("/v1/deposits", "text/plain", frame),
        ("/v1/deposits", common::JSON, json.clone()),
        ("/v1/issue", common::JSON, json),
        ("/v1/commitments", BINARY, cut),
        ("/v1/refunds", BINARY, vec![1; 300_000]),
        ("/v1/secret?who=am-i", BINARY, Vec::new()),
    ] {
        let headers = [("content-type", media), ("x-forwarded-for", CLIENT), ("authorization", "who=am-i")];
        if let Some(answer) = world.http.try_send(Method::POST, path, &headers, body).await {
            assert!(answer.status == StatusCode::OK || !answer.code().is_empty());
        }
    }
    for path in [balance, "/v1/secret?who=am-i", "/v1/restore/0/0", "/v1/restore/x/y", "/readyz", "/livez"] {
        world.http.get(path, &[("x-forwarded-for", CLIENT)]).await;
    }
    eventually("that they are too many", async || {
        world.http.get(balance, &[("x-forwarded-for", CLIENT)]).await.status == StatusCode::TOO_MANY_REQUESTS
    })
    .await;
    drop(tokio::net::TcpStream::connect(world.http.address).await.unwrap().write_all(b"\x16\x03\x01 who=am-i\r\n\r\n").await);
}

/// The operator works beside the serving process; returns what the commands wrote to standard error.
fn operator(world: &World, etc: &Path) -> String {
    let out = etc.join("out");
    let (data, passphrase) = (world.path().to_str().unwrap().to_owned(), etc.join("passphrase"));
    let mut log = String::new();
    for arguments in [
        &[
            "payout",
            "run",
            "--id",
            "one",
            "--minimum",
            "0",
            "--debtor-name",
            "The Mint",
            "--debtor-iban",
            DEBTOR,
            "--out",
            out.to_str().unwrap(),
        ][..],
        &["keyset", "rotate", "--passphrase-file", passphrase.to_str().unwrap()],
        &["publisher", "statement", "news.example"],
        &["audit"],
        &["status"],
        &["backup", etc.join("copy").to_str().unwrap()],
        &["publisher", "balance", "nobody.example"],
        &["publisher", "iban", "blog.example", "--iban", "DE00", "--name", "News Limited"],
    ] {
        let output = command(arguments).args(["--data", &data]).env("FARTHING_MINT_LOG", "trace").output().unwrap();
        let mistake = arguments.contains(&"nobody.example") || arguments.contains(&"DE00");
        assert_eq!(output.status.success(), !mistake, "{arguments:?}: {}", text(&output));
        log.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    log
}

/// Named attack: tokens, URLs or addresses in logs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_and_metrics_hold_nothing_of_anybody() {
    let mut made = Made::new(
        "log = \"trace\"\nlog_format = \"json\"\ntrusted_proxies = [\"127.0.0.0/8\"]\nrotate = true\n[limits]\nclient_burst = 40\nclient_rate = 1",
    );
    made.run(&["publisher", "add", "news.example"]);
    made.run(&["publisher", "add", "blog.example"]);
    made.run(&["publisher", "iban", "news.example", "--iban", IBAN, "--name", "News Limited"]);
    let codes = made.run(&["voucher", "create", "--amount", "5.00", "--count", "2"]);
    let serving = Serving::start(&made.config());
    let Made { data, etc, mut log } = made;
    let mut world = World::beside(data, serving.address).await;
    let mut words: Vec<String> = codes.lines().map(str::to_owned).collect();
    words.extend(
        [
            PASSPHRASE,
            IBAN,
            DEBTOR,
            CLIENT,
            "news.example",
            "blog.example",
            "News Limited",
            "/v1/secret",
            "/v1/restore/0/0",
            "x/y",
            "who=am-i",
        ]
        .map(Into::into),
    );
    let voucher = VoucherCode::parse(codes.lines().next().unwrap()).unwrap().key().unwrap();
    let mut secrets = Secrets(Vec::new());
    let deposit = readers_and_publishers(&mut world, &voucher, &mut secrets).await;
    let balance = format!("/v1/vouchers/{}", farthing_mint::key_text(voucher.public()));
    bad_input(&world, &balance, &deposit, codes.lines().next().unwrap()).await;
    log.push_str(&operator(&world, etc.path()));
    let status = world.balanced().await;
    assert!(status.paid_out.units() > 0 && world.mint.keysets().await.unwrap().len() == 2);

    let shown = serving.metrics().await;
    check_metrics(&shown);
    let port = serving.address.port();
    serving.signal(rustix::process::Signal::TERM);
    let served = tokio::task::spawn_blocking(|| serving.ended()).await.unwrap();
    assert!(served.lines().count() > 50 && served.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{served}");
    words.extend(["127.0.0.1".into(), format!(":{port}"), world.path().to_str().unwrap().to_owned(), balance]);
    words.extend([world.seed.expose_secret().as_slice()].map(hex));
    for (what, text) in [("the log", &served), ("the metrics", &shown), ("a command's log", &log)] {
        let lower = text.to_lowercase();
        // A command tells the operator who typed it which publisher it means; nothing that is money.
        let commands = codes.lines().chain([PASSPHRASE]).map(str::to_owned).collect();
        for word in if what == "a command's log" { &commands } else { &words } {
            assert!(!lower.contains(&word.to_lowercase()), "{what} holds {word}");
        }
        for (name, secret) in &secrets.0 {
            for form in forms(secret) {
                assert!(!lower.contains(&form.to_lowercase()), "{what} holds {name}");
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}

/// How bytes may be written down: the beginning in hexadecimal, base64 in both alphabets, and as a list of numbers.
fn forms(bytes: &[u8]) -> Vec<String> {
    use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding};
    let numbers: Vec<String> = bytes.iter().take(8).map(ToString::to_string).collect();
    let start = &bytes[..12];
    vec![
        hex(&bytes[..8]),
        Base64UrlUnpadded::encode_string(start),
        Base64Unpadded::encode_string(start),
        numbers.join(", "),
        numbers.join(","),
    ]
}

/// Everything that is shown is in the table, and everything in the table is shown once the mint has lived.
fn check_metrics(shown: &str) {
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert!(shown.contains(&format!("# TYPE {} {kind}\n", metric.name)), "{} is not shown: {shown}", metric.name);
    }
    let mut values = std::collections::HashMap::new();
    for line in shown.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let metric =
            ALL.iter().find(|metric| metric.name == name || metric.name == base).unwrap_or_else(|| panic!("{name} is in no table"));
        for label in labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()) {
            let label = label.split('=').next().unwrap();
            assert!(label == "le" || metric.labels.split(',').any(|known| known == label), "{series}");
        }
        values.insert(series.to_owned(), value.parse::<f64>().unwrap());
    }
    for (series, value) in [
        ("farthing_mint_issued_tokens_total{funding=\"voucher\"}", 3.0),
        ("farthing_mint_issued_units_total{funding=\"voucher\"}", 50_300.0),
        ("farthing_mint_issued_units_total{funding=\"refresh\"}", 200.0),
        ("farthing_mint_payments_total{outcome=\"double-spent\"}", 1.0),
        ("farthing_mint_credited_units_total", 50_050.0),
        ("farthing_mint_refunds_total", 1.0),
        ("farthing_mint_ledger_sequence", 3.0),
        ("farthing_mint_frozen_denominations", 0.0),
        ("farthing_mint_clock_believed", 1.0),
        ("farthing_mint_ready", 1.0),
        ("farthing_mint_balanced", 1.0),
        ("farthing_mint_requests_total{route=\"/v1/refunds\",outcome=\"ok\"}", 1.0),
    ] {
        assert_eq!(values.get(series), Some(&value), "{series}: {shown}");
    }
    assert!(values.contains_key("farthing_mint_requests_total{route=\"/v1/vouchers/{key}\",outcome=\"too-many-requests\"}"), "{shown}");
    assert!(values["farthing_mint_keyset_issuing_seconds"] > 80.0 * 86_400.0);
}

#[test]
fn the_page_of_metrics_is_the_table_in_the_code() {
    let rows: Vec<String> = ALL
        .iter()
        .map(|metric| {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let labels: Vec<String> =
                metric.labels.split(',').filter(|label| !label.is_empty()).map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help)
        })
        .collect();
    let page = include_str!("../../docs/metrics.md");
    let page = page.split("\nWatch").next().unwrap();
    let written: Vec<&str> = page.lines().filter(|line| line.starts_with("| `farthing_")).collect();
    assert_eq!(written, rows, "\n{}", rows.join("\n"));
}
