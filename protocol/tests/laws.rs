//! Laws that hold for every input: round trips, no panics, what verifies and what does not, conservation of value.

#[allow(dead_code, reason = "other tests use more of it")]
mod common;

use std::sync::LazyLock;

use common::World;
use farthing_protocol::amount::{Amount, Unit, default_denominations, split};
use farthing_protocol::error::{FrameError, ProofError};
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::group::Point;
use farthing_protocol::issue::{Issue, Open, PendingTokens};
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::payment::{Deposit, Payment, PaymentTerms};
use farthing_protocol::proof::{KeysetId, PaymentId};
use farthing_protocol::refund::{self, Refund};
use farthing_protocol::restore::Bucket;
use farthing_protocol::settle::verify_answer;
use farthing_protocol::snowblind::{Challenge, Commitment, Response, Signature};
use farthing_protocol::spending::{Spending, verify_batch};
use farthing_protocol::token::OwnedTokens;
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::*;
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const SUBJECT: [u8; 32] = [5; 32];

fn world(number: u64) -> World {
    World::new(number)
}

fn bytes<const N: usize>() -> impl Strategy<Value = Bytes<N>> {
    any::<u64>().prop_map(|seed| {
        let mut bytes = [0; N];
        Rng::fill_bytes(&mut StdRng::seed_from_u64(seed), &mut bytes);
        Bytes(bytes)
    })
}

fn proof() -> impl Strategy<Value = ProofBody> {
    (bytes(), bytes()).prop_map(|(t, u)| ProofBody { t, u })
}

fn signature() -> impl Strategy<Value = SignatureBody> {
    (bytes(), bytes(), bytes()).prop_map(|(r, s, t)| SignatureBody { r, s, t })
}

fn tokens() -> impl Strategy<Value = TokensBody> {
    let token = (any::<u8>(), any::<u64>(), bytes(), signature()).prop_map(|(keyset, denomination, key, signature)| TokenBody {
        keyset,
        denomination,
        key,
        signature,
    });
    (vec(bytes(), 0..4), vec(token, 0..5)).prop_map(|(keysets, tokens)| TokensBody { keysets, tokens })
}

fn payment() -> impl Strategy<Value = PaymentFrame> {
    let parts = (any::<u64>(), any::<u64>(), tokens(), proof());
    parts.prop_map(|(amount, deposit_by, tokens, proof)| PaymentFrame { amount, deposit_by, tokens, proof })
}

fn spent_key() -> impl Strategy<Value = SpentKeyBody> {
    (bytes(), any::<u64>(), bytes()).prop_map(|(keyset, denomination, key)| SpentKeyBody { keyset, denomination, key })
}

fn claim() -> impl Strategy<Value = ClaimBody> {
    let parts = (any::<u8>(), any::<u64>(), bytes(), bytes());
    parts.prop_map(|(position, denomination, key, secret)| ClaimBody { position, denomination, key, secret })
}

fn double_spend() -> impl Strategy<Value = DoubleSpendFrame> {
    let side =
        || (bytes(), vec(spent_key(), 0..4), proof()).prop_map(|(statement, list, proof)| SpendingSideBody { statement, list, proof });
    (spent_key(), signature(), side(), side()).prop_map(|(token, signature, a, b)| DoubleSpendFrame { token, signature, sides: [a, b] })
}

fn open_request() -> impl Strategy<Value = OpenRequestFrame> {
    let funding =
        prop_oneof![
            bytes().prop_map(FundingBody::Voucher),
            tokens().prop_map(FundingBody::Refresh),
            (bytes(), vec(spent_key(), 0..4)).prop_map(|(statement, list)| FundingBody::Change { statement, list }),
            (bytes(), vec(spent_key(), 0..4)).prop_map(|(statement, list)| FundingBody::Reclaim { statement, list }),
            (bytes(), bytes(), vec(bytes(), 0..4), vec(claim(), 0..4))
                .prop_map(|(keyset, session, leaves, claims)| FundingBody::Recovery { keyset, session, leaves, claims }),
        ];
    let parts = (bytes(), vec(any::<u64>(), 0..9), funding, (bytes(), bytes()), proof());
    parts.prop_map(|(keyset, denominations, funding, (recovery, recovery_commitment), proof)| OpenRequestFrame {
        keyset,
        denominations,
        funding,
        recovery,
        recovery_commitment,
        proof,
    })
}

fn mark() -> impl Strategy<Value = LedgerMark> {
    (bytes(), any::<u64>()).prop_map(|(ledger, sequence)| LedgerMark { ledger, sequence })
}

