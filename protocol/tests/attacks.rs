//! The attacks that the odd-looking rules prevent, carried out: each succeeds against a deliberately broken copy written here, and fails
//! against the crate.
//!
//! The copies are written from the specification, straight on the curve and on Merlin, and share no code with the crate.

#[allow(dead_code, reason = "other tests use more of it")]
mod common;
#[path = "attacks/named.rs"]
mod named;
#[path = "attacks/recovery.rs"]
mod recovery;

use common::World;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use farthing_protocol::amount::Amount;
use farthing_protocol::error::{PaymentError, ProofError};
use farthing_protocol::group::Point;
use farthing_protocol::payment::Payment;
use farthing_protocol::proof::{SpendKey, SpentKey};
use farthing_protocol::seed::{TokenPlace, WalletSeed};
use farthing_protocol::snowblind::{Blinding, Commitment, Response, SigningContext, SigningKey, commit};
use farthing_protocol::spending::verify_batch;
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token};
use farthing_protocol::wire::{Bytes, CommitmentBody, PaymentFrame, ProofBody, ResponseBody, SignatureBody, TokenBody, TokensBody};
use merlin::Transcript;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use zeroize::Zeroizing;

const PUBLISHER: &str = "news.example";
const SUBJECT: [u8; 32] = [5; 32];

fn scalar(rng: &mut StdRng) -> Scalar {
    let mut wide = [0; 64];
    rng.fill_bytes(&mut wide);
    Scalar::from_bytes_mod_order_wide(&wide)
}

fn point(bytes: [u8; 32]) -> RistrettoPoint {
    CompressedRistretto(bytes).decompress().unwrap()
}

fn encode(point: RistrettoPoint) -> [u8; 32] {
    point.compress().0
}

fn fifth(y: Scalar) -> Scalar {
    y * y * y * y * y
}

fn h() -> RistrettoPoint {
    let mut uniform = [0; 64];
    Transcript::new(b"farthing/1 generator H").challenge_bytes(b"output", &mut uniform);
    RistrettoPoint::from_uniform_bytes(&uniform)
}

/// c' of a signature.
fn c_prime(keyset: &[u8; 32], denomination: u64, key: &Point, message: &[u8; 32], r: &[u8; 32]) -> Scalar {
    let mut transcript = Transcript::new(b"farthing/1 blind signature");
    transcript.append_message(b"keyset", keyset);
    transcript.append_u64(b"denomination", denomination);
    transcript.append_message(b"key", key.as_bytes());
    transcript.append_message(b"message", message);
    transcript.append_message(b"R", r);
    let mut wide = [0; 64];
    transcript.challenge_bytes(b"challenge", &mut wide);
    Scalar::from_bytes_mod_order_wide(&wide)
}

/// S of a payment to [`PUBLISHER`].
fn statement(frame: &PaymentFrame) -> [u8; 32] {
    let mut transcript = Transcript::new(b"farthing/1 statement");
    transcript.append_message(b"recipient", PUBLISHER.as_bytes());
    transcript.append_u64(b"amount", frame.amount);
    transcript.append_u64(b"deposit by", frame.deposit_by);
    transcript.append_message(b"digest", &SUBJECT);
    let mut out = [0; 32];
    transcript.challenge_bytes(b"output", &mut out);
    out
}

/// `e_1` .. `e_n` of a payment, all from one transcript.
fn coefficients(frame: &PaymentFrame) -> Vec<Scalar> {
    let mut transcript = Transcript::new(b"farthing/1 proof of spending");
    transcript.append_u64(b"purpose", 1);
    transcript.append_message(b"statement", &statement(frame));
    transcript.append_u64(b"list kind", 0);
    transcript.append_u64(b"count", frame.tokens.tokens.len() as u64);
    for token in &frame.tokens.tokens {
        let keyset = frame.tokens.keysets[usize::from(token.keyset)];
        transcript.append_message(b"key", &[&keyset.0[..], &token.denomination.to_be_bytes(), &token.key.0].concat());
    }
    transcript.append_message(b"T", &frame.proof.t.0);
    let mut bytes = vec![[0; 16]; frame.tokens.tokens.len()];
    transcript.challenge_bytes(b"challenge", bytes.as_flattened_mut());
    bytes.into_iter().map(|e| Scalar::from(u128::from_le_bytes(e))).collect()
}

