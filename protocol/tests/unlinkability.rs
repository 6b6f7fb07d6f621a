//! What a mint and all publishers hold together does not link a payment to an issuance: a distinguisher with everything they saw, the
//! mint's keys included, guesses no better than chance; and finds the link at once when a wallet blinds badly.
//!
//! One run: eight readers buy one token each, of one denomination, and pay the same amount to the same publisher in another order. The
//! code under test is the crate's on both sides; only the distinguisher and the broken wallets' choices are written here. All of it is
//! drawn from fixed seeds.

#[allow(dead_code, reason = "other tests use more of it")]
mod common;

use std::collections::HashMap;

use common::World;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::proof::SpentKey;
use farthing_protocol::seed::TokenPlace;
use farthing_protocol::snowblind::{Blinding, SigningContext, commit};
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token};
use merlin::Transcript;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand_core::{Infallible, Rng, TryCryptoRng, TryRng};

/// Readers in a run, and so sessions, and payments.
const READERS: usize = 8;
const DENOMINATION: u64 = 500;

/// r, alpha, beta, in this order.
type Joined = [Scalar; 3];

/// What a mint knows of a session: its secrets a, b, y, the reader's c, its answer z, the commitment's encodings.
struct Session {
    a: Scalar,
    b: Scalar,
    y: Scalar,
    z: Scalar,
    c: Scalar,
    a_point: [u8; 32],
    b_point: [u8; 32],
}

/// What publisher and mint see of a payment: P, R, s, t, the proof's T and u, and the token's c'.
struct Seen {
    p: [u8; 32],
    r_point: [u8; 32],
    s: Scalar,
    t: Scalar,
    t_point: [u8; 32],
    u: Scalar,
    c_prime: Scalar,
}

/// All that mint and publishers hold, and for the referee alone: the session of each payment.
struct Run {
    x: Scalar,
    sessions: Vec<Session>,
    seen: Vec<Seen>,
    answers: Vec<usize>,
}

fn canonical(bytes: [u8; 32]) -> Scalar {
    Scalar::from_canonical_bytes(bytes).unwrap()
}

fn fifth(y: Scalar) -> Scalar {
    y * y * y * y * y
}

fn random(rng: &mut StdRng) -> Scalar {
    let mut wide = [0; 64];
    rng.fill_bytes(&mut wide);
    Scalar::from_bytes_mod_order_wide(&wide)
}

/// A generator that gives the crate the r, alpha and beta of a careless wallet.
struct Chosen {
    scalars: Joined,
    next: usize,
}

impl TryRng for Chosen {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("scalars are drawn as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("scalars are drawn as bytes")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        out[..32].copy_from_slice(self.scalars[self.next].as_bytes());
        self.next += 1;
        Ok(())
    }
}

impl TryCryptoRng for Chosen {}

/// How the readers of a run blind.
#[derive(Clone, Copy, Debug)]
enum Wallet {
    /// As the crate's wallet does: everything derived from the seed.
    Derived,
    /// With fresh randomness.
    Fresh,
    /// BROKEN: one of r, alpha, beta (by number) is always this small number.
    Constant(usize, u64),
    /// BROKEN: no blinding at all: r = 0, alpha = 1, beta = 0.
    None,
    /// BROKEN: one of r, alpha, beta is drawn once and kept by all readers.
    Kept(usize),
}

impl Wallet {
    fn blinding(self, kept: &Joined, rng: &mut StdRng) -> Blinding {
        let mut scalars = [random(rng), random(rng), random(rng)];
        match self {
            Self::Derived | Self::Fresh => return Blinding::generate(rng),
            Self::Constant(which, value) => scalars[which] = Scalar::from(value),
            Self::None => scalars = [Scalar::ZERO, Scalar::ONE, Scalar::ZERO],
            Self::Kept(which) => scalars[which] = kept[which],
        }
        Blinding::generate(&mut Chosen { scalars, next: 0 })
    }
}

/// c' of a token of keyset `keyset`.
fn c_prime(keyset: &[u8; 32], key: &Point, p: &[u8; 32], r: &[u8; 32]) -> Scalar {
    let mut transcript = Transcript::new(b"farthing/1 blind signature");
    transcript.append_message(b"keyset", keyset);
    transcript.append_u64(b"denomination", DENOMINATION);
    transcript.append_message(b"key", key.as_bytes());
    transcript.append_message(b"message", p);
    transcript.append_message(b"R", r);
    let mut wide = [0; 64];
    transcript.challenge_bytes(b"challenge", &mut wide);
    Scalar::from_bytes_mod_order_wide(&wide)
}

