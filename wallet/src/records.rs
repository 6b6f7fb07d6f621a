//! What the wallet keeps on disk, as JSON inside the store.

use farthing_protocol::amount::Amount;
use farthing_protocol::http::pass_resource;
use farthing_protocol::issue::{MAX_OUTPUTS, SessionPlan};
use farthing_protocol::proof::{KeysetId, SpendKey, SpentKey};
use farthing_protocol::snowblind::Signature;
use farthing_protocol::token::{OwnedToken, Token};
use farthing_protocol::wire::{Bytes, IssueRequestFrame, OpenRequestFrame, OpenResponseFrame, SignatureBody, SpentKeyBody};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::WalletError;
use crate::receipt::KeptReceipt;

/// What may still be done with a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TokenState {
    /// It can be paid.
    Owned,
    /// It has left in a payment that came to nothing: it may only be refreshed.
    RefreshOnly,
    /// It is in the payment with this id.
    Paying(Bytes<32>),
    /// It pays for the issue with this number.
    Refreshing(u64),
}

/// The output of which session a token is: what is shown if its denomination is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The index of the session's first output.
    pub(crate) first_index: u64,
    /// The output's place, from 0.
    pub(crate) position: u8,
    /// The denominations of all outputs, ascending, with how many there are of each.
    outputs: Vec<(u64, u16)>,
}

impl Origin {
    /// The origins of a session's outputs, in order.
    pub(crate) fn of_session(first_index: u64, denominations: &[Amount]) -> impl Iterator<Item = Self> + use<> {
        let mut outputs: Vec<(u64, u16)> = Vec::new();
        for denomination in denominations {
            match outputs.last_mut() {
                Some((last, count)) if *last == denomination.units() => *count = count.saturating_add(1),
                _ => outputs.push((denomination.units(), 1)),
            }
        }
        (0..=u8::MAX).map(move |position| Self { first_index, position, outputs: outputs.clone() })
    }

    /// The denominations of all outputs, ascending.
    pub(crate) fn denominations(&self) -> Vec<Amount> {
        let all = self.outputs.iter().flat_map(|(denomination, count)| std::iter::repeat_n(*denomination, usize::from(*count)));
        all.take(MAX_OUTPUTS).map(Amount::from_units).collect()
    }
}

/// A token at rest: its public half is the key of its row.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub(crate) signature: SignatureBody,
    pub(crate) secret: Bytes<32>,
    pub(crate) state: TokenState,
    /// When it was issued, Unix time in seconds.
    pub(crate) acquired: u64,
    /// Missing only in what an earlier version stored: it cannot be recovered.
    #[serde(default)]
    pub(crate) origin: Option<Origin>,
}

impl TokenRecord {
    pub(crate) fn new(owned: &OwnedToken, origin: Origin, acquired: u64) -> Self {
        let secret = Bytes(*owned.key().expose_secret());
        let signature = owned.token().signature().to_body();
        Self { signature, secret, state: TokenState::Owned, acquired, origin: Some(origin) }
    }
}

/// A token with its key, as payments keep it for change and reading again.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HeldToken {
    pub(crate) spent_key: SpentKeyBody,
    pub(crate) signature: SignatureBody,
    pub(crate) secret: Bytes<32>,
    #[serde(default)]
    pub(crate) origin: Option<Origin>,
}

impl HeldToken {
    pub(crate) fn new(spent_key: &SpentKey, record: &TokenRecord) -> Self {
        let spent_key =
            SpentKeyBody { keyset: spent_key.keyset.0.into(), denomination: spent_key.denomination.units(), key: spent_key.key.into() };
        Self { spent_key, signature: record.signature, secret: record.secret, origin: record.origin.clone() }
    }

    /// The token at rest, in this state.
    pub(crate) fn at_rest(&self, state: TokenState, acquired: u64) -> TokenRecord {
        TokenRecord { signature: self.signature, secret: self.secret, state, acquired, origin: self.origin.clone() }
    }

    pub(crate) fn spent_key(&self) -> SpentKey {
        SpentKey {
            keyset: KeysetId(self.spent_key.keyset.0),
            denomination: Amount::from_units(self.spent_key.denomination),
            key: self.spent_key.key.0,
        }
    }

    pub(crate) fn to_owned_token(&self) -> Result<OwnedToken, WalletError> {
        let signature = Signature::from_body(&self.signature).map_err(|_| WalletError::Damaged)?;
        let key = SpendKey::from_bytes(&Zeroizing::new(self.secret.0)).map_err(|_| WalletError::Damaged)?;
        OwnedToken::new(Token::new(self.spent_key(), signature), key).map_err(|_| WalletError::Damaged)
    }
}

