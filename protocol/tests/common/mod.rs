//! A mint and a reader in a few lines, over the public types and frames only.

use farthing_protocol::amount::{Amount, Unit, default_denominations};
use farthing_protocol::group::Point;
use farthing_protocol::issue::{FundingKeys, Issue, Open, SessionPlan, issued_frame, opened_frame};
use farthing_protocol::keyset::{Keyset, KeysetList, Proposal, Windows};
use farthing_protocol::proof::LoneKey;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::snowblind::{SigningKey, commit};
use farthing_protocol::spending::KeyTable;
use farthing_protocol::token::OwnedToken;
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{Frame, IssueRequestFrame, IssueResponseFrame, OpenRequestFrame, OpenResponseFrame};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub const DAY: u64 = 86_400;

/// A mint's keys, a reader's seed and their generator, all from one number.
pub struct World {
    pub rng: StdRng,
    pub root: LoneKey,
    pub receipt: LoneKey,
    pub keys: Vec<(Amount, SigningKey)>,
    pub list: KeysetList,
    pub table: KeyTable,
    pub seed: WalletSeed,
    pub next_index: u64,
}

pub fn windows(from: u64) -> Windows {
    Windows {
        issue_from: from,
        issue_until: from + 30 * DAY,
        spend_until: from + 60 * DAY,
        refresh_until: from + 90 * DAY,
        deposit_until: from + 90 * DAY,
    }
}

pub fn proposal(published: u64, from: u64, receipt: &LoneKey, keys: &[(Amount, SigningKey)]) -> Proposal {
    Proposal {
        published,
        unit: Unit::default_eur(),
        windows: windows(from),
        receipt_key: *receipt.public(),
        keys: keys.iter().map(|(denomination, key)| (*denomination, *key.public())).collect(),
    }
}

pub fn signing_keys(rng: &mut StdRng) -> Vec<(Amount, SigningKey)> {
    default_denominations().into_iter().map(|denomination| (denomination, SigningKey::generate(rng))).collect()
}

impl World {
    pub fn new(number: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(number);
        let (root, receipt) = (LoneKey::generate(&mut rng), LoneKey::generate(&mut rng));
        let keys = signing_keys(&mut rng);
        let mut list = KeysetList::new(*root.public());
        list.announce(proposal(0, 0, &receipt, &keys), &root, &mut rng).unwrap();
        let table = list.key_table();
        let seed = WalletSeed::generate(&mut rng);
        Self { rng, root, receipt, keys, list, table, seed, next_index: 0 }
    }

    pub fn root(&self) -> Point {
        *self.root.public()
    }

    pub fn keyset(&self) -> &Keyset {
        &self.list.keysets()[0]
    }

    pub fn plan(&self, denominations: &[u64]) -> SessionPlan {
        let denominations = denominations.iter().copied().map(Amount::from_units).collect();
        SessionPlan::new(&self.seed, &self.root(), self.keyset().id(), denominations, self.next_index).unwrap()
    }

    /// Runs a whole issue through the wire frames, paid by `funding`.
    pub fn issue(&mut self, denominations: &[u64], funding: &FundingKeys<'_>) -> Vec<OwnedToken> {
        let (root, plan) = (self.root(), self.plan(denominations));
        let first_index = self.next_index;
        self.next_index += denominations.len() as u64;

        let request = plan.open(&root, funding, &mut self.rng).unwrap();
        let request = OpenRequestFrame::from_bytes(&request.to_bytes()).unwrap();
        let open = Open::from_frame(&request).unwrap().verify(&root, &self.table, &mut self.rng).unwrap();
        let h = Point::second_generator();
        let nonces: Vec<_> = denominations.iter().map(|_| commit(&h, &mut self.rng).unwrap().0).collect();
        let commitments: Vec<_> = nonces.iter().map(|nonces| *nonces.commitment()).collect();
        let opened = OpenResponseFrame::from_bytes(&opened_frame([9; 16], 120, &commitments).to_bytes()).unwrap();

        let pending = plan.blind(&self.seed, &root, self.keyset(), first_index, &opened).unwrap();
        let request = plan.request(&root, &pending, funding, &mut self.rng).unwrap();
        let request = IssueRequestFrame::from_bytes(&request.to_bytes()).unwrap();
        let issue = Issue::from_frame(&request).unwrap().verify(&root, &open).unwrap();
        let answer = |((nonces, challenge), denomination): ((_, _), &Amount)| {
            let key = &self.keys.iter().find(|(known, _)| known == denomination).unwrap().1;
            farthing_protocol::snowblind::Nonces::respond(nonces, key, challenge)
        };
        let responses: Vec<_> = nonces.into_iter().zip(issue.challenges()).zip(&open.plan().denominations).map(answer).collect();
        let response = IssueResponseFrame::from_bytes(&issued_frame(&responses).to_bytes()).unwrap();
        pending.unblind(&response).unwrap()
    }

    /// Tokens bought with a voucher.
    pub fn tokens(&mut self, denominations: &[u64]) -> Vec<OwnedToken> {
        let voucher = VoucherCode::generate(&mut self.rng).key().unwrap();
        self.issue(denominations, &FundingKeys::Voucher(&voucher))
    }
}
