//! What the payment provider says: events, of which a few are about vouchers.

use farthing_protocol::amount::{Amount, Unit};
use serde::Deserialize;

/// Currencies whose smallest unit at the provider is the whole one. Of two that have no smaller coins, `isk` and `ugx`, it counts hundredths.
const WITHOUT_DECIMALS: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];

/// Currencies whose smallest unit at the provider is a thousandth.
const THREE_DECIMALS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// An event. What is not read here may be anything.
#[derive(Deserialize)]
pub(super) struct Event {
    r#type: String,
    #[serde(default)]
    livemode: bool,
    /// There if it happened on an account that is connected to the provider's own: the money is that account's.
    account: Option<serde::de::IgnoredAny>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: serde_json::Value,
}

#[derive(Deserialize)]
struct Checkout {
    id: String,
    mode: String,
    payment_status: String,
    amount_total: Option<u64>,
    currency: Option<String>,
    payment_intent: Option<String>,
}

#[derive(Deserialize)]
struct Charge {
    currency: String,
    amount_refunded: u64,
    payment_intent: Option<String>,
}

#[derive(Deserialize)]
struct Dispute {
    payment_intent: Option<String>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A checkout was paid.
    Paid {
        /// The checkout session.
        checkout: String,
        /// The payment, by which it may be reversed.
        payment: Option<String>,
        /// What was paid.
        amount: Amount,
    },
    /// So much of a payment was taken back so far.
    Reversed {
        /// The payment.
        payment: String,
        /// The sum; all of it while it is in dispute.
        total: Amount,
    },
    /// Nothing, and that is well: another kind of event, or a checkout that is not paid yet.
    Nothing,
    /// Money that cannot become a voucher here, whatever is repeated: somebody should look.
    Refused(&'static str),
}

/// Not the JSON of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoEvent;

impl Event {
    pub(super) fn parse(body: &[u8]) -> Result<Self, NoEvent> {
        serde_json::from_slice(body).map_err(|_| NoEvent)
    }

