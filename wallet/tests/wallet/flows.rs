//! The wallet against a real mint and a real publisher: the whole loop, and every boundary at which it can be cut.

use crate::stage::{Fault, Stage, options, pay};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use farthing_protocol::amount::Amount;
use farthing_wallet::{DeliveryKind, PayOptions, PaymentState, Wallet, WalletError};

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

#[tokio::test]
async fn prepay_pay_read_again_change_and_refresh() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    assert_eq!(wallet.topup(&stage.voucher(3).await).await.unwrap(), units(3));
    assert!(matches!(pay(&mut wallet, &stage.url("/articles/4")).await, Err(WalletError::NotEnough)));
    assert_eq!(wallet.topup(&stage.voucher(5_000).await).await.unwrap(), units(5_000));
    stage.assert_conserved(&wallet).await;

    let paid = pay(&mut wallet, &stage.url("/articles/1234")).await.unwrap();
    assert_eq!((paid.kind, paid.amount, paid.body.as_slice()), (DeliveryKind::Paid, units(1_234), b"the article".as_slice()));
    let again = pay(&mut wallet, &stage.url("/articles/1234")).await.unwrap();
    assert_eq!((again.kind, again.amount), (DeliveryKind::ReadAgain, Amount::ZERO));
    assert_eq!(pay(&mut wallet, &stage.url("/free")).await.unwrap().kind, DeliveryKind::Free);
    stage.assert_conserved(&wallet).await;

    let tip = PayOptions { tip: Some(units(77)), max_price: Some(units(100)), ..PayOptions::default() };
    assert_eq!(wallet.pay(&stage.url("/tips"), tip, &mut |_, _| true).await.unwrap().amount, units(77));
    let report = wallet.refresh(true).await.unwrap();
    assert_eq!(report.lost, Amount::ZERO);
    stage.assert_conserved(&wallet).await;
    let history = wallet.history().unwrap();
    assert_eq!(history.len(), 2);
    assert!(history.iter().all(|payment| payment.state == PaymentState::Delivered { settled: true }));
    assert_eq!(stage.mint.publisher_balance(&stage.publisher).await.unwrap(), Some(units(1_311)));
}

#[tokio::test]
async fn a_wallet_without_exact_coins_gets_change_and_spends_it() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(2).await).await.unwrap();
    wallet.topup(&stage.voucher(5).await).await.unwrap();
    let before = wallet.balance().unwrap();
    assert_eq!(before.spendable, units(7));
    // Whatever coins there are, seven units are spent one by one: only change makes that possible.
    for (count, price) in
        ["/articles/1", "/articles/1?a", "/articles/1?b", "/articles/1?c", "/articles/1?d", "/articles/1?e", "/articles/1?f"]
            .into_iter()
            .enumerate()
    {
        let paid = pay(&mut wallet, &stage.url(price)).await.unwrap();
        assert_eq!(paid.amount, units(1), "{count}");
        stage.assert_conserved(&wallet).await;
    }
    assert!(matches!(pay(&mut wallet, &stage.url("/articles/1?g")).await, Err(WalletError::NotEnough)));
    assert_eq!(stage.mint.publisher_balance(&stage.publisher).await.unwrap(), Some(units(7)));
}

/// Named attack: lost response after booking.
#[tokio::test]
async fn an_issue_cut_off_anywhere_is_finished_by_the_same_command() {
    for path in ["/v1/vouchers", "/v1/commitments", "/v1/issue"] {
        for fault in [Fault::RequestLost, Fault::AnswerLost] {
            let mut stage = Stage::set().await;
            let mut wallet = stage.new_wallet().await;
            let voucher = stage.voucher(1_000).await;
            stage.mint_switch.arm(path, fault);
            let cut = wallet.topup(&voucher).await;
            assert!(matches!(cut, Err(WalletError::Unreachable(_))), "{path} {fault:?}: {cut:?}");
            // The wallet's process dies; in half of the cases the mint's too, with every nonce.
            let mut wallet = stage.reopen(wallet);
            if fault == Fault::RequestLost {
                stage.restart_mint().await;
            }
            assert_eq!(wallet.topup(&voucher).await.unwrap(), units(1_000), "{path} {fault:?}");
            assert_eq!(wallet.balance().unwrap().spendable, units(1_000));
            stage.assert_conserved(&wallet).await;
            assert!(matches!(wallet.topup(&voucher).await, Err(WalletError::VoucherEmpty)));
        }
    }
}

