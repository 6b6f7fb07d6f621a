//! A disk whose power can fail: what it was not told to make sure of is gone then, or half of it is.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{Database, StorageBackend};

use super::desk::{Cut, Desk, Place};

enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, platters: &mut Vec<u8>) {
        match self {
            Self::Length(length) => platters.resize(*length, 0),
            Self::Bytes(at, bytes) => platters[*at..*at + bytes.len()].copy_from_slice(bytes),
        }
    }
}

struct State {
    /// What is there after the power fails.
    safe: Vec<u8>,
    /// What was written since.
    changes: Vec<Change>,
    /// What a reader sees.
    seen: Vec<u8>,
    /// Grows when the power fails: what was opened before is closed then.
    failures: u64,
}

/// A file on it. Clones are one file.
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    desk: Arc<Desk>,
}

/// The file as one process has it open.
struct Open {
    disk: Disk,
    failures: u64,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Open(..)")
    }
}

impl Disk {
    pub fn with(bytes: Vec<u8>, desk: &Arc<Desk>) -> Self {
        let state = State { safe: bytes.clone(), changes: Vec::new(), seen: bytes, failures: 0 };
        Self { state: Arc::new(Mutex::new(state)), desk: Arc::clone(desk) }
    }

    pub fn failures(&self) -> u64 {
        self.state.lock().unwrap().failures
    }

    /// The power fails, and comes back.
    pub fn fail(&self) {
        let mut state = self.state.lock().unwrap();
        state.failures += 1;
        state.changes.clear();
        state.seen = state.safe.clone();
    }

    /// Opens the file, as after any crash.
    pub fn open(&self) -> Result<Database, redb::DatabaseError> {
        Database::builder().create_with_backend(Open { disk: self.clone(), failures: self.failures() })
    }
}

impl Open {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state.lock().unwrap();
        if state.failures == self.failures { Ok(state) } else { Err(io::Error::other("no power")) }
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Open {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state()?;
        let at = place(offset);
        out.copy_from_slice(state.seen.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(place(length)))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Bytes(place(offset), data.to_vec()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        let State { safe, changes, .. } = &mut *state;
        let cut = self.disk.desk.at(Place::WalletDisk);
        let written = match cut {
            None | Some(Cut::Written) => changes.len(),
            Some(Cut::HalfWritten) => changes.len() / 2,
            Some(_) => 0,
        };
        changes.drain(..written).for_each(|change| change.apply(safe));
        drop(state);
        if cut.is_none() {
            return Ok(());
        }
        self.disk.fail();
        Err(io::Error::other("no power"))
    }
}

impl Open {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.state()?;
        change.apply(&mut state.seen);
        state.changes.push(change);
        Ok(())
    }
}
