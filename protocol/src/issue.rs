//! Issuing: a session buys tokens with a voucher, with older tokens (refresh), with the rest of a settled payment (change), with the
//! amount of a refunded one (reclaim), or with tokens of a frozen denomination (recovery).
//!
//! ```text
//! reader -> mint   open:      keyset, denominations, funding, recovery hash and commitment; proof by the funding keys over D_open
//! mint  -> reader  session id, expiry, commitments (A, B)..
//! reader -> mint   issue:     session id, challenges c..; proof by the funding keys over D_issue
//! mint  -> reader  responses (b, y, z)..          only after the ledger has recorded what they cost
//!
//! D_open  = Hash(keyset, denominations.., funding kind, recovery hash, recovery commitment)
//! D_issue = Hash(session, D_open, challenges..)
//! S       = Hash(root, sum of denominations, 0, D)
//! ```
//!
//! The reader's side is [`SessionPlan`], [`PendingTokens`]; the mint's is [`Open`] and [`Issue`].

use alloc::vec::Vec;

use rand_core::CryptoRng;

use crate::amount::Amount;
use crate::error::{IssueError, ProofError, UseError};
use crate::evidence::{list_from_body, list_to_body};
use crate::group::Point;
use crate::keyset::Keyset;
use crate::labels;
use crate::payment::{tokens_from_body, tokens_to_body};
use crate::proof::{KeyList, KeyProof, KeysetId, LoneKey, PaymentId, Purpose, SpendKey, SpentKey, Statement};
use crate::recovery::{Recovery, SessionOrigin};
use crate::seed::{TokenPlace, WalletSeed};
use crate::snowblind::{Challenge, Commitment, PendingBlinding, Response, SigningContext};
use crate::spending::{KeyTable, Spending};
use crate::token::{OwnedToken, Token, UsedTokens};
use crate::transcript::Transcript;
use crate::wire::{Bytes, FundingBody, IssueRequestFrame, IssueResponseFrame, OpenRequestFrame, OpenResponseFrame, ResponseBody};

/// A session issues at most this many tokens.
pub const MAX_OUTPUTS: usize = 256;

/// What a reader wants from a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPlan {
    /// The keyset to issue from.
    pub keyset: KeysetId,
    /// The denominations wanted, ascending.
    pub denominations: Vec<Amount>,
    /// Hash of the session's recovery key.
    pub recovery: [u8; 32],
    /// C, the hash of the outputs' recovery secrets' hashes. A wallet that draws its blindings at random sends random bytes, and cannot
    /// recover.
    pub recovery_commitment: [u8; 32],
}

