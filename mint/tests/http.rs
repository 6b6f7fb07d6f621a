//! The HTTP interface itself: bad input by its codes, both encodings, limits, slow clients.

mod common;

use common::{BINARY, JSON, PATIENCE, World};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::wire::{
    DepositRequestFrame, DepositResponseFrame, Frame, IssueRequestFrame, IssueResponseFrame, KeysetListFrame, OpenRequestFrame,
    OpenResponseFrame,
};
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bodies_each_have_their_code_and_book_nothing() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let voucher = world.voucher(1_000).await;
    let tokens = world.tokens(&[100]).await;
    let open = world.plan(&[100]).open(&world.root, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap().to_bytes();
    let (_, issue) = world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let (deposit, _) = world.pay(tokens, "news.example", 100);
    let deposit = DepositRequestFrame { seen: None, payments: vec![deposit.to_body()] }.to_bytes();
    for (path, good, limit) in [
        ("/v1/commitments", open, OpenRequestFrame::LIMIT),
        ("/v1/issue", issue.to_bytes(), IssueRequestFrame::LIMIT),
        ("/v1/deposits", deposit, DepositRequestFrame::LIMIT),
    ] {
        let mut version = good.clone();
        version[0] = 2;
        let mut kind = good.clone();
        kind[1] = 99;
        let mut trailing = good.clone();
        trailing.push(0);
        let cases = [
            (Vec::new(), 400, "frame-truncated"),
            (good[..good.len() - 1].to_vec(), 400, "frame-truncated"),
            (trailing, 400, "frame-trailing-bytes"),
            (version, 400, "frame-unknown-version"),
            (kind, 400, "frame-wrong-kind"),
            (vec![1; limit + 1], 413, "body-too-large"),
        ];
        for (body, status, code) in cases {
            let answer = world.http.post_bytes(path, BINARY, body).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
        }
        for (media, body, status, code) in [
            ("text/plain", good.clone(), 415, "unsupported-media-type"),
            (JSON, b"{".to_vec(), 400, "frame-truncated"),
            (JSON, b"[]".to_vec(), 400, "frame-malformed"),
            (JSON, good.clone(), 400, "frame-malformed"),
            (BINARY, b"{}".to_vec(), 400, "frame-unknown-version"),
        ] {
            let answer = world.http.post_bytes(path, media, body).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path} {media}");
        }
        assert_eq!(world.http.try_send(Method::POST, path, &[], good).await.unwrap().code(), "unsupported-media-type");
        assert_eq!(world.http.get(path, &[]).await.code(), "method-not-allowed");
        // A body announced as too large is not even read.
        let mut stream = tokio::net::TcpStream::connect(world.http.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {BINARY}\r\ncontent-length: 999999999999\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = vec![0; 4_096];
        let read = stream.read(&mut text).await.unwrap();
        let text = String::from_utf8_lossy(&text[..read]).into_owned();
        assert!(text.starts_with("HTTP/1.1 413") && text.contains("body-too-large"), "{text}");
    }
    assert_eq!(world.http.get("/v2", &[]).await.code(), "not-found");
    let status = world.balanced().await;
    assert_eq!((status.vouchers.units(), status.outstanding.units(), status.credits.units()), (1_000, 100, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bytes_are_answered_and_book_nothing() {
    let mut world = World::new().await;
    let voucher = world.voucher(300).await;
    let (_, issue) = world.session(&[100, 200], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let good = issue.to_bytes();
    for index in 0..good.len() {
        let mut wrong = good.clone();
        wrong[index] ^= 0x40;
        let answer = world.http.post_bytes("/v1/issue", BINARY, wrong).await;
        assert!(answer.status.is_client_error(), "{index}: {}", answer.status);
        answer.code();
    }
    assert_eq!(world.balanced().await.vouchers.units(), 300);
    assert_eq!(world.http.post("/v1/issue", &issue).await.status, StatusCode::OK, "the session was not hurt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn structural_defects_have_codes_of_the_protocol() {
    let mut world = World::new().await;
    let voucher = world.voucher(1_000).await;
    let open = world.plan(&[100]).open(&world.root, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let with = |change: &dyn Fn(&mut OpenRequestFrame)| {
        let mut frame = open.clone();
        change(&mut frame);
        frame
    };
    let cases: [(OpenRequestFrame, &str); 7] = [
        (with(&|frame| frame.denominations.clear()), "issue-output-count"),
        (with(&|frame| frame.denominations = vec![1; 257]), "issue-output-count"),
        (with(&|frame| frame.denominations = vec![200, 100]), "issue-invalid-denominations"),
        (with(&|frame| frame.denominations = vec![u64::MAX, u64::MAX]), "issue-amount-mismatch"),
        (with(&|frame| frame.keyset.0[0] ^= 1), "unknown-keyset"),
        (with(&|frame| frame.recovery.0[0] ^= 1), "invalid-proof"),
        (with(&|frame| frame.proof.u.0 = [0xff; 32]), "issue-invalid-encoding"),
    ];
    for (frame, code) in cases {
        let answer = world.http.post("/v1/commitments", &frame).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, code));
    }
    let empty = DepositRequestFrame { seen: None, payments: Vec::new() };
    assert_eq!(world.http.post("/v1/deposits", &empty).await.code(), "empty-batch");
    let tokens = world.tokens(&[1]).await;
    let body = world.pay(tokens, "news.example", 1).0.to_body();
    let many = DepositRequestFrame { seen: None, payments: vec![body; 257] };
    assert_eq!(world.http.post("/v1/deposits", &many).await.code(), "too-many-payments");
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_says_the_same_as_the_frames() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let list = world.http.get("/v1/keysets", &[]).await;
    assert_eq!(list.headers["content-type"], JSON);
    let from_json: KeysetListFrame = serde_json::from_slice(&list.body).unwrap();
    let binary = world.http.get("/v1/keysets", &[("accept", BINARY)]).await;
    assert!(from_json == binary.frame::<KeysetListFrame>());
    assert_ne!(list.headers["etag"], binary.headers["etag"]);
    assert_eq!(binary.headers["cache-control"], "public, max-age=60");
    let tag = binary.headers["etag"].to_str().unwrap();
    let unchanged = world.http.get("/v1/keysets", &[("accept", BINARY), ("if-none-match", tag)]).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));

    let voucher = world.voucher(100).await;
    let plan = world.plan(&[100]);
    let open = plan.open(&world.root, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let answer = world.http.post_bytes("/v1/commitments", JSON, serde_json::to_vec(&open).unwrap()).await;
    let opened: OpenResponseFrame = serde_json::from_slice(&answer.body).unwrap();
    let keyset = world.keyset().clone();
    let pending = plan.blind(&world.seed, &world.root, &keyset, 0, &opened).unwrap();
    world.next_index = 1;
    let request: IssueRequestFrame = plan.request(&world.root, &pending, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let headers = [("content-type", "application/json; charset=utf-8"), ("accept", BINARY)];
    let body = serde_json::to_vec(&request).unwrap();
    let answer = world.http.try_send(Method::POST, "/v1/issue", &headers, body).await.unwrap();
    assert_eq!(answer.headers["content-type"], BINARY);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let tokens = pending.unblind(&answer.frame::<IssueResponseFrame>()).unwrap();
    let (deposit, _) = world.pay(tokens, "news.example", 60);
    let frame = DepositRequestFrame { seen: None, payments: vec![deposit.to_body()] };
    let answer = world.http.post_bytes("/v1/deposits", JSON, serde_json::to_vec(&frame).unwrap()).await;
    let settled: DepositResponseFrame = serde_json::from_slice(&answer.body).unwrap();
    world.outcomes(&settled, &[&deposit]);
    assert_eq!(world.earned("news.example").await, 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_excess_clients_are_answered_or_cut() {
    let mut world = World::new().await;
    let usual = world.options.clone();
    world.options.limits.request_time = std::time::Duration::from_secs(2);
    world.options.limits.header_time = std::time::Duration::from_secs(2);
    world.reopen().await;
    let mut slow = tokio::net::TcpStream::connect(world.http.address).await.unwrap();
    let head = format!("POST /v1/issue HTTP/1.1\r\nhost: a\r\ncontent-type: {BINARY}\r\ncontent-length: 100\r\n\r\nabc");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut text = vec![0; 4_096];
    let read = slow.read(&mut text).await.unwrap();
    let text = String::from_utf8_lossy(&text[..read]).into_owned();
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("request-timeout"), "{text}");
    let mut silent = tokio::net::TcpStream::connect(world.http.address).await.unwrap();
    silent.write_all(b"POST /v1").await.unwrap();
    let end = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await;
    assert!(end.is_ok(), "a head that never ends is cut");
    let issue = IssueRequestFrame {
        session: [1; 16].into(),
        challenges: vec![[1; 32].into()],
        proof: farthing_protocol::wire::ProofBody { t: [1; 32].into(), u: [1; 32].into() },
    };
    world.options = usual;
    world.options.limits.requests = 0;
    world.reopen().await;
    let answer = world.http.post("/v1/issue", &issue).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "overloaded"));
    assert!(answer.headers.contains_key("retry-after"));
}
