//! The flows: what goes before them, what is done, again and again until it is finished, and where the money is then.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use farthing_mint::{MintError, Status};
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::Frame;
use farthing_verifier::store::{Document, Store as _};
use url::Url;

use super::desk::{Cut, Party, Place, Plan};
use super::disk::Disk;
use super::line::ask;
use super::world::{PATIENCE, PUBLISHERS, World, units};
use crate::store::Store;
use crate::{ClientOptions, DeliveryKind, PayOptions, PaymentState, Wallet, WalletError};

/// What a wallet is topped up with, and what a page costs. Tokens of 1, 2, 2 and 5: the first page is paid exactly, the second with change.
const TOPUP: u64 = 10;
const PRICE: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Issue,
    PaySettleFirst,
    PayDeferred,
    Deposit,
    Reread,
    Refresh,
    Change,
    Refund,
    Reclaim,
    Restore,
    FollowKeysets,
}

/// One reader, from the first voucher on.
pub struct Case {
    flow: Flow,
    directory: PathBuf,
    options: ClientOptions,
    voucher: VoucherCode,
    disk: Option<Disk>,
    /// How often the disk's power had failed when the wallet was opened.
    failures: u64,
    wallet: Option<Wallet>,
    seed: String,
    payment: Option<PaymentId>,
    /// How long the publishers wait for the mint when they begin in the flow.
    publishers_wait: Duration,
    before: Status,
    credits: [u64; 2],
}

fn said(error: impl Display) -> String {
    error.to_string()
}

fn page(publisher: usize, name: &str) -> Url {
    format!("http://{}/articles/{PRICE}/{name}", PUBLISHERS[publisher]).parse().unwrap()
}

impl Case {
    /// Everything that goes before, in which all is well.
    pub async fn new(flow: Flow, world: &mut World, plan: Option<Plan>) -> Result<Self, String> {
        world.cases += 1;
        let options = world.options(PATIENCE);
        world.desk.born(Party::Wallet, BTreeMap::new());
        let voucher = world.mint.create_vouchers(units(TOPUP), 1).await.map_err(said)?.remove(0);
        let directory = world.directory.path().join(format!("wallet-{}", world.cases));
        let made = Wallet::init(&directory, world.mint_url.clone(), world.root, options.clone()).await;
        let seed = made.map_err(said)?.seed_text().to_string();
        let disk = Disk::with(std::fs::read(directory.join("wallet.redb")).map_err(said)?, &world.desk);
        let (before, credits) = (world.mint.status().await.map_err(said)?, world.credits().await);
        let disk = Some(disk);
        let publishers_wait = if matches!(plan, Some((Place::PublisherLine, _, Cut::Late))) { world.impatience } else { PATIENCE };
        let (failures, wallet, payment) = (0, None, None);
        let mut case = Self { flow, directory, options, voucher, disk, failures, wallet, seed, payment, publishers_wait, before, credits };
        case.prepare(world).await?;
        match plan {
            Some((Place::WalletLine, _, Cut::Late)) => {
                (case.wallet, case.options.timeout) = (None, world.impatience);
                case.open(world)?;
            }
            // In a deposit they are dead until it begins.
            Some((Place::PublisherLine, _, Cut::Late)) if flow != Flow::Deposit => world.restart_publishers(world.impatience).await,
            _ => {}
        }
        Ok(case)
    }

    async fn prepare(&mut self, world: &mut World) -> Result<(), String> {
        let flow = self.flow;
        self.revive(world).await?;
        if flow == Flow::Issue {
            return Ok(());
        }
        let voucher = &self.voucher;
        self.wallet.as_mut().ok_or("no wallet")?.topup(voucher).await.map_err(said)?;
        match flow {
            Flow::PaySettleFirst | Flow::Reread | Flow::Change | Flow::Refund | Flow::Reclaim | Flow::Restore => {
                self.payment = Some(self.pay(&page(0, "first")).await?.1);
            }
            _ => {}
        }
        match flow {
            Flow::Change => drop(self.pay(&page(0, "second")).await?),
            Flow::Reclaim => drop(self.refund(world).await?),
            Flow::Deposit => {
                world.desk.block(true);
                self.pay(&page(1, "first")).await?;
                world.desk.kill(Party::Publishers);
                world.desk.block(false);
            }
            Flow::Restore => (self.wallet, self.disk) = (None, None),
            _ => {}
        }
        Ok(())
    }

