//! The wallet's file: one redb database, every change one durable transaction.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::proof::{KeysetId, SpentKey};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::wire::{Frame, KeysetListFrame};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use crate::error::WalletError;
use crate::records::{PaymentRecord, SessionRecord, TokenRecord};

const FILE: &str = "wallet.redb";

/// A keyset list that contradicts the one known.
const FORK: &str = "forked keysets";

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const TOKENS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("tokens");
const SESSIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("sessions");
const COMMITMENTS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("commitments");
const PAYMENTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("payments");

/// The open file. The database's lock keeps other processes out.
pub(crate) struct Store {
    database: Database,
}

fn storage(error: impl std::fmt::Display) -> WalletError {
    WalletError::Storage(error.to_string())
}

fn encode<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, WalletError> {
    serde_json::to_vec(value).map(Zeroizing::new).map_err(|_| WalletError::Internal("a record does not encode"))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WalletError> {
    serde_json::from_slice(bytes).map_err(|_| WalletError::Damaged)
}

fn spent_key_from_bytes(bytes: &[u8]) -> Result<SpentKey, WalletError> {
    let bytes: &[u8; SpentKey::SIZE] = bytes.try_into().map_err(|_| WalletError::Damaged)?;
    let (keyset, rest) = bytes.split_at(32);
    let (denomination, key) = rest.split_at(8);
    let fixed = |part: &[u8]| <[u8; 32]>::try_from(part).map_err(|_| WalletError::Damaged);
    let denomination = u64::from_be_bytes(denomination.try_into().map_err(|_| WalletError::Damaged)?);
    Ok(SpentKey { keyset: KeysetId(fixed(keyset)?), denomination: Amount::from_units(denomination), key: fixed(key)? })
}

/// One durable change of the wallet.
pub(crate) struct Change {
    transaction: WriteTransaction,
}

impl Change {
    pub(crate) fn put_token(&self, key: &SpentKey, record: &TokenRecord) -> Result<(), WalletError> {
        let mut table = self.transaction.open_table(TOKENS).map_err(storage)?;
        table.insert(key.to_bytes().as_slice(), encode(record)?.as_slice()).map_err(storage)?;
        Ok(())
    }

    pub(crate) fn remove_token(&self, key: &SpentKey) -> Result<(), WalletError> {
        let mut table = self.transaction.open_table(TOKENS).map_err(storage)?;
        table.remove(key.to_bytes().as_slice()).map_err(storage)?;
        Ok(())
    }

    pub(crate) fn put_session(&self, number: u64, record: &SessionRecord) -> Result<(), WalletError> {
        let mut table = self.transaction.open_table(SESSIONS).map_err(storage)?;
        table.insert(number, encode(record)?.as_slice()).map_err(storage)?;
        Ok(())
    }

    pub(crate) fn remove_session(&self, number: u64) -> Result<(), WalletError> {
        self.transaction.open_table(SESSIONS).map_err(storage)?.remove(number).map_err(storage)?;
        Ok(())
    }

    pub(crate) fn put_payment(&self, record: &PaymentRecord) -> Result<(), WalletError> {
        let mut table = self.transaction.open_table(PAYMENTS).map_err(storage)?;
        table.insert(record.id.0.as_slice(), encode(record)?.as_slice()).map_err(storage)?;
        Ok(())
    }

    /// Remembers a commitment for good; `false` if it was seen before.
    ///
    /// Implements R-WALLET-03.
    pub(crate) fn add_commitment(&self, row: &[u8; 32]) -> Result<bool, WalletError> {
        let mut table = self.transaction.open_table(COMMITMENTS).map_err(storage)?;
        let before = table.insert(row.as_slice(), ()).map_err(storage)?;
        Ok(before.is_none())
    }

    /// Reserves `count` indices that were never used and never will be again; returns the first.
    ///
    /// Implements R-WALLET-02.
    pub(crate) fn reserve_indices(&self, count: usize) -> Result<u64, WalletError> {
        let mut table = self.transaction.open_table(META).map_err(storage)?;
        let first = read_index(table.get("next index").map_err(storage)?.map(|guard| guard.value().to_vec()))?;
        let next = first.checked_add(count as u64).ok_or(WalletError::Damaged)?;
        table.insert("next index", next.to_le_bytes().as_slice()).map_err(storage)?;
        Ok(first)
    }
}

fn read_index(stored: Option<Vec<u8>>) -> Result<u64, WalletError> {
    let bytes = stored.ok_or(WalletError::Damaged)?;
    Ok(u64::from_le_bytes(bytes.as_slice().try_into().map_err(|_| WalletError::Damaged)?))
}

impl Store {
    /// Makes the file, readable by its owner only.
    ///
    /// A restored wallet begins at a later index and with tokens.
    pub(crate) fn create(
        directory: &Path,
        seed: &WalletSeed,
        mint: &Url,
        root: &Point,
        keysets: &KeysetList,
        next_index: u64,
        tokens: &[(SpentKey, TokenRecord)],
    ) -> Result<Self, WalletError> {
        if !directory.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(storage)?;
        }
        let path = directory.join(FILE);
        if path.exists() {
            return Err(WalletError::Exists);
        }
        // Under another name until it is complete, so that a crash leaves no half wallet behind.
        let unfinished = directory.join("wallet.redb.new");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(storage(error)),
            _ => {}
        }
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(storage)?;
        let store = Self { database: Database::create(&unfinished).map_err(storage)? };
        store.change(|change| {
            let mut meta = change.transaction.open_table(META).map_err(storage)?;
            meta.insert("seed", seed.expose_secret().as_slice()).map_err(storage)?;
            meta.insert("mint", mint.as_str().as_bytes()).map_err(storage)?;
            meta.insert("root", root.as_bytes().as_slice()).map_err(storage)?;
            meta.insert("keysets", keysets.to_frame().to_bytes().as_slice()).map_err(storage)?;
            meta.insert("next index", next_index.to_le_bytes().as_slice()).map_err(storage)?;
            change.transaction.open_table(TOKENS).map_err(storage)?;
            change.transaction.open_table(SESSIONS).map_err(storage)?;
            change.transaction.open_table(COMMITMENTS).map_err(storage)?;
            change.transaction.open_table(PAYMENTS).map_err(storage)?;
            tokens.iter().try_for_each(|(key, record)| change.put_token(key, record))
        })?;
        drop(store);
        // Linking fails if a second `init` was faster: its wallet stays.
        fs::hard_link(&unfinished, &path).map_err(|_| WalletError::Exists)?;
        fs::remove_file(&unfinished).map_err(storage)?;
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(storage)?;
        Self::open(directory)
    }

    /// Opens the file and its lock.
    pub(crate) fn open(directory: &Path) -> Result<Self, WalletError> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(WalletError::Missing);
        }
        let mode = fs::metadata(&path).map_err(storage)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(storage)?;
        }
        match Database::open(&path) {
            Ok(database) => Ok(Self { database }),
            Err(DatabaseError::DatabaseAlreadyOpen) => Err(WalletError::Busy),
            Err(error) => Err(storage(error)),
        }
    }

    /// A wallet's file that is elsewhere.
    #[cfg(test)]
    pub(crate) const fn on(database: Database) -> Self {
        Self { database }
    }

    /// Runs a change; it is on disk when this returns, or nothing of it is.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&Change) -> Result<T, WalletError>) -> Result<T, WalletError> {
        let change = Change { transaction: self.database.begin_write().map_err(storage)? };
        let done = work(&change)?;
        change.transaction.commit().map_err(storage)?;
        Ok(done)
    }

    fn meta(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, WalletError> {
        let read = self.database.begin_read().map_err(storage)?;
        let table = read.open_table(META).map_err(storage)?;
        let value = table.get(name).map_err(storage)?.ok_or(WalletError::Damaged)?;
        Ok(Zeroizing::new(value.value().to_vec()))
    }

    fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), WalletError> {
        self.change(|change| {
            change.transaction.open_table(META).map_err(storage)?.insert(name, value).map_err(storage)?;
            Ok(())
        })
    }

    /// Seed, mint and root key.
    pub(crate) fn identity(&self) -> Result<(WalletSeed, Url, Point), WalletError> {
        let fixed = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| WalletError::Damaged);
        let seed = WalletSeed::from_bytes(&Zeroizing::new(fixed(&self.meta("seed")?)?));
        let mint = self.meta("mint")?;
        let mint = std::str::from_utf8(&mint).ok().and_then(|text| Url::parse(text).ok()).ok_or(WalletError::Damaged)?;
        let root = Point::from_bytes(fixed(&self.meta("root")?)?).map_err(|_| WalletError::Damaged)?;
        Ok((seed, mint, root))
    }

    pub(crate) fn keysets(&self) -> Result<Zeroizing<Vec<u8>>, WalletError> {
        self.meta("keysets")
    }

    pub(crate) fn set_keysets(&self, keysets: &KeysetList) -> Result<(), WalletError> {
        self.set_meta("keysets", &keysets.to_frame().to_bytes())
    }

    /// Keeps a list that contradicts the one we have: together they prove that the mint signed two. The first one stays.
    pub(crate) fn keep_fork(&self, frame: &KeysetListFrame) -> Result<(), WalletError> {
        if self.fork()?.is_some() { Ok(()) } else { self.set_meta(FORK, &frame.to_bytes()) }
    }

    pub(crate) fn fork(&self) -> Result<Option<Vec<u8>>, WalletError> {
        let read = self.database.begin_read().map_err(storage)?;
        let table = read.open_table(META).map_err(storage)?;
        Ok(table.get(FORK).map_err(storage)?.map(|value| value.value().to_vec()))
    }

    /// All tokens, ascending by keyset and denomination.
    pub(crate) fn tokens(&self) -> Result<Vec<(SpentKey, TokenRecord)>, WalletError> {
        let read = self.database.begin_read().map_err(storage)?;
        let table = read.open_table(TOKENS).map_err(storage)?;
        let rows = table.iter().map_err(storage)?;
        rows.map(|row| {
            let (key, value) = row.map_err(storage)?;
            Ok((spent_key_from_bytes(key.value())?, decode(value.value())?))
        })
        .collect()
    }

    /// All unfinished issues, oldest first.
    pub(crate) fn sessions(&self) -> Result<Vec<(u64, SessionRecord)>, WalletError> {
        let read = self.database.begin_read().map_err(storage)?;
        let table = read.open_table(SESSIONS).map_err(storage)?;
        let rows = table.iter().map_err(storage)?;
        rows.map(|row| {
            let (key, value) = row.map_err(storage)?;
            Ok((key.value(), decode(value.value())?))
        })
        .collect()
    }

    /// All payments.
    pub(crate) fn payments(&self) -> Result<Vec<PaymentRecord>, WalletError> {
        let read = self.database.begin_read().map_err(storage)?;
        let table = read.open_table(PAYMENTS).map_err(storage)?;
        let rows = table.iter().map_err(storage)?;
        rows.map(|row| decode(row.map_err(storage)?.1.value())).collect()
    }

    /// One payment.
    pub(crate) fn payment(&self, id: &[u8; 32]) -> Result<Option<PaymentRecord>, WalletError> {
        let read = self.database.begin_read().map_err(storage)?;
        let table = read.open_table(PAYMENTS).map_err(storage)?;
        table.get(id.as_slice()).map_err(storage)?.map(|value| decode(value.value())).transpose()
    }
}
