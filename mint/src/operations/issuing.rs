//! Issuing: open a session, answer it once.
//!
//! ```text
//! open     proof verified, funding looked at           -> session in memory, commitments out
//! answer   proof verified, nonces consumed, booked      -> responses out, the same for good
//! ```
//!
//! A session that is not in memory (answered, expired, of another process, before a crash) is looked up in the ledger, and cancelled
//! there if it has no row: the first of booking and cancelling wins, and only then is "gone" said.

use std::sync::Arc;
use std::time::Instant;

use farthing_protocol::error::{IssueError, ProofError};
use farthing_protocol::issue::{Funding, Issue, Open, issued_frame, opened_frame};
use farthing_protocol::keyset::Keyset;
use farthing_protocol::proof::{KeysetId, SpentKey};
use farthing_protocol::snowblind::Commitment;
use farthing_protocol::token::Token;
use farthing_protocol::wire::{Frame, IssueRequestFrame, IssueResponseFrame, OpenRequestFrame, OpenResponseFrame};
use metrics::{counter, histogram};

use super::sessions::Session;
use super::{Asking, OperationError, Operations};
use crate::metrics as names;
use crate::signer::{SessionNonces, SignerError, system_rng};
use crate::store::{Debit, FundingState, IssueBooked, IssueBooking, SessionId, SessionRow};

impl Operations {
    /// Opens a session, or repeats the answer of the session that the same request opened before.
    ///
    /// # Errors
    /// [`OperationError`]; nothing was reserved then.
    ///
    /// # Security
    /// An open session does not mean that the funding will still be there: the booking decides.
    pub async fn open(self: &Arc<Self>, frame: &OpenRequestFrame) -> Result<OpenResponseFrame, OperationError> {
        let _place = self.admit(Asking::Reader)?;
        let now = self.now()?;
        let open = Open::from_frame(frame)?;
        let keyset = self.issuing(open.plan().keyset, now)?;
        if open.plan().denominations.iter().any(|denomination| keyset.key(*denomination).is_none()) {
            return Err(IssueError::InvalidDenominations.into());
        }
        self.check_funding_keysets(open.funding(), now)?;
        let outputs = open.plan().denominations.len();
        if !self.sessions.has_room(outputs, open.plan().amount()?, now) {
            return Err(OperationError::TooManySessions);
        }
        let (root, table) = (*self.root(), self.table());
        let open = self.work(Asking::Reader, move || open.verify(&root, &table, &mut system_rng())).await??;
        if let Some(frame) = self.sessions.repeated(&open, now)? {
            return Ok(frame);
        }
        self.check_recovery(open.funding()).await?;
        match self.ledger.funding(debit(open.funding())?, open.amount()).await? {
            FundingState::Ready => {}
            FundingState::VoucherUnknown => return Err(OperationError::VoucherUnknown),
            FundingState::VoucherInsufficient => return Err(OperationError::VoucherInsufficient),
            FundingState::TokenSpent => return Err(OperationError::TokenSpent),
            FundingState::ChangeUnavailable => return Err(OperationError::ChangeUnavailable),
            FundingState::ReclaimUnavailable => return Err(OperationError::ReclaimUnavailable),
            FundingState::NotFrozen => return Err(OperationError::DenominationNotFrozen),
            FundingState::ChangeDiffers | FundingState::ReclaimDiffers => return Err(IssueError::AmountMismatch.into()),
        }
        let this = self.clone();
        let nonces = self.work(Asking::Reader, move || this.signer.open(outputs)).await?.map_err(|_| OperationError::Unavailable)?;
        let (id, expires) = (self.signer.session_id(self.instance()), nonces.expires());
        let frame = opened_frame(id, expires, &nonces.commitments());
        let session = Session { id, open, frame: frame.clone(), expires, nonces: tokio::sync::Mutex::new(Some(nonces)) };
        self.sessions.insert(session, self.clock.roughly())?;
        Ok(frame)
    }

