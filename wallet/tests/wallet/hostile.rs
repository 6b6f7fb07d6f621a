//! Mints, publishers and go-betweens that lie: what they may cost the reader, and what never.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::stage::{Fault, Stage, options, pay, problem};
use axum::response::{IntoResponse, Response};
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::error::KeysetError;
use farthing_protocol::http::{ChargeRequest, INTENT, METHOD, MethodDetails};
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::proof::LoneKey;
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::Frame;
use farthing_wallet::{ClientOptions, DeliveryKind, PaymentState, Wallet, WalletError};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::AsyncReadExt;

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

#[tokio::test]
async fn a_gateways_refusal_of_an_issue_that_was_booked_loses_nothing() {
    for (status, code) in [(403, ""), (404, "not-found"), (302, ""), (413, "body-too-large")] {
        let stage = Stage::set().await;
        let mut wallet = stage.new_wallet().await;
        let voucher = stage.voucher(1_000).await;
        stage.mint_switch.arm("/v1/issue", Fault::Answered(status, code));
        let refused = wallet.topup(&voucher).await;
        assert!(matches!(refused, Err(WalletError::MintRefuses { .. })), "{refused:?}");
        stage.assert_conserved(&wallet).await;
        assert_eq!(wallet.topup(&voucher).await.unwrap(), units(1_000), "{status}");
        stage.assert_conserved(&wallet).await;
        // The same for tokens.
        stage.mint_switch.arm("/v1/issue", Fault::Answered(status, code));
        assert!(wallet.refresh(true).await.is_err());
        wallet.refresh(false).await.unwrap();
        assert_eq!(wallet.balance().unwrap().spendable, units(1_000));
        stage.assert_conserved(&wallet).await;
    }
}

#[tokio::test]
async fn a_token_the_mint_will_not_take_back_keeps_no_other_from_being_refreshed() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(1_000).await).await.unwrap();
    let tokens = wallet.balance().unwrap().tokens;
    assert!(tokens > 3);
    pay(&mut wallet, &stage.url("/articles/999")).await.unwrap();
    wallet.topup(&stage.voucher(1_000).await).await.unwrap();
    // The first token is past its keyset's refresh: it spoils its group, and it is refused again by itself.
    let closed = Fault::Refused(409, "keyset-not-refreshing");
    stage.mint_switch.arm("/v1/commitments", closed);
    stage.mint_switch.then("/v1/commitments", closed);
    let report = wallet.refresh(true).await;
    assert!(matches!(&report, Err(WalletError::MintRefuses { code }) if code == "keyset-not-refreshing"), "{report:?}");
    let balance = wallet.balance().unwrap();
    assert!(!balance.spendable.is_zero() && !balance.to_refresh.is_zero(), "{balance:?}");
    assert_eq!(Amount::checked_sum([balance.spendable, balance.to_refresh]), Some(units(1_001)));
    stage.assert_conserved(&wallet).await;
}

/// Buys 1 + 2 + 2 and spends the one.
async fn only_twos(stage: &Stage, wallet: &mut Wallet) {
    wallet.topup(&stage.voucher(5).await).await.unwrap();
    assert_eq!(pay(wallet, &stage.url("/articles/1")).await.unwrap().change, Amount::ZERO);
}