fn deposit_request() -> impl Strategy<Value = DepositRequestFrame> {
    let deposit =
        ("[a-z.]{0,30}", bytes(), payment()).prop_map(|(recipient, subject, payment)| DepositBody { recipient, subject, payment });
    (proptest::option::of(mark()), vec(deposit, 0..4)).prop_map(|(seen, payments)| DepositRequestFrame { seen, payments })
}

fn deposit_response() -> impl Strategy<Value = DepositResponseFrame> {
    let outcome = prop_oneof![
        any::<u64>().prop_map(|change| OutcomeBody::Credited { change }),
        any::<u64>().prop_map(|change| OutcomeBody::AlreadyCredited { change }),
        Just(OutcomeBody::Refunded),
        double_spend().prop_map(|proof| OutcomeBody::DoubleSpent(Box::new(proof))),
        any::<u16>().prop_map(OutcomeBody::Refused),
    ];
    (mark(), bytes(), vec(outcome, 0..5), proof()).prop_map(|(mark, receipt_key, outcomes, proof)| DepositResponseFrame {
        mark,
        receipt_key,
        outcomes,
        proof,
    })
}

fn keyset_list() -> impl Strategy<Value = KeysetListFrame> {
    let keyset = (any::<u64>(), "[a-z]{0,5}", any::<u8>(), any::<[u64; 5]>(), bytes(), vec((any::<u64>(), bytes()), 0..4), proof());
    let keyset = keyset.prop_map(|(published, currency, decimals, windows, receipt_key, keys, proof)| KeysetBody {
        published,
        currency,
        decimals,
        windows,
        receipt_key,
        keys,
        proof,
    });
    (bytes(), vec(keyset, 0..4)).prop_map(|(root, keysets)| KeysetListFrame { root, keysets })
}

fn refund_response() -> impl Strategy<Value = RefundResponseFrame> {
    let outcome = prop_oneof![
        Just(RefundOutcomeBody::Refunded),
        Just(RefundOutcomeBody::AlreadyRefunded),
        any::<u16>().prop_map(RefundOutcomeBody::Refused),
    ];
    let parts = (mark(), bytes(), outcome, proof());
    parts.prop_map(|(mark, receipt_key, outcome, proof)| RefundResponseFrame { mark, receipt_key, outcome, proof })
}

fn restore_bucket() -> impl Strategy<Value = RestoreBucketFrame> {
    let output = (any::<u64>(), bytes(), bytes(), bytes(), bytes(), bytes()).prop_map(|(denomination, a, c, b, y, z)| RecordedOutputBody {
        denomination,
        commitment: CommitmentBody { a, b: c },
        response: ResponseBody { b, y, z },
    });
    let session = (bytes(), vec(output, 0..4)).prop_map(|(recovery, outputs)| RecordedSessionBody { recovery, outputs });
    let parts = (bytes(), any::<u64>(), vec(session, 0..4));
    parts.prop_map(|(keyset, bucket, sessions)| RestoreBucketFrame { keyset, bucket, sessions })
}

/// Decodes to the same frame and encodes to the same bytes; as JSON too; and every cut or longer one is refused.
fn round_trips<F: Frame + PartialEq + std::fmt::Debug>(frame: &F, cut: usize) {
    let bytes = frame.to_bytes();
    let decoded = F::from_bytes(&bytes).unwrap();
    assert!(decoded == *frame);
    assert_eq!(decoded.to_bytes(), bytes);
    let json = serde_json::to_string(frame).unwrap();
    assert!(serde_json::from_str::<F>(&json).unwrap() == *frame);
    assert_eq!(F::from_bytes(&bytes[..cut % bytes.len()]).err(), Some(FrameError::Truncated));
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(F::from_bytes(&longer).err(), Some(FrameError::TrailingBytes | FrameError::TooLong)));
}

