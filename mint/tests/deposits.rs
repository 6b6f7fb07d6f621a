//! Deposits over HTTP: repeats, double-spends with proofs that hold, caps, deadlines, and a ledger restored from a backup.

mod common;

use common::{World, copy};
use farthing_mint::MintOptions;
use farthing_mint::signer::KeyFile;
use farthing_protocol::issue::{FundingKeys, Issue, Open, issued_frame, opened_frame};
use farthing_protocol::payment::Deposit;
use farthing_protocol::settle::{Outcome, Refusal};
use farthing_protocol::snowblind::{Nonces, commit};
use farthing_protocol::token::{OwnedToken, OwnedTokens};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{DepositRequestFrame, DepositResponseFrame, OutcomeBody};

fn proven(world: &World, outcome: &Outcome) -> [[u8; 32]; 2] {
    let Outcome::DoubleSpent(proof) = outcome else { panic!("no double-spend") };
    let ids = proof.payment_ids().map(|id| id.0);
    proof.clone().verify(&world.table).unwrap();
    ids
}

fn refused(outcome: &Outcome, refusal: Refusal) -> bool {
    *outcome == Outcome::Refused(refusal)
}

async fn world() -> World {
    let world = World::new().await;
    for publisher in ["news.example", "blog.example"] {
        world.mint.add_publisher(publisher).await.unwrap();
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_double_spend_is_refused_with_a_proof_that_holds() {
    let mut world = world().await;
    let tokens = world.tokens(&[100, 500]).await;
    let copied = copy(&tokens[1]);
    let (first, _) = world.pay(tokens, "news.example", 600);
    let (second, _) = world.pay(vec![copied], "blog.example", 500);
    assert!(matches!(world.deposit(&[&first]).await[0], Outcome::Credited { .. }));
    let outcomes = world.deposit(&[&second]).await;
    let mut expected = [first.spending().payment_id().0, second.spending().payment_id().0];
    expected.sort_unstable();
    assert_eq!(proven(&world, &outcomes[0]), expected);
    world.reopen().await;
    let again = world.deposit(&[&second]).await;
    proven(&world, &again[0]);
    assert_eq!((world.earned("news.example").await, world.earned("blog.example").await), (600, 0));
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_payments_of_one_batch_are_resolved_one_by_one() {
    let mut world = world().await;
    let mut tokens = world.tokens(&[10, 20, 50, 100]).await;
    let (d, c, b, a) = (tokens.pop().unwrap(), tokens.pop().unwrap(), tokens.pop().unwrap(), tokens.pop().unwrap());
    let (a_again, b_again) = (copy(&a), copy(&b));
    let (ab, _) = world.pay(vec![a, b], "news.example", 30);
    let (bc, _) = world.pay(vec![b_again, c], "blog.example", 70);
    let (ad, _) = world.pay(vec![a_again, d], "news.example", 110);
    let (bad, _) = world.pay(vec![copy_of(&ad)], "news.example", 100);
    let outcomes = world.deposit(&[&ab, &bc, &bad, &ab, &ad]).await;
    assert!(matches!(outcomes[0], Outcome::Credited { .. }));
    proven(&world, &outcomes[1]);
    assert!(refused(&outcomes[2], Refusal::InvalidSignature));
    assert!(matches!(outcomes[3], Outcome::AlreadyCredited { .. }));
    proven(&world, &outcomes[4]);
    let status = world.balanced().await;
    assert_eq!((status.credits.units(), status.outstanding.units()), (30, 150), "c and d are still whole");
}

fn copy_of(deposit: &Deposit) -> OwnedToken {
    // A stranger who saw a token in a payment and has a key of his own.
    let token = *deposit.payment().tokens().last().unwrap();
    let key = farthing_protocol::proof::SpendKey::generate(&mut rand::rng());
    let spent = farthing_protocol::proof::SpentKey { key: key.public().to_bytes(), ..*token.spent_key() };
    let forged = farthing_protocol::token::Token::new(spent, *token.signature());
    OwnedToken::new(forged, key).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_tokens_at_once_are_credited_once() {
    let mut world = world().await;
    let tokens = world.tokens(&[100; 8]).await;
    let mut rivals = Vec::new();
    for number in 0..12 {
        let copies = tokens.iter().map(copy).collect();
        let publisher = if number % 2 == 0 { "news.example" } else { "blog.example" };
        rivals.push(world.pay(copies, publisher, 700 + number).0);
    }
    let sent = rivals.iter().map(|rival| {
        let world = &world;
        async move { world.deposit(&[rival]).await.pop().unwrap() }
    });
    let outcomes = futures_join(sent).await;
    let credited = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Credited { .. })).count();
    assert_eq!(credited, 1);
    for outcome in outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Credited { .. })) {
        proven(&world, outcome);
    }
    world.balanced().await;
}

