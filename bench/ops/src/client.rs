//! A simulated reader with its publishers, who go on through any number of crashes: every request is sent again with the same bytes until
//! it is answered, and the client's own books say what the mint must hold in the end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::proof::{LoneKey, SpendKey};
use farthing_protocol::refund::{self, RefundOutcome};
use farthing_protocol::settle::{Outcome, verify_answer};
use farthing_protocol::token::{OwnedToken, OwnedTokens};
use farthing_protocol::wire::{DepositResponseFrame, Frame, IssueResponseFrame, LedgerMark, OpenResponseFrame, RefundResponseFrame};
use hyper::StatusCode;
use rand::{RngExt, rngs::StdRng};

use crate::Fault;
use crate::http::{Answer, Connection};
use crate::reader::{Paid, Reader, deposit_bytes};

/// How long a request may stay without an answer over all its repetitions.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a session of a simulated reader takes, in smallest units.
const DENOMINATIONS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/// What all clients share.
pub struct Town {
    /// Publishers by name, with the keys by which they refund.
    pub publishers: Vec<(String, LoneKey)>,
    /// Set when clients shall finish.
    pub closing: AtomicBool,
    /// Requests answered.
    pub answered: AtomicU64,
    /// Requests sent again because there was no answer, or none that decides.
    pub repeated: AtomicU64,
    /// Sessions that a crash ended before they were booked.
    pub sessions_gone: AtomicU64,
    /// Deposits and refunds whose first answer was lost although they were booked.
    pub answers_lost: AtomicU64,
    /// What clients had to complain about.
    complaints: AtomicU64,
    /// The highest mark the mint has answered with.
    mark: Mutex<Option<LedgerMark>>,
}

impl Town {
    /// A town with these publishers.
    pub const fn new(publishers: Vec<(String, LoneKey)>) -> Self {
        Self {
            publishers,
            closing: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            sessions_gone: AtomicU64::new(0),
            answers_lost: AtomicU64::new(0),
            complaints: AtomicU64::new(0),
            mark: Mutex::new(None),
        }
    }

    /// Prints the first of the complaints: a broken mint makes thousands.
    fn complain(&self, what: &str) {
        if self.complaints.fetch_add(1, Ordering::Relaxed) < 20 {
            eprintln!("{what}");
        }
    }

    fn mark(&self) -> Option<LedgerMark> {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, mark: LedgerMark) {
        let mut known = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| known.sequence < mark.sequence) {
            *known = Some(mark);
        }
    }

    /// Sends the same bytes until the mint has decided.
    async fn until_answered(&self, connection: &mut Connection, path: &str, body: &Bytes) -> Result<Answer, Fault> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(answer) = connection.post(path, body.clone()).await {
                let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&answer.status);
                if !again && !answer.status.is_server_error() && answer.code() != "session-busy" {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    return Ok(answer);
                }
                if answer.code() == "ledger-behind" {
                    return Err("the mint has lost bookings that it had answered for".into());
                }
            }
            self.repeated.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("no answer from {path} within two minutes").into())
    }
}

/// A payment that its publisher was credited for.
struct Settled {
    paid: Paid,
    publisher: usize,
    change_due: u64,
    refunded: bool,
}

/// What a client says the mint must have booked, in smallest units.
#[derive(Default)]
pub struct Books {
    /// Taken from the voucher.
    pub bought: u64,
    /// Credited to each publisher, less refunds.
    pub credited: Vec<u64>,
    /// Asked for with good reason and refused for good.
    pub lost: u64,
    /// Got twice.
    pub created: u64,
}

/// A reader, and the publishers' side of its payments.
pub struct Client {
    town: Arc<Town>,
    reader: Reader,
    connection: Connection,
    /// For the second of two requests at once.
    other: Connection,
    voucher: Arc<LoneKey>,
    worth: u64,
    chance: StdRng,
    held: Vec<OwnedToken>,
    settled: Vec<Settled>,
    last_issue: Option<(Bytes, Bytes)>,
    books: Books,
}

fn worth(tokens: &[OwnedToken]) -> u64 {
    tokens.iter().map(|token| token.token().denomination().units()).sum()
}

/// An amount in the fewest tokens, ascending.
fn split(mut units: u64) -> Vec<u64> {
    let mut parts = Vec::new();
    for denomination in DENOMINATIONS.into_iter().rev() {
        while units >= denomination {
            parts.push(denomination);
            units -= denomination;
        }
    }
    parts.reverse();
    parts
}

