//! The frames: what stands on the wire, before any check. Drawn byte by byte in `spec/wire.md`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Bytes, Frame};

macro_rules! frame {
    ($name:ident, $kind:literal, $limit:expr) => {
        impl super::sealed::Sealed for $name {}
        impl Frame for $name {
            const KIND: u8 = $kind;
            const LIMIT: usize = $limit;
        }
    };
}

/// A proof of spending: 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct ProofBody {
    /// T.
    pub t: Bytes<32>,
    /// u.
    pub u: Bytes<32>,
}

/// A token's signature: 96 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SignatureBody {
    /// R.
    pub r: Bytes<32>,
    /// s.
    pub s: Bytes<32>,
    /// t.
    pub t: Bytes<32>,
}

/// A token inside a payment: 137 bytes. The keyset is an index into the payment's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct TokenBody {
    /// Index into the table of keysets.
    pub keyset: u8,
    /// Value in smallest units.
    pub denomination: u64,
    /// P.
    pub key: Bytes<32>,
    /// The mint's signature on P.
    pub signature: SignatureBody,
}

/// Tokens with their keyset table, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct TokensBody {
    /// The keysets used, ascending, each used at least once.
    pub keysets: Vec<Bytes<32>>,
    /// The tokens, ascending by (keyset, denomination, P).
    pub tokens: Vec<TokenBody>,
}

/// A payment: amount, deadline, tokens, proof of spending. With one token 267 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct PaymentFrame {
    /// What is paid, in smallest units; the tokens' rest is change.
    pub amount: u64,
    /// The last second at which the mint may take it, Unix time.
    pub deposit_by: u64,
    /// The tokens.
    pub tokens: TokensBody,
    /// The proof.
    pub proof: ProofBody,
}
frame!(PaymentFrame, 1, 8 << 10);

/// A request to read again: 98 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct RereadFrame {
    /// The payment's id.
    pub payment: Bytes<32>,
    /// The proof.
    pub proof: ProofBody,
}
frame!(RereadFrame, 2, 98);

/// A spent key in a list: 72 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SpentKeyBody {
    /// Keyset id.
    pub keyset: Bytes<32>,
    /// Value in smallest units.
    pub denomination: u64,
    /// P.
    pub key: Bytes<32>,
}

/// A claimed output of a session whose denomination is frozen: 73 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct ClaimBody {
    /// The output's place in its session, from 0.
    pub position: u8,
    /// Value in smallest units.
    pub denomination: u64,
    /// P.
    pub key: Bytes<32>,
    /// u, the output's recovery secret.
    pub secret: Bytes<32>,
}

/// What pays for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum FundingBody {
    /// A voucher's public key.
    Voucher(Bytes<32>),
    /// Tokens to be refreshed.
    Refresh(TokensBody),
    /// A settled payment with a rest: S and L of the payment.
    Change {
        /// S.
        statement: Bytes<32>,
        /// L.
        list: Vec<SpentKeyBody>,
    },
    /// A refunded payment: S and L of the payment.
    Reclaim {
        /// S.
        statement: Bytes<32>,
        /// L.
        list: Vec<SpentKeyBody>,
    },
    /// Outputs of a session whose denominations are frozen.
    Recovery {
        /// The keyset that issued them.
        keyset: Bytes<32>,
        /// The recovery hash of their session.
        session: Bytes<32>,
        /// Hash(u) of every output of the session, in order.
        leaves: Vec<Bytes<32>>,
        /// The outputs claimed, ascending by (denomination, P).
        claims: Vec<ClaimBody>,
    },
}

/// Opens an issuing session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct OpenRequestFrame {
    /// The keyset to issue from.
    pub keyset: Bytes<32>,
    /// The denominations wanted, ascending, at most 256.
    pub denominations: Vec<u64>,
    /// What pays.
    pub funding: FundingBody,
    /// Hash of the session's recovery key.
    pub recovery: Bytes<32>,
    /// Hash of the outputs' recovery secrets' hashes.
    pub recovery_commitment: Bytes<32>,
    /// The proof.
    pub proof: ProofBody,
}
frame!(OpenRequestFrame, 3, 16 << 10);

/// A and B.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct CommitmentBody {
    /// A.
    pub a: Bytes<32>,
    /// B.
    pub b: Bytes<32>,
}

/// A session and its commitments, one for each denomination asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct OpenResponseFrame {
    /// The session's id.
    pub session: Bytes<16>,
    /// When the session's nonces die, Unix time in seconds.
    pub expires: u64,
    /// One commitment an output, in order.
    pub commitments: Vec<CommitmentBody>,
}
frame!(OpenResponseFrame, 4, 32 << 10);

/// Asks for the responses of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct IssueRequestFrame {
    /// The session's id.
    pub session: Bytes<16>,
    /// c, one an output, in order.
    pub challenges: Vec<Bytes<32>>,
    /// The proof.
    pub proof: ProofBody,
}
frame!(IssueRequestFrame, 5, 16 << 10);

/// b, y, z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct ResponseBody {
    /// b.
    pub b: Bytes<32>,
    /// y.
    pub y: Bytes<32>,
    /// z.
    pub z: Bytes<32>,
}

/// The responses of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct IssueResponseFrame {
    /// One an output, in order.
    pub responses: Vec<ResponseBody>,
}
frame!(IssueResponseFrame, 6, 32 << 10);

/// A payment as a publisher hands it in: with the opening of S.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct DepositBody {
    /// The publisher's name.
    pub recipient: String,
    /// D: the salted digest of what was bought.
    pub subject: Bytes<32>,
    /// The payment.
    pub payment: PaymentFrame,
}