    /// Answers a session's challenges, or repeats the recorded answer.
    ///
    /// # Errors
    /// [`OperationError`]. After `Unavailable` it is not known whether the session was booked: the same request again finds out.
    pub async fn issue(self: &Arc<Self>, frame: &IssueRequestFrame) -> Result<IssueResponseFrame, OperationError> {
        let place = self.admit(Asking::Reader)?;
        let issue = Issue::from_frame(frame)?;
        let (id, digest) = (*issue.session(), issue.digest());
        if self.signer.session_instance(&id).is_none() {
            // An id that this mint never made can never be booked, so there is nothing to cancel.
            return Err(OperationError::SessionGone);
        }
        let Some(session) = self.sessions.find(&id, self.clock.roughly()) else {
            return self.recorded(id, digest).await;
        };
        // On a task of its own: a reader that hangs up must not tear booking and nonces apart.
        let this = self.clone();
        let answer = tokio::spawn(async move {
            let answer = this.answer(&session, issue, digest).await;
            drop(place);
            answer
        });
        answer.await.unwrap_or(Err(OperationError::Unavailable))
    }

    async fn answer(&self, session: &Session, issue: Issue, digest: [u8; 32]) -> Result<IssueResponseFrame, OperationError> {
        let mut waiting = session.nonces.lock().await;
        if waiting.is_none() {
            return self.recorded(session.id, digest).await;
        }
        let now = self.now()?;
        let plan = session.open.plan();
        self.issuing(plan.keyset, now)?;
        self.check_funding_keysets(session.open.funding(), now)?;
        let checked = issue.verify(self.root(), &session.open)?;
        let debit = debit(session.open.funding())?;
        let Some(nonces) = waiting.take() else { return Err(OperationError::Unavailable) };
        let booked = self.book(session, nonces, checked.challenges(), debit, digest, now).await;
        // Only now, so that the same request in parallel waited for the ledger's word.
        self.sessions.remove(&session.id);
        booked
    }

    /// Consumes the nonces, books, and only then lets the responses go.
    ///
    /// Implements R-MINT-01.
    async fn book(
        &self,
        session: &Session,
        nonces: SessionNonces,
        challenges: &[farthing_protocol::snowblind::Challenge],
        debit: Debit,
        digest: [u8; 32],
        now: u64,
    ) -> Result<IssueResponseFrame, OperationError> {
        let plan = session.open.plan();
        let commitments = nonces.commitments();
        let responses = match self.signer.respond(nonces, &plan.keyset, &plan.denominations, challenges) {
            Ok(responses) => responses,
            Err(SignerError::NoncesDead) => return self.recorded(session.id, digest).await,
            Err(_) => return Err(OperationError::Unavailable),
        };
        let frame = issued_frame(&responses);
        let booking = IssueBooking {
            session: session.id,
            digest,
            response: frame.to_bytes(),
            recovery: plan.recovery,
            recovery_commitment: plan.recovery_commitment,
            points: commitments.iter().map(points).collect(),
            commitments: commitments.iter().map(Commitment::row).collect(),
            keyset: plan.keyset,
            denominations: plan.denominations.clone(),
            amount: session.open.amount(),
            debit,
            now,
        };
        let funding = match &booking.debit {
            Debit::Voucher(_) => "voucher",
            Debit::Refresh(_) => "refresh",
            Debit::Change(_) => "change",
            Debit::Reclaim(_) => "reclaim",
            Debit::Recovery(_) => "recovery",
        };
        let begun = Instant::now();
        let booked = self.ledger.issue(booking).await?;
        histogram!(names::LEDGER_SECONDS, "booking" => "issue").record(begun.elapsed());
        match booked {
            IssueBooked::Booked => {
                counter!(names::ISSUED_TOKENS, "funding" => funding).increment(commitments.len() as u64);
                counter!(names::ISSUED_UNITS, "funding" => funding).increment(session.open.amount().units());
                Ok(frame)
            }
            IssueBooked::Earlier(row) => recorded_answer(row, digest),
            IssueBooked::VoucherUnknown => Err(OperationError::VoucherUnknown),
            IssueBooked::VoucherInsufficient => Err(OperationError::VoucherInsufficient),
            IssueBooked::TokenSpent => Err(OperationError::TokenSpent),
            IssueBooked::ChangeUnavailable => Err(OperationError::ChangeUnavailable),
            IssueBooked::ReclaimUnavailable => Err(OperationError::ReclaimUnavailable),
            IssueBooked::Frozen => Err(OperationError::DenominationFrozen),
            IssueBooked::NotYet => Err(OperationError::LedgerBehind),
            IssueBooked::NotFrozen => Err(OperationError::DenominationNotFrozen),
            IssueBooked::KeysetRetired => Err(OperationError::KeysetNotIssuing),
            IssueBooked::KeysetClosed => Err(OperationError::KeysetNotRefreshing),
            IssueBooked::CommitmentReused => {
                tracing::error!("a commitment was answered before: this process was copied or revived from a snapshot");
                self.recorded(session.id, digest).await
            }
        }
    }