/// Sells and spends; every payment is verified before anybody may guess.
fn play(world: &mut World, wallet: Wallet, seed: u64) -> Run {
    let rng = &mut StdRng::seed_from_u64(seed);
    let (root, keyset) = (world.root(), world.keyset().id());
    let denomination = Amount::from_units(DENOMINATION);
    let key = &world.keys.iter().find(|(known, _)| *known == denomination).unwrap().1;
    let context = SigningContext::new(&keyset.0, DENOMINATION, key.public());
    let x = canonical(*key.expose_secret());
    let (h, kept) = (Point::second_generator(), [random(rng), random(rng), random(rng)]);

    let (mut sessions, mut payments) = (Vec::new(), Vec::new());
    for reader in 0..READERS {
        let (nonces, commitment) = commit(&h, rng).unwrap();
        let place = TokenPlace { root: &root, keyset, denomination, index: seed * 100 + reader as u64, key: key.public() };
        let (spend_key, derived) = world.seed.token(&place, &commitment).unwrap();
        let blinding = if matches!(wallet, Wallet::Derived) { derived } else { wallet.blinding(&kept, rng) };
        let p = spend_key.public().to_bytes();
        let (pending, challenge) = blinding.challenge(&context, key.public(), &commitment, &p).unwrap();
        let response = nonces.respond(key, &challenge);
        let (body, c) = (response.to_body(), canonical(challenge.to_bytes()));
        let [b, y, z] = [body.b, body.y, body.z].map(|bytes| canonical(bytes.0));
        let (a_point, b_point) = (commitment.a.to_bytes(), commitment.b.to_bytes());
        sessions.push(Session { a: z - (c + fifth(y)) * x, b, y, z, c, a_point, b_point });

        let spent_key = SpentKey { keyset, denomination, key: p };
        let token = OwnedToken::new(Token::new(spent_key, pending.unblind(&response).unwrap()), spend_key).unwrap();
        let terms = PaymentTerms { recipient: "news.example", amount: denomination, deposit_by: 3_600, subject: [5; 32] };
        let (payment, _) = OwnedTokens::new(vec![token]).unwrap().pay(&terms, rng).unwrap();
        payment.state(terms.recipient, terms.subject).verify(&world.table, rng).unwrap();
        payments.push((reader, payment.to_frame()));
    }
    payments.shuffle(rng);
    let answers = payments.iter().map(|(reader, _)| *reader).collect();
    let look = |(_, frame): &(usize, farthing_protocol::wire::PaymentFrame)| {
        let token = &frame.tokens.tokens[0];
        let (p, r_point) = (token.key.0, token.signature.r.0);
        let [s, t, u] = [token.signature.s, token.signature.t, frame.proof.u].map(|bytes| canonical(bytes.0));
        Seen { p, r_point, s, t, t_point: frame.proof.t.0, u, c_prime: c_prime(&keyset.0, key.public(), &p, &r_point) }
    };
    Run { x, sessions, seen: payments.iter().map(look).collect(), answers }
}

/// The one (r, alpha, beta) that joins a session and a token.
fn fit(session: &Session, token: &Seen) -> Joined {
    let alpha = token.t * session.y.invert();
    let alpha_5 = fifth(alpha);
    [token.s - alpha_5 * session.z - alpha * session.b, alpha, session.c - token.c_prime * alpha_5.invert()]
}

/// Do these three turn this session into this token? The equations of unblinding and of the challenge, R included.
fn joins(run: &Run, session: &Session, token: &Seen, [r, alpha, beta]: Joined) -> bool {
    let alpha_5 = fifth(alpha);
    // R = rG + alpha^5 A + alpha B + alpha^5 beta X, with B = bG + yH.
    let known = r + alpha_5 * session.a + alpha * session.b + alpha_5 * beta * run.x;
    let r_point = RistrettoPoint::mul_base(&known) + (alpha * session.y) * h();
    alpha != Scalar::ZERO
        && token.t == alpha * session.y
        && token.s == r + alpha_5 * session.z + alpha * session.b
        && session.c * alpha_5 == token.c_prime + alpha_5 * beta
        && r_point.compress().0 == token.r_point
}

fn h() -> RistrettoPoint {
    CompressedRistretto(Point::second_generator().to_bytes()).decompress().unwrap()
}

/// How well each payment goes with each session: row by payment.
type Scores = Vec<Vec<u64>>;

