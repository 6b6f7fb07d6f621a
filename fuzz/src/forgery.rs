//! Token lists that a cheating reader makes of tokens it bought: changed in any way it likes, then proved again with all it knows.

use arbitrary::Arbitrary;
use curve25519_dalek::scalar::Scalar;
use farthing_protocol::wire::{ProofBody, TokensBody};

use crate::plain;
use crate::world::{DENOMINATIONS, World, body};

/// One change of a token list.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Change {
    /// Another denomination, mostly one that exists.
    Denomination(u8, u8),
    /// Another place in the table of keysets.
    Keyset(u8, u8),
    /// The signature of another token.
    Signature(u8, u8),
    /// A scalar or the point of the signature, of this number.
    Part(u8, u8, u64),
    /// A scalar of the signature, moved by this much up here and down there.
    Shift(u8, u8, u8, u64),
    /// A key of the reader's own.
    OwnKey(u8, u64),
    /// A key that cancels another, whose secret the reader does not know.
    Cancelling(u8, u8, u64),
    /// Two tokens change places.
    Swap(u8, u8),
    /// A token twice.
    Twice(u8),
    /// A secret the reader never had.
    Stranger(u8),
    /// A keyset of the table twice, or the table in another order.
    Table(u8, u8),
}

/// A token list and how it is proved.
#[derive(Arbitrary, Debug, Clone)]
pub struct Forgery {
    /// Which of the world's tokens, a bit each.
    pub tokens: u16,
    /// What is done to them.
    pub changes: Vec<Change>,
    /// t of the proof.
    pub nonce: u64,
}

impl Forgery {
    /// The list, and the secrets the reader claims to know.
    pub fn list(&self, world: &World) -> (TokensBody, Vec<Scalar>) {
        let picked = || world.tokens.iter().enumerate().filter(|(place, _)| self.tokens >> place & 1 == 1).map(|(_, token)| token);
        let (mut list, mut secrets) = (body(picked()), picked().map(World::secret_of).collect::<Vec<_>>());
        for change in self.changes.iter().take(8) {
            apply(*change, &mut list, &mut secrets);
        }
        (list, secrets)
    }

    /// The proof for this purpose and statement: as good as the secrets are.
    pub fn prove(&self, purpose: u64, statement: &[u8; 32], list: &TokensBody, secrets: &[Scalar]) -> ProofBody {
        let spent = plain::list(&list.keysets, &list.tokens).unwrap_or_default();
        plain::prove(purpose, statement, &spent, secrets, plain::scalar_of(self.nonce))
    }
}

fn apply(change: Change, list: &mut TokensBody, secrets: &mut Vec<Scalar>) {
    let count = list.tokens.len();
    if count == 0 {
        return;
    }
    let at = |place: u8| usize::from(place) % count;
    match change {
        Change::Denomination(place, value) => {
            list.tokens[at(place)].denomination =
                DENOMINATIONS.get(usize::from(value)).copied().unwrap_or(u64::from(value) << (value % 60));
        }
        Change::Keyset(place, keyset) => list.tokens[at(place)].keyset = keyset % 3,
        Change::Signature(to, from) => list.tokens[at(to)].signature = list.tokens[at(from)].signature,
        Change::Part(place, part, number) => {
            let (signature, value) = (&mut list.tokens[at(place)].signature, plain::scalar_of(number));
            match part % 5 {
                0 => signature.s = value.to_bytes().into(),
                1 => signature.t = value.to_bytes().into(),
                2 => signature.r = plain::encode(plain::times_g(value)).into(),
                3 => signature.t = [0; 32].into(),
                _ => signature.r = [0; 32].into(),
            }
        }
        Change::Shift(up, down, part, number) => {
            let value = plain::scalar_of(number);
            for (place, delta) in [(at(up), value), (at(down), -value)] {
                let signature = &mut list.tokens[place].signature;
                let scalar = if part % 2 == 0 { &mut signature.s } else { &mut signature.t };
                let moved = plain::scalar(&scalar.0).unwrap_or_default() + delta;
                *scalar = moved.to_bytes().into();
            }
        }
        Change::OwnKey(place, number) => {
            secrets[at(place)] = plain::scalar_of(number);
            list.tokens[at(place)].key = plain::encode(plain::times_g(secrets[at(place)])).into();
        }
        Change::Cancelling(place, other, number) => {
            let Some(stranger) = plain::point(&list.tokens[at(other)].key.0) else { return };
            let secret = plain::scalar_of(number);
            list.tokens[at(place)].key = plain::encode(plain::times_g(secret) - stranger).into();
            (secrets[at(place)], secrets[at(other)]) = (secret, Scalar::ZERO);
        }
        Change::Swap(a, b) => {
            list.tokens.swap(at(a), at(b));
            secrets.swap(at(a), at(b));
        }
        Change::Twice(place) => {
            let (token, secret) = (list.tokens[at(place)].clone(), secrets[at(place)]);
            list.tokens.insert(at(place), token);
            secrets.insert(at(place), secret);
        }
        Change::Stranger(place) => secrets[at(place)] += Scalar::ONE,
        Change::Table(a, b) => {
            let length = list.keysets.len();
            if a % 2 == 0 {
                list.keysets.push(list.keysets[usize::from(b) % length]);
            } else {
                list.keysets.swap(usize::from(a) % length, usize::from(b) % length);
            }
        }
    }
}

/// Whether every token of a list is one the world's mint has signed, unchanged.
pub fn genuine(world: &World, list: &TokensBody) -> bool {
    let bought = |token: &farthing_protocol::wire::TokenBody| {
        let keyset = list.keysets.get(usize::from(token.keyset));
        world.tokens.iter().any(|known| {
            let key = known.token().spent_key();
            keyset.is_some_and(|id| id.0 == key.keyset.0)
                && (token.denomination, token.key.0) == (key.denomination.units(), key.key)
                && token.signature == known.token().signature().to_body()
        })
    };
    list.tokens.iter().all(bought)
}
