//! The life of keysets: announced, retired, closed; by the operator or by themselves.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use farthing_protocol::amount::Amount;
use farthing_protocol::error::KeysetError;
use farthing_protocol::keyset::{Keyset, PUBLISHED_AHEAD};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Arc, Duration, Frame, Inner, KeyFile, KeyVault, KeysetList, KeysetListFrame, KeysetSecrets, Lifecycle, Mint, MintError, Point,
    Proposal, Rotation, Windows, system_rng,
};
use crate::announce::UnsignedKeyset;
use crate::config::base64url;
use crate::operations::{KeysetSummary, OperationError, Size, announcement};
use crate::store::keysets::{KeysetRow, KeysetState};

/// How often a serving process looks at what other processes have changed.
const LOOK: Duration = Duration::from_secs(1);

/// Keys that could not be read are tried again after so many looks.
const KEYS_AGAIN: u64 = 60;

/// Between two tries to announce a keyset, in seconds.
const PAUSE: u64 = 3_600;

/// Time between signing and publishing when both happen at once, in seconds: enough for a slow disk and a queue.
const AT_ONCE: u64 = 600;

/// A keyset that was announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Announced {
    /// The place in the list, from 0.
    pub number: u64,
    /// The id, in base64url.
    pub id: String,
    /// When it begins to issue, Unix seconds.
    pub issue_from: u64,
    /// When it ends to issue, Unix seconds.
    pub issue_until: u64,
    /// Seconds before it begins in which no keyset issues.
    pub gap: u64,
}

/// The ledger's time and this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClockView {
    /// The highest time the ledger has recorded, Unix seconds.
    pub recorded: u64,
    /// What this machine says, Unix seconds.
    pub clock: u64,
    /// Whether the mint would work with it.
    pub believed: bool,
}

/// Reads the keys on a thread of its own, because opening them is hard work.
pub(super) async fn read(vault: &Arc<KeyVault>) -> Result<KeyFile, MintError> {
    let vault = vault.clone();
    blocking(move || vault.read()).await
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T, MintError> + Send + 'static) -> Result<T, MintError> {
    tokio::task::spawn_blocking(job).await.unwrap_or(Err(MintError::KeysWithheld))
}

/// Looks after the keysets for as long as the mint is there.
pub(super) fn watch(mint: &Arc<Inner>) {
    let mint: Weak<Inner> = Arc::downgrade(mint);
    tokio::spawn(async move {
        let (mut alarmed, mut closed) = (0, 0);
        for rounds in 1.. {
            tokio::time::sleep(LOOK).await;
            let Some(inner) = mint.upgrade() else { break };
            let mint = Mint(inner);
            if let Err(error) = mint.look_after(&mut alarmed, rounds).await {
                tracing::warn!(%error, "the keysets could not be looked after");
            }
            if let Err(error) = mint.close_in_time(&mut closed).await {
                tracing::warn!(%error, "the books could not be closed");
            }
        }
    });
}

impl Mint {
    /// All keysets, oldest first.
    ///
    /// # Errors
    /// [`MintError::Ledger`], [`MintError::Keyset`].
    pub async fn keysets(&self) -> Result<Vec<KeysetSummary>, MintError> {
        self.refresh().await?;
        Ok(self.0.operations.keyset_summaries().await?)
    }