/// Named attack: publisher refuses, reader spends elsewhere, publisher deposits after all.
#[tokio::test]
async fn a_publisher_that_refuses_a_payment_and_deposits_it_does_not_burn_the_change() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    only_twos(&stage, &mut wallet).await;
    let mut confirm = |_: &farthing_wallet::Offer, _: Amount| {
        stage.publisher_switch.arm("/articles", Fault::Answered(402, "challenge-unknown"));
        true
    };
    let refused = wallet.pay(&stage.url("/articles/1?b"), farthing_wallet::PayOptions::default(), &mut confirm).await;
    assert!(matches!(refused, Err(WalletError::PaymentRefused { .. })), "{refused:?}");
    assert_eq!(stage.mint.publisher_balance(&stage.publisher).await.unwrap(), Some(units(2)));
    assert!(matches!(wallet.history().unwrap()[1].state, PaymentState::Refused { .. }));
    let report = wallet.refresh(false).await.unwrap();
    assert_eq!((report.change, report.lost), (units(1), Amount::ZERO));
    assert_eq!(wallet.balance().unwrap().spendable, units(3));
    stage.assert_conserved(&wallet).await;
    // What was paid for can be read.
    assert_eq!(pay(&mut wallet, &stage.url("/articles/1?b")).await.unwrap().kind, DeliveryKind::ReadAgain);
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A site that never deposits: it delivers to whoever sends anything, or refuses with this code.
async fn idle_site(stage: &Stage, head: [u8; 32], deposit_by: u64, refuses: Option<&'static str>) -> url::Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let page = format!("http://{name}/page");
    let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let request = ChargeRequest {
        amount: "1".into(),
        currency: "eur/100000".into(),
        recipient: name.clone(),
        external_id: "page".into(),
        method_details: MethodDetails {
            scope: None,
            mint: stage.mint_url.to_string(),
            keysets: encode(&head),
            title: "A page".into(),
            access: 3_600,
            resource: encode(&Sha256::digest(page.as_bytes())),
            deposit_by,
            minimum: None,
            maximum: None,
        },
    };
    let expires = OffsetDateTime::from_unix_timestamp(i64::try_from(unix_now() + 60).unwrap()).unwrap().format(&Rfc3339).unwrap();
    let request = mpp::Base64UrlJson::from_typed(&request).unwrap();
    let challenge =
        mpp::PaymentChallenge::with_secret_key_full("secret", &name, METHOD, INTENT, request, Some(&expires), None, None, None, None);
    let challenge = mpp::format_www_authenticate(&challenge).unwrap();
    let serve = move |headers: http::HeaderMap| async move {
        match refuses {
            None if headers.contains_key("authorization") => "the page".into_response(),
            Some(code) if headers.contains_key("authorization") => problem(402, code),
            _ => (http::StatusCode::PAYMENT_REQUIRED, [("www-authenticate", challenge)], "pay").into_response() as Response,
        }
    };
    let app = axum::Router::new().route("/page", axum::routing::get(serve));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    page.parse().unwrap()
}

/// A wallet of twos that has paid one unit to a site that never deposits, after the time for that, before which `meanwhile` held. A
/// machine on which that time was too short is given more.
async fn paid_to_an_idle_site(mut meanwhile: impl AsyncFnMut(&mut Wallet) -> bool) -> (Stage, Wallet) {
    for seconds in [3, 20, 120] {
        let stage = Stage::set().await;
        let mut wallet = stage.new_wallet().await;
        only_twos(&stage, &mut wallet).await;
        let until = unix_now() + seconds;
        let page = idle_site(&stage, wallet.keysets().head(), until, None).await;
        let paid = pay(&mut wallet, &page).await;
        if unix_now() >= until {
            continue;
        }
        let paid = paid.unwrap();
        assert_eq!((paid.kind, paid.change), (DeliveryKind::Paid, units(1)));
        let held = meanwhile(&mut wallet).await;
        if unix_now() >= until {
            continue;
        }
        assert!(held, "the publisher may still deposit");
        while unix_now() <= until {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        return (stage, wallet);
    }
    panic!("nothing is paid in two minutes");
}

#[tokio::test]
async fn a_publisher_that_delivers_and_never_deposits_does_not_burn_the_change() {
    let (stage, mut wallet) = paid_to_an_idle_site(async |wallet| wallet.refresh(false).await.unwrap().change_waiting == units(1)).await;
    assert_eq!(wallet.refresh(false).await.unwrap().refreshed, units(2));
    assert_eq!(wallet.balance().unwrap().spendable, units(4));
    stage.assert_conserved(&wallet).await;
    assert_eq!(wallet.history().unwrap()[1].state, PaymentState::Delivered { settled: false });
}

#[tokio::test]
async fn a_publisher_that_says_refunded_and_never_deposits_burns_nothing() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    // 1 + 2 + 2: one payment without change, one with.
    wallet.topup(&stage.voucher(5).await).await.unwrap();
    for (change, left) in [(0, 5), (1, 4)] {
        let page = idle_site(&stage, wallet.keysets().head(), unix_now() + 3_600, Some("refused-refunded")).await;
        let refused = pay(&mut wallet, &page).await;
        assert!(matches!(&refused, Err(WalletError::PaymentRefused { code, .. }) if code == "refused-refunded"), "{refused:?}");
        assert_eq!(wallet.history().unwrap().last().unwrap().change, units(change));
        // The mint has nothing to give back, so that the tokens are as good as before: long before the publisher's time is over.
        let report = wallet.refresh(false).await.unwrap();
        assert_eq!((report.refreshed, report.lost), (units(1 + change), Amount::ZERO));
        assert_eq!(wallet.balance().unwrap().spendable, units(left));
        stage.assert_conserved(&wallet).await;
        assert_eq!(wallet.history().unwrap().last().unwrap().state, PaymentState::Refused { code: "not-refunded".into() });
        assert_nothing_left(&mut wallet).await;
        // The only token of one unit goes.
        pay(&mut wallet, &stage.url("/articles/1")).await.unwrap();
    }
}

