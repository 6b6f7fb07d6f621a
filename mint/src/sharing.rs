//! Several processes on one ledger: each says where the others find it.

use std::sync::Weak;

use super::{Arc, Duration, Inner, Mint, MintError, http, system_rng};
use crate::store::Instance;

/// How often a process says that it is still there.
const HEARD: Duration = Duration::from_secs(20);

/// Ids that are drawn before giving up: one in four thousand million is taken.
const DRAWS: u32 = 3;

/// A process that the others know. Dropping it stops listening for them.
pub(super) struct Shared {
    mint: Mint,
    stop: tokio::sync::oneshot::Sender<()>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    heard: tokio::task::JoinHandle<()>,
}

impl Mint {
    /// Listens for the other processes and tells them where.
    ///
    /// Implements R-SHARE-03.
    pub(super) async fn join(&self) -> Result<Shared, MintError> {
        let failed = |error: std::io::Error| MintError::Serve(error.kind());
        let forwarding = &self.0.forwarding;
        let listener = tokio::net::TcpListener::bind(forwarding.listen).await.map_err(failed)?;
        let address = match &forwarding.address {
            Some(address) => address.clone(),
            None => listener.local_addr().map_err(failed)?.to_string(),
        };
        let mut draws = 0;
        while !register(&self.0, &address).await? {
            draws += 1;
            if draws == DRAWS {
                return Err(MintError::Damaged("the list of processes in the ledger"));
            }
            self.0.operations.draw_instance(&mut system_rng());
        }
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (router, limits) = (http::forward_router(self.0.operations.clone(), &self.0.limits), self.0.limits.clone());
        let served = tokio::spawn(async move { http::serve(listener, router, &limits, async move { drop(stopped.await) }).await });
        let heard = tokio::spawn(stay_known(Arc::downgrade(&self.0), address));
        Ok(Shared { mint: self.clone(), stop, served, heard })
    }
}

async fn register(mint: &Inner, address: &str) -> Result<bool, MintError> {
    let Some(instances) = mint.ledger.instances() else { return Ok(true) };
    let instance = Instance { id: mint.operations.instance(), address: address.to_owned() };
    Ok(instances.register(instance, mint.clock.wall().as_secs()).await?)
}

async fn stay_known(mint: Weak<Inner>, address: String) {
    loop {
        tokio::time::sleep(HEARD).await;
        let Some(mint) = mint.upgrade() else { break };
        let Some(instances) = mint.ledger.instances() else { break };
        if let Ok(false) = instances.seen(mint.operations.instance(), mint.clock.wall().as_secs()).await
            && let Err(error) = register(&mint, &address).await
        {
            tracing::warn!(%error, "the other processes do not know this one");
        }
    }
}

impl Shared {
    /// Forgotten by the others first, so that they ask no more; what they asked is answered.
    pub(super) async fn leave(self) {
        let Self { mint, stop, served, heard } = self;
        heard.abort();
        if let Some(instances) = mint.0.ledger.instances()
            && let Err(error) = instances.leave(mint.0.operations.instance()).await
        {
            tracing::warn!(%error, "the other processes still think that this one is there");
        }
        // A listener that ended by itself needs no word.
        let _: Result<(), ()> = stop.send(());
        drop(served.await);
    }
}
