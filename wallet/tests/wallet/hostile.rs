//! Mints, publishers and go-betweens that lie: what they may cost the reader, and what never.

use crate::stage::{Fault, Stage, pay};
use farthing_protocol::amount::Amount;
use farthing_wallet::WalletError;

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
