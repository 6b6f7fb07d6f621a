//! Slow, greedy and numerous clients against the real server: what they get, and that an honest client is served meanwhile.

mod common;

use std::time::Duration;

use common::{BINARY, Http, PATIENCE, World, eventually};
use farthing_mint::MintOptions;
use farthing_protocol::settle::Outcome;
use farthing_protocol::wire::{DepositRequestFrame, Frame, IssueRequestFrame};
use http::{Method, StatusCode};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.http.address).await.unwrap()
}

/// Sends, and reads what comes until the mint closes.
async fn told(mut stream: TcpStream, bytes: &[u8]) -> String {
    // The mint may answer and close before everything is sent.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A reader buys, a publisher deposits, over connections of their own.
async fn honest(world: &mut World) {
    world.http = Http::new(world.http.address);
    let tokens = tokio::time::timeout(PATIENCE, world.tokens(&[100])).await.unwrap();
    let (deposit, _) = world.pay(tokens, "news.example", 100);
    // Sent again, if the mint closes the idle connection at that moment.
    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::Credited { .. } | Outcome::AlreadyCredited { .. }));
    assert!(world.earned("news.example").await >= 100);
}

fn post(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {BINARY}\r\n{more}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_bodies_and_trickles_are_answered_or_cut() {
    let mut options = MintOptions::default();
    // The honest client has that time too, on a busy machine.
    options.limits.request_time = Duration::from_secs(10);
    options.limits.header_time = Duration::from_secs(10);
    let mut world = World::with(options).await;
    world.mint.add_publisher("news.example").await.unwrap();

    let (head, body) = (connect(&world).await, connect(&world).await);
    let slow = tokio::spawn(async move {
        let announced = post("/v1/deposits", "content-length: 100") + "abc";
        tokio::join!(told(head, b"POST /v1"), told(body, announced.as_bytes()))
    });
    let mut trickle = connect(&world).await;
    trickle.write_all(post("/v1/deposits", "transfer-encoding: chunked").as_bytes()).await.unwrap();
    let (mut reading, mut writing) = trickle.into_split();
    let drops = tokio::spawn(async move {
        while writing.write_all(b"1\r\na\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    honest(&mut world).await;
    let mut answer = Vec::new();
    // Whatever the reset does to the rest, the answer came first.
    drop(tokio::time::timeout(PATIENCE, reading.read_to_end(&mut answer)).await.unwrap());
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    drops.await.unwrap();
    let (head, body) = slow.await.unwrap();
    assert_eq!(head, "", "a head that does not end");
    assert!(body.starts_with("HTTP/1.1 408") && body.contains("request-timeout"), "{body}");
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused_with_and_without_its_length() {
    let world = World::new().await;
    for path in ["/v1/commitments", "/v1/issue", "/v1/deposits", "/v1/refunds"] {
        let mut stream = connect(&world).await;
        stream.write_all(post(path, "content-length: 999999999999").as_bytes()).await.unwrap();
        let mut answer = vec![0; 4_096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 413"), "{path}");

        // Chunks without end: the answer comes as soon as they are too many, and no more of them are taken.
        let mut stream = connect(&world).await;
        stream.write_all(post(path, "transfer-encoding: chunked").as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let chunk = [b"10000\r\n".as_slice(), &vec![1; 65_536], b"\r\n"].concat();
        let flood = tokio::spawn(async move { while writing.write_all(&chunk).await.is_ok() {} });
        let mut answer = vec![0; 4_096];
        let read = tokio::time::timeout(PATIENCE, reading.read(&mut answer)).await.unwrap();
        if let Ok(read) = read {
            assert!(answer[..read].starts_with(b"HTTP/1.1 413"), "{path}");
        }
        tokio::time::timeout(PATIENCE, flood).await.expect("the flood is cut").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_is_cut() {
    let mut options = MintOptions::default();
    options.limits.answer_time = Duration::from_secs(3);
    let mut world = World::with(options).await;
    world.mint.add_publisher("news.example").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(world.http.address).await.unwrap();
    let flood = tokio::spawn(async move {
        let requests = "GET /v1/keysets HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
        // Ends only when the mint closes: until then nothing is read, and writing waits once all buffers are full.
        while stream.write_all(requests.as_bytes()).await.is_ok() {}
    });
    honest(&mut world).await;
    tokio::time::timeout(PATIENCE, flood).await.expect("the connection stays open").unwrap();
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_make_room_for_those_who_ask() {
    let mut options = MintOptions::default();
    options.limits.connections = 32;
    let mut world = World::with(options).await;
    world.mint.add_publisher("news.example").await.unwrap();
    let (mut crowd, body) = (Vec::new(), post("/v1/issue", "content-length: 100") + "abc");
    for number in 0..200 {
        let mut stream = connect(&world).await;
        // Silent, a head that does not end, a body that does not end.
        let said: &[u8] = [b"".as_slice(), b"GET /v1", body.as_bytes()][number % 3];
        stream.write_all(said).await.unwrap();
        crowd.push(stream);
    }
    honest(&mut world).await;
    // A request that the mint has wholly got is never given up for another.
    assert_eq!(world.http.get("/readyz", &[]).await.status, StatusCode::OK);
    drop(crowd);
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_asks_only_so_often_and_takes_nothing_from_others() {
    let mut options = MintOptions::default();
    let client = &mut options.limits.client;
    (client.rate, client.burst, client.deposit_rate, client.deposit_burst) = (1, 3, 1, 2);
    client.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    client.unlimited = vec!["203.0.113.0/24".parse().unwrap()];
    let world = World::with(options).await;
    let ask = async |method: Method, path: &str, client: &str| {
        let headers = [("x-forwarded-for", client), ("content-type", BINARY)];
        world.http.try_send(method, path, &headers, Vec::new()).await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(ask(Method::GET, "/v1/keysets", "198.51.100.1").await.status, StatusCode::OK);
    }
    eventually("that they are too many", async || {
        let answer = ask(Method::GET, "/v1/keysets", "198.51.100.1").await;
        if answer.status == StatusCode::OK {
            return false;
        }
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"));
        assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        true
    })
    .await;
    // Deposits are counted apart, and malformed ones too.
    let deposit = ask(Method::POST, "/v1/deposits", "198.51.100.1").await;
    assert_eq!(deposit.code(), "frame-truncated");
    eventually("that they are too many", async || ask(Method::POST, "/v1/deposits", "198.51.100.1").await.code() == "too-many-requests")
        .await;
    for _ in 0..20 {
        assert_eq!(ask(Method::GET, "/v1/keysets", "203.0.113.7").await.status, StatusCode::OK, "a known publisher");
        assert_eq!(ask(Method::GET, "/livez", "198.51.100.1").await.status, StatusCode::OK);
    }
    assert_eq!(ask(Method::GET, "/v1/keysets", "198.51.100.2").await.status, StatusCode::OK, "somebody else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_has_only_so_many_connections() {
    let mut options = MintOptions::default();
    options.limits.client.connections = 2;
    options.limits.client.unlimited.clear();
    let world = World::with(options).await;
    // The test's own client holds one.
    let mut second = connect(&world).await;
    second.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(second.read(&mut [0; 512]).await.unwrap() > 0);
    assert_eq!(told(connect(&world).await, b"").await, "", "the third is closed");
    drop(second);
    let again = async {
        while Http::new(world.http.address).try_send(Method::GET, "/livez", &[], Vec::new()).await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place that was left is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_are_heard_however_many_readers_there_are() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let tokens = world.tokens(&[100]).await;
    let (deposit, _) = world.pay(tokens, "news.example", 100);
    // As if readers had taken every place they may have.
    world.options.limits.requests = 1;
    world.options.limits.body_bytes = 1_000;
    world.reopen().await;
    let voucher = world.voucher(100).await;
    let half = post("/v1/issue", "content-length: 1000") + &"x".repeat(999);
    let plan = world.plan(&[100]);
    let open = plan.open(&world.root, &farthing_protocol::issue::FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let full = async {
        loop {
            // Begun anew each time: where the other request came first, there was no room for this one.
            let mut slow = connect(&world).await;
            slow.write_all(half.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = world.http.post("/v1/commitments", &open).await;
            if answer.status != StatusCode::OK {
                return (slow, answer);
            }
        }
    };
    let (slow, answer) = tokio::time::timeout(PATIENCE, full).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "overloaded"));
    assert!(answer.headers.contains_key("retry-after"));
    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::Credited { .. }));
    // Room is given back with the connection that held it.
    drop(slow);
    let free = async {
        while world.http.post("/v1/commitments", &open).await.status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
    let unknown = IssueRequestFrame {
        session: [1; 16].into(),
        challenges: vec![[1; 32].into()],
        proof: farthing_protocol::wire::ProofBody { t: [1; 32].into(), u: [1; 32].into() },
    };
    assert!(unknown.to_bytes().len() < 1_000);
    assert_eq!(world.http.post("/v1/issue", &unknown).await.code(), "session-gone");
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_stands_still_makes_nothing_grow() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let mut deposits = Vec::new();
    for _ in 0..6 {
        let tokens = world.tokens(&[100]).await;
        deposits.push(world.pay(tokens, "news.example", 100).0);
    }
    world.options.limits.requests = 4;
    // All six have come before the first is told.
    world.options.limits.request_time = Duration::from_secs(6);
    world.reopen().await;
    // Another program holds the file: whoever wants to book waits.
    let options = SqliteConnectOptions::new().filename(world.ledger_path()).disable_statement_logging();
    let mut holder = options.connect().await.unwrap();
    let held = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for deposit in &deposits {
        let frame = DepositRequestFrame { seen: None, payments: vec![deposit.to_body()] };
        let http = Http::new(world.http.address);
        tasks.spawn(async move { http.post("/v1/deposits", &frame).await.code() });
    }
    assert_eq!(world.http.get("/v1/keysets", &[]).await.status, StatusCode::OK, "readers are served what needs no booking");
    let mut codes = tokio::time::timeout(PATIENCE, tasks.join_all()).await.expect("a request waits for ever");
    codes.sort();
    // Four had places and were told after their time that nobody knows; two had none and were told at once.
    assert_eq!(codes, ["overloaded", "overloaded", "request-timeout", "request-timeout", "request-timeout", "request-timeout"]);
    held.rollback().await.unwrap();
    world.options.limits.request_time = farthing_mint::Limits::default().request_time;
    world.reopen().await;
    for deposit in &deposits {
        let outcome = world.deposit(&[deposit]).await.remove(0);
        assert!(matches!(outcome, Outcome::Credited { .. } | Outcome::AlreadyCredited { .. }));
    }
    assert_eq!(world.earned("news.example").await, 600);
    world.balanced().await;
}
