//! The operations that hold secrets, each measured with one fixed secret and with random ones in a random order; and two controls that
//! leak.
//!
//! The fixed secrets are tiny numbers (3, 4, 5, ..): leading zero digits are what variable-time arithmetic skips, so they show a leak
//! sooner than an arbitrary fixed secret would.

use std::hint::black_box;
use std::time::Instant;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::proof::{KeysetId, LoneKey, Purpose, SpendKey, SpentKey, Statement};
use farthing_protocol::seed::{TokenPlace, WalletSeed};
use farthing_protocol::snowblind::{Blinding, Challenge, Committer, Signature, SigningContext, SigningKey, commit};
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token, UsedTokens};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::SignatureBody;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use rand_core::{Infallible, TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use crate::welch::Times;

/// Inputs that are made together before any of them is measured.
const BLOCK: usize = 500;

/// An operation to measure.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// How many samples it takes, both classes together, at scale 1.
    pub samples: usize,
    /// Takes so many samples.
    pub measure: fn(usize, &mut StdRng) -> Times,
}

/// What must not leak.
pub const CASES: [Case; 9] = [
    Case { name: "commit", samples: 200_000, measure: commit_one },
    Case { name: "commit, four together", samples: 50_000, measure: commit_four },
    Case { name: "respond (sign)", samples: 1_000_000, measure: respond },
    Case { name: "derive key and blinding from the seed", samples: 200_000, measure: derive },
    Case { name: "blind", samples: 100_000, measure: blind },
    Case { name: "unblind", samples: 100_000, measure: unblind },
    Case { name: "prove, one key", samples: 400_000, measure: prove_one },
    Case { name: "prove, three tokens", samples: 200_000, measure: prove_three },
    Case { name: "key of a voucher", samples: 200_000, measure: voucher },
];

/// What leaks, and must be seen to.
pub const CONTROLS: [Case; 2] = [
    Case { name: "control: variable-time multiplication", samples: 50_000, measure: leaky_multiplication },
    Case { name: "control: comparison that ends early", samples: 2_000_000, measure: leaky_comparison },
];

/// A class: hands out the secrets of one sample, 32 or 64 bytes at a time.
enum Source<'a> {
    Fixed(u8),
    Random(&'a mut StdRng),
}

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        match self {
            Self::Fixed(last) => {
                *last += 1;
                out.fill(0);
                out[0] = *last;
            }
            Self::Random(rng) => rng.fill_bytes(out),
        }
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

impl Source<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill_bytes(&mut out);
        out
    }

    /// 32 bytes below l, not zero.
    fn scalar(&mut self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(Scalar::from_bytes_mod_order_wide(&self.bytes()).to_bytes())
    }
}

/// A generator that was filled before the clock starts, so that neither class draws inside it.
struct Drawn {
    bytes: [u8; 1_024],
    next: usize,
}

