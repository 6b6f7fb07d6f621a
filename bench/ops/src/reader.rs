//! What a reader does, over the protocol's own types: sessions in, tokens out, payments.

use bytes::Bytes;
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::issue::{FundingKeys, PendingTokens, SessionPlan};
use farthing_protocol::keyset::{Keyset, KeysetList};
use farthing_protocol::payment::{Deposit, PaymentTerms};
use farthing_protocol::proof::Statement;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::token::{OwnedToken, OwnedTokens, UsedTokens};
use farthing_protocol::wire::{DepositRequestFrame, Frame, KeysetListFrame, LedgerMark, OpenResponseFrame};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

use crate::Fault;
use crate::http::Connection;

/// The digest that stands for what is bought: nothing is, here.
const SUBJECT: [u8; 32] = [5; 32];

/// Later than any run ends, Unix seconds.
const DEPOSIT_BY: u64 = 1 << 40;

/// What all readers of a mint know.
#[derive(Clone)]
pub struct Market {
    /// The root key.
    pub root: Point,
    /// The keysets.
    pub list: KeysetList,
}

impl Market {
    /// Asks the mint. The root key is believed, because the mint is this tool's own.
    ///
    /// # Errors
    /// It does not answer, or not with a list.
    pub async fn fetch(connection: &mut Connection) -> Result<Self, Fault> {
        let answer = connection.get("/v1/keysets").await.ok_or("the mint does not answer")?;
        let frame: KeysetListFrame = answer.frame()?;
        let root = Point::from_bytes(frame.root.0)?;
        Ok(Self { root, list: KeysetList::verify(&frame, &root)? })
    }

    /// The keyset that issues.
    pub fn keyset(&self) -> &Keyset {
        &self.list.keysets()[0]
    }

    /// A session of these denominations, ascending, in smallest units.
    pub fn plan(&self, denominations: &[u64]) -> SessionPlan {
        let denominations = denominations.iter().copied().map(Amount::from_units).collect();
        SessionPlan { keyset: self.keyset().id(), denominations, recovery: [0; 32], recovery_commitment: [0; 32] }
    }
}

/// A reader's secrets.
pub struct Reader {
    /// What it knows.
    pub market: Market,
    /// Its randomness.
    pub rng: StdRng,
    seed: WalletSeed,
    next_index: u64,
}

/// The tokens of a payment and what it said: what change and reclaim need.
pub struct Paid {
    /// The payment as its publisher hands it in.
    pub deposit: Deposit,
    /// Its tokens.
    pub used: UsedTokens,
    /// What it said.
    pub statement: Statement,
}

impl Reader {
    /// A reader with a fresh seed.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(market: Market) -> Result<Self, Fault> {
        let mut rng = StdRng::try_from_rng(&mut SysRng)?;
        let seed = WalletSeed::generate(&mut rng);
        Ok(Self { market, rng, seed, next_index: 0 })
    }

    /// The bytes that open a session.
    ///
    /// # Errors
    /// The plan is not valid.
    pub fn open(&mut self, plan: &SessionPlan, funding: &FundingKeys<'_>) -> Result<Bytes, Fault> {
        Ok(plan.open(&self.market.root, funding, &mut self.rng)?.to_bytes().into())
    }

    /// Blinds tokens for an opened session; returns what to keep, and the bytes that ask for the responses.
    ///
    /// # Errors
    /// The mint's commitments are not valid.
    pub fn blind(
        &mut self,
        plan: &SessionPlan,
        funding: &FundingKeys<'_>,
        opened: &OpenResponseFrame,
    ) -> Result<(PendingTokens, Bytes), Fault> {
        let first = self.next_index;
        self.next_index += plan.denominations.len() as u64;
        let market = &self.market;
        let pending = plan.blind(&self.seed, &market.root, market.keyset(), first, opened)?;
        let request = plan.request(&market.root, &pending, funding, &mut self.rng)?;
        Ok((pending, request.to_bytes().into()))
    }

    /// Pays a publisher.
    ///
    /// # Errors
    /// The tokens are worth less.
    pub fn pay(&mut self, tokens: Vec<OwnedToken>, recipient: &str, units: u64) -> Result<Paid, Fault> {
        let terms = PaymentTerms { recipient, amount: Amount::from_units(units), deposit_by: DEPOSIT_BY, subject: SUBJECT };
        let (payment, used) = OwnedTokens::new(tokens)?.pay(&terms, &mut self.rng)?;
        Ok(Paid { deposit: Deposit::new(recipient, SUBJECT, payment)?, used, statement: terms.statement() })
    }
}

/// The bytes of a deposit.
pub fn deposit_bytes<'a>(payments: impl IntoIterator<Item = &'a Deposit>, seen: Option<LedgerMark>) -> Bytes {
    DepositRequestFrame { seen, payments: payments.into_iter().map(Deposit::to_body).collect() }.to_bytes().into()
}
