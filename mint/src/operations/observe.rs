//! What is counted when somebody looks.

use std::time::{Duration, Instant};

use metrics::gauge;

use super::{Operations, Places};
use crate::metrics as names;
use crate::metrics::value;

/// The balance sheet reads every voucher: not at every look.
const SHEET: Duration = Duration::from_mins(1);

impl Operations {
    /// Sets every gauge. What the ledger does not say stays as it was, and `ready` says so.
    pub(crate) async fn observe(&self) {
        let (sessions, outputs) = self.sessions.held();
        gauge!(names::SESSIONS).set(value(sessions as u64));
        gauge!(names::SESSION_OUTPUTS).set(value(outputs as u64));
        gauge!(names::POOLED).set(value(self.signer.pooled() as u64));
        for (asking, places) in [("readers", &self.readers), ("publishers", &self.publishers)] {
            gauge!(names::PLACES, "asking" => asking).set(value(places.taken() as u64));
        }
        let flag = |holds: bool| if holds { 1.0 } else { 0.0 };
        gauge!(names::BEHIND).set(flag(self.is_behind()));
        gauge!(names::RESYNCING).set(flag(self.is_resyncing()));
        gauge!(names::CLOCK).set(flag(self.clock.now().is_ok()));
        gauge!(names::WRITABLE).set(flag(self.is_writable().await));
        gauge!(names::READY).set(flag(self.ready().await.is_ok()));
        if let Ok(lifecycle) = self.ledger.lifecycle().await {
            gauge!(names::SEQUENCE).set(value(lifecycle.position.sequence));
            let (now, list) = (self.clock.roughly(), self.list());
            let issues = |number: u64| !lifecycle.keysets.iter().any(|row| u64::from(row.number) == number && row.retired.is_some());
            let own = list.keysets().iter().filter(|keyset| *keyset.unit() == self.unit && issues(keyset.number()));
            let last = own.map(|keyset| keyset.windows().issue_until).max().unwrap_or_default();
            gauge!(names::ISSUING_SECONDS).set(value(last.saturating_sub(now)));
        }
        let mut observed = self.observed.lock().await;
        if observed.is_some_and(|last| last.elapsed() < SHEET) {
            return;
        }
        let (Ok(status), Ok(runs)) = (self.status().await, self.ledger.payout_runs(None).await) else { return };
        *observed = Some(Instant::now());
        let denominations = status.keysets.iter().flat_map(|keyset| &keyset.denominations);
        gauge!(names::FROZEN).set(value(denominations.filter(|one| one.frozen).count() as u64));
        for (account, amount) in [
            ("sold", status.sold),
            ("recovered", status.recovered),
            ("counterfeits", status.counterfeits),
            ("vouchers", status.vouchers),
            ("tokens", status.outstanding),
            ("change-due", status.change_due),
            ("refunds-due", status.refunds_due),
            ("credits", status.credits),
            ("fees", status.fees),
            ("paid-out", status.paid_out),
        ] {
            gauge!(names::BALANCE, "account" => account).set(value(amount.units()));
        }
        gauge!(names::BALANCED).set(flag(status.balanced));
        gauge!(names::PAYOUTS_DUE).set(value(runs.len() as u64));
    }
}

impl Places {
    fn taken(&self) -> usize {
        self.most.saturating_sub(self.requests.available_permits())
    }
}
