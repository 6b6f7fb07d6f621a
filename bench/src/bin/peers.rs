//! Cost a token beside peers, measured in one run: `cargo run --release --manifest-path bench/Cargo.toml --bin peers`.
//!
//! Ends with one JSON line. Times are medians over interleaved rounds, one core; compare ratios, not microseconds, across machines.

use std::time::Duration;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use farthing_bench::{Contender, peers, race};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::proof::{KeysetId, LoneKey, SpendKey, SpentKey};
use farthing_protocol::snowblind::{Blinding, Committer, SigningContext, SigningKey, commit};
use farthing_protocol::spending::{KeyTable, Spending, verify_batch};
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token};
use farthing_protocol::wire::Frame;
use plotters::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

/// Largest batch measured.
const LARGE: usize = 1024;

/// The batches of the curve: name and number of one-token payments.
const BATCHES: [(&str, usize); 7] = [
    ("farthing: verify, 1 token alone", 1),
    ("farthing: verify, batch of 4", 4),
    ("farthing: verify, batch of 16", 16),
    ("farthing: verify, batch of 64", 64),
    ("farthing: verify, batch of 128", 128),
    ("farthing: verify, batch of 256", 256),
    ("farthing: verify, batch of 1,024", LARGE),
];

/// The peers' verification in the plot.
const PLOTTED: [(&str, &str); 6] = [
    ("cashu: verify (secret key)", "Cashu (secret key)"),
    ("voprf: verify (secret key)", "VOPRF (secret key)"),
    ("challenge-bypass: redeem (secret key)", "challenge-bypass (secret key)"),
    ("anonymous credit tokens: verify (secret key)", "Anonymous Credit Tokens (secret key)"),
    ("RSA-2048: verify", "RSA-2048"),
    ("BLS12-381: two pairings", "BLS12-381, two pairings"),
];

/// Rounds of the race.
const ROUNDS: usize = 15;

/// Commitments made together, as the mint does for its pool.
const TOGETHER: usize = 16;

