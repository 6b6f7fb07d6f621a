//! Counters: how often, never what or whose.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{PaymentState, RefusedBecause};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// How often something happened since the verifier started. Holds nothing about anybody.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Statistics {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Statistics {
            /// Every counter with its name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        #[derive(Default)]
        pub(crate) struct Counters {
            $($name: AtomicU64,)*
        }

        impl Counters {
            $(pub(crate) fn $name(&self) {
                self.$name.fetch_add(1, Ordering::Relaxed);
            })*

            pub(crate) fn read(&self) -> Statistics {
                Statistics { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Challenges handed out.
    challenge;
    /// Payments claimed for the first time.
    claim;
    /// Payments that came again and were answered from memory.
    replay;
    /// Articles read again.
    reread;
    /// Payments refused because another payment holds one of their tokens.
    conflict;
    /// Payments the mint booked.
    settled;
    /// Payments the mint refused.
    refused;
    /// Payments the mint refused with a double-spend proof that holds.
    double_spent;
    /// Payments given back.
    refunded;
    /// Payments settled first, or refused if so configured, because the limits of the deferred mode were reached or the mint was overdue.
    limit_reached;
    /// Requests to the mint for a decision that it did not answer.
    mint_error;
    /// Payments settled first because a token was probably spent elsewhere.
    filter_hit;
    /// Of those for which there was no room, the ones met while the mint's answer was overdue.
    mint_overdue;
    /// Answers of the mint that must not be believed. Anything but 0 wants a person's attention.
    mint_alarm;
    /// Failures of the store.
    store_failure;
}

impl Counters {
    pub(crate) fn decided(&self, state: &PaymentState) {
        match state {
            PaymentState::Settled => self.settled(),
            PaymentState::Refunded => self.refunded(),
            PaymentState::Refused(because) => {
                self.refused();
                if matches!(because, RefusedBecause::DoubleSpent(_)) {
                    self.double_spent();
                }
            }
            PaymentState::Pending | PaymentState::Accepted => {}
        }
    }
}
