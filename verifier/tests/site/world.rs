//! A mint's keys and a reader's tokens, made with the protocol crate alone.

use farthing_protocol::amount::{Amount, Unit, default_denominations};
use farthing_protocol::group::Point;
use farthing_protocol::issue::{FundingKeys, Issue, Open, SessionPlan, issued_frame, opened_frame};
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::proof::{LoneKey, SpendKey};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::snowblind::{Nonces, SigningKey, commit};
use farthing_protocol::spending::KeyTable;
use farthing_protocol::token::OwnedToken;
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::OpenResponseFrame;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub const DAY: u64 = 86_400;

/// When the tests take place.
pub const NOW: u64 = 20 * DAY + 1_234;

pub struct World {
    pub rng: StdRng,
    pub root: LoneKey,
    pub receipt: LoneKey,
    pub keys: Vec<(Amount, SigningKey)>,
    pub list: KeysetList,
    pub table: KeyTable,
    seed: WalletSeed,
    next_index: u64,
}

/// A keyset announced at `published`, issuing from `from` for 30 days and spendable for 60.
pub fn announce(
    list: &mut KeysetList,
    published: u64,
    from: u64,
    root: &LoneKey,
    rng: &mut StdRng,
) -> (LoneKey, Vec<(Amount, SigningKey)>) {
    announce_in(list, Unit::default_eur(), published, from, root, rng)
}

pub fn announce_in(
    list: &mut KeysetList,
    unit: Unit,
    published: u64,
    from: u64,
    root: &LoneKey,
    rng: &mut StdRng,
) -> (LoneKey, Vec<(Amount, SigningKey)>) {
    let receipt = LoneKey::generate(rng);
    let keys: Vec<_> = default_denominations().into_iter().map(|denomination| (denomination, SigningKey::generate(rng))).collect();
    let proposal = Proposal {
        published,
        unit,
        windows: Windows {
            issue_from: from,
            issue_until: from + 30 * DAY,
            spend_until: from + 60 * DAY,
            refresh_until: from + 90 * DAY,
            deposit_until: from + 90 * DAY,
        },
        receipt_key: *receipt.public(),
        keys: keys.iter().map(|(denomination, key)| (*denomination, *key.public())).collect(),
    };
    list.announce(proposal, root, rng).unwrap();
    (receipt, keys)
}

impl World {
    pub fn new(number: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(number);
        let root = LoneKey::generate(&mut rng);
        let mut list = KeysetList::new(*root.public());
        let (receipt, keys) = announce(&mut list, 0, 0, &root, &mut rng);
        let table = list.key_table();
        let seed = WalletSeed::generate(&mut rng);
        Self { rng, root, receipt, keys, list, table, seed, next_index: 0 }
    }

    pub fn root(&self) -> Point {
        *self.root.public()
    }

    /// Tokens of the list's keyset `number`, whose keys are `keys`.
    pub fn tokens_of(&mut self, number: usize, keys: &[(Amount, SigningKey)], denominations: &[u64]) -> Vec<OwnedToken> {
        let root = self.root();
        let keyset = &self.list.keysets()[number];
        let denominations: Vec<Amount> = denominations.iter().copied().map(Amount::from_units).collect();
        let plan = SessionPlan::new(&self.seed, &root, keyset.id(), denominations.clone(), self.next_index).unwrap();
        let first_index = self.next_index;
        self.next_index += denominations.len() as u64;
        let voucher = VoucherCode::generate(&mut self.rng).key().unwrap();
        let funding = FundingKeys::Voucher(&voucher);
        let open = Open::from_frame(&plan.open(&root, &funding, &mut self.rng).unwrap()).unwrap();
        let open = open.verify(&root, &self.list.key_table(), &mut self.rng).unwrap();
        let h = Point::second_generator();
        let nonces: Vec<Nonces> = denominations.iter().map(|_| commit(&h, &mut self.rng).unwrap().0).collect();
        let commitments: Vec<_> = nonces.iter().map(|nonces| *nonces.commitment()).collect();
        let opened: OpenResponseFrame = opened_frame([9; 16], 120, &commitments);
        let pending = plan.blind(&self.seed, &root, keyset, first_index, &opened).unwrap();
        let request = plan.request(&root, &pending, &funding, &mut self.rng).unwrap();
        let issue = Issue::from_frame(&request).unwrap().verify(&root, &open).unwrap();
        let responses: Vec<_> = nonces
            .into_iter()
            .zip(issue.challenges())
            .zip(&open.plan().denominations)
            .map(|((nonces, challenge), denomination)| {
                let key = &keys.iter().find(|(known, _)| known == denomination).unwrap().1;
                nonces.respond(key, challenge)
            })
            .collect();
        pending.unblind(&issued_frame(&responses)).unwrap()
    }

    /// Tokens of the first keyset.
    pub fn tokens(&mut self, denominations: &[u64]) -> Vec<OwnedToken> {
        let keys = std::mem::take(&mut self.keys);
        let tokens = self.tokens_of(0, &keys, denominations);
        self.keys = keys;
        tokens
    }
}

/// What a cheating reader does: keeps a copy of a token.
pub fn copy(token: &OwnedToken) -> OwnedToken {
    let key = SpendKey::from_bytes(&token.key().expose_secret()).unwrap();
    OwnedToken::new(*token.token(), key).unwrap()
}
