//! What a target does step by step, made of all of an input.

use arbitrary::{Arbitrary, Result, Unstructured};

/// As many steps as the input has bytes for, and at most `MOST`. A vector would end after each step with a chance of one half.
#[derive(Debug, Clone)]
pub struct Sequence<T, const MOST: usize>(pub Vec<T>);

impl<'a, T: Arbitrary<'a>, const MOST: usize> Arbitrary<'a> for Sequence<T, MOST> {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut steps = Vec::new();
        while steps.len() < MOST && !input.is_empty() {
            steps.push(T::arbitrary(input)?);
        }
        Ok(Self(steps))
    }
}
