//! Several processes on one ledger: whose session it is.
//!
//! A session lives in the memory of the process that opened it, because its nonces may be nowhere else. Its id names that process. Another
//! process passes the request on to it, once; if nobody is there, the ledger decides as for every session that is not in memory.

use std::sync::atomic::Ordering;

use farthing_protocol::wire::IssueRequestFrame;
use rand::Rng;
use subtle::ConstantTimeEq;

use super::{OperationError, Operations};
use crate::store::InstanceId;

/// Another process, which has a session open.
pub struct Owner {
    /// Its id.
    pub instance: InstanceId,
    /// Host and port at which it takes requests.
    pub address: String,
}

impl Operations {
    /// This process's id.
    pub(crate) fn instance(&self) -> InstanceId {
        self.instance.load(Ordering::SeqCst).to_be_bytes()
    }

    /// Takes another id, before any session is opened.
    pub(crate) fn draw_instance(&self, rng: &mut impl Rng) {
        self.instance.store(rng.next_u32(), Ordering::SeqCst);
    }

    /// The other process that should answer a request; `None` if this one should.
    ///
    /// # Errors
    /// [`OperationError::Unavailable`] if the ledger does not say.
    ///
    /// Implements R-SHARE-03.
    pub async fn owner(&self, frame: &IssueRequestFrame) -> Result<Option<Owner>, OperationError> {
        let Some(instances) = self.ledger.instances() else { return Ok(None) };
        let Some(instance) = self.signer.session_instance(&frame.session.0) else { return Ok(None) };
        // What is booked or cancelled needs nobody's memory.
        if instance == self.instance() || self.ledger.session(frame.session.0).await?.is_some() {
            return Ok(None);
        }
        Ok(instances.address(instance).await?.map(|address| Owner { instance, address }))
    }

    /// What proves to a process of this mint that a request comes from another one.
    pub fn forward_seal(&self, owner: InstanceId, body: &[u8]) -> [u8; 32] {
        self.signer.forward_seal(owner, body)
    }

    /// Whether another process of this mint sent a request, and to this one.
    ///
    /// Implements R-SHARE-04.
    pub fn forwarded_here(&self, body: &[u8], seal: &[u8; 32]) -> bool {
        self.signer.forward_seal(self.instance(), body).ct_eq(seal).into()
    }
}
