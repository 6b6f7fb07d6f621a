//! The protocol's equations as `spec/` has them, one at a time, with plain point arithmetic: slow and obvious. Nothing here calls the
//! library, so that agreement means something; only labels, curve and hash are the same.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use farthing_protocol::wire::{Bytes, CommitmentBody, KeysetBody, PaymentFrame, ProofBody, ResponseBody, SignatureBody, TokenBody};
use merlin::Transcript;

/// A public key of a keyset: keyset id, denomination, X.
pub type PublicKey = ([u8; 32], u64, [u8; 32]);

/// A spent key: keyset id, denomination, P.
pub type Spent = ([u8; 32], u64, [u8; 32]);

/// A point that is not the identity, from its canonical encoding.
pub fn point(bytes: &[u8; 32]) -> Option<RistrettoPoint> {
    CompressedRistretto(*bytes).decompress().filter(|point| *point != RistrettoPoint::identity())
}

/// A scalar from its canonical encoding.
pub fn scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    Option::from(Scalar::from_canonical_bytes(*bytes))
}

/// Some scalar of a number: what a fuzzer's few bytes choose.
pub fn scalar_of(number: u64) -> Scalar {
    let mut wide = [0; 64];
    let mut transcript = Transcript::new(b"fuzz scalar");
    transcript.append_u64(b"number", number);
    transcript.challenge_bytes(b"wide", &mut wide);
    Scalar::from_bytes_mod_order_wide(&wide)
}

/// A point's encoding.
pub fn encode(point: RistrettoPoint) -> [u8; 32] {
    point.compress().0
}

/// kG.
pub fn times_g(k: Scalar) -> RistrettoPoint {
    RistrettoPoint::mul_base(&k)
}

fn fifth(y: Scalar) -> Scalar {
    y * y * y * y * y
}

fn wide(mut transcript: Transcript, field: &'static [u8]) -> Scalar {
    let mut bytes = [0; 64];
    transcript.challenge_bytes(field, &mut bytes);
    Scalar::from_bytes_mod_order_wide(&bytes)
}

fn digest(mut transcript: Transcript) -> [u8; 32] {
    let mut out = [0; 32];
    transcript.challenge_bytes(b"output", &mut out);
    out
}

/// H.
pub fn h() -> RistrettoPoint {
    let mut uniform = [0; 64];
    Transcript::new(b"farthing/1 generator H").challenge_bytes(b"output", &mut uniform);
    RistrettoPoint::from_uniform_bytes(&uniform)
}

/// c'.
pub fn c_prime((keyset, denomination, x): &PublicKey, message: &[u8; 32], r: &[u8; 32]) -> Scalar {
    let mut transcript = Transcript::new(b"farthing/1 blind signature");
    transcript.append_message(b"keyset", keyset);
    transcript.append_u64(b"denomination", *denomination);
    transcript.append_message(b"key", x);
    transcript.append_message(b"message", message);
    transcript.append_message(b"R", r);
    wide(transcript, b"challenge")
}

/// R + (c' + t^5) X - sG - tH: the identity for a signature. `None` if something does not decode or t is zero.
pub fn remainder(key: &PublicKey, message: &[u8; 32], signature: &SignatureBody) -> Option<RistrettoPoint> {
    let (r, x) = (point(&signature.r.0)?, point(&key.2)?);
    let (s, t) = (scalar(&signature.s.0)?, scalar(&signature.t.0).filter(|t| *t != Scalar::ZERO)?);
    Some(r + (c_prime(key, message, &signature.r.0) + fifth(t)) * x - times_g(s) - t * h())
}

/// t != 0 and R + (c' + t^5) X = sG + tH.
pub fn signature_holds(key: &PublicKey, message: &[u8; 32], signature: &SignatureBody) -> bool {
    remainder(key, message, signature) == Some(RistrettoPoint::identity())
}