/// Whatever decodes goes on into the validated types, none of which may panic.
fn nothing_panics(bytes: &[u8]) {
    let mut rng = StdRng::seed_from_u64(0);
    let world = &*STATIC_WORLD;
    if let Ok(frame) = PaymentFrame::from_bytes(bytes)
        && let Ok(payment) = Payment::from_frame(&frame)
    {
        let _ = payment.state("news.example", SUBJECT).verify(&world.table, &mut rng);
        assert!(payment.to_frame() == frame);
    }
    if let Ok(frame) = DepositRequestFrame::from_bytes(bytes) {
        let _ = frame.payments.iter().map(Deposit::from_body).collect::<Vec<_>>();
    }
    if let Ok(frame) = OpenRequestFrame::from_bytes(bytes)
        && let Ok(open) = Open::from_frame(&frame)
    {
        let _ = (open.funding().keys(), open.funding().payment_id());
        let _ = open.verify(world.root.public(), &world.table, &mut rng);
    }
    if let Ok(frame) = OpenResponseFrame::from_bytes(bytes) {
        let _ = frame.commitments.iter().map(Commitment::from_body).collect::<Vec<_>>();
        for first_index in [0, u64::MAX] {
            let _: Option<PendingTokens> = world.plan(&[1, 2]).blind(&world.seed, &world.root(), world.keyset(), first_index, &frame).ok();
        }
    }
    if let Ok(frame) = IssueRequestFrame::from_bytes(bytes) {
        let _ = Issue::from_frame(&frame).map(|issue| issue.digest());
    }
    if let Ok(frame) = IssueResponseFrame::from_bytes(bytes) {
        let _ = frame.responses.iter().map(Response::from_body).collect::<Vec<_>>();
    }
    if let Ok(frame) = DepositResponseFrame::from_bytes(bytes) {
        let _ = verify_answer(&frame, &[], &world.list);
    }
    if let Ok(frame) = DoubleSpendFrame::from_bytes(bytes)
        && let Ok(proof) = DoubleSpend::from_frame(&frame)
    {
        let _ = proof.verify(&world.table);
    }
    if let Ok(frame) = KeysetListFrame::from_bytes(bytes) {
        let _ = KeysetList::verify(&frame, world.root.public());
        let _ = world.list.follow(&frame);
    }
    if let Ok(frame) = RefundRequestFrame::from_bytes(bytes) {
        let _ = Refund::from_frame(&frame).map(|refund| refund.verify(world.root.public(), world.root.public()));
    }
    if let Ok(frame) = RefundResponseFrame::from_bytes(bytes) {
        let _ = refund::verify_answer(&frame, PaymentId([1; 32]), &world.list);
    }
    if let Ok(frame) = RestoreBucketFrame::from_bytes(bytes)
        && let Ok(bucket) = Bucket::from_frame(&frame, KeysetId(frame.keyset.0), frame.bucket)
    {
        assert!(bucket.to_frame() == frame);
        for session in bucket.sessions() {
            let _ = session.restore(&world.seed, &world.root(), world.keyset(), u64::MAX);
        }
    }
    let _ = RereadFrame::from_bytes(bytes);
}

static STATIC_WORLD: LazyLock<World> = LazyLock::new(|| world(7));

fn pay(world: &mut World, denominations: &[u64], amount: u64) -> PaymentFrame {
    let tokens = world.tokens(denominations);
    let terms = PaymentTerms { recipient: "news.example", amount: Amount::from_units(amount), deposit_by: 3_600, subject: SUBJECT };
    OwnedTokens::new(tokens).unwrap().pay(&terms, &mut world.rng).unwrap().0.to_frame()
}

fn stated(frame: &PaymentFrame) -> Spending {
    Payment::from_frame(frame).unwrap().state("news.example", SUBJECT)
}