/// What is left of each signature equation and of the proof's equation: all zero for a valid payment.
fn remainders(world: &World, frame: &PaymentFrame, coefficients: &[Scalar]) -> (Vec<RistrettoPoint>, RistrettoPoint) {
    let canonical = |bytes: Bytes<32>| Scalar::from_canonical_bytes(bytes.0).unwrap();
    let signatures = frame.tokens.tokens.iter().map(|token| {
        let key = world.keyset().key(Amount::from_units(token.denomination)).unwrap();
        let (s, t) = (canonical(token.signature.s), canonical(token.signature.t));
        let keyset = frame.tokens.keysets[usize::from(token.keyset)].0;
        let factor = c_prime(&keyset, token.denomination, key, &token.key.0, &token.signature.r.0) + fifth(t);
        point(token.signature.r.0) + factor * point(key.to_bytes()) - RistrettoPoint::mul_base(&s) - t * h()
    });
    let keys: RistrettoPoint = frame.tokens.tokens.iter().zip(coefficients).map(|(token, e)| e * point(token.key.0)).sum();
    (signatures.collect(), point(frame.proof.t.0) + keys - RistrettoPoint::mul_base(&canonical(frame.proof.u)))
}

/// The verifier as it should be: every equation by itself.
fn correct_verifier(world: &World, frame: &PaymentFrame) -> bool {
    let (signatures, proof) = remainders(world, frame, &coefficients(frame));
    signatures.into_iter().chain([proof]).all(|left| left == RistrettoPoint::default())
}

/// BROKEN: one weight a payment, for all of its equations.
fn shared_weight_verifier(world: &World, frames: &[PaymentFrame], rng: &mut StdRng) -> bool {
    let weighted = frames.iter().map(|frame| {
        let (signatures, proof) = remainders(world, frame, &coefficients(frame));
        scalar(rng) * (signatures.into_iter().sum::<RistrettoPoint>() + proof)
    });
    weighted.sum::<RistrettoPoint>() == RistrettoPoint::default()
}

/// BROKEN: one e for all keys of a proof.
fn shared_e_verifier(world: &World, frame: &PaymentFrame) -> bool {
    let e = coefficients(frame)[0];
    let (signatures, proof) = remainders(world, frame, &vec![e; frame.tokens.tokens.len()]);
    signatures.into_iter().chain([proof]).all(|left| left == RistrettoPoint::default())
}

/// BROKEN: no look for the identity, for tokens that stand twice, or for scalars beyond l.
fn permissive_verifier(world: &World, frame: &PaymentFrame) -> bool {
    let reduce = |bytes: &mut Bytes<32>| bytes.0 = Scalar::from_bytes_mod_order(bytes.0).to_bytes();
    let mut read = frame.clone();
    reduce(&mut read.proof.u);
    for token in &mut read.tokens.tokens {
        reduce(&mut token.signature.s);
        reduce(&mut token.signature.t);
    }
    correct_verifier(world, &read)
}

/// What the crate says: to the payment alone, and to it among honest ones.
fn ours(world: &mut World, frame: &PaymentFrame) -> Result<(), ProofError> {
    let spending = Payment::from_frame(frame).unwrap().state(PUBLISHER, SUBJECT);
    let alone = spending.clone().verify(&world.table, &mut world.rng).map(drop);
    let mut batch: Vec<_> = (0..3).map(|_| Payment::from_frame(&honest_payment(world, &[5])).unwrap().state(PUBLISHER, SUBJECT)).collect();
    batch.insert(1, spending);
    let answers = verify_batch(batch, &world.table, &mut world.rng).unwrap();
    let errors: Vec<_> = answers.into_iter().map(Result::err).collect();
    assert_eq!(errors, [None, alone.err(), None, None]);
    alone
}