#[tokio::test]
async fn change_and_refresh_cut_off_anywhere_are_finished() {
    for path in ["/v1/commitments", "/v1/issue"] {
        for fault in [Fault::RequestLost, Fault::AnswerLost] {
            for all in [false, true] {
                let mut stage = Stage::set().await;
                let mut wallet = stage.new_wallet().await;
                wallet.topup(&stage.voucher(1_000).await).await.unwrap();
                wallet.refresh(true).await.unwrap();
                // The largest token pays a little, so that change is due.
                pay(&mut wallet, &stage.url("/articles/999")).await.unwrap();
                stage.mint_switch.arm(path, fault);
                let cut = wallet.refresh(all).await;
                let mut wallet = stage.reopen(wallet);
                if fault == Fault::RequestLost {
                    stage.restart_mint().await;
                }
                wallet.refresh(false).await.unwrap();
                let balance = wallet.balance().unwrap();
                assert_eq!(balance.spendable, units(1), "{path} {fault:?} {all} {cut:?}");
                stage.assert_conserved(&wallet).await;
            }
        }
    }
}

#[tokio::test]
async fn a_payment_cut_off_anywhere_is_finished_and_paid_once() {
    for (at_mint, path) in [(false, "/articles"), (true, "/v1/deposits")] {
        for fault in [Fault::RequestLost, Fault::AnswerLost] {
            let stage = Stage::set().await;
            let mut wallet = stage.new_wallet().await;
            wallet.topup(&stage.voucher(1_000).await).await.unwrap();
            let url = stage.url("/articles/500");
            // The first request of a payment asks for the price; it is the second one that carries money.
            let armed = if at_mint { &stage.mint_switch } else { &stage.publisher_switch };
            let mut confirm = |_: &farthing_wallet::Offer, _: Amount| {
                armed.arm(path, fault);
                true
            };
            let cut = wallet.pay(&url, PayOptions::default(), &mut confirm).await;
            assert!(matches!(cut, Err(WalletError::Unreachable(_) | WalletError::PublisherBusy { .. })), "{path} {fault:?}");
            let mut wallet = stage.reopen(wallet);
            assert_eq!(wallet.balance().unwrap().in_payments, units(500));
            let finished = loop {
                // The verifier repeats a lost deposit by itself; until then it says that it cannot decide.
                match pay(&mut wallet, &url).await {
                    Err(WalletError::PublisherBusy { .. }) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
                    other => break other.unwrap(),
                }
            };
            assert_eq!((finished.kind, finished.body.as_slice()), (DeliveryKind::Finished, b"the article".as_slice()), "{path} {fault:?}");
            assert_eq!(pay(&mut wallet, &url).await.unwrap().kind, DeliveryKind::ReadAgain);
            assert_eq!(stage.mint.publisher_balance(&stage.publisher).await.unwrap(), Some(units(500)));
            stage.assert_conserved(&wallet).await;
        }
    }
}

#[tokio::test]
async fn a_mint_that_repeats_commitments_is_refused() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    // Record one session's opening by playing the reader by hand, then have the mint answer every opening with it.
    let voucher = stage.voucher(1).await;
    let key = voucher.key().unwrap();
    let keyset = wallet.keysets().keysets()[0].clone();
    let plan = farthing_protocol::issue::SessionPlan {
        keyset: keyset.id(),
        denominations: vec![units(1)],
        recovery: [0; 32],
        recovery_commitment: [0; 32],
    };
    let mut rng = rand::rng();
    let funding = farthing_protocol::issue::FundingKeys::Voucher(&key);
    let frame = plan.open(&stage.mint.root(), &funding, &mut rng).unwrap();
    let client = reqwest::Client::new();
    let opened = client
        .post(format!("{}v1/commitments", stage.mint_url))
        .header("content-type", "application/vnd.farthing")
        .body(farthing_protocol::wire::Frame::to_bytes(&frame))
        .send()
        .await
        .unwrap();
    assert_eq!(opened.status(), 200);
    stage.mint_switch.replay_openings(opened.bytes().await.unwrap().to_vec());

    let other = stage.voucher(1).await;
    // The commitments are new to the wallet: it answers once, and the mint, which knows another funding, refuses.
    assert!(matches!(wallet.topup(&other).await, Err(WalletError::MintRefuses { .. })));
    let again = wallet.topup(&other).await;
    assert!(matches!(again, Err(WalletError::MintBroken("it repeats a commitment"))), "{again:?}");
    assert_eq!(wallet.balance().unwrap().spendable, Amount::ZERO);
}

