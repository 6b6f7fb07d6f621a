//! Refunded payments, and wallets that were lost.

use crate::stage::{Stage, options, pay};
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{LoneKey, PaymentId};
use farthing_protocol::refund;
use farthing_protocol::wire::{Frame, RefundOutcomeBody, RefundResponseFrame};
use farthing_wallet::{PaymentState, Wallet, WalletError};

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

/// The publisher gives a payment back.
async fn refund(stage: &Stage, payment: [u8; 32]) {
    let (mut rng, key) = (rand::rng(), LoneKey::generate(&mut rand::rng()));
    stage.mint.set_publisher_key(&stage.publisher, key.public()).await.unwrap();
    let frame = refund::request(&stage.mint.root(), PaymentId(payment), &stage.publisher, &key, &mut rng).unwrap();
    let sent = reqwest::Client::builder().no_proxy().build().unwrap().post(stage.mint_url.join("/v1/refunds").unwrap());
    let answer = sent.header("content-type", "application/vnd.farthing").body(frame.to_bytes()).send().await.unwrap();
    let answer = RefundResponseFrame::from_bytes(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(answer.outcome, RefundOutcomeBody::Refunded);
}

/// The wallet's file is gone; a new one is made from the seed, in another directory.
async fn restored(stage: &Stage, seed: &str, name: &str) -> Wallet {
    let directory = stage.directory.path().join(name);
    let (wallet, _) = Wallet::restore(&directory, stage.mint_url.clone(), stage.mint.root(), seed, options()).await.unwrap();
    wallet
}

#[tokio::test]
async fn a_refunded_payment_is_taken_back_once() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    let url = stage.url("/articles/1234");
    assert!(matches!(wallet.reclaim(&url).await, Err(WalletError::NothingPaid)));
    let paid = pay(&mut wallet, &url).await.unwrap();
    let refused = wallet.reclaim(&url).await;
    assert!(matches!(&refused, Err(WalletError::MintRefuses { code }) if code == "reclaim-unavailable"), "{refused:?}");
    refund(&stage, paid.payment).await;
    assert_eq!(wallet.reclaim(&url).await.unwrap(), units(1_234));
    assert!(matches!(wallet.reclaim(&url).await, Err(WalletError::NothingPaid)));
    wallet.refresh(false).await.unwrap();
    assert_eq!(wallet.balance().unwrap().spendable, units(5_000));
    stage.assert_conserved(&wallet).await;
    let mut wallet = stage.reopen(wallet);
    assert!(wallet.history().unwrap()[0].reclaimed);
    // What came back is money like any other.
    pay(&mut wallet, &stage.url("/articles/2000")).await.unwrap();
    stage.assert_conserved(&wallet).await;
}

#[tokio::test]
async fn a_lost_wallet_comes_back_from_its_seed() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    for amount in [30, 20] {
        wallet.topup(&stage.voucher(amount).await).await.unwrap();
    }
    pay(&mut wallet, &stage.url("/articles/12")).await.unwrap();
    wallet.refresh(true).await.unwrap();
    let paid = pay(&mut wallet, &stage.url("/articles/7")).await.unwrap();
    wallet.refresh(false).await.unwrap();
    let (seed, before) = (wallet.seed_text(), wallet.balance().unwrap().spendable);
    assert_eq!(before, units(50 - 12 - 7));
    drop(wallet);

    let mut wallet = restored(&stage, &seed, "second").await;
    let balance = wallet.balance().unwrap();
    assert_eq!((balance.spendable, balance.tokens), (Amount::ZERO, 0), "nothing that came back can be paid");
    assert!(balance.to_refresh >= before);
    let report = wallet.refresh(false).await.unwrap();
    assert_eq!(report.refreshed, before);
    assert_eq!(report.lost, balance.to_refresh.checked_sub(before).unwrap(), "what was spent before");
    assert!(!report.lost.is_zero() && paid.amount == units(7));
    stage.assert_conserved(&wallet).await;
    pay(&mut wallet, &stage.url("/articles/5")).await.unwrap();
    wallet.refresh(false).await.unwrap();
    let before = wallet.balance().unwrap().spendable;
    drop(wallet);

    // Lost again: what the first restore has issued is found too.
    let mut wallet = restored(&stage, &seed, "third").await;
    assert_eq!(wallet.refresh(false).await.unwrap().refreshed, before);
    stage.assert_conserved(&wallet).await;
    assert_eq!(*wallet.seed_text(), *seed);
}

/// Named attack: restore then pay.
#[tokio::test]
async fn a_restored_wallet_pays_only_what_it_has_refreshed() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(1_000).await).await.unwrap();
    let seed = wallet.seed_text();
    // Paid at a moment of which the seed knows nothing.
    pay(&mut wallet, &stage.url("/articles/600")).await.unwrap();
    drop(wallet);
    let mut wallet = restored(&stage, &seed, "second").await;
    let other = pay(&mut wallet, &stage.url("/articles/900")).await;
    assert!(matches!(other, Err(WalletError::NotEnough)), "{other:?}");
    // It refreshed what was left before it would pay, so that no publisher ever sees an old token.
    let balance = wallet.balance().unwrap();
    assert!(balance.to_refresh.is_zero() && balance.in_payments.is_zero());
    if !balance.spendable.is_zero() {
        let price = balance.spendable.units().min(50);
        pay(&mut wallet, &stage.url(&format!("/articles/{price}"))).await.unwrap();
    }
    assert!(wallet.history().unwrap().iter().all(|payment| payment.state == PaymentState::Delivered { settled: true }));
    assert!(stage.mint.status().await.unwrap().balanced);
}

#[tokio::test]
async fn a_seed_that_was_never_used_or_mistyped_or_whose_wallet_is_there() {
    let stage = Stage::set().await;
    let wallet = stage.new_wallet().await;
    let seed = wallet.seed_text();
    let fresh = restored(&stage, &seed, "second").await;
    assert_eq!(fresh.balance().unwrap().to_refresh, Amount::ZERO);
    let again = |seed: String, directory: &'static str| {
        let directory = stage.directory.path().join(directory);
        let (url, root) = (stage.mint_url.clone(), stage.mint.root());
        async move { Wallet::restore(&directory, url, root, &seed, options()).await.err().unwrap().code() }
    };
    assert_eq!(again(seed.to_string(), "wallet").await, "wallet-exists");
    assert_eq!(again(seed[..seed.len() - 1].to_owned(), "third").await, "bad-seed");
    let other = if seed.ends_with('7') { "8" } else { "7" };
    assert_eq!(again([&seed[..seed.len() - 1], other].concat(), "third").await, "bad-seed");
    assert!(!stage.directory.path().join("third").exists());
}
