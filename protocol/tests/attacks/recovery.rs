//! A leaked denomination key: what its thief could claim if blindings were not committed to.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use farthing_protocol::amount::Amount;
use farthing_protocol::error::IssueError;
use farthing_protocol::group::Point;
use farthing_protocol::issue::{FundingKeys, SessionPlan, opened_frame};
use farthing_protocol::proof::{SpendKey, SpentKey};
use farthing_protocol::recovery::{Recovery, SessionOrigin};
use farthing_protocol::restore::RecordedSession;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::snowblind::{Challenge, commit};
use farthing_protocol::token::OwnedToken;
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{Bytes, IssueResponseFrame, RecordedOutputBody};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::common::World;
use super::{c_prime, encode, fifth, point, scalar};

/// A booked session of one output: as the mint recorded it, and the challenge it answered.
struct Booked {
    recorded: RecordedSession,
    c: Scalar,
    a: RistrettoPoint,
    b: RistrettoPoint,
    z: Scalar,
    y: Scalar,
}

/// Somebody buys a token with index 0 of its seed.
fn buy(world: &mut World, denomination: Amount) -> (Booked, OwnedToken) {
    let (root, keyset) = (world.root(), world.keyset().clone());
    let plan = SessionPlan::new(&world.seed, &root, keyset.id(), vec![denomination], 0).unwrap();
    let (nonces, commitment) = commit(&Point::second_generator(), &mut world.rng).unwrap();
    let opened = opened_frame([9; 16], 120, &[commitment]);
    let pending = plan.blind(&world.seed, &root, &keyset, 0, &opened).unwrap();
    let voucher = VoucherCode::generate(&mut world.rng).key().unwrap();
    let request = plan.request(&root, &pending, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let key = &world.keys.iter().find(|(known, _)| *known == denomination).unwrap().1;
    let response = nonces.respond(key, &Challenge::from_bytes(request.challenges[0].0).unwrap()).to_body();
    let output = RecordedOutputBody { denomination: denomination.units(), commitment: commitment.to_body(), response: response.clone() };
    let canonical = |bytes: Bytes<32>| Scalar::from_canonical_bytes(bytes.0).unwrap();
    let (a, b) = (point(commitment.to_body().a.0), point(commitment.to_body().b.0));
    let recorded = RecordedSession::new(plan.recovery, vec![output]).unwrap();
    let token = pending.unblind(&IssueResponseFrame { responses: vec![response.clone()] }).unwrap().pop().unwrap();
    (Booked { recorded, c: canonical(request.challenges[0]), a, b, z: canonical(response.z), y: canonical(response.y) }, token)
}

/// BROKEN: pays a token back to whoever shows some (r, alpha, beta) that joins it with an answered session.
fn uncommitted_recovery(world: &World, booked: &Booked, denomination: Amount, p: &[u8; 32], [r, alpha, beta]: [Scalar; 3]) -> bool {
    let key = world.keyset().key(denomination).unwrap();
    let x = point(key.to_bytes());
    let blinded = RistrettoPoint::mul_base(&r) + fifth(alpha) * booked.a + alpha * booked.b + fifth(alpha) * beta * x;
    let c = c_prime(&world.keyset().id().0, denomination.units(), key, p, &encode(blinded)) * fifth(alpha).invert() + beta;
    RistrettoPoint::mul_base(&booked.z) == booked.a + (c + fifth(booked.y)) * x
}

#[test]
fn whoever_has_the_key_opens_its_session_to_any_token_unless_the_blinding_was_committed_to() {
    let mut world = World::new(8);
    let denomination = world.keys[9].0;
    let (booked, token) = buy(&mut world, denomination);
    let stolen = Scalar::from_canonical_bytes(*world.keys[9].1.expose_secret()).unwrap();
    let rng = &mut StdRng::seed_from_u64(8);
    let (keyset, key) = (world.keyset().clone(), *world.keyset().key(denomination).unwrap());
    // One session was paid for; the thief makes an opening of it to as many keys as it likes.
    let others: Vec<SpendKey> = (0..3).map(|_| SpendKey::generate(rng)).collect();
    for other in &others {
        let p = other.public().to_bytes();
        let (rho, alpha) = (scalar(rng), scalar(rng));
        let r_point = RistrettoPoint::mul_base(&rho) + fifth(alpha) * booked.a + alpha * booked.b;
        let c_prime = c_prime(&keyset.id().0, denomination.units(), &key, &p, &encode(r_point));
        let beta = booked.c - c_prime * fifth(alpha).invert();
        let r = rho - fifth(alpha) * beta * stolen;
        assert!(uncommitted_recovery(&world, &booked, denomination, &p, [r, alpha, beta]));
    }

    // With the blinding committed to, the session pays for the one token that came of it, and no other.
    let (root, denominations) = (world.root(), [denomination]);
    let origin = SessionOrigin { root: &root, keyset: keyset.id(), denominations: &denominations, first_index: 0 };
    let claim = |key: [u8; 32]| {
        let spent_key = SpentKey { keyset: keyset.id(), denomination, key };
        Recovery::new(&world.seed, &origin, &[(0, spent_key)]).unwrap()
    };
    assert_eq!(claim(token.token().spent_key().key).verify(&keyset, &booked.recorded), Ok(()));
    assert!(claim([1; 32]).commitment() == origin.recovery_commitment(&world.seed).unwrap());
    for other in &others {
        assert_eq!(claim(other.public().to_bytes()).verify(&keyset, &booked.recorded), Err(IssueError::InvalidRecovery));
    }
    // Another seed gives other secrets: what was committed to is another hash, under which nothing was booked.
    let stranger = WalletSeed::generate(rng);
    assert_ne!(origin.recovery_commitment(&stranger).unwrap(), origin.recovery_commitment(&world.seed).unwrap());
}
