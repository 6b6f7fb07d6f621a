//! Value is neither made nor lost, whatever readers and publishers do.

mod common;

use common::{World, copy, statement};
use farthing_protocol::amount::{Amount, default_denominations, split};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::LoneKey;
use farthing_protocol::settle::Outcome;
use farthing_protocol::token::{OwnedToken, OwnedTokens, UsedTokens};
use rand::RngExt;

/// A payment, what its keys may still prove, and when it was to be deposited.
struct Sent {
    deposit: Deposit,
    used: UsedTokens,
    deposit_by: u64,
    settled: bool,
}

fn parts(units: u64) -> Vec<u64> {
    split(Amount::from_units(units), &default_denominations()).unwrap().into_iter().map(Amount::units).collect()
}

fn worth(tokens: &[OwnedToken]) -> u64 {
    tokens.iter().map(|token| token.token().denomination().units()).sum()
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
    for step in 0..160 {
        match world.rng.random_range(0..8) {
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
                sent.push(Sent { deposit, used, deposit_by, settled: false });
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
                        Outcome::AlreadyCredited { .. } => assert!(one.settled),
                        _ => panic!("an honest payment was refused"),
                    }
                }
            }
            6 if sent.iter().any(|one| one.settled) => {
                let index = sent.iter().position(|one| one.settled).unwrap();
                let one = sent.swap_remove(index);
                let payment = one.deposit.payment();
                let said = statement(one.deposit.recipient(), payment.amount().units(), one.deposit_by);
                if payment.change().is_zero() {
                    continue;
                }
                let tokens = world.issue(&parts(payment.change().units()), &FundingKeys::Change(&one.used, said)).await.unwrap();
                wallet.extend(tokens);
                assert!(world.issue(&[1], &FundingKeys::Change(&one.used, said)).await.is_err());
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
        assert_eq!(status.outstanding.units(), worth(&wallet) + undecided);
    }
    assert!(earned > 0);
}