#[tokio::test]
async fn a_publisher_that_says_refunded_and_has_deposited_costs_its_price_and_no_more() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    // Of 1 + 2 + 2.
    wallet.topup(&stage.voucher(5).await).await.unwrap();
    for (page, change) in [("/articles/1", 0), ("/articles/1?b", 1)] {
        let mut confirm = |_: &farthing_wallet::Offer, _: Amount| {
            stage.publisher_switch.arm("/articles", Fault::Answered(402, "refused-refunded"));
            true
        };
        let refused = wallet.pay(&stage.url(page), farthing_wallet::PayOptions::default(), &mut confirm).await;
        assert!(matches!(refused, Err(WalletError::PaymentRefused { .. })), "{refused:?}");
        let report = wallet.refresh(false).await.unwrap();
        assert_eq!((report.refreshed, report.change, report.lost), (Amount::ZERO, units(change), Amount::ZERO));
        stage.assert_conserved(&wallet).await;
        assert_eq!(wallet.history().unwrap().last().unwrap().state, PaymentState::Delivered { settled: true });
        assert_nothing_left(&mut wallet).await;
    }
    assert_eq!(wallet.balance().unwrap().spendable, units(3));
    assert_eq!(stage.mint.publisher_balance(&stage.publisher).await.unwrap(), Some(units(2)));
}

/// Another refresh has nothing to ask the mint for.
async fn assert_nothing_left(wallet: &mut Wallet) {
    let before = wallet.balance().unwrap();
    let report = wallet.refresh(false).await.unwrap();
    let sums =
        [report.refreshed, report.change, report.change_waiting, report.reclaimed, report.recovered, report.recovery_waiting, report.lost];
    assert_eq!(Amount::checked_sum(sums), Some(Amount::ZERO), "{report:?}");
    assert_eq!(wallet.balance().unwrap(), before);
}

