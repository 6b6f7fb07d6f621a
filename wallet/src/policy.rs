//! Which tokens to buy and which to pay with. Pure functions.

use farthing_protocol::amount::{Amount, split};

/// The most tokens the wallet puts into one payment, if fewer do not make the amount.
const MOST_TOKENS: usize = farthing_protocol::token::MAX_TOKENS;

/// How many combinations the search for exact coins tries before it takes change instead.
const SEARCH_LIMIT: usize = 20_000;

/// The tokens of a top-up: for half of the amount a set that makes every small price exactly (1, 2, 2, 5 of each power), the rest in
/// as few tokens as possible. The same amount always gives the same set, so that top-ups do not stand out.
///
/// Returns `None` if the denominations cannot make the amount.
pub(crate) fn top_up(amount: Amount, denominations: &[Amount]) -> Option<Vec<Amount>> {
    let mut small = Vec::new();
    let mut rest = amount.units();
    for denomination in denominations {
        // Twos are needed twice: 1 + 2 + 2 + 5 = 10.
        let leading = denomination.units().to_string().starts_with('2');
        for _ in 0..if leading { 2 } else { 1 } {
            if denomination.units() <= rest && rest - denomination.units() >= amount.units() / 2 {
                small.push(*denomination);
                rest -= denomination.units();
            }
        }
    }
    let mut tokens = split(Amount::from_units(rest), denominations)?;
    tokens.append(&mut small);
    tokens.sort_unstable();
    Some(tokens)
}

/// Chooses tokens worth at least `amount`: exactly, with as few tokens as can be found; else the least that covers it, with change.
///
/// `values` holds the tokens' values, oldest keyset first; the answer holds indices into it. `None` if at most 24 tokens cannot cover it.
pub(crate) fn choose(values: &[Amount], amount: Amount) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..values.len()).filter(|index| !values[*index].is_zero()).collect();
    // Largest first; within a value the older keyset first, because sorting is stable.
    order.sort_by_key(|index| std::cmp::Reverse(values[*index]));
    let mut search = Search { values, order: &order, steps: 0, best: None };
    search.run(0, amount.units(), &mut Vec::new());
    search.best.or_else(|| cover(values, &order, amount))
}

struct Search<'a> {
    values: &'a [Amount],
    order: &'a [usize],
    steps: usize,
    best: Option<Vec<usize>>,
}

impl Search<'_> {
    fn run(&mut self, from: usize, rest: u64, taken: &mut Vec<usize>) {
        if rest == 0 {
            if self.best.as_ref().is_none_or(|best| taken.len() < best.len()) {
                self.best = Some(taken.clone());
            }
            return;
        }
        let limit = self.best.as_ref().map_or(MOST_TOKENS, |best| best.len() - 1);
        let mut last = None;
        for position in from..self.order.len() {
            self.steps += 1;
            if self.steps > SEARCH_LIMIT || taken.len() >= limit {
                return;
            }
            let value = self.values[self.order[position]].units();
            // Tokens of one value are alike: skipping the first of them and taking the second is the same choice again.
            if value > rest || last == Some(value) {
                continue;
            }
            // Even the largest left, as often as allowed, would not reach.
            if value.saturating_mul((limit - taken.len()) as u64) < rest {
                return;
            }
            last = Some(value);
            taken.push(self.order[position]);
            self.run(position + 1, rest - value, taken);
            taken.pop();
        }
    }
}

/// A covering choice with little overpaid: the largest that fit, then the smallest one that closes the gap.
fn cover(values: &[Amount], order: &[usize], amount: Amount) -> Option<Vec<usize>> {
    let mut taken = Vec::new();
    let mut rest = amount.units();
    for index in order {
        let value = values[*index].units();
        if value <= rest && taken.len() + 1 < MOST_TOKENS {
            taken.push(*index);
            rest -= value;
        }
    }
    let closing = order.iter().rev().find(|index| values[**index].units() >= rest && !taken.contains(*index));
    if rest > 0 {
        match closing {
            Some(index) => taken.push(*index),
            None => return order.iter().rev().find(|index| values[**index] >= amount).map(|index| vec![*index]),
        }
    }
    // A single larger token may overpay less than the sum.
    let paid = taken.iter().map(|index| values[*index].units()).sum::<u64>();
    let single = order.iter().rev().find(|index| values[**index] >= amount);
    match single {
        Some(index) if values[*index].units() <= paid => Some(vec![*index]),
        _ => Some(taken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::amount::default_denominations;

    fn amounts(units: &[u64]) -> Vec<Amount> {
        units.iter().copied().map(Amount::from_units).collect()
    }

    fn chosen(units: &[u64], amount: u64) -> Option<Vec<u64>> {
        let values = amounts(units);
        let mut picked: Vec<u64> = choose(&values, Amount::from_units(amount))?.into_iter().map(|index| values[index].units()).collect();
        picked.sort_unstable();
        Some(picked)
    }

    #[test]
    fn exact_coins_win_and_fewest_of_them() {
        assert_eq!(chosen(&[1, 2, 2, 5, 10], 5), Some(vec![5]));
        assert_eq!(chosen(&[5, 2, 2, 2], 6), Some(vec![2, 2, 2]));
        assert_eq!(chosen(&[1, 1, 1, 1, 1, 5], 6), Some(vec![1, 5]));
    }

    #[test]
    fn without_exact_coins_the_least_that_covers() {
        assert_eq!(chosen(&[10, 100, 1000], 7), Some(vec![10]));
        assert_eq!(chosen(&[5, 10, 100], 12), Some(vec![5, 10]));
        assert_eq!(chosen(&[50, 50, 100], 70), Some(vec![100]));
        assert_eq!(chosen(&[1, 2], 4), None);
        assert_eq!(chosen(&[], 1), None);
    }

    #[test]
    fn a_choice_always_covers_and_is_payable() {
        let mut state = 1_u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let denominations = default_denominations();
        for _ in 0..300 {
            let count = 1 + next(60);
            let values: Vec<Amount> = (0..count).map(|_| denominations[usize::try_from(next(16)).unwrap()]).collect();
            let amount = Amount::from_units(1 + next(200_000));
            if let Some(picked) = choose(&values, amount) {
                let mut unique = picked.clone();
                unique.sort_unstable();
                unique.dedup();
                assert_eq!(unique.len(), picked.len());
                assert!(picked.len() <= MOST_TOKENS);
                assert!(Amount::checked_sum(picked.iter().map(|index| values[*index])).unwrap() >= amount);
            } else {
                let mut sorted = values.clone();
                sorted.sort_unstable_by(|a, b| b.cmp(a));
                assert!(Amount::checked_sum(sorted.into_iter().take(MOST_TOKENS)).unwrap() < amount);
            }
        }
    }

    #[test]
    fn a_top_up_is_worth_its_amount_and_makes_small_prices() {
        let denominations = default_denominations();
        for amount in [1, 7, 500, 100_000, 500_000, 999_999] {
            let tokens = top_up(Amount::from_units(amount), &denominations).unwrap();
            assert_eq!(Amount::checked_sum(tokens.iter().copied()), Some(Amount::from_units(amount)));
            assert!(tokens.len() < 64, "{amount}: {}", tokens.len());
        }
        let tokens = top_up(Amount::from_units(500_000), &denominations).unwrap();
        for price in 1..100 {
            let picked = choose(&tokens, Amount::from_units(price)).unwrap();
            assert_eq!(Amount::checked_sum(picked.iter().map(|index| tokens[*index])), Some(Amount::from_units(price)));
        }
    }
}
