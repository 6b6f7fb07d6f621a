//! The key file at rest: sealed with a passphrase or a key file.
//!
//! ```text
//! magic        16   "farthing keys" and three zero bytes
//! version       1   1
//! secret        1   1 passphrase, 2 key file
//! memory        4   argon2id: KiB, little-endian            default 65,536
//! passes        4                                           default 3
//! lanes         4                                           default 1
//! salt         16   random for each secret
//! nonce        24   random for each writing
//! ciphertext   ..   XChaCha20-Poly1305 of the JSON below, its tag at the end
//!
//! key = argon2id(secret, salt, memory, passes, lanes), 32 bytes; the 70 bytes before the ciphertext are its associated data
//! ```
//!
//! The nonce is long enough to be drawn at random for as often as a mint will ever write.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::Rng;
use zeroize::Zeroizing;

use super::system_rng;
use crate::error::MintError;

const MAGIC: &[u8; 16] = b"farthing keys\0\0\0";
const VERSION: u8 = 1;
const PASSPHRASE: u8 = 1;
const KEY_FILE: u8 = 2;
const HEAD: usize = 70;

/// Memory, passes and lanes of new files: the second choice of RFC 9106, on one lane.
const COST: [u32; 3] = [65_536, 3, 1];

/// No file makes this program take more: 1 GiB, 16 passes, 8 lanes.
const MOST: [u32; 3] = [1 << 20, 16, 8];

/// A passphrase has at least this many characters.
const SHORTEST_PASSPHRASE: usize = 12;

/// A key file holds at least this many bytes.
const SHORTEST_KEY_FILE: usize = 32;

/// The name under which errors speak of the file.
pub(crate) const NAME: &str = "keys.sealed";

/// A passphrase or a key file's content. Not printed; wiped when the last copy goes.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

/// What stands between a reader of the data directory and the mint's keys.
#[derive(Clone, Default)]
pub enum KeyProtection {
    /// Nothing: for tests and trials.
    #[default]
    Plain,
    /// A passphrase; see [`KeyProtection::passphrase`].
    Passphrase(Secret),
    /// A file kept elsewhere; see [`KeyProtection::key_file`].
    KeyFile(Secret),
}

impl std::fmt::Debug for KeyProtection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Passphrase(_) => "Passphrase(..)",
            Self::KeyFile(_) => "KeyFile(..)",
        })
    }
}

impl KeyProtection {
    /// Protects with a passphrase of at least 12 characters; white space around it does not count.
    ///
    /// # Errors
    /// [`MintError::WeakSecret`].
    pub fn passphrase(text: &str) -> Result<Self, MintError> {
        let text = text.trim();
        if text.chars().count() < SHORTEST_PASSPHRASE {
            return Err(MintError::WeakSecret);
        }
        Ok(Self::Passphrase(Secret(Arc::new(Zeroizing::new(text.as_bytes().to_vec())))))
    }

    /// Protects with a file's content, at least 32 bytes, which should be random.
    ///
    /// # Errors
    /// [`MintError::WeakSecret`].
    pub fn key_file(content: &[u8]) -> Result<Self, MintError> {
        if content.len() < SHORTEST_KEY_FILE {
            return Err(MintError::WeakSecret);
        }
        Ok(Self::KeyFile(Secret(Arc::new(Zeroizing::new(content.to_vec())))))
    }

    fn secret(&self) -> Option<(u8, &[u8])> {
        match self {
            Self::Plain => None,
            Self::Passphrase(secret) => Some((PASSPHRASE, &secret.0)),
            Self::KeyFile(secret) => Some((KEY_FILE, &secret.0)),
        }
    }
}

/// A key made from a secret, so that a file is written again without the work.
///
/// Implements R-LIFE-08.
pub(super) struct Lock {
    kind: u8,
    cost: [u32; 3],
    salt: [u8; 16],
    key: Zeroizing<[u8; 32]>,
}

impl Lock {
    /// A lock with a fresh salt; `None` for plain keys.
    pub(super) fn new(protection: &KeyProtection) -> Result<Option<Self>, MintError> {
        let Some((kind, secret)) = protection.secret() else { return Ok(None) };
        let mut salt = [0; 16];
        system_rng().fill_bytes(&mut salt);
        Self::derive(kind, secret, COST, salt).map(Some)
    }