/// S.
pub fn statement(recipient: &[u8], amount: u64, deposit_by: u64, subject: &[u8; 32]) -> [u8; 32] {
    let mut transcript = Transcript::new(b"farthing/1 statement");
    transcript.append_message(b"recipient", recipient);
    transcript.append_u64(b"amount", amount);
    transcript.append_u64(b"deposit by", deposit_by);
    transcript.append_message(b"digest", subject);
    digest(transcript)
}

/// e_1 .. e_n of a proof about tokens.
pub fn coefficients(purpose: u64, statement: &[u8; 32], list: &[Spent], t: &[u8; 32]) -> Vec<Scalar> {
    let mut transcript = Transcript::new(b"farthing/1 proof of spending");
    transcript.append_u64(b"purpose", purpose);
    transcript.append_message(b"statement", statement);
    transcript.append_u64(b"list kind", 0);
    transcript.append_u64(b"count", list.len() as u64);
    for (keyset, denomination, key) in list {
        transcript.append_message(b"key", &[&keyset[..], &denomination.to_be_bytes(), key].concat());
    }
    transcript.append_message(b"T", t);
    let mut bytes = vec![[0; 16]; list.len()];
    transcript.challenge_bytes(b"challenge", bytes.as_flattened_mut());
    bytes.into_iter().map(|e| Scalar::from(u128::from_le_bytes(e))).collect()
}

/// u G = T + sum e_i P_i.
pub fn proof_holds(purpose: u64, statement: &[u8; 32], list: &[Spent], proof: &ProofBody) -> bool {
    let (Some(t), Some(u)) = (point(&proof.t.0), scalar(&proof.u.0)) else { return false };
    let keys: Option<Vec<RistrettoPoint>> = list.iter().map(|(_, _, key)| point(key)).collect();
    let Some(keys) = keys else { return false };
    let sum: RistrettoPoint = keys.iter().zip(coefficients(purpose, statement, list, &proof.t.0)).map(|(key, e)| e * key).sum();
    times_g(u) == t + sum
}

/// A proof by whoever knows these secrets, true or not.
pub fn prove(purpose: u64, statement: &[u8; 32], list: &[Spent], secrets: &[Scalar], t: Scalar) -> ProofBody {
    let commitment = encode(times_g(t));
    let es = coefficients(purpose, statement, list, &commitment);
    let u = t + es.iter().zip(secrets).map(|(e, k)| e * k).sum::<Scalar>();
    ProofBody { t: commitment.into(), u: u.to_bytes().into() }
}

/// The list L of tokens as they stand in a frame; `None` if one names no keyset.
pub fn list(keysets: &[Bytes<32>], tokens: &[TokenBody]) -> Option<Vec<Spent>> {
    tokens.iter().map(|token| Some((keysets.get(usize::from(token.keyset))?.0, token.denomination, token.key.0))).collect()
}

/// Everything `spec/payment.md` asks of a payment before it is looked up in a ledger.
pub fn payment_holds(frame: &PaymentFrame, keys: &[PublicKey], recipient: &str, subject: &[u8; 32]) -> bool {
    let Some(list) = list(&frame.tokens.keysets, &frame.tokens.tokens) else { return false };
    let ascending = list.is_sorted_by(|a, b| a < b) && frame.tokens.keysets.is_sorted_by(|a, b| a < b);
    let all_used = (0..frame.tokens.keysets.len()).all(|index| frame.tokens.tokens.iter().any(|token| usize::from(token.keyset) == index));
    let value = list.iter().try_fold(0_u64, |sum, (_, denomination, _)| sum.checked_add(*denomination));
    let enough = frame.amount > 0 && value.is_some_and(|value| value >= frame.amount);
    let counted = !list.is_empty() && list.len() <= 24;
    let signed = frame.tokens.tokens.iter().zip(&list).all(|(token, (keyset, denomination, p))| {
        let key = keys.iter().find(|(id, value, _)| id == keyset && value == denomination);
        key.is_some_and(|key| signature_holds(key, p, &token.signature))
    });
    let said = statement(recipient.as_bytes(), frame.amount, frame.deposit_by, subject);
    ascending && all_used && enough && counted && signed && proof_holds(1, &said, &list, &frame.proof)
}

