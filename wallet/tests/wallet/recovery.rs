//! A key leaks, its denomination is frozen, and wallets get their money back by themselves.

use crate::stage::{Fault, Stage, options, pay};
use farthing_protocol::amount::Amount;
use farthing_wallet::{Wallet, WalletError};

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

/// Freezes denominations of the first keyset.
async fn freeze(stage: &Stage, denominations: &[u64]) {
    for denomination in denominations {
        stage.mint.freeze_denomination(0, units(*denomination)).await.unwrap();
    }
}

#[tokio::test]
async fn frozen_tokens_come_back_by_themselves() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    wallet.topup(&stage.voucher(3_000).await).await.unwrap();
    freeze(&stage, &[500, 1_000]).await;
    let report = wallet.refresh(false).await.unwrap();
    assert!(report.recovered >= units(2_000), "{report:?}");
    assert_eq!((report.recovery_waiting, report.refreshed, report.lost), (Amount::ZERO, Amount::ZERO, Amount::ZERO));
    assert_eq!(wallet.balance().unwrap().spendable, units(8_000));
    stage.assert_conserved(&wallet).await;
    assert_eq!(stage.mint.audit().await.unwrap().differences, []);
    // Nothing is left to be done, and what came back is money like any other.
    assert_eq!(wallet.refresh(false).await.unwrap().recovered, Amount::ZERO);
    pay(&mut wallet, &stage.url("/articles/4321")).await.unwrap();
    wallet.refresh(false).await.unwrap();
    assert_eq!(wallet.balance().unwrap().spendable, units(8_000 - 4_321));
    // New tokens are bought around what is frozen.
    wallet.topup(&stage.voucher(2_500).await).await.unwrap();
    assert_eq!(wallet.refresh(true).await.unwrap().recovered, Amount::ZERO);
    stage.assert_conserved(&wallet).await;
}

#[tokio::test]
async fn tokens_of_a_payment_that_came_to_nothing_are_recovered_too() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    freeze(&stage, &[1, 2, 5, 10, 20, 50, 100, 200, 500]).await;
    // The wallet does not know yet, and pays: the publisher's deposit is refused.
    assert!(matches!(pay(&mut wallet, &stage.url("/articles/888")).await, Err(WalletError::PaymentRefused { .. })));
    let report = wallet.refresh(false).await.unwrap();
    // Sessions whose part cannot be made of what is left wait for another keyset; nothing is lost meanwhile.
    assert_eq!(report.lost, Amount::ZERO);
    let balance = wallet.balance().unwrap();
    let held = [balance.spendable, balance.to_refresh, balance.in_payments, balance.in_issues];
    assert_eq!(Amount::checked_sum(held), Some(units(5_000)));
    stage.assert_conserved(&wallet).await;
}

#[tokio::test]
async fn what_cannot_be_made_without_the_frozen_denomination_waits_and_holds_nothing_up() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    freeze(&stage, &[1]).await;
    let report = wallet.refresh(false).await.unwrap();
    // A single token of the smallest denomination cannot be made of others.
    assert_eq!((report.recovery_waiting, report.recovered), (units(1), Amount::ZERO));
    assert_eq!(wallet.balance().unwrap().spendable, units(5_000));
    // A refresh of everything replaces what it can.
    let all = wallet.refresh(true).await.unwrap();
    assert_eq!((all.refreshed, all.recovery_waiting), (units(4_999), units(1)));
    // And others that are frozen later come back beside it.
    freeze(&stage, &[500]).await;
    let later = wallet.refresh(false).await.unwrap();
    assert!(later.recovered >= units(500) && later.recovery_waiting == units(1), "{later:?}");
    assert_eq!(wallet.balance().unwrap().spendable, units(5_000));
    stage.assert_conserved(&wallet).await;
}

#[tokio::test]
async fn a_recovery_is_finished_after_a_crash_at_any_stage() {
    for (path, fault, restart) in [
        ("/v1/frozen", Fault::RequestLost, false),
        ("/v1/commitments", Fault::RequestLost, false),
        ("/v1/commitments", Fault::AnswerLost, false),
        ("/v1/commitments", Fault::AnswerLost, true),
        ("/v1/issue", Fault::RequestLost, false),
        ("/v1/issue", Fault::RequestLost, true),
        ("/v1/issue", Fault::AnswerLost, false),
        ("/v1/issue", Fault::AnswerLost, true),
        ("/v1/issue", Fault::Answered(502, "bad-gateway"), false),
    ] {
        let mut stage = Stage::set().await;
        let mut wallet = stage.new_wallet().await;
        wallet.topup(&stage.voucher(5_000).await).await.unwrap();
        freeze(&stage, &[500]).await;
        stage.mint_switch.arm(path, fault);
        let interrupted = wallet.refresh(false).await;
        assert_eq!(interrupted.is_ok(), path == "/v1/frozen", "{path} {fault:?}");
        wallet = stage.reopen(wallet);
        let balance = wallet.balance().unwrap();
        let held = [balance.spendable, balance.to_refresh, balance.in_payments, balance.in_issues];
        assert_eq!(Amount::checked_sum(held), Some(units(5_000)), "{path} {fault:?}");
        if restart {
            stage.restart_mint().await;
        }
        let report = wallet.refresh(false).await.unwrap();
        assert!(!report.recovered.is_zero() && report.lost.is_zero(), "{path} {fault:?} {report:?}");
        assert_eq!(wallet.balance().unwrap().spendable, units(5_000), "{path} {fault:?}");
        stage.assert_conserved(&wallet).await;
        assert_eq!(stage.mint.audit().await.unwrap().differences, []);
    }
}

#[tokio::test]
async fn a_wallet_restored_from_its_seed_recovers() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    wallet.refresh(true).await.unwrap();
    let seed = wallet.seed_text();
    drop(wallet);
    freeze(&stage, &[500, 1_000]).await;
    let directory = stage.directory.path().join("second");
    let (mut wallet, _) = Wallet::restore(&directory, stage.mint_url.clone(), stage.mint.root(), &seed, options()).await.unwrap();
    // Those that were refreshed before are spent; only the mint knows which.
    let report = wallet.refresh(false).await.unwrap();
    assert!(!report.recovered.is_zero(), "{report:?}");
    assert_eq!(wallet.balance().unwrap().spendable, units(5_000));
    stage.assert_conserved(&wallet).await;
}

#[tokio::test]
async fn a_mint_that_only_says_so_gets_no_token_lost() {
    // The hint is unsigned. A denomination that is not frozen is not paid back by its session; its tokens stay, and are refreshed.
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    freeze(&stage, &[500]).await;
    stage.mint_switch.arm("/v1/commitments", Fault::Refused(409, "denomination-not-frozen"));
    stage.mint_switch.then("/v1/commitments", Fault::Refused(409, "denomination-not-frozen"));
    stage.mint_switch.then("/v1/commitments", Fault::Refused(409, "denomination-not-frozen"));
    let refused = wallet.refresh(false).await;
    assert!(matches!(&refused, Err(WalletError::MintRefuses { code }) if code == "denomination-not-frozen"), "{refused:?}");
    let mut wallet = stage.reopen(wallet);
    let balance = wallet.balance().unwrap();
    assert_eq!(balance.spendable.checked_add(balance.to_refresh), Some(units(5_000)));
    wallet.refresh(false).await.unwrap();
    assert_eq!(wallet.balance().unwrap().spendable, units(5_000));
}
