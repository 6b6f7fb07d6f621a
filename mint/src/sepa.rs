//! What banks want: IBANs, names in their characters, and the files of a payout run.
//!
//! The XML is ISO 20022 `pain.001.001.09` as the European Payments Council's rules for SEPA credit transfers use it. Both files are made
//! from the ledger alone, so that making them again makes the same bytes.

use std::fmt::Write;

use farthing_protocol::amount::Amount;

use crate::config::hexadecimal;
use crate::store::books::{Address, BankAccount, Payout, PayoutRun};

/// The longest run id: with the ledger's mark and a number it still fits the 35 characters of an end-to-end id.
const MAX_RUN_ID: usize = 16;

const DAY: u64 = 86_400;

/// Countries of SEPA and the length of their IBANs.
const COUNTRIES: [(&str, usize); 41] = [
    ("AD", 24),
    ("AL", 28),
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FR", 27),
    ("GB", 22),
    ("GI", 23),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("RS", 22),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
];

/// An IBAN of a SEPA country in its one form; `None` if its length or its check digits are wrong.
///
/// Implements R-BOOKS-04.
pub(crate) fn iban(text: &str) -> Option<String> {
    let iban: String = text.chars().filter(|char| *char != ' ').map(|char| char.to_ascii_uppercase()).collect();
    if !iban.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
        return None;
    }
    let (country, check) = (iban.get(..2)?, iban.get(2..4)?);
    let length = if country == "VA" { 22 } else { COUNTRIES.iter().find(|(code, _)| *code == country)?.1 };
    if iban.len() != length || !check.bytes().all(|byte| byte.is_ascii_digit()) || !(2..=98).contains(&check.parse::<u8>().ok()?) {
        return None;
    }
    let digits = iban[4..].bytes().chain(iban[..4].bytes());
    let rest = digits.fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    (rest == 1).then_some(iban)
}

/// Text of at most `length` characters of the set that all banks take, beginning with a letter or digit.
fn text(given: &str, length: usize) -> Option<String> {
    let text = given.trim();
    let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-?:().,'+ ".contains(&byte));
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    (fits && begins && text.len() <= length).then(|| text.to_owned())
}

/// A bank account from what an operator typed; otherwise what is wrong with it.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn account(given: &BankAccount) -> Result<BankAccount, &'static str> {
    let iban = iban(&given.iban).ok_or("not an IBAN of a SEPA country, or its check digits are wrong")?;
    let wrong = "names and addresses: the bank takes 1 to 70 letters without accents, digits, spaces and / - ? : ( ) . , ' +, towns 35, postcodes 16";
    let name = text(&given.name, 70).ok_or(wrong)?;
    let optional = |part: &Option<String>, length| part.as_deref().map(|part| text(part, length).ok_or(wrong)).transpose();
    let address = match &given.address {
        None => None,
        Some(address) => {
            let country = address.country.trim();
            if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err("the country is a code of two letters, such as DE");
            }
            Some(Address {
                street: optional(&address.street, 70)?,
                postcode: optional(&address.postcode, 16)?,
                town: text(&address.town, 35).ok_or(wrong)?,
                country: country.to_ascii_uppercase(),
            })
        }
    };
    Ok(BankAccount { iban, name, address })
}

/// Whether this can be a run's id, which becomes part of file names and of ids at the bank.
pub(crate) fn is_run_id(id: &str) -> bool {
    let fits = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (1..=MAX_RUN_ID).contains(&id.len()) && fits && !id.starts_with('-')
}

/// Year, month and day of a number of days since 1970, as everybody's calendar has them.
pub(crate) fn date(days: u64) -> String {
    // Count from 1 March of year 0, so that leap days come last in a year and in a 400-year cycle.
    let days = days.saturating_add(719_468);
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day_of_month:02}", cycle * 400 + year + next_year)
}

/// Days since 1970 of `2026-01-31`; `None` if there is no such day.
pub(crate) fn days(text: &str) -> Option<u64> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month, day): (u64, u64, u64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let (shifted, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    let days = (shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + of_year).checked_sub(719_468)?;
    // There is a day if it is written as it was given.
    (date(days) == text).then_some(days)
}

/// The files of a run.
pub(crate) struct Files<'a> {
    pub run: &'a PayoutRun,
    /// Tells this ledger's runs from another's at the same bank.
    pub ledger: [u8; 16],
    /// How many smallest units one cent has.
    pub cent: Amount,
}

