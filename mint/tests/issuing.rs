//! Issuing over HTTP: vouchers, refreshes, change, repeats, races and endings.

mod common;

use common::{World, copy, statement};
use farthing_mint::store::sqlite::SqliteLedger;
use farthing_mint::store::{Ledger, SessionRow};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::proof::LoneKey;
use farthing_protocol::settle::Outcome;
use farthing_protocol::token::OwnedTokens;
use farthing_protocol::wire::{Frame, IssueResponseFrame, OpenResponseFrame};
use http::StatusCode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voucher_becomes_tokens_and_tokens_become_a_credit() {
    let mut world = World::new().await;
    world.mint.add_publisher("News.Example").await.unwrap();
    let voucher = world.voucher(1_000).await;
    let tokens = world.issue(&[100, 500], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let left = world.http.get(&format!("/v1/vouchers/{}", farthing_mint::key_text(voucher.public())), &[]).await;
    assert_eq!(&left.body[..], br#"{"balance":"400","currency":"eur/100000"}"#);
    let (deposit, _) = world.pay(tokens, "news.example", 550);
    assert!(world.deposit(&[&deposit]).await == [Outcome::Credited { change: deposit.payment().change() }]);
    assert!(world.deposit(&[&deposit]).await == [Outcome::AlreadyCredited { change: deposit.payment().change() }]);
    let status = world.balanced().await;
    assert_eq!(world.earned("news.example").await, 550);
    assert_eq!((status.sold.units(), status.vouchers.units(), status.change_due.units()), (1_000, 400, 50));
    assert_eq!(status.outstanding.units(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_issue_request_gets_the_same_response_for_good() {
    let mut world = World::new().await;
    let voucher = world.voucher(600).await;
    let (pending, request) = world.session(&[100, 500], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let http = world.http.clone();
    // In parallel, then in sequence, then from another process.
    let (first, second) = tokio::join!(http.post("/v1/issue", &request), http.post("/v1/issue", &request));
    assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(first.body, second.body);
    world.reopen().await;
    let third = world.http.post("/v1/issue", &request).await;
    assert_eq!(first.body, third.body);
    assert_eq!(pending.unblind(&third.frame::<IssueResponseFrame>()).unwrap().len(), 2);
    // Other challenges for the same session.
    let mut other = request.clone();
    other.challenges.swap(0, 1);
    assert_eq!(world.http.post("/v1/issue", &other).await.code(), "session-answered");
    let status = world.balanced().await;
    assert_eq!(status.outstanding.units(), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_open_request_gets_the_same_session_and_others_wait() {
    let mut world = World::new().await;
    let voucher = world.voucher(600).await;
    let plan = world.plan(&[100]);
    let open = plan.open(&world.root, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let again = plan.open(&world.root, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    assert_ne!(open.proof, again.proof, "proofs are fresh, the request is the same");
    let first: OpenResponseFrame = world.http.post("/v1/commitments", &open).await.frame();
    let second: OpenResponseFrame = world.http.post("/v1/commitments", &again).await.frame();
    assert!(first == second);
    let other = world.plan(&[200]).open(&world.root, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let busy = world.http.post("/v1/commitments", &other).await;
    assert_eq!(busy.code(), "session-busy");
    assert!(busy.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 120);
}

/// Named attack: slow commit against retried session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_session_is_cancelled_before_it_is_called_gone() {
    let mut world = World::new().await;
    let voucher = world.voucher(100).await;
    let (_, request) = world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    world.reopen().await;
    let gone = world.http.post("/v1/issue", &request).await;
    assert_eq!((gone.status, gone.code().as_str()), (StatusCode::GONE, "session-gone"));
    let ledger = SqliteLedger::open(&world.ledger_path()).await.unwrap();
    assert_eq!(ledger.session(request.session.0).await.unwrap(), Some(SessionRow::Cancelled));
    // An id the mint never made leaves no row behind.
    let mut invented = request.clone();
    invented.session.0[0] ^= 1;
    assert_eq!(world.http.post("/v1/issue", &invented).await.code(), "session-gone");
    assert_eq!(ledger.session(invented.session.0).await.unwrap(), None);
    // The money is still there.
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap().len(), 1);
    world.balanced().await;
}

/// Named attack: slow commit against retried session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_cancelled_elsewhere_is_never_booked() {
    // The slow commit: this process still holds the nonces when another one has already told the reader that the session is gone.
    let mut world = World::new().await;
    let voucher = world.voucher(100).await;
    let (_, request) = world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let ledger = SqliteLedger::open(&world.ledger_path()).await.unwrap();
    assert_eq!(ledger.cancel_session(request.session.0, world.now()).await.unwrap(), SessionRow::Cancelled);
    assert_eq!(world.http.post("/v1/issue", &request).await.code(), "session-gone");
    let status = world.balanced().await;
    assert_eq!((status.vouchers.units(), status.outstanding.units()), (100, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonces_die_after_two_minutes_and_when_the_clocks_disagree() {
    let mut world = World::new().await;
    let (one, two) = (world.voucher(100).await, world.voucher(100).await);
    let (_, request) = world.session(&[100], &FundingKeys::Voucher(&one)).await.unwrap();
    world.hands.forward(121);
    assert_eq!(world.http.post("/v1/issue", &request).await.code(), "session-gone");
    // A snapshot revived: the wall clock went on, the process did not.
    let (_, request) = world.session(&[100], &FundingKeys::Voucher(&two)).await.unwrap();
    world.hands.wall.fetch_add(30, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(world.http.post("/v1/issue", &request).await.code(), "session-gone");
    // A clock that jumps stops what cannot be undone.
    world.hands.wall.fetch_add(40_000, std::sync::atomic::Ordering::SeqCst);
    let plan = world.plan(&[100]).open(&world.root, &FundingKeys::Voucher(&two), &mut world.rng).unwrap();
    let answer = world.http.post("/v1/commitments", &plan).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(world.http.get("/readyz", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.http.get("/livez", &[]).await.status, StatusCode::OK);
    assert_eq!(world.balanced().await.vouchers.units(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voucher_is_not_overspent_by_two_sessions_at_once() {
    // Two processes, each with a session of the same voucher: only the ledger can tell.
    let mut world = World::new().await;
    let voucher = world.voucher(150).await;
    let other = farthing_mint::Mint::open(world.path(), world.options.clone()).await.unwrap();
    let router = other.router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let (_, first) = world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let here = std::mem::replace(&mut world.http, common::Http::new(address));
    let (_, second) = world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let (a, b) = tokio::join!(here.post("/v1/issue", &first), world.http.post("/v1/issue", &second));
    let mut codes = [&a, &b].map(|answer| if answer.status == StatusCode::OK { "ok".into() } else { answer.code() });
    codes.sort();
    assert_eq!(codes, ["ok", "voucher-insufficient"]);
    let status = world.balanced().await;
    assert_eq!((status.vouchers.units(), status.outstanding.units()), (50, 100));
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vouchers_that_do_not_pay() {
    let mut world = World::new().await;
    let stranger = LoneKey::generate(&mut world.rng);
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&stranger)).await.err().unwrap(), "voucher-unknown");
    let voucher = world.voucher(99).await;
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "voucher-insufficient");
    assert_eq!(world.issue(&[3], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "issue-invalid-denominations");
    let unknown = farthing_mint::key_text(stranger.public());
    assert_eq!(world.http.get(&format!("/v1/vouchers/{unknown}"), &[]).await.code(), "voucher-unknown");
    assert_eq!(world.http.get("/v1/vouchers/x", &[]).await.code(), "voucher-unknown");
    assert_eq!(world.balanced().await.vouchers.units(), 99);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_spends_its_tokens_once() {
    let mut world = World::new().await;
    let tokens = world.tokens(&[100, 500]).await;
    let copied = tokens.iter().map(copy).collect();
    let retired = OwnedTokens::new(tokens).unwrap().retire();
    let fresh = world.issue(&[200, 200, 200], &FundingKeys::Refresh(&retired)).await.unwrap();
    assert_eq!(world.issue(&[100, 500], &FundingKeys::Refresh(&retired)).await.err().unwrap(), "token-spent");
    let retired = OwnedTokens::new(copied).unwrap().retire();
    assert_eq!(world.issue(&[100, 500], &FundingKeys::Refresh(&retired)).await.err().unwrap(), "token-spent");
    let fresh = OwnedTokens::new(fresh).unwrap().retire();
    assert_eq!(world.issue(&[100, 500], &FundingKeys::Refresh(&fresh)).await.unwrap().len(), 2);
    let status = world.balanced().await;
    assert_eq!((status.outstanding.units(), status.keysets[0].issued.units(), status.keysets[0].redeemed.units()), (600, 1_800, 1_200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_is_paid_out_once_and_exactly() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let tokens = world.tokens(&[500]).await;
    let deposit_by = world.now() + 3_600;
    let (deposit, used) = world.pay_until(tokens, "news.example", 300, deposit_by);
    let said = statement("news.example", 300, deposit_by);
    let funding = FundingKeys::Change(&used, said);
    assert_eq!(world.issue(&[200], &funding).await.err().unwrap(), "change-unavailable", "not settled yet");
    world.deposit(&[&deposit]).await;
    assert_eq!(world.issue(&[100], &funding).await.err().unwrap(), "issue-amount-mismatch");
    assert_eq!(world.issue(&[500], &funding).await.err().unwrap(), "issue-amount-mismatch");
    assert_eq!(world.balanced().await.change_due.units(), 200);
    assert_eq!(world.issue(&[100, 100], &funding).await.unwrap().len(), 2);
    assert_eq!(world.issue(&[200], &funding).await.err().unwrap(), "change-unavailable");
    let status = world.balanced().await;
    assert_eq!((status.change_due.units(), status.outstanding.units(), status.credits.units()), (0, 200, 300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_proof_costs_the_session_nothing() {
    let mut world = World::new().await;
    let voucher = world.voucher(100).await;
    let (pending, request) = world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let mut forged = request.clone();
    forged.proof.u.0[0] ^= 1;
    assert_eq!(world.http.post("/v1/issue", &forged).await.code(), "issue-invalid-proof");
    let mut short = request.clone();
    short.challenges.push(short.challenges[0]);
    assert_eq!(world.http.post("/v1/issue", &short).await.code(), "issue-count-mismatch");
    let answer = world.http.post("/v1/issue", &request).await;
    assert!(pending.unblind(&IssueResponseFrame::from_bytes(&answer.body).unwrap()).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_end_issuing_and_refreshing() {
    const DAY: u64 = 86_400;
    let mut world = World::new().await;
    let tokens = world.tokens(&[100]).await;
    let voucher = world.voucher(100).await;
    for _ in 0..9 {
        world.hands.forward(10 * DAY);
    }
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "keyset-not-issuing");
    let retired = OwnedTokens::new(tokens).unwrap().retire();
    assert_eq!(world.issue(&[100], &FundingKeys::Refresh(&retired)).await.err().unwrap(), "keyset-not-issuing");
    assert_eq!(world.balanced().await.outstanding.units(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_bounded() {
    let mut options = farthing_mint::MintOptions::default();
    options.limits.sessions = 1;
    let mut world = World::with(options).await;
    let (one, two) = (world.voucher(100).await, world.voucher(100).await);
    let (_, request) = world.session(&[100], &FundingKeys::Voucher(&one)).await.unwrap();
    assert_eq!(world.session(&[100], &FundingKeys::Voucher(&two)).await.err().unwrap(), "too-many-sessions");
    assert_eq!(world.http.post("/v1/issue", &request).await.status, StatusCode::OK);
    assert!(world.session(&[100], &FundingKeys::Voucher(&two)).await.is_ok());
    world.hands.forward(121);
    let three = world.voucher(100).await;
    assert!(world.session(&[100], &FundingKeys::Voucher(&three)).await.is_ok(), "dead sessions make room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smallest_tokens_do_not_keep_everybody_out() {
    let mut options = farthing_mint::MintOptions::default();
    options.limits.sessions = 2;
    let mut world = World::with(options).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let voucher = world.voucher(1).await;
        held.push(world.session(&[1], &FundingKeys::Voucher(&voucher)).await.unwrap());
    }
    let small = world.voucher(1).await;
    assert_eq!(world.session(&[1], &FundingKeys::Voucher(&small)).await.err().unwrap(), "too-many-sessions");
    let reader = world.voucher(100).await;
    let (pending, request) = world.session(&[100], &FundingKeys::Voucher(&reader)).await.unwrap();
    // One of the small ones is gone, durably, and nothing was booked for it; the other is answered.
    let mut codes = Vec::new();
    for (_, request) in &held {
        codes.push(world.http.post("/v1/issue", request).await.status.as_u16());
    }
    codes.sort_unstable();
    assert_eq!(codes, [200, 410]);
    let answer = world.http.post("/v1/issue", &request).await;
    assert!(pending.unblind(&IssueResponseFrame::from_bytes(&answer.body).unwrap()).is_ok());
    assert_eq!(world.balanced().await.outstanding.units(), 101);
}
