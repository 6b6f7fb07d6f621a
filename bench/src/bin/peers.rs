//! Cost a token beside peers, measured in one run: `cargo run --release --manifest-path bench/Cargo.toml --bin peers`.
//!
//! Ends with one JSON line. Times are medians over interleaved rounds, one core; compare ratios, not microseconds, across machines.

use std::time::Duration;

use cashu::dhke;
use cashu::nuts::{BlindSignature, Id, SecretKey};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use farthing_bench::{Contender, race};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::proof::{KeysetId, LoneKey, SpendKey, SpentKey};
use farthing_protocol::snowblind::{Blinding, Committer, SigningContext, SigningKey, commit};
use farthing_protocol::spending::{KeyTable, Spending, verify_batch};
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token};
use farthing_protocol::wire::Frame;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use voprf::{Ristretto255, VoprfClient, VoprfServer};

/// Largest batch measured.
const LARGE: usize = 1024;

/// Rounds of the race.
const ROUNDS: usize = 15;

/// Commitments made together, as the mint does for its pool.
const TOGETHER: usize = 16;

/// Responses a round from pooled commitments.
const POOLED: usize = 2_000;

struct World {
    rng: StdRng,
    key: SigningKey,
    keyset: KeysetId,
    table: KeyTable,
}

impl World {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let root = LoneKey::generate(&mut rng);
        let receipt_key = *LoneKey::generate(&mut rng).public();
        let key = SigningKey::generate(&mut rng);
        let mut list = KeysetList::new(*root.public());
        let week = 7 * 86_400;
        let windows = Windows { issue_from: 0, issue_until: week, spend_until: week, refresh_until: week, deposit_until: week };
        let keys = vec![(Amount::from_units(500), *key.public())];
        let proposal = Proposal { published: 0, unit: Unit::default_eur(), windows, receipt_key, keys };
        let keyset = list.announce(proposal, &root, &mut rng).expect("the proposal keeps the rules");
        Self { rng, key, keyset, table: list.key_table() }
    }

    fn token(&mut self) -> OwnedToken {
        let owner = SpendKey::generate(&mut self.rng);
        let context = SigningContext::new(&self.keyset.0, 500, self.key.public());
        let (nonces, commitment) = commit(&Point::second_generator(), &mut self.rng).expect("no identity");
        let blinding = Blinding::generate(&mut self.rng);
        let message = owner.public().as_bytes();
        let (pending, challenge) = blinding.challenge(&context, self.key.public(), &commitment, message).expect("a usable blinding");
        let signature = pending.unblind(&nonces.respond(&self.key, &challenge)).expect("an honest response");
        let spent_key = SpentKey { keyset: self.keyset, denomination: Amount::from_units(500), key: owner.public().to_bytes() };
        OwnedToken::new(Token::new(spent_key, signature), owner).expect("its own key")
    }

    fn payment(&mut self, tokens: usize) -> (Spending, usize) {
        let tokens: Vec<OwnedToken> = (0..tokens).map(|_| self.token()).collect();
        let amount = Amount::from_units(500 * tokens.len() as u64);
        let terms = PaymentTerms { recipient: "news.example", amount, deposit_by: 9, subject: [3; 32] };
        let (payment, _) = OwnedTokens::new(tokens).and_then(|tokens| tokens.pay(&terms, &mut self.rng)).expect("a valid payment");
        let size = payment.to_frame().to_bytes().len();
        (payment.state("news.example", [3; 32]), size)
    }
}

/// Points and scalars of the same number and width as a batch of `n` one-token payments sums up.
fn floor_inputs(rng: &mut StdRng, n: usize) -> (Vec<Scalar>, Vec<CompressedRistretto>) {
    let wide = |rng: &mut StdRng| {
        let mut bytes = [0; 64];
        rng.fill_bytes(&mut bytes);
        Scalar::from_bytes_mod_order_wide(&bytes)
    };
    let short = |rng: &mut StdRng| Scalar::from((u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64()));
    let mut scalars = Vec::new();
    for _ in 0..n {
        scalars.extend([short(rng), short(rng), wide(rng)]);
    }
    let points = (0..scalars.len()).map(|_| RistrettoPoint::mul_base(&wide(rng)).compress()).collect();
    (scalars, points)
}

fn floor((scalars, points): &(Vec<Scalar>, Vec<CompressedRistretto>)) -> RistrettoPoint {
    let points: Vec<RistrettoPoint> = points.iter().map(|point| point.decompress().expect("valid")).collect();
    RistrettoPoint::vartime_multiscalar_mul(scalars, &points)
}