fn honest_payment(world: &mut World, denominations: &[u64]) -> PaymentFrame {
    let tokens = OwnedTokens::new(world.tokens(denominations)).unwrap();
    pay(world, tokens)
}

fn pay(world: &mut World, tokens: OwnedTokens) -> PaymentFrame {
    let amount = tokens.value().unwrap();
    let terms = farthing_protocol::payment::PaymentTerms { recipient: PUBLISHER, amount, deposit_by: 3_600, subject: SUBJECT };
    tokens.pay(&terms, &mut world.rng).unwrap().0.to_frame()
}

/// A payment of unfinished tokens: the attacker fills in the proof.
fn draft(world: &World, mut tokens: Vec<TokenBody>) -> PaymentFrame {
    tokens.sort_by_key(|token| (token.denomination, token.key.0));
    PaymentFrame {
        amount: tokens.iter().map(|token| token.denomination).sum(),
        deposit_by: 3_600,
        tokens: TokensBody { keysets: vec![world.keyset().id().0.into()], tokens },
        proof: ProofBody { t: [0; 32].into(), u: [0; 32].into() },
    }
}

#[test]
fn the_copies_are_faithful() {
    let mut world = World::new(1);
    for denominations in [&[500][..], &[1, 1, 20, 500]] {
        let mut frame = honest_payment(&mut world, denominations);
        assert!(correct_verifier(&world, &frame));
        assert!(shared_weight_verifier(&world, &[frame.clone()], &mut StdRng::seed_from_u64(1)));
        assert_eq!(ours(&mut world, &frame), Ok(()));
        frame.amount -= 1;
        assert!(frame.amount == 0 || !correct_verifier(&world, &frame));
    }
}

/// Named attack: shared batch weight.
#[test]
fn one_weight_for_a_payment_would_be_a_counterfeit() {
    // No mint is asked. c' does not depend on T, so T can be chosen to cancel what is wrong with the signature:
    //   T = tau G - (R + (c' + t^5) X - t H),  u = tau - s + e k
    // Then signature equation + proof equation = 0, though neither is.
    let mut world = World::new(2);
    let rng = &mut StdRng::seed_from_u64(2);
    let (denomination, key) = world.keyset().keys()[15];
    let (k, s, t, tau) = (scalar(rng), scalar(rng), scalar(rng), scalar(rng));
    let (p, r) = (encode(RistrettoPoint::mul_base(&k)), RistrettoPoint::mul_base(&scalar(rng)));
    let signature = SignatureBody { r: encode(r).into(), s: s.to_bytes().into(), t: t.to_bytes().into() };
    let mut forged = draft(&world, vec![TokenBody { keyset: 0, denomination: denomination.units(), key: p.into(), signature }]);
    let factor = c_prime(&world.keyset().id().0, denomination.units(), &key, &p, &encode(r)) + fifth(t);
    let wrong = r + factor * point(key.to_bytes()) - t * h();
    forged.proof.t = encode(RistrettoPoint::mul_base(&tau) - wrong).into();
    forged.proof.u = (tau - s + coefficients(&forged)[0] * k).to_bytes().into();

    let honest = honest_payment(&mut world, &[5]);
    assert!(shared_weight_verifier(&world, &[forged.clone(), honest], rng));
    assert!(!correct_verifier(&world, &forged));
    assert_eq!(ours(&mut world, &forged), Err(ProofError::InvalidSignature));
}

/// Named attack: shared e.
#[test]
fn one_e_for_all_keys_would_spend_a_strangers_token() {
    // The attacker has seen a stranger's token on P2, and buys a token on P1 = k'G - P2, whose secret nobody knows.
    // With e_1 = e_2 the proof is about P1 + P2 = k'G.
    let mut world = World::new(3);
    let rng = &mut StdRng::seed_from_u64(3);
    let seen = honest_payment(&mut world, &[500]).tokens.tokens.remove(0);
    let k = scalar(rng);
    let p1 = encode(RistrettoPoint::mul_base(&k) - point(seen.key.0));
    let own = TokenBody { keyset: 0, denomination: 500, key: p1.into(), signature: blindly_signed(&world, 500, &p1, rng) };
    let mut theft = draft(&world, vec![own, seen]);
    let t = scalar(rng);
    theft.proof.t = encode(RistrettoPoint::mul_base(&t)).into();
    theft.proof.u = (t + coefficients(&theft)[0] * k).to_bytes().into();

    assert!(shared_e_verifier(&world, &theft));
    assert!(!correct_verifier(&world, &theft));
    assert_eq!(ours(&mut world, &theft), Err(ProofError::InvalidProof));
}