    /// From here on nobody gives up soon.
    pub async fn be_patient(&mut self, world: &mut World, plan: Option<Plan>) -> Result<(), String> {
        match plan {
            Some((Place::WalletLine, _, Cut::Late)) => {
                (self.wallet, self.options.timeout) = (None, PATIENCE);
                self.open(world)
            }
            Some((Place::PublisherLine, _, Cut::Late)) => {
                self.publishers_wait = PATIENCE;
                world.restart_publishers(PATIENCE).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Starts again what has died, the wallet too.
    pub async fn revive(&mut self, world: &mut World) -> Result<(), String> {
        world.revive().await;
        self.open(world)
    }

    fn open(&mut self, world: &World) -> Result<(), String> {
        let dead = world.desk.is_dead(Party::Wallet);
        let Some(disk) = &self.disk else {
            if dead {
                world.desk.born(Party::Wallet, BTreeMap::new());
            }
            return Ok(());
        };
        if self.wallet.is_some() && !dead && disk.failures() == self.failures {
            return Ok(());
        }
        if dead && disk.failures() == self.failures {
            disk.fail();
        }
        self.wallet = None;
        self.failures = disk.failures();
        let store = Store::on(disk.open().map_err(said)?);
        self.wallet = Some(Wallet::on(store, self.options.clone()).map_err(said)?);
        if dead {
            world.desk.born(Party::Wallet, BTreeMap::new());
        }
        Ok(())
    }

    fn wallet(&mut self) -> Result<&mut Wallet, String> {
        self.wallet.as_mut().ok_or_else(|| "the wallet is not open".into())
    }

    async fn pay(&mut self, url: &Url) -> Result<(DeliveryKind, PaymentId), String> {
        let paid = self.wallet()?.pay(url, PayOptions::default(), &mut |_, _| true).await.map_err(said)?;
        if paid.body == b"the article" { Ok((paid.kind, PaymentId(paid.payment))) } else { Err("another page came".into()) }
    }

    async fn refund(&mut self, world: &World) -> Result<Amount, String> {
        let payment = self.payment.ok_or("nothing was paid")?;
        let verifier = world.publishers[0].verifier.as_ref().ok_or("the publisher does not run")?;
        verifier.refund(payment).await.map_err(said)
    }

    async fn reclaim(&mut self) -> Result<(), String> {
        match self.wallet()?.reclaim(&page(0, "first")).await {
            // What was asked for before has come meanwhile.
            Ok(_) | Err(WalletError::NothingPaid) => Ok(()),
            Err(error) => Err(said(error)),
        }
    }

    /// The flow itself, as its reader, publisher or operator begins it, and begins it again after an error.
    pub async fn run(&mut self, world: &mut World) -> Result<(), String> {
        match self.flow {
            Flow::Issue => {
                let voucher = &self.voucher;
                match self.wallet.as_mut().ok_or("the wallet is not open")?.topup(voucher).await {
                    Ok(_) | Err(WalletError::VoucherEmpty) => Ok(()),
                    Err(error) => Err(said(error)),
                }
            }
            Flow::PaySettleFirst => self.pay(&page(0, "second")).await.map(drop),
            Flow::PayDeferred => {
                self.pay(&page(1, "second")).await?;
                world.wait_decided().await
            }
            Flow::Deposit => {
                if world.desk.is_dead(Party::Publishers) {
                    world.restart_publishers(self.publishers_wait).await;
                }
                world.revive().await;
                world.wait_decided().await
            }
            Flow::Reread => match self.pay(&page(0, "first")).await? {
                (DeliveryKind::ReadAgain, _) => Ok(()),
                (kind, _) => Err(format!("the page came as {kind:?}")),
            },
            Flow::Refresh => self.wallet()?.refresh(true).await.map(drop).map_err(said),
            Flow::Change => self.wallet()?.refresh(false).await.map(drop).map_err(said),
            Flow::Refund => self.refund(world).await.map(drop),
            Flow::Reclaim => self.reclaim().await,
            Flow::Restore => self.restore(world).await,
            Flow::FollowKeysets => self.follow_keysets(world).await,
        }
    }

    async fn restore(&mut self, world: &World) -> Result<(), String> {
        if self.disk.is_none() {
            let directory = self.directory.join("restored");
            match Wallet::restore(&directory, world.mint_url.clone(), world.root, &self.seed, self.options.clone()).await {
                Ok(_) | Err(WalletError::Exists) => {}
                Err(error) => return Err(said(error)),
            }
            let file = std::fs::read(directory.join("wallet.redb")).map_err(said)?;
            (self.disk, self.failures) = (Some(Disk::with(file, &world.desk)), 0);
        }
        self.open(world)?;
        self.wallet()?.refresh(false).await.map(drop).map_err(said)
    }

    async fn follow_keysets(&mut self, world: &World) -> Result<(), String> {
        match world.mint.rotate().await {
            Ok(_) | Err(MintError::AlreadyRotated) => {}
            Err(error) => return Err(said(error)),
        }
        self.wallet()?.update_keysets().await.map_err(said)?;
        let known = self.wallet()?.keysets().to_frame().to_bytes();
        for publisher in &world.publishers {
            publisher.verifier.as_ref().ok_or("the publisher does not run")?.refresh_keysets().await.map_err(said)?;
            let stored = publisher.store.load(Document::Keysets).await.map_err(said)?;
            if stored.as_ref() != Some(&known) {
                return Err("publisher and wallet know other keysets".into());
            }
        }
        let announced = world.mint.keysets().await.map_err(said)?.len();
        if announced == 2 && self.wallet()?.keysets().keysets().len() == 2 { Ok(()) } else { Err(format!("{announced} keysets")) }
    }

    /// Lets everything come to its end that was begun.
    pub async fn finish(&mut self, world: &mut World) -> Result<(), String> {
        let (mut last, begun) = (String::new(), Instant::now());
        while begun.elapsed() < PATIENCE {
            match self.finish_once(world).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("it never ends: {last}"))
    }

    async fn finish_once(&mut self, world: &mut World) -> Result<(), String> {
        self.revive(world).await?;
        world.desk.quiet().await;
        world.wait_decided().await?;
        if self.flow == Flow::Refund {
            self.reclaim().await?;
        }
        let waiting = self.wallet()?.refresh(false).await.map_err(said)?.change_waiting;
        let balance = self.wallet()?.balance().map_err(said)?;
        let open = [waiting, balance.to_refresh, balance.in_payments, balance.in_issues, balance.change_due];
        if open == [Amount::ZERO; 5] { Ok(()) } else { Err(format!("{open:?} is under way")) }
    }

    /// Whether nothing is lost, nothing is doubled, and nobody is accused.
    pub async fn count(&mut self, world: &World) -> Result<(), String> {
        let (held, earned) = match self.flow {
            Flow::Issue | Flow::Refresh | Flow::Refund | Flow::Reclaim | Flow::FollowKeysets => (TOPUP, [0, 0]),
            Flow::Reread | Flow::Restore => (TOPUP - PRICE, [PRICE, 0]),
            Flow::PayDeferred | Flow::Deposit => (TOPUP - PRICE, [0, PRICE]),
            Flow::PaySettleFirst | Flow::Change => (TOPUP - 2 * PRICE, [2 * PRICE, 0]),
        };
        let (status, credits) = (world.mint.status().await.map_err(said)?, world.credits().await);
        let grown = |now: Amount, before: Amount| now.units().wrapping_sub(before.units());
        let found = (
            self.wallet()?.balance().map_err(said)?.spendable.units(),
            grown(status.outstanding, self.before.outstanding),
            [credits[0].wrapping_sub(self.credits[0]), credits[1].wrapping_sub(self.credits[1])],
        );
        if found != (held, held, earned) {
            return Err(format!("wallet, outstanding and credits are {found:?}, not {held}, {held}, {earned:?}"));
        }
        // The voucher was counted in `before`.
        let left = [grown(self.before.vouchers, status.vouchers), grown(status.change_due, self.before.change_due)];
        if !status.balanced || left != [TOPUP, 0] || status.refunds_due != self.before.refunds_due {
            return Err(format!("the mint's books are {status:?}, before {:?}", self.before));
        }
        let refused = |state: &PaymentState| matches!(state, PaymentState::Sent) || matches!(state, PaymentState::Refused { .. });
        if self.wallet()?.history().map_err(said)?.iter().any(|payment| refused(&payment.state)) {
            return Err("a payment was refused".into());
        }
        for publisher in &world.publishers {
            if !publisher.store.proofs().await.map_err(said)?.is_empty() {
                return Err("somebody was accused".into());
            }
        }
        Ok(())
    }

    /// Delivers what the network has kept, and shows that every token is good: the mint takes all of them.
    pub async fn close(&mut self, world: &mut World) -> Result<(), String> {
        for request in world.desk.take_held() {
            ask(&world.desk, &request, true).await;
            self.finish(world).await?;
            self.count(world).await?;
        }
        let report = self.wallet()?.refresh(true).await.map_err(said)?;
        if report.lost != Amount::ZERO {
            return Err("a token was spent that the wallet thought its own".into());
        }
        self.count(world).await
    }
}
