//! Where a payment stands, when publisher and mint do not say the same. What a publisher says costs the reader at most the price of a page
//! that never came; what the mint says counts.
//!
//! ```text
//! the publisher says         the mint says                        then
//! nothing, or no             later: nothing was deposited         the tokens are refreshed
//! "refunded"                 it was                               amount and change are taken
//! "refunded"                 it was not                           the tokens are refreshed, as after any other no
//! yes, and never deposits    too late for it: there is no change  the tokens are refreshed
//! whatever                   a token that goes is spent           the payment stands: its change is asked for once more
//! whatever                   spent, and no change                 nothing is left of it
//! ```

use farthing_protocol::proof::SpentKey;
use farthing_protocol::wire::Bytes;

use crate::error::WalletError;
use crate::issuing::{RefreshReport, add};
use crate::records::{FundingRecord, NOT_REFUNDED, PaymentRecord, PaymentState, SessionRecord, TokenState};
use crate::store::Change;
use crate::{Wallet, now};

impl Wallet {
    /// The mint has no change for a payment.
    ///
    /// ```text
    /// its publisher may still deposit it        wait
    /// the mint has said: its tokens are spent   the change was taken before, by a copy of this wallet
    /// else                                      it was never deposited and is too late for it: there is no change, but all of the tokens
    /// ```
    ///
    /// Implements R-WALLET-16.
    pub(crate) fn no_change(&self, payment: &Bytes<32>, report: &mut RefreshReport) -> Result<(), WalletError> {
        let mut payment = self.store.payment(&payment.0)?.ok_or(WalletError::Damaged)?;
        if payment.deposit_by >= now() {
            report.change_waiting = add(report.change_waiting, payment.change)?;
            return Ok(());
        }
        payment.change_taken = true;
        if payment.spent {
            report.lost = add(report.lost, payment.change)?;
            return self.store.change(|change| change.put_payment(&payment));
        }
        self.let_go(payment)
    }

    /// The mint has no refund for a payment of which its publisher has said so. A publisher refunds before it says so: it has lied, and the
    /// payment is a refused one like any other. Its tokens are not spent, or the publisher has deposited it: the next refresh finds out.
    ///
    /// Implements R-WALLET-15.
    pub(crate) fn no_refund(&self, id: &Bytes<32>) -> Result<(), WalletError> {
        let mut payment = self.store.payment(&id.0)?.ok_or(WalletError::Damaged)?;
        let takes_change = |session: &SessionRecord| matches!(&session.funding, FundingRecord::Change { payment } if payment == id);
        // Not refunded by its publisher's word: the reader has asked. While change is being taken, that will tell.
        if !payment.was_refunded() || self.store.sessions()?.iter().any(|(_, session)| takes_change(session)) {
            return Ok(());
        }
        if payment.change_taken {
            // Change came of it, so that it was deposited: the payment stands.
            payment.state = PaymentState::Delivered { settled: true };
            return self.store.change(|change| change.put_payment(&payment));
        }
        self.let_go(payment)
    }

    /// Lets the tokens of a payment that the mint does not know go to the next refresh.
    fn let_go(&self, mut payment: PaymentRecord) -> Result<(), WalletError> {
        if payment.was_refunded() {
            payment.state = PaymentState::Refused { code: NOT_REFUNDED.into() };
        }
        self.store.change(|change| Self::free_tokens(change, &payment))
    }

    /// Forgets a token that was spent before. If it had left in a payment, the publisher has deposited that, whatever it had answered, or
    /// its answer was lost: then the payment stands, with its change. `false` if no payment explains it.
    pub(crate) fn forget_spent(&self, token: &SpentKey) -> Result<bool, WalletError> {
        let holds = |payment: &PaymentRecord| payment.tokens.iter().any(|held| held.spent_key() == *token);
        let payment = self.store.payments()?.into_iter().find(holds);
        self.store.change(|change| {
            change.remove_token(token)?;
            let Some(mut payment) = payment else { return Ok(false) };
            payment.state = PaymentState::Delivered { settled: true };
            if !payment.spent {
                // While its tokens were here, no change of it was asked for. Its other tokens may be forgotten when it has been taken.
                (payment.change_taken, payment.spent) = (false, true);
            }
            change.put_payment(&payment)?;
            Ok(true)
        })
    }

    /// A payment without an answer whose deadline has passed can no longer be booked: its tokens may be refreshed.
    pub(crate) fn give_up_late_payments(&self) -> Result<(), WalletError> {
        let now = now();
        for mut payment in self.store.payments()? {
            if payment.state == PaymentState::Sent && payment.deposit_by < now {
                payment.state = PaymentState::Refused { code: "no-answer".into() };
                self.store.change(|change| Self::free_tokens(change, &payment))?;
            }
        }
        Ok(())
    }

    /// Stores a finished payment's state and lets its tokens go to the next refresh.
    ///
    /// Implements R-WALLET-06.
    pub(crate) fn free_tokens(change: &Change, payment: &PaymentRecord) -> Result<(), WalletError> {
        for token in &payment.tokens {
            change.put_token(&token.spent_key(), &token.at_rest(TokenState::RefreshOnly, payment.created))?;
        }
        change.put_payment(payment)
    }
}
