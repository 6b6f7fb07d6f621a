//! The key file: seal key, denomination keys and receipt keys of every keyset, as JSON.
//!
//! ```text
//! {"format":1,"seal":"<b64url 32>","keysets":[{"receipt":"<b64url 32>","keys":[[1,"<b64url 32>"],..]},..]}
//! ```
//!
//! A keyset is found by its public keys, so that keys can be stored before their keyset has a number and an id. Whoever reads the file can
//! make money: it is sealed (see the module `sealed`), has mode 0600, and is never in the same backup as the ledger.

use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::Keyset;
use farthing_protocol::proof::LoneKey;
use farthing_protocol::snowblind::SigningKey;
use farthing_protocol::wire::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::system_rng;

/// Keys as they are stored.
pub struct KeyFile {
    /// The key of session ids and ledger marks.
    pub seal_key: Zeroizing<[u8; 32]>,
    /// The keysets, oldest first.
    pub keysets: Vec<KeysetSecrets>,
}

/// The secret half of a keyset.
pub struct KeysetSecrets {
    /// The key that signs deposit answers.
    pub receipt: LoneKey,
    /// The denomination keys, ascending; none once the keyset will never issue again.
    pub keys: Vec<(Amount, SigningKey)>,
}

impl KeysetSecrets {
    /// Fresh keys.
    pub fn generate(denominations: &[Amount]) -> Self {
        let mut rng = system_rng();
        let receipt = LoneKey::generate(&mut rng);
        Self { receipt, keys: denominations.iter().map(|denomination| (*denomination, SigningKey::generate(&mut rng))).collect() }
    }

    /// The public keys, as a keyset lists them.
    pub fn public(&self) -> Vec<(Amount, Point)> {
        self.keys.iter().map(|(denomination, key)| (*denomination, *key.public())).collect()
    }

    /// Whether these are the keys of a keyset, or what is left of them.
    pub fn belong_to(&self, keyset: &Keyset) -> bool {
        self.receipt.public() == keyset.receipt_key() && (self.keys.is_empty() || self.public() == keyset.keys())
    }
}

#[derive(Serialize, Deserialize)]
struct StoredKey(u64, Bytes<32>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKeyset {
    receipt: Bytes<32>,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    seal: Bytes<32>,
    keysets: Vec<StoredKeyset>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.seal.0.zeroize();
        for keyset in &mut self.keysets {
            keyset.receipt.0.zeroize();
            for key in &mut keyset.keys {
                key.1.0.zeroize();
            }
        }
    }
}

impl KeyFile {
    /// The file's bytes.
    ///
    /// # Errors
    /// None in practice: the types always serialise.
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let stored = Stored {
            format: 1,
            seal: (*self.seal_key).into(),
            keysets: self
                .keysets
                .iter()
                .map(|keyset| StoredKeyset {
                    receipt: (*keyset.receipt.expose_secret()).into(),
                    keys: keyset.keys.iter().map(|(value, key)| StoredKey(value.units(), (*key.expose_secret()).into())).collect(),
                })
                .collect(),
        };
        serde_json::to_vec(&stored).map(Zeroizing::new)
    }

    /// Reads a file; `None` if it is no key file.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        if stored.format != 1 {
            return None;
        }
        let mut keysets = Vec::with_capacity(stored.keysets.len());
        for keyset in &stored.keysets {
            let mut keys = Vec::with_capacity(keyset.keys.len());
            for StoredKey(value, key) in &keyset.keys {
                keys.push((Amount::from_units(*value), SigningKey::from_bytes(&Zeroizing::new(key.0)).ok()?));
            }
            let receipt = LoneKey::from_bytes(&Zeroizing::new(keyset.receipt.0)).ok()?;
            keysets.push(KeysetSecrets { receipt, keys });
        }
        Some(Self { seal_key: Zeroizing::new(stored.seal.0), keysets })
    }
}
