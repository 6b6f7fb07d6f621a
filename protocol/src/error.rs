//! Errors, one type per step, each with a stable code.
//!
//! Everything here is the fault of whoever made the bytes (a peer), except [`UseError`], which is the caller's. Codes are part of the
//! protocol: they are what a problem answer carries, and they do not change. No error holds a key, token, voucher or address.

use thiserror::Error;

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* #[error($text)] $variant,)*
        }

        impl $name {
            /// The stable code of this error.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Every error of this type, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
    };
}

coded! {
    /// Bytes that are no group element or scalar of the protocol.
    GroupError {
        /// The 32 bytes are not the canonical encoding of a ristretto255 element.
        NonCanonicalPoint = "non-canonical-point", "not the canonical encoding of a group element";
        /// The element is the identity, which no key, commitment or signature may be.
        IdentityPoint = "identity-point", "the identity element is not allowed here";
        /// The 32 bytes are not below the group order.
        NonCanonicalScalar = "non-canonical-scalar", "not the canonical encoding of a scalar";
        /// The scalar is zero where zero would make the equation hold for anybody.
        ZeroScalar = "zero-scalar", "the zero scalar is not allowed here";
    }
}

coded! {
    /// Bytes that are no frame.
    FrameError {
        /// The frame is longer than its kind allows.
        TooLong = "frame-too-long", "the frame is longer than its kind allows";
        /// The bytes end before the frame does.
        Truncated = "frame-truncated", "the frame ends too early";
        /// Bytes follow the frame.
        TrailingBytes = "frame-trailing-bytes", "bytes follow the frame";
        /// The first byte is not a version of this protocol.
        UnknownVersion = "frame-unknown-version", "the frame is of an unknown version";
        /// The second byte is another kind of frame than expected.
        WrongKind = "frame-wrong-kind", "the frame is of another kind";
        /// The body does not decode.
        Malformed = "frame-malformed", "the frame does not decode";
        /// The body decodes, but is not the one encoding of its value.
        NonCanonical = "frame-non-canonical", "the frame is not in its canonical encoding";
    }
}

coded! {
    /// A payment that is malformed as a whole, before any curve arithmetic.
    PaymentError {
        /// A payment without tokens.
        Empty = "payment-empty", "the payment holds no token";
        /// More tokens than a payment may hold.
        TooManyTokens = "payment-too-many-tokens", "the payment holds too many tokens";
        /// The same token twice.
        DuplicateToken = "payment-duplicate-token", "the payment holds a token twice";
        /// Tokens or keysets are not in ascending order, or a keyset is listed and not used.
        NotSorted = "payment-not-sorted", "the payment is not in canonical order";
        /// A token names a keyset outside the payment's table.
        KeysetIndex = "payment-keyset-index", "a token names a keyset outside the table";
        /// A denomination or amount of zero.
        ZeroAmount = "payment-zero-amount", "an amount of zero";
        /// The tokens' values do not fit in 64 bits.
        Overflow = "payment-overflow", "the sum of the tokens overflows";
        /// The tokens are worth less than the amount paid.
        Insufficient = "payment-insufficient", "the tokens are worth less than the amount";
        /// The proof's response is not a canonical scalar.
        NonCanonicalScalar = "payment-non-canonical-scalar", "a scalar of the payment is not canonical";
        /// A signature's t is zero.
        ZeroScalar = "payment-zero-scalar", "a scalar of the payment is zero";
        /// The recipient is longer than a host name may be.
        RecipientTooLong = "payment-recipient-too-long", "the recipient is too long";
    }
}