/// The mint signs what it cannot see: any P at all.
fn blindly_signed(world: &World, denomination: u64, p: &[u8; 32], rng: &mut StdRng) -> SignatureBody {
    let key = &world.keys.iter().find(|(known, _)| known.units() == denomination).unwrap().1;
    let context = SigningContext::new(&world.keyset().id().0, denomination, key.public());
    let (nonces, commitment) = commit(&Point::second_generator(), rng).unwrap();
    let (pending, challenge) = Blinding::generate(rng).challenge(&context, key.public(), &commitment, p).unwrap();
    pending.unblind(&nonces.respond(key, &challenge)).unwrap().to_body()
}

/// A signer's side written out, with nothing to stop it from answering twice.
struct BrokenSigner {
    x: Scalar,
    a: Scalar,
    b: Scalar,
    y: Scalar,
}

impl BrokenSigner {
    fn new(key: &SigningKey, rng: &mut StdRng) -> Self {
        let x = Scalar::from_canonical_bytes(*key.expose_secret()).unwrap();
        Self { x, a: scalar(rng), b: scalar(rng), y: scalar(rng) }
    }

    fn commitment(&self) -> Commitment {
        let (a, b) = (RistrettoPoint::mul_base(&self.a), RistrettoPoint::mul_base(&self.b) + self.y * h());
        Commitment::from_body(&CommitmentBody { a: encode(a).into(), b: encode(b).into() }).unwrap()
    }

    fn respond(&self, c: Scalar) -> ResponseBody {
        let z = self.a + (c + fifth(self.y)) * self.x;
        ResponseBody { b: self.b.to_bytes().into(), y: self.y.to_bytes().into(), z: z.to_bytes().into() }
    }
}

/// Named attack: cloned mint.
#[test]
fn two_challenges_on_one_commitment_reveal_the_key() {
    // z1 - z2 = (c1 - c2) x. The crate's nonces cannot be asked twice: tests/misuse/nonces_answer_twice.rs does not compile.
    let mut world = World::new(4);
    let rng = &mut StdRng::seed_from_u64(4);
    let (denomination, key) = (world.keys[9].0, &world.keys[9].1);
    let context = SigningContext::new(&world.keyset().id().0, denomination.units(), key.public());
    let signer = BrokenSigner::new(key, rng);
    let [(c1, z1), (c2, z2)] = [[1; 32], [2; 32]].map(|message| {
        let (pending, challenge) = Blinding::generate(rng).challenge(&context, key.public(), &signer.commitment(), &message).unwrap();
        let c = Scalar::from_canonical_bytes(challenge.to_bytes()).unwrap();
        let body = signer.respond(c);
        assert!(pending.unblind(&Response::from_body(&body).unwrap()).is_ok(), "an honest answer to each");
        (c, Scalar::from_canonical_bytes(body.z.0).unwrap())
    });
    let x = (z1 - z2) * (c1 - c2).invert();
    assert_eq!(x, signer.x);

    // From here on the attacker is the mint: a token that was never issued passes every check.
    let stolen = SigningKey::from_bytes(&Zeroizing::new(x.to_bytes())).unwrap();
    assert!(stolen.public() == key.public());
    let spend_key = SpendKey::generate(rng);
    let (nonces, commitment) = commit(&Point::second_generator(), rng).unwrap();
    let p = spend_key.public().to_bytes();
    let (pending, challenge) = Blinding::generate(rng).challenge(&context, stolen.public(), &commitment, &p).unwrap();
    let signature = pending.unblind(&nonces.respond(&stolen, &challenge)).unwrap();
    let spent_key = SpentKey { keyset: world.keyset().id(), denomination, key: p };
    let token = OwnedToken::new(Token::new(spent_key, signature), spend_key).unwrap();
    let frame = pay(&mut world, OwnedTokens::new(vec![token]).unwrap());
    assert_eq!(ours(&mut world, &frame), Ok(()));
}

