//! Every domain separator of the protocol, in one place.
//!
//! A [`Domain`] names what a transcript is for; a `Field` names one value inside it. Both have private constructors, so that no
//! other module can make a label up. [`ALL_DOMAINS`] is what `spec/primitives.md` is checked against.

/// What a whole transcript is for. Two transcripts with different domains never collide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Domain(&'static str);

impl Domain {
    /// The separator's bytes as they enter the transcript.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// The name of one value inside a transcript.
#[derive(Clone, Copy)]
pub(crate) struct Field(&'static str);

impl Field {
    pub(crate) const fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }
}

macro_rules! domains {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Domain = Domain($text);)*
        /// All domain separators, in the order of their definition.
        ///
        /// Implements R-WIRE-08.
        pub const ALL_DOMAINS: &[Domain] = &[$($name),*];
    };
}

domains! {
    /// The second generator H: 64 bytes of output, mapped to the group by RFC 9496.
    GENERATOR_H = "farthing/1 generator H";
    /// c' of a blind signature.
    SIGNATURE = "farthing/1 blind signature";
    /// S, what a proof of spending is about.
    STATEMENT = "farthing/1 statement";
    /// e_1..e_n of a proof of spending.
    PROOF = "farthing/1 proof of spending";
    /// The hedged nonce t of a proof of spending.
    PROOF_NONCE = "farthing/1 proof nonce";
    /// The identifier of a payment.
    PAYMENT_ID = "farthing/1 payment id";
    /// The weights of a batch verification.
    BATCH = "farthing/1 batch weights";
    /// D of a payment: the salted HTTP challenge.
    HTTP_CHALLENGE = "farthing/1 http challenge";
    /// D of the proof that opens an issuing session.
    SESSION_OPEN = "farthing/1 session open";
    /// D of the proof that asks for the responses of a session.
    SESSION_ISSUE = "farthing/1 session issue";
    /// D of a mint's signature on a deposit answer.
    DEPOSIT_ANSWER = "farthing/1 deposit answer";
    /// D of a publisher's refund request.
    REFUND = "farthing/1 refund";
    /// D of a mint's signature on a refund answer.
    REFUND_ANSWER = "farthing/1 refund answer";
    /// D of a publisher's receipt.
    PUBLISHER_RECEIPT = "farthing/1 publisher receipt";
    /// The identifier of a keyset.
    KEYSET_ID = "farthing/1 keyset id";
    /// A head of the keyset list.
    KEYSET_HEAD = "farthing/1 keyset list head";
    /// The unique row of a commitment in the ledger.
    COMMITMENT_ROW = "farthing/1 commitment row";
    /// A token's key k, derived from the wallet seed.
    WALLET_TOKEN = "farthing/1 wallet token";
    /// A session's recovery key, derived from the wallet seed.
    WALLET_RECOVERY = "farthing/1 wallet recovery";
    /// The public hash of a recovery key.
    RECOVERY_HASH = "farthing/1 recovery hash";
    /// An output's recovery secret, derived from the wallet seed.
    RECOVERY_SECRET = "farthing/1 recovery secret";
    /// The hash of a recovery secret.
    RECOVERY_LEAF = "farthing/1 recovery leaf";
    /// What a session's recovery secrets are committed to with.
    RECOVERY_COMMITMENT = "farthing/1 recovery commitment";
    /// An output's (r, alpha, beta), derived from its recovery secret.
    BLINDING = "farthing/1 blinding";
    /// A voucher's key, derived from its code.
    VOUCHER = "farthing/1 voucher";
    /// The checksum of a voucher's code.
    VOUCHER_CHECK = "farthing/1 voucher check";
    /// What stands for a spent token in a filter.
    SPENT_MARK = "farthing/1 spent mark";
}

macro_rules! fields {
    ($($name:ident = $text:literal;)*) => { $(pub(crate) const $name: Field = Field($text);)* };
}

fields! {
    ALPHA = "alpha";
    AMOUNT = "amount";
    BETA = "beta";
    CHALLENGE = "challenge";
    COMMITMENT = "commitment";
    COUNT = "count";
    DENOMINATION = "denomination";
    DEPOSIT_BY = "deposit by";
    DIGEST = "digest";
    FRESH = "fresh";
    HEAD = "head";
    INDEX = "index";
    KEY = "key";
    KEYSET = "keyset";
    LEAF = "leaf";
    LEDGER = "ledger";
    MESSAGE = "message";
    NUMBER = "number";
    OUTCOME = "outcome";
    OUTPUT = "output";
    PAYMENT = "payment";
    PUBLISHED = "published";
    PURPOSE = "purpose";
    RECEIPT_KEY = "receipt key";
    RECIPIENT = "recipient";
    RECOVERY = "recovery";
    RECOVERY_COMMITTED = "recovery commitment";
    ROOT = "root";
    SALT = "salt";
    SECRET = "secret";
    SEED = "seed";
    SEQUENCE = "sequence";
    SESSION = "session";
    STATEMENT_VALUE = "statement";
    UNIT = "unit";
    WINDOW = "window";
    LIST_KIND = "list kind";
    FUNDING = "funding";
    NAME = "name";
    PRESENT = "present";
    VALUE = "value";
    T_POINT = "T";
    R_POINT = "R";
    R_SCALAR = "r";
    TOKEN_KEY = "k";
}