/// The mint's commitment for chosen a, b, y.
pub fn commitment(a: Scalar, b: Scalar, y: Scalar) -> CommitmentBody {
    CommitmentBody { a: encode(times_g(a)).into(), b: encode(times_g(b) + y * h()).into() }
}

/// The mint's response: b, y, z = a + (c + y^5) x.
pub fn response(x: Scalar, [a, b, y]: [Scalar; 3], c: Scalar) -> ResponseBody {
    ResponseBody { b: b.to_bytes().into(), y: y.to_bytes().into(), z: (a + (c + fifth(y)) * x).to_bytes().into() }
}

/// y != 0, B = bG + yH, zG = A + (c + y^5) X.
pub fn response_holds(x: &[u8; 32], commitment: &CommitmentBody, c: Scalar, response: &ResponseBody) -> bool {
    let (Some(big_a), Some(big_b), Some(x)) = (point(&commitment.a.0), point(&commitment.b.0), point(x)) else { return false };
    let (Some(b), Some(y), Some(z)) = (scalar(&response.b.0), scalar(&response.y.0), scalar(&response.z.0)) else { return false };
    y != Scalar::ZERO && big_b == times_g(b) + y * h() && times_g(z) == big_a + (c + fifth(y)) * x
}

/// The secrets a wallet derives for one output: k, r, alpha, beta.
pub fn wallet_secrets(seed: &[u8; 32], root: &[u8; 32], key: &PublicKey, index: u64, commitment: &CommitmentBody) -> [Scalar; 4] {
    let mut transcript = Transcript::new(b"farthing/1 wallet token");
    transcript.append_message(b"seed", seed);
    transcript.append_message(b"root", root);
    transcript.append_message(b"keyset", &key.0);
    transcript.append_u64(b"denomination", key.1);
    transcript.append_u64(b"index", index);
    transcript.append_message(b"commitment", &commitment.a.0);
    transcript.append_message(b"commitment", &commitment.b.0);
    transcript.append_message(b"key", &key.2);
    let squeeze = |transcript: &mut Transcript, field: &'static [u8]| {
        let mut bytes = [0; 64];
        transcript.challenge_bytes(field, &mut bytes);
        Scalar::from_bytes_mod_order_wide(&bytes)
    };
    let k = squeeze(&mut transcript, b"k");
    let mut transcript = Transcript::new(b"farthing/1 blinding");
    transcript.append_message(b"secret", &recovery_secret(seed, root, key, index));
    transcript.append_message(b"keyset", &key.0);
    transcript.append_u64(b"denomination", key.1);
    transcript.append_message(b"commitment", &commitment.a.0);
    transcript.append_message(b"commitment", &commitment.b.0);
    transcript.append_message(b"key", &key.2);
    let [r, alpha, beta] = [b"r".as_slice(), b"alpha", b"beta"].map(|field| squeeze(&mut transcript, field));
    [k, r, alpha, beta]
}

/// u of one output.
pub fn recovery_secret(seed: &[u8; 32], root: &[u8; 32], key: &PublicKey, index: u64) -> [u8; 32] {
    let mut transcript = Transcript::new(b"farthing/1 recovery secret");
    transcript.append_message(b"seed", seed);
    transcript.append_message(b"root", root);
    transcript.append_message(b"keyset", &key.0);
    transcript.append_u64(b"denomination", key.1);
    transcript.append_u64(b"index", index);
    digest(transcript)
}

/// C of a session of one output.
pub fn recovery_commitment(secret: &[u8; 32]) -> [u8; 32] {
    let mut leaf = Transcript::new(b"farthing/1 recovery leaf");
    leaf.append_message(b"secret", secret);
    let mut all = Transcript::new(b"farthing/1 recovery commitment");
    all.append_u64(b"count", 1);
    all.append_message(b"leaf", &digest(leaf));
    digest(all)
}

