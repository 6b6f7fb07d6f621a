//! The ledger stays bounded: its size before and after a keyset is closed, and what deposits feel meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use farthing_mint::store::keysets::KeysetLedger;
use farthing_mint::store::sqlite::SqliteLedger;
use farthing_mint::store::{Announcement, Debit, IssueBooked, IssueBooking, Ledger, PaymentBooked, PaymentBooking};
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::settle::Refusal;
use tokio::sync::watch;

const ONE: Amount = Amount::from_units(1);
const PAYMENTS: u64 = 2_000;
const TOKENS: u64 = 20;

/// 32 bytes that look like a point: evenly spread, so that pages fill as they do in earnest.
fn spread(number: u64) -> [u8; 32] {
    let mut out = [0; 32];
    for (index, chunk) in out.chunks_mut(8).enumerate() {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17 * u32::try_from(index).unwrap() + 5);
        chunk.copy_from_slice(&mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
    }
    out
}

async fn announce(ledger: &dyn Ledger, number: u32, deposit_until: u64) -> KeysetId {
    let keyset = KeysetId([u8::try_from(number).unwrap() + 1; 32]);
    assert!(ledger.announce(Announcement { list: vec![1], number, keyset, denominations: vec![ONE], deposit_until }).await.unwrap());
    for batch in 0..PAYMENTS * TOKENS / 250 {
        let number = (u64::from(number) << 32) + batch;
        let booking = IssueBooking {
            session: spread(number)[..16].try_into().unwrap(),
            digest: [0; 32],
            response: Vec::new(),
            commitments: Vec::new(),
            recovery: spread(number),
            recovery_commitment: spread(number),
            points: vec![[0; 64]; 250],
            keyset,
            denominations: vec![ONE; 250],
            amount: Amount::from_units(250),
            debit: Debit::Voucher([1; 32]),
            now: 1_000,
        };
        assert_eq!(ledger.issue(booking).await.unwrap(), IssueBooked::Booked);
    }
    keyset
}

fn payment(keyset: KeysetId, number: u64) -> PaymentBooking {
    let token = |index| SpentKey { keyset, denomination: ONE, key: spread(number * TOKENS + index) };
    let mut tokens: Vec<_> = (0..TOKENS).map(token).collect();
    tokens.sort_unstable();
    PaymentBooking {
        id: PaymentId(spread((u64::from(keyset.0[0]) << 32) + number)),
        publisher: "news.example".into(),
        amount: Amount::from_units(TOKENS),
        change: Amount::ZERO,
        tokens,
        side: vec![0; 96],
        refusal: None,
    }
}

/// An empty ledger in a directory, with a voucher to issue from and a publisher.
async fn ledger(dir: &Path) -> Arc<dyn Ledger> {
    let path = dir.join("ledger.sqlite");
    std::fs::write(&path, []).unwrap();
    SqliteLedger::create(&path, [9; 16], 500).await.unwrap();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    assert!(ledger.create_vouchers(vec![[1; 32]], Amount::from_units(1 << 40), 1_000).await.unwrap());
    ledger.add_publisher("news.example".into()).await.unwrap();
    Arc::new(ledger)
}

