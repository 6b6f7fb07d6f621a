//! One defence left out at a time. Each must be found: a property that no change of the code can break says nothing.

/// What the broken variant does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// The mint sends responses before they are booked.
    ResponseBeforeBooking,
    /// The mint says that a deposit is credited and books it later.
    CreditBeforeBooking,
    /// The mint says "session gone" without having cancelled it durably.
    GoneWithoutCancelling,
    /// The mint does not look for a row before it calls a session gone.
    GoneWithoutLooking,
    /// A session's nonces answer as often as they are asked, and no row stops it.
    NoncesReused,
    /// A refresh does not look whether the token was paid.
    RefreshIgnoresPayments,
    /// A deposit does not look whether the token was paid elsewhere.
    DepositIgnoresPayments,
    /// A refunded payment that is deposited again is credited again.
    RefundThenCredit,
    /// Change is paid out as often as it is asked for.
    ChangeTwice,
    /// The publisher claims without looking for its tokens in other payments.
    ClaimNotUnique,
    /// A settle-first publisher serves what the mint has not decided.
    ServesPending,
    /// A deferred publisher accepts without limits.
    NoLimits,
    /// A deferred publisher's store forgets at a crash.
    StoreForgets,
    /// The wallet makes the payment anew instead of sending the stored bytes again.
    WalletProvesAgain,
    /// The wallet pays with tokens that have left in a refused payment.
    WalletPaysRefusedTokens,
    /// The wallet sends a payment before it is stored.
    WalletSendsBeforeStoring,
    /// The wallet believes a publisher that says "refunded", whatever the mint says.
    WalletBelievesRefunds,
    /// The wallet forgets an issue that was not answered.
    WalletForgetsIssue,
}
