//! From a credential to a claim, each step a type that only the step before can make. Cheap steps come first, curve arithmetic last.
//!
//! ```text
//! Received --address--> Addressed --state--> Stated --first--> First --prepare--> Prepared --verify_all--> CheckedPayment --claim--> Claim
//!   readable      realm, recipient,    frame, sums,     HMAC, price,    keysets,            signatures,            spent keys, record,
//!                 URL, method          duplicates, id   expiry          windows, unit       proof, in batches      deposit: one write
//!
//!                                    \--reread--> StatedReread     HMAC, expiry; the proof needs the payment's record
//! ```
//!
//! A payment whose id is known already leaves this path after `Stated`: its challenge may have expired, its secret may be gone.

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::error::ProofError;
use farthing_protocol::evidence::SpendingSide;
use farthing_protocol::http::{ChargeRequest, Credential};
use farthing_protocol::payment::{Deposit, Payment};
use farthing_protocol::proof::{KeyList, KeyProof, PaymentId, Purpose, Statement};
use farthing_protocol::settle::Refusal;
use farthing_protocol::spending::{Checked, Spending, verify_batch};
use farthing_protocol::wire::{Frame, PaymentFrame, RereadFrame};
use sha2::{Digest, Sha256};

use crate::config::{ChallengeSecret, VerifierConfig};
use crate::error::{Problem, Refused};
use crate::keysets::Trusted;
use crate::offer::{Offer, Pass, Resource};
use crate::payment_scheme::{Contents, Received};
use crate::store::{Claim, PaymentRecord, PaymentState, RiskLimits, UsedChallenge};

/// How far the verifier's clock may run behind the mint's when a keyset begins, in seconds.
pub(crate) const CLOCK_TOLERANCE: u64 = 60;

/// How much longer than the configured lifetime a challenge may claim to live: instances may be configured differently for a while.
const LIFETIME_TOLERANCE: u64 = 86_400;

/// A credential whose challenge names this publisher and this request.
///
/// # Security
/// The challenge may still be forged: nothing has compared its id.
pub(crate) struct Addressed {
    received: Received,
    contents: Contents,
    resource: [u8; 32],
}

impl Addressed {
    /// Implements R-VERIF-01.
    pub(crate) fn address(received: Received, config: &VerifierConfig, resource: &Resource) -> Result<Self, Refused> {
        if received.realm() != config.publisher {
            return Err(Refused::invalid_challenge("wrong-publisher"));
        }
        let contents = received.contents().ok_or(Refused::invalid_challenge("challenge-unknown"))?;
        if contents.request.recipient != config.publisher {
            return Err(Refused::invalid_challenge("wrong-publisher"));
        }
        let scope = contents.request.method_details.scope.as_deref();
        let known = scope.is_none() || scope == config.pass.as_ref().map(|pass| pass.scope.as_str());
        let hash = resource.paid(scope.is_some()).filter(|_| known).ok_or(Refused::invalid_challenge("wrong-resource"))?;
        let page = scope.map(|_| resource.encoded());
        if contents.request.method_details.resource != Base64UrlUnpadded::encode_string(&hash)
            || contents.page != page
            || contents.http_method != resource.method.as_str()
        {
            return Err(Refused::invalid_challenge("wrong-resource"));
        }
        Ok(Self { received, contents, resource: hash })
    }

    /// Whether it is about a pass, not about the page alone.
    fn is_pass(&self) -> bool {
        self.contents.request.method_details.scope.is_some()
    }

    fn is_authentic(&self, config: &VerifierConfig) -> bool {
        let known = |secret: &ChallengeSecret| self.received.is_authentic(secret);
        known(&config.secret) || config.previous_secret.as_ref().is_some_and(known)
    }

    /// # Errors
    /// `challenge-unknown` or `challenge-expired`.
    fn check_challenge(&self, config: &VerifierConfig, now: u64) -> Result<(), Refused> {
        if !self.is_authentic(config) {
            return Err(Refused::invalid_challenge("challenge-unknown"));
        }
        self.check_time(config, now)
    }

