//! One test for every way in which a keyset list, an issue, an answer, a double-spend proof or a caller's mistake is refused, and a
//! check that no variant of these errors was forgotten.

#[allow(dead_code, reason = "other tests use more of it")]
mod common;

use common::{DAY, World, proposal, signing_keys, windows};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::error::{AnswerError, EvidenceError, IssueError, KeysetError, UseError};
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::group::Point;
use farthing_protocol::issue::{Funding, FundingKeys, Issue, Open, PendingTokens, SessionPlan, opened_frame};
use farthing_protocol::keyset::{KeysetList, PUBLISHED_AHEAD, Proposal, SHORTEST_ISSUE};
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::proof::{KeysetId, LoneKey, SpendKey};
use farthing_protocol::recovery::{Recovery, SessionOrigin};
use farthing_protocol::restore::RecordedSession;
use farthing_protocol::settle::{Outcome, sign_answer, verify_answer};
use farthing_protocol::snowblind::{Nonces, commit};
use farthing_protocol::spending::Spending;
use farthing_protocol::token::{MAX_TOKENS, OwnedToken, OwnedTokens};
use farthing_protocol::wire::{
    Bytes, ClaimBody, DepositResponseFrame, DoubleSpendFrame, FundingBody, IssueRequestFrame, IssueResponseFrame, KeysetListFrame,
    LedgerMark, OpenRequestFrame, RecordedOutputBody,
};
use zeroize::Zeroizing;

