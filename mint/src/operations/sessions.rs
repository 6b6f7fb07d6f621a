//! Open issuing sessions, in memory only, because nonces may be nowhere else. Bounded in number and in outputs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farthing_protocol::amount::Amount;
use farthing_protocol::issue::CheckedOpen;
use farthing_protocol::wire::OpenResponseFrame;

use super::OperationError;
use crate::signer::SessionNonces;
use crate::store::SessionId;

/// An open session. Its nonces are taken once, under the lock, by the request that answers it.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) open: CheckedOpen,
    pub(super) frame: OpenResponseFrame,
    pub(super) expires: u64,
    /// `None` once an answer is being booked. Whoever waits for the lock then asks the ledger.
    pub(super) nonces: tokio::sync::Mutex<Option<SessionNonces>>,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<SessionId, Arc<Session>>,
    by_key: HashMap<[u8; 32], SessionId>,
    outputs: usize,
}

/// All open sessions of this process.
pub(super) struct Sessions {
    table: Mutex<Table>,
    most: usize,
    most_outputs: usize,
}

impl Sessions {
    pub(super) fn new(most: usize, most_outputs: usize) -> Self {
        Self { table: Mutex::new(Table::default()), most, most_outputs }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session with this id, unless its nonces are dead.
    pub(super) fn find(&self, id: &SessionId, now: u64) -> Option<Arc<Session>> {
        let mut table = self.table();
        let session = table.by_id.get(id)?.clone();
        if session.expires <= now {
            table.remove(id);
            return None;
        }
        Some(session)
    }

    /// Whether there is room for a session of so many outputs, or could be made for one of this amount.
    pub(super) fn has_room(&self, outputs: usize, amount: Amount, now: u64) -> bool {
        let mut table = self.table();
        if table.full(self, outputs) {
            table.sweep(now);
        }
        !table.full(self, outputs) || table.smallest(amount).is_some()
    }

    /// The answer to an earlier open request that asked for the same, if its session is still open.
    ///
    /// Implements R-ISSUE-11.
    ///
    /// # Errors
    /// [`OperationError::SessionBusy`] if one of the funding keys has another session open.
    pub(super) fn repeated(&self, open: &CheckedOpen, now: u64) -> Result<Option<OpenResponseFrame>, OperationError> {
        let mut table = self.table();
        let keys = open.funding().keys();
        let Some(session) = table.holder(&keys, now) else { return Ok(None) };
        // Being answered: its lock is held, or its nonces are gone.
        let waits = session.nonces.try_lock().is_ok_and(|nonces| nonces.is_some());
        if waits && session.open.digest() == open.digest() && session.open.funding().keys() == keys {
            return Ok(Some(session.frame.clone()));
        }
        Err(OperationError::SessionBusy(session.expires.saturating_sub(now).max(1)))
    }

    /// Adds a session.
    ///
    /// # Errors
    /// [`OperationError::SessionBusy`], [`OperationError::TooManySessions`].
    pub(super) fn insert(&self, session: Session, now: u64) -> Result<(), OperationError> {
        let mut table = self.table();
        let keys = session.open.funding().keys();
        if let Some(other) = table.holder(&keys, now) {
            return Err(OperationError::SessionBusy(other.expires.saturating_sub(now).max(1)));
        }
        let outputs = session.open.plan().denominations.len();
        if table.by_id.contains_key(&session.id) || !table.make_room(self, outputs, session.open.amount(), now) {
            return Err(OperationError::TooManySessions);
        }
        table.outputs += outputs;
        for key in keys {
            table.by_key.insert(key, session.id);
        }
        table.by_id.insert(session.id, Arc::new(session));
        Ok(())
    }

    /// Forgets a session; what is left of its nonces is wiped.
    pub(super) fn remove(&self, id: &SessionId) {
        self.table().remove(id);
    }

    /// Open sessions, and their outputs.
    pub(super) fn held(&self) -> (usize, usize) {
        let table = self.table();
        (table.by_id.len(), table.outputs)
    }

    /// Wipes the sessions whose nonces are dead.
    pub(super) fn sweep(&self, now: u64) {
        self.table().sweep(now);
    }
}

impl Table {
    fn full(&self, limits: &Sessions, outputs: usize) -> bool {
        self.by_id.len() >= limits.most || self.outputs + outputs > limits.most_outputs
    }

    /// Makes room at the cost of smaller sessions, whose owners are told that they are gone and open others. Keeping all places taken
    /// then takes as much money as those have who are kept out, not one smallest token a place.
    fn make_room(&mut self, limits: &Sessions, outputs: usize, amount: Amount, now: u64) -> bool {
        if self.full(limits, outputs) {
            self.sweep(now);
        }
        while self.full(limits, outputs) {
            let Some(id) = self.smallest(amount) else { return false };
            self.remove(&id);
        }
        true
    }

    /// The smallest session below an amount, of those that are not being answered.
    fn smallest(&self, below: Amount) -> Option<SessionId> {
        let waits = |session: &&Arc<Session>| session.nonces.try_lock().is_ok_and(|nonces| nonces.is_some());
        let smaller = self.by_id.values().filter(|session| session.open.amount() < below);
        smaller.filter(waits).min_by_key(|session| session.open.amount()).map(|session| session.id)
    }

    /// The open session that one of these keys funds.
    fn holder(&mut self, keys: &[[u8; 32]], now: u64) -> Option<Arc<Session>> {
        for key in keys {
            let Some(id) = self.by_key.get(key).copied() else { continue };
            match self.by_id.get(&id) {
                Some(session) if session.expires > now => return Some(session.clone()),
                _ => self.remove(&id),
            }
        }
        None
    }

    fn remove(&mut self, id: &SessionId) {
        let Some(session) = self.by_id.remove(id) else { return };
        self.outputs = self.outputs.saturating_sub(session.open.plan().denominations.len());
        for key in session.open.funding().keys() {
            if self.by_key.get(&key) == Some(id) {
                self.by_key.remove(&key);
            }
        }
    }

    fn sweep(&mut self, now: u64) {
        let dead: Vec<SessionId> = self.by_id.values().filter(|session| session.expires <= now).map(|session| session.id).collect();
        for id in dead {
            self.remove(&id);
        }
    }
}