    fn derive(kind: u8, secret: &[u8], cost: [u32; 3], salt: [u8; 16]) -> Result<Self, MintError> {
        let [memory, passes, lanes] = cost;
        let params = Params::new(memory, passes, lanes, Some(32)).map_err(|_| MintError::Damaged(NAME))?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(secret, &salt, key.as_mut())
            .map_err(|_| MintError::Damaged(NAME))?;
        Ok(Self { kind, cost, salt, key })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.key))
    }

    /// Seals a key file's JSON.
    pub(super) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, MintError> {
        let mut nonce = [0; 24];
        system_rng().fill_bytes(&mut nonce);
        let mut out = Vec::with_capacity(HEAD + plain.len() + 16);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, self.kind]);
        for cost in self.cost {
            out.extend_from_slice(&cost.to_le_bytes());
        }
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&nonce);
        let payload = Payload { msg: plain, aad: &out };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| MintError::Damaged(NAME))?;
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens a sealed file, with the lock of an earlier opening if it fits.
    ///
    /// # Errors
    /// [`MintError::Damaged`] if it is no sealed file; [`MintError::KeysSealed`] if the secret is of another kind or missing;
    /// [`MintError::WrongSecret`] if it does not open the file, or the file was changed.
    pub(super) fn open(bytes: &[u8], protection: &KeyProtection, known: Option<Self>) -> Result<(Zeroizing<Vec<u8>>, Self), MintError> {
        let damaged = MintError::Damaged(NAME);
        let Some((head, sealed)) = bytes.split_at_checked(HEAD) else { return Err(damaged) };
        let (mut cost, mut salt, mut nonce) = ([0; 3], [0; 16], [0; 24]);
        if &head[..16] != MAGIC || head[16] != VERSION {
            return Err(damaged);
        }
        for (value, bytes) in cost.iter_mut().zip(head[18..30].as_chunks::<4>().0) {
            *value = u32::from_le_bytes(*bytes);
        }
        salt.copy_from_slice(&head[30..46]);
        nonce.copy_from_slice(&head[46..]);
        if cost.iter().zip(MOST).any(|(cost, most)| *cost > most) {
            return Err(damaged);
        }
        let (kind, secret) = protection.secret().ok_or(MintError::KeysSealed)?;
        if kind != head[17] {
            return Err(MintError::KeysSealed);
        }
        let lock = match known {
            Some(lock) if lock.kind == kind && lock.cost == cost && lock.salt == salt => lock,
            _ => Self::derive(kind, secret, cost, salt)?,
        };
        let payload = Payload { msg: sealed, aad: head };
        let plain = lock.cipher().decrypt(&XNonce::from(nonce), payload).map_err(|_| MintError::WrongSecret)?;
        Ok((Zeroizing::new(plain), lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_opens_and_every_byte_counts() {
        let protection = KeyProtection::passphrase("correct horse battery").unwrap();
        // A cheap lock, so that every byte can be tried.
        let cheap = || Lock::derive(PASSPHRASE, b"correct horse battery", [8, 1, 1], [7; 16]).unwrap();
        let sealed = cheap().seal(b"the keys").unwrap();
        assert_eq!(sealed.len(), HEAD + 8 + 16);
        assert!(!sealed.windows(8).any(|window| window == b"the keys"));
        assert_ne!(sealed, cheap().seal(b"the keys").unwrap(), "a nonce is drawn for each writing");
        assert_eq!(*Lock::open(&sealed, &protection, None).unwrap().0, b"the keys");
        assert_eq!(*Lock::open(&sealed, &protection, Some(cheap())).unwrap().0, b"the keys");
        for (wrong, error) in [
            (KeyProtection::passphrase("correct horse batterie").unwrap(), MintError::WrongSecret),
            (KeyProtection::key_file(&[7; 32]).unwrap(), MintError::KeysSealed),
            (KeyProtection::Plain, MintError::KeysSealed),
        ] {
            assert_eq!(Lock::open(&sealed, &wrong, None).err(), Some(error));
        }
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(Lock::open(&changed, &protection, None).is_err(), "byte {index}");
            assert!(Lock::open(&sealed[..index], &protection, None).is_err(), "cut at {index}");
        }
        let mut greedy = sealed;
        greedy[18..22].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Lock::open(&greedy, &protection, None).err(), Some(MintError::Damaged(NAME)), "no file takes 4 TiB");
    }

    #[test]
    fn weak_secrets_are_refused_and_none_is_printed() {
        assert!(KeyProtection::passphrase("   short     ").is_err());
        assert!(KeyProtection::key_file(&[1; 31]).is_err());
        assert_eq!(format!("{:?}", KeyProtection::passphrase("correct horse battery").unwrap()), "Passphrase(..)");
    }
}
