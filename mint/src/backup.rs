//! Copies of a data directory, made while the mint serves, and back.
//!
//! ```text
//! ledger.sqlite   the ledger at one moment
//! keys.sealed     the keys as they are at rest, or keys.json; copied after the ledger, so that they are never fewer than it knows
//! mint.json       unit and root public key
//! root.key        only if it was asked for
//! manifest.json   SHA-256 of each of these, and where the ledger stands; written last, so that it stands only beside a whole copy
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use farthing_protocol::keyset::KeysetList;
use farthing_protocol::wire::{Frame, KeysetListFrame};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Ledger, Mint, MintError, SqliteLedger};
use crate::config::{base64url, hexadecimal, key_text};
use crate::data::{DESCRIPTION, DataDirectory, LEDGER, ROOT};
use crate::signer::{PLAIN_KEYS, SEALED_KEYS};
use crate::store::books::Books;
use crate::store::keysets::KeysetLedger;
use crate::store::resync::Resync;

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1.
    format: u32,
    /// When it was made, Unix seconds.
    pub made: u64,
    /// The root public key.
    pub root: String,
    /// The ledger's random id, in base64url.
    pub ledger: String,
    /// The ledger's sequence at that moment.
    pub sequence: u64,
    /// File names and the SHA-256 of their contents, in hexadecimal.
    pub files: BTreeMap<String, String>,
}

/// A backup that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What it said of itself.
    pub manifest: Manifest,
    /// Bookings that were recomputed without a difference.
    pub bookings: u64,
}

/// SHA-256 of a file, read in pieces: a ledger may be larger than memory.
fn digest(dir: &Path, name: &'static str) -> Result<String, MintError> {
    let read = || {
        let (mut file, mut hash, mut piece) = (File::open(dir.join(name))?, Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(hash.finalize()),
                read => hash.update(&piece[..read]),
            }
        }
    };
    let hash = read().map_err(|error: io::Error| MintError::File(name, error.kind()))?;
    Ok(hexadecimal(&hash))
}

fn read(dir: &Path, name: &'static str) -> Result<Zeroizing<Vec<u8>>, MintError> {
    std::fs::read(dir.join(name)).map(Zeroizing::new).map_err(|error| MintError::File(name, error.kind()))
}

impl Mint {
    /// Copies the ledger and everything beside it into an empty or new directory; the mint may serve meanwhile. The keys are copied as
    /// they are: sealed ones stay sealed.
    ///
    /// Implements R-SERV-05.
    ///
    /// # Errors
    /// [`MintError::AlreadyInitialised`] if the directory is not empty, [`MintError::Backup`] if the ledger is kept elsewhere, and those of
    /// files and ledger. What a failed try leaves behind is never taken for a backup.
    pub async fn back_up(&self, to: &Path, with_root: bool) -> Result<Manifest, MintError> {
        let data = &self.0.data;
        if !data.has(LEDGER) {
            return Err(MintError::Backup(
                "the ledger is kept by another program: use its own tools, such as pg_dump, and copy the key file",
            ));
        }
        let copy = DataDirectory::new(to);
        copy.create()?;
        copy.reserve_ledger()?;
        crate::store::sqlite::snapshot(&data.ledger(), &copy.ledger()).await?;
        let (position, _) = inspect(&copy, &self.0.root).await?;
        let mut names = vec![LEDGER, DESCRIPTION];
        copy.write(DESCRIPTION, &read(data.path(), DESCRIPTION)?)?;
        let keys = if data.has(SEALED_KEYS) { SEALED_KEYS } else { PLAIN_KEYS };
        {
            let _lock = data.lock_keys()?;
            copy.write(keys, &data.read_secret(keys)?)?;
        }
        names.push(keys);
        if with_root {
            copy.write(ROOT, &data.read_secret(ROOT)?)?;
            names.push(ROOT);
        }
        let mut files = BTreeMap::new();
        for name in names {
            files.insert(name.to_owned(), digest(to, name)?);
        }
        let manifest = Manifest {
            format: FORMAT,
            made: self.0.clock.wall().as_secs(),
            root: key_text(&self.0.root),
            ledger: base64url(&position.ledger),
            sequence: position.sequence,
            files,
        };
        let mut bytes = serde_json::to_vec_pretty(&manifest).map_err(|_| MintError::Damaged(MANIFEST))?;
        bytes.push(b'\n');
        copy.write(MANIFEST, &bytes)?;
        Ok(manifest)
    }

