//! Every limit at its edge (the last value that is taken, the first that is not), and every type's account of what it holds.

#[allow(dead_code, reason = "other tests use more of it")]
mod common;

use std::collections::BTreeSet;

use common::{DAY, World, proposal, signing_keys};
use farthing_protocol::amount::{Amount, Unit, split};
use farthing_protocol::error::{IssueError, KeysetError, PaymentError, RefundError, RestoreError};
use farthing_protocol::filter::{LARGEST, LIMIT, SpentMark, SpentSegment};
use farthing_protocol::group::Point;
use farthing_protocol::http::{Credential, pass_resource};
use farthing_protocol::issue::{FundingKeys, Issue, MAX_OUTPUTS, Open};
use farthing_protocol::keyset::{Keyset, KeysetList, MAX_DENOMINATIONS, PUBLISHED_AHEAD, Proposal, SHORTEST_ISSUE, Windows};
use farthing_protocol::payment::{Deposit, MAX_RECIPIENT, Payment, PaymentTerms};
use farthing_protocol::proof::{KeysetId, LoneKey, SpentKey};
use farthing_protocol::receipt::PublisherReceipt;
use farthing_protocol::recovery::{Recovery, SessionOrigin};
use farthing_protocol::refund::{self, Refund, RefundRefusal};
use farthing_protocol::restore::{Bucket, GAP, RecordedSession, find};
use farthing_protocol::settle::Refusal;
use farthing_protocol::snowblind::SigningKey;
use farthing_protocol::token::{MAX_TOKENS, OwnedTokens};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{
    Bytes, ClaimBody, CommitmentBody, FundingBody, IssueRequestFrame, OpenRequestFrame, ProofBody, RecordedOutputBody, ResponseBody,
};

fn terms(amount: u64) -> PaymentTerms<'static> {
    PaymentTerms { recipient: "news.example", amount: Amount::from_units(amount), deposit_by: 3_600, subject: [5; 32] }
}

// ---- payments ----

#[test]
fn a_payment_says_what_was_paid_with_and_until_when() {
    let mut world = World::new(1);
    let tokens = OwnedTokens::new(world.tokens(&[200, 500])).unwrap();
    assert_eq!(tokens.value(), Some(Amount::from_units(700)));
    let (payment, used) = tokens.pay(&terms(600), &mut world.rng).unwrap();
    assert_eq!(used.value(), Some(Amount::from_units(700)));
    let received = Payment::from_frame(&payment.to_frame()).unwrap();
    for payment in [&payment, &received] {
        assert_eq!((payment.amount().units(), payment.value().units(), payment.deposit_by()), (600, 700, 3_600));
        assert!(payment.tokens() == used.tokens());
        assert!(payment.tokens().iter().map(|token| *token.spent_key()).collect::<Vec<_>>() == used.list());
    }
    assert!(payment.tokens().iter().all(|token| token.keyset() == world.keyset().id()));
    let deposit = Deposit::new("news.example", [5; 32], payment).unwrap();
    assert_eq!(deposit.recipient(), "news.example");
    assert!(deposit.payment() == &received);
    assert!(Deposit::from_body(&deposit.to_body()).unwrap() == deposit);
}

#[test]
fn a_payment_holds_24_tokens_and_a_recipient_260_bytes() {
    let mut world = World::new(1);
    let tokens = OwnedTokens::new(world.tokens(&[1; MAX_TOKENS])).unwrap();
    // All of their value may be paid.
    let (payment, _) = tokens.pay(&terms(24), &mut world.rng).unwrap();
    let payment = Payment::from_frame(&payment.to_frame()).unwrap();
    assert_eq!(payment.change(), Amount::ZERO);
    assert!(payment.state("news.example", [5; 32]).verify(&world.table, &mut world.rng).is_ok());
    let deposit = |length| Deposit::new(&"x".repeat(length), [5; 32], payment.clone()).err();
    assert_eq!((deposit(MAX_RECIPIENT), deposit(MAX_RECIPIENT + 1)), (None, Some(PaymentError::RecipientTooLong)));
}

