//! The data directory: mode 0700, files 0600, written whole and synced, never overwritten.
//!
//! ```text
//! mint.json       format, unit, root public key, the ledger's id if it is elsewhere; written last, so that it stands only on a complete directory
//! ledger.sqlite   the ledger, with -wal and -shm beside it, unless it is on PostgreSQL
//! root.key        the root secret key; needed only to announce keysets, and better kept elsewhere
//! keys.sealed     denomination and receipt keys, sealed; keys.json if they are plain
//! keys.lock       held while the key file is changed
//! serve.lock      held while a process serves
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use farthing_protocol::amount::Unit;
use farthing_protocol::group::Point;
use farthing_protocol::proof::LoneKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{base64url, from_base64url, key_text, parse_key};
use crate::error::MintError;

const FORMAT: u32 = 1;
pub(crate) const DESCRIPTION: &str = "mint.json";
pub(crate) const LEDGER: &str = "ledger.sqlite";
pub(crate) const ROOT: &str = "root.key";
const KEYS_LOCK: &str = "keys.lock";
const LOCK: &str = "serve.lock";

/// What a data directory says of itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    currency: String,
    decimals: u8,
    root: String,
    /// The id of the ledger in a PostgreSQL database, in base64url; absent if the ledger is here. Where the database is, is told anew at
    /// every start, because that may take a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    postgres: Option<String>,
}

/// What a data directory says of its mint.
pub(crate) struct Described {
    pub(crate) unit: Unit,
    pub(crate) root: Point,
    /// The ledger's id in a PostgreSQL database; `None` if the ledger is a file of the directory.
    pub(crate) postgres: Option<[u8; 16]>,
}

/// A data directory.
#[derive(Clone)]
pub(crate) struct DataDirectory(PathBuf);

fn failed(what: &'static str) -> impl Fn(io::Error) -> MintError {
    move |error| MintError::File(what, error.kind())
}

impl DataDirectory {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.0.join(LEDGER)
    }

    /// Makes the directory, or takes an empty one, and closes it to others.
    pub(crate) fn create(&self) -> Result<(), MintError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(failed("data directory"))?;
        if fs::read_dir(&self.0).map_err(failed("data directory"))?.next().is_some() {
            return Err(MintError::AlreadyInitialised);
        }
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)).map_err(failed("data directory"))
    }

    /// Writes a new file: under another name first, synced, then linked to its own, which must be free.
    pub(crate) fn write(&self, name: &'static str, bytes: &[u8]) -> Result<(), MintError> {
        let (temporary, path) = (self.0.join(format!(".{name}.new")), self.0.join(name));
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            // Unlike a rename, a link does not replace what is there.
            fs::hard_link(&temporary, &path)?;
            fs::remove_file(&temporary)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(failed(name))
    }

    /// An empty file for the ledger to be created in.
    pub(crate) fn reserve_ledger(&self) -> Result<(), MintError> {
        self.write(LEDGER, &[])
    }

    /// Copies a ledger that nobody writes to into the empty file reserved for it.
    pub(crate) fn copy_ledger(&self, from: &Path) -> Result<(), MintError> {
        let copy = || {
            let mut file = OpenOptions::new().write(true).open(self.ledger())?;
            io::copy(&mut File::open(from)?, &mut file)?;
            file.sync_all()
        };
        copy().map_err(failed(LEDGER))
    }

    pub(crate) fn write_root(&self, root: &LoneKey) -> Result<(), MintError> {
        self.write(ROOT, Zeroizing::new(base64url(&*root.expose_secret())).as_bytes())
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, name: &'static str) -> bool {
        self.0.join(name).exists()
    }

    /// Replaces a file or makes it: the old content or the new one, never less, whenever the machine stops. The caller holds a lock.
    pub(crate) fn replace(&self, name: &'static str, bytes: &[u8]) -> Result<(), MintError> {
        let temporary = self.0.join(format!(".{name}.new"));
        let write = || {
            // What a writer that died has left.
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, self.0.join(name))?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(failed(name))
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &'static str) -> Result<(), MintError> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(name)(error)),
            _ => File::open(&self.0).and_then(|directory| directory.sync_all()).map_err(failed(name)),
        }
    }

    /// Reads a file that nobody else may read.
    pub(crate) fn read_secret(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, MintError> {
        let path = self.0.join(name);
        let mode = fs::metadata(&path).map_err(failed(name))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(MintError::Exposed(name));
        }
        Ok(Zeroizing::new(fs::read(&path).map_err(failed(name))?))
    }

    /// The root secret key, if it is kept here.
    pub(crate) fn root(&self) -> Result<LoneKey, MintError> {
        if !self.has(ROOT) {
            return Err(MintError::NoRootKey);
        }
        root_from_text(&self.read_secret(ROOT)?).ok_or(MintError::Damaged(ROOT))
    }

    /// Waits for the right to change the key file.
    pub(crate) fn lock_keys(&self) -> Result<File, MintError> {
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.0.join(KEYS_LOCK));
        let file = open.map_err(failed(KEYS_LOCK))?;
        file.lock().map_err(failed(KEYS_LOCK))?;
        Ok(file)
    }

    /// The last step of initialising.
    pub(crate) fn describe(&self, described: &Described) -> Result<(), MintError> {
        let Described { unit, root, postgres } = described;
        let (currency, root, postgres) = (unit.currency().into(), key_text(root), postgres.map(|id| base64url(&id)));
        let description = Description { format: FORMAT, currency, decimals: unit.decimals(), root, postgres };
        let mut bytes = serde_json::to_vec_pretty(&description).map_err(|_| MintError::Damaged(DESCRIPTION))?;
        bytes.push(b'\n');
        self.write(DESCRIPTION, &bytes)
    }

    /// What was described.
    pub(crate) fn description(&self) -> Result<Described, MintError> {
        let bytes = match fs::read(self.0.join(DESCRIPTION)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MintError::NotInitialised),
            Err(error) => return Err(failed(DESCRIPTION)(error)),
        };
        let damaged = MintError::Damaged(DESCRIPTION);
        let Ok(description) = serde_json::from_slice::<Description>(&bytes) else { return Err(damaged) };
        match (Unit::new(&description.currency, description.decimals), parse_key(&description.root)) {
            (Ok(unit), Some(root)) if description.format == FORMAT => {
                let postgres = description.postgres.map(|id| from_base64url(&id).ok_or(damaged)).transpose()?;
                Ok(Described { unit, root, postgres })
            }
            _ => Err(MintError::Damaged(DESCRIPTION)),
        }
    }

    /// Takes the right to serve; held until the file is dropped, and released by the system if the process dies.
    pub(crate) fn lock(&self) -> Result<File, MintError> {
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.0.join(LOCK));
        let file = open.map_err(failed(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(MintError::AlreadyServing),
            Err(fs::TryLockError::Error(error)) => Err(failed(LOCK)(error)),
        }
    }
}

/// The root secret key from its file's content.
pub(crate) fn root_from_text(content: &[u8]) -> Option<LoneKey> {
    let text = std::str::from_utf8(content).ok()?.trim();
    LoneKey::from_bytes(&Zeroizing::new(from_base64url(text)?)).ok()
}