/// One test a line, and one that all variants of the error are there.
macro_rules! refusals {
    ($module:ident, $error:ident: $($(#[$doc:meta])* $variant:ident $name:ident = $run:expr;)*) => {
        mod $module {
            use super::*;
            $($(#[$doc])* #[test] fn $name() {
                assert_eq!($run.err(), Some($error::$variant));
            })*
            #[test]
            fn no_variant_is_forgotten() {
                let tested = [$($error::$variant),*];
                for variant in $error::ALL {
                    assert!(tested.contains(variant), "{variant:?}");
                }
            }
        }
    };
}

// ---- keyset lists ----

/// A second keyset, announced on day 1, issuing from day 2, after a change.
fn announced(change: impl FnOnce(&mut Proposal, &World)) -> Result<KeysetId, KeysetError> {
    let mut world = World::new(1);
    let keys = signing_keys(&mut world.rng);
    let mut next = proposal(DAY, 2 * DAY, &LoneKey::generate(&mut world.rng), &keys);
    change(&mut next, &world);
    world.list.announce(next, &world.root, &mut world.rng)
}

/// The first list, received after a change.
fn received(change: impl FnOnce(&mut KeysetListFrame)) -> Result<KeysetList, KeysetError> {
    let world = World::new(1);
    let mut frame = world.list.to_frame();
    change(&mut frame);
    KeysetList::verify(&frame, &world.root())
}

/// Two lists of one mint that agree on the first keyset and not on the second.
fn two_lists() -> (KeysetList, KeysetList) {
    let mut world = World::new(1);
    let mut other = world.list.clone();
    for list in [&mut world.list, &mut other] {
        let (keys, receipt) = (signing_keys(&mut world.rng), LoneKey::generate(&mut world.rng));
        list.announce(proposal(DAY, 2 * DAY, &receipt, &keys), &world.root, &mut world.rng).unwrap();
    }
    (world.list, other)
}

fn third_keyset(from: u64, unit: Unit) -> Result<KeysetId, KeysetError> {
    let mut world = World::new(1);
    let keys = signing_keys(&mut world.rng);
    let receipt = LoneKey::generate(&mut world.rng);
    world.list.announce(proposal(DAY, 2 * DAY, &receipt, &keys), &world.root, &mut world.rng).unwrap();
    let keys = signing_keys(&mut world.rng);
    let third = Proposal { unit, ..proposal(2 * DAY, from, &LoneKey::generate(&mut world.rng), &keys) };
    world.list.announce(third, &world.root, &mut world.rng)
}

refusals! { keyset_list, KeysetError:
    WrongRoot another_roots_list = received(|frame| frame.root = (*Point::generator().as_bytes()).into());
    WrongRoot announced_by_another_key = {
        let mut world = World::new(1);
        let next = announcement(&mut world);
        let stranger = LoneKey::generate(&mut world.rng);
        world.list.announce(next, &stranger, &mut world.rng)
    };
    EmptyList no_keysets = received(|frame| frame.keysets.clear());
    InvalidSignature flipped_proof = received(|frame| frame.keysets[0].proof.u.0[0] ^= 1);
    InvalidSignature changed_price_list = received(|frame| frame.keysets[0].keys[15].0 += 1);
    InvalidSignature changed_window = received(|frame| frame.keysets[0].windows[4] += 1);
    InvalidSignature other_receipt_key = received(|frame| frame.keysets[0].receipt_key = (*Point::generator().as_bytes()).into());
    InvalidSignature non_canonical_proof = received(|frame| frame.keysets[0].proof.u = [0xff; 32].into());
    InvalidSignature entries_swapped = {
        let (list, _) = two_lists();
        let mut frame = list.to_frame();
        // The second keyset alone, as if it were the first.
        frame.keysets.remove(0);
        KeysetList::verify(&frame, list.root())
    };
    InvalidKey identity_key = received(|frame| frame.keysets[0].keys[3].1 = [0; 32].into());
    InvalidKey non_canonical_key = received(|frame| frame.keysets[0].receipt_key = [0xff; 32].into());
    RepeatedKey the_same_key_twice_in_a_keyset = announced(|next, _| next.keys[1].1 = next.keys[0].1);
    RepeatedKey a_key_of_an_earlier_keyset = announced(|next, world| next.keys[5].1 = *world.keys[0].1.public());
    RepeatedKey the_root_key = announced(|next, world| next.keys[5].1 = world.root());
    RepeatedKey the_receipt_key_as_a_denomination = announced(|next, _| next.keys[5].1 = next.receipt_key);
    RepeatedKey an_earlier_receipt_key = announced(|next, world| next.receipt_key = *world.receipt.public());
    RepeatedKey an_earlier_denomination_as_receipt_key = announced(|next, world| next.receipt_key = *world.keys[0].1.public());
    InvalidDenominations none = announced(|next, _| next.keys.clear());
    InvalidDenominations zero = announced(|next, _| next.keys[0].0 = Amount::ZERO);
    InvalidDenominations unsorted = announced(|next, _| next.keys.swap(3, 4));
    InvalidDenominations one_twice = announced(|next, _| next.keys[4].0 = next.keys[3].0);
    InvalidDenominations too_many = announced(|next, world| {
        next.keys = (1..34).map(|units| (Amount::from_units(units), world.root())).collect();
    });
    InvalidUnit upper_case = received(|frame| frame.keysets[0].currency = "EUR".into());
    InvalidUnit four_letters = received(|frame| frame.keysets[0].currency = "euro".into());
    InvalidUnit ten_decimals = received(|frame| frame.keysets[0].decimals = 10);
    InvalidWindows out_of_order = announced(|next, _| next.windows.refresh_until = next.windows.spend_until - 1);
    InvalidWindows too_short = announced(|next, _| next.windows.issue_until = next.windows.issue_from + SHORTEST_ISSUE - 1);
    InvalidWindows backwards = announced(|next, _| next.windows.issue_from = u64::MAX);
    PublishedLate less_than_a_day_ahead = announced(|next, _| next.windows.issue_from = next.published + PUBLISHED_AHEAD - 1);
    PublishedLate before_an_earlier_one = {
        let mut world = World::new(1);
        let keys = signing_keys(&mut world.rng);
        let receipt = LoneKey::generate(&mut world.rng);
        world.list.announce(proposal(DAY, 2 * DAY, &receipt, &keys), &world.root, &mut world.rng).unwrap();
        let next = Proposal { published: DAY - 1, ..announcement(&mut world) };
        world.list.announce(next, &world.root, &mut world.rng)
    };
    PublishedLate at_the_end_of_time = announced(|next, _| next.published = u64::MAX);
    TooManyIssuing a_third_at_once = third_keyset(29 * DAY, Unit::default_eur());
    Shortened a_shorter_list = {
        let (longer, _) = two_lists();
        longer.follow(&World::new(1).list.to_frame())
    };
    Forked two_signed_lists = {
        let (list, other) = two_lists();
        list.follow(&other.to_frame())
    };
}

fn announcement(world: &mut World) -> Proposal {
    let keys = signing_keys(&mut world.rng);
    proposal(DAY, 100 * DAY, &LoneKey::generate(&mut world.rng), &keys)
}

#[test]
fn lawful_keysets_are_taken() {
    assert!(announced(|_, _| ()).is_ok());
    assert!(received(|_| ()).is_ok());
    // When the first has stopped issuing, or in another unit.
    assert!(third_keyset(30 * DAY, Unit::default_eur()).is_ok());
    assert!(third_keyset(3 * DAY, Unit::new("usd", 5).unwrap()).is_ok());
    let (list, _) = two_lists();
    let first = World::new(1).list;
    let followed = first.follow(&list.to_frame()).unwrap();
    assert_eq!(followed.head(), list.head());
    assert_eq!(followed.number_of_head(&first.head()), Some(0));
    let [old, new] = [0, 1].map(|index: usize| list.keysets()[index].id());
    assert_eq!(list.common_unit([old, new]), Some(&Unit::default_eur()));
    assert_eq!(list.common_unit([old, KeysetId([9; 32])]), None);
    assert_eq!(list.common_unit([]), None);
    assert!(!list.keysets()[1].issues_at(2 * DAY - 1) && list.keysets()[1].issues_at(2 * DAY));
    assert_eq!(windows(0), *first.keysets()[0].windows());
}

// ---- issuing ----

fn opened(change: impl FnOnce(&mut OpenRequestFrame)) -> Result<Open, IssueError> {
    let mut world = World::new(2);
    let voucher = LoneKey::generate(&mut world.rng);
    let mut frame = world.plan(&[1, 2]).open(&world.root(), &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    change(&mut frame);
    Open::from_frame(&frame)
}

fn refreshed(change: impl FnOnce(&mut OpenRequestFrame)) -> Result<Open, IssueError> {
    let mut world = World::new(2);
    let retired = OwnedTokens::new(world.tokens(&[1, 2])).unwrap().retire();
    let mut frame = world.plan(&[1, 2]).open(&world.root(), &FundingKeys::Refresh(&retired), &mut world.rng).unwrap();
    change(&mut frame);
    Open::from_frame(&frame)
}

fn nonces(world: &mut World, count: usize) -> Vec<Nonces> {
    let h = Point::second_generator();
    (0..count).map(|_| commit(&h, &mut world.rng).unwrap().0).collect()
}

/// Blinds two tokens for a mint's commitments, after a change of commitments and plan.
fn blinded(
    first_index: u64,
    change: impl FnOnce(&mut farthing_protocol::wire::OpenResponseFrame, &mut SessionPlan),
) -> Result<PendingTokens, IssueError> {
    let mut world = World::new(2);
    let commitments: Vec<_> = nonces(&mut world, 2).iter().map(|nonces| *nonces.commitment()).collect();
    let mut frame = opened_frame([1; 16], 120, &commitments);
    let mut plan = world.plan(&[1, 2]);
    change(&mut frame, &mut plan);
    plan.blind(&world.seed, &world.root(), world.keyset(), first_index, &frame)
}

/// A whole session of two outputs up to the mint's check of the second request, after a change of that.
fn asked(change: impl FnOnce(&mut IssueRequestFrame)) -> Result<Vec<[u8; 32]>, IssueError> {
    let mut world = World::new(2);
    let voucher = LoneKey::generate(&mut world.rng);
    let (plan, root) = (world.plan(&[1, 2]), world.root());
    let frame = plan.open(&root, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let open = Open::from_frame(&frame).unwrap().verify(&root, &world.table, &mut world.rng).unwrap();
    let commitments: Vec<_> = nonces(&mut world, 2).iter().map(|nonces| *nonces.commitment()).collect();
    let pending = plan.blind(&world.seed, &root, world.keyset(), 0, &opened_frame([1; 16], 120, &commitments)).unwrap();
    let mut frame = plan.request(&root, &pending, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    change(&mut frame);
    let checked = Issue::from_frame(&frame)?.verify(&root, &open)?;
    Ok(checked.challenges().iter().map(|challenge| challenge.to_bytes()).collect())
}

/// What a reader makes of the mint's responses, after a change of those.
fn answered(change: impl FnOnce(&mut IssueResponseFrame)) -> Result<Vec<OwnedToken>, IssueError> {
    let mut world = World::new(2);
    let nonces = nonces(&mut world, 2);
    let commitments: Vec<_> = nonces.iter().map(|nonces| *nonces.commitment()).collect();
    let (plan, root) = (world.plan(&[1, 2]), world.root());
    let pending = plan.blind(&world.seed, &root, world.keyset(), 0, &opened_frame([1; 16], 120, &commitments)).unwrap();
    let voucher = LoneKey::generate(&mut world.rng);
    let frame = plan.request(&root, &pending, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let challenges = frame.challenges.iter().map(|bytes| farthing_protocol::snowblind::Challenge::from_bytes(bytes.0).unwrap());
    let responses: Vec<_> =
        nonces.into_iter().zip(challenges).zip(&world.keys).map(|((nonces, c), (_, key))| nonces.respond(key, &c)).collect();
    let mut frame = farthing_protocol::issue::issued_frame(&responses);
    change(&mut frame);
    pending.unblind(&frame)
}

/// The claim on both outputs of a booked session, after a change of claims, leaves and record.
fn claimed(change: impl FnOnce(&mut Vec<ClaimBody>, &mut Vec<Bytes<32>>, &mut Vec<RecordedOutputBody>)) -> Result<(), IssueError> {
    let mut world = World::new(2);
    let nonces = nonces(&mut world, 2);
    let commitments: Vec<_> = nonces.iter().map(|nonces| *nonces.commitment()).collect();
    let (plan, root, keyset) = (world.plan(&[1, 2]), world.root(), world.keyset().clone());
    let pending = plan.blind(&world.seed, &root, &keyset, 0, &opened_frame([1; 16], 120, &commitments)).unwrap();
    let voucher = LoneKey::generate(&mut world.rng);
    let asked = plan.request(&root, &pending, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    let challenges = asked.challenges.iter().map(|bytes| farthing_protocol::snowblind::Challenge::from_bytes(bytes.0).unwrap());
    let responses: Vec<_> =
        nonces.into_iter().zip(challenges).zip(&world.keys).map(|((nonces, c), (_, key))| nonces.respond(key, &c)).collect();
    let tokens = pending.unblind(&farthing_protocol::issue::issued_frame(&responses)).unwrap();
    let outputs = plan.denominations.iter().zip(&commitments).zip(&responses).map(|((denomination, commitment), response)| {
        RecordedOutputBody { denomination: denomination.units(), commitment: commitment.to_body(), response: response.to_body() }
    });
    let (mut outputs, recovery) = (outputs.collect::<Vec<_>>(), plan.recovery);

    let origin = SessionOrigin { root: &root, keyset: keyset.id(), denominations: &plan.denominations, first_index: 0 };
    // In any order: the claim sorts them.
    let claim = Recovery::new(&world.seed, &origin, &[(1, *tokens[1].token().spent_key()), (0, *tokens[0].token().spent_key())])?;
    let used = OwnedTokens::new(tokens).unwrap().retire();
    let mut frame = plan.open(&root, &FundingKeys::Recovery(&used, &claim), &mut world.rng)?;
    let FundingBody::Recovery { claims, leaves, .. } = &mut frame.funding else { panic!() };
    change(claims, leaves, &mut outputs);
    let open = Open::from_frame(&frame)?;
    let Funding::Recovery(claim) = open.funding() else { panic!() };
    claim.verify(&keyset, &RecordedSession::new(recovery, outputs).unwrap())
}

#[test]
fn a_claim_that_is_not_changed_holds() {
    assert_eq!(claimed(|_, _, _| ()), Ok(()));
}

refusals! { issuing, IssueError:
    InvalidRecovery another_key = claimed(|claims, _, _| claims[0].key = [1; 32].into());
    InvalidRecovery another_secret = claimed(|claims, _, _| claims[0].secret = [1; 32].into());
    InvalidRecovery a_secret_that_was_not_committed_to = claimed(|_, leaves, _| leaves[1] = [1; 32].into());
    InvalidRecovery another_output = claimed(|claims, _, _| claims[0].position = 1);
    InvalidRecovery a_session_of_another_length = claimed(|_, _, outputs| outputs.truncate(1));
    InvalidRecovery another_answer = claimed(|_, _, outputs| outputs[0].response = outputs[1].response.clone());
    InvalidRecovery another_answer_to_the_second = claimed(|_, _, outputs| outputs[1].response = outputs[0].response.clone());
    InvalidRecovery another_commitment = claimed(|_, _, outputs| outputs[0].commitment.b = outputs[1].commitment.b);
    InvalidRecovery a_commitment_that_is_none = claimed(|_, _, outputs| outputs[0].commitment.a = [0; 32].into());
    InvalidFunding beyond_the_session = claimed(|claims, _, _| claims[0].position = 2);
    InvalidFunding claims_unsorted = claimed(|claims, _, _| claims.reverse());
    InvalidFunding claimed_twice = claimed(|claims, _, _| claims[1] = claims[0].clone());
    InvalidFunding nothing_claimed = claimed(|claims, _, _| claims.clear());
    OutputCount nothing_wanted = opened(|frame| frame.denominations.clear());
    OutputCount too_much_wanted = opened(|frame| frame.denominations = vec![1; 257]);
    OutputCount no_challenges = asked(|frame| frame.challenges.clear());
    InvalidDenominations zero_wanted = opened(|frame| frame.denominations[0] = 0);
    InvalidDenominations unsorted = opened(|frame| frame.denominations.reverse());
    InvalidDenominations not_of_the_keyset = blinded(0, |_, plan| plan.denominations[1] = Amount::from_units(3));
    AmountMismatch overflow = opened(|frame| frame.denominations = vec![u64::MAX, u64::MAX]);
    AmountMismatch more_than_is_refreshed = refreshed(|frame| frame.denominations[1] = 5);
    AmountMismatch less_than_is_refreshed = refreshed(|frame| { frame.denominations.pop(); });
    InvalidFunding no_tokens = refreshed(|frame| {
        let FundingBody::Refresh(tokens) = &mut frame.funding else { panic!() };
        tokens.tokens.clear();
    });
    InvalidFunding a_token_twice = refreshed(|frame| {
        let FundingBody::Refresh(tokens) = &mut frame.funding else { panic!() };
        tokens.tokens[1] = tokens.tokens[0].clone();
    });
    InvalidFunding change_of_nothing = opened(|frame| frame.funding = FundingBody::Change { statement: [1; 32].into(), list: vec![] });
    InvalidEncoding identity_voucher = opened(|frame| frame.funding = FundingBody::Voucher([0; 32].into()));
    InvalidEncoding non_canonical_proof = opened(|frame| frame.proof.u = [0xff; 32].into());
    InvalidEncoding identity_commitment = blinded(0, |frame, _| frame.commitments[1].a = [0; 32].into());
    InvalidEncoding non_canonical_commitment = blinded(0, |frame, _| frame.commitments[1].b = [0xff; 32].into());
    InvalidEncoding non_canonical_challenge = asked(|frame| frame.challenges[0] = [0xff; 32].into());
    InvalidEncoding non_canonical_response = answered(|frame| frame.responses[0].z = [0xff; 32].into());
    InvalidEncoding zero_y = answered(|frame| frame.responses[0].y = [0; 32].into());
    CountMismatch a_commitment_missing = blinded(0, |frame, _| { frame.commitments.pop(); });
    CountMismatch another_keyset = blinded(0, |_, plan| plan.keyset = KeysetId([9; 32]));
    CountMismatch a_challenge_missing = asked(|frame| { frame.challenges.pop(); });
    CountMismatch a_response_missing = answered(|frame| { frame.responses.pop(); });
    InvalidProof challenges_swapped = asked(|frame| frame.challenges.swap(0, 1));
    InvalidProof another_session = asked(|frame| frame.session.0[0] ^= 1);
    InvalidProof another_t = asked(|frame| frame.proof.t = (*Point::generator().as_bytes()).into());
    RepeatedCommitment in_one_session = blinded(0, |frame, _| frame.commitments[1] = frame.commitments[0].clone());
    InvalidResponse wrong_b = answered(|frame| frame.responses[0].b.0[0] ^= 1);
    InvalidResponse wrong_y = answered(|frame| frame.responses[0].y.0[0] ^= 1);
    InvalidResponse wrong_z = answered(|frame| frame.responses[0].z.0[0] ^= 1);
    InvalidResponse responses_swapped = answered(|frame| frame.responses.swap(0, 1));
    UnusableBlinding indices_run_out = blinded(u64::MAX, |_, _| ());
}

#[test]
fn lawful_issues_are_taken() {
    assert!(opened(|_| ()).is_ok() && refreshed(|_| ()).is_ok() && blinded(u64::MAX - 1, |_, _| ()).is_ok());
    assert_eq!(asked(|_| ()).unwrap().len(), 2);
    assert_eq!(answered(|_| ()).unwrap().len(), 2);
}

// ---- double-spend proofs and deposit answers ----

fn paid(world: &mut World, tokens: Vec<OwnedToken>, recipient: &str) -> Spending {
    let terms = PaymentTerms { recipient, amount: Amount::from_units(1), deposit_by: 3_600, subject: [5; 32] };
    OwnedTokens::new(tokens).unwrap().pay(&terms, &mut world.rng).unwrap().0.state(recipient, [5; 32])
}

fn copy(token: &OwnedToken) -> OwnedToken {
    OwnedToken::new(*token.token(), SpendKey::from_bytes(&token.key().expose_secret()).unwrap()).unwrap()
}

/// A true proof, seen by a stranger after a change.
fn proven(change: impl FnOnce(&mut DoubleSpendFrame)) -> Result<(), EvidenceError> {
    let mut world = World::new(3);
    let tokens = world.tokens(&[1, 2]);
    let copies = tokens.iter().map(copy).collect();
    let first = paid(&mut world, tokens, "news.example");
    let second = paid(&mut world, copies, "blog.example");
    let mut frame = DoubleSpend::new(SpendingSide::of(&first), &second).unwrap().to_frame();
    change(&mut frame);
    DoubleSpend::from_frame(&frame)?.verify(&world.table).map(drop)
}

refusals! { evidence, EvidenceError:
    SamePayment one_side_twice = proven(|frame| frame.sides[1] = frame.sides[0].clone());
    SamePayment the_same_payment_proved_again = proven(|frame| {
        // Another T and u, or another signature, make no other payment.
        frame.sides[1] = frame.sides[0].clone();
        frame.sides[1].proof.u.0[0] ^= 1;
    });
    NotShared a_token_of_neither = proven(|frame| frame.token.key = (*Point::generator().as_bytes()).into());
    NotShared a_token_of_one = proven(|frame| { frame.sides[0].list.remove(0); });
    InvalidList no_tokens = proven(|frame| frame.sides[0].list.clear());
    InvalidList unsorted = proven(|frame| frame.sides[0].list.reverse());
    InvalidList a_token_twice = proven(|frame| frame.sides[0].list[1] = frame.sides[0].list[0].clone());
    InvalidList too_long = proven(|frame| frame.sides[0].list = vec![frame.token.clone(); MAX_TOKENS + 1]);
    InvalidList sides_swapped = proven(|frame| frame.sides.swap(0, 1));
    InvalidSignature forged_token = proven(|frame| frame.signature.s.0[0] ^= 1);
    InvalidSignature zero_t = proven(|frame| frame.signature.t = [0; 32].into());
    InvalidProof forged_side = proven(|frame| frame.sides[0].proof.u.0[0] ^= 1);
    InvalidProof non_canonical_u = proven(|frame| frame.sides[0].proof.u = [0xff; 32].into());
    UnknownKey another_mints_keyset = proven(|frame| {
        frame.token.keyset = [0; 32].into();
        for side in &mut frame.sides {
            side.list[0] = frame.token.clone();
        }
        let id = |side| SpendingSide::from_body(side).unwrap().payment_id();
        if id(&frame.sides[0]) > id(&frame.sides[1]) {
            frame.sides.swap(0, 1);
        }
    });
}

#[test]
fn an_opaque_statement_frames_nobody() {
    assert_eq!(proven(|_| ()), Ok(()));
    // Whatever statement an accuser makes up, an honest token's owner never proved it.
    let mut world = World::new(4);
    let token = world.tokens(&[1]);
    let honest = paid(&mut world, token, "news.example");
    let made_up = honest.tokens().to_vec();
    let mut body = SpendingSide::of(&honest).to_body();
    body.statement = [9; 32].into();
    let second = SpendingSide::from_body(&body).unwrap();
    let proof = DoubleSpend::new(second, &honest).unwrap();
    assert_eq!(made_up.len(), 1);
    assert_eq!(proof.verify(&world.table).err(), Some(EvidenceError::InvalidProof));
}

/// A mint's answer to one deposit with 1 unit of change, after a change of the frame.
fn settled(outcome: Option<Outcome>, change: impl FnOnce(&mut DepositResponseFrame)) -> Result<Vec<Outcome>, AnswerError> {
    let mut world = World::new(5);
    let token = world.tokens(&[2]);
    let spending = paid(&mut world, token, "news.example");
    let mark = LedgerMark { ledger: [1; 16].into(), sequence: 7 };
    let outcome = outcome.unwrap_or(Outcome::Credited { change: Amount::from_units(1) });
    let ids = [Some(spending.payment_id())];
    let mut frame = sign_answer(&world.root(), mark, &ids, &[outcome], &world.receipt, &mut world.rng).unwrap();
    change(&mut frame);
    verify_answer(&frame, &[(spending.payment_id(), Amount::from_units(1))], &world.list)
}

/// A true double-spend of other payments.
fn unrelated() -> Outcome {
    let mut world = World::new(3);
    let tokens = world.tokens(&[1]);
    let copies = tokens.iter().map(copy).collect();
    let first = paid(&mut world, tokens, "news.example");
    let second = paid(&mut world, copies, "blog.example");
    Outcome::DoubleSpent(Box::new(DoubleSpend::new(SpendingSide::of(&first), &second).unwrap()))
}

refusals! { answers, AnswerError:
    CountMismatch no_outcome = settled(None, |frame| frame.outcomes.clear());
    InvalidSignature another_outcome = settled(None, |frame| frame.outcomes[0] = farthing_protocol::wire::OutcomeBody::Refunded);
    InvalidSignature another_mark = settled(None, |frame| frame.mark.sequence += 1);
    InvalidSignature an_unannounced_key = settled(None, |frame| frame.receipt_key = (*Point::generator().as_bytes()).into());
    InvalidSignature non_canonical_u = settled(None, |frame| frame.proof.u = [0xff; 32].into());
    WrongChange more_change = settled(Some(Outcome::Credited { change: Amount::from_units(2) }), |_| ());
    WrongChange less_change = settled(Some(Outcome::AlreadyCredited { change: Amount::ZERO }), |_| ());
    UnrelatedProof a_double_spend_of_others = settled(Some(unrelated()), |_| ());
}

// ---- callers' mistakes ----

fn paying(denominations: &[u64], amount: u64) -> Result<(), UseError> {
    let mut world = World::new(6);
    let tokens = OwnedTokens::new(world.tokens(denominations))?;
    let terms = PaymentTerms { recipient: "news.example", amount: Amount::from_units(amount), deposit_by: 0, subject: [5; 32] };
    tokens.pay(&terms, &mut world.rng).map(drop)
}

refusals! { callers, UseError:
    NoKeys no_tokens = OwnedTokens::new(vec![]);
    TooManyKeys twenty_five_tokens = paying(&[1; MAX_TOKENS + 1], 1);
    DuplicateToken a_token_twice = {
        let mut tokens = World::new(6).tokens(&[1]);
        tokens.push(copy(&tokens[0]));
        OwnedTokens::new(tokens)
    };
    InvalidAmount nothing = paying(&[1], 0);
    InvalidAmount more_than_they_are_worth = paying(&[1, 2], 4);
    InvalidKey zero = SpendKey::from_bytes(&Zeroizing::new([0; 32]));
    InvalidKey not_canonical = LoneKey::from_bytes(&Zeroizing::new([0xff; 32]));
    KeyMismatch another_key = {
        let mut world = World::new(6);
        let tokens = world.tokens(&[1, 1]);
        let key = SpendKey::from_bytes(&tokens[1].key().expose_secret()).unwrap();
        OwnedToken::new(*tokens[0].token(), key)
    };
    CountMismatch answers_and_payments = {
        let mut world = World::new(6);
        let mark = LedgerMark { ledger: [1; 16].into(), sequence: 7 };
        sign_answer(&world.root(), mark, &[], &[Outcome::Refunded], &world.receipt, &mut world.rng)
    };
}