#[test]
fn a_refund_names_its_publisher_in_at_most_260_bytes() {
    let mut world = World::new(1);
    let key = LoneKey::generate(&mut world.rng);
    let (root, payment) = (world.root(), farthing_protocol::proof::PaymentId([7; 32]));
    for (length, expected) in [(MAX_RECIPIENT, None), (MAX_RECIPIENT + 1, Some(RefundError::PublisherTooLong))] {
        let name = "x".repeat(length);
        let frame = refund::request(&root, payment, &name, &key, &mut world.rng).unwrap();
        let read = Refund::from_frame(&frame);
        assert_eq!(read.as_ref().err().copied(), expected);
        if let Ok(read) = read {
            assert_eq!(read.publisher(), name);
            let checked = read.verify(&root, key.public()).unwrap();
            assert_eq!((checked.payment(), checked.publisher()), (payment, name.as_str()));
        }
    }
}

#[test]
fn every_refusal_has_a_number_and_a_code_of_its_own_and_unknown_ones_are_kept() {
    let refusals = Refusal::ALL.iter().map(|one| (one.number(), one.code(), Refusal::from_number(one.number()) == *one));
    let refunds = RefundRefusal::ALL.iter().map(|one| (one.number(), one.code(), RefundRefusal::from_number(one.number()) == *one));
    let (refusals, refunds): (Vec<_>, Vec<_>) = (refusals.collect(), refunds.collect());
    assert_eq!(refunds.iter().map(|one| one.1).collect::<Vec<_>>(), ["refund-unknown-payment", "refund-paid-out"]);
    assert!(refusals.iter().all(|one| one.1.starts_with("refused-") && one.1 != "refused-other"));
    for all in [&refusals, &refunds] {
        assert!(all.iter().all(|(number, _, reads_back)| *number > 0 && *reads_back));
        assert_eq!(all.iter().map(|one| one.0).collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|one| one.1).collect::<BTreeSet<_>>().len(), all.len());
    }
    let (newer, newer_refund) = (Refusal::from_number(900), RefundRefusal::from_number(900));
    assert_eq!((newer, newer.number(), newer.code()), (Refusal::Other(900), 900, "refused-other"));
    assert_eq!((newer_refund, newer_refund.number(), newer_refund.code()), (RefundRefusal::Other(900), 900, "refund-refused-other"));
}

// ---- amounts ----

#[test]
fn amounts_neither_wrap_nor_go_below_nothing() {
    let [zero, one, all] = [0, 1, u64::MAX].map(Amount::from_units);
    assert_eq!((all.checked_add(one), all.checked_add(zero)), (None, Some(all)));
    assert_eq!((zero.checked_sub(one), all.checked_sub(one)), (None, Some(Amount::from_units(u64::MAX - 1))));
    assert_eq!((Amount::checked_sum([all, one]), Amount::checked_sum([one, one])), (None, Some(Amount::from_units(2))));
    assert_eq!((zero.is_zero(), one.is_zero(), zero), (true, false, Amount::ZERO));
    assert_eq!(all.to_string(), "18446744073709551615");
}

#[test]
fn an_amount_splits_into_at_most_65_536_of_one_denomination() {
    let one = [Amount::from_units(1)];
    assert_eq!(split(Amount::from_units(1 << 16), &one).map(|parts| parts.len()), Some(1 << 16));
    assert_eq!(split(Amount::from_units((1 << 16) + 1), &one), None);
    // A denomination of nothing makes nothing, whatever the order they are named in.
    let mixed = [5, 0, 2].map(Amount::from_units);
    assert_eq!(split(Amount::from_units(9), &mixed), Some([2, 2, 5].map(Amount::from_units).to_vec()));
}

