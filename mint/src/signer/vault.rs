//! Where the keys lie while nobody signs: read, written whole, under a lock between processes.

use std::sync::{Mutex, PoisonError};

use super::keys::{KeyFile, KeysetSecrets};
use super::sealed::{KeyProtection, Lock, NAME};
use crate::data::DataDirectory;
use crate::error::MintError;

pub(crate) const PLAIN: &str = "keys.json";

/// The most sets of keys that wait for their announcement: prepared and never signed, or made for an announcement that failed.
const MOST_WAITING: usize = 32;

/// The key file of a data directory and what opens it.
///
/// Implements R-LIFE-08.
pub(crate) struct KeyVault {
    data: DataDirectory,
    protection: KeyProtection,
    lock: Mutex<Option<Lock>>,
}

impl KeyVault {
    pub(crate) fn new(data: DataDirectory, protection: KeyProtection) -> Self {
        Self { data, protection, lock: Mutex::new(None) }
    }

    /// Whether the keys of a directory are sealed.
    pub(crate) fn is_sealed(data: &DataDirectory) -> bool {
        data.has(NAME)
    }

    /// Writes the first key file.
    pub(crate) fn create(&self, keys: &KeyFile) -> Result<(), MintError> {
        let json = keys.to_json().map_err(|_| MintError::Damaged(PLAIN))?;
        match Lock::new(&self.protection)? {
            None => self.data.write(PLAIN, &json),
            Some(lock) => self.data.write(NAME, &lock.seal(&json)?),
        }
    }

    /// Reads the keys. The first time this takes the work of argon2id: not on a thread that others wait for.
    pub(crate) fn read(&self) -> Result<KeyFile, MintError> {
        // A sealed file goes before a plain one that a migration did not get to remove.
        if !self.data.has(NAME) {
            if !matches!(self.protection, KeyProtection::Plain) {
                return Err(MintError::KeysPlain);
            }
            return KeyFile::from_json(&self.data.read_secret(PLAIN)?).ok_or(MintError::Damaged(PLAIN));
        }
        let mut known = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let (json, lock) = Lock::open(&self.data.read_secret(NAME)?, &self.protection, known.take())?;
        *known = Some(lock);
        KeyFile::from_json(&json).ok_or(MintError::Damaged(NAME))
    }

    /// Adds the keys of a keyset that is to be announced. They are durable before anybody can hear of them.
    ///
    /// Of keys that were made for keysets which `announced` does not know, only the newest are kept.
    pub(crate) fn add(&self, secrets: KeysetSecrets, announced: impl Fn(&KeysetSecrets) -> bool) -> Result<(), MintError> {
        self.change(|keys| {
            let waiting = keys.keysets.iter().filter(|keyset| !announced(keyset)).count();
            let mut surplus = waiting.saturating_sub(MOST_WAITING - 1);
            keys.keysets.retain(|keyset| {
                let goes = surplus > 0 && !announced(keyset);
                surplus -= usize::from(goes);
                !goes
            });
            keys.keysets.push(secrets);
        })
    }

    /// Drops the denomination keys of keysets that will never issue again. Receipt keys stay: late questions are answered with them.
    pub(crate) fn forget(&self, over: impl Fn(&KeysetSecrets) -> bool) -> Result<(), MintError> {
        self.change(|keys| keys.keysets.iter_mut().filter(|keyset| over(keyset)).for_each(|keyset| keyset.keys.clear()))
    }

    fn change(&self, change: impl FnOnce(&mut KeyFile)) -> Result<(), MintError> {
        let held = self.data.lock_keys()?;
        let mut keys = self.read()?;
        change(&mut keys);
        let json = keys.to_json().map_err(|_| MintError::Damaged(PLAIN))?;
        let known = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let done = match &*known {
            Some(lock) => self.data.replace(NAME, &lock.seal(&json)?),
            None => self.data.replace(PLAIN, &json),
        };
        drop(held);
        done
    }

    /// Seals the keys with another secret, or for the first time. The old file is gone only when the new one is durable.
    pub(crate) fn reseal(&self, protection: &KeyProtection) -> Result<(), MintError> {
        let held = self.data.lock_keys()?;
        let json = self.read()?.to_json().map_err(|_| MintError::Damaged(PLAIN))?;
        let lock = Lock::new(protection)?.ok_or(MintError::WeakSecret)?;
        self.data.replace(NAME, &lock.seal(&json)?)?;
        self.data.remove(PLAIN)?;
        drop(held);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use farthing_protocol::amount::Amount;
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn keys_that_nobody_announced_do_not_pile_up_and_announced_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let vault = KeyVault::new(DataDirectory::new(dir.path()), KeyProtection::Plain);
        let fresh = || KeysetSecrets::generate(&[Amount::from_units(1)]);
        let first = fresh();
        let kept = *first.receipt.public();
        vault.create(&KeyFile { seal_key: Zeroizing::new([1; 32]), keysets: vec![first] }).unwrap();
        for _ in 0..40 {
            vault.add(fresh(), |secrets| *secrets.receipt.public() == kept).unwrap();
        }
        let last = fresh();
        let newest = *last.receipt.public();
        vault.add(last, |secrets| *secrets.receipt.public() == kept).unwrap();
        let keys = vault.read().unwrap();
        assert_eq!(keys.keysets.len(), 1 + MOST_WAITING);
        assert!(*keys.keysets[0].receipt.public() == kept && *keys.keysets[MOST_WAITING].receipt.public() == newest);
    }
}
