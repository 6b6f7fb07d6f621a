//! A keyset on its way to the root key and back: an unsigned file out, the signed list in.
//!
//! ```text
//! prepare, where the mint runs     {"format":1,"list":<the list so far>,"published":..,"windows":[..],"receipt_key":..,"keys":[[1,".."],..],..}
//! sign, where the root key is      <the list with one keyset more>, both as JSON of their frames
//! publish, where the mint runs
//! ```
//!
//! Only public keys travel. The whole list goes along, so that the other machine checks every rule itself and sees what it signs.

use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::wire::{Bytes, KeysetListFrame};
use serde::{Deserialize, Serialize};

use crate::config::base64url;
use crate::data::root_from_text;
use crate::error::MintError;
use crate::signer::system_rng;

const FORMAT: u32 = 1;

/// What signing needs to know, and nothing secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsignedKeyset {
    format: u32,
    list: KeysetListFrame,
    published: u64,
    currency: String,
    decimals: u8,
    windows: [u64; 5],
    receipt_key: Bytes<32>,
    keys: Vec<(u64, Bytes<32>)>,
}

/// A signed list with one keyset more than the one it continues.
#[derive(Clone, Debug)]
pub struct SignedAnnouncement {
    /// The keyset's number.
    pub number: u64,
    /// The list's head, in base64url: two heads of one number are a fork, which ends everybody's trust in the mint.
    pub head: String,
    /// The frame, as JSON.
    pub json: String,
}

impl UnsignedKeyset {
    pub(crate) fn new(list: &KeysetList, proposal: &Proposal) -> Self {
        let windows = proposal.windows;
        Self {
            format: FORMAT,
            list: list.to_frame(),
            published: proposal.published,
            currency: proposal.unit.currency().into(),
            decimals: proposal.unit.decimals(),
            windows: [windows.issue_from, windows.issue_until, windows.spend_until, windows.refresh_until, windows.deposit_until],
            receipt_key: proposal.receipt_key.to_bytes().into(),
            keys: proposal.keys.iter().map(|(denomination, key)| (denomination.units(), key.to_bytes().into())).collect(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`MintError::Announcement`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, MintError> {
        let read: Self = serde_json::from_slice(bytes).map_err(|_| MintError::Announcement("is no keyset to be signed"))?;
        if read.format == FORMAT { Ok(read) } else { Err(MintError::Announcement("is of another version")) }
    }

    /// The file.
    ///
    /// # Errors
    /// [`MintError::Announcement`]: none in practice, the fields always serialise.
    pub fn to_json(&self) -> Result<String, MintError> {
        serde_json::to_string_pretty(self).map_err(|_| MintError::Announcement("cannot be written"))
    }

    /// The number that the keyset gets.
    pub fn number(&self) -> u64 {
        self.list.keysets.len() as u64
    }

    /// What is to be signed, for the eyes of who signs; times are Unix seconds.
    pub fn describe(&self) -> String {
        let [issue_from, issue_until, spend_until, refresh_until, deposit_until] = self.windows;
        let mut lines = vec![
            format!("root key        {}", base64url(&self.list.root.0)),
            format!("keyset          {} ({} before it)", self.number(), self.list.keysets.len()),
            format!("unit            {}/10^{}", self.currency, self.decimals),
            format!("published       {}", self.published),
            format!("issues          {issue_from} to {issue_until}"),
            format!("spend until     {spend_until}"),
            format!("refresh until   {refresh_until}"),
            format!("deposit until   {deposit_until}"),
            format!("receipt key     {}", base64url(&self.receipt_key.0)),
        ];
        lines.extend(self.keys.iter().map(|(denomination, key)| format!("key {denomination:>10}  {}", base64url(&key.0))));
        lines.join("\n")
    }

    /// Checks every rule of the list and signs.
    ///
    /// Implements R-LIFE-07.
    ///
    /// # Errors
    /// [`MintError::Keyset`] if the list or the keyset breaks a rule or is not of this root key, [`MintError::Damaged`] if `root_file`
    /// holds no key.
    ///
    /// # Security
    /// Two announcements of one number, both published, prove a fork. Whoever signs remembers what was signed before.
    pub fn sign(&self, root_file: &[u8]) -> Result<SignedAnnouncement, MintError> {
        let root = root_from_text(root_file).ok_or(MintError::Damaged("the root key's file"))?;
        let mut list =
            if self.list.keysets.is_empty() { KeysetList::new(*root.public()) } else { KeysetList::verify(&self.list, root.public())? };
        list.announce(self.proposal()?, &root, &mut system_rng())?;
        let json = serde_json::to_string(&list.to_frame()).map_err(|_| MintError::Announcement("cannot be written"))?;
        Ok(SignedAnnouncement { number: self.number(), head: base64url(&list.head()), json })
    }

    fn proposal(&self) -> Result<Proposal, MintError> {
        let wrong = |_| MintError::Announcement("holds something that is no key");
        let [issue_from, issue_until, spend_until, refresh_until, deposit_until] = self.windows;
        let mut keys = Vec::with_capacity(self.keys.len());
        for (denomination, key) in &self.keys {
            keys.push((Amount::from_units(*denomination), Point::from_bytes(key.0).map_err(wrong)?));
        }
        Ok(Proposal {
            published: self.published,
            unit: Unit::new(&self.currency, self.decimals)?,
            windows: Windows { issue_from, issue_until, spend_until, refresh_until, deposit_until },
            receipt_key: Point::from_bytes(self.receipt_key.0).map_err(wrong)?,
            keys,
        })
    }
}