/// Polls all at once on this task.
async fn futures_join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paying_after_a_refresh_is_refused_without_accusation() {
    let mut world = world().await;
    let tokens = world.tokens(&[100]).await;
    let copied = copy(&tokens[0]);
    let retired = OwnedTokens::new(tokens).unwrap().retire();
    world.issue(&[50, 50], &FundingKeys::Refresh(&retired)).await.unwrap();
    let (payment, _) = world.pay(vec![copied], "news.example", 100);
    assert!(refused(&world.deposit(&[&payment]).await[0], Refusal::Refreshed));
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reason_to_refuse_spends_nothing() {
    let mut world = world().await;
    let tokens = world.tokens(&[100]).await;
    let copies: Vec<OwnedToken> = (0..5).map(|_| copy(&tokens[0])).collect();
    let mut copies = copies.into_iter();
    let mut next = || vec![copies.next().unwrap()];
    let unknown = world.pay(next(), "nobody.example", 100).0;
    let past = world.now() - 10;
    let late = world.pay_until(next(), "news.example", 100, past).0;
    let mut signature = world.pay(next(), "news.example", 100).0.to_body();
    signature.payment.tokens.tokens[0].signature.s.0[0] ^= 1;
    let mut keyset = world.pay(next(), "news.example", 100).0.to_body();
    keyset.payment.tokens.keysets[0].0[0] ^= 1;
    let mut elsewhere = world.pay(next(), "blog.example", 100).0.to_body();
    elsewhere.recipient = "news.example".into();
    let mut malformed = elsewhere.clone();
    malformed.payment.amount = 101;

    let payments = vec![unknown.to_body(), late.to_body(), signature, keyset, elsewhere, malformed];
    let answer = world.http.post("/v1/deposits", &DepositRequestFrame { seen: None, payments }).await;
    let frame: DepositResponseFrame = answer.frame();
    let numbers: Vec<u16> = frame
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            OutcomeBody::Refused(number) => *number,
            _ => 0,
        })
        .collect();
    let expected = [
        Refusal::UnknownPublisher,
        Refusal::Late,
        Refusal::InvalidSignature,
        Refusal::UnknownKeyset,
        Refusal::InvalidProof,
        Refusal::Malformed,
    ];
    assert_eq!(numbers, expected.map(Refusal::number));
    assert_eq!(frame.mark.sequence >> 24, 0, "nothing was booked");
    let (good, _) = world.pay(tokens, "news.example", 100);
    assert!(matches!(world.deposit(&[&good]).await[0], Outcome::Credited { .. }));
    // Booked is booked, however late it is asked.
    world.hands.forward(7_200);
    assert!(matches!(world.deposit(&[&good]).await[0], Outcome::AlreadyCredited { .. }));
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_keyset_takes_no_deposits() {
    let mut world = world().await;
    let tokens = world.tokens(&[100]).await;
    let (payment, _) = world.pay_until(tokens, "news.example", 100, u64::MAX);
    world.hands.forward(270 * 86_400);
    assert!(refused(&world.deposit(&[&payment]).await[0], Refusal::KeysetClosed));
    world.balanced().await;
}