#[tokio::test]
async fn a_copied_wallet_whose_change_and_tokens_are_gone_comes_to_an_end() {
    let (stage, wallet) = paid_to_an_idle_site(async |_| true).await;
    drop(wallet);
    let copy = stage.directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(stage.wallet_directory()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let mut wallet = Wallet::open(&stage.wallet_directory(), options()).unwrap();
    assert_eq!(wallet.refresh(false).await.unwrap().refreshed, units(2));
    stage.assert_conserved(&wallet).await;
    // The copy is refused the change and the tokens both.
    let mut wallet = Wallet::open(&copy, options()).unwrap();
    let report = wallet.refresh(false).await.unwrap();
    assert_eq!((report.refreshed, report.change, report.lost), (Amount::ZERO, Amount::ZERO, units(1)));
    assert_nothing_left(&mut wallet).await;
    let balance = wallet.balance().unwrap();
    assert_eq!((balance.to_refresh, balance.change_due), (Amount::ZERO, Amount::ZERO));
}

/// A mint that serves nothing but the keyset list it is told to.
async fn list_server() -> (url::Url, Arc<Mutex<Vec<u8>>>) {
    let list = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&list);
    let serve = axum::routing::get(move || async move { shown.lock().unwrap().clone() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let app = axum::Router::new().route("/v1/keysets", serve);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, list)
}

fn announce(list: &mut KeysetList, currency: &str, root: &LoneKey) {
    let mut rng = rand::rng();
    let published = unix_now() - 2 * 86_400 + list.keysets().len() as u64;
    let from = published + 86_400;
    let proposal = Proposal {
        published,
        unit: Unit::new(currency, 5).unwrap(),
        windows: Windows {
            issue_from: from,
            issue_until: from + 30 * 86_400,
            spend_until: from + 60 * 86_400,
            refresh_until: from + 90 * 86_400,
            deposit_until: from + 90 * 86_400,
        },
        receipt_key: *LoneKey::generate(&mut rng).public(),
        keys: vec![(units(1), *LoneKey::generate(&mut rng).public())],
    };
    list.announce(proposal, root, &mut rng).unwrap();
}

/// Named attack: one keyset per reader.
#[tokio::test]
async fn a_forked_keyset_list_stops_the_wallet_for_good_and_its_evidence_stays() {
    let (url, shown) = list_server().await;
    let root = LoneKey::generate(&mut rand::rng());
    let (mut one, mut two) = (KeysetList::new(*root.public()), KeysetList::new(*root.public()));
    announce(&mut one, "eur", &root);
    announce(&mut two, "eur", &root);
    *shown.lock().unwrap() = one.to_frame().to_bytes();
    let directory = tempfile::tempdir().unwrap();
    let mut wallet = Wallet::init(&directory.path().join("wallet"), url, *root.public(), options()).await.unwrap();
    wallet.update_keysets().await.unwrap();
    assert!(wallet.forked_keysets().unwrap().is_none());
    *shown.lock().unwrap() = two.to_frame().to_bytes();
    let forked = wallet.update_keysets().await;
    assert!(matches!(forked, Err(WalletError::Keysets(KeysetError::Forked))), "{forked:?}");
    // The mint takes it back, and then shows something that is no list of its own.
    for later in [one.to_frame(), KeysetList::new(*root.public()).to_frame()] {
        *shown.lock().unwrap() = later.to_bytes();
        assert!(matches!(wallet.update_keysets().await, Err(WalletError::Keysets(KeysetError::Forked))));
    }
    drop(wallet);
    let mut wallet = Wallet::open(&directory.path().join("wallet"), options()).unwrap();
    assert!(wallet.forked_keysets().unwrap().is_some_and(|[known, other]| known == one.to_frame() && other == two.to_frame()));
    // No token is bought or paid any more.
    let topup = wallet.topup(&VoucherCode::generate(&mut rand::rng())).await;
    assert!(matches!(topup, Err(WalletError::Keysets(KeysetError::Forked))), "{topup:?}");
    let paid = pay(&mut wallet, &"http://127.0.0.1:1/".parse().unwrap()).await;
    assert!(matches!(paid, Err(WalletError::Keysets(KeysetError::Forked))), "{paid:?}");
}

#[tokio::test]
async fn a_keyset_of_another_unit_does_not_change_what_the_wallet_counts_in() {
    let (url, shown) = list_server().await;
    let root = LoneKey::generate(&mut rand::rng());
    let mut list = KeysetList::new(*root.public());
    announce(&mut list, "eur", &root);
    *shown.lock().unwrap() = list.to_frame().to_bytes();
    let directory = tempfile::tempdir().unwrap();
    let mut wallet = Wallet::init(&directory.path().join("wallet"), url, *root.public(), options()).await.unwrap();
    announce(&mut list, "jpy", &root);
    *shown.lock().unwrap() = list.to_frame().to_bytes();
    wallet.update_keysets().await.unwrap();
    drop(wallet);
    let wallet = Wallet::open(&directory.path().join("wallet"), options()).unwrap();
    assert_eq!(wallet.unit().name(), "eur/100000");
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_never_gone_around() {
    let stage = Stage::set().await;
    for proxy in ["socks5h://127.0.0.1:1", "socks4://127.0.0.1:1", "http://127.0.0.1:1", "ftp://127.0.0.1:1"] {
        let options = ClientOptions { proxy: Some(proxy.parse().unwrap()), ..options() };
        let made = Wallet::init(&stage.directory.path().join("other"), stage.mint_url.clone(), stage.mint.root(), options).await;
        assert!(made.is_err(), "{proxy}");
    }
    // What is in clear text on this machine would be so on another.
    let options_there = ClientOptions { proxy: Some("http://proxy.example:3128".parse().unwrap()), ..options() };
    let made = Wallet::init(&stage.directory.path().join("other"), stage.mint_url.clone(), stage.mint.root(), options_there).await;
    assert!(matches!(made, Err(WalletError::InsecureAddress)));
    // A SOCKS proxy is spoken to in SOCKS, and asked for the name.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("socks5h://{}", listener.local_addr().unwrap()).parse().unwrap();
    let greeted = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap()
    });
    let options = ClientOptions { proxy: Some(proxy), ..options() };
    let made = Wallet::init(&stage.directory.path().join("other"), stage.mint_url.clone(), stage.mint.root(), options).await;
    assert!(made.is_err());
    assert_eq!(tokio::time::timeout(crate::stage::PATIENCE, greeted).await.unwrap().unwrap(), 5);
}

#[tokio::test]
async fn a_publisher_that_has_forgotten_a_payment_can_be_paid_again() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(100).await).await.unwrap();
    let url = stage.url("/articles/5");
    assert_eq!(pay(&mut wallet, &url).await.unwrap().kind, DeliveryKind::Paid);
    for (code, then) in [("challenge-expired", DeliveryKind::ReadAgain), ("reread-unknown", DeliveryKind::Paid)] {
        stage.publisher_switch.arm("/articles", Fault::Nothing);
        stage.publisher_switch.then("/articles", Fault::Refused(402, code));
        assert!(matches!(pay(&mut wallet, &url).await, Err(WalletError::PaymentRefused { .. })));
        assert_eq!(pay(&mut wallet, &url).await.unwrap().kind, then, "{code}");
    }
}