#[test]
fn a_unit_has_three_letters_and_up_to_nine_decimals() {
    for (currency, decimals, lawful) in [("eur", 9, true), ("eur", 0, true), ("eur", 10, false), ("eu", 2, false), ("e1r", 2, false)] {
        assert_eq!(Unit::new(currency, decimals).is_ok(), lawful, "{currency} {decimals}");
    }
    let (fine, whole) = (Unit::new("usd", 9).unwrap(), Unit::new("jpy", 0).unwrap());
    assert_eq!((fine.currency(), fine.decimals(), fine.units_per_main()), ("usd", 9, 1_000_000_000));
    assert_eq!((whole.name(), whole.display(Amount::from_units(12))), ("jpy/1".into(), "12 JPY".into()));
    assert_eq!((whole.parse("12"), whole.parse("12.0")), (Some(Amount::from_units(12)), None));
    assert_eq!(fine.parse("0.000000001"), Some(Amount::from_units(1)));
}

// ---- issuing ----

#[test]
fn a_session_has_up_to_256_outputs() {
    let mut world = World::new(1);
    assert_eq!(world.tokens(&[1; MAX_OUTPUTS]).len(), MAX_OUTPUTS);
    let one_more = [1; MAX_OUTPUTS + 1];
    assert_eq!((world.plan(&[]).amount(), world.plan(&one_more).amount()), (Err(IssueError::OutputCount), Err(IssueError::OutputCount)));
    let proof = ProofBody { t: [0; 32].into(), u: [0; 32].into() };
    let asked = |count| IssueRequestFrame { session: [9; 16].into(), challenges: vec![[1; 32].into(); count], proof };
    for count in [0, MAX_OUTPUTS + 1] {
        assert_eq!(Issue::from_frame(&asked(count)).err(), Some(IssueError::OutputCount), "{count}");
    }
}

#[test]
fn change_and_what_is_taken_back_name_their_payment_and_nothing_else_does() {
    let mut world = World::new(1);
    let root = world.root();
    let (voucher, terms) = (VoucherCode::generate(&mut world.rng).key().unwrap(), terms(600));
    let tokens = OwnedTokens::new(world.tokens(&[200, 500])).unwrap();
    let (payment, used) = tokens.pay(&terms, &mut world.rng).unwrap();
    let stated = payment.state(terms.recipient, terms.subject);
    let id = stated.verify(&world.table, &mut world.rng).unwrap().spending().payment_id();
    let fundings = [
        (FundingKeys::Change(&used, terms.statement()), Some(id)),
        (FundingKeys::Reclaim(&used, terms.statement()), Some(id)),
        (FundingKeys::Voucher(&voucher), None),
        (FundingKeys::Refresh(&used), None),
    ];
    for (funding, named) in fundings {
        let request = world.plan(&[200, 500]).open(&root, &funding, &mut world.rng).unwrap();
        let open = Open::from_frame(&request).unwrap();
        assert_eq!(open.funding().payment_id(), named);
    }
}

fn recorded(recovery: u8, outputs: usize) -> Result<RecordedSession, RestoreError> {
    let output = RecordedOutputBody {
        denomination: 5,
        commitment: CommitmentBody { a: [1; 32].into(), b: [2; 32].into() },
        response: ResponseBody { b: [3; 32].into(), y: [4; 32].into(), z: [5; 32].into() },
    };
    RecordedSession::new([recovery; 32], vec![output; outputs])
}

#[test]
fn a_recorded_session_has_1_to_256_outputs_and_takes_as_many_indices() {
    for count in [1, 2, MAX_OUTPUTS] {
        let session = recorded(7, count).unwrap();
        assert_eq!((session.outputs(), session.denominations()), (count, vec![Amount::from_units(5); count]));
    }
    for count in [0, MAX_OUTPUTS + 1] {
        assert_eq!(recorded(7, count).err(), Some(RestoreError::OutputCount));
    }
}