/// The reader's challenge c = c' alpha^-5 + beta and its R; the message is P = kG.
pub fn challenge(key: &PublicKey, commitment: &CommitmentBody, [k, r, alpha, beta]: [Scalar; 4]) -> Option<(Scalar, [u8; 32])> {
    let (big_a, big_b, x) = (point(&commitment.a.0)?, point(&commitment.b.0)?, point(&key.2)?);
    let big_r = encode(times_g(r) + fifth(alpha) * big_a + alpha * big_b + fifth(alpha) * beta * x);
    let c = c_prime(key, &encode(times_g(k)), &big_r) * fifth(alpha.invert()) + beta;
    Some((c, big_r))
}

/// (R, s, t) of an answered session.
pub fn unblind(big_r: [u8; 32], [_, r, alpha, _]: [Scalar; 4], response: &ResponseBody) -> Option<SignatureBody> {
    let (b, y, z) = (scalar(&response.b.0)?, scalar(&response.y.0)?, scalar(&response.z.0)?);
    let (s, t) = (r + fifth(alpha) * z + alpha * b, alpha * y);
    Some(SignatureBody { r: big_r.into(), s: s.to_bytes().into(), t: t.to_bytes().into() })
}

/// The hash that names a wallet's session in the mint's records.
pub fn recovery_hash(seed: &[u8; 32], root: &[u8; 32], index: u64) -> [u8; 32] {
    let mut key = Transcript::new(b"farthing/1 wallet recovery");
    key.append_message(b"seed", seed);
    key.append_message(b"root", root);
    key.append_u64(b"index", index);
    let mut hash = Transcript::new(b"farthing/1 recovery hash");
    hash.append_message(b"key", &digest(key));
    digest(hash)
}

fn unit_is_well_formed(body: &KeysetBody) -> bool {
    body.currency.len() == 3 && body.currency.bytes().all(|c| c.is_ascii_lowercase()) && body.decimals <= 9
}

/// The id of the keyset with this number.
pub fn keyset_id(root: &[u8; 32], number: u64, body: &KeysetBody) -> [u8; 32] {
    let mut transcript = Transcript::new(b"farthing/1 keyset id");
    transcript.append_u64(b"number", 1);
    transcript.append_message(b"root", root);
    transcript.append_u64(b"number", number);
    transcript.append_u64(b"published", body.published);
    let unit = format!("{}/{}", body.currency, 10_u64.pow(u32::from(body.decimals)));
    transcript.append_message(b"unit", unit.as_bytes());
    for bound in body.windows {
        transcript.append_u64(b"window", bound);
    }
    transcript.append_message(b"receipt key", &body.receipt_key.0);
    transcript.append_u64(b"count", body.keys.len() as u64);
    for (denomination, key) in &body.keys {
        transcript.append_u64(b"denomination", *denomination);
        transcript.append_message(b"key", &key.0);
    }
    digest(transcript)
}

/// The heads of a list, and what the root key signs for each entry.
pub fn heads(root: &[u8; 32], keysets: &[KeysetBody]) -> Vec<([u8; 32], [u8; 32])> {
    let mut head = [0; 32];
    let entry = |(number, body): (usize, &KeysetBody)| {
        let number = number as u64;
        let mut transcript = Transcript::new(b"farthing/1 keyset list head");
        transcript.append_message(b"head", &head);
        transcript.append_u64(b"number", number);
        transcript.append_message(b"keyset", &keyset_id(root, number, body));
        head = digest(transcript);
        (head, statement(root, number, 0, &head))
    };
    keysets.iter().enumerate().map(entry).collect()
}

