//! What peers do for the same job: issue a token with whatever proof they owe, and verify one.

use anonymous_credit_tokens::{Params, PreIssuance, PrivateKey};
use bls12_381::{G1Affine, G2Affine, pairing};
use cashu::dhke;
use cashu::nuts::{BlindSignature, Id, SecretKey};
use challenge_bypass_ristretto::voprf::{BatchDLEQProof, SigningKey, Token};
use curve25519_dalek_4::Scalar;
use hmac::Hmac;
use rand_08::SeedableRng;
use rand_08::rngs::{OsRng, StdRng};
use rsa::pkcs8::EncodePrivateKey;
use sha2::Sha512;
use voprf::{Ristretto255, VoprfClient, VoprfServer};

use crate::Contender;

/// Cashu: B' signed with a proof of equal logarithms (NUT-12), and C = kY checked with the secret key.
pub fn cashu() -> [Contender<'static>; 2] {
    const SECRET: &[u8] = b"a secret of a token, 32 bytes...";
    let key = SecretKey::generate();
    let (blinded, blinding) = dhke::blind_message(SECRET, None).expect("a point");
    let signed = dhke::sign_message(&key, &blinded).expect("a point");
    let unblinded = dhke::unblind_message(&signed, &blinding, &key.public_key()).expect("a point");
    let id: Id = "009a1f293253e41e".parse().expect("an id");
    let verifying = key.clone();
    [
        Contender::new("cashu: sign with DLEQ", 1, move || {
            let signed = dhke::sign_message(&key, &blinded).expect("a point");
            BlindSignature::new(1_u64.into(), signed, id, &blinded, &key)
        }),
        Contender::new("cashu: verify (secret key)", 1, move || dhke::verify_message(&verifying, unblinded, SECRET)),
    ]
}

/// Privacy Pass with a VOPRF over ristretto255: evaluation with a proof, one or 32 at a time, and evaluation again to verify.
pub fn voprf() -> [Contender<'static>; 3] {
    const INPUT: &[u8] = b"a token's nonce, 32 bytes.......";
    let mut rng = StdRng::seed_from_u64(1);
    let server = || VoprfServer::<Ristretto255>::new_with_key(&[7; 32]).expect("a key");
    let (single, many, verifying) = (server(), server(), server());
    let mut blind = || VoprfClient::<Ristretto255>::blind(INPUT, &mut rng).expect("a point").message;
    let message = blind();
    let messages: Vec<_> = (0..32).map(|_| blind()).collect();
    let (mut one_rng, mut many_rng) = (StdRng::seed_from_u64(2), StdRng::seed_from_u64(3));
    [
        Contender::new("voprf: evaluate with proof", 1, move || single.blind_evaluate(&mut one_rng, &message)),
        Contender::new("voprf: evaluate 32 with one proof", 32, move || {
            let evaluated = many.batch_blind_evaluate(&mut many_rng, &messages).expect("32 points");
            (evaluated.messages.len(), evaluated.proof)
        }),
        Contender::new("voprf: verify (secret key)", 1, move || verifying.evaluate(INPUT)),
    ]
}

/// Brave's challenge-bypass-ristretto: 30 signed with one proof; redeemed with the secret key.
pub fn challenge_bypass() -> [Contender<'static>; 2] {
    let mut rng = OsRng;
    let key = SigningKey::random(&mut rng);
    let tokens: Vec<Token> = (0..30).map(|_| Token::random::<Sha512, _>(&mut rng)).collect();
    let blinded: Vec<_> = tokens.iter().map(Token::blind).collect();
    let signed: Vec<_> = blinded.iter().map(|token| key.sign(token).expect("a point")).collect();
    let proof = BatchDLEQProof::new::<Sha512, _>(&mut rng, &blinded, &signed, &key).expect("a proof");
    let unblinded = proof.verify_and_unblind::<Sha512, _>(&tokens, &blinded, &signed, &key.public_key).expect("30 tokens");
    let preimage = unblinded[0].t;
    let verifying = key.clone();
    [
        Contender::new("challenge-bypass: sign 30 with one proof", 30, move || {
            let signed: Vec<_> = blinded.iter().map(|token| key.sign(token).expect("a point")).collect();
            BatchDLEQProof::new::<Sha512, _>(&mut OsRng, &blinded, &signed, &key).expect("a proof")
        }),
        Contender::new("challenge-bypass: redeem (secret key)", 1, move || {
            verifying.rederive_unblinded_token(&preimage).derive_verification_key::<Sha512>().sign::<Hmac<Sha512>>(b"payload")
        }),
    ]
}

/// Anonymous Credit Tokens, amounts of 32 bits: issuing, and verifying a spending with its refund (secret key).
pub fn anonymous_credit_tokens() -> [Contender<'static>; 2] {
    let params = Params::new("bench", "bench", "bench", "2026-01-01");
    let key = PrivateKey::random(OsRng);
    let preissuance = PreIssuance::random(OsRng);
    let request = preissuance.request(&params, OsRng);
    let response = key.issue::<32>(&params, &request, Scalar::from(100_u64), Scalar::ZERO, OsRng).expect("a response");
    let token = preissuance.to_credit_token::<32>(&params, key.public(), &request, &response).expect("a token");
    let (proof, _) = token.prove_spend::<32>(&params, Scalar::from(30_u64), OsRng).expect("a proof");
    let again = Params::new("bench", "bench", "bench", "2026-01-01");
    let issuing = key.clone();
    [
        Contender::new("anonymous credit tokens: issue", 1, move || {
            issuing.issue::<32>(&params, &request, Scalar::from(100_u64), Scalar::ZERO, OsRng).is_ok()
        }),
        Contender::new("anonymous credit tokens: verify (secret key)", 1, move || key.refund(&again, &proof, Scalar::ZERO, OsRng).is_ok()),
    ]
}

/// RSA-2048, whose blind signing is one private-key operation; sign and verify by ring.
pub fn rsa() -> [Contender<'static>; 2] {
    use ring::signature::{self, KeyPair, RsaKeyPair};
    let key = rsa::RsaPrivateKey::new(&mut OsRng, 2_048).expect("a key");
    let der = key.to_pkcs8_der().expect("an encoding");
    let pair = || RsaKeyPair::from_pkcs8(der.as_bytes()).expect("a key");
    let (signing, verifying) = (pair(), pair());
    let mut signature = vec![0; signing.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    signing.sign(&signature::RSA_PKCS1_SHA256, &random, b"token", &mut signature).expect("a signature");
    let public = verifying.public_key().as_ref().to_vec();
    let mut out = signature.clone();
    [
        Contender::new("RSA-2048: sign", 1, move || signing.sign(&signature::RSA_PKCS1_SHA256, &random, b"token", &mut out).is_ok()),
        Contender::new("RSA-2048: verify", 1, move || {
            signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &public).verify(b"token", &signature).is_ok()
        }),
    ]
}

/// BLS12-381 as Fedimint's blind signatures use it: a signature is one multiplication, a check two pairings.
pub fn bls() -> [Contender<'static>; 1] {
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    [Contender::new("BLS12-381: two pairings", 1, move || pairing(&g1, &g2) == pairing(&g1, &g2))]
}
