//! Buying tokens: with a voucher, with older tokens, with change, with tokens of a frozen denomination. Every step is stored before the
//! next byte is sent.
//!
//! ```text
//! begun (open request stored) -> opened (commitments and issue request stored) -> tokens stored, record gone
//!                             <- session-gone: a new session with new indices
//! ```

use farthing_protocol::amount::Amount;
use farthing_protocol::issue::{FundingKeys, PendingTokens, SessionPlan};
use farthing_protocol::keyset::Keyset;
use farthing_protocol::proof::{LoneKey, SpentKey, Statement};
use farthing_protocol::recovery::Recovery;
use farthing_protocol::snowblind::Commitment;
use farthing_protocol::token::{MAX_TOKENS, OwnedTokens, UsedTokens};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{Bytes, IssueRequestFrame, OpenRequestFrame, OpenResponseFrame};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::WalletError;
use crate::records::{Exchange, FundingRecord, HeldToken, Origin, PaymentRecord, PaymentState, SessionRecord, TokenRecord, TokenState};
use crate::recovering::Replacing;
use crate::store::Change;
use crate::{Wallet, now};

/// How often a session that the mint has cancelled is opened anew before the wallet gives up for now.
const MOST_SESSIONS: usize = 3;

/// One session buys at most this many of the largest denomination, so that it stays below the protocol's limit of outputs.
const LARGEST_PER_SESSION: u64 = 128;

/// The mint's refusals of an issue request that say that it has booked nothing for it and never will. Any other answer, such as a
/// gateway's in front of the mint, says nothing about that: what was paid may be booked, and the same request must be sent again.
const NOTHING_BOOKED: [&str; 17] = [
    "change-unavailable",
    "denomination-frozen",
    "denomination-not-frozen",
    "issue-amount-mismatch",
    "issue-count-mismatch",
    "issue-invalid-denominations",
    "issue-invalid-encoding",
    "issue-invalid-funding",
    "issue-invalid-proof",
    "issue-output-count",
    "keyset-not-issuing",
    "keyset-not-refreshing",
    "reclaim-unavailable",
    "token-spent",
    "unknown-keyset",
    "voucher-insufficient",
    "voucher-unknown",
];

/// What a refresh has done, in smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefreshReport {
    /// Value of tokens replaced by new ones.
    pub refreshed: Amount,
    /// Change taken.
    pub change: Amount,
    /// Change the mint has not booked yet: try again later.
    pub change_waiting: Amount,
    /// Amounts of refunded payments taken back.
    pub reclaimed: Amount,
    /// Value of tokens of frozen denominations that was paid back for their sessions.
    pub recovered: Amount,
    /// The same, waiting for a keyset that issues it: try again when the mint has a new one.
    pub recovery_waiting: Amount,
    /// Tokens the mint says were spent before, and change that was taken before; they are gone.
    pub lost: Amount,
}

/// The secret side of a funding, loaded from its record.
enum LoadedFunding {
    Voucher(LoneKey),
    Refresh(UsedTokens),
    Change(UsedTokens, Statement),
    Reclaim(UsedTokens, Statement),
    Recovery(UsedTokens, Recovery),
}

impl LoadedFunding {
    const fn keys(&self) -> FundingKeys<'_> {
        match self {
            Self::Voucher(key) => FundingKeys::Voucher(key),
            Self::Refresh(tokens) => FundingKeys::Refresh(tokens),
            Self::Change(tokens, statement) => FundingKeys::Change(tokens, *statement),
            Self::Reclaim(tokens, statement) => FundingKeys::Reclaim(tokens, *statement),
            Self::Recovery(tokens, recovery) => FundingKeys::Recovery(tokens, recovery),
        }
    }
}

pub(crate) fn used_tokens(tokens: &[HeldToken]) -> Result<UsedTokens, WalletError> {
    let tokens = tokens.iter().map(HeldToken::to_owned_token).collect::<Result<_, _>>()?;
    Ok(OwnedTokens::new(tokens).map_err(|_| WalletError::Damaged)?.retire())
}