/// What a mint remembers of a session.
struct Session {
    signer: BrokenSigner,
    c: Scalar,
    z: Scalar,
}

/// What a mint sees of a token: (R, s, t) and c'.
struct Seen {
    r: RistrettoPoint,
    s: Scalar,
    t: Scalar,
    c_prime: Scalar,
}

/// The one (r, alpha, beta) that fits a session and a token.
fn fit(session: &Session, token: &Seen) -> [Scalar; 3] {
    let alpha = token.t * session.signer.y.invert();
    let r = token.s - fifth(alpha) * session.z - alpha * session.signer.b;
    [r, alpha, session.c - token.c_prime * fifth(alpha).invert()]
}

/// Two (session, token) pairs whose blindings have something in common: the mint's guess at who bought what.
fn links(sessions: &[Session], tokens: &[Seen]) -> Vec<(usize, usize)> {
    let pairs = || (0..sessions.len()).flat_map(|session| (0..tokens.len()).map(move |token| (session, token)));
    let mut found: Vec<(usize, usize)> = pairs()
        .filter(|(session, token)| {
            let mine = fit(&sessions[*session], &tokens[*token]);
            pairs().any(|(other, seen)| {
                other != *session && seen != *token && fit(&sessions[other], &tokens[seen]).iter().zip(mine).any(|(a, b)| *a == b)
            })
        })
        .collect();
    found.sort_unstable();
    found
}

/// Plays three sessions; `user` blinds a message for a commitment and, given an answer to c, unblinds.
fn three_sessions(
    seed: u64,
    mut user: impl FnMut(usize, &SigningContext, &Point, &Commitment, &mut dyn FnMut(Scalar) -> ResponseBody) -> ([u8; 32], SignatureBody),
) -> (Vec<Session>, Vec<Seen>) {
    let rng = &mut StdRng::seed_from_u64(seed);
    let key = SigningKey::generate(rng);
    let context = SigningContext::new(&[7; 32], 500, key.public());
    let (mut sessions, mut tokens) = (Vec::new(), Vec::new());
    for index in 0..3 {
        let signer = BrokenSigner::new(&key, rng);
        let mut asked = None;
        let (message, signature) = user(index, &context, key.public(), &signer.commitment(), &mut |c| {
            let body = signer.respond(c);
            asked = Some((c, Scalar::from_canonical_bytes(body.z.0).unwrap()));
            body
        });
        let (c, z) = asked.unwrap();
        let canonical = |bytes: Bytes<32>| Scalar::from_canonical_bytes(bytes.0).unwrap();
        let (s, t) = (canonical(signature.s), canonical(signature.t));
        let c_prime = c_prime(&[7; 32], 500, key.public(), &message, &signature.r.0);
        let r = point(signature.r.0);
        assert!(r + (c_prime + fifth(t)) * point(key.public().to_bytes()) == RistrettoPoint::mul_base(&s) + t * h());
        sessions.push(Session { signer, c, z });
        tokens.push(Seen { r, s, t, c_prime });
    }
    // The tokens come back in another order: 0 -> 1 -> 2 -> 0.
    tokens.rotate_right(1);
    (sessions, tokens)
}

