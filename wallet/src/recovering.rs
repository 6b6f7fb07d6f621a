//! Tokens of frozen denominations: their value is claimed by the session that made them, with what their blinding followed from.
//!
//! A claim tells the mint which session led to which token. Neither is of use to it if the token was never paid; so that no two sessions are
//! seen to be of one wallet, each is claimed by itself, on connections of its own. A token whose denomination is not frozen is refreshed.

use std::collections::BTreeMap;

use farthing_protocol::amount::{Amount, split};
use farthing_protocol::issue::MAX_OUTPUTS;
use farthing_protocol::keyset::Keyset;
use farthing_protocol::proof::SpentKey;
use farthing_protocol::recovery::{Recovery, SessionOrigin};
use farthing_protocol::token::MAX_TOKENS;

use crate::Wallet;
use crate::error::WalletError;
use crate::issuing::RefreshReport;
use crate::policy::top_up;
use crate::records::{HeldToken, TokenRecord};

/// How tokens are replaced by new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replacing {
    /// By their signatures.
    Refresh,
    /// By their session: all are of one, and frozen.
    Recovery,
}

impl Wallet {
    /// Asks which denominations are frozen. A mint that does not answer leaves what is known: then the issues that are affected are refused.
    pub(crate) async fn learn_frozen(&mut self) {
        if let Ok(frozen) = self.mint.frozen().await {
            self.frozen = frozen;
        }
    }

    pub(crate) fn is_frozen(&self, key: &SpentKey) -> bool {
        self.frozen.contains(&(key.keyset, key.denomination))
    }

    /// The denominations of a keyset that are not frozen, ascending.
    pub(crate) fn issued(&self, keyset: &Keyset) -> Vec<Amount> {
        let mut denominations = keyset.denominations();
        denominations.retain(|denomination| !self.frozen.contains(&(keyset.id(), *denomination)));
        denominations
    }

    /// The tokens that make an amount, none of a frozen denomination; `None` if those that are left cannot.
    pub(crate) fn outputs(&self, amount: Amount, keyset: &Keyset) -> Option<Vec<Amount>> {
        let denominations = self.issued(keyset);
        // The usual set may leave a rest that only the frozen denomination could make.
        let outputs = top_up(amount, &denominations).or_else(|| split(amount, &denominations));
        outputs.filter(|outputs| outputs.len() <= MAX_OUTPUTS)
    }

    /// Whether the keyset that issues now can make an amount.
    pub(crate) async fn can_issue(&mut self, amount: Amount) -> Result<bool, WalletError> {
        let keyset = self.issuing_keyset().await?;
        Ok(self.outputs(amount, &keyset).is_some())
    }

    /// The claim on tokens that all have the same origin.
    ///
    /// Implements R-WALLET-17.
    pub(crate) fn claim(&self, tokens: &[HeldToken]) -> Result<Recovery, WalletError> {
        let origin = tokens.first().and_then(|token| token.origin.as_ref()).ok_or(WalletError::Damaged)?;
        let keyset = tokens.first().map(|token| token.spent_key().keyset).ok_or(WalletError::Damaged)?;
        let denominations = origin.denominations();
        let session = SessionOrigin { root: &self.root, keyset, denominations: &denominations, first_index: origin.first_index };
        let place = |token: &HeldToken| {
            let own = token.origin.as_ref().filter(|own| own.first_index == origin.first_index).ok_or(WalletError::Damaged)?;
            Ok((own.position, token.spent_key()))
        };
        let places = tokens.iter().map(place).collect::<Result<Vec<_>, WalletError>>()?;
        Recovery::new(&self.seed, &session, &places).map_err(|_| WalletError::Damaged)
    }

    /// Claims tokens of frozen denominations, session by session.
    ///
    /// Implements R-WALLET-17.
    pub(crate) async fn recover(
        &mut self,
        frozen: Vec<(SpentKey, TokenRecord)>,
        report: &mut RefreshReport,
        failed: &mut Option<WalletError>,
    ) -> Result<(), WalletError> {
        let mut sessions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, record) in frozen {
            let first_index = record.origin.as_ref().map(|origin| origin.first_index);
            sessions.entry((key.keyset, first_index)).or_default().push((key, record));
        }
        for group in sessions.values().flat_map(|tokens| tokens.chunks(MAX_TOKENS)) {
            match self.refresh_group(group, Replacing::Recovery, report).await {
                Err(error) if error.concerns_one_issue() => drop(failed.get_or_insert(error)),
                other => other?,
            }
        }
        Ok(())
    }
}