impl Wallet {
    /// Turns a voucher's whole balance into tokens; returns their value.
    ///
    /// Repeated after a crash or a lost answer it finishes what was begun.
    ///
    /// # Errors
    /// [`WalletError`]; value asked for and not received yet stays recorded.
    pub async fn topup(&mut self, code: &VoucherCode) -> Result<Amount, WalletError> {
        self.refuse_fork()?;
        self.learn_frozen().await;
        let key = code.key()?;
        let secret = Bytes(*key.expose_secret());
        let mut total = Amount::ZERO;
        for (number, session) in self.store.sessions()? {
            // Only this voucher's unfinished issues: what else is stuck must not stand in its way.
            if matches!(session.funding, FundingRecord::Voucher { secret: known } if known == secret) {
                total = add(total, self.run(number).await?)?;
            }
        }
        loop {
            let (balance, currency) = self.mint.voucher_balance(key.public()).await?;
            if currency != self.unit.name() {
                return Err(WalletError::MintBroken("the voucher is in another currency"));
            }
            if balance.is_zero() {
                return if total.is_zero() { Err(WalletError::VoucherEmpty) } else { Ok(total) };
            }
            let keyset = self.issuing_keyset().await?;
            let denominations = self.issued(&keyset);
            let largest = denominations.last().map_or(1, |largest| largest.units());
            let amount = balance.min(Amount::from_units(largest.saturating_mul(LARGEST_PER_SESSION)));
            let number = self.begin(FundingRecord::Voucher { secret }, amount).await?;
            total = add(total, self.run(number).await?)?;
        }
    }

    /// Finishes what is unfinished, takes the change that is due, and replaces tokens that may no longer be paid; with `all`, every token.
    ///
    /// # Errors
    /// [`WalletError`]; what was begun stays recorded.
    pub async fn refresh(&mut self, all: bool) -> Result<RefreshReport, WalletError> {
        let mut report = RefreshReport {
            refreshed: Amount::ZERO,
            change: Amount::ZERO,
            change_waiting: Amount::ZERO,
            reclaimed: Amount::ZERO,
            recovered: Amount::ZERO,
            recovery_waiting: Amount::ZERO,
            lost: Amount::ZERO,
        };
        self.learn_frozen().await;
        // One issue that is stuck must not stand in the way of the others; its error is told at the end.
        let mut failed = None;
        for (number, session) in self.store.sessions()? {
            if let Err(error) = self.run_into(number, &session.funding, &mut report).await {
                failed.get_or_insert(error);
            }
        }
        self.give_up_late_payments()?;
        self.take_change(true, &mut report, &mut failed).await?;
        // Before the tokens: those of a payment that was not refunded after all go with them.
        self.take_refunds(&mut report, &mut failed).await?;
        let now = now();
        let tokens: Vec<(SpentKey, TokenRecord)> = self.store.tokens()?;
        let stale: Vec<(SpentKey, TokenRecord)> = tokens
            .into_iter()
            .filter(|(key, record)| {
                let spendable = self.keysets.get(&key.keyset).is_some_and(|keyset| keyset.spendable_at(now)) && !self.is_frozen(key);
                record.state == TokenState::RefreshOnly || (record.state == TokenState::Owned && (all || !spendable))
            })
            .collect();
        let (frozen, stale) = stale.into_iter().partition(|(key, record)| self.is_frozen(key) && record.origin.is_some());
        let stale: Vec<(SpentKey, TokenRecord)> = stale;
        for group in stale.chunks(MAX_TOKENS) {
            match self.refresh_group(group, Replacing::Refresh, &mut report).await {
                Err(error) if error.concerns_one_issue() => drop(failed.get_or_insert(error)),
                other => other?,
            }
        }
        self.recover(frozen, &mut report, &mut failed).await?;
        self.take_change(false, &mut report, &mut failed).await?;
        failed.map_or(Ok(report), Err)
    }

    /// Takes back what was paid for a page, if its publisher has refunded it.
    ///
    /// # Errors
    /// [`WalletError::NothingPaid`] if no payment for this address is left to be taken back; [`WalletError::MintRefuses`] with
    /// `reclaim-unavailable` if it was not refunded.
    pub async fn reclaim(&mut self, url: &url::Url) -> Result<Amount, WalletError> {
        let url = crate::canonical_url(url).ok_or(WalletError::InsecureAddress)?;
        self.learn_frozen().await;
        for (number, session) in self.store.sessions()? {
            if let FundingRecord::Reclaim { payment } = &session.funding
                && self.store.payment(&payment.0)?.is_some_and(|payment| payment.url == url)
            {
                return self.run(number).await;
            }
        }
        let answered = |payment: &PaymentRecord| payment.was_refunded() || matches!(payment.state, PaymentState::Delivered { .. });
        let payments = self.store.payments()?.into_iter();
        let payment = payments.filter(|payment| payment.url == url && answered(payment) && !payment.reclaimed);
        // Several payments for one address: the newest is meant, and only it is shown to the mint.
        let payment = payment.max_by_key(|payment| payment.sequence).ok_or(WalletError::NothingPaid)?;
        let number = self.begin(FundingRecord::Reclaim { payment: payment.id }, payment.amount).await?;
        self.run(number).await
    }

