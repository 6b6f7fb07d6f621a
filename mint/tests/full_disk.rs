//! A disk that takes no more. The system refuses every write of the serving process beyond a file size that the test sets from outside
//! (`RLIMIT_FSIZE`), which needs no file system of its own and no rights.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use common::{Http, World, eventually};
use farthing_mint::{InitOptions, Limits, Mint, MintOptions};
use farthing_protocol::amount::Amount;
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::settle::Outcome;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// A serving process that survives the signal of a file that grew too large, killed when dropped.
struct Serving(Child, Http);

impl Serving {
    fn start(data: &std::path::Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_farthing-mint"), "serve", "--listen", "127.0.0.1:0"]);
        command.arg("--data").arg(data).env("FARTHING_MINT_LIMITS__DISK_RESERVE", "0");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, Http::new(line.trim().strip_prefix("serving on http://").unwrap().parse().unwrap()))
    }

    /// The largest file it may write; `None` for any.
    fn limit(&self, bytes: Option<u64>) {
        let process = Pid::from_child(&self.0);
        prlimit(Some(process), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// Kills it and returns what it logged.
    fn log(mut self) -> String {
        self.0.kill().unwrap();
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_loses_nothing_and_is_got_over_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    Mint::init(dir.path(), InitOptions::default()).await.unwrap();
    let serving = Serving::start(dir.path());
    let mut world = World::beside(dir, serving.1.address).await;
    world.mint.add_publisher("news.example").await.unwrap();
    let tokens = world.tokens(&[100, 200]).await;
    let voucher = world.voucher(500).await;
    let ready = async |world: &World| world.http.get("/readyz", &[]).await.status.is_success();
    assert!(ready(&world).await);

    serving.limit(Some(0));
    eventually("that it is not ready", async || !ready(&world).await).await;
    assert_eq!(world.http.get("/readyz", &[]).await.code(), "ledger-unwritable");
    assert_eq!(world.http.get("/livez", &[]).await.status, http::StatusCode::OK);
    // What books is told to come again, and reading goes on.
    let (payment, _) = world.pay(tokens, "news.example", 300);
    assert_eq!(world.deposit_frame(&[&payment], None).await.code(), "unavailable");
    let (_, request) = world.session(&[500], &FundingKeys::Voucher(&voucher)).await.unwrap();
    assert_eq!(world.http.post("/v1/issue", &request).await.code(), "unavailable");
    assert_eq!(world.http.get("/v1/keysets", &[]).await.status, http::StatusCode::OK);
    assert_eq!(world.mint.publisher_balance("news.example").await.unwrap(), Some(Amount::ZERO));

    serving.limit(None);
    eventually("that it is ready again", async || ready(&world).await).await;
    assert!(matches!(world.deposit(&[&payment]).await[0], Outcome::Credited { .. }));
    assert_eq!(world.earned("news.example").await, 300);
    assert_eq!(world.http.post("/v1/issue", &request).await.code(), "session-gone", "nothing was booked");
    assert_eq!(world.issue(&[500], &FundingKeys::Voucher(&voucher)).await.unwrap().len(), 1);
    world.balanced().await;
    let log = serving.log();
    for told in ["not ready: the ledger cannot be written", "the ledger can be written again"] {
        assert_eq!(log.matches(told).count(), 1, "said once, not at every look: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_free_than_the_reserve_is_not_ready_and_still_books() {
    let limits = |disk_reserve| Limits { disk_reserve, ..Limits::default() };
    let mut world = World::with(MintOptions { limits: limits(u64::MAX), ..MintOptions::default() }).await;
    assert_eq!(world.http.get("/readyz", &[]).await.code(), "ledger-unwritable");
    world.tokens(&[100]).await;
    world.options.limits = limits(1);
    world.reopen().await;
    assert_eq!(world.http.get("/readyz", &[]).await.status, http::StatusCode::OK);
}