coded! {
    /// A token, proof or signature that does not hold.
    ProofError {
        /// The keyset is not on the mint's list.
        UnknownKeyset = "unknown-keyset", "the keyset is not on the mint's list";
        /// The keyset has no key of that denomination.
        UnknownDenomination = "unknown-denomination", "the keyset has no such denomination";
        /// A point of the token or proof is not canonical or is the identity.
        InvalidPoint = "invalid-point", "a point is not canonical or is the identity";
        /// A token's signature does not verify under its keyset's key.
        InvalidSignature = "invalid-signature", "a token's signature does not verify";
        /// The proof of spending does not verify for this recipient, amount and challenge.
        InvalidProof = "invalid-proof", "the proof of spending does not verify";
        /// Nothing to verify.
        EmptyBatch = "empty-batch", "the batch is empty";
    }
}

coded! {
    /// A double-spend proof that proves nothing.
    EvidenceError {
        /// The two payments are one and the same.
        SamePayment = "evidence-same-payment", "both sides are the same payment";
        /// The lists do not both hold the accused token.
        NotShared = "evidence-not-shared", "the token is not in both payments";
        /// A list is empty, too long, unsorted or repeats a token.
        InvalidList = "evidence-invalid-list", "a token list is not canonical";
        /// The token's signature does not verify: no such token was ever issued.
        InvalidSignature = "evidence-invalid-signature", "the token's signature does not verify";
        /// One of the proofs of spending does not verify.
        InvalidProof = "evidence-invalid-proof", "a proof of spending does not verify";
        /// The token's keyset or denomination is not on the mint's list.
        UnknownKey = "evidence-unknown-key", "the token's key is not on the mint's list";
    }
}

coded! {
    /// A keyset list that must not be trusted.
    KeysetError {
        /// The list was made by another root key.
        WrongRoot = "keyset-wrong-root", "the list is signed by another root key";
        /// An entry's signature does not verify.
        InvalidSignature = "keyset-invalid-signature", "an entry's signature does not verify";
        /// A key is not canonical or is the identity.
        InvalidKey = "keyset-invalid-key", "a key is not canonical or is the identity";
        /// A key stands on the list twice.
        RepeatedKey = "keyset-repeated-key", "a key stands on the list twice";
        /// Denominations are missing, zero, unsorted or too many.
        InvalidDenominations = "keyset-invalid-denominations", "the denominations are not canonical";
        /// The unit's currency or decimals are not of the permitted form.
        InvalidUnit = "keyset-invalid-unit", "the unit is not of the permitted form";
        /// The windows are not in order, or shorter than a keyset must live.
        InvalidWindows = "keyset-invalid-windows", "the windows are not in order or too short";
        /// Published less than a day before it issues.
        PublishedLate = "keyset-published-late", "the keyset was published too late";
        /// More than two keysets of one unit issue at a time.
        TooManyIssuing = "keyset-too-many-issuing", "more than two keysets of a unit issue at once";
        /// The list is empty.
        EmptyList = "keyset-empty-list", "the keyset list is empty";
        /// The list is shorter than the one already known.
        Shortened = "keyset-shortened", "the list is shorter than the one known";
        /// The list differs from the one already known: two signed lists of one number.
        Forked = "keyset-forked", "the mint has signed two different lists";
    }
}

coded! {
    /// What a mint's answer to an issue request may have wrong with it.
    IssueError {
        /// The counts of commitments, challenges and responses differ.
        CountMismatch = "issue-count-mismatch", "the number of commitments or responses differs from what was asked";
        /// No output, or more than a session may hold.
        OutputCount = "issue-output-count", "a session holds between one and 256 outputs";
        /// Denominations are zero, unsorted or not in the keyset.
        InvalidDenominations = "issue-invalid-denominations", "the denominations are not canonical or not in the keyset";
        /// The denominations' sum overflows or is not what the funding is worth.
        AmountMismatch = "issue-amount-mismatch", "the outputs are not worth what the funding is";
        /// The funding is malformed.
        InvalidFunding = "issue-invalid-funding", "the funding is malformed";
        /// The session does not lead to the tokens that are claimed.
        InvalidRecovery = "issue-invalid-recovery", "the recorded session does not lead to the tokens claimed";
        /// The funding keys' proof does not verify.
        InvalidProof = "issue-invalid-proof", "the proof by the funding keys does not verify";
        /// A point or scalar is not canonical.
        InvalidEncoding = "issue-invalid-encoding", "a point or scalar is not canonical";
        /// A commitment was seen before, or stands twice in one session.
        RepeatedCommitment = "issue-repeated-commitment", "a commitment was used before";
        /// b, y, z do not open the commitment: the mint cheated or made a mistake.
        InvalidResponse = "issue-invalid-response", "the mint's response does not open its commitment";
        /// A derived blinding was unusable (probability 2^-252): take the next index.
        UnusableBlinding = "issue-unusable-blinding", "the derived blinding is unusable";
    }
}