#[test]
fn a_bucket_holds_64_sessions_and_is_closed_then() {
    let keyset = KeysetId([7; 32]);
    let bucket = |count| Bucket::new(keyset, 3, (0..count).rev().map(|number| recorded(number, 1).unwrap()).collect());
    for (count, closed) in [(0, false), (63, false), (64, true)] {
        let bucket = bucket(count).unwrap();
        assert_eq!((bucket.sessions().len(), bucket.is_closed()), (usize::from(count), closed));
        assert!(bucket.sessions().is_sorted_by_key(RecordedSession::recovery));
        assert!(Bucket::from_frame(&bucket.to_frame(), keyset, 3).unwrap() == bucket);
    }
    assert_eq!(bucket(65).err(), Some(RestoreError::TooManySessions));
    let twice = vec![recorded(1, 1).unwrap(), recorded(1, 2).unwrap()];
    assert_eq!(Bucket::new(keyset, 3, twice).err(), Some(RestoreError::NotSorted));
}

#[test]
fn a_claim_names_up_to_24_outputs_of_up_to_256() {
    let world = World::new(1);
    let (root, keyset) = (world.root(), world.keyset().id());
    let denomination = Amount::from_units(5);
    let claim = |outputs: usize, tokens: u8| {
        let denominations = vec![denomination; outputs];
        let origin = SessionOrigin { root: &root, keyset, denominations: &denominations, first_index: 0 };
        let names: Vec<_> = (0..tokens).map(|place| (place, SpentKey { keyset, denomination, key: [place; 32] })).collect();
        let claim = Recovery::new(&world.seed, &origin, &names);
        // As it comes to the mint, which counts by itself.
        let read = Open::from_frame(&OpenRequestFrame {
            keyset: keyset.0.into(),
            denominations: vec![denomination.units(); usize::from(tokens.max(1))],
            funding: FundingBody::Recovery {
                keyset: keyset.0.into(),
                session: world.seed.recovery_hash(&root, 0).into(),
                leaves: vec![[1; 32].into(); outputs],
                claims: (0..tokens)
                    .map(|place| ClaimBody { position: place, denomination: 5, key: [place; 32].into(), secret: [2; 32].into() })
                    .collect(),
            },
            recovery: [3; 32].into(),
            recovery_commitment: [4; 32].into(),
            proof: ProofBody { t: (*Point::generator().as_bytes()).into(), u: [5; 32].into() },
        });
        assert_eq!(read.err(), claim.as_ref().err().copied());
        claim
    };
    for (outputs, tokens) in [(1, 1), (MAX_OUTPUTS, 24)] {
        let claim = claim(outputs, tokens).unwrap();
        assert_eq!((claim.list().len(), claim.value()), (tokens.into(), Some(Amount::from_units(5 * u64::from(tokens)))));
    }
    for (outputs, tokens) in [(1, 0), (1, 2), (0, 0), (MAX_OUTPUTS, 25), (MAX_OUTPUTS + 1, 1)] {
        assert_eq!(claim(outputs, tokens).err(), Some(IssueError::InvalidFunding), "{tokens} of {outputs}");
    }
}

#[test]
fn a_search_ends_after_65_536_indices_without_a_session() {
    let world = World::new(1);
    let (root, seed) = (world.root(), &world.seed);
    let at = |index| seed.recovery_hash(&root, index);
    // Each is looked for anew behind the one before; the last is one index too far.
    let (first, second, third) = (GAP - 1, 2 * GAP - 1, 3 * GAP);
    let hashes = [first, second, third].map(at).into();
    assert_eq!(find(seed, &root, 0, &hashes), [(first, at(first)), (second, at(second))]);
    // Behind the last index there is none.
    assert_eq!(find(seed, &root, u64::MAX - 1, &[at(u64::MAX)].into()), [(u64::MAX, at(u64::MAX))]);
}

// ---- keysets ----