impl Client {
    /// A reader with a voucher worth so many units.
    pub fn new(town: Arc<Town>, reader: Reader, connections: [Connection; 2], voucher: Arc<LoneKey>, worth: u64, chance: StdRng) -> Self {
        let books = Books { credited: vec![0; town.publishers.len()], ..Books::default() };
        let [connection, other] = connections;
        Self { town, reader, connection, other, voucher, worth, chance, held: Vec::new(), settled: Vec::new(), last_issue: None, books }
    }

    /// Works until the town closes, then takes and spends everything; what the mint must hold then.
    pub async fn live(mut self) -> Books {
        while !self.town.closing.load(Ordering::Relaxed) {
            match self.chance.random_range(0..16) {
                0..=3 => self.buy().await,
                4..=7 => self.pay(1).await,
                8 => self.pay(8).await,
                9 | 10 => self.take_change().await,
                11 | 12 => self.refresh().await,
                13 => self.refund().await,
                14 => self.pay_twice().await,
                _ => self.ask_again().await,
            }
            // What lies around stays bounded, without its money.
            if self.settled.len() > 200 {
                self.settled.retain(|one| one.change_due > 0);
            }
        }
        while self.settled.iter().any(|one| one.change_due > 0) {
            self.take_change().await;
        }
        while !self.held.is_empty() {
            self.pay_all().await;
        }
        self.ask_again().await;
        self.books
    }

    fn refused(&mut self, units: u64, what: &str, fault: &Fault) {
        self.town.complain(&format!("{what}, {units} units: {fault}"));
        self.books.lost += units;
    }