    /// What the ledger says of a session that is not in memory; if nothing, it is cancelled there first.
    ///
    /// Implements R-MINT-02.
    async fn recorded(&self, id: SessionId, digest: [u8; 32]) -> Result<IssueResponseFrame, OperationError> {
        let row = match self.ledger.session(id).await? {
            Some(row) => row,
            None => self.ledger.cancel_session(id, self.now()?).await?,
        };
        recorded_answer(row, digest)
    }

    /// The keyset, if it issues now.
    fn issuing(&self, id: KeysetId, now: u64) -> Result<Keyset, OperationError> {
        let keyset = self.list().get(&id).cloned().ok_or(ProofError::UnknownKeyset)?;
        if !keyset.issues_at(now) || *keyset.unit() != self.unit || !self.signer.signs(&id, &keyset.denominations()) {
            return Err(OperationError::KeysetNotIssuing);
        }
        Ok(keyset)
    }

    /// Implements R-LIFE-02.
    fn check_funding_keysets(&self, funding: &Funding, now: u64) -> Result<(), OperationError> {
        let keysets: Vec<KeysetId> = match funding {
            Funding::Voucher(_) => Vec::new(),
            Funding::Refresh(tokens) => tokens.iter().map(Token::keyset).collect(),
            Funding::Change(_, list) | Funding::Reclaim(_, list) => list.iter().map(|spent| spent.keyset).collect(),
            Funding::Recovery(recovery) => vec![recovery.keyset()],
        };
        let list = self.list();
        for id in keysets {
            let keyset = list.get(&id).ok_or(ProofError::UnknownKeyset)?;
            if *keyset.unit() != self.unit {
                return Err(IssueError::InvalidFunding.into());
            }
            if matches!(funding, Funding::Refresh(_) | Funding::Recovery(_)) && !keyset.refreshable_at(now) {
                return Err(OperationError::KeysetNotRefreshing);
            }
        }
        Ok(())
    }
}

fn recorded_answer(row: SessionRow, digest: [u8; 32]) -> Result<IssueResponseFrame, OperationError> {
    match row {
        SessionRow::Cancelled => Err(OperationError::SessionGone),
        SessionRow::Booked { digest: booked, response } if booked == digest => {
            IssueResponseFrame::from_bytes(&response).map_err(|_| crate::store::LedgerError::Corrupt("a stored response").into())
        }
        SessionRow::Booked { .. } => Err(OperationError::SessionAnswered),
    }
}

/// A and B.
fn points(commitment: &Commitment) -> [u8; 64] {
    let (body, mut both) = (commitment.to_body(), [0; 64]);
    both[..32].copy_from_slice(&body.a.0);
    both[32..].copy_from_slice(&body.b.0);
    both
}

/// What the ledger is to debit.
fn debit(funding: &Funding) -> Result<Debit, OperationError> {
    Ok(match funding {
        Funding::Voucher(key) => Debit::Voucher(key.to_bytes()),
        Funding::Refresh(tokens) => Debit::Refresh(tokens.iter().map(|token| *token.spent_key()).collect::<Vec<SpentKey>>()),
        Funding::Change(..) => Debit::Change(funding.payment_id().ok_or(IssueError::InvalidFunding)?),
        Funding::Reclaim(..) => Debit::Reclaim(funding.payment_id().ok_or(IssueError::InvalidFunding)?),
        Funding::Recovery(recovery) => Debit::Recovery(recovery.list()),
    })
}
