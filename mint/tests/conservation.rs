//! Value is neither made nor lost, whatever readers and publishers do.

mod common;

use common::{World, copy, statement};
use farthing_mint::{BankAccount, PayoutOptions};
use farthing_protocol::amount::{Amount, default_denominations, split};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::LoneKey;
use farthing_protocol::refund;
use farthing_protocol::settle::Outcome;
use farthing_protocol::token::{OwnedToken, OwnedTokens, UsedTokens};
use rand::RngExt;

/// A payment, what its keys may still prove, and when it was to be deposited.
struct Sent {
    deposit: Deposit,
    used: UsedTokens,
    deposit_by: u64,
    settled: bool,
    refunded: bool,
}

fn parts(units: u64) -> Vec<u64> {
    split(Amount::from_units(units), &default_denominations()).unwrap().into_iter().map(Amount::units).collect()
}

fn worth(tokens: &[OwnedToken]) -> u64 {
    tokens.iter().map(|token| token.token().denomination().units()).sum()
}

/// The rest of a settled payment, once.
async fn take_change(world: &mut World, one: Sent) -> Vec<OwnedToken> {
    let payment = one.deposit.payment();
    let said = statement(one.deposit.recipient(), payment.amount().units(), one.deposit_by);
    if payment.change().is_zero() {
        return Vec::new();
    }
    let tokens = world.issue(&parts(payment.change().units()), &FundingKeys::Change(&one.used, said)).await.unwrap();
    assert!(world.issue(&[1], &FundingKeys::Change(&one.used, said)).await.is_err());
    tokens
}

/// The publisher refunds.
async fn give_back(world: &mut World, one: &mut Sent, key: &LoneKey) {
    let id = one.deposit.spending().payment_id();
    let frame = refund::request(&world.root, id, one.deposit.recipient(), key, &mut world.rng).unwrap();
    assert_eq!(world.http.post("/v1/refunds", &frame).await.status, http::StatusCode::OK);
    one.refunded = true;
}

/// The reader reclaims, once, and may take the change besides.
async fn take_back(world: &mut World, one: Sent, change: bool) -> Vec<OwnedToken> {
    let payment = one.deposit.payment();
    let said = statement(one.deposit.recipient(), payment.amount().units(), one.deposit_by);
    let outputs = parts(payment.amount().units());
    let mut tokens = world.issue(&outputs, &FundingKeys::Reclaim(&one.used, said)).await.unwrap();
    assert!(world.issue(&outputs, &FundingKeys::Reclaim(&one.used, said)).await.is_err());
    assert!(matches!(world.deposit(&[&one.deposit]).await[0], Outcome::Refunded));
    if change {
        tokens.extend(take_change(world, one).await);
    }
    tokens
}