/// A batch of payments, and the highest mark of the mint's ledger the verifier has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct DepositRequestFrame {
    /// Ledger id and sequence from the last answer, if there was one.
    pub seen: Option<LedgerMark>,
    /// The payments, at most 256.
    pub payments: Vec<DepositBody>,
}
// 256 payments of 24 tokens from 24 keysets to the longest recipient are 1,139,747 bytes.
frame!(DepositRequestFrame, 7, 5 << 18);

/// Where a ledger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct LedgerMark {
    /// The ledger's random id.
    pub ledger: Bytes<16>,
    /// A number that only grows: how many deposits were booked, above the mint's seal.
    pub sequence: u64,
}

impl LedgerMark {
    /// How many of the lower bits of the sequence are the mint's seal (spec/deposit.md, section 4).
    pub const SEAL_BITS: u32 = 24;
}

/// What became of one payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum OutcomeBody {
    /// Booked now; the rest may be taken as change.
    Credited {
        /// Tokens' value less the amount.
        change: u64,
    },
    /// Booked by an earlier deposit of the same payment.
    AlreadyCredited {
        /// Tokens' value less the amount.
        change: u64,
    },
    /// Booked once and given back since.
    Refunded,
    /// A token was paid elsewhere before.
    DoubleSpent(Box<DoubleSpendFrame>),
    /// Not booked, for the reason with this number.
    Refused(u16),
}

/// The mint's answer to a deposit, signed by the keyset's receipt key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct DepositResponseFrame {
    /// Where the ledger stands after this deposit.
    pub mark: LedgerMark,
    /// The receipt key that signs, one of the announced ones.
    pub receipt_key: Bytes<32>,
    /// One a payment, in order.
    pub outcomes: Vec<OutcomeBody>,
    /// The proof.
    pub proof: ProofBody,
}
frame!(DepositResponseFrame, 8, 4 << 20);

/// One side of a double-spend proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SpendingSideBody {
    /// S, opaque.
    pub statement: Bytes<32>,
    /// L.
    pub list: Vec<SpentKeyBody>,
    /// The proof.
    pub proof: ProofBody,
}

/// Two payments that share a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct DoubleSpendFrame {
    /// The shared token.
    pub token: SpentKeyBody,
    /// Its signature.
    pub signature: SignatureBody,
    /// The two payments, the one with the smaller id first.
    pub sides: [SpendingSideBody; 2],
}
frame!(DoubleSpendFrame, 9, 8 << 10);

/// A keyset with its place in the list and the root key's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct KeysetBody {
    /// When it was announced, Unix time in seconds.
    pub published: u64,
    /// Currency, three lower-case letters.
    pub currency: String,
    /// Decimals of the smallest unit.
    pub decimals: u8,
    /// `issue_from`, `issue_until`, `spend_until`, `refresh_until`, `deposit_until`, Unix time in seconds.
    pub windows: [u64; 5],
    /// The key that signs deposit answers.
    pub receipt_key: Bytes<32>,
    /// Denominations and their keys X, ascending by denomination.
    pub keys: Vec<(u64, Bytes<32>)>,
    /// The proof.
    pub proof: ProofBody,
}

/// All keysets a mint has ever announced, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct KeysetListFrame {
    /// The root key.
    pub root: Bytes<32>,
    /// The keysets.
    pub keysets: Vec<KeysetBody>,
}
frame!(KeysetListFrame, 10, 2 << 20);

/// A publisher asks to give a payment back: at most 366 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct RefundRequestFrame {
    /// The payment's id.
    pub payment: Bytes<32>,
    /// The publisher's name.
    pub publisher: String,
    /// The proof by the publisher's key.
    pub proof: ProofBody,
}
frame!(RefundRequestFrame, 11, 512);

/// What became of a refund request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum RefundOutcomeBody {
    /// Taken from the publisher's balance now; the reader may reclaim it.
    Refunded,
    /// Refunded by an earlier request.
    AlreadyRefunded,
    /// Not refunded, for the reason with this number.
    Refused(u16),
}

/// The mint's answer to a refund request, signed by a receipt key: at most 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct RefundResponseFrame {
    /// Where the ledger stands after this refund.
    pub mark: LedgerMark,
    /// The receipt key that signs, one of the announced ones.
    pub receipt_key: Bytes<32>,
    /// What became of it.
    pub outcome: RefundOutcomeBody,
    /// The proof.
    pub proof: ProofBody,
}
frame!(RefundResponseFrame, 12, 128);

/// One output of a completed session, as the mint recorded it: 168 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct RecordedOutputBody {
    /// Value in smallest units.
    pub denomination: u64,
    /// A and B.
    pub commitment: CommitmentBody,
    /// b, y, z.
    pub response: ResponseBody,
}

/// A completed session, as the mint recorded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct RecordedSessionBody {
    /// Hash of the session's recovery key.
    pub recovery: Bytes<32>,
    /// The outputs, in the order of the session.
    pub outputs: Vec<RecordedOutputBody>,
}

/// Completed sessions of one keyset, for wallets that have only their seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct RestoreBucketFrame {
    /// The keyset that issued.
    pub keyset: Bytes<32>,
    /// The bucket's number within the keyset, from 0.
    pub bucket: u64,
    /// The sessions, ascending by recovery hash and first A, at most 64.
    pub sessions: Vec<RecordedSessionBody>,
}
// 64 sessions of 256 outputs are 2,755,122 bytes.
frame!(RestoreBucketFrame, 13, 3 << 20);