    fn check_time(&self, config: &VerifierConfig, now: u64) -> Result<(), Refused> {
        let expires = self.contents.challenge.expires;
        // A challenge from a clock that ran ahead would live for too long once the clock is right again.
        if expires <= now || expires > now.saturating_add(config.challenge_lifetime.as_secs() + LIFETIME_TOLERANCE) {
            return Err(Refused::challenge_expired());
        }
        Ok(())
    }

    /// Reads what the credential carries.
    pub(crate) fn state(self) -> Result<Answer, Refused> {
        match self.received.payload() {
            Credential::Payment { payment, salt } => {
                let payment = Base64UrlUnpadded::decode_vec(payment).map_err(|_| Refused::malformed())?;
                let salt = decode_salt(salt).ok_or(Refused::malformed())?;
                let subject = self.received.echoed().subject(&salt);
                self.state_payment(&payment, subject).map(|stated| Answer::Payment(Box::new(stated)))
            }
            Credential::Reread { reread } => {
                let bytes = Base64UrlUnpadded::decode_vec(reread).map_err(|_| Refused::malformed())?;
                let frame = RereadFrame::from_bytes(&bytes)?;
                let proof = KeyProof::from_body(&frame.proof).map_err(|_| ProofError::InvalidProof)?;
                Ok(Answer::Reread(Box::new(StatedReread { payment: PaymentId(frame.payment.0), proof, addressed: self })))
            }
        }
    }

    fn state_payment(self, bytes: &[u8], subject: [u8; 32]) -> Result<Stated, Refused> {
        let payment = Payment::from_frame(&PaymentFrame::from_bytes(bytes)?)?;
        let request = &self.contents.request;
        if !amount_fits(payment.amount(), request) {
            return Err(Refused::new(Problem::PaymentInsufficient, "wrong-amount"));
        }
        if payment.deposit_by() != request.method_details.deposit_by {
            return Err(Refused::new(Problem::PaymentExpired, "deposit-by-too-soon"));
        }
        let deposit = Deposit::new(&request.recipient, subject, payment)?;
        let spending = deposit.spending();
        Ok(Stated { id: spending.payment_id(), digest: Sha256::digest(bytes).into(), deposit, spending, addressed: self })
    }
}

/// What a credential carries.
pub(crate) enum Answer {
    Payment(Box<Stated>),
    Reread(Box<StatedReread>),
}

fn decode_salt(text: &str) -> Option<[u8; 32]> {
    let mut salt = [0; 32];
    (Base64UrlUnpadded::decode(text, &mut salt).ok()?.len() == 32).then_some(salt)
}

/// The amount the challenge asked for, or one within its bounds.
fn amount_fits(amount: Amount, request: &ChargeRequest) -> bool {
    let units = |text: &str| text.parse::<u64>().ok().map(Amount::from_units);
    match (&request.method_details.minimum, &request.method_details.maximum) {
        (None, None) => units(&request.amount) == Some(amount),
        (Some(minimum), Some(maximum)) => {
            units(minimum).is_some_and(|minimum| minimum <= amount) && units(maximum).is_some_and(|maximum| amount <= maximum)
        }
        _ => false,
    }
}

/// A well-formed payment over the amount its challenge names, with its id.
///
/// # Security
/// The challenge may still be forged, and no curve equation was checked. What may be decided from it: whether these very bytes were
/// claimed before. The id binds the challenge, so a known id answers a challenge that was checked then.
pub(crate) struct Stated {
    id: PaymentId,
    digest: [u8; 32],
    deposit: Deposit,
    spending: Spending,
    addressed: Addressed,
}

impl Stated {
    pub(crate) const fn id(&self) -> PaymentId {
        self.id
    }

