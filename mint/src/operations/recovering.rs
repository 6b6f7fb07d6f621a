//! What honest holders of a frozen denomination get back: claims are checked with what was recorded of their sessions.

use farthing_protocol::error::{IssueError, ProofError};
use farthing_protocol::issue::Funding;
use farthing_protocol::recovery::Recovery;
use serde::Serialize;
use utoipa::ToSchema;

use super::givebacks::recorded_session;
use super::{Asking, OperationError, Operations};
use crate::config::base64url;

/// A denomination that neither issues nor comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FrozenDenomination {
    /// The keyset's id, in base64url.
    pub keyset: String,
    /// The value of a token, in smallest units.
    pub denomination: u64,
}

impl Operations {
    /// Every frozen denomination. A hint to wallets, which nobody signs: the ledger decides when a claim is booked.
    ///
    /// # Errors
    /// [`OperationError::Overloaded`] or [`OperationError::Unavailable`].
    pub async fn frozen(&self) -> Result<Vec<FrozenDenomination>, OperationError> {
        let _place = self.admit(Asking::Reader)?;
        let (frozen, list) = (self.ledger.frozen().await?, self.list());
        let named = frozen.into_iter().filter_map(|(number, denomination)| {
            let keyset = list.keysets().iter().find(|keyset| keyset.number() == u64::from(number))?;
            Some(FrozenDenomination { keyset: base64url(&keyset.id().0), denomination: denomination.units() })
        });
        Ok(named.collect())
    }

    /// Checks that a recorded session leads to the tokens claimed; any other funding has nothing recorded to be checked with.
    ///
    /// Implements R-RECOVER-03.
    pub(super) async fn check_recovery(&self, funding: &Funding) -> Result<(), OperationError> {
        let Funding::Recovery(recovery) = funding else { return Ok(()) };
        let keyset = self.list().get(&recovery.keyset()).cloned().ok_or(ProofError::UnknownKeyset)?;
        let number = u32::try_from(keyset.number()).map_err(|_| OperationError::Unavailable)?;
        let rows = self.ledger.recoverable(number, *recovery.session(), recovery.commitment()).await?;
        if rows.is_empty() {
            return Err(OperationError::RecoveryUnknown);
        }
        let sessions = rows.into_iter().map(recorded_session).collect::<Result<Vec<_>, _>>()?;
        let recovery: Recovery = recovery.clone();
        let leads = move || sessions.iter().any(|session| recovery.verify(&keyset, session).is_ok());
        if self.work(Asking::Reader, leads).await? { Ok(()) } else { Err(IssueError::InvalidRecovery.into()) }
    }
}
