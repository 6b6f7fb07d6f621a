//! Three real processes on one PostgreSQL: any of them takes any request, and for everything there is one winner.

mod common;
#[path = "common/postgres.rs"]
mod postgres;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use common::{BINARY, Http, World, copy};
use farthing_mint::{LedgerPlace, MintOptions};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::payment::Deposit;
use farthing_protocol::settle::Outcome;
use farthing_protocol::wire::{DepositRequestFrame, DepositResponseFrame, Frame, IssueResponseFrame};
use http::{Method, StatusCode};
use rand::seq::SliceRandom;
use sqlx::{Connection, PgConnection, Row};

/// A `farthing-mint serve`, killed when dropped.
struct Serving {
    child: Child,
    http: Http,
}

struct Shared {
    world: World,
    url: String,
    processes: Vec<Serving>,
}

fn command(url: &str, world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-mint"));
    command.args(arguments).arg("--data").arg(world.path()).env("FARTHING_MINT_LOG", "trace");
    if !url.is_empty() {
        command.env("FARTHING_MINT_LEDGER", url);
    }
    command
}

impl Serving {
    fn start(url: &str, world: &World) -> Self {
        let mut command = command(url, world, &["serve", "--listen", "127.0.0.1:0"]);
        // Traces would fill a pipe that nobody empties.
        let mut child = command.env("FARTHING_MINT_LOG", "warn").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
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

    /// SIGTERM; returns what it logged.
    fn stop(&mut self) -> String {
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

impl Shared {
    /// A mint on PostgreSQL and this many processes that serve it; `None` where PostgreSQL is not installed.
    async fn new(processes: usize) -> Option<Self> {
        let url = postgres::database().await?;
        let ledger = LedgerPlace::postgres(&url).unwrap();
        let mut world = World::with(MintOptions { ledger, ..MintOptions::default() }).await;
        let processes: Vec<Serving> = (0..processes).map(|_| Serving::start(&url, &world)).collect();
        if let Some(first) = processes.first() {
            world.http = first.http.clone();
        }
        for publisher in ["news.example", "blog.example"] {
            world.mint.add_publisher(publisher).await.unwrap();
        }
        Some(Self { world, url, processes })
    }

    fn at(&self, process: usize) -> Http {
        self.processes[process % self.processes.len()].http.clone()
    }

    async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// One payment at one process; whether it was credited now.
    fn deposit(&self, process: usize, deposit: &Deposit) -> impl Future<Output = bool> + Send + use<> {
        let (http, list) = (self.at(process), self.world.list.clone());
        let frame = DepositRequestFrame { seen: None, payments: vec![deposit.to_body()] };
        let expected = [(deposit.spending().payment_id(), deposit.payment().change())];
        async move {
            let answer: DepositResponseFrame = http.post("/v1/deposits", &frame).await.frame();
            let outcome = farthing_protocol::settle::verify_answer(&answer, &expected, &list).unwrap().remove(0);
            match outcome {
                Outcome::Credited { .. } => true,
                Outcome::DoubleSpent(_) | Outcome::Refused(farthing_protocol::settle::Refusal::Refreshed) => false,
                _ => panic!("another outcome"),
            }
        }
    }
}

/// The same token in three payments, and in two payments and a refresh that was opened at one process and is answered at another, all at
/// once and in any order: exactly one wins, every time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_tokens_at_all_processes_at_once() {
    const ROUNDS: usize = 24;
    let Some(mut shared) = Shared::new(3).await else { return };
    let mut order = [0, 1, 2];
    let (mut paid, mut refreshed) = (0, 0);
    for round in 0..ROUNDS {
        order.shuffle(&mut shared.world.rng);
        shared.world.http = shared.at(round);
        let token = shared.world.tokens(&[100]).await.remove(0);
        let until = shared.world.now() + 3_600;
        let payments: Vec<Deposit> = [("news.example", until), ("blog.example", until), ("news.example", until + 1)]
            .into_iter()
            .map(|(recipient, until)| shared.world.pay_until(vec![copy(&token)], recipient, 100, until).0)
            .collect();
        let mut racing = tokio::task::JoinSet::new();
        if round % 2 == 0 {
            let (_, used) = shared.world.pay(vec![copy(&token)], "blog.example", 100);
            shared.world.http = shared.at(order[0]);
            let (_, request) = shared.world.session(&[50, 50], &FundingKeys::Refresh(&used)).await.unwrap();
            let elsewhere = shared.at(order[1]);
            racing.spawn(async move {
                let answer = elsewhere.post("/v1/issue", &request).await;
                let won = answer.status == StatusCode::OK;
                assert!(won || answer.code() == "token-spent", "{}", String::from_utf8_lossy(&answer.body));
                (won, true)
            });
        }
        for (process, payment) in order.into_iter().zip(&payments).skip((round + 1) % 2) {
            let deposit = shared.deposit(process, payment);
            racing.spawn(async move { (deposit.await, false) });
        }
        let won: Vec<(bool, bool)> = racing.join_all().await.into_iter().filter(|(won, _)| *won).collect();
        assert_eq!(won.len(), 1, "round {round}: one winner");
        if won[0].1 {
            refreshed += 1;
        } else {
            paid += 1;
        }
        // Again, at a process that did not take part in it before: the same answers.
        for payment in &payments {
            let frame = DepositRequestFrame { seen: None, payments: vec![payment.to_body()] };
            assert_eq!(shared.at(round + 1).post("/v1/deposits", &frame).await.status, StatusCode::OK);
        }
    }
    let status = shared.world.balanced().await;
    assert_eq!(status.credits.units(), 100 * paid);
    assert_eq!(status.outstanding.units(), 100 * refreshed);
    let audit = command(&shared.url, &shared.world, &["audit"]).output().unwrap();
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
    for process in &mut shared.processes {
        let log = process.stop();
        assert!(!log.contains(postgres::PASSWORD) && !log.contains("postgres://"), "{log}");
    }
    let left = sqlx::query("SELECT count(*) AS n FROM instance").fetch_one(&mut shared.sql().await).await.unwrap();
    assert_eq!(left.try_get::<i64, _>("n").unwrap(), 1, "only this process is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_opened_at_one_process_is_answered_at_any() {
    let Some(mut shared) = Shared::new(3).await else { return };
    let voucher = shared.world.voucher(1_000).await;
    let funding = FundingKeys::Voucher(&voucher);
    for (opened, answered) in [(0, 1), (1, 2), (2, 0), (0, 0)] {
        shared.world.http = shared.at(opened);
        let (pending, request) = shared.world.session(&[100], &funding).await.unwrap();
        let answer: IssueResponseFrame = shared.at(answered).post("/v1/issue", &request).await.frame();
        assert_eq!(pending.unblind(&answer).unwrap().len(), 1);
        for process in 0..3 {
            assert!(answer == shared.at(process).post("/v1/issue", &request).await.frame(), "the same for good, everywhere");
        }
    }
    // What the owner refuses is refused by whoever was asked, and costs nothing.
    shared.world.http = shared.at(0);
    let (_, request) = shared.world.session(&[100], &funding).await.unwrap();
    let (_, other) = shared.world.session(&[50], &FundingKeys::Voucher(&shared.world.voucher(50).await)).await.unwrap();
    let mut mixed = request.clone();
    mixed.proof = other.proof;
    let here = shared.at(0).post("/v1/issue", &mixed).await.code();
    assert_eq!(shared.at(1).post("/v1/issue", &mixed).await.code(), here);
    // JSON in, JSON out, also through another process.
    let json = shared.at(2).post_bytes("/v1/issue", common::JSON, serde_json::to_vec(&request).unwrap()).await;
    assert_eq!((json.status, json.headers["content-type"].to_str().unwrap()), (StatusCode::OK, common::JSON));
    shared.world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_takes_nothing_with_it() {
    let Some(mut shared) = Shared::new(3).await else { return };
    let voucher = shared.world.voucher(1_000).await;
    let funding = FundingKeys::Voucher(&voucher);
    for round in 0..3 {
        shared.world.http = shared.at(0);
        let (pending, answered) = shared.world.session(&[100], &funding).await.unwrap();
        let answer: IssueResponseFrame = shared.at(1).post("/v1/issue", &answered).await.frame();
        let (_, open) = shared.world.session(&[100], &funding).await.unwrap();
        shared.processes[0].kill();
        // Booked is booked; the open session died with its nonces, and the ledger says so to everybody.
        assert!(answer == shared.at(2).post("/v1/issue", &answered).await.frame());
        let tokens = pending.unblind(&answer).unwrap();
        for process in [1, 2, 1] {
            assert_eq!(shared.at(process).post("/v1/issue", &open).await.code(), "session-gone");
        }
        let (deposit, _) = shared.world.pay(tokens, "news.example", 100);
        assert!(shared.deposit(1 + round % 2, &deposit).await);
        shared.processes[0] = Serving::start(&shared.url, &shared.world);
        assert_eq!(shared.at(0).post("/v1/issue", &open).await.code(), "session-gone");
    }
    assert_eq!(shared.world.earned("news.example").await, 300);
    assert_eq!(shared.world.balanced().await.vouchers.units(), 700);
}

/// Strangers who reach the listener between the processes get nothing from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_not_heard_between_the_processes() {
    let Some(mut shared) = Shared::new(1).await else { return };
    let voucher = shared.world.voucher(100).await;
    shared.world.http = shared.at(0);
    let (_, request) = shared.world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let id = &request.session.0[..4];
    let row = sqlx::query("SELECT address FROM instance WHERE id = $1").bind(id).fetch_one(&mut shared.sql().await).await.unwrap();
    let forward = Http::new(row.try_get::<String, _>("address").unwrap().parse().unwrap());
    let seal = "A".repeat(43);
    for headers in [vec![("content-type", BINARY)], vec![("content-type", BINARY), ("farthing-seal", seal.as_str())]] {
        let answer = forward.try_send(Method::POST, "/forward/issue", &headers, request.to_bytes()).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (StatusCode::FORBIDDEN, 0));
    }
    for path in ["/v1/issue", "/v1/keysets", "/readyz"] {
        assert_eq!(forward.post(path, &request).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    // The session is as it was.
    assert_eq!(shared.at(0).post("/v1/issue", &request).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_is_opened_on_its_own_ledger_only() {
    let Some(shared) = Shared::new(0).await else { return };
    let other = postgres::database().await.unwrap();
    let here = World::new().await;
    let failure = |output: Output| {
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && !said.contains(postgres::PASSWORD), "{said}");
        said
    };
    let run = |url: &str, world: &World| command(url, world, &["status"]).output().unwrap();
    assert!(failure(run("", &shared.world)).contains("on PostgreSQL"));
    assert!(failure(run(&shared.url, &here)).contains("a file of the data directory"));
    let wrong = shared.url.replace("postgres://", "mysql://");
    assert!(failure(run(&wrong, &shared.world)).contains("begin with postgres://"));
    assert!(failure(run(&other, &shared.world)).contains("does not answer"), "an empty database");
    let elsewhere = Shared::new(0).await.unwrap();
    assert!(failure(run(&elsewhere.url, &shared.world)).contains("another mint"));
    let dir = tempfile::tempdir().unwrap();
    let mut init = Command::new(env!("CARGO_BIN_EXE_farthing-mint"));
    init.args(["init", "--insecure-plain-keys", "--data"]).arg(dir.path()).args(["--ledger", &shared.url]);
    assert!(failure(init.output().unwrap()).contains("holds a ledger already"));
    for file in std::fs::read_dir(shared.world.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(postgres::PASSWORD));
    }
    for arguments in
        [&["status"][..], &["audit"], &["keyset", "list"], &["clock", "show"], &["keyset", "rotate"], &["payout", "run", "--help"]]
    {
        let output = command(&shared.url, &shared.world, arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains(postgres::PASSWORD));
    }
}
