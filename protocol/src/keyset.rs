//! Keysets and the mint's signed, hash-chained list of them.
//!
//! ```text
//! keyset id = Hash(version, root, number, published, unit, windows, receipt key, (denomination, X)..)
//! head_n    = Hash(head_(n-1), n, keyset id)                    head_(-1) is 32 zero bytes
//! signature = proof by the root key, purpose announce, S = Hash(root, n, 0, head_n)
//! ```
//!
//! Everybody sees one list, so that a mint cannot give each reader keys of its own to trace it: a 402 names the head, and a wallet that
//! meets a second list of one number keeps both and stops.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use crate::amount::{Amount, Unit};
use crate::error::{KeysetError, UseError};
use crate::group::Point;
use crate::labels;
use crate::proof::{KeyList, KeyProof, KeysetId, LoneKey, Purpose, Statement};
use crate::spending::{KeyTable, VerifyingKeyset};
use crate::transcript::Transcript;
use crate::wire::{Bytes, KeysetBody, KeysetListFrame, VERSION};

/// A keyset is published at least this long before it issues, in seconds; the first of a list is exempt.
///
/// Implements R-KEYSET-07.
pub const PUBLISHED_AHEAD: u64 = 86_400;

/// A keyset issues for at least this long, in seconds.
pub const SHORTEST_ISSUE: u64 = 7 * 86_400;

/// A keyset has at most this many denominations.
pub const MAX_DENOMINATIONS: usize = 32;

/// When a keyset may be used for what; Unix time in seconds, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Tokens are issued from here,
    pub issue_from: u64,
    /// up to and without this second.
    pub issue_until: u64,
    /// Verifiers accept tokens before this second.
    pub spend_until: u64,
    /// The mint refreshes tokens before this second.
    pub refresh_until: u64,
    /// The mint takes deposits before this second; then the keyset closes.
    pub deposit_until: u64,
}

impl Windows {
    /// Implements R-KEYSET-06.
    fn check(&self) -> Result<(), KeysetError> {
        let ordered = [self.issue_from, self.issue_until, self.spend_until, self.refresh_until, self.deposit_until].is_sorted();
        let long_enough = self.issue_until.saturating_sub(self.issue_from) >= SHORTEST_ISSUE;
        if ordered && long_enough { Ok(()) } else { Err(KeysetError::InvalidWindows) }
    }
}

/// A keyset that stands on a verified list.
#[derive(Clone)]
pub struct Keyset {
    id: KeysetId,
    number: u64,
    published: u64,
    unit: Unit,
    windows: Windows,
    receipt_key: Point,
    keys: Vec<(Amount, Point)>,
}

impl Keyset {
    /// The id, which binds everything below.
    pub const fn id(&self) -> KeysetId {
        self.id
    }

    /// The place in the list, from 0.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// When it was announced, Unix time in seconds.
    pub const fn published(&self) -> u64 {
        self.published
    }

    /// What its tokens count in.
    pub const fn unit(&self) -> &Unit {
        &self.unit
    }

    /// When it may be used for what.
    pub const fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The key that signs deposit answers.
    pub const fn receipt_key(&self) -> &Point {
        &self.receipt_key
    }

    /// Denominations and their public keys, ascending.
    pub fn keys(&self) -> &[(Amount, Point)] {
        &self.keys
    }

    /// The denominations, ascending.
    pub fn denominations(&self) -> Vec<Amount> {
        self.keys.iter().map(|(denomination, _)| *denomination).collect()
    }

    /// The public key of a denomination.
    pub fn key(&self, denomination: Amount) -> Option<&Point> {
        self.keys.binary_search_by_key(&denomination, |(known, _)| *known).ok().map(|index| &self.keys[index].1)
    }

    /// Whether tokens may be issued at `now`.
    pub const fn issues_at(&self, now: u64) -> bool {
        self.windows.issue_from <= now && now < self.windows.issue_until
    }