/// Responses at a time from pooled commitments.
const POOLED: usize = 500;

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

    let table = &world.table;
    let key = &world.key;
    let mut rngs: [StdRng; 3] = [2, 3, 4].map(StdRng::seed_from_u64);
    let [issue_rng, three_rng, wallet_rng] = &mut rngs;
    let mut batch_rngs = BATCHES.map(|(_, size)| StdRng::seed_from_u64(size as u64));
    let context = SigningContext::new(&world.keyset.0, 500, key.public());
    let mut pool_rng = StdRng::seed_from_u64(7);
    let challenge = {
        let (_, commitment) = commit(&h, &mut pool_rng).expect("no identity");
        Blinding::generate(&mut pool_rng).challenge(&context, key.public(), &commitment, &[1; 32]).expect("usable").1
    };
    let mut contenders = vec![
        Contender::new("farthing: commit and respond", TOGETHER, || {
            let drawn = committer.commit(TOGETHER, issue_rng).expect("no identity");
            drawn.into_iter().map(|nonces| nonces.respond(key, &challenge)).collect::<Vec<_>>()
        }),
        Contender::fed(
            "farthing: respond, commitment pooled",
            POOLED,
            || (0..POOLED).map(|_| commit(&h, &mut pool_rng).expect("no identity").0).collect::<Vec<_>>(),
            |pool| pool.into_iter().map(|nonces| nonces.respond(key, &challenge)).fold(0, |sum, response| sum ^ response.to_body().z.0[0]),
        ),
        Contender::new("farthing: wallet, blind and unblind", 1, || {
            let (nonces, commitment) = commit(&h, wallet_rng).expect("no identity");
            let blinding = Blinding::generate(wallet_rng);
            let (pending, challenge) = blinding.challenge(&context, key.public(), &commitment, &[1; 32]).expect("usable");
            pending.unblind(&nonces.respond(key, &challenge))
        }),
        Contender::fed("farthing: verify, 3 tokens alone", 1, || vec![three.clone()], |payment| verify_batch(payment, table, three_rng)),
        Contender::new("floor of 64: decompress, multiply", 64, || floor(&floor_64)),
        Contender::new("floor of 1,024: decompress, multiply", LARGE, || floor(&floor_large)),
        Contender::new("one variable-base multiplication", 1, || floor_64.0[2] * h_element(&h)),
    ];
    for (name, rng) in BATCHES.iter().zip(&mut batch_rngs) {
        let payments = batch[..name.1].to_vec();
        contenders.push(Contender::fed(name.0, name.1, move || payments.clone(), move |payments| verify_batch(payments, table, rng)));
    }
    contenders.extend(peers::cashu());
    contenders.extend(peers::voprf());
    contenders.extend(peers::challenge_bypass());
    contenders.extend(peers::anonymous_credit_tokens());
    contenders.extend(peers::rsa());
    contenders.extend(peers::bls());
    race(&mut contenders, ROUNDS, Duration::from_millis(40));

    println!("{:<46} {:>12}", "microseconds a token, median", "");
    for contender in &contenders {
        println!("{:<46} {:>12.2}", contender.name(), contender.median());
    }
    println!("payment frame: {size_of_one} bytes with one token, {size_of_three} with three; a token's signature 96, its key 32");
    let avx512 = cfg!(curve25519_dalek_backend = "avx512");
    println!("curve25519-dalek backend: {}", if avx512 { "avx512 where the machine has it, else avx2 or serial" } else { "default" });

    let median = |name: &str| contenders.iter().find(|contender| contender.name() == name).map_or(f64::NAN, Contender::median);
    let curve: Vec<(usize, f64)> = BATCHES.iter().map(|(name, size)| (*size, median(name))).collect();
    plot(&curve, &PLOTTED.map(|(name, label)| (label, median(name)))).expect("bench/ is writable");
    let (issue, cashu_sign, cashu_verify) =
        (median("farthing: commit and respond"), median("cashu: sign with DLEQ"), median("cashu: verify (secret key)"));
    let (batch_64, batch_large) = (median("farthing: verify, batch of 64"), median("farthing: verify, batch of 1,024"));
    let raw: serde_json::Map<String, Value> =
        contenders.iter().map(|contender| (contender.name().to_owned(), json!(contender.median()))).collect();
    let summary = json!({
        "issue_vs_cashu": issue / cashu_sign,
        "issue_pooled_vs_cashu": median("farthing: respond, commitment pooled") / cashu_sign,
        "batch_vs_cashu": batch_large / cashu_verify,
        "batch_64_vs_floor": batch_64 / median("floor of 64: decompress, multiply"),
        "batch_vs_floor": batch_large / median("floor of 1,024: decompress, multiply"),
        "three_token_vs_mult": median("farthing: verify, 3 tokens alone") / median("one variable-base multiplication"),
        "payment_bytes_one": size_of_one, "payment_bytes_three": size_of_three, "microseconds": raw,
    });
    println!("{summary}");
}

/// Draws cost a token against batch size: a curve for us, a level line for each peer, whose cost does not depend on it.
fn plot(curve: &[(usize, f64)], peers: &[(&str, f64)]) -> Result<(), Box<dyn std::error::Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/cost-per-token.svg");
    let root = SVGBackend::new(path, (900, 540)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((1_u32..2_048).log_scale(), (10.0..6_000.0_f64).log_scale())?;
    chart.configure_mesh().x_desc("tokens verified together").y_desc("microseconds a token").draw()?;
    for (index, (label, cost)) in peers.iter().enumerate() {
        let style = Palette99::pick(index + 1).stroke_width(2);
        let series = chart.draw_series(LineSeries::new([(1, *cost), (1_024, *cost)], style))?;
        series.label(format!("{label}: {cost:.0}")).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    let points = curve.iter().map(|(size, cost)| (u32::try_from(*size).unwrap_or(u32::MAX), *cost));
    let series = chart.draw_series(LineSeries::new(points, BLACK.stroke_width(3)))?;
    series.label("Farthing (public keys only)").legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK.stroke_width(3)));
    chart.configure_series_labels().position(SeriesLabelPosition::Coordinate(330, 110)).label_font(("sans-serif", 15)).draw()?;
    root.present()?;
    Ok(())
}

fn h_element(h: &Point) -> RistrettoPoint {
    CompressedRistretto(h.to_bytes()).decompress().expect("a valid point")
}
