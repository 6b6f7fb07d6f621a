//! Named attacks (spec/attacks.md) that need a wallet, a publisher and the mint.

use crate::stage::{Fault, Stage, options, pay};
use farthing_protocol::amount::Amount;
use farthing_wallet::{PayOptions, Wallet, WalletError};

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

/// Named attack: publisher refuses, reader spends elsewhere, publisher deposits after all.
#[tokio::test]
async fn a_payment_refused_and_deposited_after_all_accuses_nobody() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5).await).await.unwrap();
    let url = stage.url("/articles/4");
    let page = reqwest::get(url.clone()).await.unwrap();
    let challenge = page.headers()["www-authenticate"].to_str().unwrap().to_owned();
    // What the publisher has in hand from here on.
    let credential = wallet.answer(&url, &[challenge], PayOptions::default(), &mut |_, _| true).await.unwrap();
    stage.publisher_switch.arm("/articles", Fault::Refused(402, "challenge-expired"));
    assert!(matches!(pay(&mut wallet, &url).await, Err(WalletError::PaymentRefused { .. })));
    // Everything the reader has goes elsewhere: the tokens that had left are refreshed first, never paid again.
    assert_eq!(pay(&mut wallet, &stage.url("/articles/5?elsewhere")).await.unwrap().amount, units(5));
    let sent = reqwest::Client::new().get(url).header("authorization", credential).send().await.unwrap();
    assert_eq!(sent.status(), 402);
    let problem: serde_json::Value = serde_json::from_str(&sent.text().await.unwrap()).unwrap();
    // Refused because they were refreshed, which is no accusation; two payments of one token would be one, with a proof.
    assert_eq!((problem["code"].as_str(), problem.get("proof")), (Some("refused-refreshed"), None), "{problem}");
    assert_eq!(stage.mint.publisher_balance(&stage.publisher).await.unwrap(), Some(units(5)));
    wallet.refresh(false).await.unwrap();
    assert_eq!(wallet.balance().unwrap().spendable, Amount::ZERO);
    stage.assert_conserved(&wallet).await;
}

/// Named attack: forgotten refresh, second refresh.
#[tokio::test]
async fn a_wallet_that_has_forgotten_a_refresh_gets_nothing_twice_and_loses_nothing() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(100).await).await.unwrap();
    let seed = wallet.seed_text();
    drop(wallet);
    let (file, kept) = (stage.wallet_directory().join("wallet.redb"), stage.directory.path().join("kept"));
    std::fs::copy(&file, &kept).unwrap();
    let mut wallet = Wallet::open(&stage.wallet_directory(), options()).unwrap();
    assert_eq!(wallet.refresh(true).await.unwrap().refreshed, units(100));
    drop(wallet);
    // The file of before: it thinks the old tokens its own, and its next indices unused.
    std::fs::copy(&kept, &file).unwrap();
    let mut wallet = Wallet::open(&stage.wallet_directory(), options()).unwrap();
    let report = wallet.refresh(true).await.unwrap();
    assert_eq!((report.refreshed, report.lost), (Amount::ZERO, units(100)), "the mint pays a token out once");
    let status = stage.mint.status().await.unwrap();
    assert!(status.balanced);
    assert_eq!(status.outstanding, units(100));
    drop(wallet);
    // What the first refresh brought is recorded at the mint, and comes back from the seed.
    let directory = stage.directory.path().join("again");
    let (mut wallet, _) = Wallet::restore(&directory, stage.mint_url.clone(), stage.mint.root(), &seed, options()).await.unwrap();
    assert_eq!(wallet.refresh(false).await.unwrap().refreshed, units(100));
    stage.assert_conserved(&wallet).await;
}