fn ascending_denominations(most: usize) -> impl Strategy<Value = Vec<u64>> {
    vec(proptest::sample::select(default_denominations()), 1..=most).prop_map(|mut all| {
        all.sort_unstable();
        all.into_iter().map(Amount::units).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_round_trip(
        payment in payment(), open in open_request(), deposits in deposit_request(), answer in deposit_response(), evidence in double_spend(),
        keysets in keyset_list(), refunded in refund_response(), bucket in restore_bucket(), cut in any::<usize>(),
    ) {
        round_trips(&payment, cut);
        round_trips(&open, cut);
        round_trips(&deposits, cut);
        round_trips(&answer, cut);
        round_trips(&evidence, cut);
        round_trips(&keysets, cut);
        round_trips(&refunded, cut);
        round_trips(&bucket, cut);
    }

    #[test]
    fn small_frames_round_trip(
        reread in (bytes(), proof()), session in bytes(), expires in any::<u64>(), pairs in vec((bytes(), bytes()), 0..9),
        challenges in vec(bytes(), 0..9), triples in vec((bytes(), bytes(), bytes()), 0..9), proof in proof(), cut in any::<usize>(),
    ) {
        round_trips(&RereadFrame { payment: reread.0, proof: reread.1 }, cut);
        round_trips(&RefundRequestFrame { payment: reread.0, publisher: "news.example".into(), proof: reread.1 }, cut);
        let commitments = pairs.into_iter().map(|(a, b)| CommitmentBody { a, b }).collect();
        round_trips(&OpenResponseFrame { session, expires, commitments }, cut);
        round_trips(&IssueRequestFrame { session, challenges, proof }, cut);
        round_trips(&IssueResponseFrame { responses: triples.into_iter().map(|(b, y, z)| ResponseBody { b, y, z }).collect() }, cut);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(kind in 0_u8..15, body in vec(any::<u8>(), 0..400)) {
        nothing_panics(&body);
        nothing_panics(&[&[VERSION, kind][..], &body].concat());
    }

    #[test]
    fn damaged_frames_never_panic(frame in deposit_response(), position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = frame.to_bytes();
        let position = position.index(bytes.len());
        bytes[position] = byte;
        nothing_panics(&bytes);
    }

    #[test]
    fn damaged_true_payments_never_panic(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        static PAYMENT: LazyLock<Vec<u8>> = LazyLock::new(|| pay(&mut world(8), &[1, 20, 500], 400).to_bytes());
        let mut bytes = PAYMENT.clone();
        let position = position.index(bytes.len());
        bytes[position] = byte;
        nothing_panics(&bytes);
    }

    #[test]
    fn points_and_scalars_are_canonical_or_refused(raw in any::<[u8; 32]>(), high in any::<bool>()) {
        let mut raw = raw;
        // Half of the time below 2^252, where most scalars are valid.
        if high {
            raw[31] &= 0x0f;
        }
        if let Ok(point) = Point::from_bytes(raw) {
            prop_assert_eq!(point.to_bytes(), raw);
        }
        if let Ok(challenge) = Challenge::from_bytes(raw) {
            prop_assert_eq!(challenge.to_bytes(), raw);
        }
        let body = SignatureBody { r: raw.into(), s: raw.into(), t: raw.into() };
        if let Ok(signature) = Signature::from_body(&body) {
            prop_assert!(signature.to_body() == body);
        }
    }

    #[test]
    fn splitting_conserves_value(amount in 0_u64..3_000_000_000) {
        let parts = split(Amount::from_units(amount), &default_denominations()).unwrap();
        prop_assert!(parts.is_sorted());
        prop_assert_eq!(Amount::checked_sum(parts.iter().copied()), Some(Amount::from_units(amount)));
        // Fewest: 1-2-5 never needs three of a kind, except of the largest.
        for denomination in default_denominations() {
            let count = parts.iter().filter(|part| **part == denomination).count();
            prop_assert!(count <= 2 || denomination.units() == 100_000);
        }
    }

    #[test]
    fn amounts_read_back(units in any::<u64>(), decimals in 0_u8..=9) {
        let unit = Unit::new("eur", decimals).unwrap();
        let text = unit.display(Amount::from_units(units));
        prop_assert_eq!(unit.parse(text.trim_end_matches(" EUR")), Some(Amount::from_units(units)));
    }

    #[test]
    fn voucher_codes_read_back(seed in any::<u64>(), spaces in any::<bool>(), text in ".{0,60}") {
        let code = VoucherCode::generate(&mut StdRng::seed_from_u64(seed));
        let written = code.expose_secret();
        let typed = if spaces { written.replace('-', " ").to_uppercase() } else { written.replace('-', "") };
        let read = VoucherCode::parse(&typed).unwrap();
        prop_assert!(*read.expose_secret() == *written);
        prop_assert!(read.key().unwrap().public() == code.key().unwrap().public());
        if let Ok(lucky) = VoucherCode::parse(&text) {
            prop_assert!(VoucherCode::parse(&lucky.expose_secret()).is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_valid_payment_verifies(number in any::<u64>(), denominations in ascending_denominations(24), share in any::<u64>()) {
        let mut world = world(number);
        let value: u64 = denominations.iter().sum();
        let frame = pay(&mut world, &denominations, 1 + share % value);
        let frame = PaymentFrame::from_bytes(&frame.to_bytes()).unwrap();
        let payment = Payment::from_frame(&frame).unwrap();
        prop_assert_eq!(payment.change().units(), value - frame.amount);
        let checked = stated(&frame).verify(&world.table, &mut world.rng).unwrap();
        prop_assert_eq!(checked.spending().list().len(), denominations.len());
        prop_assert!(SpendingSide::of(checked.spending()).payment_id() == checked.spending().payment_id());
    }
}

/// Every single bit of a payment matters: to decoding, to structure, or to a proof or signature.
#[test]
fn any_flipped_bit_fails() {
    let mut world = world(9);
    let bytes = pay(&mut world, &[500], 300).to_bytes();
    assert_eq!(bytes.len(), 267);
    let mut still_decode = Vec::new();
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(frame) = PaymentFrame::from_bytes(&flipped) else { continue };
        let Ok(payment) = Payment::from_frame(&frame) else { continue };
        let spending = payment.state("news.example", SUBJECT);
        assert!(spending.clone().verify(&world.table, &mut world.rng).is_err(), "bit {bit}");
        still_decode.push(spending);
    }
    // A good share reaches the curve: this is not a test of the decoder alone. And a batch refuses every one of them too.
    assert!(still_decode.len() > 1_000, "{}", still_decode.len());
    for batch in still_decode.chunks(256) {
        assert!(verify_batch(batch.to_vec(), &world.table, &mut world.rng).unwrap().iter().all(Result::is_err));
    }
}

/// Breaks a payment in one of four ways that only curve arithmetic notices, or leaves it alone.
fn broken(frame: &PaymentFrame, how: u8) -> (Spending, Option<ProofError>) {
    let mut frame = frame.clone();
    let expected = match how {
        0 => {
            frame.tokens.tokens[0].signature.s.0[0] ^= 1;
            Some(ProofError::InvalidSignature)
        }
        1 => {
            frame.proof.u.0[0] ^= 1;
            Some(ProofError::InvalidProof)
        }
        2 => {
            frame.deposit_by ^= 1;
            Some(ProofError::InvalidProof)
        }
        3 => {
            frame.tokens.tokens[0].signature.r.0[31] |= 0x80;
            Some(ProofError::InvalidPoint)
        }
        _ => None,
    };
    (stated(&frame), expected)
}

fn batch_agrees_with_singles(frames: &[PaymentFrame], hows: &[u8], world: &World, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (batch, expected): (Vec<_>, Vec<_>) = frames.iter().zip(hows).map(|(frame, how)| broken(frame, *how)).unzip();
    let answers = verify_batch(batch.clone(), &world.table, &mut rng).unwrap();
    assert_eq!(answers.len(), batch.len());
    for ((answer, single), expected) in answers.into_iter().zip(batch).zip(expected) {
        assert_eq!(answer.as_ref().err().copied(), expected);
        assert!(answer == single.verify(&world.table, &mut rng));
    }
}

static PAYMENTS: LazyLock<(World, Vec<PaymentFrame>)> = LazyLock::new(|| {
    let mut world = world(10);
    let payments = (0..200_usize).map(|index| pay(&mut world, &[1, 5, 20][..=index % 3], 1)).collect();
    (world, payments)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_accepts_what_singles_accept(start in 0_usize..160, hows in vec(0_u8..20, 1..=40), seed in any::<u64>()) {
        let (world, payments) = &*PAYMENTS;
        batch_agrees_with_singles(&payments[start..start + hows.len()], &hows, world, seed);
    }
}

#[test]
fn large_batches_name_their_culprits() {
    let (world, payments) = &*PAYMENTS;
    for (seed, period) in [(1, 0), (2, 67), (3, 5)] {
        // None, a few, many broken: sums with and without tables, whole groups that hold, groups that fail.
        let hows: Vec<u8> = (0..200_u8).map(|index| if period > 0 && index % period == 3 { index % 4 } else { 9 }).collect();
        batch_agrees_with_singles(payments, &hows, world, seed);
    }
}

#[test]
fn the_largest_lawful_frames_fit_their_limits() {
    let (b16, b32) = (Bytes([0xff; 16]), Bytes([0xff; 32]));
    let proof = ProofBody { t: b32, u: b32 };
    let signature = SignatureBody { r: b32, s: b32, t: b32 };
    let token = TokenBody { keyset: 23, denomination: u64::MAX, key: b32, signature };
    let tokens = TokensBody { keysets: vec![b32; 24], tokens: vec![token; 24] };
    let payment = PaymentFrame { amount: 1, deposit_by: 1, tokens: tokens.clone(), proof };
    let spent = SpentKeyBody { keyset: b32, denomination: 1, key: b32 };
    let side = SpendingSideBody { statement: b32, list: vec![spent.clone(); 24], proof };
    let evidence = DoubleSpendFrame { token: spent, signature, sides: [side.clone(), side] };
    let mark = LedgerMark { ledger: b16, sequence: 1 };
    let deposit = DepositBody { recipient: "x".repeat(260), subject: b32, payment: payment.clone() };
    let outcome = OutcomeBody::DoubleSpent(Box::new(evidence.clone()));
    round_trips(&payment, 9);
    round_trips(&evidence, 9);
    round_trips(&DepositRequestFrame { seen: Some(mark), payments: vec![deposit; 256] }, 9);
    round_trips(&DepositResponseFrame { mark, receipt_key: b32, outcomes: vec![outcome; 256], proof }, 9);
    let funding = FundingBody::Refresh(tokens);
    round_trips(&OpenRequestFrame { keyset: b32, denominations: vec![1; 256], funding, recovery: b32, recovery_commitment: b32, proof }, 9);
    // As many leaves and claims as there may be are well below the frame's limit.
    let claims = vec![ClaimBody { position: 0, denomination: 1, key: b32, secret: b32 }; 24];
    let funding = FundingBody::Recovery { keyset: b32, session: b32, leaves: vec![b32; 256], claims };
    let largest = OpenRequestFrame { keyset: b32, denominations: vec![1; 256], funding, recovery: b32, recovery_commitment: b32, proof };
    round_trips(&largest, 9);
    round_trips(&OpenResponseFrame { session: b16, expires: 1, commitments: vec![CommitmentBody { a: b32, b: b32 }; 256] }, 9);
    round_trips(&IssueRequestFrame { session: b16, challenges: vec![b32; 256], proof }, 9);
    let response = ResponseBody { b: b32, y: b32, z: b32 };
    round_trips(&IssueResponseFrame { responses: vec![response.clone(); 256] }, 9);
    round_trips(&RefundRequestFrame { payment: b32, publisher: "x".repeat(260), proof }, 9);
    round_trips(&RefundResponseFrame { mark, receipt_key: b32, outcome: RefundOutcomeBody::Refused(9), proof }, 9);
    let output = RecordedOutputBody { denomination: 1, commitment: CommitmentBody { a: b32, b: b32 }, response };
    let session = RecordedSessionBody { recovery: b32, outputs: vec![output; 256] };
    let bucket = RestoreBucketFrame { keyset: b32, bucket: 1, sessions: vec![session; 64] };
    assert_eq!(bucket.to_bytes().len(), 2_755_122);
    round_trips(&bucket, 9);
}

#[test]
fn json_credentials_hold_nothing_else() {
    use farthing_protocol::http::Credential;
    assert!(serde_json::from_str::<Credential>(r#"{"payment":"AQ","salt":"AA"}"#).is_ok());
    assert!(serde_json::from_str::<Credential>(r#"{"reread":"AQ"}"#).is_ok());
    for wrong in [r#"{"payment":"AQ"}"#, r#"{"payment":"AQ","salt":"AA","reread":"AQ"}"#, r#"{"reread":"AQ","more":1}"#, "{}"] {
        assert!(serde_json::from_str::<Credential>(wrong).is_err(), "{wrong}");
    }
    // One text for one value, in JSON as in frames.
    for wrong in ["\"AQ==\"", "\"AR\"", "\"AQE\"", "\"A\"", "\"\"", "\"A+\"", "1"] {
        assert!(serde_json::from_str::<Bytes<1>>(wrong).is_err(), "{wrong}");
    }
    assert!(serde_json::from_str::<Bytes<1>>("\"AQ\"").is_ok());
}

#[cfg(feature = "arbitrary")]
#[test]
fn arbitrary_frames_round_trip() {
    use arbitrary::{Arbitrary, Unstructured};
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..64 {
        let mut bytes = vec![0; 4_096];
        Rng::fill_bytes(&mut rng, &mut bytes);
        let mut source = Unstructured::new(&bytes);
        round_trips(&PaymentFrame::arbitrary(&mut source).unwrap(), 5);
        round_trips(&OpenRequestFrame::arbitrary(&mut source).unwrap(), 5);
        round_trips(&DoubleSpendFrame::arbitrary(&mut source).unwrap(), 5);
        round_trips(&DepositResponseFrame::arbitrary(&mut source).unwrap(), 5);
        round_trips(&KeysetListFrame::arbitrary(&mut source).unwrap(), 5);
        round_trips(&RefundRequestFrame::arbitrary(&mut source).unwrap(), 5);
        round_trips(&RefundResponseFrame::arbitrary(&mut source).unwrap(), 5);
        round_trips(&RestoreBucketFrame::arbitrary(&mut source).unwrap(), 5);
    }
}