fn score(run: &Run, mut one: impl FnMut(&Session, &Seen) -> u64) -> Scores {
    run.seen.iter().map(|token| run.sessions.iter().map(|session| one(session, token)).collect()).collect()
}

/// Scalars and encodings of a session, and what can be computed of them.
fn session_values(run: &Run, session: &Session) -> Vec<[u8; 32]> {
    let Session { a, b, y, z, c, .. } = session;
    let scalars = [*a, *b, *y, *z, *c, fifth(*y), c + fifth(*y), y.invert(), z - a, z - b, z * run.x.invert(), c * run.x, a + b];
    let scalars = scalars.into_iter().flat_map(|value| [value, -value]).map(|value| value.to_bytes());
    scalars.chain([session.a_point, session.b_point]).collect()
}

/// The same of a payment.
fn seen_values(run: &Run, token: &Seen) -> Vec<[u8; 32]> {
    let Seen { s, t, u, c_prime, .. } = token;
    let factor = c_prime + fifth(*t);
    // sG + tH = R + (c' + t^5) X: with x the mint also knows R's part s - (c' + t^5) x.
    let scalars = [*s, *t, *u, *c_prime, fifth(*t), factor, factor * run.x, s - factor * run.x, s - c_prime * run.x, t.invert(), s - t];
    scalars.map(|value| value.to_bytes()).into_iter().chain([token.p, token.r_point, token.t_point]).collect()
}

/// A pair stands out if its (r, alpha, beta) holds a number that nobody draws by chance, or one that another pair of another session and
/// another payment holds too.
fn blinding_scores(run: &Run) -> Scores {
    /// Where a number of one kind occurs: payments and sessions.
    type Places = HashMap<(usize, [u8; 32]), Vec<(usize, usize)>>;
    let fits: Vec<Vec<Joined>> = run.seen.iter().map(|token| run.sessions.iter().map(|session| fit(session, token)).collect()).collect();
    let mut places = Places::new();
    for (payment, row) in fits.iter().enumerate() {
        for (session, joined) in row.iter().enumerate() {
            for (which, value) in joined.iter().enumerate() {
                places.entry((which, value.to_bytes())).or_default().push((payment, session));
            }
        }
    }
    // Below 2^64, or l less something below 2^64.
    let small = |value: &Scalar| [*value, -*value].iter().any(|value| value.as_bytes()[8..].iter().all(|byte| *byte == 0));
    let judge = |(payment, session): (usize, usize), joined: &Joined| {
        let elsewhere = |which: usize, value: &Scalar| {
            places[&(which, value.to_bytes())].iter().filter(|(other, open)| *other != payment && *open != session).count() as u64
        };
        joined.iter().enumerate().map(|(which, value)| 1_000 * u64::from(small(value)) + elsewhere(which, value)).sum()
    };
    let rows = fits.iter().enumerate();
    rows.map(|(payment, row)| row.iter().enumerate().map(|(session, joined)| judge((payment, session), joined)).collect()).collect()
}

/// A payment and a session that share a value, in any of the forms above or as (r, alpha, beta).
fn equality_scores(run: &Run) -> Scores {
    score(run, |session, token| {
        let mut known = session_values(run, session);
        let joined = fit(session, token);
        let seen = seen_values(run, token).into_iter().chain(joined.map(|value| value.to_bytes()));
        let shared = seen.filter(|value| known.contains(value)).count() as u64;
        // The same against the other side: a blinding made of what the token shows.
        known = seen_values(run, token);
        shared + joined.iter().filter(|value| known.contains(&value.to_bytes())).count() as u64
    })
}

fn equal_bits(one: &[u8; 32], other: &[u8; 32]) -> u64 {
    one.iter().zip(other).map(|(one, other)| u64::from((one ^ other).count_zeros())).sum()
}

/// Every way to guess: whatever scores highest for a payment is taken for its session.
fn scorers(run: &Run) -> Vec<(String, Scores)> {
    let mut all = vec![("blinding".to_owned(), blinding_scores(run)), ("equality".to_owned(), equality_scores(run))];
    let sessions: Vec<_> = run.sessions.iter().map(|session| session_values(run, session)).collect();
    let seen: Vec<_> = run.seen.iter().map(|token| seen_values(run, token)).collect();
    for left in 0..sessions[0].len() {
        for right in 0..seen[0].len() {
            let row = |token: &Vec<[u8; 32]>| sessions.iter().map(|session| equal_bits(&session[left], &token[right])).collect();
            all.push((format!("bits of {left} and {right}"), seen.iter().map(row).collect()));
        }
    }
    for which in 0..3 {
        // Blindings of a bad generator have too many or too few bits set.
        let heavy = score(run, |session, token| equal_bits(&fit(session, token)[which].to_bytes(), &[0; 32]));
        all.push((format!("weight of blinding {which}"), heavy));
    }
    all
}