    /// Whether verifiers accept tokens at `now`.
    pub const fn spendable_at(&self, now: u64) -> bool {
        self.windows.issue_from <= now && now < self.windows.spend_until
    }

    /// Whether the mint refreshes tokens at `now`.
    pub const fn refreshable_at(&self, now: u64) -> bool {
        now < self.windows.refresh_until
    }

    /// Whether the mint takes deposits at `now`.
    pub const fn depositable_at(&self, now: u64) -> bool {
        now < self.windows.deposit_until
    }
}

/// A keyset about to be announced.
pub struct Proposal {
    /// When it is announced, Unix time in seconds.
    pub published: u64,
    /// What its tokens count in.
    pub unit: Unit,
    /// When it may be used for what.
    pub windows: Windows,
    /// The key that signs deposit answers.
    pub receipt_key: Point,
    /// Denominations and their public keys, ascending.
    pub keys: Vec<(Amount, Point)>,
}

/// A list of keysets whose every rule and signature was checked under a pinned root key.
#[derive(Clone)]
pub struct KeysetList {
    root: Point,
    keysets: Vec<Keyset>,
    heads: Vec<[u8; 32]>,
    signatures: Vec<KeyProof>,
}

impl KeysetList {
    /// An empty list, to which a mint announces its first keyset.
    pub const fn new(root: Point) -> Self {
        Self { root, keysets: Vec::new(), heads: Vec::new(), signatures: Vec::new() }
    }

    /// Verifies a whole list under the pinned root key.
    ///
    /// Implements R-KEYSET-01.
    ///
    /// # Errors
    /// [`KeysetError`], one variant per rule.
    ///
    /// # Security
    /// A verified list may still be one of two the mint has signed: compare its head with the one a 402 names, and use
    /// [`KeysetList::follow`] to take a newer one.
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify(frame: &KeysetListFrame, root: &Point) -> Result<Self, KeysetError> {
        if frame.root.0 != *root.as_bytes() {
            return Err(KeysetError::WrongRoot);
        }
        if frame.keysets.is_empty() {
            return Err(KeysetError::EmptyList);
        }
        let mut list = Self::new(*root);
        for body in &frame.keysets {
            let proposal = Proposal::from_body(body)?;
            let signature = KeyProof::from_body(&body.proof).map_err(|_| KeysetError::InvalidSignature)?;
            let (keyset, head) = list.next_entry(proposal)?;
            signature
                .verify(Purpose::Announce, &list.statement(keyset.number, &head), KeyList::Lone(root.as_bytes()))
                .map_err(|_| KeysetError::InvalidSignature)?;
            list.push(keyset, head, signature);
        }
        Ok(list)
    }

    /// Takes a newer list in place of this one.
    ///
    /// Implements R-KEYSET-09.
    ///
    /// # Errors
    /// [`KeysetError::Forked`] if the two differ where both speak: keep both frames, they prove it, and stop using the mint.
    /// [`KeysetError::Shortened`] if the newer list lacks keysets of this one. Else as [`KeysetList::verify`].
    pub fn follow(&self, frame: &KeysetListFrame) -> Result<Self, KeysetError> {
        let newer = Self::verify(frame, &self.root)?;
        if self.heads.iter().zip(&newer.heads).any(|(known, head)| known != head) {
            return Err(KeysetError::Forked);
        }
        if newer.heads.len() < self.heads.len() {
            return Err(KeysetError::Shortened);
        }
        Ok(newer)
    }

    /// Announces a keyset: checks every rule, then signs with the root key.
    ///
    /// # Errors
    /// [`KeysetError`] if the proposal breaks a rule; [`KeysetError::WrongRoot`] if `root` is not this list's key.
    ///
    /// # Timing
    /// Constant time in the root key.
    pub fn announce<R: CryptoRng + ?Sized>(&mut self, proposal: Proposal, root: &LoneKey, rng: &mut R) -> Result<KeysetId, KeysetError> {
        if *root.public() != self.root {
            return Err(KeysetError::WrongRoot);
        }
        let (keyset, head) = self.next_entry(proposal)?;
        let statement = self.statement(keyset.number, &head);
        let signature = root.prove(Purpose::Announce, &statement, rng).map_err(|_: UseError| KeysetError::InvalidSignature)?;
        let id = keyset.id;
        self.push(keyset, head, signature);
        Ok(id)
    }