/// Named attack: prune against deposit in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deposits_in_flight_while_another_process_closes_and_prunes_are_booked_once_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path()).await;
    let keyset = announce(&*ledger, 0, 500_000).await;
    let other = SqliteLedger::open(&dir.path().join("ledger.sqlite")).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    let (booked, closed) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(false));
    for worker in 0..4 {
        let (ledger, booked, mut closed) = (ledger.clone(), booked.clone(), closed.subscribe());
        tasks.spawn(async move {
            let mut outcomes: Vec<(u64, PaymentBooked)> = Vec::new();
            // On and on until some came too late.
            while outcomes.iter().filter(|(_, outcome)| *outcome != PaymentBooked::Credited).count() < 20 {
                let number = worker + 4 * outcomes.len() as u64;
                // However long the other process waits for its turn, enough are left to come too late.
                if number >= PAYMENTS / 2 {
                    closed.wait_for(|closed| *closed).await.unwrap();
                }
                assert!(number < PAYMENTS, "the keyset is closed, and more is booked");
                outcomes.push((number, ledger.deposit(vec![payment(keyset, number)], 499_999).await.unwrap().outcomes.remove(0)));
                booked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            outcomes
        });
    }
    while booked.load(Ordering::SeqCst) < 40 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Closing and closed at once, as after a long sleep: the worst that pruning can do.
    let mut again = 0..12;
    let closing = loop {
        match other.advance_keysets(600_000).await {
            // The others had the ledger all the time; they come to an end by themselves.
            Err(farthing_mint::store::LedgerError::Unavailable) if again.next().is_some() => {}
            done => break done.unwrap(),
        }
    };
    assert_eq!(closing, 2);
    closed.send_replace(true);
    while other.prune_keyset(0, 100).await.unwrap() == 100 {}
    let outcomes = tasks.join_all().await.concat();
    let credited = outcomes.iter().filter(|(_, outcome)| *outcome == PaymentBooked::Credited).count() as u64;
    assert!(credited > 0, "some came before");
    let size = ledger.size().await.unwrap();
    assert_eq!((size.spent, size.payments), (0, credited), "nothing slipped in after the last was dropped");
    assert_eq!(ledger.publisher_balance("news.example".into()).await.unwrap(), Some(Amount::from_units(credited * TOKENS)));
    for (number, outcome) in outcomes {
        let again = ledger.deposit(vec![payment(keyset, number)], 499_999).await.unwrap().outcomes.remove(0);
        match outcome {
            PaymentBooked::Credited => assert_eq!(again, PaymentBooked::AlreadyCredited),
            refused => assert_eq!((&again, &refused), (&refused, &PaymentBooked::Refused(Refusal::KeysetClosed))),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_keyset_gives_its_room_back_while_deposits_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path()).await;
    let (old, new) = (announce(&*ledger, 0, 500_000).await, announce(&*ledger, 1, 900_000).await);
    for batch in 0..PAYMENTS / 100 {
        let batch = (batch * 100..(batch + 1) * 100).map(|number| payment(old, number)).collect();
        assert!(ledger.deposit(batch, 1_000).await.unwrap().outcomes.iter().all(|one| *one == PaymentBooked::Credited));
    }
    let before = ledger.size().await.unwrap();
    assert_eq!((before.spent, before.payments), (PAYMENTS * TOKENS, PAYMENTS));
    ledger.advance_keysets(500_000).await.unwrap();
    ledger.advance_keysets(600_000).await.unwrap();

    // Deposits of a living keyset, one after the other, while the old one is dropped batch by batch.
    let depositing = {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            for number in 0..60 {
                let begun = Instant::now();
                assert_eq!(ledger.deposit(vec![payment(new, number)], 600_000).await.unwrap().outcomes, [PaymentBooked::Credited]);
                slowest = slowest.max(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            slowest
        })
    };
    let begun = Instant::now();
    let mut slowest_batch = Duration::ZERO;
    loop {
        let batch = Instant::now();
        let dropped = ledger.prune_keyset(0, 2_000).await.unwrap();
        slowest_batch = slowest_batch.max(batch.elapsed());
        if dropped < 2_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pruned = begun.elapsed();
    let slowest_deposit = depositing.await.unwrap();
    let after = ledger.size().await.unwrap();
    println!("before: {before:?}");
    println!("after:  {after:?}");
    println!("{} tokens dropped in {pruned:?}, slowest batch {slowest_batch:?}, slowest deposit {slowest_deposit:?}", before.spent);
    assert_eq!((after.spent, after.payments), (60 * TOKENS, PAYMENTS + 60), "the living keyset lost nothing");
    // A refresh out of the closed keyset that began in time comes too late.
    let booking = IssueBooking {
        session: [8; 16],
        digest: [0; 32],
        response: Vec::new(),
        commitments: vec![[8; 32]],
        recovery: [8; 32],
        recovery_commitment: [8; 32],
        points: vec![[8; 64]],
        keyset: new,
        denominations: vec![ONE],
        amount: ONE,
        debit: Debit::Refresh(vec![SpentKey { keyset: old, denomination: ONE, key: spread(u64::MAX / 2) }]),
        now: 499_999,
    };
    assert_eq!(ledger.issue(booking).await.unwrap(), IssueBooked::KeysetClosed);
    let freed = before.bytes.saturating_sub(after.bytes);
    assert!(freed > before.spent * 60, "{freed} bytes came back");
}
