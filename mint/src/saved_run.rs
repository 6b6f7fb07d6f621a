//! A payout run as a file from which it can be booked again, should the ledger lose it.
//!
//! ```text
//! {"run":{"format":1,"ledger":"<b64url 16>","id":"2026-11","time":..,"debtor":{..},"payouts":[{..},..]},"digest":"<hex SHA-256>"}
//! digest = SHA-256(run, as compact JSON in this order)
//! ```
//!
//! Amounts are smallest units. The digest and the ledger's id are against mistakes: another mint's file, a changed or cut one. They are no
//! signature: whoever can write to the operator's files can make one, as they can write to the ledger.

use farthing_protocol::amount::Amount;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{base64url, hexadecimal, publisher_name};
use crate::error::AdoptionError;
use crate::sepa;
use crate::store::books::{BankAccount, Payout, PayoutRun};

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    ledger: String,
    id: String,
    time: u64,
    debtor: BankAccount,
    payouts: Vec<Payout>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    run: Content,
    digest: String,
}

impl Content {
    /// In hexadecimal; `None` never in practice, the fields always serialise.
    fn digest(&self) -> Option<String> {
        Some(hexadecimal(&Sha256::digest(serde_json::to_vec(self).ok()?)))
    }
}

/// The file of a run; the same run makes the same bytes.
pub(crate) fn write(run: &PayoutRun, ledger: &[u8; 16]) -> Option<String> {
    let PayoutRun { id, time, debtor, payouts, .. } = run.clone();
    let content = Content { format: FORMAT, ledger: base64url(ledger), id, time, debtor, payouts };
    let digest = content.digest()?;
    Some(serde_json::to_string_pretty(&Saved { run: content, digest }).ok()? + "\n")
}

/// Reads a run that this ledger has booked; `cent` is how many smallest units a cent has.
///
/// Implements R-BOOKS-10.
///
/// # Errors
/// [`AdoptionError::NotARun`], [`AdoptionError::Altered`], [`AdoptionError::OtherLedger`].
pub(crate) fn read(file: &[u8], ledger: &[u8; 16], cent: Amount) -> Result<PayoutRun, AdoptionError> {
    let Saved { run: content, digest } = serde_json::from_slice(file).map_err(|_| AdoptionError::NotARun)?;
    if content.format != FORMAT {
        return Err(AdoptionError::NotARun);
    }
    if content.digest().is_none_or(|own| own != digest) {
        return Err(AdoptionError::Altered);
    }
    if content.ledger != base64url(ledger) {
        return Err(AdoptionError::OtherLedger);
    }
    let Content { id, time, debtor, payouts, .. } = content;
    let run = PayoutRun { id, time, debtor, written: true, payouts };
    // A digest that somebody has computed does not make a run of it.
    if is_run(&run, cent) { Ok(run) } else { Err(AdoptionError::NotARun) }
}

/// Whether a mint could have booked it.
fn is_run(run: &PayoutRun, cent: Amount) -> bool {
    let is_account = |account: &BankAccount| sepa::account(account).is_ok_and(|checked| checked == *account);
    let whole = |amount: Amount| amount.units().checked_rem(cent.units()) == Some(0);
    let could = |payout: &Payout| {
        let Payout { publisher, credited, fee, amount, payee } = payout;
        let adds_up = fee.checked_add(*amount) == Some(*credited) && !amount.is_zero();
        let named = publisher_name(publisher).as_deref() == Some(publisher);
        adds_up && named && whole(*credited) && whole(*fee) && is_account(payee)
    };
    let total = Amount::checked_sum(run.payouts.iter().map(|payout| payout.credited));
    let fits = |units: u64| i64::try_from(units).is_ok();
    sepa::is_run_id(&run.id)
        && is_account(&run.debtor)
        && !run.payouts.is_empty()
        && run.payouts.is_sorted_by(|one, next| one.publisher < next.publisher)
        && run.payouts.iter().all(could)
        && total.is_some_and(|total| fits(total.units()))
        && fits(run.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENT: Amount = Amount::from_units(1_000);

    fn run() -> PayoutRun {
        let account = BankAccount { iban: "DE89370400440532013000".into(), name: "News".into(), address: None };
        let units = Amount::from_units;
        let payout = |publisher: &str| Payout {
            publisher: publisher.into(),
            credited: units(123_000),
            fee: units(3_000),
            amount: units(120_000),
            payee: account.clone(),
        };
        let payouts = vec![payout("blog.example"), payout("news.example")];
        PayoutRun { id: "2026-11".into(), time: 1_800_000_000, debtor: account.clone(), written: true, payouts }
    }

    #[test]
    fn a_run_is_read_as_it_was_written_and_by_its_own_ledger_only() {
        let file = write(&run(), &[1; 16]).unwrap();
        assert_eq!(read(file.as_bytes(), &[1; 16], CENT), Ok(run()));
        assert_eq!(read(file.as_bytes(), &[2; 16], CENT), Err(AdoptionError::OtherLedger));
        // White space is no content.
        let compact: serde_json::Value = serde_json::from_str(&file).unwrap();
        assert_eq!(read(compact.to_string().as_bytes(), &[1; 16], CENT), Ok(run()));
    }

    #[test]
    fn a_file_that_is_changed_or_cut_is_refused() {
        let file = write(&run(), &[1; 16]).unwrap();
        for (from, to) in
            [("123000", "122000"), ("news.example", "news.example:8443"), ("1800000000", "1800000001"), ("2026-11", "2026-12")]
        {
            assert!(file.contains(from));
            assert_eq!(read(file.replacen(from, to, 1).as_bytes(), &[1; 16], CENT), Err(AdoptionError::Altered), "{from}");
        }
        let unknown = file.replacen("\"format\"", "\"more\":1,\"format\"", 1);
        let newer = file.replacen("\"format\": 1", "\"format\": 2", 1);
        for wrong in [&file[..file.len() - 5], "", "{}", "run,end_to_end_id", &unknown, &newer] {
            assert_eq!(read(wrong.as_bytes(), &[1; 16], CENT), Err(AdoptionError::NotARun), "{wrong}");
        }
    }

    #[test]
    fn what_no_mint_books_is_no_run_whatever_its_digest() {
        type Change = fn(&mut PayoutRun);
        let changes: [Change; 9] = [
            |run| run.payouts.clear(),
            |run| run.payouts.swap(0, 1),
            |run| run.payouts[1].publisher = "blog.example".into(),
            |run| run.payouts[0].publisher = "News.example".into(),
            |run| run.payouts[0].fee = Amount::ZERO,
            |run| {
                run.payouts[0] =
                    Payout { credited: Amount::from_units(123_500), amount: Amount::from_units(120_500), ..run.payouts[0].clone() }
            },
            |run| {
                let most = u64::MAX / 1_000 * 1_000;
                for one in &mut run.payouts {
                    (one.credited, one.amount) = (Amount::from_units(most), Amount::from_units(most - 3_000));
                }
            },
            |run| run.debtor.iban = "DE00370400440532013000".into(),
            |run| run.id = "../x".into(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut wrong = run();
            change(&mut wrong);
            let file = write(&wrong, &[1; 16]).unwrap();
            assert_eq!(read(file.as_bytes(), &[1; 16], CENT), Err(AdoptionError::NotARun), "{number}");
        }
    }
}
