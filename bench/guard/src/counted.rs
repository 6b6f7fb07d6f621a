//! The operations whose instructions are counted: each sets up its inputs from a fixed seed, then runs once inside [`count_this`].

#[path = "../../../protocol/tests/common/mod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod common;

use std::hint::black_box;

use common::World;
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::payment::{Payment, PaymentTerms};
use farthing_protocol::snowblind::{Blinding, Committer, Nonces, PendingBlinding, Response, SigningContext, SigningKey, commit};
use farthing_protocol::spending::{Spending, verify_batch};
use farthing_protocol::token::OwnedTokens;
use farthing_protocol::wire::{Frame, PaymentFrame};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::baseline::{ALLOCATING_TOLERANCE_PERCENT, TOLERANCE_PERCENT};

/// A name, what it runs, and how far its count may be from the accepted one, in percent.
pub type Operation = (&'static str, fn(), f64);

/// All operations, by the names under which `instructions.json` has them.
pub const OPERATIONS: [Operation; 9] = [
    ("commit", commit_one, TOLERANCE_PERCENT),
    ("commit 16 together", commit_sixteen, TOLERANCE_PERCENT),
    ("respond", respond, TOLERANCE_PERCENT),
    ("blind", blind, TOLERANCE_PERCENT),
    ("unblind", unblind, TOLERANCE_PERCENT),
    ("prove (pay with 3 tokens)", prove, TOLERANCE_PERCENT),
    ("verify 1 token", verify_one, TOLERANCE_PERCENT),
    ("verify a batch of 64", verify_many, TOLERANCE_PERCENT),
    ("decode and validate a payment of 3", decode, ALLOCATING_TOLERANCE_PERCENT),
];

/// How far the count of an operation may be from the accepted one, in percent.
pub fn tolerance(name: &str) -> f64 {
    OPERATIONS.iter().find(|operation| operation.0 == name).map_or(TOLERANCE_PERCENT, |operation| operation.2)
}

/// Only what happens in here is counted. Valgrind finds it by its name.
#[inline(never)]
pub fn count_this<O>(run: impl FnOnce() -> O) -> O {
    black_box(run())
}

fn commit_one() {
    let (h, mut rng) = (Point::second_generator(), StdRng::seed_from_u64(1));
    count_this(|| commit(&h, &mut rng).expect("no identity"));
}

fn commit_sixteen() {
    let (committer, mut rng) = (Committer::new(), StdRng::seed_from_u64(2));
    count_this(|| committer.commit(16, &mut rng).expect("no identity"));
}

struct Session {
    key: SigningKey,
    context: SigningContext,
    nonces: Nonces,
    rng: StdRng,
}

impl Session {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(3);
        let key = SigningKey::generate(&mut rng);
        let context = SigningContext::new(&[7; 32], 500, key.public());
        let (nonces, _) = commit(&Point::second_generator(), &mut rng).expect("no identity");
        Self { key, context, nonces, rng }
    }

    fn answered(mut self) -> (PendingBlinding, Response) {
        let asked = Blinding::generate(&mut self.rng).challenge(&self.context, self.key.public(), self.nonces.commitment(), &[1; 32]);
        let (pending, challenge) = asked.expect("alpha is not zero");
        (pending, self.nonces.respond(&self.key, &challenge))
    }
}

fn respond() {
    let mut session = Session::new();
    let blinding = Blinding::generate(&mut session.rng);
    let asked = blinding.challenge(&session.context, session.key.public(), session.nonces.commitment(), &[1; 32]);
    let (_, challenge) = asked.expect("alpha is not zero");
    count_this(|| session.nonces.respond(&session.key, &challenge));
}

fn blind() {
    let mut session = Session::new();
    let blinding = Blinding::generate(&mut session.rng);
    count_this(|| blinding.challenge(&session.context, session.key.public(), session.nonces.commitment(), &[1; 32]).is_ok());
}

fn unblind() {
    let (pending, response) = Session::new().answered();
    count_this(|| pending.unblind(&response).is_ok());
}

fn terms() -> PaymentTerms<'static> {
    PaymentTerms { recipient: "news.example", amount: Amount::from_units(1), deposit_by: 3_600, subject: [5; 32] }
}

fn pay(world: &mut World, denominations: &[u64]) -> Payment {
    let tokens = OwnedTokens::new(world.tokens(denominations)).expect("tokens");
    tokens.pay(&terms(), &mut world.rng).expect("enough").0
}

fn prove() {
    let mut world = World::new(4);
    let tokens = OwnedTokens::new(world.tokens(&[100, 200, 500])).expect("tokens");
    let rng = &mut world.rng;
    count_this(|| tokens.pay(&terms(), rng).is_ok());
}

fn verify(count: usize) {
    let mut world = World::new(5);
    let one = |world: &mut World| pay(world, &[500]).state(terms().recipient, terms().subject);
    let batch: Vec<Spending> = (0..count).map(|_| one(&mut world)).collect();
    let answers = count_this(|| verify_batch(batch, &world.table, &mut world.rng).expect("not empty"));
    assert!(answers.iter().all(Result::is_ok), "an honest payment is refused");
}

fn verify_one() {
    verify(1);
}

fn verify_many() {
    verify(64);
}

fn decode() {
    let bytes = pay(&mut World::new(6), &[100, 200, 500]).to_frame().to_bytes();
    let payment = count_this(|| Payment::from_frame(&PaymentFrame::from_bytes(&bytes).expect("a frame")).ok());
    assert!(payment.is_some(), "an honest payment is refused");
}