#[tokio::test]
async fn a_refused_payments_tokens_come_back_by_a_refresh() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(1_000).await).await.unwrap();
    let refused = pay(&mut wallet, &stage.stranger().await).await;
    let Err(WalletError::PaymentRefused { code, proof: None }) = refused else { panic!("{refused:?}") };
    assert_eq!(code, "refused-unknown-publisher");
    let balance = wallet.balance().unwrap();
    assert_eq!((balance.spendable, balance.to_refresh), (units(500), units(500)));
    // The next payment needs them: the wallet refreshes by itself, and never pays with a token that has left.
    let paid = pay(&mut wallet, &stage.url("/articles/900")).await.unwrap();
    assert_eq!(paid.kind, DeliveryKind::Paid);
    wallet.refresh(false).await.unwrap();
    assert_eq!(wallet.balance().unwrap().spendable, units(100));
    stage.assert_conserved(&wallet).await;
}

#[tokio::test]
async fn limits_and_the_readers_no_cost_nothing() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(1_000).await).await.unwrap();
    let url = stage.url("/articles/500");
    let limit = PayOptions { max_price: Some(units(499)), tip: None, ..PayOptions::default() };
    assert!(matches!(wallet.pay(&url, limit, &mut |_, _| true).await, Err(WalletError::TooExpensive)));
    assert!(matches!(wallet.pay(&url, PayOptions::default(), &mut |_, _| false).await, Err(WalletError::Declined)));
    let tip = PayOptions { max_price: None, tip: Some(units(1_001)), ..PayOptions::default() };
    assert!(matches!(wallet.pay(&stage.url("/tips"), tip, &mut |_, _| true).await, Err(WalletError::Offer(_))));
    assert!(matches!(pay(&mut wallet, &stage.url("/nowhere")).await, Err(WalletError::PublisherStatus(404))));
    assert_eq!(wallet.balance().unwrap().spendable, units(1_000));
    assert!(wallet.history().unwrap().is_empty());
}

/// A site that hands on the challenge of the real publisher, to have its own article paid for with it.
async fn relay(State(target): State<url::Url>) -> Response {
    let page = reqwest::get(target).await.unwrap();
    let header = page.headers()["www-authenticate"].clone();
    (http::StatusCode::PAYMENT_REQUIRED, [("www-authenticate", header)], "pay").into_response()
}

/// Named attack: relayed challenge of another site.
#[tokio::test]
async fn a_relayed_offer_of_another_site_is_not_paid() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(1_000).await).await.unwrap();
    let app = axum::Router::new().route("/", axum::routing::get(relay)).with_state(stage.url("/articles/500"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let refused = pay(&mut wallet, &site).await;
    assert!(matches!(refused, Err(WalletError::Offer("it names another publisher than the page's own"))), "{refused:?}");
    let outside = pay(&mut wallet, &"http://192.0.2.1/".parse().unwrap()).await;
    assert!(matches!(outside, Err(WalletError::InsecureAddress)));
    assert_eq!(wallet.balance().unwrap().spendable, units(1_000));
}

#[tokio::test]
async fn the_file_is_its_owners_alone_and_one_process_has_it() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::set().await;
    let wallet = stage.new_wallet().await;
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(stage.wallet_directory().join("wallet.redb")), 0o600);
    assert_eq!(mode(stage.wallet_directory()), 0o700);
    assert!(matches!(Wallet::open(&stage.wallet_directory(), options()), Err(WalletError::Busy)));
    let again = Wallet::init(&stage.wallet_directory(), stage.mint_url.clone(), stage.mint.root(), options()).await;
    assert!(matches!(again, Err(WalletError::Exists)));
    drop(wallet);
    let elsewhere = stage.directory.path().join("nothing");
    assert!(matches!(Wallet::open(&elsewhere, options()), Err(WalletError::Missing)));
    // Another root key than the mint's own.
    let stranger = farthing_protocol::proof::LoneKey::generate(&mut rand::rng());
    let wrong = Wallet::init(&elsewhere, stage.mint_url.clone(), *stranger.public(), options()).await;
    assert!(matches!(wrong, Err(WalletError::Keysets(_))));
}
