//! Tokens changed in any way and proved again, in every use a list of tokens has: what verifies is what `spec/` says verifies, and holds
//! nothing that the mint has not signed.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use farthing_fuzz::forgery::{Forgery, genuine};
use farthing_fuzz::plain;
use farthing_fuzz::world::World;
use farthing_protocol::issue::Open;
use farthing_protocol::payment::Payment;
use farthing_protocol::wire::{FundingBody, OpenRequestFrame, PaymentFrame, SpentKeyBody};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

const PUBLISHER: &str = "news.example";
const SUBJECT: [u8; 32] = [3; 32];

static WORLD: LazyLock<World> = LazyLock::new(World::default);

#[derive(Arbitrary, Debug)]
enum Use {
    Pay { amount: u8, deposit_by: u64 },
    Refresh,
    Change,
    Reclaim,
}

#[derive(Arbitrary, Debug)]
struct Input {
    forgery: Forgery,
    with: Use,
    /// Another purpose than the one it is used for.
    purpose: Option<u8>,
    /// Another recipient or mint than the one it is shown to.
    elsewhere: bool,
    /// Bytes changed after proving.
    flips: Vec<(u16, u8)>,
}

fn flip(bytes: &mut [u8], flips: &[(u16, u8)]) {
    for (place, bits) in flips.iter().take(4) {
        let place = usize::from(*place) % bytes.len();
        bytes[place] ^= bits;
    }
}

fn pay(input: &Input, amount: u64, deposit_by: u64) {
    use farthing_protocol::wire::Frame;
    let world = &*WORLD;
    let (tokens, secrets) = input.forgery.list(world);
    let recipient = if input.elsewhere { "blog.example" } else { PUBLISHER };
    let said = plain::statement(recipient.as_bytes(), amount, deposit_by, &SUBJECT);
    let proof = input.forgery.prove(input.purpose.map_or(1, u64::from), &said, &tokens, &secrets);
    let mut bytes = PaymentFrame { amount, deposit_by, tokens, proof }.to_bytes();
    flip(&mut bytes, &input.flips);
    let Ok(frame) = PaymentFrame::from_bytes(&bytes) else { return };
    let expected = plain::payment_holds(&frame, &world.public, PUBLISHER, &SUBJECT);
    let verified = Payment::from_frame(&frame).is_ok_and(|payment| {
        assert!(payment.to_frame() == frame, "what parses prints back the same");
        payment.state(PUBLISHER, SUBJECT).verify(&world.table, &mut StdRng::seed_from_u64(2)).is_ok()
    });
    assert_eq!(verified, expected, "the library and the equations agree");
    assert!(!verified || genuine(world, &frame.tokens), "nobody pays with what the mint has not signed");
}

fn open(input: &Input, kind: u64, purpose: u64) {
    let world = &*WORLD;
    let (tokens, secrets) = input.forgery.list(world);
    let root = if input.elsewhere { [7; 32] } else { world.root.public().to_bytes() };
    let mut denominations: Vec<u64> = tokens.tokens.iter().map(|token| token.denomination).collect();
    denominations.sort_unstable();
    let (keyset, recovery) = (world.public[0].0, [[9; 32], [8; 32]]);
    let said = plain::open_statement(&root, &keyset, &denominations, kind, &recovery);
    let mut proof = input.forgery.prove(input.purpose.map_or(purpose, u64::from), &said, &tokens, &secrets);
    flip(&mut proof.u.0, &input.flips);
    let Some(list) = plain::list(&tokens.keysets, &tokens.tokens) else { return };
    let keys = list.iter().map(|(keyset, denomination, key)| SpentKeyBody {
        keyset: (*keyset).into(),
        denomination: *denomination,
        key: (*key).into(),
    });
    let statement = [5; 32].into();
    let funding = match kind {
        1 => FundingBody::Refresh(tokens.clone()),
        2 => FundingBody::Change { statement, list: keys.collect() },
        _ => FundingBody::Reclaim { statement, list: keys.collect() },
    };
    let frame = OpenRequestFrame {
        keyset: keyset.into(),
        denominations: denominations.clone(),
        funding,
        recovery: recovery[0].into(),
        recovery_commitment: recovery[1].into(),
        proof,
    };
    let root = world.root.public();
    let opened = Open::from_frame(&frame).ok().and_then(|open| open.verify(root, &world.table, &mut StdRng::seed_from_u64(2)).ok());
    if let Some(open) = &opened {
        assert_eq!(open.amount().units(), denominations.iter().sum::<u64>());
        let said = plain::open_statement(root.as_bytes(), &keyset, &denominations, kind, &recovery);
        assert!(plain::proof_holds(purpose, &said, &list, &frame.proof), "only who knows the keys opens a session");
        assert!(kind != 1 || genuine(world, &tokens), "nobody refreshes what the mint has not signed");
    }
    let untouched = input.forgery.changes.is_empty() && input.purpose.is_none_or(|other| u64::from(other) == purpose);
    let honest = untouched && !input.elsewhere && input.flips.is_empty() && !list.is_empty();
    assert!(!honest || opened.is_some(), "an honest request is taken");
}

fuzz_target!(|input: Input| {
    match input.with {
        Use::Pay { amount, deposit_by } => pay(&input, u64::from(amount), deposit_by),
        Use::Refresh => open(&input, 1, 3),
        Use::Change => open(&input, 2, 4),
        Use::Reclaim => open(&input, 3, 9),
    }
});