fn main() {
    let mut world = World::new();
    let h = Point::second_generator();
    let committer = Committer::new();
    let (three, size_of_three) = world.payment(3);
    let (_, size_of_one) = world.payment(1);
    let batch: Vec<Spending> = (0..LARGE).map(|_| world.payment(1).0).collect();
    let (floor_64, floor_large) = (floor_inputs(&mut world.rng, 64), floor_inputs(&mut world.rng, LARGE));

    // Cashu's mint signs B' with a proof of equal logarithms, and verifies with its secret key.
    let cashu_key = SecretKey::generate();
    let (blinded, blinding) = dhke::blind_message(b"a secret of a token, 32 bytes...", None).expect("a point");
    let signed = dhke::sign_message(&cashu_key, &blinded).expect("a point");
    let unblinded = dhke::unblind_message(&signed, &blinding, &cashu_key.public_key()).expect("a point");
    let cashu_id: Id = "009a1f293253e41e".parse().expect("an id");

    // A Privacy Pass issuer evaluates with a proof; its verifier evaluates again, with the secret key.
    let mut old_rng = <rand_08::rngs::StdRng as rand_08::SeedableRng>::seed_from_u64(1);
    let server = VoprfServer::<Ristretto255>::new(&mut old_rng).expect("a key");
    let client = VoprfClient::<Ristretto255>::blind(b"a token's nonce, 32 bytes.......", &mut old_rng).expect("a point");

    let alone = batch[..1].to_vec();
    let small = batch[..64].to_vec();
    let table = &world.table;
    let key = &world.key;
    let mut rngs: [StdRng; 5] = [2, 3, 4, 5, 6].map(StdRng::seed_from_u64);
    let [issue_rng, alone_rng, three_rng, small_rng, large_rng] = &mut rngs;
    let mut pool = Vec::new();
    let mut pool_rng = StdRng::seed_from_u64(7);
    let challenge = {
        let (_, commitment) = commit(&h, &mut pool_rng).expect("no identity");
        let context = SigningContext::new(&world.keyset.0, 500, key.public());
        Blinding::generate(&mut pool_rng).challenge(&context, key.public(), &commitment, &[1; 32]).expect("usable").1
    };
    // The pool is filled outside the clock: enough for every round below.
    for _ in 0..ROUNDS * POOLED {
        pool.push(commit(&h, &mut pool_rng).expect("no identity").0);
    }
    let mut contenders = [
        Contender::new("farthing: commit and respond", TOGETHER, || {
            let drawn = committer.commit(TOGETHER, issue_rng).expect("no identity");
            drawn.into_iter().map(|nonces| nonces.respond(key, &challenge)).collect::<Vec<_>>()
        }),
        Contender::new("farthing: respond, commitment pooled", POOLED, || {
            let rest = pool.split_off(pool.len() - POOLED);
            rest.into_iter().map(|nonces| nonces.respond(key, &challenge)).fold(0, |sum, response| sum ^ response.to_body().z.0[0])
        })
        .once_a_round(),
        Contender::new("farthing: verify, 1 token alone", 1, || verify_batch(alone.clone(), table, alone_rng)),
        Contender::new("farthing: verify, 3 tokens alone", 3, || verify_batch(vec![three.clone()], table, three_rng)),
        Contender::new("farthing: verify, batch of 64", 64, || verify_batch(small.clone(), table, small_rng)),
        Contender::new("farthing: verify, batch of 1,024", LARGE, || verify_batch(batch.clone(), table, large_rng)),
        Contender::new("floor of 64: decompress, multiply", 64, || floor(&floor_64)),
        Contender::new("floor of 1,024: decompress, multiply", LARGE, || floor(&floor_large)),
        Contender::new("one variable-base multiplication", 1, || floor_64.0[2] * h_element(&h)),
        Contender::new("cashu: sign with DLEQ", 1, || {
            let signed = dhke::sign_message(&cashu_key, &blinded).expect("a point");
            BlindSignature::new(1_u64.into(), signed, cashu_id, &blinded, &cashu_key)
        }),
        Contender::new("cashu: verify (secret key)", 1, || {
            dhke::verify_message(&cashu_key, unblinded, b"a secret of a token, 32 bytes...")
        }),
        Contender::new("voprf: evaluate with proof", 1, || server.blind_evaluate(&mut old_rng, &client.message)),
        Contender::new("voprf: verify (secret key)", 1, || server.evaluate(b"a token's nonce, 32 bytes.......")),
    ];
    race(&mut contenders, ROUNDS, Duration::from_millis(60));

    let [
        commit_respond,
        pooled,
        one,
        three,
        batch_64,
        batch_large,
        floor_64,
        floor_large,
        mult,
        cashu_sign,
        cashu_verify,
        voprf_issue,
        voprf_verify,
    ] = contenders.each_ref().map(Contender::median);
    println!("{:<40} {:>12}", "microseconds a token", "median");
    for contender in &contenders {
        println!("{:<40} {:>12.2}", contender.name(), contender.median());
    }
    println!("payment frame: {size_of_one} bytes with one token, {size_of_three} with three");
    let avx512 = cfg!(curve25519_dalek_backend = "avx512");
    println!("curve25519-dalek backend: {}", if avx512 { "avx512 where the machine has it, else avx2 or serial" } else { "default" });
    let summary = json!({
        "issue_us": commit_respond, "issue_pooled_us": pooled, "verify_one_us": one, "verify_three_us": 3.0 * three,
        "batch_64_us": batch_64, "batch_1024_us": batch_large, "cashu_sign_us": cashu_sign, "cashu_verify_us": cashu_verify,
        "voprf_issue_us": voprf_issue, "voprf_verify_us": voprf_verify,
        "issue_vs_cashu": commit_respond / cashu_sign, "issue_pooled_vs_cashu": pooled / cashu_sign,
        "batch_vs_cashu": batch_large / cashu_verify, "batch_64_vs_floor": batch_64 / floor_64,
        "batch_vs_floor": batch_large / floor_large, "three_token_vs_mult": 3.0 * three / mult,
        "payment_bytes_one": size_of_one, "payment_bytes_three": size_of_three,
    });
    println!("{summary}");
}

fn h_element(h: &Point) -> RistrettoPoint {
    CompressedRistretto(h.to_bytes()).decompress().expect("a valid point")
}