    /// Whether these bytes are the ones the record was made from.
    pub(crate) fn is_same(&self, record: &PaymentRecord) -> bool {
        self.digest == record.digest && self.addressed.resource == record.resource
    }

    pub(crate) const fn deposit(&self) -> &Deposit {
        &self.deposit
    }

    /// Checks what only a first claim needs: a challenge of our own that lives, for the price of now.
    ///
    /// Implements R-VERIF-02.
    pub(crate) fn first(self, config: &VerifierConfig, offer: &Offer, now: u64) -> Result<First, Refused> {
        let addressed = &self.addressed;
        if !addressed.is_authentic(config) {
            return Err(Refused::invalid_challenge("challenge-unknown"));
        }
        let pass = addressed.is_pass().then(|| config.pass.as_ref().map(Pass::offer)).flatten();
        if !pass.as_ref().unwrap_or(offer).matches(&addressed.contents.request) || addressed.contents.request.currency != config.unit.name()
        {
            return Err(Refused::new(Problem::PaymentInsufficient, "wrong-amount"));
        }
        addressed.check_time(config, now)?;
        Ok(First(self))
    }
}

/// A payment that answers a live challenge of our own.
pub(crate) struct First(Stated);

impl First {
    /// Whether every keyset is on the list; if not, a newer list may help.
    pub(crate) fn keysets_known(&self, trusted: &Trusted) -> bool {
        self.0.spending.tokens().iter().all(|token| trusted.list.get(&token.keyset()).is_some())
    }

    /// Checks what needs no curve arithmetic: the tokens' keysets, their unit and windows.
    ///
    /// Implements R-SPEND-16.
    pub(crate) fn prepare(self, config: &VerifierConfig, trusted: &Trusted, now: u64) -> Result<Prepared, Refused> {
        let First(stated) = self;
        let mut depositable = true;
        for token in stated.spending.tokens() {
            let keyset = trusted.list.get(&token.keyset()).ok_or(ProofError::UnknownKeyset)?;
            if *keyset.unit() != config.unit {
                return Err(Refused::refusal(Refusal::MixedUnits));
            }
            if !keyset.spendable_at(now) && !keyset.spendable_at(now.saturating_add(CLOCK_TOLERANCE)) {
                return Err(Refused::refusal(Refusal::KeysetClosed));
            }
            depositable &= keyset.depositable_at(stated.deposit.payment().deposit_by());
        }
        Ok(Prepared { stated, depositable, now })
    }
}

/// A payment of which only signatures and proof are left to be checked.
pub(crate) struct Prepared {
    stated: Stated,
    depositable: bool,
    now: u64,
}

impl Prepared {
    /// How many tokens it holds: what checking it costs.
    pub(crate) fn tokens(&self) -> usize {
        self.stated.spending.tokens().len()
    }
}

/// The curve work: every signature and every proof of spending, in one batch. The answers come in the order of the payments.
///
/// Implements R-VERIF-10.
pub(crate) fn verify_all(payments: Vec<Prepared>, trusted: &Trusted) -> Vec<Result<CheckedPayment, Refused>> {
    let count = payments.len();
    let (spendings, rests): (Vec<_>, Vec<_>) = payments
        .into_iter()
        .map(|Prepared { stated: Stated { id, digest, deposit, spending, addressed }, depositable, now }| {
            let access = addressed.contents.request.method_details.access;
            let (challenge, resource) = (addressed.contents.challenge, addressed.resource);
            let rest = move |checked| CheckedPayment { id, digest, deposit, checked, challenge, resource, access, depositable, now };
            (spending, rest)
        })
        .unzip();
    match verify_batch(spendings, &trusted.table, &mut rand::rng()) {
        Ok(found) => found.into_iter().zip(rests).map(|(checked, rest)| Ok(rest(checked?))).collect(),
        Err(error) => (0..count).map(|_| Err(error.into())).collect(),
    }
}

