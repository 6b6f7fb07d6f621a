//! A mint loses its ledger and begins again from a backup: the verifier hands in what it kept.

use crate::stage::{Stage, pay};
use farthing_protocol::amount::Amount;

#[tokio::test]
async fn what_a_backup_lacks_is_handed_in_again_by_the_verifier() {
    let mut stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    pay(&mut wallet, &stage.url("/articles/300")).await.unwrap();
    let backup = stage.directory.path().join("backup");
    stage.mint.back_up(&backup, false).await.unwrap();
    let had = stage.earned().await;
    pay(&mut wallet, &stage.url("/articles/888")).await.unwrap();
    pay(&mut wallet, &stage.url("/articles/45")).await.unwrap();
    let earned = stage.earned().await;
    assert_eq!(earned.units() - had.units(), 888 + 45);

    stage.restore_mint(&backup).await;
    assert_eq!(stage.earned().await, had);
    stage.mint.begin_resync(true).await.unwrap();
    let again = stage.verifier.redeposit(None).await.unwrap();
    assert_eq!((again.credited, again.already_credited, again.refunded, again.refused), (2, 1, 0, 0));
    stage.mint.finish_resync(Amount::ZERO).await.unwrap();
    assert_eq!(stage.earned().await, earned);
    assert_eq!(stage.mint.audit().await.unwrap().differences, []);
    stage.assert_conserved(&wallet).await;

    // Once is once, and money goes on.
    let again = stage.verifier.redeposit(None).await.unwrap();
    assert_eq!((again.credited, again.already_credited), (0, 3));
    pay(&mut wallet, &stage.url("/articles/12")).await.unwrap();
    assert_eq!(stage.earned().await.units(), earned.units() + 12);
    stage.assert_conserved(&wallet).await;
}