/// What is paid out is gone from the publishers and from nowhere else.
async fn pay_everybody(world: &World, publishers: &[&str], earned: u64) {
    let account = BankAccount { iban: "DE89370400440532013000".into(), name: "Somebody".into(), address: None };
    for publisher in publishers {
        world.mint.set_payee(publisher, &account).await.unwrap();
    }
    let before = world.balanced().await;
    let options = PayoutOptions { id: None, debtor: account, minimum: Amount::ZERO, fee_share: 30 };
    world.mint.pay_out(options, &world.path().join("out")).await.unwrap();
    let after = world.balanced().await;
    assert!(after.paid_out.units() > 0);
    assert_eq!(after.credits.units() + after.fees.units() + after.paid_out.units(), earned);
    assert_eq!((after.sold, after.vouchers, after.outstanding), (before.sold, before.vouchers, before.outstanding));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn value_is_conserved_in_random_sequences() {
    let mut world = World::new().await;
    let publishers = ["news.example", "blog.example"];
    for publisher in publishers {
        world.mint.add_publisher(publisher).await.unwrap();
    }
    let mut vouchers: Vec<(LoneKey, u64)> = Vec::new();
    let mut wallet: Vec<OwnedToken> = Vec::new();
    let mut stolen: Vec<OwnedToken> = Vec::new();
    let mut sent: Vec<Sent> = Vec::new();
    let mut earned = 0;
    let mut given_back = 0;
    let mut key = |name: &str| (name.to_owned(), LoneKey::generate(&mut world.rng));
    let keys = publishers.map(&mut key);
    for (name, key) in &keys {
        world.mint.set_publisher_key(name, key.public()).await.unwrap();
    }
    for step in 0..240 {
        match world.rng.random_range(0..10) {
            0 => {
                let units = world.rng.random_range(1..20_000);
                vouchers.push((world.voucher(units).await, units));
            }
            1 | 2 if !vouchers.is_empty() => {
                let index = world.rng.random_range(0..vouchers.len());
                let units = world.rng.random_range(1..=vouchers[index].1.max(1));
                let issued = world.issue(&parts(units), &FundingKeys::Voucher(&vouchers[index].0)).await;
                match issued {
                    Ok(tokens) => {
                        vouchers[index].1 -= units;
                        wallet.extend(tokens);
                    }
                    Err(code) => assert!(code == "voucher-insufficient" && vouchers[index].1 < units, "{code}"),
                }
            }
            3 | 4 if !wallet.is_empty() => {
                let count = world.rng.random_range(1..=wallet.len().min(5));
                let tokens: Vec<OwnedToken> = wallet.drain(..count).collect();
                stolen.push(copy(&tokens[0]));
                let amount = world.rng.random_range(1..=worth(&tokens));
                let deposit_by = world.now() + 9_999;
                let (deposit, used) = world.pay_until(tokens, publishers[step % 2], amount, deposit_by);
                sent.push(Sent { deposit, used, deposit_by, settled: false, refunded: false });
            }
            5 if !sent.is_empty() => {
                // Some old ones too.
                let outcomes = world.deposit(&sent.iter().map(|one| &one.deposit).collect::<Vec<_>>()).await;
                for (outcome, one) in outcomes.iter().zip(&mut sent) {
                    match outcome {
                        Outcome::Credited { .. } => {
                            assert!(!std::mem::replace(&mut one.settled, true));
                            earned += one.deposit.payment().amount().units();
                        }
                        Outcome::AlreadyCredited { .. } => assert!(one.settled && !one.refunded),
                        Outcome::Refunded => assert!(one.refunded),
                        _ => panic!("an honest payment was refused"),
                    }
                }
            }
            6 if sent.iter().any(|one| one.settled && !one.refunded) => {
                let index = sent.iter().position(|one| one.settled && !one.refunded).unwrap();
                wallet.extend(take_change(&mut world, sent.swap_remove(index)).await);
            }
            8 if sent.iter().any(|one| one.settled && !one.refunded) => {
                let one = sent.iter_mut().find(|one| one.settled && !one.refunded).unwrap();
                let (_, key) = keys.iter().find(|(name, _)| name == one.deposit.recipient()).unwrap();
                give_back(&mut world, one, key).await;
                earned -= one.deposit.payment().amount().units();
                given_back += 1;
            }
            9 if sent.iter().any(|one| one.refunded) => {
                let index = sent.iter().position(|one| one.refunded).unwrap();
                wallet.extend(take_back(&mut world, sent.swap_remove(index), step % 2 == 0).await);
            }
            7 if !wallet.is_empty() => {
                let count = world.rng.random_range(1..=wallet.len().min(24));
                let tokens: Vec<OwnedToken> = wallet.drain(..count).collect();
                let units = worth(&tokens);
                let retired = OwnedTokens::new(tokens).unwrap().retire();
                wallet.extend(world.issue(&parts(units), &FundingKeys::Refresh(&retired)).await.unwrap());
            }
            _ if !stolen.is_empty() && step % 5 == 0 => {
                // Only what is spent already: a thief who is first is the reader, as far as anybody can tell.
                let token = stolen.pop().unwrap();
                if sent.iter().any(|one| one.settled && one.used.list().contains(token.token().spent_key())) {
                    let amount = token.token().denomination().units();
                    let (deposit, _) = world.pay(vec![token], "blog.example", amount);
                    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::DoubleSpent(_)));
                }
            }
            _ => {}
        }
        let status = world.balanced().await;
        let left: u64 = vouchers.iter().map(|(_, units)| units).sum();
        let undecided: u64 = sent.iter().filter(|one| !one.settled).map(|one| one.deposit.payment().value().units()).sum();
        assert_eq!(status.vouchers.units(), left);
        assert_eq!(status.credits.units(), earned);
        let due: u64 = sent.iter().filter(|one| one.refunded).map(|one| one.deposit.payment().amount().units()).sum();
        assert_eq!(status.refunds_due.units(), due);
        assert_eq!(status.outstanding.units(), worth(&wallet) + undecided);
    }
    assert!(earned > 0 && given_back > 0);
    pay_everybody(&world, &publishers, earned).await;
}