impl Files<'_> {
    fn message(&self) -> String {
        let mark = hexadecimal(&self.ledger[..4]);
        format!("F{mark}-{}", self.run.id)
    }

    fn end_to_end(&self, index: usize) -> String {
        format!("{}-{}", self.message(), index + 1)
    }

    /// Euros with two decimals of an amount that is in whole cents.
    fn euros(&self, amount: Amount) -> String {
        let cents = amount.units().checked_div(self.cent.units()).unwrap_or(0);
        format!("{}.{:02}", cents / 100, cents % 100)
    }

    fn total(&self) -> Amount {
        // Within what the mint can have sold.
        Amount::from_units(self.run.payouts.iter().fold(0, |sum, payout| sum + payout.amount.units()))
    }

    /// Comma-separated values; text is quoted.
    pub fn csv(&self) -> String {
        let mut out = String::from("run,end_to_end_id,publisher,name,iban,currency,credited,fee,amount\n");
        for (index, payout) in self.run.payouts.iter().enumerate() {
            let Payout { publisher, credited, fee, amount, payee } = payout;
            let (id, end_to_end) = (&self.run.id, self.end_to_end(index));
            let (credited, fee, amount) = (self.euros(*credited), self.euros(*fee), self.euros(*amount));
            let BankAccount { name, iban, .. } = payee;
            let _ = writeln!(out, "\"{id}\",\"{end_to_end}\",\"{publisher}\",\"{name}\",\"{iban}\",EUR,{credited},{fee},{amount}");
        }
        out
    }

    /// The message for the bank.
    ///
    /// Implements R-BOOKS-04.
    pub fn xml(&self) -> String {
        let (run, message) = (self.run, self.message());
        let (count, total) = (run.payouts.len(), self.euros(self.total()));
        let (day, second) = (date(run.time / DAY), run.time % DAY);
        let time = format!("{day}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60);
        let mut out = Xml::default();
        out.open("CstmrCdtTrfInitn");
        out.open("GrpHdr").leaf("MsgId", &message).leaf("CreDtTm", &time).leaf("NbOfTxs", &count.to_string()).leaf("CtrlSum", &total);
        out.open("InitgPty").leaf("Nm", &run.debtor.name).close("InitgPty").close("GrpHdr");
        out.open("PmtInf").leaf("PmtInfId", &message).leaf("PmtMtd", "TRF").leaf("NbOfTxs", &count.to_string()).leaf("CtrlSum", &total);
        out.open("PmtTpInf").open("SvcLvl").leaf("Cd", "SEPA").close("SvcLvl").close("PmtTpInf");
        out.open("ReqdExctnDt").leaf("Dt", &day).close("ReqdExctnDt");
        out.party("Dbtr", "DbtrAcct", &run.debtor, |out| {
            // Banks know themselves by the IBAN.
            out.open("DbtrAgt")
                .open("FinInstnId")
                .open("Othr")
                .leaf("Id", "NOTPROVIDED")
                .close("Othr")
                .close("FinInstnId")
                .close("DbtrAgt");
        });
        out.leaf("ChrgBr", "SLEV");
        for (index, payout) in run.payouts.iter().enumerate() {
            out.open("CdtTrfTxInf").open("PmtId").leaf("EndToEndId", &self.end_to_end(index)).close("PmtId");
            out.open("Amt").euros("InstdAmt", &self.euros(payout.amount)).close("Amt");
            out.party("Cdtr", "CdtrAcct", &payout.payee, |_| {});
            out.open("RmtInf").leaf("Ustrd", &format!("Payout {}", run.id)).close("RmtInf").close("CdtTrfTxInf");
        }
        out.close("PmtInf").close("CstmrCdtTrfInitn");
        out.document()
    }
}

/// Elements one after the other; all text is escaped.
#[derive(Default)]
struct Xml(String);

impl Xml {
    fn open(&mut self, name: &str) -> &mut Self {
        let _ = writeln!(self.0, "<{name}>");
        self
    }

    fn close(&mut self, name: &str) -> &mut Self {
        let _ = writeln!(self.0, "</{name}>");
        self
    }

    fn leaf(&mut self, name: &str, text: &str) -> &mut Self {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(self.0, "<{name}>{text}</{name}>");
        self
    }

    fn euros(&mut self, name: &str, amount: &str) -> &mut Self {
        let _ = writeln!(self.0, "<{name} Ccy=\"EUR\">{amount}</{name}>");
        self
    }

    /// Name, address and account, with what stands behind the account.
    fn party(&mut self, party: &str, account: &str, of: &BankAccount, agent: impl FnOnce(&mut Self)) {
        self.open(party).leaf("Nm", &of.name);
        if let Some(address) = &of.address {
            self.open("PstlAdr");
            for (name, part) in [("StrtNm", &address.street), ("PstCd", &address.postcode)] {
                if let Some(part) = part {
                    self.leaf(name, part);
                }
            }
            self.leaf("TwnNm", &address.town).leaf("Ctry", &address.country).close("PstlAdr");
        }
        self.close(party).open(account).open("Id").leaf("IBAN", &of.iban).close("Id").close(account);
        agent(self);
    }

    fn document(&self) -> String {
        let body = &self.0;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\">\n{body}</Document>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibans_are_checked() {
        for good in ["DE89 3704 0044 0532 0130 00", "gb29nwbk60161331926819", "FR1420041010050500013M02606", "NO9386011117947"] {
            assert!(iban(good).is_some(), "{good}");
        }
        for wrong in
            ["", "DE", "DE88370400440532013000", "DE8937040044053201300", "US89370400440532013000", "DE89-3704-0044-0532-0130-00", "\u{e9}"]
        {
            assert_eq!(iban(wrong), None, "{wrong}");
        }
        let digits = "DE89370400440532013000";
        for place in 2..digits.len() {
            let mut other = digits.as_bytes().to_vec();
            other[place] = if other[place] == b'9' { b'0' } else { other[place] + 1 };
            assert_eq!(iban(std::str::from_utf8(&other).unwrap()), None, "one digit changed");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (day, text) in [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (19_782, "2024-02-29"), (20_514, "2026-03-02")] {
            assert_eq!((date(day).as_str(), days(text)), (text, Some(day)));
        }
        assert!((0..200_000).all(|day| days(&date(day)) == Some(day)));
        for wrong in ["", "2026-02-29", "2026-13-01", "2026-1-1", "1969-12-31", "2026-01-00"] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_those_a_bank_takes() {
        let given = |name: &str| account(&BankAccount { iban: "DE89370400440532013000".into(), name: name.into(), address: None });
        assert_eq!(given(" News Ltd. ").map(|one| one.name), Ok("News Ltd.".to_owned()));
        for wrong in ["", "+1", "M\u{fc}ller", "a\"b", "a<b", "=1", &"a".repeat(71)] {
            assert!(given(wrong).is_err(), "{wrong}");
        }
        assert!(is_run_id("2026-11") && !is_run_id("") && !is_run_id("../x") && !is_run_id("12345678901234567"));
    }
}
