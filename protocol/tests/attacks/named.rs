//! More attacks by name: on evidence, on another mint's keysets, on a decoder's memory.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use farthing_protocol::error::{EvidenceError, FrameError, ProofError};
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::keyset::{KeysetList, Proposal};
use farthing_protocol::payment::Payment;
use farthing_protocol::proof::LoneKey;
use farthing_protocol::wire::{DepositBody, DepositRequestFrame, Frame, PaymentFrame, ProofBody, SpendingSideBody, SpentKeyBody};
use merlin::Transcript;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::common::World;
use super::{PUBLISHER, SUBJECT, encode, honest_payment, point, scalar};

/// Named attack: gigabyte length prefix.
#[test]
fn a_length_that_lies_is_refused_before_anything_is_read() {
    let mut world = World::new(11);
    let bytes = honest_payment(&mut world, &[500]).to_bytes();
    assert!(PaymentFrame::from_bytes(&bytes).is_ok());
    // Wherever a length may stand: a decoder that reserved what it says would reserve a gigabyte, or 2^63 bytes, hundreds of times.
    let mut refused = 0;
    for at in 0..bytes.len() - 8 {
        for length in [1_u64 << 30, 1 << 40, 1 << 63, u64::MAX] {
            let mut lying = bytes.clone();
            lying[at..at + 8].copy_from_slice(&length.to_le_bytes());
            refused += usize::from(PaymentFrame::from_bytes(&lying).is_err());
        }
    }
    // The two lists' lengths, in every place that overlaps them.
    assert!(refused >= 2 * 4, "{refused}");
    // A frame that is as long as it says is too long for its kind.
    let mut endless = bytes;
    endless.resize(1 << 20, 0);
    assert!(PaymentFrame::from_bytes(&endless).is_err());

    // A name's length alone says how much memory its decoder takes before it reads: 2^63 bytes would be a panic, a gigabyte not even that.
    let payment = honest_payment(&mut world, &[500]);
    let deposit =
        DepositRequestFrame { seen: None, payments: vec![DepositBody { recipient: PUBLISHER.into(), subject: [5; 32].into(), payment }] };
    let bytes = deposit.to_bytes();
    let name = bytes.windows(PUBLISHER.len()).position(|window| window == PUBLISHER.as_bytes()).unwrap();
    for length in [u64::MAX, 1 << 63, 1 << 40, 1 << 30] {
        let mut lying = bytes.clone();
        lying[name - 8..name].copy_from_slice(&length.to_le_bytes());
        assert_eq!(DepositRequestFrame::from_bytes(&lying).err(), Some(FrameError::TooLong));
    }
}

/// BROKEN: the evidence's proof hashes a digest of the list that the accuser supplies, and not the list it shows.
fn opaque_evidence_verifier(side: &SpendingSideBody, digest: &[u8; 32]) -> bool {
    let left: RistrettoPoint = side.list.iter().zip(opaque(side, digest)).map(|(key, e)| e * point(key.key.0)).sum();
    let u = Scalar::from_canonical_bytes(side.proof.u.0).unwrap();
    point(side.proof.t.0) + left == RistrettoPoint::mul_base(&u)
}

fn opaque(side: &SpendingSideBody, digest: &[u8; 32]) -> [Scalar; 2] {
    let mut transcript = Transcript::new(b"broken evidence");
    for part in [&side.statement.0, digest, &side.proof.t.0] {
        transcript.append_message(b"part", part);
    }
    [(); 2].map(|()| {
        let mut bytes = [0; 16];
        transcript.challenge_bytes(b"challenge", &mut bytes);
        Scalar::from(u128::from_le_bytes(bytes))
    })
}

/// Named attack: opaque evidence.
#[test]
fn a_digest_in_place_of_the_list_would_frame_anybody() {
    // The accuser knows e_1 and e_2 before he must show the list, and makes up Q so that the equation holds with an innocent P:
    //   Q = (uG - T - e_1 P) / e_2
    let mut world = World::new(12);
    let rng = &mut StdRng::seed_from_u64(12);
    let paid = honest_payment(&mut world, &[500]);
    let innocent = paid.tokens.tokens[0].clone();
    let (t, u, digest) = (scalar(rng), scalar(rng), [7; 32]);
    let key = |p: [u8; 32]| SpentKeyBody { keyset: paid.tokens.keysets[0], denomination: 500, key: p.into() };
    let proof = ProofBody { t: encode(RistrettoPoint::mul_base(&t)).into(), u: u.to_bytes().into() };
    let mut side = SpendingSideBody { statement: [9; 32].into(), list: vec![], proof };
    let [e_1, e_2] = opaque(&side, &digest);
    let q = e_2.invert() * (RistrettoPoint::mul_base(&(u - t)) - e_1 * point(innocent.key.0));
    side.list = vec![key(innocent.key.0), key(encode(q))];
    assert!(opaque_evidence_verifier(&side, &digest), "a proof by nobody, about the innocent reader's token");

    side.list.sort_by_key(|key| key.key.0);
    let honest = Payment::from_frame(&paid).unwrap().state(PUBLISHER, SUBJECT);
    assert!(honest.clone().verify(&world.table, rng).is_ok());
    let accusation = DoubleSpend::new(SpendingSide::from_body(&side).unwrap(), &honest).unwrap();
    assert_eq!(accusation.verify(&world.table).err(), Some(EvidenceError::InvalidProof));
}

/// Named attack: copied keyset of another mint.
#[test]
fn a_mint_that_copies_anothers_keyset_takes_no_token_of_it() {
    let mut world = World::new(13);
    let stranger = LoneKey::generate(&mut world.rng);
    let mut copied = KeysetList::new(*stranger.public());
    let keys = world.keyset().keys().to_vec();
    let windows = *world.keyset().windows();
    let (published, receipt_key) = (world.keyset().published(), *world.keyset().receipt_key());
    let unit = world.keyset().unit().clone();
    // All of it, to the receipt key: only who signs it differs.
    copied.announce(Proposal { published, unit, windows, receipt_key, keys }, &stranger, &mut world.rng).unwrap();
    let copy = &copied.keysets()[0];
    assert_eq!(copy.keys(), world.keyset().keys());
    assert_ne!(copy.id(), world.keyset().id(), "the id binds the root key");
    let paid = honest_payment(&mut world, &[500]);
    let there = |frame: &PaymentFrame, world: &mut World| {
        let spending = Payment::from_frame(frame).unwrap().state(PUBLISHER, SUBJECT);
        spending.verify(&copied.key_table(), &mut world.rng).map(drop).err()
    };
    assert_eq!(there(&paid, &mut world), Some(ProofError::UnknownKeyset));
    // Nor when it is passed off as one of the copy's: the signature is about the first mint's id.
    let mut relabelled = paid;
    relabelled.tokens.keysets[0] = copy.id().0.into();
    assert_eq!(there(&relabelled, &mut world), Some(ProofError::InvalidSignature));
}