/// Tokens made with the mint's own keys, behind the ledger's back.
fn forged(world: &mut World, denominations: &[u64]) -> Vec<OwnedToken> {
    let keys = KeyFile::from_json(&std::fs::read(world.path().join("keys.json")).unwrap()).unwrap();
    let voucher = VoucherCode::generate(&mut world.rng).key().unwrap();
    let (funding, plan, root) = (FundingKeys::Voucher(&voucher), world.plan(denominations), world.root);
    let open = plan.open(&root, &funding, &mut world.rng).unwrap();
    let open = Open::from_frame(&open).unwrap().verify(&root, &world.table, &mut world.rng).unwrap();
    let h = farthing_protocol::group::Point::second_generator();
    let nonces: Vec<Nonces> = denominations.iter().map(|_| commit(&h, &mut world.rng).unwrap().0).collect();
    let commitments: Vec<_> = nonces.iter().map(|nonces| *nonces.commitment()).collect();
    let keyset = world.list.keysets()[0].clone();
    let first_index = world.next_index;
    world.next_index += denominations.len() as u64;
    let pending = plan.blind(&world.seed, &root, &keyset, first_index, &opened_frame([9; 16], 120, &commitments)).unwrap();
    let request = plan.request(&root, &pending, &funding, &mut world.rng).unwrap();
    let issue = Issue::from_frame(&request).unwrap().verify(&root, &open).unwrap();
    let key = |wanted: u64| &keys.keysets[0].keys.iter().find(|(have, _)| have.units() == wanted).unwrap().1;
    let all = nonces.into_iter().zip(issue.challenges()).zip(denominations);
    let responses: Vec<_> = all.map(|((nonces, challenge), value)| nonces.respond(key(*value), challenge)).collect();
    pending.unblind(&issued_frame(&responses)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_tokens_back_than_issued_freeze_their_key() {
    let mut world = world().await;
    let honest = world.tokens(&[100, 100, 200]).await;
    let counterfeit = forged(&mut world, &[100, 100, 100]);
    let mut counterfeit = counterfeit.into_iter();
    let (one, _) = world.pay(vec![counterfeit.next().unwrap()], "blog.example", 100);
    let (two, _) = world.pay(vec![counterfeit.next().unwrap()], "blog.example", 100);
    let (three, _) = world.pay(vec![counterfeit.next().unwrap()], "blog.example", 100);
    let mut honest = honest.into_iter();
    let (h1, h2, h3) = (honest.next().unwrap(), honest.next().unwrap(), honest.next().unwrap());
    // Nobody can tell which two of the hundreds are good; only that there are no more than two.
    let outcomes = world.deposit(&[&one, &two, &three]).await;
    assert!(matches!(outcomes[0], Outcome::Credited { .. }));
    assert!(matches!(outcomes[1], Outcome::Credited { .. }));
    assert!(refused(&outcomes[2], Refusal::Frozen));
    let (late, _) = world.pay(vec![h1], "news.example", 100);
    assert!(refused(&world.deposit(&[&late]).await[0], Refusal::Frozen));
    // No more of them are issued either, in no way.
    let retired = OwnedTokens::new(vec![h2]).unwrap().retire();
    assert_eq!(world.issue(&[50, 50], &FundingKeys::Refresh(&retired)).await.err().unwrap(), "denomination-frozen");
    let voucher = world.voucher(100).await;
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "denomination-frozen");
    // Other denominations live on.
    let (other, _) = world.pay(vec![h3], "news.example", 200);
    assert!(matches!(world.deposit(&[&other]).await[0], Outcome::Credited { .. }));
    let status = world.balanced().await;
    let frozen: Vec<u64> = status.keysets[0].denominations.iter().filter(|one| one.frozen).map(|one| one.denomination.units()).collect();
    assert_eq!(frozen, [100]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_beyond_the_cap_freezes_too() {
    let mut world = world().await;
    let counterfeit = OwnedTokens::new(forged(&mut world, &[500])).unwrap().retire();
    assert_eq!(world.issue(&[500], &FundingKeys::Refresh(&counterfeit)).await.err().unwrap(), "denomination-frozen");
    let status = world.balanced().await;
    assert!(status.keysets[0].denominations.iter().any(|one| one.frozen && one.denomination.units() == 500));
}

/// Named attack: restored backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_stops_the_mint_and_an_invented_mark_does_not() {
    let mut world = world().await;
    let mut tokens = world.tokens(&[100, 200, 500]).await;
    let (first, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 500);
    let before: DepositResponseFrame = world.deposit_frame(&[&first], None).await.frame();
    let backup = tempfile::tempdir().unwrap();
    for file in ["mint.json", "keys.json", "ledger.sqlite", "ledger.sqlite-wal"] {
        std::fs::copy(world.path().join(file), backup.path().join(file)).unwrap();
    }
    let (second, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 200);
    let after: DepositResponseFrame = world.deposit_frame(&[&second], Some(before.mark)).await.frame();
    assert!(after.mark.sequence > before.mark.sequence);

    let mut invented = after.mark;
    invented.sequence = u64::MAX;
    let answer = world.deposit_frame(&[&second], Some(invented)).await;
    assert!(matches!(world.outcomes(&answer.frame(), &[&second])[0], Outcome::AlreadyCredited { .. }));

    let restored = farthing_mint::Mint::open(backup.path(), MintOptions::default()).await.unwrap();
    let (address, server) = common::serve(&restored).await;
    world.http = common::Http::new(address);
    let (third, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 100);
    let answer = world.deposit_frame(&[&third], Some(after.mark)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "ledger-behind"));
    // From here on for everybody.
    assert_eq!(world.deposit_frame(&[&third], None).await.code(), "ledger-behind");
    let voucher = world.voucher(100).await;
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "ledger-behind");
    assert_eq!(world.http.get("/readyz", &[]).await.code(), "ledger-behind");
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_marks_can_be_guessed() {
    let mut world = world().await;
    let mut tokens = world.tokens(&[100]).await;
    let (payment, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 100);
    let mark = world.deposit_frame(&[&payment], None).await.frame::<DepositResponseFrame>().mark;
    let (mut looked_at, begun) = (0, world.now() / 60);
    for round in 0..3_u64 {
        for guess in 0..21 {
            let mut invented = mark;
            invented.sequence += (1 << 24) + round * 21 + guess;
            let answer = world.deposit_frame(&[&payment], Some(invented)).await;
            looked_at += u64::from(answer.status.as_u16() == 200);
        }
        world.hands.forward(2);
    }
    let minutes = world.now() / 60 - begun + 1;
    assert!((10..=10 * minutes).contains(&looked_at), "{looked_at} in {minutes} minutes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_deposits_at_once_each_gets_its_own_answer() {
    let mut world = world().await;
    let tokens = world.tokens(&[100; 48]).await;
    let payments: Vec<Deposit> = tokens.into_iter().map(|token| world.pay(vec![token], "news.example", 90).0).collect();
    let (one, two) = payments.split_at(24);
    let sent = one.iter().zip(two).enumerate().map(|(index, (one, two))| {
        let (world, mut bodies) = (&world, vec![one.to_body(), two.to_body()]);
        match index % 4 {
            0 => bodies[0].payment.tokens.tokens[0].signature.s.0[0] ^= 1,
            1 => bodies[1].payment.proof.u.0[0] ^= 1,
            2 => bodies[0].payment.amount = 101,
            _ => {}
        }
        async move {
            let answer = world.http.post("/v1/deposits", &DepositRequestFrame { seen: None, payments: bodies }).await;
            let number = |outcome: &OutcomeBody| match outcome {
                OutcomeBody::Refused(number) => *number,
                _ => 0,
            };
            answer.frame::<DepositResponseFrame>().outcomes.iter().map(number).collect::<Vec<u16>>()
        }
    });
    let [signature, proof, malformed] = [Refusal::InvalidSignature, Refusal::InvalidProof, Refusal::Malformed].map(Refusal::number);
    for (index, numbers) in futures_join(sent).await.into_iter().enumerate() {
        let expected = [[signature, 0], [0, proof], [malformed, 0], [0, 0]][index % 4];
        assert_eq!(numbers, expected, "deposit {index}");
    }
    assert_eq!(world.earned("news.example").await, 90 * 30);
    // What was refused was not spent.
    let refused = (0..24).filter(|index| index % 4 < 3).map(|index| if index % 4 == 1 { &two[index] } else { &one[index] });
    let outcomes = world.deposit(&refused.collect::<Vec<_>>()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Credited { .. })));
    world.balanced().await;
}