    /// How much the ledger holds.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn ledger_size(&self) -> Result<Size, MintError> {
        Ok(self.0.ledger.size().await?)
    }

    /// Announces a keyset with fresh keys: published now, issuing as soon as the protocol allows, a day and ten minutes from now.
    ///
    /// # Errors
    /// [`MintError::NoRootKey`] if the root key is kept elsewhere, [`MintError::AlreadyRotated`], [`MintError::ListChanged`],
    /// [`MintError::ClockJumped`], [`MintError::KeysWithheld`], and those of files and ledger.
    pub async fn rotate(&self) -> Result<Announced, MintError> {
        self.rotate_from(0).await
    }

    async fn rotate_from(&self, not_before: u64) -> Result<Announced, MintError> {
        let root = self.0.data.root()?;
        let (list, proposal) = self.propose(not_before, AT_ONCE).await?;
        let mut list = KeysetList::clone(&list);
        list.announce(proposal, &root, &mut system_rng())?;
        self.announce(list).await
    }

    /// Makes fresh keys and the public half of a keyset, to be signed with a root key that is elsewhere and published within `time`
    /// seconds.
    ///
    /// # Errors
    /// As [`Mint::rotate`], without [`MintError::NoRootKey`].
    pub async fn prepare_keyset(&self, time: u64) -> Result<UnsignedKeyset, MintError> {
        let (list, proposal) = self.propose(0, time).await?;
        Ok(UnsignedKeyset::new(&list, &proposal))
    }

    /// Publishes a list that was signed elsewhere.
    ///
    /// Implements R-LIFE-07.
    ///
    /// # Errors
    /// [`MintError::Announcement`] if it does not continue the list by one keyset of this mint's keys, a day before it issues;
    /// [`MintError::Keyset`], [`MintError::ListChanged`], and those of files and ledger.
    pub async fn publish_keyset(&self, json: &[u8]) -> Result<Announced, MintError> {
        let frame: KeysetListFrame = serde_json::from_slice(json).map_err(|_| MintError::Announcement("is no signed keyset list"))?;
        self.refresh().await?;
        let now = self.announcing_time()?;
        let known = self.0.operations.list();
        let list = known.follow(&frame)?;
        let keyset = match list.keysets() {
            [before @ .., keyset] if before.len() == known.keysets().len() => keyset,
            _ => return Err(MintError::Announcement("does not add exactly one keyset to the list")),
        };
        if keyset.published() > now || keyset.windows().issue_from < now.saturating_add(PUBLISHED_AHEAD) {
            return Err(MintError::Announcement("comes too late: less than a day is left before it issues. Prepare another"));
        }
        let keys = read(self.vault()?).await?;
        if !keys.keysets.iter().any(|secrets| !secrets.keys.is_empty() && secrets.belong_to(keyset)) {
            return Err(MintError::Announcement("is for keys that this mint does not hold"));
        }
        self.announce(list).await
    }

    /// Stops the issuing of a keyset, for good. Its published windows stay: its tokens are good as before.
    ///
    /// # Errors
    /// [`MintError::NoSuchKeyset`], [`MintError::Ledger`].
    pub async fn retire_keyset(&self, number: u32) -> Result<(), MintError> {
        // A key that must not sign is stopped whatever the clock says.
        let now = match self.time() {
            Ok(now) => now,
            Err(_) => self.0.ledger.position().await?.time,
        };
        if self.0.ledger.retire_keyset(number, now).await? { Ok(()) } else { Err(MintError::NoSuchKeyset) }
    }

    /// Freezes a denomination whose key is no longer the mint's alone, for good: nothing of it is issued, refreshed or credited any more,
    /// by any process. Its other denominations stay as they are.
    ///
    /// # Errors
    /// [`MintError::NoSuchKeyset`] also if the keyset has no such denomination, [`MintError::Ledger`].
    pub async fn freeze_denomination(&self, number: u32, denomination: Amount) -> Result<(), MintError> {
        if self.0.ledger.freeze_denomination(number, denomination).await? { Ok(()) } else { Err(MintError::NoSuchKeyset) }
    }

    /// The ledger's time and this machine's.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn clock(&self) -> Result<ClockView, MintError> {
        let recorded = self.0.ledger.position().await?.time;
        Ok(ClockView { recorded, clock: self.0.clock.wall().as_secs(), believed: self.0.operations.time().is_ok() })
    }

    /// Takes this machine's clock as right, whatever was recorded; a serving process takes it over within seconds. Keysets that a wrong
    /// clock has closed stay closed.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn accept_clock(&self) -> Result<ClockView, MintError> {
        self.0.ledger.accept_clock(self.0.clock.wall().as_secs()).await?;
        self.refresh().await?;
        self.clock().await
    }

    /// Seals the keys with another secret, or for the first time. A process that serves goes on with the keys it has, and must be started
    /// again before the next keyset.
    ///
    /// # Errors
    /// [`MintError::WeakSecret`] for [`crate::KeyProtection::Plain`], [`MintError::KeysWithheld`], and those of files.
    pub async fn seal_keys(&self, protection: crate::KeyProtection) -> Result<(), MintError> {
        let vault = self.vault()?.clone();
        blocking(move || vault.reseal(&protection)).await
    }

    fn vault(&self) -> Result<&Arc<KeyVault>, MintError> {
        self.0.vault.as_ref().ok_or(MintError::KeysWithheld)
    }

    pub(super) fn time(&self) -> Result<u64, MintError> {
        self.0.operations.time().map_err(untimely)
    }

    /// The service's time, if what was booked before a loss may be booked again now.
    pub(super) fn deposit_time(&self) -> Result<u64, MintError> {
        self.0.operations.deposit_time().map_err(untimely)
    }

    /// The service's time, if a keyset may be announced now. On a ledger that was restored the next number may have been announced before.
    ///
    /// Implements R-RESYNC-04.
    fn announcing_time(&self) -> Result<u64, MintError> {
        let now = self.time()?;
        if self.0.operations.is_restored() { Err(MintError::Restored) } else { Ok(now) }
    }

    /// Adds what a signed list has more than the ledger's own, for a ledger that was restored and lacks announcements: any copy of
    /// `/v1/keysets` that somebody saved. Returns how many keysets there are then.
    ///
    /// Implements R-RESYNC-06.
    ///
    /// # Errors
    /// [`MintError::Announcement`] if it is no list or has nothing more, [`MintError::Keyset`] if it is not this root key's or contradicts
    /// the ledger's, [`MintError::Resync`] if no resynchronisation is under way, [`MintError::Ledger`].
    pub async fn adopt_keysets(&self, json: &[u8]) -> Result<u64, MintError> {
        let frame: KeysetListFrame = serde_json::from_slice(json).map_err(|_| MintError::Announcement("is no signed keyset list"))?;
        if self.refresh().await?.resync.began.is_none() {
            return Err(MintError::Resync("keysets are adopted while a ledger is being resynchronised: begin first"));
        }
        let list = self.0.operations.list().follow(&frame)?;
        if !self.0.operations.adopt_keysets(list).await? {
            return Err(MintError::Announcement("has no keyset that this mint lacks"));
        }
        Ok(self.refresh().await?.keysets.len() as u64)
    }

    /// Adds the list that was shown before the resynchronisation began, if the ledger still lacks it.
    pub(super) async fn adopt_shown(&self) -> Result<(), MintError> {
        if self.refresh().await?.resync.keysets_shown == 0 {
            return Ok(());
        }
        let Some(json) = self.0.ledger.shown_keysets().await? else { return Ok(()) };
        let frame: KeysetListFrame = serde_json::from_str(&json).map_err(|_| MintError::Damaged("the keyset list that was shown"))?;
        let list = self.0.operations.list().follow(&frame)?;
        self.0.operations.adopt_keysets(list).await?;
        self.refresh().await.map(drop)
    }

    /// Stops the issuing of keysets whose keys are lost, so that others are announced in time. Only where no other process can have the
    /// keys: on an embedded ledger, after a restore.
    ///
    /// Implements R-RESYNC-06.
    async fn retire_keyless(&self, lifecycle: &Lifecycle) -> Result<(), MintError> {
        let Some(vault) = &self.0.vault else { return Ok(()) };
        if !lifecycle.resync.was_restored() || self.0.ledger.instances().is_some() {
            return Ok(());
        }
        let (Ok(now), list) = (self.deposit_time(), self.0.operations.list()) else { return Ok(()) };
        let signer = self.0.operations.signer();
        let keyless = |(keyset, row): &(&Keyset, &KeysetRow)| {
            let issues = row.retired.is_none() && row.state == KeysetState::Open && now < keyset.windows().issue_until;
            issues && !signer.signs(&keyset.id(), &keyset.denominations())
        };
        let keyless: Vec<_> = list.keysets().iter().zip(&lifecycle.keysets).filter(keyless).collect();
        if keyless.is_empty() {
            return Ok(());
        }
        // Keys that cannot be read are not lost.
        let Ok(keys) = read(vault).await else { return Ok(()) };
        for (keyset, row) in keyless {
            if !keys.keysets.iter().any(|secrets| !secrets.keys.is_empty() && secrets.belong_to(keyset)) {
                tracing::error!(keyset = row.number, "the keys of this keyset are lost with the ledger: it will never issue again");
                self.0.ledger.retire_keyset(row.number, now).await?;
            }
        }
        Ok(())
    }

    /// Keys that are durable, and the keyset they will be.
    async fn propose(&self, not_before: u64, until_published: u64) -> Result<(Arc<KeysetList>, Proposal), MintError> {
        self.refresh().await?;
        let (now, list) = (self.announcing_time()?, self.0.operations.list());
        let unit = self.0.operations.unit();
        let newest = list.keysets().iter().rev().find(|keyset| keyset.unit() == unit).ok_or(MintError::NoSuchKeyset)?;
        if newest.windows().issue_from > now {
            return Err(MintError::AlreadyRotated);
        }
        let windows = next_windows(&list, newest, now, not_before, until_published);
        let vault = self.vault()?.clone();
        let (denominations, announced) = (newest.denominations(), list.clone());
        let (receipt_key, keys) = blocking(move || {
            let secrets = KeysetSecrets::generate(&denominations);
            let public = (*secrets.receipt.public(), secrets.public());
            vault.add(secrets, |secrets| announced.keysets().iter().any(|keyset| secrets.belong_to(keyset)))?;
            Ok::<(Point, Vec<_>), MintError>(public)
        })
        .await?;
        let published = newest.published().max(now);
        let proposal = Proposal { published, unit: unit.clone(), windows, receipt_key, keys };
        Ok((list, proposal))
    }

    async fn announce(&self, list: KeysetList) -> Result<Announced, MintError> {
        let [before @ .., keyset] = list.keysets() else { return Err(MintError::NoSuchKeyset) };
        let (windows, unit) = (*keyset.windows(), keyset.unit());
        let last = before.iter().filter(|earlier| earlier.unit() == unit).map(|earlier| earlier.windows().issue_until).max();
        let announced = Announced {
            number: keyset.number(),
            id: base64url(&keyset.id().0),
            issue_from: windows.issue_from,
            issue_until: windows.issue_until,
            gap: windows.issue_from.saturating_sub(last.unwrap_or(windows.issue_from)),
        };
        let announcement = announcement(&list, keyset).ok_or(MintError::Announcement("is one too many"))?;
        if !self.0.ledger.announce(announcement).await? {
            return Err(MintError::ListChanged);
        }
        self.refresh().await?;
        Ok(announced)
    }

    /// Takes in what the ledger says now.
    pub(super) async fn refresh(&self) -> Result<Lifecycle, MintError> {
        // Read under the lock, so that nobody takes in an older state after a newer one.
        let mut known = self.0.known.lock().await;
        let mut lifecycle = self.0.ledger.lifecycle().await?;
        if let Some(shown) = self.0.operations.shown_unwritten(&lifecycle) {
            match self.0.ledger.note_shown(shown).await {
                Ok(()) => lifecycle.resync.shown = shown,
                Err(_) => {
                    tracing::error!("what a verifier has shown cannot be written down: only this process knows that the ledger is behind");
                }
            }
        }
        let mut taken = self.take_in_after(&mut known, lifecycle.clone()).await;
        if taken == Err(MintError::Keyset(KeysetError::Shortened)) {
            // The operations have adopted keysets since the ledger was read.
            lifecycle = self.0.ledger.lifecycle().await?;
            taken = self.take_in_after(&mut known, lifecycle.clone()).await;
        }
        taken.map(|()| lifecycle)
    }

    /// Takes in a state of the ledger, if anything in it is new.
    ///
    /// Implements R-LIFE-06.
    pub(super) async fn take_in(&self, lifecycle: Lifecycle) -> Result<(), MintError> {
        self.take_in_after(&mut *self.0.known.lock().await, lifecycle).await
    }

    async fn take_in_after(&self, known: &mut Option<Lifecycle>, lifecycle: Lifecycle) -> Result<(), MintError> {
        self.0.operations.stand(&lifecycle);
        if known.as_ref().is_some_and(|known| known.clock != lifecycle.clock) {
            tracing::warn!("the operator has told the mint the time");
            self.0.operations.accept_time(lifecycle.position.time);
        }
        let new = known.as_ref().is_none_or(|known| known.list != lifecycle.list || known.keysets != lifecycle.keysets);
        if new {
            let frame = KeysetListFrame::from_bytes(&lifecycle.list).map_err(|_| MintError::Damaged("the ledger's keyset list"))?;
            // The ledger may not take a keyset back either.
            let list = self.0.operations.list().follow(&frame)?;
            let keys = match &self.0.vault {
                Some(vault) => read(vault).await.map(Some),
                None => Ok(None),
            };
            self.0.keys_missing.store(keys.is_err(), Ordering::SeqCst);
            let keys = keys.unwrap_or_else(|error| {
                // Tokens of the new keyset must be taken all the same, and the old keys go on signing.
                tracing::error!(%error, "the keys could not be read again: if they were sealed anew, start the mint again");
                None
            });
            for number in self.0.operations.install(list, &lifecycle.keysets, keys) {
                tracing::error!(keyset = number, "the keys of a keyset that should issue are not in the key file");
                // Another process made them, and its key file may yet be copied here.
                self.0.keys_missing.store(true, Ordering::SeqCst);
            }
        }
        *known = Some(lifecycle);
        Ok(())
    }

    /// What a serving mint does every second.
    async fn look_after(&self, alarmed: &mut u64, rounds: u64) -> Result<(), MintError> {
        if rounds.is_multiple_of(KEYS_AGAIN) && self.0.keys_missing.load(Ordering::SeqCst) {
            // As if nothing of the list were known; the clock's count stays.
            if let Some(known) = self.0.known.lock().await.as_mut() {
                known.list.clear();
            }
        }
        let lifecycle = self.refresh().await?;
        if lifecycle.resync.began.is_some()
            && lifecycle.resync.keysets_shown > 0
            && let Err(error) = self.adopt_shown().await
        {
            tracing::error!(%error, "the keysets that were shown could not be adopted");
        }
        self.retire_keyless(&lifecycle).await?;
        self.forget_keys(&lifecycle).await?;
        self.0.operations.close_keysets(&lifecycle).await?;
        self.rotate_in_time(&lifecycle, alarmed).await
    }

    /// Drops the denomination keys of closed keysets, before the last of their tokens is dropped: a crash between leaves it to be done again.
    async fn forget_keys(&self, lifecycle: &Lifecycle) -> Result<(), MintError> {
        let (Some(vault), list) = (&self.0.vault, self.0.operations.list()) else { return Ok(()) };
        let closed = |(_, row): &(&Keyset, &KeysetRow)| row.state == KeysetState::Closed && !row.pruned;
        let over: Vec<Keyset> = list.keysets().iter().zip(&lifecycle.keysets).filter(closed).map(|(keyset, _)| keyset.clone()).collect();
        if over.is_empty() {
            return Ok(());
        }
        let vault = vault.clone();
        blocking(move || vault.forget(|secrets| over.iter().any(|keyset| secrets.belong_to(keyset)))).await
    }

    /// Announces the next keyset, or warns that somebody must.
    ///
    /// Implements R-LIFE-05.
    async fn rotate_in_time(&self, lifecycle: &Lifecycle, alarmed: &mut u64) -> Result<(), MintError> {
        let Ok(now) = self.time() else { return Ok(()) };
        let list = self.0.operations.list();
        let Rotation { lead, overlap } = self.0.rotation.unwrap_or_default();
        let retired =
            |keyset: &Keyset| lifecycle.keysets.iter().any(|row| u64::from(row.number) == keyset.number() && row.retired.is_some());
        let unit = self.0.operations.unit();
        let issuing = list.keysets().iter().filter(|keyset| keyset.unit() == unit && !retired(keyset));
        let last = issuing.map(|keyset| keyset.windows().issue_until).max().unwrap_or_default();
        if last >= now.saturating_add(lead) {
            return Ok(());
        }
        // A failure is not repeated every second: each try leaves keys behind.
        if now < alarmed.saturating_add(PAUSE) {
            return Ok(());
        }
        let failed = match self.0.rotation {
            // Not before the overlap, unless what issues now was retired.
            Some(_) => match self.rotate_from(last.saturating_sub(overlap)).await {
                Ok(announced) => {
                    tracing::info!(keyset = announced.number, issue_from = announced.issue_from, "a keyset was announced");
                    return Ok(());
                }
                // Another process was first, or what was announced is still to come.
                Err(MintError::ListChanged | MintError::AlreadyRotated) => return Ok(()),
                Err(error) => Some(error.to_string()),
            },
            None => None,
        };
        *alarmed = now;
        tracing::warn!(seconds = last.saturating_sub(now), error = failed, "no keyset issues any more after these seconds: announce one");
        Ok(())
    }
}

