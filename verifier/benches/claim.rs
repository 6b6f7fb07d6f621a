//! Placeholder until the numbers are measured.

fn main() {}