/// A payment that holds in itself.
///
/// # Security
/// Its tokens may have been spent before: only the claim tells, and the mint.
pub(crate) struct CheckedPayment {
    id: PaymentId,
    digest: [u8; 32],
    deposit: Deposit,
    checked: Checked,
    challenge: UsedChallenge,
    resource: [u8; 32],
    access: u64,
    depositable: bool,
    now: u64,
}

impl CheckedPayment {
    pub(crate) const fn id(&self) -> PaymentId {
        self.id
    }

    pub(crate) const fn deposit(&self) -> &Deposit {
        &self.deposit
    }

    pub(crate) const fn spending(&self) -> &Spending {
        self.checked.spending()
    }

    /// Whether every keyset takes deposits for as long as the payment may be deposited: else it is not served on trust.
    pub(crate) const fn depositable(&self) -> bool {
        self.depositable
    }

    pub(crate) const fn checked_at(&self) -> u64 {
        self.now
    }

    /// The claim; with limits (and the first second of their window) it asks to be accepted before the mint is asked.
    ///
    /// Implements R-VERIF-03.
    pub(crate) fn claim(&self, accept: Option<(RiskLimits, u64)>) -> Claim {
        let spending = self.checked.spending();
        let record = PaymentRecord {
            state: if accept.is_some() { PaymentState::Accepted } else { PaymentState::Pending },
            side: SpendingSide::of(spending).to_body(),
            digest: self.digest,
            resource: self.resource,
            amount: self.deposit.payment().amount(),
            change: self.deposit.payment().change(),
            claimed_at: self.now,
            access_until: self.now.saturating_add(self.access),
            window: accept.map_or(0, |(_, window)| window),
            answer: None,
        };
        Claim {
            payment: self.id,
            list: spending.list().to_vec(),
            challenge: self.challenge,
            record,
            deposit: self.deposit.to_body(),
            limits: accept.map(|(limits, _)| limits),
        }
    }
}

/// A request to read again: a payment's id and a proof by its keys, neither looked at.
pub(crate) struct StatedReread {
    payment: PaymentId,
    proof: KeyProof,
    addressed: Addressed,
}

impl StatedReread {
    /// Checks that the challenge is our own and lives.
    pub(crate) fn fresh(self, config: &VerifierConfig, now: u64) -> Result<FreshReread, Refused> {
        self.addressed.check_challenge(config, now)?;
        Ok(FreshReread(self))
    }
}

/// A request to read again that answers a live challenge of our own.
pub(crate) struct FreshReread(StatedReread);

impl FreshReread {
    pub(crate) const fn payment(&self) -> PaymentId {
        self.0.payment
    }

    /// The challenge to be used up.
    pub(crate) const fn challenge(&self) -> UsedChallenge {
        self.0.addressed.contents.challenge
    }

    /// Checks the proof against what was kept of the payment: same article, access time, same keys. A page is read again, and nothing else is
    /// done again: the price of one method is not that of another, and the record does not say which was paid.
    pub(crate) fn verify(&self, record: &PaymentRecord, now: u64) -> Result<(), Refused> {
        let refunded = record.state == PaymentState::Refunded;
        if !self.0.addressed.is_pass() && self.0.addressed.contents.http_method != http::Method::GET.as_str() {
            return Err(Refused::verification("reread-unknown"));
        }
        if !(refunded || record.state.serves()) || record.resource != self.0.addressed.resource {
            return Err(Refused::verification("reread-unknown"));
        }
        if now >= record.access_until {
            return Err(Refused::verification("access-expired"));
        }
        let side = record.side().map_err(|_| Refused::store_unavailable())?;
        let subject = self.0.addressed.received.echoed().subject(&[]);
        let statement = Statement::new(self.0.addressed.contents.request.recipient.as_bytes(), Amount::ZERO, 0, &subject);
        self.0.proof.verify(Purpose::Reread, &statement, KeyList::Tokens(side.list()))?;
        // Only its reader is told.
        if refunded { Err(Refused::refunded()) } else { Ok(()) }
    }
}