#[test]
fn a_blinding_repeated_across_sessions_would_link_tokens() {
    // BROKEN wallet: keeps one of r, alpha, beta (number `kept`) for sessions 0 and 1, and is careful in session 2.
    for kept in 0..3 {
        let rng = &mut StdRng::seed_from_u64(50);
        let first: [Scalar; 3] = [scalar(rng), scalar(rng), scalar(rng)];
        let (sessions, tokens) = three_sessions(5, |index, _, key, commitment, ask| {
            let mut secrets = [scalar(rng), scalar(rng), scalar(rng)];
            if index < 2 {
                secrets[kept] = first[kept];
            }
            let [r, alpha, beta] = secrets;
            let message = [u8::try_from(index).unwrap(); 32];
            let alpha_5 = fifth(alpha);
            let (a, b) = (point(commitment.a.to_bytes()), point(commitment.b.to_bytes()));
            let blinded = RistrettoPoint::mul_base(&r) + alpha_5 * a + alpha * b + alpha_5 * beta * point(key.to_bytes());
            let c = c_prime(&[7; 32], 500, key, &message, &encode(blinded)) * alpha_5.invert() + beta;
            let body = ask(c);
            let [b, y, z] = [body.b, body.y, body.z].map(|bytes| Scalar::from_canonical_bytes(bytes.0).unwrap());
            let (s, t) = (r + alpha_5 * z + alpha * b, alpha * y);
            (message, SignatureBody { r: encode(blinded).into(), s: s.to_bytes().into(), t: t.to_bytes().into() })
        });
        // The mint learns exactly which two tokens came from which two sessions.
        assert_eq!(links(&sessions, &tokens), [(0, 1), (1, 2)], "secret {kept}");
    }
}

#[test]
fn our_wallet_leaves_nothing_to_link() {
    let rng = &mut StdRng::seed_from_u64(6);
    let seed = WalletSeed::generate(rng);
    let root = *SigningKey::generate(rng).public();
    let (sessions, tokens) = three_sessions(6, |_, context, key, commitment, ask| {
        // Even the worst wallet: the same index every time. The commitment goes into the derivation.
        let keyset = farthing_protocol::proof::KeysetId([7; 32]);
        let place = TokenPlace { root: &root, keyset, denomination: Amount::from_units(500), index: 0, key };
        let (spend_key, blinding) = seed.token(&place, commitment).unwrap();
        let message = spend_key.public().to_bytes();
        let (pending, challenge) = blinding.challenge(context, key, commitment, &message).unwrap();
        let body = ask(Scalar::from_canonical_bytes(challenge.to_bytes()).unwrap());
        (message, pending.unblind(&Response::from_body(&body).unwrap()).unwrap().to_body())
    });
    assert_eq!(links(&sessions, &tokens), []);
    // And why there is nothing: every token fits every session, with one blinding each.
    for session in &sessions {
        for token in &tokens {
            let [r, alpha, beta] = fit(session, token);
            let (a, b) =
                (RistrettoPoint::mul_base(&session.signer.a), RistrettoPoint::mul_base(&session.signer.b) + session.signer.y * h());
            let x = RistrettoPoint::mul_base(&session.signer.x);
            assert!(token.r == RistrettoPoint::mul_base(&r) + fifth(alpha) * a + alpha * b + fifth(alpha) * beta * x);
        }
    }
}

/// Named attack: identity key.
#[test]
fn the_identity_signs_nothing() {
    // With X the identity any (s, t) would verify; with P the identity anybody knows k = 0.
    assert!(Point::from_bytes([0; 32]).is_err());
    let mut world = World::new(7);
    let mut frame = honest_payment(&mut world, &[500]);
    for which in 0..3 {
        let mut forged = frame.clone();
        match which {
            0 => forged.tokens.tokens[0].key = [0; 32].into(),
            1 => forged.tokens.tokens[0].signature.r = [0; 32].into(),
            _ => forged.proof.t = [0; 32].into(),
        }
        assert_eq!(ours(&mut world, &forged), Err(ProofError::InvalidPoint));
    }
    frame.tokens.tokens[0].signature.t = [0; 32].into();
    assert_eq!(Payment::from_frame(&frame).err(), Some(PaymentError::ZeroScalar));

    // The mint signs the identity like anything else. Without the rule whoever sees such a token pays with it: u = t, no key.
    let rng = &mut StdRng::seed_from_u64(7);
    let (p, t) = ([0; 32], scalar(rng));
    let signature = blindly_signed(&world, 500, &p, rng);
    let mut anybodys = draft(&world, vec![TokenBody { keyset: 0, denomination: 500, key: p.into(), signature }]);
    anybodys.proof = ProofBody { t: encode(RistrettoPoint::mul_base(&t)).into(), u: t.to_bytes().into() };
    assert!(permissive_verifier(&world, &anybodys));
    assert_eq!(ours(&mut world, &anybodys), Err(ProofError::InvalidPoint));
}