    /// The frame to publish.
    pub fn to_frame(&self) -> KeysetListFrame {
        let keysets = self.keysets.iter().zip(&self.signatures).map(|(keyset, signature)| keyset.to_body(signature)).collect();
        KeysetListFrame { root: self.root.to_bytes().into(), keysets }
    }

    /// The root key.
    pub const fn root(&self) -> &Point {
        &self.root
    }

    /// The keysets, oldest first.
    pub fn keysets(&self) -> &[Keyset] {
        &self.keysets
    }

    /// The keyset with this id.
    pub fn get(&self, id: &KeysetId) -> Option<&Keyset> {
        self.keysets.iter().find(|keyset| keyset.id == *id)
    }

    /// The one unit that all these keysets count in; `None` if one is unknown, if they differ, or if there are none.
    ///
    /// Implements R-SPEND-16.
    ///
    /// # Security
    /// Denominations of different units must never be added up or exchanged: ask this before a payment's sum means anything, and before a
    /// refresh or change issues from another keyset than it spends.
    pub fn common_unit(&self, keysets: impl IntoIterator<Item = KeysetId>) -> Option<&Unit> {
        let mut keysets = keysets.into_iter();
        let unit = self.get(&keysets.next()?)?.unit();
        keysets.all(|id| self.get(&id).is_some_and(|keyset| keyset.unit() == unit)).then_some(unit)
    }

    /// The newest keyset of a unit that issues at `now`.
    pub fn issuing(&self, unit: &Unit, now: u64) -> Option<&Keyset> {
        self.keysets.iter().rev().find(|keyset| keyset.unit == *unit && keyset.issues_at(now))
    }

    /// The head of the list; 32 zero bytes for an empty one.
    pub fn head(&self) -> [u8; 32] {
        self.heads.last().copied().unwrap_or_default()
    }

    /// The number of the keyset whose announcement made this head.
    pub fn number_of_head(&self, head: &[u8; 32]) -> Option<u64> {
        self.heads.iter().zip(&self.keysets).find(|(known, _)| *known == head).map(|(_, keyset)| keyset.number)
    }

    /// Whether a receipt key was announced.
    pub fn knows_receipt_key(&self, key: &[u8; 32]) -> bool {
        self.keysets.iter().any(|keyset| keyset.receipt_key.as_bytes() == key)
    }

    /// Prepares all keys for verification.
    pub fn key_table(&self) -> KeyTable {
        KeyTable::new(self.keysets.iter().map(|keyset| (keyset.id, VerifyingKeyset::new(keyset.id, &keyset.keys))))
    }

    fn push(&mut self, keyset: Keyset, head: [u8; 32], signature: KeyProof) {
        self.keysets.push(keyset);
        self.heads.push(head);
        self.signatures.push(signature);
    }

    /// Implements R-KEYSET-02.
    fn statement(&self, number: u64, head: &[u8; 32]) -> Statement {
        Statement::new(self.root.as_bytes(), Amount::from_units(number), 0, head)
    }

