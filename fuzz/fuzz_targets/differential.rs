//! Blind signing, unblinding, verification and key proofs, step by step against the equations of `spec/`, written out in `plain`.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use farthing_fuzz::plain::{self, PublicKey};
use farthing_fuzz::world::World;
use farthing_protocol::amount::Amount;
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::issue::SessionPlan;
use farthing_protocol::proof::{KeyList, KeyProof, KeysetId, PaymentId, Purpose, SpentKey, Statement};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::snowblind::{Challenge, Commitment, Response, SigningContext};
use farthing_protocol::wire::{
    DoubleSpendFrame, IssueResponseFrame, OpenResponseFrame, ProofBody, SignatureBody, SpendingSideBody, SpentKeyBody,
};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

static WORLD: LazyLock<World> = LazyLock::new(World::default);

/// A number, or bytes that are mostly no number at all.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Value {
    Number(u64),
    Raw([u8; 32]),
    /// A number with a bit changed.
    Near(u64, u8),
}

impl Value {
    fn scalar(self) -> [u8; 32] {
        self.of(|number| plain::scalar_of(number).to_bytes())
    }

    fn point(self) -> [u8; 32] {
        self.of(|number| plain::encode(plain::times_g(plain::scalar_of(number))))
    }

    fn of(self, make: impl Fn(u64) -> [u8; 32]) -> [u8; 32] {
        match self {
            Self::Number(number) => make(number),
            Self::Raw(bytes) => bytes,
            Self::Near(number, bit) => {
                let mut bytes = make(number);
                bytes[usize::from(bit / 8)] ^= 1 << (bit % 8);
                bytes
            }
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Input {
    /// A session of one output: what the mint answers, and what of it is changed on the way.
    Session { key: u8, seed: [u8; 32], index: u64, nonces: [u64; 3], commitment: Option<(bool, Value)>, answer: Option<(u8, Value)> },
    /// Any signature on any message, through a double-spend proof, which looks at a signature by itself.
    Signature { key: u8, owner: u64, parts: [Value; 3], genuine: Option<[u64; 4]> },
    /// Any proof about any keys.
    Proof { purpose: u8, said: u8, keys: Vec<(u8, u8, Value)>, t: Value, u: Value, known: bool },
}

fn key(place: u8) -> (PublicKey, usize) {
    let place = usize::from(place) % WORLD.public.len();
    (WORLD.public[place], place)
}

fn session(place: u8, seed: [u8; 32], index: u64, nonces: [u64; 3], changed: Option<(bool, Value)>, answer: Option<(u8, Value)>) {
    let (key, place) = key(place);
    let (secret, keyset) = (&WORLD.secret[place], &WORLD.list.keysets()[place / 3]);
    let x = plain::scalar(&secret.expose_secret()).unwrap();
    let [a, b, y] = nonces.map(plain::scalar_of);
    let mut commitment = plain::commitment(a, b, y);
    if let Some((first, value)) = changed {
        *(if first { &mut commitment.a } else { &mut commitment.b }) = value.point().into();
    }
    let root = WORLD.list.root();
    let wallet = WalletSeed::from_bytes(&seed.into());
    let plan = SessionPlan::new(&wallet, root, keyset.id(), vec![Amount::from_units(key.1)], index).unwrap();
    let secret = plain::recovery_secret(&seed, root.as_bytes(), &key, index);
    assert_eq!(plan.recovery_commitment, plain::recovery_commitment(&secret));
    let opened = OpenResponseFrame { session: [0; 16].into(), expires: 0, commitments: vec![commitment.clone()] };
    let secrets = plain::wallet_secrets(&seed, root.as_bytes(), &key, index, &commitment);
    let blinded = plan.blind(&wallet, root, keyset, index, &opened);
    let Some((c, big_r)) = plain::challenge(&key, &commitment, secrets) else { return assert!(blinded.is_err()) };
    let pending = blinded.expect("points that are points");
    assert_eq!(wallet.recovery_hash(root, index), plain::recovery_hash(&seed, root.as_bytes(), index));

    let mut response = plain::response(x, [a, b, y], c);
    if let Some((part, value)) = answer {
        *(match part % 3 {
            0 => &mut response.b,
            1 => &mut response.y,
            _ => &mut response.z,
        }) = value.scalar().into();
    }
    let good = plain::response_holds(&key.2, &commitment, c, &response);
    let tokens = pending.unblind(&IssueResponseFrame { responses: vec![response.clone()] });
    assert_eq!(tokens.is_ok(), good, "an answer is taken if its equations hold");
    assert!(good || changed.is_some() || answer.is_some(), "an honest answer is a good one");
    let Ok(tokens) = tokens else { return };
    let signature = tokens[0].token().signature().to_body();
    assert!(Some(signature) == plain::unblind(big_r, secrets, &response), "the one signature that fits");
    assert!(plain::signature_holds(&key, &tokens[0].token().spent_key().key, &signature));
    assert_eq!(tokens[0].token().spent_key().key, plain::encode(plain::times_g(secrets[0])));
}

/// A good signature: by the equations' signer, for the library's own blinding.
fn signed(key: &PublicKey, place: usize, message: &[u8; 32], [a, b, y, blind]: [u64; 4]) -> Option<SignatureBody> {
    let x = plain::scalar(&WORLD.secret[place].expose_secret())?;
    let nonces = [a, b, y].map(plain::scalar_of);
    let commitment = plain::commitment(nonces[0], nonces[1], nonces[2]);
    let context = SigningContext::new(&key.0, key.1, WORLD.secret[place].public());
    let blinding = farthing_protocol::snowblind::Blinding::generate(&mut StdRng::seed_from_u64(blind));
    let commitment = Commitment::from_body(&commitment).ok()?;
    let (pending, challenge) = blinding.challenge(&context, WORLD.secret[place].public(), &commitment, message).ok()?;
    let c = plain::scalar(&Challenge::to_bytes(challenge))?;
    Some(pending.unblind(&Response::from_body(&plain::response(x, nonces, c)).ok()?).ok()?.to_body())
}

fn signature(place: u8, owner: u64, parts: [Value; 3], genuine: Option<[u64; 4]>) {
    let (key, place) = key(place);
    let secret = plain::scalar_of(owner);
    let message = plain::encode(plain::times_g(secret));
    let [r, s, t] = parts;
    let made = genuine.and_then(|numbers| signed(&key, place, &message, numbers));
    let signature = made.unwrap_or(SignatureBody { r: r.point().into(), s: s.scalar().into(), t: t.scalar().into() });
    let token = SpentKeyBody { keyset: key.0.into(), denomination: key.1, key: message.into() };
    let spent = [(key.0, key.1, message)];
    let side = |number: u8| {
        let statement = [number; 32];
        let proof = plain::prove(1, &statement, &spent, &[secret], plain::scalar_of(u64::from(number)));
        SpendingSideBody { statement: statement.into(), list: vec![token.clone()], proof }
    };
    let list = [SpentKey { keyset: KeysetId(key.0), denomination: Amount::from_units(key.1), key: message }];
    let mut sides = [side(1), side(2)];
    sides.sort_by_key(|side| PaymentId::new(&Statement::from_bytes(side.statement.0), &list));
    let frame = DoubleSpendFrame { token, signature, sides };
    let verified = DoubleSpend::from_frame(&frame).is_ok_and(|proof| proof.verify(&WORLD.table).is_ok());
    assert_eq!(verified, plain::signature_holds(&key, &message, &signature));
    assert!(made.is_none() || verified);
}

const PURPOSES: [Purpose; 11] = [
    Purpose::Pay,
    Purpose::Reread,
    Purpose::Refresh,
    Purpose::Change,
    Purpose::Voucher,
    Purpose::Announce,
    Purpose::Answer,
    Purpose::Refund,
    Purpose::Reclaim,
    Purpose::Receipt,
    Purpose::Recover,
];

fn proof(purpose: u8, said: u8, keys: &[(u8, u8, Value)], t: Value, u: Value, known: bool) {
    let purpose = PURPOSES[usize::from(purpose) % PURPOSES.len()];
    let statement = [said; 32];
    let spent: Vec<plain::Spent> = keys.iter().take(24).map(|(place, other, p)| ([*other; 32], u64::from(*place), p.point())).collect();
    let secrets: Vec<_> = keys
        .iter()
        .take(24)
        .map(|(_, _, p)| if let Value::Number(number) = p { plain::scalar_of(*number) } else { plain::scalar_of(0) })
        .collect();
    let body = if known {
        plain::prove(purpose.number(), &statement, &spent, &secrets, plain::scalar_of(u64::from(said)))
    } else {
        ProofBody { t: t.point().into(), u: u.scalar().into() }
    };
    let list: Vec<SpentKey> = spent
        .iter()
        .map(|(keyset, denomination, key)| SpentKey {
            keyset: KeysetId(*keyset),
            denomination: Amount::from_units(*denomination),
            key: *key,
        })
        .collect();
    let ours = |list: KeyList<'_>| {
        KeyProof::from_body(&body).is_ok_and(|proof| proof.verify(purpose, &Statement::from_bytes(statement), list).is_ok())
    };
    let holds = !spent.is_empty() && plain::proof_holds(purpose.number(), &statement, &spent, &body);
    assert_eq!(ours(KeyList::Tokens(&list)), holds);
    let Some((_, _, lone)) = spent.first() else { return };
    assert_eq!(ours(KeyList::Lone(lone)), plain::lone_proof_holds(purpose.number(), &statement, lone, &body));
    if let (true, Some(secret)) = (known, secrets.first()) {
        let body = plain::lone_proof(purpose.number(), &statement, *secret, plain::scalar_of(1));
        let proof = KeyProof::from_body(&body).unwrap();
        let holds = plain::lone_proof_holds(purpose.number(), &statement, lone, &body);
        assert_eq!(proof.verify(purpose, &Statement::from_bytes(statement), KeyList::Lone(lone)).is_ok(), holds);
    }
}

fuzz_target!(|input: Input| {
    match input {
        Input::Session { key, seed, index, nonces, commitment, answer } => session(key, seed, index, nonces, commitment, answer),
        Input::Signature { key, owner, parts, genuine } => signature(key, owner, parts, genuine),
        Input::Proof { purpose, said, keys, t, u, known } => proof(purpose, said, &keys, t, u, known),
    }
});