    /// What it asks of a mint of this unit.
    ///
    /// Implements R-ORDER-03.
    pub(super) fn told(self, unit: &Unit, test_events: bool) -> Result<Told, NoEvent> {
        let about_money = matches!(
            self.r#type.as_str(),
            "checkout.session.completed" | "checkout.session.async_payment_succeeded" | "charge.refunded" | "charge.dispute.created"
        );
        if !about_money {
            return Ok(Told::Nothing);
        }
        if !self.livemode && !test_events {
            return Ok(Told::Refused("test-event"));
        }
        if self.account.is_some() {
            return Ok(Told::Refused("other-account"));
        }
        match self.r#type.as_str() {
            "charge.refunded" => {
                let Charge { currency, amount_refunded, payment_intent } = read(self.data.object)?;
                let Some(payment) = payment_intent else { return Ok(Told::Nothing) };
                Ok(match amount(unit, &currency, amount_refunded) {
                    Some(total) => Told::Reversed { payment, total },
                    // Of another currency no voucher was made.
                    None => Told::Nothing,
                })
            }
            "charge.dispute.created" => {
                let Dispute { payment_intent } = read(self.data.object)?;
                Ok(payment_intent.map_or(Told::Nothing, |payment| Told::Reversed { payment, total: Amount::from_units(u64::MAX) }))
            }
            _ => {
                let Checkout { id, mode, payment_status, amount_total, currency, payment_intent } = read(self.data.object)?;
                if mode != "payment" || payment_status != "paid" {
                    return Ok(Told::Nothing);
                }
                let (Some(cents), Some(currency)) = (amount_total, currency) else { return Err(NoEvent) };
                Ok(match amount(unit, &currency, cents) {
                    Some(amount) if amount.is_zero() => Told::Refused("zero-amount"),
                    Some(amount) => Told::Paid { checkout: id, payment: payment_intent, amount },
                    None => Told::Refused("other-currency"),
                })
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(object: serde_json::Value) -> Result<T, NoEvent> {
    serde_json::from_value(object).map_err(|_| NoEvent)
}

/// An amount in the provider's smallest unit of a currency; `None` if the mint counts in another, too coarsely, or not that far.
fn amount(unit: &Unit, currency: &str, minor: u64) -> Option<Amount> {
    if unit.currency() != currency {
        return None;
    }
    let decimals = match currency {
        _ if WITHOUT_DECIMALS.contains(&currency) => 0,
        _ if THREE_DECIMALS.contains(&currency) => 3,
        _ => 2,
    };
    let factor = 10_u64.checked_pow(u32::from(unit.decimals().checked_sub(decimals)?))?;
    minor.checked_mul(factor).map(Amount::from_units)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(event: &Value, test_events: bool) -> Result<Told, NoEvent> {
        Event::parse(event.to_string().as_bytes())?.told(&Unit::default_eur(), test_events)
    }

    fn checkout(kind: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut object = json!({
            "id": "cs_live_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "amount_total": 500,
            "currency": "eur", "payment_intent": "pi_1", "customer_details": {"email": "reader@example.org"},
        });
        change(&mut object);
        json!({ "id": "evt_1", "object": "event", "type": kind, "livemode": true, "data": { "object": object } })
    }

    #[test]
    fn only_what_was_paid_in_the_mints_currency_becomes_a_voucher() {
        let paid = || Told::Paid { checkout: "cs_live_1".into(), payment: Some("pi_1".into()), amount: Amount::from_units(500_000) };
        for kind in ["checkout.session.completed", "checkout.session.async_payment_succeeded"] {
            assert_eq!(told(&checkout(kind, |_| ()), false), Ok(paid()));
            let cases: [(&str, Value, Told); 5] = [
                ("payment_status", json!("unpaid"), Told::Nothing),
                ("payment_status", json!("no_payment_required"), Told::Nothing),
                ("mode", json!("subscription"), Told::Nothing),
                ("amount_total", json!(0), Told::Refused("zero-amount")),
                ("currency", json!("usd"), Told::Refused("other-currency")),
            ];
            for (field, value, expected) in cases {
                assert_eq!(told(&checkout(kind, |object| object[field] = value.clone()), false), Ok(expected), "{field}");
            }
            for (field, value) in
                [("amount_total", json!(-5)), ("amount_total", json!(1.5)), ("amount_total", json!("500")), ("id", json!(1))]
            {
                assert_eq!(told(&checkout(kind, |object| object[field] = value.clone()), false), Err(NoEvent), "{field}");
            }
            assert_eq!(
                told(&checkout(kind, |object| object["amount_total"] = json!(u64::MAX)), false),
                Ok(Told::Refused("other-currency"))
            );
            test_events(kind);
        }
        assert_eq!(told(&checkout("checkout.session.expired", |_| ()), false), Ok(Told::Nothing));
        let mut connected = checkout("checkout.session.completed", |_| ());
        connected["account"] = json!("acct_1");
        assert_eq!(told(&connected, false), Ok(Told::Refused("other-account")), "its money is not the mint's");
        connected["type"] = json!("charge.refunded");
        assert_eq!(told(&connected, false), Ok(Told::Refused("other-account")));
        connected["account"] = json!(null);
        connected["type"] = json!("checkout.session.completed");
        assert_eq!(
            told(&connected, false),
            Ok(Told::Paid { checkout: "cs_live_1".into(), payment: Some("pi_1".into()), amount: Amount::from_units(500_000) })
        );
        assert_eq!(told(&json!({ "type": "checkout.session.completed" }), false), Err(NoEvent));
    }

    fn test_events(kind: &str) {
        let mut event = checkout(kind, |_| ());
        event["livemode"] = json!(false);
        assert_eq!(told(&event, false), Ok(Told::Refused("test-event")));
        assert!(matches!(told(&event, true), Ok(Told::Paid { .. })));
        event.as_object_mut().unwrap().remove("livemode");
        assert_eq!(told(&event, false), Ok(Told::Refused("test-event")), "what does not say that it is real is not");
    }

    #[test]
    fn refunds_and_disputes_name_the_payment() {
        let event = |kind: &str, object: Value| json!({ "type": kind, "livemode": true, "data": { "object": object } });
        let refund = json!({ "id": "ch_1", "currency": "eur", "amount": 500, "amount_refunded": 200, "payment_intent": "pi_1" });
        let expected = Told::Reversed { payment: "pi_1".into(), total: Amount::from_units(200_000) };
        assert_eq!(told(&event("charge.refunded", refund), false), Ok(expected));
        let other = json!({ "currency": "usd", "amount_refunded": 200, "payment_intent": "pi_1" });
        assert_eq!(told(&event("charge.refunded", other), false), Ok(Told::Nothing));
        let all = Told::Reversed { payment: "pi_1".into(), total: Amount::from_units(u64::MAX) };
        let dispute = json!({ "id": "dp_1", "charge": "ch_1", "payment_intent": "pi_1" });
        assert_eq!(told(&event("charge.dispute.created", dispute), false), Ok(all));
        assert_eq!(told(&event("charge.dispute.created", json!({ "payment_intent": null })), false), Ok(Told::Nothing));
    }

    #[test]
    fn the_providers_smallest_units_become_the_mints() {
        let unit = |currency, decimals| Unit::new(currency, decimals).unwrap();
        assert_eq!(amount(&unit("jpy", 3), "jpy", 500), Some(Amount::from_units(500_000)));
        for hundredths in ["ugx", "isk"] {
            assert_eq!(amount(&unit(hundredths, 3), hundredths, 500), Some(Amount::from_units(5_000)), "{hundredths} 5");
        }
        assert_eq!(amount(&unit("kwd", 5), "kwd", 500), Some(Amount::from_units(50_000)));
        assert_eq!(amount(&unit("eur", 2), "eur", 500), Some(Amount::from_units(500)));
        assert_eq!(amount(&unit("eur", 1), "eur", 500), None, "cents cannot be counted in tenths");
        assert_eq!(amount(&unit("eur", 5), "EUR", 500), None, "the provider writes lower case");
    }
}