coded! {
    /// A mint's deposit answer that must not be believed.
    AnswerError {
        /// The number of outcomes differs from the number of payments.
        CountMismatch = "answer-count-mismatch", "the number of outcomes differs from the number of payments";
        /// The receipt key's signature does not verify.
        InvalidSignature = "answer-invalid-signature", "the mint's signature on the answer does not verify";
        /// The change named is not what the payment left.
        WrongChange = "answer-wrong-change", "the change named is not what the payment left";
        /// A double-spend proof is about two other payments.
        UnrelatedProof = "answer-unrelated-proof", "a double-spend proof is not about the payment it answers";
    }
}

coded! {
    /// A refund request that is not a publisher's.
    RefundError {
        /// The publisher's name is longer than a host name may be.
        PublisherTooLong = "refund-publisher-too-long", "the publisher's name is too long";
        /// The proof's response is not a canonical scalar.
        InvalidEncoding = "refund-invalid-encoding", "a scalar of the request is not canonical";
        /// The publisher's key did not ask for this.
        InvalidProof = "refund-invalid-proof", "the proof by the publisher's key does not verify";
    }
}

coded! {
    /// A bucket of recorded sessions that is not what was asked for, or not canonical.
    RestoreError {
        /// Another keyset or another number than asked for.
        WrongBucket = "restore-wrong-bucket", "the bucket is another than the one asked for";
        /// More sessions than a bucket holds.
        TooManySessions = "restore-too-many-sessions", "the bucket holds too many sessions";
        /// A session without outputs, or with more than a session may hold.
        OutputCount = "restore-output-count", "a session holds between one and 256 outputs";
        /// A session's denominations are zero or not ascending.
        InvalidDenominations = "restore-invalid-denominations", "a session's denominations are not canonical";
        /// The sessions are not in ascending order, or one stands twice.
        NotSorted = "restore-not-sorted", "the sessions are not in canonical order";
    }
}

coded! {
    /// A mistake of the calling code.
    UseError {
        /// No key to prove with.
        NoKeys = "use-no-keys", "a proof needs at least one key";
        /// More keys than one proof may cover.
        TooManyKeys = "use-too-many-keys", "too many keys for one proof";
        /// The same token twice.
        DuplicateToken = "use-duplicate-token", "a token was given twice";
        /// The amount exceeds what the tokens are worth, is zero or overflows.
        InvalidAmount = "use-invalid-amount", "the amount is not payable with these tokens";
        /// A secret key's bytes are zero or not canonical.
        InvalidKey = "use-invalid-key", "the secret key is not a canonical scalar other than zero";
        /// The key's public part is not the token's.
        KeyMismatch = "use-key-mismatch", "the key does not belong to the token";
        /// Two lists that belong together differ in length.
        CountMismatch = "use-count-mismatch", "two lists that belong together differ in length";
    }
}

coded! {
    /// Text that is no voucher code.
    VoucherError {
        /// Wrong length, prefix or characters.
        Malformed = "voucher-malformed", "this is not a voucher code";
        /// The checksum does not fit: a typing error.
        Checksum = "voucher-mistyped", "the voucher code has a typing error";
    }
}
