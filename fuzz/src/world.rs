//! A mint's keys in memory and tokens under them, the same in every run.

use curve25519_dalek::scalar::Scalar;
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{Keyset, KeysetList, PUBLISHED_AHEAD, Proposal, SHORTEST_ISSUE, Windows};
use farthing_protocol::proof::{LoneKey, SpendKey, SpentKey};
use farthing_protocol::snowblind::{Blinding, SigningContext, SigningKey, commit};
use farthing_protocol::spending::KeyTable;
use farthing_protocol::token::{OwnedToken, Token};
use farthing_protocol::wire::{TokenBody, TokensBody};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::plain::{PublicKey, Spent};

/// The denominations of every keyset here.
pub const DENOMINATIONS: [u64; 3] = [1, 2, 5];

/// Two keysets that issue together, and some tokens of both.
pub struct World {
    pub root: LoneKey,
    pub list: KeysetList,
    pub table: KeyTable,
    /// X of both keysets.
    pub public: Vec<PublicKey>,
    /// x, in the order of `public`.
    pub secret: Vec<SigningKey>,
    /// Ascending by spent key.
    pub tokens: Vec<OwnedToken>,
}

impl Default for World {
    fn default() -> Self {
        Self::beginning_at(0)
    }
}

impl World {
    /// A world whose first keyset issues from here, Unix seconds, and whose second one a day later.
    pub fn beginning_at(begin: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let root = LoneKey::generate(&mut rng);
        let mut list = KeysetList::new(*root.public());
        let mut secret = Vec::new();
        for issue_from in [begin, begin + PUBLISHED_AHEAD] {
            let until = issue_from + SHORTEST_ISSUE;
            let windows = Windows { issue_from, issue_until: until, spend_until: until, refresh_until: until, deposit_until: until };
            let keys: Vec<SigningKey> = DENOMINATIONS.map(|_| SigningKey::generate(&mut rng)).into();
            let public = DENOMINATIONS.iter().zip(&keys).map(|(value, key)| (Amount::from_units(*value), *key.public())).collect();
            let receipt_key = *LoneKey::generate(&mut rng).public();
            let proposal = Proposal { published: begin, unit: Unit::default_eur(), windows, receipt_key, keys: public };
            list.announce(proposal, &root, &mut rng).unwrap();
            secret.extend(keys);
        }
        let of =
            |keyset: &Keyset| keyset.keys().iter().map(|(value, key)| (keyset.id().0, value.units(), key.to_bytes())).collect::<Vec<_>>();
        let public: Vec<PublicKey> = list.keysets().iter().flat_map(of).collect();
        let mut world = Self { table: list.key_table(), root, list, public, secret, tokens: Vec::new() };
        world.tokens = (0..12).map(|number| world.token(number % world.public.len(), &mut rng)).collect();
        world.tokens.sort_by_key(|token| *token.token().spent_key());
        world
    }

    /// A fresh token of the key with this place in `public`.
    pub fn token(&self, place: usize, rng: &mut StdRng) -> OwnedToken {
        let ((keyset, denomination, _), key) = (self.public[place], &self.secret[place]);
        let owner = SpendKey::generate(rng);
        let context = SigningContext::new(&keyset, denomination, key.public());
        let (nonces, commitment) = commit(&Point::second_generator(), rng).unwrap();
        let (pending, challenge) =
            Blinding::generate(rng).challenge(&context, key.public(), &commitment, owner.public().as_bytes()).unwrap();
        let signature = pending.unblind(&nonces.respond(key, &challenge)).unwrap();
        let keyset = farthing_protocol::proof::KeysetId(keyset);
        let spent_key = SpentKey { keyset, denomination: Amount::from_units(denomination), key: owner.public().to_bytes() };
        OwnedToken::new(Token::new(spent_key, signature), owner).unwrap()
    }

    /// The secret of a token, as a cheating reader has it.
    pub fn secret_of(token: &OwnedToken) -> Scalar {
        Scalar::from_canonical_bytes(*token.key().expose_secret()).unwrap()
    }
}

/// A token as an entry of the list L.
pub fn spent(token: &OwnedToken) -> Spent {
    let spent = token.token().spent_key();
    (spent.keyset.0, spent.denomination.units(), spent.key)
}

/// The body of some tokens in whatever order they come, with the table of their keysets.
pub fn body<'a>(tokens: impl IntoIterator<Item = &'a OwnedToken>) -> TokensBody {
    let tokens: Vec<&OwnedToken> = tokens.into_iter().collect();
    let mut keysets: Vec<_> = tokens.iter().map(|token| token.token().keyset().0.into()).collect();
    keysets.sort();
    keysets.dedup();
    let place = |token: &OwnedToken| keysets.iter().position(|id: &farthing_protocol::wire::Bytes<32>| id.0 == token.token().keyset().0);
    let one = |token: &&OwnedToken| TokenBody {
        keyset: u8::try_from(place(token).unwrap_or_default()).unwrap_or_default(),
        denomination: token.token().denomination().units(),
        key: token.token().spent_key().key.into(),
        signature: token.token().signature().to_body(),
    };
    let tokens = tokens.iter().map(one).collect();
    TokensBody { keysets, tokens }
}