    /// Runs sessions until one is booked.
    async fn fund(&mut self, denominations: &[u64], funding: &FundingKeys<'_>) -> Result<(), Fault> {
        let plan = self.reader.market.plan(denominations);
        loop {
            let open = self.reader.open(&plan, funding)?;
            let opened: OpenResponseFrame = self.town.until_answered(&mut self.connection, "/v1/commitments", &open).await?.frame()?;
            let (pending, request) = self.reader.blind(&plan, funding, &opened)?;
            let answer = self.town.until_answered(&mut self.connection, "/v1/issue", &request).await?;
            if answer.code() == "session-gone" {
                self.town.sessions_gone.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.held.extend(pending.unblind(&answer.frame::<IssueResponseFrame>()?)?);
            self.last_issue = Some((request, answer.body));
            return Ok(());
        }
    }

    async fn buy(&mut self) {
        if self.held.len() > 100 {
            return;
        }
        let count = self.chance.random_range(1..=12);
        let mut wanted: Vec<u64> = (0..count).map(|_| DENOMINATIONS[self.chance.random_range(0..DENOMINATIONS.len())]).collect();
        wanted.sort_unstable();
        let units: u64 = wanted.iter().sum();
        if self.books.bought + units > self.worth {
            return;
        }
        let voucher = self.voucher.clone();
        match self.fund(&wanted, &FundingKeys::Voucher(&voucher)).await {
            Ok(()) => self.books.bought += units,
            // The voucher's balance shows in the end whether it was debited.
            Err(fault) => self.refused(0, "a voucher", &fault),
        }
    }

    fn draw(&mut self, most: usize) -> Vec<OwnedToken> {
        let count = self.chance.random_range(1..=most).min(self.held.len());
        (0..count).map(|_| self.held.swap_remove(self.chance.random_range(0..self.held.len()))).collect()
    }

    fn make_payment(&mut self, tokens: Vec<OwnedToken>, rest: u64) -> Result<(Paid, usize), Fault> {
        let publisher = self.chance.random_range(0..self.town.publishers.len());
        let units = worth(&tokens) - rest;
        let name = self.town.publishers[publisher].0.clone();
        Ok((self.reader.pay(tokens, &name, units)?, publisher))
    }

    /// Pays and deposits in one request; settle-first if it is one payment.
    async fn pay(&mut self, payments: usize) {
        let mut made = Vec::new();
        for _ in 0..payments {
            let tokens = self.draw(3);
            if tokens.is_empty() {
                break;
            }
            let units = worth(&tokens);
            let rest = if self.chance.random_bool(0.5) { 0 } else { self.chance.random_range(0..units) };
            match self.make_payment(tokens, rest) {
                Ok(payment) => made.push(payment),
                Err(fault) => self.refused(units, "a payment", &fault),
            }
        }
        self.deposit(made).await;
    }

    /// Spends everything held, a token a payment.
    async fn pay_all(&mut self) {
        let mut made = Vec::new();
        while let Some(token) = self.held.pop() {
            let units = token.token().denomination().units();
            match self.make_payment(vec![token], 0) {
                Ok(payment) => made.push(payment),
                Err(fault) => self.refused(units, "a payment", &fault),
            }
            if made.len() == 100 {
                break;
            }
        }
        self.deposit(made).await;
    }

    async fn deposit(&mut self, payments: Vec<(Paid, usize)>) {
        if payments.is_empty() {
            return;
        }
        let bytes = deposit_bytes(payments.iter().map(|(paid, _)| &paid.deposit), self.town.mark());
        let paid: Vec<&Paid> = payments.iter().map(|(paid, _)| paid).collect();
        let outcomes = match send_deposit(&self.town, &self.reader, &mut self.connection, &bytes, &paid).await {
            Ok(outcomes) => outcomes.into_iter().map(Some).collect(),
            Err(fault) => {
                self.refused(0, "a deposit", &fault);
                vec![None; payments.len()]
            }
        };
        for (payment, outcome) in payments.into_iter().zip(outcomes) {
            self.record(payment, outcome);
        }
    }

    /// Books a payment's outcome; `true` if it was credited.
    fn record(&mut self, (paid, publisher): (Paid, usize), outcome: Option<Outcome>) -> bool {
        let payment = paid.deposit.payment();
        let (amount, change) = (payment.amount().units(), payment.change().units());
        match outcome {
            Some(Outcome::Credited { .. }) => {}
            Some(Outcome::AlreadyCredited { .. }) => {
                self.town.answers_lost.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => return false,
            None => {
                self.books.lost += payment.value().units();
                return false;
            }
        }
        self.books.credited[publisher] += amount;
        self.settled.push(Settled { paid, publisher, change_due: change, refunded: false });
        true
    }

    async fn take_change(&mut self) {
        let Some(index) = self.settled.iter().position(|one| one.change_due > 0) else { return };
        let mut settled = self.settled.swap_remove(index);
        let units = settled.change_due;
        let funding = FundingKeys::Change(&settled.paid.used, settled.paid.statement);
        if let Err(fault) = self.fund(&split(units), &funding).await {
            self.refused(units, "change", &fault);
        }
        settled.change_due = 0;
        self.settled.push(settled);
    }

    async fn refresh(&mut self) {
        let tokens = self.draw(5);
        let units = worth(&tokens);
        let Ok(tokens) = OwnedTokens::new(tokens) else { return };
        let used = tokens.retire();
        if let Err(fault) = self.fund(&split(units), &FundingKeys::Refresh(&used)).await {
            self.refused(units, "a refresh", &fault);
        }
    }

    /// A publisher gives a payment back, and the reader takes it.
    async fn refund(&mut self) {
        let Some(index) = self.settled.iter().position(|one| !one.refunded) else { return };
        let mut settled = self.settled.swap_remove(index);
        let units = settled.paid.deposit.payment().amount().units();
        match self.give_back(&settled).await {
            Ok(()) => {
                self.books.credited[settled.publisher] -= units;
                settled.refunded = true;
                let funding = FundingKeys::Reclaim(&settled.paid.used, settled.paid.statement);
                if let Err(fault) = self.fund(&split(units), &funding).await {
                    self.refused(units, "a reclaim", &fault);
                }
            }
            // The publisher's balance shows in the end whether it was taken.
            Err(fault) => self.refused(0, "a refund", &fault),
        }
        self.settled.push(settled);
    }

    async fn give_back(&mut self, settled: &Settled) -> Result<(), Fault> {
        let payment = settled.paid.deposit.spending().payment_id();
        let (name, key) = &self.town.publishers[settled.publisher];
        let request = refund::request(&self.reader.market.root, payment, name, key, &mut self.reader.rng)?;
        let answer = self.town.until_answered(&mut self.connection, "/v1/refunds", &request.to_bytes().into()).await?;
        let frame: RefundResponseFrame = answer.frame()?;
        self.town.saw(frame.mark);
        match refund::verify_answer(&frame, payment, &self.reader.market.list)? {
            RefundOutcome::Refunded => {}
            RefundOutcome::AlreadyRefunded => {
                self.town.answers_lost.fetch_add(1, Ordering::Relaxed);
            }
            RefundOutcome::Refused(refusal) => return Err(refusal.code().into()),
        }
        Ok(())
    }

    /// Pays one token to two publishers at once: exactly one is credited, whatever dies in between.
    async fn pay_twice(&mut self) {
        let Some(token) = self.held.pop() else { return };
        let units = token.token().denomination().units();
        let copy = SpendKey::from_bytes(&token.key().expose_secret()).and_then(|key| OwnedToken::new(*token.token(), key));
        let Ok(copy) = copy else { return self.held.push(token) };
        let made = self.make_payment(vec![token], 0).and_then(|one| Ok((one, self.make_payment(vec![copy], 0)?)));
        let (one, two) = match made {
            // Two payments to one publisher are one payment.
            Ok((one, two)) if one.1 == two.1 => return self.deposit(vec![one]).await,
            Ok(both) => both,
            Err(fault) => return self.refused(units, "a payment", &fault),
        };
        let bytes = [&one, &two].map(|(paid, _)| deposit_bytes([&paid.deposit], None));
        let (town, reader) = (&self.town, &self.reader);
        let (first, second) = ([&one.0], [&two.0]);
        let both = tokio::join!(
            send_deposit(town, reader, &mut self.connection, &bytes[0], &first),
            send_deposit(town, reader, &mut self.other, &bytes[1], &second),
        );
        let (Ok(mut first), Ok(mut second)) = both else {
            self.town.complain("a double-spend had no answer");
            self.books.lost += units;
            return;
        };
        let credited = [self.record(one, first.pop()), self.record(two, second.pop())];
        match credited.into_iter().filter(|credited| *credited).count() {
            0 => {
                self.town.complain("of two payments of one token none was credited");
                self.books.lost += units;
            }
            1 => {}
            _ => {
                self.town.complain("of two payments of one token both were credited");
                self.books.created += units;
            }
        }
    }

    /// Sends finished requests again: an issue has the same answer, a payment is not credited a second time.
    async fn ask_again(&mut self) {
        if let Some((request, response)) = self.last_issue.clone() {
            match self.town.until_answered(&mut self.connection, "/v1/issue", &request).await {
                Ok(answer) if answer.status == StatusCode::OK && answer.body == response => {}
                _ => {
                    self.town.complain("a booked issue was answered differently");
                    self.books.lost += 1;
                }
            }
        }
        let again: Vec<&Settled> = self.settled.iter().rev().take(20).collect();
        if again.is_empty() {
            return;
        }
        let bytes = deposit_bytes(again.iter().map(|one| &one.paid.deposit), self.town.mark());
        let paid: Vec<&Paid> = again.iter().map(|one| &one.paid).collect();
        let Ok(outcomes) = send_deposit(&self.town, &self.reader, &mut self.connection, &bytes, &paid).await else {
            self.town.complain("a repeated deposit was refused");
            self.books.lost += 1;
            return;
        };
        for (settled, outcome) in again.into_iter().zip(outcomes) {
            let units = settled.paid.deposit.payment().amount().units();
            match outcome {
                Outcome::AlreadyCredited { .. } if !settled.refunded => {}
                Outcome::Refunded if settled.refunded => {}
                Outcome::Credited { .. } => {
                    self.town.complain("a payment was credited twice");
                    self.books.created += units;
                }
                _ => {
                    self.town.complain("a credited payment is not known any more");
                    self.books.lost += units;
                }
            }
        }
    }
}

/// Deposits until answered, and verifies the answer.
async fn send_deposit(
    town: &Town,
    reader: &Reader,
    connection: &mut Connection,
    bytes: &Bytes,
    paid: &[&Paid],
) -> Result<Vec<Outcome>, Fault> {
    let frame: DepositResponseFrame = town.until_answered(connection, "/v1/deposits", bytes).await?.frame()?;
    town.saw(frame.mark);
    let expected: Vec<_> = paid.iter().map(|one| (one.deposit.spending().payment_id(), one.deposit.payment().change())).collect();
    Ok(verify_answer(&frame, &expected, &reader.market.list)?)
}
