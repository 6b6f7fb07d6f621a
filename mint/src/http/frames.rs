//! The frames of `spec/wire.md` as JSON, for the OpenAPI document alone: names and shapes as the protocol crate serialises them, which
//! `mint/tests/openapi.rs` compares.
#![allow(dead_code, reason = "described, never made")]

use utoipa::ToSchema;

/// 32 bytes, or 16 of a session and a ledger, in base64url without padding.
type Text = String;

/// A proof by the keys of tokens, vouchers, publishers or the mint
#[derive(ToSchema)]
struct ProofBody {
    t: Text,
    u: Text,
}

/// A blind signature
#[derive(ToSchema)]
struct SignatureBody {
    r: Text,
    s: Text,
    t: Text,
}

/// A token; `keyset` is an index into the list beside it
#[derive(ToSchema)]
struct TokenBody {
    keyset: u8,
    denomination: u64,
    key: Text,
    signature: SignatureBody,
}

/// Tokens and the keysets they are of
#[derive(ToSchema)]
struct TokensBody {
    keysets: Vec<Text>,
    tokens: Vec<TokenBody>,
}

/// A payment, amounts in smallest units
#[derive(ToSchema)]
struct PaymentFrame {
    amount: u64,
    deposit_by: u64,
    tokens: TokensBody,
    proof: ProofBody,
}

/// What is known of a spent token
#[derive(ToSchema)]
struct SpentKeyBody {
    keyset: Text,
    denomination: u64,
    key: Text,
}

/// What pays for a session
#[derive(ToSchema)]
enum FundingBody {
    Voucher(Text),
    Refresh(TokensBody),
    Change { statement: Text, list: Vec<SpentKeyBody> },
    Reclaim { statement: Text, list: Vec<SpentKeyBody> },
    Recovery { keyset: Text, session: Text, leaves: Vec<Text>, claims: Vec<ClaimBody> },
}

/// A claimed output of a session whose denomination is frozen
#[derive(ToSchema)]
struct ClaimBody {
    position: u8,
    denomination: u64,
    key: Text,
    secret: Text,
}

/// Opens an issuing session
#[derive(ToSchema)]
pub(super) struct OpenRequestFrame {
    keyset: Text,
    denominations: Vec<u64>,
    funding: FundingBody,
    recovery: Text,
    recovery_commitment: Text,
    proof: ProofBody,
}

/// A commitment to one signature
#[derive(ToSchema)]
struct CommitmentBody {
    a: Text,
    b: Text,
}

/// An open session
#[derive(ToSchema)]
pub(super) struct OpenResponseFrame {
    session: Text,
    expires: u64,
    commitments: Vec<CommitmentBody>,
}

/// The challenges of a session
#[derive(ToSchema)]
pub(super) struct IssueRequestFrame {
    session: Text,
    challenges: Vec<Text>,
    proof: ProofBody,
}

/// The answer to one challenge
#[derive(ToSchema)]
struct ResponseBody {
    b: Text,
    y: Text,
    z: Text,
}

/// The answers of a session
#[derive(ToSchema)]
pub(super) struct IssueResponseFrame {
    responses: Vec<ResponseBody>,
}

/// A payment to be deposited
#[derive(ToSchema)]
struct DepositBody {
    recipient: String,
    subject: Text,
    payment: PaymentFrame,
}

/// Where a ledger stands
#[derive(ToSchema)]
struct LedgerMark {
    ledger: Text,
    sequence: u64,
}

/// A batch of payments
#[derive(ToSchema)]
pub(super) struct DepositRequestFrame {
    seen: Option<LedgerMark>,
    payments: Vec<DepositBody>,
}

/// One side of a double spend
#[derive(ToSchema)]
struct SpendingSideBody {
    statement: Text,
    list: Vec<SpentKeyBody>,
    proof: ProofBody,
}

/// A proof that a token was paid twice
#[derive(ToSchema)]
struct DoubleSpendFrame {
    token: SpentKeyBody,
    signature: SignatureBody,
    sides: [SpendingSideBody; 2],
}

/// What became of one payment
#[derive(ToSchema)]
enum OutcomeBody {
    Credited { change: u64 },
    AlreadyCredited { change: u64 },
    Refunded,
    DoubleSpent(Box<DoubleSpendFrame>),
    Refused(u16),
}

/// What became of a batch, signed
#[derive(ToSchema)]
pub(super) struct DepositResponseFrame {
    mark: LedgerMark,
    receipt_key: Text,
    outcomes: Vec<OutcomeBody>,
    proof: ProofBody,
}

/// One keyset of the list; `windows`: `issue_from`, `issue_until`, `spend_until`, `refresh_until`, `deposit_until`; `keys`: denomination and public key
#[derive(ToSchema)]
struct KeysetBody {
    published: u64,
    currency: String,
    decimals: u8,
    windows: [u64; 5],
    receipt_key: Text,
    keys: Vec<(u64, Text)>,
    proof: ProofBody,
}

/// All keysets, signed
#[derive(ToSchema)]
pub(super) struct KeysetListFrame {
    root: Text,
    keysets: Vec<KeysetBody>,
}

/// Gives a payment back
#[derive(ToSchema)]
pub(super) struct RefundRequestFrame {
    payment: Text,
    publisher: String,
    proof: ProofBody,
}

/// What became of a refund
#[derive(ToSchema)]
enum RefundOutcomeBody {
    Refunded,
    AlreadyRefunded,
    Refused(u16),
}

/// What became of a refund, signed
#[derive(ToSchema)]
pub(super) struct RefundResponseFrame {
    mark: LedgerMark,
    receipt_key: Text,
    outcome: RefundOutcomeBody,
    proof: ProofBody,
}

/// A recorded token to be
#[derive(ToSchema)]
struct RecordedOutputBody {
    denomination: u64,
    commitment: CommitmentBody,
    response: ResponseBody,
}

/// A recorded session
#[derive(ToSchema)]
struct RecordedSessionBody {
    recovery: Text,
    outputs: Vec<RecordedOutputBody>,
}

/// The booked sessions of a bucket
#[derive(ToSchema)]
pub(super) struct RestoreBucketFrame {
    keyset: Text,
    bucket: u64,
    sessions: Vec<RecordedSessionBody>,
}

/// What is left on a voucher
#[derive(ToSchema)]
pub(super) struct VoucherBalance {
    /// In smallest units, as a decimal number
    balance: String,
    /// What the mint counts in, such as `eur/100000`
    currency: String,
}

/// A publisher's key
#[derive(ToSchema)]
pub(super) struct PublisherKey {
    /// The domain, with the port if it is not 443
    publisher: String,
    /// The public key, base64url
    key: String,
}
