//! One token's life through the public types: issued, paid, deposited, changed, refreshed, and caught when paid twice.

mod common;

use common::World;
use farthing_protocol::amount::Amount;
use farthing_protocol::error::{AnswerError, EvidenceError, PaymentError, ProofError, UseError};
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::payment::{Deposit, Payment, PaymentTerms};
use farthing_protocol::settle::{Outcome, sign_answer, verify_answer};
use farthing_protocol::spending::{Spending, verify_batch};
use farthing_protocol::token::{OwnedToken, OwnedTokens};
use farthing_protocol::wire::{DoubleSpendFrame, Frame, LedgerMark, PaymentFrame};

fn terms(recipient: &str, amount: u64) -> PaymentTerms<'_> {
    PaymentTerms { recipient, amount: Amount::from_units(amount), deposit_by: 3_600, subject: [5; 32] }
}

fn copy(token: &OwnedToken) -> OwnedToken {
    // What a thief of the wallet file, or a cheating reader, does.
    let key = farthing_protocol::proof::SpendKey::from_bytes(&token.key().expose_secret()).unwrap();
    OwnedToken::new(*token.token(), key).unwrap()
}

#[test]
fn a_payment_travels_and_pays_only_its_publisher() {
    let mut world = World::new(1);
    let tokens = world.tokens(&[200, 500]);
    let (payment, used) = OwnedTokens::new(tokens).unwrap().pay(&terms("news.example", 600), &mut world.rng).unwrap();
    let bytes = payment.to_frame().to_bytes();
    let received = Payment::from_frame(&PaymentFrame::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(received.change(), Amount::from_units(100));
    let checked = received.state("news.example", [5; 32]).verify(&world.table, &mut world.rng).unwrap();
    assert!(checked.spending().list() == used.list());
    for (recipient, subject) in [("blog.example", [5; 32]), ("news.example", [6; 32])] {
        let wrong = received.state(recipient, subject).verify(&world.table, &mut world.rng);
        assert_eq!(wrong.err(), Some(ProofError::InvalidProof));
    }
    let mut frame = payment.to_frame();
    frame.amount = 700;
    let raised = Payment::from_frame(&frame).unwrap().state("news.example", [5; 32]).verify(&world.table, &mut world.rng);
    assert_eq!(raised.err(), Some(ProofError::InvalidProof));
    frame.amount = 701;
    assert_eq!(Payment::from_frame(&frame).err(), Some(PaymentError::Insufficient));
}

#[test]
fn change_and_refresh_issue_new_tokens() {
    let mut world = World::new(2);
    let tokens = world.tokens(&[500]);
    let terms = terms("news.example", 300);
    let (_, used) = OwnedTokens::new(tokens).unwrap().pay(&terms, &mut world.rng).unwrap();
    let change = world.issue(&[200], &FundingKeys::Change(&used, terms.statement()));
    let retired = OwnedTokens::new(change).unwrap().retire();
    let fresh = world.issue(&[100, 100], &FundingKeys::Refresh(&retired));
    assert_eq!(fresh.len(), 2);
}

#[test]
fn a_double_spend_is_proven_and_nobody_is_framed() {
    let mut world = World::new(3);
    let mut tokens = world.tokens(&[100, 500]);
    let (copied, innocent) = (copy(&tokens[1]), tokens.remove(0));
    let pay = |world: &mut World, tokens, recipient| {
        let (payment, _) = OwnedTokens::new(tokens).unwrap().pay(&terms(recipient, 100), &mut world.rng).unwrap();
        payment.state(recipient, [5; 32]).verify(&world.table, &mut world.rng).unwrap().into_inner()
    };
    let first = pay(&mut world, tokens, "news.example");
    let second = pay(&mut world, vec![copied], "blog.example");
    let other = pay(&mut world, vec![innocent], "news.example");
    let proof = DoubleSpend::new(SpendingSide::of(&first), &second).unwrap();
    let bytes = proof.to_frame().to_bytes();
    let frame = DoubleSpendFrame::from_bytes(&bytes).unwrap();
    let proven = DoubleSpend::from_frame(&frame).unwrap().verify(&world.table).unwrap();
    assert!(proven.token() == &first.list()[0]);
    assert_eq!(DoubleSpend::new(SpendingSide::of(&first), &first).err(), Some(EvidenceError::SamePayment));
    assert_eq!(DoubleSpend::new(SpendingSide::of(&first), &other).err(), Some(EvidenceError::NotShared));
    // An honest payment's list cannot be swapped for one that holds somebody else's token.
    let mut forged = frame;
    forged.sides[0].list.push(forged.token.clone());
    assert!(DoubleSpend::from_frame(&forged).and_then(|proof| proof.verify(&world.table)).is_err());
}

#[test]
fn a_batch_accepts_what_singles_accept_and_names_the_culprits() {
    let mut world = World::new(4);
    let count = 70;
    let tokens = world.tokens(&vec![5; count]);
    let spendings: Vec<Spending> = tokens
        .into_iter()
        .enumerate()
        .map(|(index, token)| {
            let (payment, _) = OwnedTokens::new(vec![token]).unwrap().pay(&terms("news.example", 5), &mut world.rng).unwrap();
            let mut frame = payment.to_frame();
            match index {
                3 => frame.tokens.tokens[0].signature.s.0[0] ^= 1,
                40 => frame.proof.u.0[0] ^= 1,
                50 => frame.tokens.tokens[0].denomination = 10,
                60 => frame.tokens.tokens[0].denomination = 7,
                61 => frame.tokens.keysets[0].0[0] ^= 1,
                62 => frame.proof.t = [0xff; 32].into(),
                _ => {}
            }
            Payment::from_frame(&frame).unwrap().state("news.example", [5; 32])
        })
        .collect();
    let answers = verify_batch(spendings.clone(), &world.table, &mut world.rng).unwrap();
    for (index, (answer, single)) in answers.into_iter().zip(spendings).enumerate() {
        let expected = match index {
            3 | 50 => Some(ProofError::InvalidSignature),
            40 => Some(ProofError::InvalidProof),
            60 => Some(ProofError::UnknownDenomination),
            61 => Some(ProofError::UnknownKeyset),
            62 => Some(ProofError::InvalidPoint),
            _ => None,
        };
        assert_eq!(answer.err(), expected, "{index}");
        assert_eq!(single.verify(&world.table, &mut world.rng).err(), expected, "{index} alone");
    }
    assert_eq!(verify_batch(vec![], &world.table, &mut world.rng).err(), Some(ProofError::EmptyBatch));
}

#[test]
fn a_deposit_answer_is_the_mints_word() {
    let mut world = World::new(5);
    let tokens = world.tokens(&[500]);
    let (payment, _) = OwnedTokens::new(tokens).unwrap().pay(&terms("news.example", 300), &mut world.rng).unwrap();
    let deposit = Deposit::new("news.example", [5; 32], payment).unwrap();
    let spending = deposit.spending().verify(&world.table, &mut world.rng).unwrap().into_inner();
    let mark = LedgerMark { ledger: [1; 16].into(), sequence: 7 };
    let outcomes = [Outcome::Credited { change: Amount::from_units(200) }];
    let ids = [Some(spending.payment_id())];
    let frame = sign_answer(&world.root(), mark, &ids, &outcomes, &world.receipt, &mut world.rng).unwrap();
    let expected = [(spending.payment_id(), deposit.payment().change())];
    assert!(verify_answer(&frame, &expected, &world.list).unwrap() == outcomes);
    let mut forged = frame;
    forged.mark.sequence = 8;
    assert!(verify_answer(&forged, &expected, &world.list).is_err());
}

#[test]
fn a_double_spend_of_others_excuses_nothing() {
    // A mint that holds one true double-spend proof must not answer every deposit with it.
    let mut world = World::new(6);
    let mut tokens = world.tokens(&[100, 500]);
    let (copied, honest) = (copy(&tokens[1]), tokens.remove(0));
    let pay = |world: &mut World, tokens, recipient| {
        let (payment, _) = OwnedTokens::new(tokens).unwrap().pay(&terms(recipient, 100), &mut world.rng).unwrap();
        payment.state(recipient, [5; 32]).verify(&world.table, &mut world.rng).unwrap().into_inner()
    };
    let first = pay(&mut world, tokens, "news.example");
    let second = pay(&mut world, vec![copied], "blog.example");
    let other = pay(&mut world, vec![honest], "news.example");
    let proof = DoubleSpend::new(SpendingSide::of(&first), &second).unwrap();
    let mark = LedgerMark { ledger: [1; 16].into(), sequence: 7 };
    let outcomes = [Outcome::DoubleSpent(Box::new(proof))];
    for (spending, expected) in [(&second, None), (&first, None), (&other, Some(AnswerError::UnrelatedProof))] {
        let ids = [Some(spending.payment_id())];
        let frame = sign_answer(&world.root(), mark, &ids, &outcomes, &world.receipt, &mut world.rng).unwrap();
        assert_eq!(verify_answer(&frame, &[(spending.payment_id(), Amount::ZERO)], &world.list).err(), expected);
    }
    let unequal = sign_answer(&world.root(), mark, &[], &outcomes, &world.receipt, &mut world.rng);
    assert_eq!(unequal.err(), Some(UseError::CountMismatch));
}
