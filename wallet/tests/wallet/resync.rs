//! A mint loses its ledger and begins again from a backup: the verifier hands in what it kept.

use crate::stage::{Stage, pay};
use farthing_protocol::amount::Amount;
use farthing_protocol::error::KeysetError;
use farthing_verifier::VerifierError;
use farthing_wallet::WalletError;

#[tokio::test]
async fn what_a_backup_lacks_is_handed_in_again_by_the_verifier() {
    let mut stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    pay(&mut wallet, &stage.url("/articles/300")).await.unwrap();
    let backup = stage.directory.path().join("backup");
    let sequence = stage.mint.back_up(&backup, false).await.unwrap().sequence;
    let had = stage.earned().await;
    pay(&mut wallet, &stage.url("/articles/888")).await.unwrap();
    pay(&mut wallet, &stage.url("/articles/45")).await.unwrap();
    let earned = stage.earned().await;
    assert_eq!(earned.units() - had.units(), 888 + 45);

    stage.restore_mint(&backup).await;
    assert_eq!(stage.earned().await, had);
    stage.mint.begin_resync(true).await.unwrap();
    // No more than it lacks.
    let again = stage.verifier.redeposit(Some(sequence)).await.unwrap();
    assert_eq!((again.credited, again.already_credited, again.refunded, again.refused), (2, 0, 0, 0));
    stage.mint.finish_resync(Amount::ZERO, false).await.unwrap();
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

#[tokio::test]
async fn a_verifier_shows_the_mint_the_keysets_that_it_has_lost_and_everybody_goes_on() {
    let mut stage = Stage::set().await;
    let mut wallet = stage.new_wallet().await;
    wallet.topup(&stage.voucher(5_000).await).await.unwrap();
    let backup = stage.directory.path().join("backup");
    stage.mint.back_up(&backup, true).await.unwrap();
    pay(&mut wallet, &stage.url("/articles/300")).await.unwrap();
    stage.mint.rotate().await.unwrap();
    stage.verifier.refresh_keysets().await.unwrap();
    wallet.update_keysets().await.unwrap();

    stage.restore_mint(&backup).await;
    assert_eq!(stage.mint.keysets().await.unwrap().len(), 1);
    // Asked for nothing more than the list, the verifier shows its own; the mint stops.
    assert!(matches!(stage.verifier.refresh_keysets().await, Err(VerifierError::Keysets(KeysetError::Shortened))));
    assert_eq!(stage.mint.resync_view().await.unwrap().standing, "behind");
    assert!(matches!(wallet.update_keysets().await, Err(WalletError::Keysets(KeysetError::Shortened))));
    assert!(stage.mint.rotate().await.is_err());

    stage.mint.begin_resync(false).await.unwrap();
    let again = stage.verifier.redeposit(None).await.unwrap();
    assert_eq!((again.credited, again.refused), (1, 0));
    assert_eq!(stage.mint.keysets().await.unwrap().len(), 2);
    stage.mint.finish_resync(Amount::ZERO, false).await.unwrap();

    // Nobody sees a fork: neither in what came back nor in what comes next.
    wallet.update_keysets().await.unwrap();
    stage.verifier.refresh_keysets().await.unwrap();
    assert!(stage.verifier.forked_keysets().await.unwrap().is_none() && wallet.forked_keysets().unwrap().is_none());
    pay(&mut wallet, &stage.url("/articles/45")).await.unwrap();
    stage.assert_conserved(&wallet).await;
}
