//! Getting a wallet back from its seed and what the mint has recorded.
//!
//! Whole buckets are downloaded, of every keyset that still refreshes, and nothing is asked about any session or token. What comes back may
//! have been paid before the wallet was lost, so it can only be refreshed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{Keyset, KeysetList};
use farthing_protocol::proof::SpentKey;
use farthing_protocol::restore::{Bucket, GAP, RecordedSession, find};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::wire::Bytes;
use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use crate::client::{ClientOptions, MintClient};
use crate::error::WalletError;
use crate::records::{Origin, TokenRecord, TokenState};
use crate::store::Store;
use crate::{Wallet, now, seed_text, system_rng};

/// New sessions begin this many indices beyond the last one found: past those that were in use, and well within the gap, so that the
/// next restore finds them.
const BEYOND: u64 = GAP / 16;

/// What was found, in smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Sessions found.
    pub sessions: usize,
    /// Tokens they brought, spent ones too.
    pub tokens: usize,
    /// What those were issued for.
    pub issued: Amount,
}

struct Found {
    report: RestoreReport,
    tokens: Vec<(SpentKey, TokenRecord)>,
    next_index: u64,
}

impl Wallet {
    /// The seed as text to be written down: whoever reads it has the money.
    pub fn seed_text(&self) -> Zeroizing<String> {
        seed_text::to_text(&self.seed)
    }

    /// Makes a wallet in an empty directory from the seed of a lost one. Its tokens must then be refreshed: [`Wallet::refresh`] does it,
    /// and drops those that were spent before the loss.
    ///
    /// # Errors
    /// [`WalletError::Seed`] if the text is no seed; else as [`Wallet::init`]. Nothing is stored then.
    ///
    /// # Security
    /// Only if the lost wallet is truly lost: two wallets of one seed would use the same indices.
    pub async fn restore(
        directory: &Path,
        mint: Url,
        root: Point,
        seed: &str,
        options: ClientOptions,
    ) -> Result<(Self, RestoreReport), WalletError> {
        let seed = seed_text::from_text(seed)?;
        let client = MintClient::new(mint.clone(), &options)?;
        let keysets = KeysetList::verify(&client.keysets().await?, &root)?;
        let found = search(&client, &seed, &keysets).await?;
        let store = Store::create(directory, &seed, &mint, &root, &keysets, found.next_index, &found.tokens)?;
        let wallet = Self::assemble(store, seed, mint, root, keysets, options, system_rng()?)?;
        Ok((wallet, found.report))
    }
}

/// Implements R-BACK-10.
async fn search(client: &MintClient, seed: &WalletSeed, keysets: &KeysetList) -> Result<Found, WalletError> {
    let now = now();
    let mut sessions: BTreeMap<[u8; 32], Vec<(&Keyset, RecordedSession)>> = BTreeMap::new();
    for keyset in keysets.keysets().iter().filter(|keyset| keyset.refreshable_at(now)) {
        for number in 0.. {
            let frame = client.bucket(keyset.number(), number).await?;
            let bucket =
                Bucket::from_frame(&frame, keyset.id(), number).map_err(|_| WalletError::MintBroken("its bucket is not canonical"))?;
            for session in bucket.sessions() {
                sessions.entry(*session.recovery()).or_default().push((keyset, session.clone()));
            }
            if !bucket.is_closed() {
                break;
            }
        }
    }
    let hashes: BTreeSet<[u8; 32]> = sessions.keys().copied().collect();
    let mut found =
        Found { report: RestoreReport { sessions: 0, tokens: 0, issued: Amount::ZERO }, tokens: Vec::new(), next_index: BEYOND };
    for (index, hash) in find(seed, keysets.root(), 0, &hashes) {
        for (keyset, session) in sessions.get(&hash).into_iter().flatten() {
            // Another's session under a hash that was copied from a bucket does not unblind.
            let Ok(tokens) = session.restore(seed, keysets.root(), keyset, index) else { continue };
            found.report.sessions += 1;
            found.report.tokens += tokens.len();
            let next = index.checked_add(session.outputs() as u64).and_then(|next| next.checked_add(BEYOND));
            found.next_index = found.next_index.max(next.ok_or(WalletError::Damaged)?);
            for (token, origin) in tokens.into_iter().zip(Origin::of_session(index, &session.denominations())) {
                let (signature, secret) = (token.token().signature().to_body(), Bytes(*token.key().expose_secret()));
                let issued = found.report.issued.checked_add(token.token().denomination());
                found.report.issued = issued.ok_or(WalletError::MintBroken("more was issued than can be counted"))?;
                let record = TokenRecord { signature, secret, state: TokenState::RefreshOnly, acquired: now, origin: Some(origin) };
                found.tokens.push((*token.token().spent_key(), record));
            }
        }
    }
    Ok(found)
}