fn next(world: &mut World, published: u64, windows: Windows) -> Result<KeysetId, KeysetError> {
    let (keys, receipt) = (signing_keys(&mut world.rng), LoneKey::generate(&mut world.rng));
    let next = Proposal { windows, ..proposal(published, 0, &receipt, &keys) };
    world.list.announce(next, &world.root, &mut world.rng)
}

/// A window of issuing, and all others with it.
fn issuing(from: u64, until: u64) -> Windows {
    Windows { issue_from: from, issue_until: until, spend_until: until, refresh_until: until, deposit_until: until }
}

#[test]
fn a_keyset_is_published_a_day_ahead_and_issues_for_a_week() {
    assert_eq!((PUBLISHED_AHEAD, SHORTEST_ISSUE), (DAY, 7 * DAY));
    let mut world = World::new(1);
    assert_eq!(next(&mut world, DAY, issuing(2 * DAY - 1, 20 * DAY)), Err(KeysetError::PublishedLate));
    assert_eq!(next(&mut world, DAY, issuing(2 * DAY, 9 * DAY - 1)), Err(KeysetError::InvalidWindows));
    let id = next(&mut world, DAY, issuing(2 * DAY, 9 * DAY)).unwrap();
    // Two may be announced in the same second, none before an earlier one.
    assert_eq!(next(&mut world, DAY - 1, issuing(40 * DAY, 50 * DAY)), Err(KeysetError::PublishedLate));
    next(&mut world, DAY, issuing(40 * DAY, 50 * DAY)).unwrap();
    let keyset = world.list.get(&id).unwrap();
    assert_eq!((keyset.number(), keyset.published(), *keyset.windows()), (1, DAY, issuing(2 * DAY, 9 * DAY)));
    assert_eq!(world.list.keysets().iter().map(Keyset::number).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_keyset_that_stops_when_two_others_begin_may_issue_before_them() {
    let mut world = World::new(1);
    next(&mut world, DAY, issuing(60 * DAY, 70 * DAY)).unwrap();
    next(&mut world, DAY, issuing(60 * DAY, 70 * DAY)).unwrap();
    assert_eq!(next(&mut world, DAY, issuing(45 * DAY, 60 * DAY + 1)), Err(KeysetError::TooManyIssuing));
    next(&mut world, DAY, issuing(45 * DAY, 60 * DAY)).unwrap();
    // After them likewise.
    assert_eq!(next(&mut world, DAY, issuing(70 * DAY - 1, 80 * DAY)), Err(KeysetError::TooManyIssuing));
    next(&mut world, DAY, issuing(70 * DAY, 80 * DAY)).unwrap();
}

#[test]
fn a_keyset_has_up_to_32_denominations_and_finds_the_key_of_each() {
    for (count, lawful) in [(MAX_DENOMINATIONS, true), (MAX_DENOMINATIONS + 1, false)] {
        let mut world = World::new(1);
        let keys: Vec<_> = (1..=count as u64).map(|units| (Amount::from_units(units), SigningKey::generate(&mut world.rng))).collect();
        let receipt = LoneKey::generate(&mut world.rng);
        let announced = world.list.announce(proposal(DAY, 2 * DAY, &receipt, &keys), &world.root, &mut world.rng);
        assert_eq!(announced.err(), (!lawful).then_some(KeysetError::InvalidDenominations));
        let mut frame = world.list.to_frame();
        if lawful {
            assert!(KeysetList::verify(&frame, &world.root()).is_ok());
            let keyset = &world.list.keysets()[1];
            assert!(keyset.keys().iter().all(|(denomination, key)| keyset.key(*denomination) == Some(key)));
            assert!(keyset.key(Amount::ZERO).is_none() && keyset.key(Amount::from_units(33)).is_none());
            assert_eq!(keyset.denominations(), keys.iter().map(|(denomination, _)| *denomination).collect::<Vec<_>>());
            assert_eq!(keyset.receipt_key(), receipt.public());
            assert!(world.list.knows_receipt_key(receipt.public().as_bytes()) && !world.list.knows_receipt_key(world.root().as_bytes()));
        } else {
            // More than the most is refused before a point is decoded.
            frame.keysets[0].keys = vec![(1, Bytes([0xff; 32])); count];
            assert_eq!(KeysetList::verify(&frame, &world.root()).err(), Some(KeysetError::InvalidDenominations));
        }
    }
}

#[test]
fn each_window_of_a_keyset_ends_with_the_second_before_its_bound() {
    let mut world = World::new(1);
    let windows =
        Windows { issue_from: 2 * DAY, issue_until: 10 * DAY, spend_until: 20 * DAY, refresh_until: 30 * DAY, deposit_until: 40 * DAY };
    let id = next(&mut world, DAY, windows).unwrap();
    let keyset = world.list.get(&id).unwrap();
    let at = |now| (keyset.issues_at(now), keyset.spendable_at(now), keyset.refreshable_at(now), keyset.depositable_at(now));
    for (now, expected) in [
        (2 * DAY - 1, (false, false, true, true)),
        (2 * DAY, (true, true, true, true)),
        (10 * DAY - 1, (true, true, true, true)),
        (10 * DAY, (false, true, true, true)),
        (20 * DAY - 1, (false, true, true, true)),
        (20 * DAY, (false, false, true, true)),
        (30 * DAY - 1, (false, false, true, true)),
        (30 * DAY, (false, false, false, true)),
        (40 * DAY - 1, (false, false, false, true)),
        (40 * DAY, (false, false, false, false)),
    ] {
        assert_eq!(at(now), expected, "{now}");
    }
    // The newest that issues, of the unit asked for.
    let (eur, usd) = (Unit::default_eur(), Unit::new("usd", 5).unwrap());
    let number = |unit, now| world.list.issuing(unit, now).map(Keyset::number);
    assert_eq!(
        [number(&eur, 2 * DAY - 1), number(&eur, 2 * DAY), number(&eur, 10 * DAY), number(&eur, 30 * DAY)],
        [Some(0), Some(1), Some(0), None]
    );
    assert_eq!(number(&usd, 2 * DAY), None);
}

#[test]
fn a_list_follows_itself_and_names_its_heads() {
    let mut world = World::new(1);
    let first = world.list.head();
    next(&mut world, DAY, issuing(2 * DAY, 10 * DAY)).unwrap();
    let list = &world.list;
    assert_eq!(list.follow(&list.to_frame()).unwrap().head(), list.head());
    assert_eq!([list.number_of_head(&first), list.number_of_head(&list.head()), list.number_of_head(&[1; 32])], [Some(0), Some(1), None]);
    assert_eq!((list.root(), list.keysets().len(), list.get(&KeysetId([9; 32])).is_none()), (&world.root(), 2, true));
    assert_eq!(KeysetList::new(world.root()).head(), [0; 32]);
}

// ---- filters of spent tokens ----

/// A segment of so many fingerprints of two bytes with these numbers in its header.
fn segment(first: u64, count: u64, block: u32, starts: u32, fingerprints: usize) -> Option<SpentSegment> {
    let numbers = [first.to_le_bytes(), count.to_le_bytes(), [3; 8]].concat();
    let header = [&b"fspent/2"[..], &[7; 32], &numbers, &block.to_le_bytes(), &starts.to_le_bytes()].concat();
    SpentSegment::from_bytes(&[header, vec![0; 2 * fingerprints]].concat())
}

#[test]
fn a_segment_is_read_only_if_every_look_up_stays_inside_it() {
    assert!(segment(0, 1, 64, 64, 192).is_some_and(|read| read.size() == 456 && read.range() == (0, 1)));
    for (what, block, starts, fingerprints) in [
        ("a block that is no power of two", 48, 48, 144),
        ("no block", 0, 64, 64),
        ("no place to begin", 64, 0, 128),
        ("a part of a block", 64, 32, 160),
        ("one fingerprint short", 64, 64, 191),
        ("one fingerprint more", 64, 64, 193),
        ("a longer block than any builder makes", 1 << 19, 1 << 19, 3 << 19),
    ] {
        assert!(segment(0, 1, block, starts, fingerprints).is_none(), "{what}");
    }
    assert!(segment(0, 1, 1 << 18, 1 << 18, 3 << 18).is_some());
    let read = segment(0, 1, 64, 64, 192).unwrap().to_bytes();
    assert!(SpentSegment::from_bytes(&read[..read.len() - 1]).is_none() && SpentSegment::from_bytes(&[&read[..], &[0]].concat()).is_none());
    // The longest, block by block.
    let longest = (LIMIT - 72) / 2;
    for (length, lawful) in [(longest, true), (longest + 4, false)] {
        assert_eq!(segment(0, 1, 4, u32::try_from(length - 8).unwrap(), length).is_some(), lawful, "{length}");
    }
}

#[test]
fn a_segment_counts_tokens_that_can_be() {
    let counted = |first, count| segment(first, count, 64, 64, 192).is_some();
    assert!(counted(0, 1) && counted(0, LARGEST) && counted(u64::MAX - 5, 5));
    assert!(!counted(0, 0) && !counted(0, LARGEST + 1) && !counted(u64::MAX - 4, 5));
    let mark = SpentMark::of(&SpentKey { keyset: KeysetId([7; 32]), denomination: Amount::from_units(1), key: [9; 32] });
    assert!(SpentMark::from_bytes(mark.to_bytes()) == mark);
    for (count, lawful) in [(LARGEST, true), (LARGEST + 1, false)] {
        let marks = vec![mark; usize::try_from(count).unwrap()];
        assert_eq!(SpentSegment::build(KeysetId([7; 32]), 0, marks).is_some(), lawful, "{count}");
    }
}

// ---- what is printed, and texts that are hashed ----

#[test]
fn what_is_secret_or_names_a_token_is_printed_as_its_kind() {
    let mut world = World::new(1);
    let proof = world.root.prove(
        farthing_protocol::proof::Purpose::Announce,
        &farthing_protocol::proof::Statement::from_bytes([1; 32]),
        &mut world.rng,
    );
    assert_eq!(format!("{:?}", proof.unwrap()), "KeyProof(..)");
    assert_eq!(format!("{:?}", world.root()), "Point(..)");
    assert_eq!(format!("{:?}", VoucherCode::generate(&mut world.rng)), "VoucherCode(..)");
    assert_eq!(format!("{:?}", Bytes([0xab; 32])), "[32 bytes]");
    let payment = Credential::Payment { payment: "bytes".into(), salt: "salt".into() };
    assert_eq!(format!("{payment:?} {:?}", Credential::Reread { reread: "bytes".into() }), "Payment(..) Reread(..)");
    let receipt = PublisherReceipt {
        payment: farthing_protocol::proof::PaymentId([1; 32]),
        publisher: "news.example".into(),
        amount: Amount::from_units(1),
        settled: true,
        resource: [2; 32],
        paid_at: 3,
        access_until: 4,
    };
    assert_eq!(format!("{receipt:?}"), "PublisherReceipt(..)");
}

#[test]
fn a_pass_has_an_address_that_no_page_has() {
    assert_eq!(pass_resource("https", "news.example", "/sport/"), "pass https://news.example/sport/");
}

#[test]
fn points_are_ordered_like_their_encodings() {
    let world = World::new(1);
    let keys: Vec<_> = world.keyset().keys().iter().map(|(_, key)| *key).collect();
    for (a, b) in keys.iter().zip(&keys[1..]).chain([(&keys[0], &keys[0])]) {
        assert_eq!((a.cmp(b), a.partial_cmp(b)), (a.to_bytes().cmp(&b.to_bytes()), Some(a.to_bytes().cmp(&b.to_bytes()))));
    }
}