    /// Takes the change that is due; with `late`, only of payments that cannot be booked any more.
    async fn take_change(&mut self, late: bool, report: &mut RefreshReport, failed: &mut Option<WalletError>) -> Result<(), WalletError> {
        let now = now();
        let due = |payment: &PaymentRecord| payment.change_is_due() && (!late || payment.deposit_by < now);
        for payment in self.store.payments()?.into_iter().filter(due) {
            let funding = FundingRecord::Change { payment: payment.id };
            let number = self.begin(funding.clone(), payment.change).await?;
            match self.run_into(number, &funding, report).await {
                Err(error) if error.concerns_one_issue() => drop(failed.get_or_insert(error)),
                other => other?,
            }
        }
        Ok(())
    }

    /// Takes back what publishers say they have refunded.
    async fn take_refunds(&mut self, report: &mut RefreshReport, failed: &mut Option<WalletError>) -> Result<(), WalletError> {
        let refunded = |payment: &PaymentRecord| payment.was_refunded() && !payment.reclaimed;
        for payment in self.store.payments()?.into_iter().filter(refunded) {
            let funding = FundingRecord::Reclaim { payment: payment.id };
            let number = self.begin(funding.clone(), payment.amount).await?;
            match self.run_into(number, &funding, report).await {
                Err(error) if error.concerns_one_issue() => drop(failed.get_or_insert(error)),
                other => other?,
            }
        }
        Ok(())
    }

