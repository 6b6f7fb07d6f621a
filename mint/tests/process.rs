//! The real binary: its command line, its files, its logs, and what SIGKILL does to it.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{BINARY, Http, eventually};
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::issue::{FundingKeys, PendingTokens, SessionPlan};
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::payment::{Deposit, PaymentTerms};
use farthing_protocol::proof::LoneKey;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::settle::{Outcome, verify_answer};
use farthing_protocol::token::{OwnedToken, OwnedTokens};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{
    DepositRequestFrame, DepositResponseFrame, Frame, IssueRequestFrame, IssueResponseFrame, KeysetListFrame, OpenResponseFrame,
};
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const PASSPHRASE: &str = "only this test knows it";

fn mint(arguments: &[&str], data: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_farthing-mint"))
        .args(arguments)
        .arg("--data")
        .arg(data)
        .env("FARTHING_MINT_PASSPHRASE", PASSPHRASE)
        .output()
        .unwrap();
    assert!(output.status.success() || !output.stderr.is_empty(), "failures say why");
    output
}

fn text(arguments: &[&str], data: &Path) -> String {
    let output = mint(arguments, data);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A serving process, killed when dropped.
struct Serving {
    child: Child,
    http: Http,
}

impl Serving {
    fn start(data: &Path) -> Self {
        Self::logging(data, "warn")
    }

    fn logging(data: &Path, level: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_farthing-mint"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("FARTHING_MINT_PASSPHRASE", PASSPHRASE)
            .env("FARTHING_MINT_LOG", level)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("serving on http://").unwrap().parse().unwrap();
        Self { child, http: Http::new(address) }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns everything it logged.
    fn stop(mut self) -> String {
        let id = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), rustix::process::Signal::TERM).unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success());
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn an_operator_says_how_long_keysets_live() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("mint");
    assert!(!mint(&["init", "--issue-days", "6"], &data).status.success(), "no shorter than the protocol allows");
    text(&["init", "--issue-days", "7", "--spend-days", "5", "--refresh-days", "2"], &data);
    let list: serde_json::Value = serde_json::from_str(&text(&["keyset", "list", "--json"], &data)).unwrap();
    let windows = ["issue_from", "issue_until", "spend_until", "refresh_until"].map(|name| list["keysets"][0][name].as_u64().unwrap());
    assert_eq!([1, 2, 3].map(|end| (windows[end] - windows[end - 1]) / 86_400), [7, 5, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_works_beside_the_serving_process() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("mint");
    assert!(String::from_utf8_lossy(&mint(&["status"], &data).stderr).contains("farthing-mint init"));
    let root = text(&["init"], &data);
    assert!(farthing_mint::parse_key(&root).is_some());
    let again = mint(&["init"], &data);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("nothing was changed"));

    let serving = Serving::logging(&data, "trace");
    let second = mint(&["serve", "--listen", "127.0.0.1:0"], &data);
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process serves"));
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&data).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
    assert_eq!(text(&["publisher", "add", "News.Example"], &data), "");
    assert_eq!(text(&["publisher", "balance", "news.example"], &data), "0.00000 EUR");
    assert!(!mint(&["publisher", "balance", "blog.example"], &data).status.success());
    assert!(!mint(&["publisher", "add", "https://x"], &data).status.success());
    let hyphen = mint(&["publisher", "add", "news.example", "--key", "-x"], &data);
    assert!(String::from_utf8_lossy(&hyphen.stderr).contains("not a public key"), "a key may begin with a hyphen");
    let codes = text(&["voucher", "create", "--amount", "5.00", "--count", "3"], &data);
    assert_eq!(codes.lines().filter(|line| VoucherCode::parse(line).is_ok()).count(), 3);
    for wrong in ["0", "-1", "1.000001", "x"] {
        assert!(!mint(&["voucher", "create", &format!("--amount={wrong}")], &data).status.success(), "{wrong}");
    }
    let status: serde_json::Value = serde_json::from_str(&text(&["status", "--json"], &data)).unwrap();
    assert_eq!((&status["sold"], &status["vouchers"], &status["balanced"]), (&1_500_000.into(), &1_500_000.into(), &true.into()));
    assert!(text(&["status"], &data).ends_with("\nbalanced"));

    // What was sold by another process is money to this one.
    let mut reader = Reader::new(serving.http.clone(), &root, 1).await;
    let code = VoucherCode::parse(codes.lines().next().unwrap()).unwrap();
    let voucher = code.key().unwrap();
    let (pending, request) = reader.session(&[500, 1_000], &voucher).await.unwrap();
    let answer = reader.http.post("/v1/issue", &request).await;
    let tokens = pending.unblind(&answer.frame::<IssueResponseFrame>()).unwrap();
    let token = farthing_mint::key_text(&Point::from_bytes(tokens[0].token().spent_key().key).unwrap());
    let deposit = reader.pay(tokens, "news.example", 1_200);
    let settled: DepositResponseFrame = reader.http.post("/v1/deposits", &deposits(&[deposit])).await.frame();
    assert_eq!(settled.outcomes.len(), 1);
    reader.http.post_bytes("/v1/deposits", BINARY, vec![1, 7, 9]).await.code();
    assert_eq!(text(&["publisher", "balance", "news.example"], &data), "0.01200 EUR");

    let log = serving.stop();
    let key = farthing_mint::key_text(voucher.public());
    // Routes are logged as templates; tests/service.rs looks for what stood in their place.
    for secret in [token.as_str(), key.as_str(), codes.lines().next().unwrap(), "news.example", "127.0.0.1", PASSPHRASE] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

fn deposits(all: &[Deposit]) -> DepositRequestFrame {
    DepositRequestFrame { seen: None, payments: all.iter().map(Deposit::to_body).collect() }
}

/// A reader whose requests survive the mint.
struct Reader {
    http: Http,
    root: Point,
    list: KeysetList,
    seed: WalletSeed,
    rng: StdRng,
    next_index: u64,
}

impl Reader {
    async fn new(http: Http, root: &str, number: u64) -> Self {
        let root = farthing_mint::parse_key(root).unwrap();
        let list = http.get("/v1/keysets", &[("accept", BINARY)]).await.frame::<KeysetListFrame>();
        let mut rng = StdRng::seed_from_u64(number);
        let seed = WalletSeed::generate(&mut rng);
        Self { list: KeysetList::verify(&list, &root).unwrap(), http, root, seed, rng, next_index: 0 }
    }

    async fn session(&mut self, denominations: &[u64], voucher: &LoneKey) -> Option<(PendingTokens, IssueRequestFrame)> {
        let keyset = self.list.keysets()[0].clone();
        let plan = SessionPlan {
            keyset: keyset.id(),
            denominations: denominations.iter().copied().map(Amount::from_units).collect(),
            recovery: [0; 32],
            recovery_commitment: [0; 32],
        };
        let first_index = self.next_index;
        self.next_index += denominations.len() as u64;
        let funding = FundingKeys::Voucher(voucher);
        let open = plan.open(&self.root, &funding, &mut self.rng).unwrap();
        let answer = self.send("/v1/commitments", &open).await?;
        let opened = OpenResponseFrame::from_bytes(&answer.body).ok()?;
        let pending = plan.blind(&self.seed, &self.root, &keyset, first_index, &opened).unwrap();
        let request = plan.request(&self.root, &pending, &funding, &mut self.rng).unwrap();
        Some((pending, request))
    }

    fn pay(&mut self, tokens: Vec<OwnedToken>, recipient: &str, amount: u64) -> Deposit {
        let terms = PaymentTerms { recipient, amount: Amount::from_units(amount), deposit_by: u64::MAX, subject: [5; 32] };
        let (payment, _) = OwnedTokens::new(tokens).unwrap().pay(&terms, &mut self.rng).unwrap();
        Deposit::new(recipient, [5; 32], payment).unwrap()
    }

    /// `None` if the mint is gone or cannot say now.
    async fn send(&self, path: &str, frame: &impl Frame) -> Option<common::Answer> {
        let answer = self.http.try_send(Method::POST, path, &[("content-type", BINARY)], frame.to_bytes()).await?;
        (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    }
}

/// Buys, pays and deposits until the mint dies; what was on its way stays for the next round.
#[derive(Default)]
struct Pending {
    issue: Option<(PendingTokens, IssueRequestFrame)>,
    deposit: Option<Deposit>,
    /// What the mint has said is credited.
    credited: u64,
}

impl Pending {
    /// Finishes what is on its way; `false` if the mint is gone.
    async fn finish(&mut self, reader: &mut Reader) -> bool {
        if let Some((pending, request)) = self.issue.take() {
            let Some(answer) = reader.send("/v1/issue", &request).await else {
                self.issue = Some((pending, request));
                return false;
            };
            if answer.status == StatusCode::OK {
                let tokens = pending.unblind(&IssueResponseFrame::from_bytes(&answer.body).unwrap()).unwrap();
                self.deposit = Some(reader.pay(tokens, "news.example", 150));
            } else {
                assert_eq!(answer.code(), "session-gone");
            }
        }
        if let Some(deposit) = self.deposit.take() {
            let Some(answer) = reader.send("/v1/deposits", &deposits(std::slice::from_ref(&deposit))).await else {
                self.deposit = Some(deposit);
                return false;
            };
            let expected = [(deposit.spending().payment_id(), deposit.payment().change())];
            let frame: DepositResponseFrame = answer.frame();
            let outcome = verify_answer(&frame, &expected, &reader.list).unwrap().pop().unwrap();
            assert!(matches!(outcome, Outcome::Credited { .. } | Outcome::AlreadyCredited { .. }));
            self.credited += 150;
        }
        true
    }

    async fn work(&mut self, reader: &mut Reader, voucher: &LoneKey, finished: &AtomicU64) {
        while self.finish(reader).await {
            finished.fetch_add(1, Ordering::SeqCst);
            self.issue = reader.session(&[50, 100], voucher).await;
            if self.issue.is_none() && reader.http.try_send(Method::GET, "/livez", &[], Vec::new()).await.is_none() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_under_load_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("mint");
    let root = text(&["init"], &data);
    text(&["publisher", "add", "news.example"], &data);
    let codes = text(&["voucher", "create", "--amount", "10", "--count", "4"], &data);
    let mut chance = StdRng::seed_from_u64(11);
    let mut serving = Serving::start(&data);
    let mut workers = Vec::new();
    for (number, code) in codes.lines().enumerate() {
        let voucher = VoucherCode::parse(code).unwrap().key().unwrap();
        workers.push((Reader::new(serving.http.clone(), &root, number as u64).await, voucher, Pending::default()));
    }
    for _ in 0..6 {
        let mut tasks = tokio::task::JoinSet::new();
        let finished = Arc::new(AtomicU64::new(0));
        for (mut reader, voucher, mut pending) in workers.drain(..) {
            reader.http = serving.http.clone();
            let finished = finished.clone();
            tasks.spawn(async move {
                pending.work(&mut reader, &voucher, &finished).await;
                (reader, voucher, pending)
            });
        }
        // More than what was left is finished: however slow the machine is, there is a load.
        eventually("some load", async || finished.load(Ordering::SeqCst) >= 8).await;
        tokio::time::sleep(std::time::Duration::from_millis(chance.random_range(100..500))).await;
        serving.kill();
        workers = tasks.join_all().await;
        serving = Serving::start(&data);
    }
    let mut credited = 0;
    for (mut reader, _, mut pending) in workers {
        reader.http = serving.http.clone();
        eventually("that it is finished", async || pending.finish(&mut reader).await).await;
        credited += pending.credited;
    }
    assert!(credited > 0);
    let status: serde_json::Value = serde_json::from_str(&text(&["status", "--json"], &data)).unwrap();
    assert_eq!(status["balanced"], true, "{status}");
    assert!(text(&["audit"], &data).contains(" 0 differences"), "the journal was cut off with the rest or not at all");
    assert_eq!(status["credits"].as_u64().unwrap(), credited, "what was promised is there");
    assert_eq!(status["outstanding"], 0);
    assert_eq!(status["sold"], 4_000_000);
    assert_eq!(status["vouchers"].as_u64().unwrap(), 4_000_000 - credited);
}

/// The operator's and the shop's doors of the real binary; what is sold through them is in no log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doors_beside_the_public_one_open_with_secrets_and_log_none() {
    const TOKEN: &str = "the-only-token-4567890123456789012345678901234";
    const SECRET: &str = "whsec_5GnPZ1yW3d0XbA7vQeRt2uI9oLkJhGfD";
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("mint");
    text(&["init"], &data);
    let (tokens, secrets) = (dir.path().join("tokens"), dir.path().join("secrets"));
    std::fs::write(&tokens, TOKEN).unwrap();
    std::fs::write(&secrets, SECRET).unwrap();
    let doors = |tokens: &Path, secrets: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-mint"));
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--shop-listen",
                "127.0.0.1:0",
                "--metrics-listen",
                "127.0.0.1:0",
                "--admin-token-file",
            ])
            .arg(tokens)
            .arg("--shop-secret-file")
            .arg(secrets)
            .arg("--data")
            .arg(&data)
            .env("FARTHING_MINT_PASSPHRASE", PASSPHRASE)
            .env("FARTHING_MINT_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let exposed = doors(&tokens, &secrets).output().unwrap();
    assert!(!exposed.status.success() && String::from_utf8_lossy(&exposed.stderr).contains("mode 0600"));
    for file in [&tokens, &secrets] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let swapped = doors(&secrets, &tokens).output().unwrap();
    assert!(!swapped.status.success() && !String::from_utf8_lossy(&swapped.stderr).contains(SECRET));

    let mut child = doors(&tokens, &secrets).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut door = |prefix: &str| {
        Http::new(lines.by_ref().find_map(|line| line.strip_prefix(prefix)?.trim_end_matches("/metrics").parse().ok()).unwrap())
    };
    let (http, admin, shop) = (door("serving on http://"), door("admin API on http://"), door("voucher shop on http://"));
    let monitor = door("metrics on http://");
    let serving = Serving { child, http };
    assert_eq!(serving.http.get("/admin/v1/status", &[]).await.code(), "not-found");
    assert_eq!(shop.get("/admin/v1/status", &[]).await.code(), "not-found");
    assert_eq!(admin.get("/admin/v1/nothing", &[]).await.code(), "unauthorized");
    let headers =
        [("authorization", &*format!("Bearer {TOKEN}")), ("content-type", "application/json"), ("idempotency-key", "order-from-2026")];
    let body = br#"{"amount":500000}"#.to_vec();
    let made = admin.try_send(Method::POST, "/admin/v1/vouchers", &headers, body).await.unwrap();
    assert_eq!(made.status, StatusCode::OK);
    let made: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
    let code = made["codes"][0].as_str().unwrap();
    // The command line is the same counter.
    let again = ["voucher", "create", "--amount", "5.00", "--idempotency-key", "order-from-2026"];
    assert_eq!(text(&again, &data), code);
    let differs = mint(&["voucher", "create", "--amount", "6.00", "--idempotency-key", "order-from-2026"], &data);
    assert!(!differs.status.success() && String::from_utf8_lossy(&differs.stderr).contains("nothing was made"));

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let event = br#"{"type":"checkout.session.completed","livemode":true,"data":{"object":{"id":"cs_live_77","mode":"payment",
        "payment_status":"paid","amount_total":500,"currency":"eur","payment_intent":"pi_77"}}}"#;
    let sign = |event: &[u8]| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{now}.").as_bytes());
        mac.update(event);
        format!("t={now},v1={}", base16ct::lower::encode_string(&mac.finalize().into_bytes()))
    };
    let again = String::from_utf8(event.to_vec()).unwrap().replace("500", "600").into_bytes();
    for event in [event.to_vec(), again] {
        let told = shop.try_send(Method::POST, "/shop/v1/stripe", &[("stripe-signature", &sign(&event))], event).await.unwrap();
        assert_eq!(told.status, StatusCode::OK);
    }
    let ordered = text(&["voucher", "order", "cs_live_77"], &data);
    assert!(VoucherCode::parse(&ordered).is_ok());
    assert!(!mint(&["voucher", "order", "cs_live_78"], &data).status.success());
    assert_eq!(text(&["publisher", "add", "news.example"], &data), "");
    assert!(text(&["publisher", "list"], &data).starts_with("news.example"));
    assert_eq!(text(&["payout", "list", "--json"], &data), "[]");
    let metrics = monitor.get("/metrics", &[]).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for (route, outcome, times) in
        [("/admin/v1/vouchers", "ok", 1), ("/shop/v1/stripe", "ok", 2), ("other", "unauthorized", 1), ("other", "not-found", 2)]
    {
        let line = format!("farthing_mint_requests_total{{route=\"{route}\",outcome=\"{outcome}\"}} {times}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    let log = serving.stop() + &metrics;
    assert!(log.contains("a signed event was refused"), "{log}");
    for secret in [TOKEN, SECRET, code, &ordered, &sign(event)[20..], "order-from-2026", "cs_live_77", "pi_77"] {
        assert!(!log.contains(secret), "{secret}");
    }
}