/// How many payments' sessions each scorer finds in a run. Equal scores: the first of the sessions, which is right as often as any other.
fn hits(run: &Run) -> Vec<(String, usize)> {
    let best = |row: &Vec<u64>| (0..row.len()).rev().max_by_key(|session| row[*session]).unwrap();
    let count = |scores: Scores| scores.iter().zip(&run.answers).filter(|(row, answer)| best(row) == **answer).count();
    scorers(run).into_iter().map(|(name, scores)| (name, count(scores))).collect()
}

/// Hits of each scorer over many runs.
fn tally(wallet: Wallet, runs: std::ops::Range<u64>) -> Vec<(String, usize)> {
    let mut world = World::new(80);
    let mut total: Vec<(String, usize)> = Vec::new();
    for seed in runs {
        let found = hits(&play(&mut world, wallet, seed));
        if total.is_empty() {
            total = found;
        } else {
            total.iter_mut().zip(found).for_each(|(sum, (_, hits))| sum.1 += hits);
        }
    }
    total
}

/// So many hits that chance alone gives them about once in a million scorers: five standard deviations above one in eight.
#[allow(clippy::cast_precision_loss, reason = "a few hundred")]
fn far_above_chance(hits: usize, guesses: usize) -> bool {
    let (guesses, share) = (guesses as f64, 1.0 / READERS as f64);
    hits as f64 > guesses * share + 5.0 * (guesses * share * (1.0 - share)).sqrt()
}

const RUNS: u64 = 60;

#[test]
fn every_session_and_every_token_are_joined_by_exactly_one_blinding() {
    let mut world = World::new(81);
    for wallet in [Wallet::Derived, Wallet::Fresh] {
        let run = play(&mut world, wallet, 1);
        for session in &run.sessions {
            for token in &run.seen {
                let joined = fit(session, token);
                assert!(joins(&run, session, token, joined));
                // And by no other: t gives alpha since y is not zero, then c gives beta and s gives r.
                for which in 0..3 {
                    let mut other = joined;
                    other[which] += Scalar::ONE;
                    assert!(!joins(&run, session, token, other), "another value of {which}");
                }
                let [r, alpha, beta] = joined;
                assert!(!joins(&run, session, token, [r, -alpha, beta]));
            }
        }
    }
}

#[test]
fn mint_and_publishers_together_guess_no_better_than_chance() {
    let guesses = usize::try_from(RUNS).unwrap() * READERS;
    for (wallet, first) in [(Wallet::Derived, 1_000), (Wallet::Fresh, 2_000)] {
        let learned = tally(wallet, first..first + RUNS);
        assert!(learned.len() > 390, "{} scorers", learned.len());
        for (name, hits) in &learned {
            assert!(!far_above_chance(*hits, guesses), "{name} finds {hits} of {guesses}, {wallet:?}");
        }
        // The scorer that did best, by chance or not, on runs it was not chosen by.
        let best = (0..learned.len()).max_by_key(|scorer| learned[*scorer].1).unwrap();
        let (name, hits) = &tally(wallet, first + 500..first + 500 + RUNS)[best];
        assert!(!far_above_chance(*hits, guesses), "{name} finds {hits} of {guesses} again, {wallet:?}");
    }
}

#[test]
fn the_same_guesser_finds_every_link_of_a_wallet_that_blinds_badly() {
    let broken = [
        Wallet::None,
        Wallet::Constant(0, 0),
        Wallet::Constant(1, 1),
        Wallet::Constant(2, 0),
        Wallet::Constant(1, 1 << 40),
        Wallet::Kept(0),
        Wallet::Kept(1),
        Wallet::Kept(2),
    ];
    let runs = 5;
    for wallet in broken {
        let found = tally(wallet, 3_000..3_000 + runs);
        let (name, hits) = found.iter().max_by_key(|(_, hits)| *hits).unwrap();
        assert_eq!(*hits, usize::try_from(runs).unwrap() * READERS, "{name} against {wallet:?}");
        assert!(far_above_chance(*hits, usize::try_from(runs).unwrap() * READERS));
    }
}