fn untimely(error: OperationError) -> MintError {
    match error {
        OperationError::Unavailable => MintError::ClockJumped,
        other => other.into(),
    }
}

/// The next keyset's windows: as long as those of the newest, a day after they are published, and never three at a time.
///
/// Implements R-LIFE-05.
fn next_windows(list: &KeysetList, newest: &Keyset, now: u64, not_before: u64, until_published: u64) -> Windows {
    let last = newest.windows();
    let mut ends: Vec<u64> =
        list.keysets().iter().filter(|keyset| keyset.unit() == newest.unit()).map(|keyset| keyset.windows().issue_until).collect();
    ends.sort_unstable_by(|a, b| b.cmp(a));
    let earliest = now.max(newest.published()).saturating_add(PUBLISHED_AHEAD).saturating_add(until_published);
    let issue_from = earliest.max(not_before).max(ends.get(1).copied().unwrap_or_default());
    let issue_until = issue_from.saturating_add(last.issue_until.saturating_sub(last.issue_from));
    let spend_until = issue_until.saturating_add(last.spend_until.saturating_sub(last.issue_until));
    let refresh_until = spend_until.saturating_add(last.refresh_until.saturating_sub(last.spend_until));
    let deposit_until = refresh_until.saturating_add(last.deposit_until.saturating_sub(last.refresh_until));
    Windows { issue_from, issue_until, spend_until, refresh_until, deposit_until }
}

/// Whether the keys of a data directory are sealed, so that a secret must be asked for.
pub fn keys_are_sealed(dir: &std::path::Path) -> bool {
    KeyVault::is_sealed(&crate::data::DataDirectory::new(dir))
}
