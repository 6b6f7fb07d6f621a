//! What the mint has signed about a payment: kept with it, shown to anybody, and worth nothing when a letter of it is changed.

use std::sync::atomic::Ordering;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::settle::{Outcome, Refusal, sign_answer};
use farthing_protocol::wire::{Bytes, DepositResponseFrame, Frame, LedgerMark};
use farthing_verifier::store::{Decision, PaymentState, RedbStore, Store};
use farthing_verifier::{DepositReceipt, NoReceipt, PublisherKey, ReceiptError, VerifierError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::site::{Plan, Reader, Site, loop_of, pay, reopen};
use crate::stand_in::{Fault, StandIn};
use crate::world::World;

fn read(json: &Value) -> Result<DepositReceipt, ReceiptError> {
    DepositReceipt::from_json(json.to_string().as_bytes())
}

fn encoded(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

async fn none(site: &Site<impl Store>, payment: PaymentId) -> NoReceipt {
    match site.verifier.deposit_receipt(payment).await {
        Err(VerifierError::NoReceipt(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_mints_answer_is_kept_and_proves_one_payment_to_anybody() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("claims.redb");
    let (mint, url) = StandIn::start(World::new(130)).await;
    let root = mint.books().world.root();
    let (key, reader, mut rng) = (PublisherKey::generate(), Reader::new(), StdRng::seed_from_u64(130));
    let plan = async |name: Option<String>| {
        let mut plan = Plan::new(&url, root).await;
        if let Some(name) = name {
            let secret = crate::site::secret(1);
            plan.config = farthing_verifier::VerifierConfig::new(name, url.clone(), root, secret).clock(plan.clock.clone());
        }
        plan.config = plan.config.publisher_key(key.clone());
        plan
    };
    let site = plan(None).await.open(RedbStore::open(&file).unwrap()).await;
    let (name, one) = (site.name.clone(), site.url("/articles/one"));

    // One is refused. Three more wait for a mint that is away, and are booked in one answer.
    mint.fail_once(Fault::Refuse(Refusal::Late));
    let refused = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &refused.header).await.code(), "refused-late");
    mint.fail_always(Some(Fault::Unavailable));
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(pay(&reader.challenge(&one).await, mint.books().world.tokens(&[1_000]), None, &mut rng));
        assert_eq!(reader.get_with(&one, &sent.last().unwrap().header).await.code(), "mint-unavailable");
    }
    assert!(matches!(site.verifier.deposit_receipt(sent[0].id).await, Err(VerifierError::MintUnavailable)), "undecided");
    mint.fail_always(None);
    site.hand_in().await;

    // Nobody is asked for it, and a restart changes nothing.
    mint.fail_always(Some(Fault::Unavailable));
    let mut receipts = Vec::new();
    for sent in &sent {
        let receipt = site.verifier.deposit_receipt(sent.id).await.unwrap();
        let proven = receipt.verify(&root).unwrap();
        assert_eq!((proven.payment, &proven.publisher, proven.amount, proven.first), (sent.id, &name, Amount::from_units(500), true));
        assert!(proven.mark.ledger == Bytes([1; 16]) && proven.mark.sequence >> 24 <= mint.books().sequence);
        assert_eq!(read(&serde_json::from_str(&receipt.to_json()).unwrap()).unwrap(), receipt);
        receipts.push(receipt);
    }
    site.close().await;
    drop(reopen(&file).await);
    let asked = mint.books().requests.len();
    let site = plan(Some(name)).await.open(RedbStore::open(&file).unwrap()).await;
    assert_eq!(site.verifier.deposit_receipt(sent[2].id).await.unwrap(), receipts[2]);
    assert_eq!(mint.books().requests.len(), asked);

    assert_eq!(none(&site, PaymentId([1; 32])).await, NoReceipt::UnknownPayment);
    assert_eq!(none(&site, refused.id).await, NoReceipt::NotBooked);
    mint.fail_always(None);
    site.verifier.refund(sent[0].id).await.unwrap();
    assert_eq!(none(&site, sent[0].id).await, NoReceipt::GivenBack);
    assert_eq!(site.verifier.deposit_receipt(sent[1].id).await.unwrap(), receipts[1], "the others keep theirs");
}

#[tokio::test]
async fn what_was_settled_without_an_answer_is_handed_in_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("claims.redb");
    let (mint, url) = StandIn::start(World::new(131)).await;
    let root = mint.books().world.root();
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(131));
    let plan = Plan::new(&url, root).await;
    let config = plan.config.clone();
    let site = plan.open(RedbStore::open(&file).unwrap()).await;
    let one = site.url("/articles/one");
    // Booked, and the answer lost: as a store of an earlier version keeps it.
    mint.fail_always(Some(Fault::LostAnswer));
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.code(), "mint-unavailable");
    site.close().await;
    let store = reopen(&file).await;
    store.decide(vec![Decision { payment: sent.id, state: PaymentState::Settled }], None, None).await.unwrap();
    drop(store);
    let verifier = farthing_verifier::Verifier::open(config, reopen(&file).await).await.unwrap();
    assert!(matches!(verifier.deposit_receipt(sent.id).await, Err(VerifierError::MintUnavailable)));
    mint.fail_always(None);
    for fault in [Fault::BadSignature, Fault::WrongChange, Fault::Refuse(Refusal::Late)] {
        mint.fail_once(fault);
        assert!(matches!(verifier.deposit_receipt(sent.id).await, Err(VerifierError::MintUnavailable)), "{fault:?}");
    }
    let receipt = verifier.deposit_receipt(sent.id).await.unwrap();
    let proven = receipt.verify(&root).unwrap();
    assert_eq!((proven.payment, proven.first), (sent.id, false));
    mint.fail_always(Some(Fault::Unavailable));
    assert_eq!(verifier.deposit_receipt(sent.id).await.unwrap(), receipt, "kept from now on");
    verifier.shutdown().await;
}