    /// Checks the rules for the next entry and computes its id and head.
    ///
    /// Implements R-KEYSET-04, R-KEYSET-05, R-KEYSET-08.
    fn next_entry(&self, proposal: Proposal) -> Result<(Keyset, [u8; 32]), KeysetError> {
        let Proposal { published, unit, windows, receipt_key, keys } = proposal;
        windows.check()?;
        if keys.is_empty() || keys.len() > MAX_DENOMINATIONS || keys[0].0.is_zero() || !keys.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(KeysetError::InvalidDenominations);
        }
        let known = |key: &Point| {
            *key == self.root || self.keysets.iter().any(|keyset| keyset.receipt_key == *key || keyset.keys.iter().any(|(_, x)| x == key))
        };
        for (index, (_, key)) in keys.iter().enumerate() {
            if known(key) || *key == receipt_key || keys[..index].iter().any(|(_, earlier)| earlier == key) {
                return Err(KeysetError::RepeatedKey);
            }
        }
        if known(&receipt_key) {
            return Err(KeysetError::RepeatedKey);
        }
        if let Some(last) = self.keysets.last() {
            if published < last.published || windows.issue_from < published.saturating_add(PUBLISHED_AHEAD) {
                return Err(KeysetError::PublishedLate);
            }
            let overlapping = self.keysets.iter().filter(|earlier| {
                earlier.unit == unit && earlier.windows.issue_until > windows.issue_from && windows.issue_until > earlier.windows.issue_from
            });
            if overlapping.count() > 1 {
                return Err(KeysetError::TooManyIssuing);
            }
        }
        let number = self.keysets.len() as u64;
        let id = keyset_id(&self.root, number, published, &unit, &windows, &receipt_key, &keys);
        let head = Transcript::new(labels::KEYSET_HEAD)
            .bytes(labels::HEAD, &self.head())
            .u64(labels::NUMBER, number)
            .bytes(labels::KEYSET, &id.0)
            .digest();
        Ok((Keyset { id, number, published, unit, windows, receipt_key, keys }, head))
    }
}

/// Implements R-KEYSET-03.
fn keyset_id(
    root: &Point,
    number: u64,
    published: u64,
    unit: &Unit,
    windows: &Windows,
    receipt_key: &Point,
    keys: &[(Amount, Point)],
) -> KeysetId {
    let mut transcript = Transcript::new(labels::KEYSET_ID);
    transcript
        .u64(labels::NUMBER, u64::from(VERSION))
        .bytes(labels::ROOT, root.as_bytes())
        .u64(labels::NUMBER, number)
        .u64(labels::PUBLISHED, published)
        .bytes(labels::UNIT, unit.name().as_bytes());
    for bound in windows_to_array(windows) {
        transcript.u64(labels::WINDOW, bound);
    }
    transcript.bytes(labels::RECEIPT_KEY, receipt_key.as_bytes()).count(keys.len());
    for (denomination, key) in keys {
        transcript.u64(labels::DENOMINATION, denomination.units()).bytes(labels::KEY, key.as_bytes());
    }
    KeysetId(transcript.digest())
}

const fn windows_to_array(windows: &Windows) -> [u64; 5] {
    [windows.issue_from, windows.issue_until, windows.spend_until, windows.refresh_until, windows.deposit_until]
}

impl Proposal {
    fn from_body(body: &KeysetBody) -> Result<Self, KeysetError> {
        let [issue_from, issue_until, spend_until, refresh_until, deposit_until] = body.windows;
        if body.keys.len() > MAX_DENOMINATIONS {
            return Err(KeysetError::InvalidDenominations);
        }
        let point = |bytes: Bytes<32>| Point::from_bytes(bytes.0).map_err(|_| KeysetError::InvalidKey);
        let keys =
            body.keys.iter().map(|(denomination, key)| Ok((Amount::from_units(*denomination), point(*key)?))).collect::<Result<_, _>>()?;
        Ok(Self {
            published: body.published,
            unit: Unit::new(&body.currency, body.decimals)?,
            windows: Windows { issue_from, issue_until, spend_until, refresh_until, deposit_until },
            receipt_key: point(body.receipt_key)?,
            keys,
        })
    }
}

impl Keyset {
    fn to_body(&self, signature: &KeyProof) -> KeysetBody {
        KeysetBody {
            published: self.published,
            currency: self.unit.currency().into(),
            decimals: self.unit.decimals(),
            windows: windows_to_array(&self.windows),
            receipt_key: self.receipt_key.to_bytes().into(),
            keys: self.keys.iter().map(|(denomination, key)| (denomination.units(), key.to_bytes().into())).collect(),
            proof: signature.to_body(),
        }
    }
}
