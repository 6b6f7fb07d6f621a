//! `farthing-mint audit`: everything recomputed.

use crate::{Data, Failure, open, print};

pub async fn audit(data: Data, json: bool) -> Result<(), Failure> {
    let mint = open(data).await?;
    let audit = mint.audit().await?;
    if json {
        print(&serde_json::to_string_pretty(&audit).map_err(|_| Failure::Output)?)?;
    } else {
        let mut lines: Vec<String> = audit.balances.iter().map(|one| format!("{:<40}{:>24}", one.account, one.balance)).collect();
        lines.extend(audit.differences.iter().map(|one| {
            let (what, recomputed, stated) = (&one.what, one.recomputed, one.stated);
            format!("DIFFERENCE: {what}: recomputed {recomputed}, stated {stated}")
        }));
        lines.push(format!("{} bookings, {} differences; {}", audit.bookings, audit.differences.len(), mint.unit().name()));
        print(&lines.join("\n"))?;
    }
    if audit.differences.is_empty() { Ok(()) } else { Err(Failure::Usage("the books differ")) }
}