    /// Replaces tokens together; if the mint refuses that, each by itself, so that one it will not take costs the others nothing.
    pub(crate) async fn refresh_group(
        &mut self,
        group: &[(SpentKey, TokenRecord)],
        how: Replacing,
        report: &mut RefreshReport,
    ) -> Result<(), WalletError> {
        match self.refresh_together(group, how, report).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(error),
        }
        let mut failed = None;
        for single in group.chunks(1) {
            match self.refresh_together(single, how, report).await {
                Err(error @ (WalletError::MintRefuses { .. } | WalletError::NothingIssuing)) => drop(failed.get_or_insert(error)),
                other => drop(other?),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether it is done; `false` if several tokens were refused and none is waiting for an answer.
    async fn refresh_together(
        &mut self,
        group: &[(SpentKey, TokenRecord)],
        how: Replacing,
        report: &mut RefreshReport,
    ) -> Result<bool, WalletError> {
        let value = Amount::checked_sum(group.iter().map(|(key, _)| key.denomination)).ok_or(WalletError::Damaged)?;
        if !self.can_issue(value).await? {
            // While a denomination is frozen the others may make a part of it.
            return match how {
                _ if group.len() > 1 => Ok(false),
                Replacing::Refresh => Err(WalletError::NothingIssuing),
                Replacing::Recovery => {
                    report.recovery_waiting = add(report.recovery_waiting, value)?;
                    Ok(true)
                }
            };
        }
        let tokens = group.iter().map(|(key, record)| HeldToken::new(key, record)).collect();
        let funding = match how {
            Replacing::Refresh => FundingRecord::Refresh { tokens },
            Replacing::Recovery => FundingRecord::Recovery { tokens },
        };
        let number = self.begin(funding.clone(), value).await?;
        match (self.run_into(number, &funding, report).await, group) {
            (Err(WalletError::MintRefuses { code }), [(token, _)]) if code == "token-spent" => {
                if !self.forget_spent(token)? {
                    report.lost = add(report.lost, value)?;
                }
                Ok(true)
            }
            (Err(WalletError::MintRefuses { .. }), [_, _, ..]) if self.session(number)?.is_none() => Ok(false),
            (other, _) => other.map(|()| true),
        }
    }

    /// Runs an issue and adds what came of it to the report. Change that is not booked yet is no error.
    async fn run_into(&mut self, number: u64, funding: &FundingRecord, report: &mut RefreshReport) -> Result<(), WalletError> {
        match (self.run(number).await, funding) {
            (Ok(amount), FundingRecord::Refresh { .. }) => report.refreshed = add(report.refreshed, amount)?,
            (Ok(amount), FundingRecord::Change { .. }) => report.change = add(report.change, amount)?,
            (Ok(amount), FundingRecord::Reclaim { .. }) => report.reclaimed = add(report.reclaimed, amount)?,
            (Ok(amount), FundingRecord::Recovery { .. }) => report.recovered = add(report.recovered, amount)?,
            (Ok(_), FundingRecord::Voucher { .. }) => {}
            (Err(WalletError::MintRefuses { code }), FundingRecord::Reclaim { payment }) if code == "reclaim-unavailable" => {
                self.no_refund(payment)?;
            }
            (Err(WalletError::MintRefuses { code }), FundingRecord::Change { payment }) if code == "change-unavailable" => {
                self.no_change(payment, report)?;
            }
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }

    /// The newest keyset that issues; asks the mint for its list if none does.
    pub(crate) async fn issuing_keyset(&mut self) -> Result<Keyset, WalletError> {
        self.refuse_fork()?;
        if self.keysets.issuing(&self.unit, now()).is_none() {
            self.update_keysets().await?;
        }
        self.keysets.issuing(&self.unit, now()).cloned().ok_or(WalletError::NothingIssuing)
    }

    /// Records an issue and what pays for it, before anything is sent.
    async fn begin(&mut self, funding: FundingRecord, amount: Amount) -> Result<u64, WalletError> {
        let keyset = self.issuing_keyset().await?;
        let denominations = self.outputs(amount, &keyset).ok_or(WalletError::NothingIssuing)?;
        let number = self.store.change(|change| change.reserve_indices(denominations.len()))?;
        let (open, first_index) = self.open_request(&funding, &keyset, denominations, number)?;
        let record = SessionRecord { funding, first_index, open, exchange: None };
        self.store.change(|change| {
            self.mark_funding(change, &record.funding, &TokenState::Refreshing(number), true)?;
            change.put_session(number, &record)
        })?;
        Ok(number)
    }

    fn open_request(
        &mut self,
        funding: &FundingRecord,
        keyset: &Keyset,
        denominations: Vec<Amount>,
        first_index: u64,
    ) -> Result<(OpenRequestFrame, u64), WalletError> {
        let plan = SessionPlan::new(&self.seed, &self.root, keyset.id(), denominations, first_index)?;
        let loaded = self.load(funding)?;
        Ok((plan.open(&self.root, &loaded.keys(), &mut self.rng)?, first_index))
    }

    fn load(&self, funding: &FundingRecord) -> Result<LoadedFunding, WalletError> {
        Ok(match funding {
            FundingRecord::Voucher { secret } => {
                LoadedFunding::Voucher(LoneKey::from_bytes(&Zeroizing::new(secret.0)).map_err(|_| WalletError::Damaged)?)
            }
            FundingRecord::Refresh { tokens } => LoadedFunding::Refresh(used_tokens(tokens)?),
            FundingRecord::Change { payment } => {
                let payment = self.store.payment(&payment.0)?.ok_or(WalletError::Damaged)?;
                LoadedFunding::Change(used_tokens(&payment.tokens)?, Statement::from_bytes(payment.statement.0))
            }
            FundingRecord::Reclaim { payment } => {
                let payment = self.store.payment(&payment.0)?.ok_or(WalletError::Damaged)?;
                LoadedFunding::Reclaim(used_tokens(&payment.tokens)?, Statement::from_bytes(payment.statement.0))
            }
            FundingRecord::Recovery { tokens } => LoadedFunding::Recovery(used_tokens(tokens)?, self.claim(tokens)?),
        })
    }

    fn session(&self, number: u64) -> Result<Option<SessionRecord>, WalletError> {
        Ok(self.store.sessions()?.into_iter().find(|(known, _)| *known == number).map(|(_, record)| record))
    }

    /// Carries a recorded issue to its end; returns the value of the tokens.
    async fn run(&mut self, number: u64) -> Result<Amount, WalletError> {
        for _ in 0..MOST_SESSIONS {
            let record = self.session(number)?.ok_or(WalletError::Damaged)?;
            match self.run_once(number, &record).await {
                Err(WalletError::MintRefuses { code }) if code == "session-gone" => self.renew(number, record).await?,
                Err(WalletError::MintRefuses { code }) => {
                    // Before the issue request is stored nothing can be booked, whoever refuses.
                    let stored = self.session(number)?.ok_or(WalletError::Damaged)?;
                    if stored.exchange.is_none() || NOTHING_BOOKED.contains(&code.as_str()) {
                        self.abandon(number, &record)?;
                    }
                    return Err(WalletError::MintRefuses { code });
                }
                Err(other) => return Err(other),
                Ok(()) => return record.amount(),
            }
        }
        Err(WalletError::MintBusy { code: "session-gone".into() })
    }

    async fn run_once(&mut self, number: u64, record: &SessionRecord) -> Result<(), WalletError> {
        let (pending, request) = match &record.exchange {
            Some(Exchange { opened, request }) => (self.blind(record, opened)?, request.clone()),
            None => self.open_session(number, record).await?,
        };
        let response = self.mint.issue(&request).await?;
        let tokens = pending.unblind(&response)?;
        let acquired = now();
        self.store.change(|change| {
            change.remove_session(number)?;
            for token in record.funding.tokens() {
                change.remove_token(&token.spent_key())?;
            }
            let origins = Origin::of_session(record.first_index, &record.plan().denominations);
            let mut made = tokens.iter().zip(origins);
            made.try_for_each(|(owned, origin)| change.put_token(owned.token().spent_key(), &TokenRecord::new(owned, origin, acquired)))
        })
    }

    /// Opens the session at the mint and stores the request for its responses.
    async fn open_session(&mut self, number: u64, record: &SessionRecord) -> Result<(PendingTokens, IssueRequestFrame), WalletError> {
        let opened = self.mint.open_session(&record.open).await?;
        let pending = self.blind(record, &opened)?;
        let loaded = self.load(&record.funding)?;
        let request = record.plan().request(&self.root, &pending, &loaded.keys(), &mut self.rng)?;
        let record = SessionRecord { exchange: Some(Exchange { opened: opened.clone(), request: request.clone() }), ..record.clone() };
        self.store.change(|change| {
            for body in &opened.commitments {
                let commitment = Commitment::from_body(body).map_err(|_| WalletError::MintBroken("a commitment is not canonical"))?;
                if !change.add_commitment(&commitment.row())? {
                    return Err(WalletError::MintBroken("it repeats a commitment"));
                }
            }
            change.put_session(number, &record)
        })?;
        Ok((pending, request))
    }

    /// Derives the pending tokens of an exchange; the same exchange always gives the same ones.
    fn blind(&self, record: &SessionRecord, opened: &OpenResponseFrame) -> Result<PendingTokens, WalletError> {
        let plan = record.plan();
        let keyset = self.keysets.get(&plan.keyset).ok_or(WalletError::Damaged)?;
        Ok(plan.blind(&self.seed, &self.root, keyset, record.first_index, opened)?)
    }

    /// Puts a new session in the place of one the mint has cancelled for good, with indices of its own.
    async fn renew(&mut self, number: u64, record: SessionRecord) -> Result<(), WalletError> {
        let keyset = self.issuing_keyset().await?;
        let denominations = self.outputs(record.amount()?, &keyset).ok_or(WalletError::NothingIssuing)?;
        let first_index = self.store.change(|change| change.reserve_indices(denominations.len()))?;
        let (open, first_index) = self.open_request(&record.funding, &keyset, denominations, first_index)?;
        let record = SessionRecord { open, first_index, exchange: None, ..record };
        self.store.change(|change| change.put_session(number, &record))
    }

    /// Forgets an issue the mint has refused; nothing was booked for it.
    fn abandon(&self, number: u64, record: &SessionRecord) -> Result<(), WalletError> {
        self.store.change(|change| {
            self.mark_funding(change, &record.funding, &TokenState::RefreshOnly, false)?;
            change.remove_session(number)
        })
    }

    /// Marks what pays for an issue as being used for it, or as free again.
    fn mark_funding(&self, change: &Change, funding: &FundingRecord, tokens_to: &TokenState, used: bool) -> Result<(), WalletError> {
        let payment = |id: &Bytes<32>| self.store.payment(&id.0)?.ok_or(WalletError::Damaged);
        match funding {
            FundingRecord::Voucher { .. } => Ok(()),
            FundingRecord::Refresh { tokens } | FundingRecord::Recovery { tokens } => {
                let mut all = tokens.iter();
                all.try_for_each(|token| change.put_token(&token.spent_key(), &token.at_rest(tokens_to.clone(), now())))
            }
            FundingRecord::Change { payment: id } => change.put_payment(&PaymentRecord { change_taken: used, ..payment(id)? }),
            FundingRecord::Reclaim { payment: id } => change.put_payment(&PaymentRecord { reclaimed: used, ..payment(id)? }),
        }
    }
}

pub(crate) fn add(sum: Amount, value: Amount) -> Result<Amount, WalletError> {
    sum.checked_add(value).ok_or(WalletError::Damaged)
}
