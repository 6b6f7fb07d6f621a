//! A payment that was tampered with anywhere is refused; an untouched one is accepted, alone and in a batch.
#![no_main]

use std::sync::LazyLock;

use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::payment::{Payment, PaymentTerms};
use farthing_protocol::proof::{LoneKey, SpendKey, SpentKey};
use farthing_protocol::snowblind::{Blinding, SigningContext, SigningKey, commit};
use farthing_protocol::spending::{KeyTable, verify_batch};
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token};
use farthing_protocol::wire::{Frame, PaymentFrame};
use farthing_protocol::group::Point;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

struct World {
    table: KeyTable,
    frame: Vec<u8>,
}

/// A payment of two tokens under a keyset of its own, made once.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut rng = StdRng::seed_from_u64(1);
    let root = LoneKey::generate(&mut rng);
    let keys: Vec<(Amount, SigningKey)> = [2, 5].map(|value| (Amount::from_units(value), SigningKey::generate(&mut rng))).into();
    let mut list = KeysetList::new(*root.public());
    let week = 7 * 86_400;
    let windows = Windows { issue_from: 0, issue_until: week, spend_until: week, refresh_until: week, deposit_until: week };
    let public = keys.iter().map(|(value, key)| (*value, *key.public())).collect();
    let receipt_key = *LoneKey::generate(&mut rng).public();
    let proposal = Proposal { published: 0, unit: Unit::default_eur(), windows, receipt_key, keys: public };
    let id = list.announce(proposal, &root, &mut rng).unwrap();
    let tokens = keys.iter().map(|(value, key)| {
        let owner = SpendKey::generate(&mut rng);
        let context = SigningContext::new(&id.0, value.units(), key.public());
        let (nonces, commitment) = commit(&Point::second_generator(), &mut rng).unwrap();
        let blinding = Blinding::generate(&mut rng);
        let (pending, challenge) = blinding.challenge(&context, key.public(), &commitment, owner.public().as_bytes()).unwrap();
        let signature = pending.unblind(&nonces.respond(key, &challenge)).unwrap();
        let spent_key = SpentKey { keyset: id, denomination: *value, key: owner.public().to_bytes() };
        OwnedToken::new(Token::new(spent_key, signature), owner).unwrap()
    });
    let tokens = OwnedTokens::new(tokens.collect()).unwrap();
    let terms = PaymentTerms { recipient: "news.example", amount: Amount::from_units(6), deposit_by: 9, subject: [3; 32] };
    let (payment, _) = tokens.pay(&terms, &mut rng).unwrap();
    World { table: list.key_table(), frame: payment.to_frame().to_bytes() }
});

fuzz_target!(|changes: &[u8]| {
    let mut bytes = WORLD.frame.clone();
    for change in changes.chunks_exact(3).take(8) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[place] ^= change[2];
    }
    let untouched = bytes == WORLD.frame;
    let Ok(frame) = PaymentFrame::from_bytes(&bytes) else { return assert!(!untouched) };
    let Ok(payment) = Payment::from_frame(&frame) else { return assert!(!untouched) };
    let mut rng = StdRng::seed_from_u64(2);
    let spending = payment.state("news.example", [3; 32]);
    let good = Payment::from_frame(&PaymentFrame::from_bytes(&WORLD.frame).unwrap()).unwrap().state("news.example", [3; 32]);
    let answers = verify_batch(vec![good, spending.clone()], &WORLD.table, &mut rng).unwrap();
    assert!(answers[0].is_ok(), "a bad payment spoils nobody else's");
    assert_eq!(answers[1].is_ok(), untouched, "only the untouched bytes pay");
    assert_eq!(spending.verify(&WORLD.table, &mut rng).is_ok(), untouched);
});