impl Drawn {
    fn new(source: &mut Source<'_>) -> Self {
        let mut bytes = [0; 1_024];
        // In pieces of 64 bytes, as scalars are drawn: each fixed one is a tiny number of its own.
        for piece in bytes.as_chunks_mut::<64>().0 {
            *piece = source.bytes();
        }
        Self { bytes, next: 0 }
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.bytes[self.next..self.next + out.len()]);
        self.next += out.len();
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

/// Takes samples: the class of each is drawn, its input made, and then block after block is measured in that order.
fn take<I, O>(samples: usize, rng: &mut StdRng, mut prepare: impl FnMut(&mut Source<'_>) -> I, mut run: impl FnMut(I) -> O) -> Times {
    let mut times = Times::default();
    // One block to fill caches and predictors, not counted.
    for block in 0..=samples.div_ceil(BLOCK) {
        let mut input = || {
            let fixed = rng.random::<bool>();
            let mut source = if fixed { Source::Fixed(2) } else { Source::Random(rng) };
            (fixed, prepare(&mut source))
        };
        let inputs: Vec<(bool, I)> = (0..BLOCK).map(|_| input()).collect();
        for (fixed, input) in inputs {
            let input = black_box(input);
            let start = Instant::now();
            let output = black_box(run(input));
            let time = start.elapsed().as_secs_f64() * 1e9;
            drop(output);
            if block > 0 {
                if fixed { times.fixed.push(time) } else { times.random.push(time) }
            }
        }
    }
    times
}

fn commit_one(samples: usize, rng: &mut StdRng) -> Times {
    let h = Point::second_generator();
    take(samples, rng, Drawn::new, |mut drawn| commit(&h, &mut drawn).ok())
}

fn commit_four(samples: usize, rng: &mut StdRng) -> Times {
    let committer = Committer::new();
    take(samples, rng, Drawn::new, |mut drawn| committer.commit(4, &mut drawn).ok())
}

/// The key x and the nonces a, b, y are secret; the challenge is the reader's.
fn respond(samples: usize, rng: &mut StdRng) -> Times {
    let committer = Committer::new();
    let mut challenges = StdRng::seed_from_u64(rng.random());
    let prepare = |source: &mut Source<'_>| {
        let key = SigningKey::from_bytes(&source.scalar()).expect("a scalar, not zero");
        let nonces = committer.commit(1, source).expect("no identity").remove(0);
        let challenge = Challenge::from_bytes(*Source::Random(&mut challenges).scalar()).expect("canonical");
        (key, nonces, challenge)
    };
    take(samples, rng, prepare, |(key, nonces, challenge)| (nonces.respond(&key, &challenge), key))
}

/// A key and a commitment that both classes share: they are public.
struct Public {
    key: SigningKey,
    context: SigningContext,
    commitments: Committer,
}

impl Public {
    fn new(rng: &mut StdRng) -> Self {
        let key = SigningKey::generate(rng);
        let context = SigningContext::new(&[7; 32], 500, key.public());
        Self { key, context, commitments: Committer::new() }
    }
}

fn derive(samples: usize, rng: &mut StdRng) -> Times {
    let public = Public::new(rng);
    let commitment = *public.commitments.commit(1, rng).expect("no identity")[0].commitment();
    let root = *SigningKey::generate(rng).public();
    let place =
        TokenPlace { root: &root, keyset: KeysetId([7; 32]), denomination: Amount::from_units(500), index: 1, key: public.key.public() };
    let prepare = |source: &mut Source<'_>| WalletSeed::from_bytes(&Zeroizing::new(source.bytes()));
    take(samples, rng, prepare, |seed| (seed.token(&place, &commitment).ok(), seed))
}

fn blind(samples: usize, rng: &mut StdRng) -> Times {
    let public = Public::new(rng);
    let commitment = *public.commitments.commit(1, rng).expect("no identity")[0].commitment();
    let prepare = |source: &mut Source<'_>| (Blinding::generate(source), source.bytes::<32>());
    take(samples, rng, prepare, |(blinding, message)| blinding.challenge(&public.context, public.key.public(), &commitment, &message).ok())
}

fn unblind(samples: usize, rng: &mut StdRng) -> Times {
    let public = Public::new(rng);
    let mut signer = StdRng::seed_from_u64(rng.random());
    let prepare = |source: &mut Source<'_>| {
        let nonces = public.commitments.commit(1, &mut signer).expect("no identity").remove(0);
        let (blinding, message) = (Blinding::generate(source), source.bytes::<32>());
        let asked = blinding.challenge(&public.context, public.key.public(), nonces.commitment(), &message);
        let (pending, challenge) = asked.expect("alpha is not zero");
        (pending, nonces.respond(&public.key, &challenge))
    };
    take(samples, rng, prepare, |(pending, response)| (pending.unblind(&response).expect("an honest answer"), response))
}

fn statement() -> Statement {
    Statement::new(b"news.example", Amount::from_units(500), 3_600, &[5; 32])
}

fn prove_one(samples: usize, rng: &mut StdRng) -> Times {
    let statement = statement();
    let prepare = |source: &mut Source<'_>| (LoneKey::from_bytes(&source.scalar()).expect("a key"), Drawn::new(source));
    take(samples, rng, prepare, |(key, mut drawn)| (key.prove(Purpose::Voucher, &statement, &mut drawn).ok(), key))
}

fn prove_three(samples: usize, rng: &mut StdRng) -> Times {
    let statement = statement();
    // Signatures are public and no part of the proof: any will do.
    let body = SignatureBody { r: [1; 32].into(), s: [1; 32].map(|byte| byte / 2).into(), t: [0; 32].map(|byte| byte + 1).into() };
    let signature = Signature::from_body(&body).expect("canonical");
    let prepare = |source: &mut Source<'_>| {
        let mut token = |denomination| {
            let key = SpendKey::from_bytes(&source.scalar()).expect("a key");
            let spent_key =
                SpentKey { keyset: KeysetId([7; 32]), denomination: Amount::from_units(denomination), key: key.public().to_bytes() };
            OwnedToken::new(Token::new(spent_key, signature), key).expect("its own key")
        };
        let tokens = vec![token(100), token(200), token(500)];
        (OwnedTokens::new(tokens).expect("three tokens").retire(), Drawn::new(source))
    };
    take(samples, rng, prepare, |(tokens, mut drawn): (UsedTokens, Drawn)| (tokens.refresh(&statement, &mut drawn).ok(), tokens))
}

fn voucher(samples: usize, rng: &mut StdRng) -> Times {
    take(samples, rng, |source| VoucherCode::from_secret_bytes(source.bytes()), |code| (code.key().ok(), code))
}

/// The mistake that is made most easily: the fast multiplication, meant for verifiers, on a secret.
fn leaky_multiplication(samples: usize, rng: &mut StdRng) -> Times {
    let prepare = |source: &mut Source<'_>| Scalar::from_bytes_mod_order_wide(&source.bytes());
    let multiply =
        |secret: Scalar| RistrettoPoint::vartime_double_scalar_mul_basepoint(&Scalar::ZERO, &RISTRETTO_BASEPOINT_POINT, &secret).compress();
    take(samples, rng, prepare, multiply)
}

/// A few nanoseconds: 32 bytes compared with a guess that is the fixed class's secret.
fn leaky_comparison(samples: usize, rng: &mut StdRng) -> Times {
    let guess: [u8; 32] = Source::Fixed(2).bytes();
    take(samples, rng, |source| source.bytes::<32>(), |secret| secret.iter().zip(&guess).all(|(one, other)| black_box(*one) == *other))
}