    /// Makes a data directory from a backup: checks every file against the manifest, copies, and recomputes the books.
    ///
    /// Implements R-SERV-05, R-RESYNC-04.
    ///
    /// # Errors
    /// [`MintError::AlreadyInitialised`] if the directory is not empty, [`MintError::Backup`] if the backup is not what its manifest says,
    /// [`MintError::BooksDiffer`]. What a failed try leaves behind is never taken for a mint.
    ///
    /// # Security
    /// The ledger is as it was: what was booked since is not in it, and tokens spent since look unspent. Verifiers that have seen the
    /// ledger further ahead make the mint read-only (see R-MINT-10); a mint that only readers ask before is not stopped by them.
    pub async fn restore(backup: &Path, dir: &Path) -> Result<Restored, MintError> {
        const STRANGE: MintError = MintError::Backup("the manifest names files that no backup has, or lacks some");
        let manifest = match read(backup, MANIFEST) {
            Err(MintError::File(_, io::ErrorKind::NotFound)) => {
                return Err(MintError::Backup("no manifest.json: no backup, or half of one"));
            }
            other => other?,
        };
        let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|_| MintError::Damaged(MANIFEST))?;
        if manifest.format != FORMAT {
            return Err(MintError::Damaged(MANIFEST));
        }
        let mut names = Vec::new();
        for name in manifest.files.keys() {
            let all = [LEDGER, SEALED_KEYS, PLAIN_KEYS, ROOT, DESCRIPTION];
            names.push(all.into_iter().find(|known| known == name).ok_or(STRANGE)?);
        }
        let has = |name| names.contains(&name);
        if !has(LEDGER) || !has(DESCRIPTION) || has(SEALED_KEYS) == has(PLAIN_KEYS) {
            return Err(STRANGE);
        }
        let root = DataDirectory::new(backup).description()?.root;
        let data = DataDirectory::new(dir);
        data.create()?;
        data.reserve_ledger()?;
        data.copy_ledger(&backup.join(LEDGER))?;
        // The description makes it a mint, so it comes last.
        for name in names.iter().filter(|name| ![LEDGER, DESCRIPTION].contains(*name)) {
            data.write(name, &read(backup, name)?)?;
        }
        let copied = |name: &&'static str| digest(if *name == DESCRIPTION { backup } else { dir }, name);
        for name in &names {
            if manifest.files.get(*name) != Some(&copied(name)?) {
                return Err(MintError::Backup("a file is not what the manifest says"));
            }
        }
        let (position, bookings) = inspect(&data, &root).await?;
        if (base64url(&position.ledger), position.sequence) != (manifest.ledger.clone(), manifest.sequence) {
            return Err(MintError::Backup("the ledger is not the one that the manifest names"));
        }
        // Whatever the verifiers say later, it may lack announcements and payouts.
        let ledger = SqliteLedger::open(&data.ledger()).await?;
        let noted = ledger.note_restored().await;
        ledger.close().await;
        noted?;
        data.write(DESCRIPTION, &read(backup, DESCRIPTION)?)?;
        Ok(Restored { manifest, bookings })
    }
}

/// Where a ledger stands and how many bookings were recomputed, if its keysets are this root key's and its books are right.
async fn inspect(data: &DataDirectory, root: &farthing_protocol::group::Point) -> Result<(crate::store::Position, u64), MintError> {
    let ledger = SqliteLedger::open(&data.ledger()).await?;
    let lifecycle = ledger.lifecycle().await?;
    let frame = KeysetListFrame::from_bytes(&lifecycle.list).map_err(|_| MintError::Damaged("the ledger's keyset list"))?;
    KeysetList::verify(&frame, root)?;
    let (position, audit) = (ledger.position().await?, ledger.audit().await?);
    ledger.close().await;
    if audit.differences.is_empty() { Ok((position, audit.bookings)) } else { Err(MintError::BooksDiffer) }
}