/// The keys that pay for a session, on the reader's side.
#[derive(Clone, Copy)]
pub enum FundingKeys<'a> {
    /// A voucher.
    Voucher(&'a LoneKey),
    /// Tokens, retired from paying.
    Refresh(&'a UsedTokens),
    /// The tokens of a settled payment, and what that payment said.
    Change(&'a UsedTokens, Statement),
    /// The tokens of a refunded payment, and what that payment said.
    Reclaim(&'a UsedTokens, Statement),
    /// Tokens of a frozen denomination, and the claim on exactly them.
    Recovery(&'a UsedTokens, &'a Recovery),
}

/// What pays for a session, on the mint's side.
#[derive(Clone, PartialEq, Eq)]
pub enum Funding {
    /// A voucher's public key.
    Voucher(Point),
    /// Tokens to be refreshed.
    Refresh(Vec<Token>),
    /// A settled payment, by S and L: its rest.
    Change(Statement, Vec<SpentKey>),
    /// A refunded payment, by S and L: its amount.
    Reclaim(Statement, Vec<SpentKey>),
    /// Outputs of a session whose denominations are frozen.
    Recovery(Recovery),
}

impl Funding {
    /// Implements R-ISSUE-15.
    const fn number(&self) -> u64 {
        match self {
            Self::Voucher(_) => 0,
            Self::Refresh(_) => 1,
            Self::Change(..) => 2,
            Self::Reclaim(..) => 3,
            Self::Recovery(_) => 4,
        }
    }

    /// Implements R-ISSUE-15.
    const fn purpose(&self) -> Purpose {
        match self {
            Self::Voucher(_) => Purpose::Voucher,
            Self::Refresh(_) => Purpose::Refresh,
            Self::Change(..) => Purpose::Change,
            Self::Reclaim(..) => Purpose::Reclaim,
            Self::Recovery(_) => Purpose::Recover,
        }
    }

    fn to_body(&self) -> FundingBody {
        match self {
            Self::Voucher(key) => FundingBody::Voucher(key.to_bytes().into()),
            Self::Refresh(tokens) => FundingBody::Refresh(tokens_to_body(tokens)),
            Self::Change(statement, list) => FundingBody::Change { statement: statement.to_bytes().into(), list: list_to_body(list) },
            Self::Reclaim(statement, list) => FundingBody::Reclaim { statement: statement.to_bytes().into(), list: list_to_body(list) },
            Self::Recovery(recovery) => recovery.to_body(),
        }
    }

    fn from_body(body: &FundingBody) -> Result<Self, IssueError> {
        Ok(match body {
            FundingBody::Voucher(key) => Self::Voucher(Point::from_bytes(key.0).map_err(|_| IssueError::InvalidEncoding)?),
            FundingBody::Refresh(tokens) => Self::Refresh(tokens_from_body(tokens).map_err(|_| IssueError::InvalidFunding)?),
            FundingBody::Change { statement, list } => {
                Self::Change(Statement::from_bytes(statement.0), list_from_body(list).ok_or(IssueError::InvalidFunding)?)
            }
            FundingBody::Reclaim { statement, list } => {
                Self::Reclaim(Statement::from_bytes(statement.0), list_from_body(list).ok_or(IssueError::InvalidFunding)?)
            }
            FundingBody::Recovery { keyset, session, leaves, claims } => {
                Self::Recovery(Recovery::from_body(*keyset, *session, leaves, claims)?)
            }
        })
    }

    /// The public keys that pay; a mint keeps one open session for each.
    pub fn keys(&self) -> Vec<[u8; 32]> {
        match self {
            Self::Voucher(key) => alloc::vec![key.to_bytes()],
            Self::Refresh(tokens) => tokens.iter().map(|token| token.spent_key().key).collect(),
            Self::Change(_, list) | Self::Reclaim(_, list) => list.iter().map(|spent| spent.key).collect(),
            Self::Recovery(recovery) => recovery.list().iter().map(|spent| spent.key).collect(),
        }
    }

    /// The id of the payment whose change or amount is taken.
    pub fn payment_id(&self) -> Option<PaymentId> {
        match self {
            Self::Change(statement, list) | Self::Reclaim(statement, list) => Some(PaymentId::new(statement, list)),
            _ => None,
        }
    }

    fn verify(&self, statement: &Statement, proof: &KeyProof) -> Result<(), ProofError> {
        match self {
            Self::Voucher(key) => proof.verify(self.purpose(), statement, KeyList::Lone(key.as_bytes())),
            Self::Refresh(tokens) => {
                let list: Vec<SpentKey> = tokens.iter().map(|token| *token.spent_key()).collect();
                proof.verify(self.purpose(), statement, KeyList::Tokens(&list))
            }
            Self::Change(_, list) | Self::Reclaim(_, list) => proof.verify(self.purpose(), statement, KeyList::Tokens(list)),
            Self::Recovery(recovery) => proof.verify(self.purpose(), statement, KeyList::Tokens(&recovery.list())),
        }
    }
}

impl FundingKeys<'_> {
    fn public(&self) -> Funding {
        match self {
            Self::Voucher(key) => Funding::Voucher(*key.public()),
            Self::Refresh(tokens) => Funding::Refresh(tokens.tokens()),
            Self::Change(tokens, statement) => Funding::Change(*statement, tokens.list()),
            Self::Reclaim(tokens, statement) => Funding::Reclaim(*statement, tokens.list()),
            Self::Recovery(_, recovery) => Funding::Recovery((*recovery).clone()),
        }
    }

    fn prove<R: CryptoRng + ?Sized>(&self, statement: &Statement, rng: &mut R) -> Result<KeyProof, UseError> {
        match self {
            Self::Voucher(key) => key.prove(Purpose::Voucher, statement, rng),
            Self::Refresh(tokens) => tokens.refresh(statement, rng),
            Self::Change(tokens, _) => tokens.change(statement, rng),
            Self::Reclaim(tokens, _) => tokens.reclaim(statement, rng),
            Self::Recovery(tokens, _) => tokens.recover(statement, rng),
        }
    }
}

impl SessionPlan {
    /// The plan of a wallet that derives everything from its seed, so that it can restore and recover.
    ///
    /// `first_index` is the first of as many wallet indices as there are outputs, as in [`SessionPlan::blind`].
    ///
    /// # Errors
    /// [`IssueError::UnusableBlinding`] if the indices run past 2^64 - 1.
    ///
    /// # Timing
    /// Constant time in the seed.
    pub fn new(
        seed: &WalletSeed,
        root: &Point,
        keyset: KeysetId,
        denominations: Vec<Amount>,
        first_index: u64,
    ) -> Result<Self, IssueError> {
        let origin = SessionOrigin { root, keyset, denominations: &denominations, first_index };
        let (recovery, recovery_commitment) = (seed.recovery_hash(root, first_index), origin.recovery_commitment(seed)?);
        Ok(Self { keyset, denominations, recovery, recovery_commitment })
    }

    /// The outputs' value.
    ///
    /// Implements R-ISSUE-08.
    ///
    /// # Errors
    /// [`IssueError::OutputCount`], [`IssueError::InvalidDenominations`] or [`IssueError::AmountMismatch`] if it overflows.
    pub fn amount(&self) -> Result<Amount, IssueError> {
        if self.denominations.is_empty() || self.denominations.len() > MAX_OUTPUTS {
            return Err(IssueError::OutputCount);
        }
        if !self.denominations.is_sorted() || self.denominations[0].is_zero() {
            return Err(IssueError::InvalidDenominations);
        }
        Amount::checked_sum(self.denominations.iter().copied()).ok_or(IssueError::AmountMismatch)
    }

    fn open_digest(&self, funding: u64) -> [u8; 32] {
        let mut transcript = Transcript::new(labels::SESSION_OPEN);
        transcript.bytes(labels::KEYSET, &self.keyset.0).count(self.denominations.len());
        for denomination in &self.denominations {
            transcript.u64(labels::DENOMINATION, denomination.units());
        }
        transcript.u64(labels::FUNDING, funding).bytes(labels::RECOVERY, &self.recovery);
        transcript.bytes(labels::RECOVERY_COMMITTED, &self.recovery_commitment).digest()
    }

    fn statement(&self, root: &Point, digest: &[u8; 32]) -> Result<Statement, IssueError> {
        Ok(Statement::new(root.as_bytes(), self.amount()?, 0, digest))
    }

    /// Makes the frame that opens a session.
    ///
    /// # Errors
    /// [`IssueError`] if the plan itself is not valid; [`IssueError::InvalidFunding`] if the keys cannot prove.
    ///
    /// # Timing
    /// Constant time in the funding keys.
    pub fn open<R: CryptoRng + ?Sized>(&self, root: &Point, keys: &FundingKeys<'_>, rng: &mut R) -> Result<OpenRequestFrame, IssueError> {
        let funding = keys.public();
        let statement = self.statement(root, &self.open_digest(funding.number()))?;
        let proof = keys.prove(&statement, rng).map_err(|_| IssueError::InvalidFunding)?.to_body();
        Ok(OpenRequestFrame {
            keyset: self.keyset.0.into(),
            denominations: self.denominations.iter().map(|denomination| denomination.units()).collect(),
            funding: funding.to_body(),
            recovery: self.recovery.into(),
            recovery_commitment: self.recovery_commitment.into(),
            proof,
        })
    }

    /// Blinds a token for each commitment of an opened session.
    ///
    /// Implements R-ISSUE-07, R-ISSUE-13.
    ///
    /// `first_index` is the first of as many wallet indices as there are outputs, reserved durably and never used before or after. The
    /// caller has refused commitments it has seen in earlier sessions.
    ///
    /// # Errors
    /// [`IssueError`], one variant per defect of the mint's answer; [`IssueError::UnusableBlinding`] if the indices run past 2^64 - 1.
    ///
    /// # Timing
    /// Constant time in the seed; variable in the mint's public answer.
    pub fn blind(
        &self,
        seed: &WalletSeed,
        root: &Point,
        keyset: &Keyset,
        first_index: u64,
        opened: &OpenResponseFrame,
    ) -> Result<PendingTokens, IssueError> {
        if opened.commitments.len() != self.denominations.len() || keyset.id() != self.keyset {
            return Err(IssueError::CountMismatch);
        }
        let mut seen: Vec<Commitment> = Vec::with_capacity(opened.commitments.len());
        let mut outputs = Vec::with_capacity(opened.commitments.len());
        for (offset, (body, denomination)) in opened.commitments.iter().zip(&self.denominations).enumerate() {
            let commitment = Commitment::from_body(body).map_err(|_| IssueError::InvalidEncoding)?;
            if seen.contains(&commitment) {
                return Err(IssueError::RepeatedCommitment);
            }
            seen.push(commitment);
            let key = keyset.key(*denomination).ok_or(IssueError::InvalidDenominations)?;
            let index = first_index.checked_add(offset as u64).ok_or(IssueError::UnusableBlinding)?;
            let place = TokenPlace { root, keyset: self.keyset, denomination: *denomination, index, key };
            let (spend_key, blinding) = seed.token(&place, &commitment)?;
            let context = SigningContext::new(&self.keyset.0, denomination.units(), key);
            let (pending, challenge) = blinding.challenge(&context, key, &commitment, spend_key.public().as_bytes())?;
            outputs.push(PendingToken { denomination: *denomination, key: spend_key, pending, challenge });
        }
        Ok(PendingTokens { keyset: self.keyset, session: opened.session.0, outputs })
    }

    /// Makes the frame that asks for the responses.
    ///
    /// # Errors
    /// [`IssueError::InvalidFunding`] if the keys cannot prove.
    ///
    /// # Timing
    /// Constant time in the funding keys.
    pub fn request<R: CryptoRng + ?Sized>(
        &self,
        root: &Point,
        pending: &PendingTokens,
        keys: &FundingKeys<'_>,
        rng: &mut R,
    ) -> Result<IssueRequestFrame, IssueError> {
        let challenges: Vec<Challenge> = pending.outputs.iter().map(|output| output.challenge).collect();
        let digest = issue_digest(&pending.session, &self.open_digest(keys.public().number()), &challenges);
        let proof = keys.prove(&self.statement(root, &digest)?, rng).map_err(|_| IssueError::InvalidFunding)?;
        let challenges = challenges.into_iter().map(|challenge| challenge.to_bytes().into()).collect();
        Ok(IssueRequestFrame { session: pending.session.into(), challenges, proof: proof.to_body() })
    }
}

fn issue_digest(session: &[u8; 16], open_digest: &[u8; 32], challenges: &[Challenge]) -> [u8; 32] {
    let mut transcript = Transcript::new(labels::SESSION_ISSUE);
    transcript.bytes(labels::SESSION, session).bytes(labels::DIGEST, open_digest).count(challenges.len());
    for challenge in challenges {
        transcript.bytes(labels::CHALLENGE, &challenge.to_bytes());
    }
    transcript.digest()
}

struct PendingToken {
    denomination: Amount,
    key: SpendKey,
    pending: PendingBlinding,
    challenge: Challenge,
}

/// What a reader keeps between challenges and responses. Unblinded once, by value.
pub struct PendingTokens {
    keyset: KeysetId,
    session: [u8; 16],
    outputs: Vec<PendingToken>,
}

impl PendingTokens {
    /// Checks the responses and makes tokens of them.
    ///
    /// # Errors
    /// [`IssueError::CountMismatch`], [`IssueError::InvalidEncoding`] or [`IssueError::InvalidResponse`]: the mint's fault, and the
    /// session's inputs are the evidence to keep.
    ///
    /// # Timing
    /// Constant time in everything but validity.
    pub fn unblind(self, responses: &IssueResponseFrame) -> Result<Vec<OwnedToken>, IssueError> {
        if responses.responses.len() != self.outputs.len() {
            return Err(IssueError::CountMismatch);
        }
        let (keyset, h) = (self.keyset, Point::second_generator());
        let finish = |(output, body): (PendingToken, &ResponseBody)| {
            let response = Response::from_body(body).map_err(|_| IssueError::InvalidEncoding)?;
            let signature = output.pending.unblind_with(&h, &response)?;
            let spent_key = SpentKey { keyset, denomination: output.denomination, key: output.key.public().to_bytes() };
            OwnedToken::new(Token::new(spent_key, signature), output.key).map_err(|_| IssueError::InvalidResponse)
        };
        self.outputs.into_iter().zip(&responses.responses).map(finish).collect()
    }
}

/// A well-formed request to open a session; nothing verified yet.
pub struct Open {
    plan: SessionPlan,
    amount: Amount,
    funding: Funding,
    proof: KeyProof,
}

impl Open {
    /// Checks everything that needs no keys.
    ///
    /// Implements R-ISSUE-09.
    ///
    /// # Errors
    /// [`IssueError`], one variant per defect.
    pub fn from_frame(frame: &OpenRequestFrame) -> Result<Self, IssueError> {
        let plan = SessionPlan {
            keyset: KeysetId(frame.keyset.0),
            denominations: frame.denominations.iter().copied().map(Amount::from_units).collect(),
            recovery: frame.recovery.0,
            recovery_commitment: frame.recovery_commitment.0,
        };
        let amount = plan.amount()?;
        let funding = Funding::from_body(&frame.funding)?;
        let worth = match &funding {
            Funding::Refresh(tokens) => Amount::checked_sum(tokens.iter().map(Token::denomination)),
            Funding::Recovery(recovery) => recovery.value(),
            Funding::Voucher(_) | Funding::Change(..) | Funding::Reclaim(..) => Some(amount),
        };
        if worth != Some(amount) {
            return Err(IssueError::AmountMismatch);
        }
        let proof = KeyProof::from_body(&frame.proof).map_err(|_| IssueError::InvalidEncoding)?;
        Ok(Self { plan, amount, funding, proof })
    }

    /// What the reader wants.
    pub const fn plan(&self) -> &SessionPlan {
        &self.plan
    }

    /// What pays.
    pub const fn funding(&self) -> &Funding {
        &self.funding
    }

    /// Verifies the proof by the funding keys and, for a refresh, the tokens' signatures.
    ///
    /// Implements R-ISSUE-10.
    ///
    /// # Errors
    /// [`ProofError`]: what is wrong.
    ///
    /// # Security
    /// Success does not say that the funding is still unspent: the ledger does, in the issuing transaction. Of a recovery it does not say
    /// either that the session led to the tokens: [`Recovery::verify`] does, with what was recorded.
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify<R: CryptoRng + ?Sized>(self, root: &Point, keys: &KeyTable, rng: &mut R) -> Result<CheckedOpen, ProofError> {
        let digest = self.plan.open_digest(self.funding.number());
        let statement = Statement::new(root.as_bytes(), self.amount, 0, &digest);
        match &self.funding {
            Funding::Refresh(tokens) => {
                Spending::new(Purpose::Refresh, statement, tokens.clone(), self.proof).verify(keys, rng)?;
            }
            other => other.verify(&statement, &self.proof)?,
        }
        Ok(CheckedOpen { plan: self.plan, amount: self.amount, funding: self.funding, digest })
    }
}

/// An open request whose proof was verified. Only [`Open::verify`] makes one.
#[derive(Clone)]
pub struct CheckedOpen {
    plan: SessionPlan,
    amount: Amount,
    funding: Funding,
    digest: [u8; 32],
}

impl CheckedOpen {
    /// What the reader wants.
    pub const fn plan(&self) -> &SessionPlan {
        &self.plan
    }

    /// What it costs.
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// What pays.
    pub const fn funding(&self) -> &Funding {
        &self.funding
    }

    /// The digest of what is asked for: keyset, denominations, kind of funding, recovery hash. The same request proved again has the same
    /// digest.
    ///
    /// # Security
    /// Who pays is not in it: a session is found by its digest together with [`Funding::keys`], never by the digest alone.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// A well-formed request for a session's responses; nothing verified yet.
pub struct Issue {
    session: [u8; 16],
    challenges: Vec<Challenge>,
    proof: KeyProof,
}

impl Issue {
    /// Checks everything that needs no session.
    ///
    /// Implements R-ISSUE-12.
    ///
    /// # Errors
    /// [`IssueError::OutputCount`] or [`IssueError::InvalidEncoding`].
    pub fn from_frame(frame: &IssueRequestFrame) -> Result<Self, IssueError> {
        if frame.challenges.is_empty() || frame.challenges.len() > MAX_OUTPUTS {
            return Err(IssueError::OutputCount);
        }
        let decode = |bytes: &Bytes<32>| Challenge::from_bytes(bytes.0).map_err(|_| IssueError::InvalidEncoding);
        let challenges = frame.challenges.iter().map(decode).collect::<Result<_, _>>()?;
        let proof = KeyProof::from_body(&frame.proof).map_err(|_| IssueError::InvalidEncoding)?;
        Ok(Self { session: frame.session.0, challenges, proof })
    }

    /// The session's id.
    pub const fn session(&self) -> &[u8; 16] {
        &self.session
    }

    /// The digest of session and challenges without the proof: what a recorded response is found by.
    pub fn digest(&self) -> [u8; 32] {
        issue_digest(&self.session, &[0; 32], &self.challenges)
    }

    /// Verifies the proof by the session's funding keys.
    ///
    /// Implements R-ISSUE-10.
    ///
    /// # Errors
    /// [`IssueError::CountMismatch`] if there is not one challenge for each output, [`IssueError::InvalidProof`].
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify(self, root: &Point, open: &CheckedOpen) -> Result<CheckedIssue, IssueError> {
        if self.challenges.len() != open.plan.denominations.len() {
            return Err(IssueError::CountMismatch);
        }
        let digest = issue_digest(&self.session, &open.digest, &self.challenges);
        let statement = Statement::new(root.as_bytes(), open.amount, 0, &digest);
        open.funding.verify(&statement, &self.proof).map_err(|_| IssueError::InvalidProof)?;
        Ok(CheckedIssue(self.challenges))
    }
}

/// Challenges that the funding keys have asked for. Only [`Issue::verify`] makes one.
pub struct CheckedIssue(Vec<Challenge>);

impl CheckedIssue {
    /// The challenges, one an output, in order.
    pub fn challenges(&self) -> &[Challenge] {
        &self.0
    }
}

/// The frame that answers an open request.
pub fn opened_frame(session: [u8; 16], expires: u64, commitments: &[Commitment]) -> OpenResponseFrame {
    OpenResponseFrame { session: session.into(), expires, commitments: commitments.iter().map(Commitment::to_body).collect() }
}

/// The frame that answers an issue request.
pub fn issued_frame(responses: &[Response]) -> IssueResponseFrame {
    IssueResponseFrame { responses: responses.iter().map(Response::to_body).collect() }
}
