//! A batch accepts what single checks accept, spending by spending, and nothing else.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use farthing_fuzz::forgery::Forgery;
use farthing_fuzz::plain;
use farthing_fuzz::world::World;
use farthing_protocol::payment::Payment;
use farthing_protocol::spending::{Spending, verify_batch};
use farthing_protocol::wire::PaymentFrame;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

const PUBLISHER: &str = "news.example";
const SUBJECT: [u8; 32] = [3; 32];

static WORLD: LazyLock<World> = LazyLock::new(World::default);

#[derive(Arbitrary, Debug)]
struct Part {
    forgery: Forgery,
    /// Moves u by this many, and that of the spending before it the other way: errors that cancel in a careless sum.
    shift: Option<u64>,
    /// Chooses T so that what is wrong with the first signature cancels in the sum of a payment's equations.
    absorb: bool,
    /// So many of it, one after the other.
    times: u8,
}

#[derive(Arbitrary, Debug)]
struct Input {
    parts: Vec<Part>,
    weights: u64,
}

fn frame(part: &Part) -> PaymentFrame {
    let (tokens, secrets) = part.forgery.list(&WORLD);
    let said = plain::statement(PUBLISHER.as_bytes(), 1, 9, &SUBJECT);
    let proof = part.forgery.prove(1, &said, &tokens, &secrets);
    let mut frame = PaymentFrame { amount: 1, deposit_by: 9, tokens, proof };
    if part.absorb {
        absorb(&mut frame, &secrets);
    }
    frame
}

/// T = tau G - (R + (c' + t^5) X - s G - t H) and u = tau + sum e k: signature and proof are wrong, their sum is right.
fn absorb(frame: &mut PaymentFrame, secrets: &[curve25519_dalek::Scalar]) {
    let Some(list) = plain::list(&frame.tokens.keysets, &frame.tokens.tokens) else { return };
    let (Some(token), Some((keyset, denomination, p))) = (frame.tokens.tokens.first(), list.first()) else { return };
    let Some(key) = WORLD.public.iter().find(|(id, value, _)| id == keyset && value == denomination) else { return };
    let Some(remainder) = plain::remainder(key, p, &token.signature) else { return };
    let tau = plain::scalar_of(1);
    let t = plain::encode(plain::times_g(tau) - remainder);
    let said = plain::statement(PUBLISHER.as_bytes(), frame.amount, frame.deposit_by, &SUBJECT);
    let es = plain::coefficients(1, &said, &list, &t);
    let u = tau + es.iter().zip(secrets).map(|(e, k)| e * k).sum::<curve25519_dalek::Scalar>();
    frame.proof = farthing_protocol::wire::ProofBody { t: t.into(), u: u.to_bytes().into() };
}

fuzz_target!(|input: Input| {
    let mut frames: Vec<PaymentFrame> = Vec::new();
    for part in input.parts.iter().take(12) {
        let made = frame(part);
        if let (Some(shift), Some(before)) = (part.shift, frames.last_mut()) {
            let mut after = made;
            let moved = |u: &[u8; 32], by: curve25519_dalek::Scalar| (plain::scalar(u).unwrap_or_default() + by).to_bytes().into();
            before.proof.u = moved(&before.proof.u.0, -plain::scalar_of(shift));
            after.proof.u = moved(&after.proof.u.0, plain::scalar_of(shift));
            frames.push(after);
        } else {
            frames.extend(std::iter::repeat_n(made, 1 + usize::from(part.times % 20)));
        }
    }
    let spendings: Vec<(Spending, &PaymentFrame)> =
        frames.iter().filter_map(|frame| Some((Payment::from_frame(frame).ok()?.state(PUBLISHER, SUBJECT), frame))).collect();
    let mut rng = StdRng::seed_from_u64(input.weights);
    let batch = spendings.iter().map(|(spending, _)| spending.clone()).collect();
    let Ok(answers) = verify_batch(batch, &WORLD.table, &mut rng) else { return assert!(spendings.is_empty()) };
    assert_eq!(answers.len(), spendings.len());
    // Spendings stand there many times; each kind is looked at alone once.
    let mut alone: Option<(&PaymentFrame, _)> = None;
    for (answer, (spending, frame)) in answers.into_iter().zip(&spendings) {
        if alone.as_ref().is_none_or(|(known, _)| known != frame) {
            let error = spending.clone().verify(&WORLD.table, &mut rng).err();
            assert_eq!(error.is_none(), plain::payment_holds(frame, &WORLD.public, PUBLISHER, &SUBJECT));
            alone = Some((*frame, error));
        }
        assert_eq!(Some(answer.err()), alone.as_ref().map(|(_, error)| *error), "in a batch as alone");
    }
});
