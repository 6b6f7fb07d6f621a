//! Who takes part in which exploration, and how far it goes.

use crate::broken::Broken;
use crate::properties::{self, HONEST_SHOWS, LIAR_SHOWS, REFUND_SHOWS};
use crate::rules::{Mode, Scene};

/// An honest reader and two publishers, the second hostile.
pub const HONEST: Scene = Scene {
    mode: Mode::SettleFirst,
    honest: true,
    hostile: &[],
    publishers: 2,
    hostile_publisher: true,
    sessions: 3,
    payments: 1,
    challenges: 0,
    crashes: 1,
    refunds: false,
    shows: HONEST_SHOWS,
    broken: None,
};

/// The same with a second payment, of a token without change.
pub const LIAR: Scene = Scene { sessions: 2, payments: 2, crashes: 0, shows: LIAR_SHOWS, ..HONEST };

/// The same with payments given back.
pub const REFUNDS: Scene = Scene { sessions: 2, crashes: 0, refunds: true, shows: REFUND_SHOWS, ..HONEST };

/// A hostile reader with one token, and two honest publishers that settle first.
pub const HOSTILE: Scene = Scene {
    mode: Mode::SettleFirst,
    honest: false,
    hostile: &[2],
    publishers: 2,
    hostile_publisher: false,
    sessions: 1,
    payments: 0,
    challenges: 1,
    crashes: 1,
    refunds: false,
    shows: properties::HOSTILE_SHOWS,
    broken: None,
};

/// The same with two payments for one token at one publisher.
pub const CHALLENGES: Scene =
    Scene { hostile: &[1], publishers: 1, challenges: 2, crashes: 0, shows: properties::CONFLICT_SHOWS, ..HOSTILE };

/// A hostile reader with two tokens, and a publisher that defers.
pub const DEFERRED: Scene = Scene {
    mode: Mode::Deferred { limit: 1 },
    hostile: &[1, 1],
    publishers: 1,
    sessions: 1,
    crashes: 0,
    challenges: 2,
    shows: properties::DEFERRED_SHOWS,
    ..HOSTILE
};

/// Some seconds in a development build.
pub fn small() -> Vec<(&'static str, Scene)> {
    vec![
        ("honest reader", HONEST),
        ("a lying publisher", LIAR),
        ("refunds", REFUNDS),
        ("hostile reader", HOSTILE),
        ("two challenges", CHALLENGES),
        ("deferred", DEFERRED),
    ]
}

/// Minutes, or more than that: `spec/model.md` says which were explored wholly.
pub fn large() -> Vec<(&'static str, Scene)> {
    vec![
        ("a lying publisher", Scene { sessions: 3, ..LIAR }),
        ("two crashes", Scene { crashes: 2, ..HONEST }),
        ("four sessions, three crashes", Scene { sessions: 4, crashes: 3, ..HONEST }),
        ("refunds, a crash", Scene { crashes: 1, ..REFUNDS }),
        ("refunds, three sessions, a crash", Scene { sessions: 3, crashes: 1, ..REFUNDS }),
        ("hostile reader", Scene { sessions: 2, crashes: 2, ..HOSTILE }),
        ("both readers, one session", Scene { honest: true, hostile: &[1], payments: 1, crashes: 0, ..HOSTILE }),
        ("both readers", Scene { honest: true, hostile: &[1], sessions: 2, payments: 1, ..HOSTILE }),
        ("two challenges, two publishers", Scene { publishers: 2, ..CHALLENGES }),
        ("two challenges, two publishers, a crash", Scene { publishers: 2, crashes: 1, ..CHALLENGES }),
        ("deferred, a challenge each", Scene { publishers: 2, challenges: 1, shows: &[], ..DEFERRED }),
        ("deferred, two publishers", Scene { publishers: 2, ..DEFERRED }),
    ]
}

/// A defence left out, the property that then fails, and where.
pub fn broken() -> Vec<(Broken, &'static str, Scene)> {
    let settle_first_alone = Scene { mode: Mode::SettleFirst, ..DEFERRED };
    vec![
        (Broken::ChangeTwice, properties::CONSERVED, Scene { sessions: 3, ..HOSTILE }),
        (Broken::RefundThenCredit, properties::CONSERVED, Scene { sessions: 2, ..REFUNDS }),
        (Broken::RefreshIgnoresPayments, properties::CREDITED_ONCE, HOSTILE),
        (Broken::DepositIgnoresPayments, properties::CREDITED_ONCE, Scene { publishers: 2, ..CHALLENGES }),
        (Broken::DepositIgnoresPayments, properties::ONE_PUBLISHER, HOSTILE),
        (Broken::ClaimNotUnique, properties::CLAIMED_ONCE, CHALLENGES),
        (Broken::ResponseBeforeBooking, properties::BOOKED_FIRST, HONEST),
        (Broken::CreditBeforeBooking, properties::BOOKED_FIRST, HOSTILE),
        (Broken::GoneWithoutCancelling, properties::RECOVERS, HONEST),
        (Broken::GoneWithoutLooking, properties::SAME_ANSWER, HONEST),
        (Broken::NoncesReused, properties::ONE_ANSWER, HOSTILE),
        (Broken::WalletProvesAgain, properties::NOT_ACCUSED, HONEST),
        (Broken::WalletPaysRefusedTokens, properties::NOT_ACCUSED, Scene { payments: 2, ..HONEST }),
        (Broken::WalletSendsBeforeStoring, properties::NOT_ACCUSED, HONEST),
        (Broken::WalletBelievesRefunds, properties::RECOVERS, LIAR),
        (Broken::WalletForgetsIssue, properties::RECOVERS, HONEST),
        (Broken::ServesPending, properties::SETTLED_FIRST, settle_first_alone),
        (Broken::NoLimits, properties::BOUNDED_LOSS, DEFERRED),
        (Broken::StoreForgets, properties::BOUNDED_LOSS, DEFERRED),
    ]
}