#[tokio::test]
async fn a_receipt_that_is_changed_in_any_place_proves_nothing() {
    let (mint, site, reader) = loop_of(132).await;
    let mut rng = StdRng::seed_from_u64(132);
    let one = site.url("/articles/one");
    let mut receipts = Vec::new();
    for tokens in [[200, 500], [100, 500]] {
        let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&tokens), None, &mut rng);
        assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
        receipts.push((sent.id, site.verifier.deposit_receipt(sent.id).await.unwrap()));
    }
    let root = mint.books().world.root();
    let json: [Value; 2] = [0, 1].map(|which| serde_json::from_str(&receipts[which].1.to_json()).unwrap());
    let check = |json: &Value| read(json).and_then(|receipt| receipt.verify(&root)).map(|_| ());
    assert_eq!(check(&json[0]), Ok(()));

    // Every field: another publisher, more money, other tokens, another payment's answer, ..
    let of_other = |field: &str| {
        let mut changed = json[0].clone();
        changed[field] = json[1][field].clone();
        check(&changed)
    };
    for (field, error) in [
        ("payment", ReceiptError::OtherPayment),
        ("subject", ReceiptError::OtherPayment),
        ("tokens", ReceiptError::OtherPayment),
        ("payments", ReceiptError::Unsigned),
        ("answer", ReceiptError::Unsigned),
    ] {
        assert_eq!(of_other(field), Err(error), "{field}");
    }
    let with = |field: &str, value: Value| {
        let mut changed = json[0].clone();
        changed[field] = value;
        check(&changed)
    };
    for (field, value, error) in [
        ("receipt", json!("farthing-deposit/2"), ReceiptError::Malformed),
        ("more", json!(1), ReceiptError::Malformed),
        ("publisher", json!("other.example"), ReceiptError::OtherPayment),
        ("amount", json!("600"), ReceiptError::OtherPayment),
        ("amount", json!("0500"), ReceiptError::Malformed),
        ("amount", json!("18446744073709551615"), ReceiptError::OtherPayment),
        ("depositBy", json!(1), ReceiptError::OtherPayment),
        ("tokens", json!([]), ReceiptError::OtherPayment),
        ("payments", json!([]), ReceiptError::Unsigned),
        ("payment", json!("AAAA"), ReceiptError::OtherPayment),
        ("subject", json!("AAAA"), ReceiptError::Malformed),
        ("answer", json!(""), ReceiptError::Malformed),
        ("keysets", json!("@"), ReceiptError::Malformed),
    ] {
        assert_eq!(with(field, value), Err(error), "{field}");
    }
    assert_eq!(DepositReceipt::from_json(b"{}").err(), Some(ReceiptError::Malformed));
    assert_eq!(DepositReceipt::from_json(&vec![b' '; 64 << 20]).err(), Some(ReceiptError::Malformed));
    // A bit of every byte of the answer.
    let answer = Base64UrlUnpadded::decode_vec(json[0]["answer"].as_str().unwrap()).unwrap();
    for place in 0..answer.len() {
        let mut changed = answer.clone();
        changed[place] ^= 1;
        assert!(with("answer", json!(encoded(&changed))).is_err(), "{place}");
    }

    // Another mint: its own root, or its keysets under ours.
    let other = World::new(133);
    assert_eq!(receipts[0].1.verify(&other.root()), Err(ReceiptError::OtherMint));
    assert_eq!(with("keysets", json!(encoded(&other.list.to_frame().to_bytes()))), Err(ReceiptError::OtherMint));
    // An answer that says otherwise, signed by the mint; and by whoever is not.
    let mut signed = |outcome: Outcome, by: &World| {
        let mark = LedgerMark { ledger: [1; 16].into(), sequence: 9 };
        let frame: DepositResponseFrame = sign_answer(&root, mark, &[Some(receipts[0].0)], &[outcome], &by.receipt, &mut rng).unwrap();
        with("answer", json!(encoded(&frame.to_bytes())))
    };
    let (change, more) = (Amount::from_units(200), Amount::from_units(201));
    let books = mint.books();
    assert_eq!(signed(Outcome::AlreadyCredited { change }, &books.world), Ok(()));
    assert_eq!(signed(Outcome::Credited { change }, &other), Err(ReceiptError::Unsigned));
    assert_eq!(signed(Outcome::Credited { change: more }, &books.world), Err(ReceiptError::OtherPayment));
    for outcome in [Outcome::Refunded, Outcome::Refused(Refusal::Late)] {
        assert_eq!(signed(outcome, &books.world), Err(ReceiptError::NotBooked));
    }
    assert_eq!(site.served.load(Ordering::SeqCst), 2);
}