/// A token that the attacker has bought, and knows the key of.
fn bought(world: &World, rng: &mut StdRng) -> (Scalar, TokenBody) {
    let k = scalar(rng);
    let p = encode(RistrettoPoint::mul_base(&k));
    let signature = blindly_signed(world, 500, &p, rng);
    (k, TokenBody { keyset: 0, denomination: 500, key: p.into(), signature })
}

/// Named attack: duplicate token in a payment or across keysets.
#[test]
fn a_token_named_twice_would_pay_twice() {
    let mut world = World::new(8);
    let rng = &mut StdRng::seed_from_u64(8);
    let (k, token) = bought(&world, rng);
    let mut twice = draft(&world, vec![token.clone(), token.clone()]);
    assert_eq!(twice.amount, 1_000);
    let t = scalar(rng);
    twice.proof.t = encode(RistrettoPoint::mul_base(&t)).into();
    twice.proof.u = (t + coefficients(&twice).iter().sum::<Scalar>() * k).to_bytes().into();
    assert!(permissive_verifier(&world, &twice), "both equations hold, for twice the money");
    assert_eq!(Payment::from_frame(&twice).err(), Some(PaymentError::DuplicateToken));

    // Nor under a second entry of the table of keysets that says the same keyset.
    let own = twice.tokens.keysets[0];
    twice.tokens.keysets.push(own);
    twice.tokens.tokens[1].keyset = 1;
    assert!(Payment::from_frame(&twice).is_err());
    // Under another keyset's id it is another message, which no mint has signed.
    let mut alone = draft(&world, vec![token]);
    alone.tokens.keysets[0].0[0] ^= 1;
    assert_eq!(ours(&mut world, &alone), Err(ProofError::UnknownKeyset));
}

/// Named attack: non-canonical points and scalars.
#[test]
fn another_encoding_of_the_same_payment_would_verify() {
    // s and s + l are one number. Where both are read, one payment has several encodings, and whatever is keyed on bytes sees several.
    let l = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0x10,
    ];
    let plus_l = |bytes: &mut [u8; 32]| {
        let mut carry = 0;
        for (byte, more) in bytes.iter_mut().zip(l) {
            let sum = u16::from(*byte) + more + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
    };
    let mut world = World::new(9);
    let honest = honest_payment(&mut world, &[500]);
    assert!(permissive_verifier(&world, &honest));
    for which in 0..3 {
        let mut again = honest.clone();
        let signature = &mut again.tokens.tokens[0].signature;
        plus_l(&mut [&mut signature.s, &mut signature.t, &mut again.proof.u][which].0);
        assert!(permissive_verifier(&world, &again), "{which}");
        assert_eq!(Payment::from_frame(&again).err(), Some(PaymentError::NonCanonicalScalar), "{which}");
    }
    // Points: the field has room for p + 1, which is 1 again, and for negative numbers.
    let mut above = [0xff; 32];
    (above[0], above[31]) = (0xee, 0x7f);
    for bytes in [above, [0xff; 32], [1; 32]] {
        assert!(Point::from_bytes(bytes).is_err());
    }
}

/// Named attack: empty batch.
#[test]
fn nothing_at_all_would_be_a_valid_batch() {
    let mut world = World::new(10);
    // The empty sum is zero: a verifier that forgets to ask says yes, and panics at the first payment it then looks for.
    assert!(shared_weight_verifier(&world, &[], &mut StdRng::seed_from_u64(10)));
    assert_eq!(verify_batch(vec![], &world.table, &mut world.rng).err(), Some(ProofError::EmptyBatch));
    assert_eq!(Payment::from_frame(&draft(&world, vec![])).err(), Some(PaymentError::Empty));
}