fn lone_coefficient(purpose: u64, statement: &[u8; 32], key: &[u8; 32], t: &[u8; 32]) -> Scalar {
    let mut transcript = Transcript::new(b"farthing/1 proof of spending");
    transcript.append_u64(b"purpose", purpose);
    transcript.append_message(b"statement", statement);
    transcript.append_u64(b"list kind", 1);
    transcript.append_u64(b"count", 1);
    transcript.append_message(b"key", key);
    transcript.append_message(b"T", t);
    let mut e = [0; 16];
    transcript.challenge_bytes(b"challenge", &mut e);
    Scalar::from(u128::from_le_bytes(e))
}

/// A proof by a key that stands alone.
pub fn lone_proof(purpose: u64, statement: &[u8; 32], secret: Scalar, t: Scalar) -> ProofBody {
    let (key, commitment) = (encode(times_g(secret)), encode(times_g(t)));
    let u = t + lone_coefficient(purpose, statement, &key, &commitment) * secret;
    ProofBody { t: commitment.into(), u: u.to_bytes().into() }
}

/// u G = T + e P.
pub fn lone_proof_holds(purpose: u64, statement: &[u8; 32], key: &[u8; 32], proof: &ProofBody) -> bool {
    let (Some(t), Some(u), Some(p)) = (point(&proof.t.0), scalar(&proof.u.0), point(key)) else { return false };
    times_g(u) == t + lone_coefficient(purpose, statement, key, &proof.t.0) * p
}

/// Every rule of `spec/keysets.md`, section 2, over a whole list.
pub fn list_holds(root: &[u8; 32], keysets: &[KeysetBody]) -> bool {
    const DAY: u64 = 86_400;
    let mut seen = vec![*root];
    let mut fresh = |key: &[u8; 32]| !seen.contains(key) && (seen.push(*key), true).1;
    let well_formed = keysets.iter().all(|body| {
        let denominations: Vec<u64> = body.keys.iter().map(|(denomination, _)| *denomination).collect();
        let keys = body.keys.iter().all(|(_, key)| point(&key.0).is_some() && fresh(&key.0));
        (1..=32).contains(&denominations.len())
            && denominations[0] > 0
            && denominations.is_sorted_by(|a, b| a < b)
            && keys
            && point(&body.receipt_key.0).is_some()
            && fresh(&body.receipt_key.0)
            && unit_is_well_formed(body)
            && body.windows.is_sorted()
            && body.windows[1] - body.windows[0] >= 7 * DAY
    });
    let in_time = keysets.windows(2).all(|pair| {
        let day_ahead = pair[1].published.saturating_add(DAY);
        pair[1].published >= pair[0].published && pair[1].windows[0] >= day_ahead
    });
    let few_at_once = keysets.iter().enumerate().all(|(number, body)| {
        let unit = |other: &KeysetBody| other.currency == body.currency && other.decimals == body.decimals;
        let overlaps = |other: &KeysetBody| other.windows[1] > body.windows[0] && body.windows[1] > other.windows[0];
        keysets[..number].iter().filter(|other| unit(other) && overlaps(other)).count() <= 1
    });
    let signed = keysets.iter().zip(heads(root, keysets)).all(|(body, (_, said))| lone_proof_holds(6, &said, root, &body.proof));
    !keysets.is_empty() && well_formed && in_time && few_at_once && signed
}

/// What the proof that opens a session is about, under the mint's root key. `recovery`: the hash that names the session, and C.
pub fn open_statement(root: &[u8; 32], keyset: &[u8; 32], denominations: &[u64], funding: u64, recovery: &[[u8; 32]; 2]) -> [u8; 32] {
    let mut transcript = Transcript::new(b"farthing/1 session open");
    transcript.append_message(b"keyset", keyset);
    transcript.append_u64(b"count", denominations.len() as u64);
    for denomination in denominations {
        transcript.append_u64(b"denomination", *denomination);
    }
    transcript.append_u64(b"funding", funding);
    transcript.append_message(b"recovery", &recovery[0]);
    transcript.append_message(b"recovery commitment", &recovery[1]);
    let amount = denominations.iter().fold(0, |sum: u64, denomination| sum.wrapping_add(*denomination));
    statement(root, amount, 0, &digest(transcript))
}