/// What pays for an issue.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum FundingRecord {
    /// A voucher's secret key.
    Voucher { secret: Bytes<32> },
    /// Tokens, which stand in state `Refreshing`.
    Refresh { tokens: Vec<HeldToken> },
    /// A settled payment.
    Change { payment: Bytes<32> },
    /// A refunded payment.
    Reclaim { payment: Bytes<32> },
    /// Tokens of frozen denominations, all of one session, which stand in state `Refreshing`.
    Recovery { tokens: Vec<HeldToken> },
}

impl FundingRecord {
    /// The tokens that are given up for new ones.
    pub(crate) fn tokens(&self) -> &[HeldToken] {
        match self {
            Self::Refresh { tokens } | Self::Recovery { tokens } => tokens,
            Self::Voucher { .. } | Self::Change { .. } | Self::Reclaim { .. } => &[],
        }
    }
}

/// An unfinished issue: written before anything is sent, gone when its tokens are stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    pub(crate) funding: FundingRecord,
    pub(crate) first_index: u64,
    pub(crate) open: OpenRequestFrame,
    pub(crate) exchange: Option<Exchange>,
}

/// The mint's commitments and the final bytes of the request made from them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) opened: OpenResponseFrame,
    pub(crate) request: IssueRequestFrame,
}

impl SessionRecord {
    pub(crate) fn plan(&self) -> SessionPlan {
        SessionPlan {
            keyset: KeysetId(self.open.keyset.0),
            denominations: self.open.denominations.iter().copied().map(Amount::from_units).collect(),
            recovery: self.open.recovery.0,
            recovery_commitment: self.open.recovery_commitment.0,
        }
    }

    pub(crate) fn amount(&self) -> Result<Amount, WalletError> {
        self.plan().amount().map_err(|_| WalletError::Damaged)
    }
}

/// The code with which a publisher refuses a payment that was booked once and given back.
pub(crate) const REFUNDED: &str = "refused-refunded";

/// The wallet's own word for a payment of which its publisher has said so, and the mint knows nothing of a refund.
pub(crate) const NOT_REFUNDED: &str = "not-refunded";

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum PaymentState {
    /// Stored, sent perhaps; no answer yet.
    Sent,
    /// The content came; the publisher has the money or will have it.
    Delivered {
        /// Whether the mint has booked it already.
        settled: bool,
    },
    /// The publisher said no; the tokens are to be refreshed.
    Refused {
        /// The problem's stable code.
        code: String,
    },
}

/// A payment with everything that is needed to send it again, take its change, and read again.
#[derive(Clone, Serialize, Deserialize)]
pub struct PaymentRecord {
    /// The payment's id.
    pub id: Bytes<32>,
    /// The canonical URL.
    pub url: String,
    /// The publisher's name.
    pub publisher: String,
    /// What was bought, in the publisher's words.
    pub title: String,
    /// What was paid.
    pub amount: Amount,
    /// The rest of the tokens' value.
    pub change: Amount,
    /// Whether the change was taken, or is being taken.
    pub change_taken: bool,
    /// Whether the amount was taken back after a refund, or is being taken back.
    #[serde(default)]
    pub reclaimed: bool,
    /// Whether the mint has said that its tokens are spent.
    #[serde(default)]
    pub(crate) spent: bool,
    /// Where it stands.
    #[serde(flatten)]
    pub state: PaymentState,
    /// When it was made, Unix time in seconds.
    pub created: u64,
    /// Ascends with every payment, also within one second.
    pub sequence: u64,
    /// Until when it may be read again, Unix time in seconds.
    pub access_until: u64,
    /// The last second at which the publisher may deposit, Unix time in seconds.
    pub deposit_by: u64,
    /// For a pass, the start of every path it is good for.
    #[serde(default)]
    pub scope: Option<String>,
    /// The publisher's receipt, if it gave one whose signature holds.
    #[serde(default)]
    pub receipt: Option<KeptReceipt>,
    pub(crate) statement: Bytes<32>,
    pub(crate) tokens: Vec<HeldToken>,
    pub(crate) authorization: String,
}

impl PaymentRecord {
    /// What was paid for: a canonical URL, or the text that names a pass.
    pub(crate) fn resource(&self) -> String {
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        self.scope.as_ref().map_or_else(|| self.url.clone(), |scope| pass_resource(scheme, &self.publisher, scope))
    }

    /// Whether there is change to be taken.
    pub fn change_is_due(&self) -> bool {
        (matches!(self.state, PaymentState::Delivered { .. }) || self.was_refunded()) && !self.change_taken && !self.change.is_zero()
    }

    /// Whether the publisher has said that it gave the payment back.
    pub fn was_refunded(&self) -> bool {
        matches!(&self.state, PaymentState::Refused { code } if code == REFUNDED)
    }
}
