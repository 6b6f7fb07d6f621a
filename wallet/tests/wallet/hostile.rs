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
