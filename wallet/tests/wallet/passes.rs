//! One payment for everything below a path.

use farthing_protocol::amount::Amount;
use farthing_wallet::{DeliveryKind, PayOptions, WalletError};

use crate::stage::Stage;

const fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

const PASS: PayOptions = PayOptions { max_price: None, tip: None, pass: true };

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_bought_once_and_used_before_anything_is_paid() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(10_000).await).await.unwrap();
    let (one, two, tips) = (stage.url("/articles/500"), stage.url("/articles/400"), stage.url("/tips"));

    let mut asked = Vec::new();
    let mut ask = |offer: &farthing_wallet::Offer, amount: Amount| {
        asked.push((offer.title.clone(), offer.scope.clone(), amount));
        true
    };
    let bought = wallet.pay(&one, PASS, &mut ask).await.unwrap();
    assert_eq!((bought.kind, bought.amount, bought.title.as_str()), (DeliveryKind::Paid, units(2_000), "All articles"));
    assert_eq!(bought.body, b"the article");
    // Every covered page is read for nothing, the one it was bought at too, after a restart as well, and again.
    let mut wallet = stage.reopen(wallet);
    for url in [&two, &one, &two] {
        let read = wallet.pay(url, PayOptions::default(), &mut |_, _| false).await.unwrap();
        assert_eq!((read.kind, read.amount, read.body.as_slice()), (DeliveryKind::ReadAgain, Amount::ZERO, &b"the article"[..]));
    }
    assert_eq!(asked, [("All articles".to_owned(), Some("/articles/".to_owned()), units(2_000))]);
    // What it does not cover costs what it costs, and sells no pass.
    let tip = wallet.pay(&tips, PayOptions::default(), &mut |_, _| true).await.unwrap();
    assert_eq!(tip.kind, DeliveryKind::Paid);
    assert_eq!(wallet.pay(&tips, PASS, &mut |_, _| true).await.unwrap_err().code(), "offer-refused");
    let receipt = wallet.receipt(&one).unwrap();
    assert!(receipt.holds() && receipt.resource == format!("pass http://{}/articles/", stage.publisher), "{}", receipt.resource);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_paid_for_alone_unless_the_pass_is_asked_for() {
    let stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(10_000).await).await.unwrap();
    let (one, two) = (stage.url("/articles/500"), stage.url("/articles/400"));
    let limit = PayOptions { max_price: Some(units(1_999)), ..PASS };
    assert!(matches!(wallet.pay(&one, limit, &mut |_, _| true).await, Err(WalletError::TooExpensive)));
    let paid = wallet.pay(&one, PayOptions::default(), &mut |_, _| true).await.unwrap();
    assert_eq!((paid.kind, paid.amount), (DeliveryKind::Paid, units(500)));
    let other = wallet.pay(&two, PayOptions::default(), &mut |_, _| true).await.unwrap();
    assert_eq!((other.kind, other.amount), (DeliveryKind::Paid, units(400)));
    // With the page paid for, the pass is not bought by accident.
    assert_eq!(wallet.pay(&one, PASS, &mut |_, _| true).await.unwrap().kind, DeliveryKind::ReadAgain);
}
