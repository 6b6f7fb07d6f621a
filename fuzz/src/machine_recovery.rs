//! A leaked key: the operator freezes, the second reader, who has stolen the keys, makes counterfeits, and readers claim what they hold by
//! the sessions that made it.

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_mint::Status;
use farthing_mint::signer::KeyFile;
use farthing_protocol::group::Point;
use farthing_protocol::proof::SpentKey;
use farthing_protocol::recovery::{Recovery, RecoverySecret, SessionOrigin};
use farthing_protocol::snowblind::{Blinding, SigningContext, commit};
use farthing_protocol::token::Token;
use farthing_protocol::wire::{Bytes, FundingBody, IssueRequestFrame, OpenRequestFrame};

use super::*;
use crate::plain;

/// A keyset and a denomination.
pub(super) type Kind = (KeysetId, u64);

/// What somebody does when keys have leaked.
#[derive(Arbitrary, Debug, Clone)]
pub enum Move {
    /// What is done at other times too.
    Other(Step),
    /// The operator freezes a denomination.
    Freeze { kind: u8 },
    /// The second reader makes a token.
    Counterfeit { kind: u8 },
    /// The second reader makes tokens and pays the second publisher with each, who deposits them together.
    Cash { kind: u8, tokens: u8, fault: Fault },
    /// A reader claims tokens of a session, mostly frozen ones; the second one also spent ones, or any by any session, and changes what it
    /// claims.
    Claim { reader: bool, session: u8, tokens: u16, place: u8, changes: Vec<Change>, keyset: u8, fault: Fault },
    /// The second reader buys under the name of a session: with its indices if it was its own, else under its recovery hash only.
    BuyAs { session: u8, voucher: u8, units: u8, keyset: u8, fault: Fault },
}

/// One change of a claim. The proof stays as it was; it does not cover what is shown of the session.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Change {
    /// Bits of the recovery hash.
    Session(u8, u8),
    /// The recovery hash and leaves of another session.
    OtherSession(u8),
    /// Another keyset.
    Keyset(u8),
    /// Bits of a leaf.
    Leaf(u8, u8, u8),
    /// Two leaves change places.
    SwapLeaves(u8, u8),
    /// A leaf less, or one more.
    LeafCount(bool),
    /// Another place in the session.
    Position(u8, u8),
    /// The secret of another output, of this session or another.
    Secret(u8, u8, u8),
    /// Bits of a secret.
    SecretBits(u8, u8, u8),
    /// Another token's P, whoever holds it.
    Key(u8, u8),
    /// Another denomination.
    Denomination(u8, u8),
    /// A claim twice.
    Twice(u8),
    /// Bits of the proof with which the session is opened.
    Proof(u8, u8),
    /// Bits of the proof with which it is answered.
    IssueProof(u8, u8),
}

/// A session as it was booked.
pub(super) struct Bought {
    keyset: KeysetId,
    denominations: Vec<Amount>,
    first_index: u64,
    recovery: [u8; 32],
    /// u of every output.
    secrets: Vec<[u8; 32]>,
    cheat: bool,
}

impl Bought {
    pub(super) fn new(seed: &WalletSeed, root: &Point, plan: &SessionPlan, first_index: u64, cheat: bool) -> Self {
        let outputs = plan.denominations.iter().zip(first_index..);
        let (seed, root) = (seed.expose_secret(), root.as_bytes());
        // The key X is no part of what u follows from.
        let secret = |(value, index): (&Amount, u64)| plain::recovery_secret(&seed, root, &(plan.keyset.0, value.units(), [0; 32]), index);
        let secrets = outputs.map(secret).collect();
        let SessionPlan { keyset, denominations, recovery, .. } = plan.clone();
        Self { keyset, denominations, first_index, recovery, secrets, cheat }
    }

    fn leaves(&self) -> Vec<Bytes<32>> {
        self.secrets.iter().map(|secret| RecoverySecret::from_bytes(*secret).leaf().into()).collect()
    }
}

/// Tokens claimed by a session, and what is done to the claim.
pub(super) struct Claim {
    pub(super) tokens: Vec<usize>,
    pub(super) recovery: Recovery,
    session: usize,
    changes: Vec<Change>,
}

impl Claim {
    /// Changes the proof of a request for responses; `true` if it did.
    pub(super) fn spoil(&self, request: &mut IssueRequestFrame) -> bool {
        let before = request.proof.clone();
        for change in &self.changes {
            if let Change::IssueProof(place, bits) = change {
                flip(&mut request.proof.t, &mut request.proof.u, *place, *bits);
            }
        }
        request.proof != before
    }
}

fn flip(t: &mut Bytes<32>, u: &mut Bytes<32>, place: u8, bits: u8) {
    let part = if place < 128 { t } else { u };
    part.0[usize::from(place) % 32] ^= bits;
}

fn pick<T>(of: &[T], place: u8) -> &T {
    &of[usize::from(place) % of.len()]
}

impl Machine {
    /// Does a move, and compares the books with the model.
    pub fn go(&mut self, step: Move) {
        match step {
            Move::Other(step) => self.act(step),
            Move::Freeze { kind } => {
                let (number, kind) = self.some_kind(kind);
                let mint = self.process().mint.clone();
                self.process().runtime.block_on(mint.freeze_denomination(number, Amount::from_units(kind.1))).unwrap();
                self.leaked.insert(kind);
            }
            Move::Counterfeit { kind } => self.counterfeit(kind),
            Move::Cash { kind, tokens, fault } => self.cash(kind, tokens, fault),
            Move::Claim { reader: false, session, tokens, place, keyset, fault, .. } => {
                self.claim_own(session, tokens, place % 4 == 3, keyset, fault);
            }
            Move::Claim { reader: true, session, tokens, place, changes, keyset, fault } => {
                self.claim_any(session, tokens, place, changes, keyset, fault);
            }
            Move::BuyAs { session, voucher, units, keyset, fault } => {
                if !self.vouchers.is_empty() && !self.sessions.is_empty() {
                    let (voucher, name) = (usize::from(voucher) % self.vouchers.len(), usize::from(session) % self.sessions.len());
                    let units = (u64::from(units) * STEP).min(self.vouchers[voucher].1);
                    self.issue(true, &Paying::Voucher(voucher), units, keyset, fault, Some(name));
                }
            }
        }
        self.compare();
    }

    /// What the first reader still holds comes back to it: refreshed, or claimed if it is frozen; what was paid, refreshed or repaid does not
    /// come back once more, to nobody. [`Machine::issue`] says if it is otherwise.
    pub fn finish(&mut self) {
        // No session is open any more.
        self.hands.0.fetch_add(121, Ordering::SeqCst);
        for _ in 0..2 {
            self.learn_frozen();
            let mut groups: BTreeMap<(Kind, Option<usize>), Vec<usize>> = BTreeMap::new();
            for (token, held) in self.tokens.iter().enumerate().filter(|(_, held)| !held.cheat && held.state == State::Unspent) {
                let session = held.origin.map(|(session, _)| session).filter(|_| self.is_frozen(token));
                groups.entry((self.kind(token), session)).or_default().push(token);
            }
            for ((kind, session), tokens) in groups {
                // So few that they fit a session in the smallest denomination.
                for tokens in tokens.chunks((40 * STEP / kind.1).max(1).min(MAX_TOKENS as u64) as usize) {
                    let units = kind.1 * tokens.len() as u64;
                    let places = tokens.iter().map(|token| self.tokens[*token].origin.unwrap().1);
                    let paying = match session {
                        None => Paying::Tokens(tokens.to_vec()),
                        Some(session) => {
                            let places: Vec<(u8, usize)> = places.zip(tokens.iter().copied()).collect();
                            Paying::Recovery(self.claimed(session, &places, Vec::new()).unwrap())
                        }
                    };
                    self.issue(false, &paying, units, 0, Fault::None, None);
                }
            }
        }
        let gone = |token: &usize| self.tokens[*token].state != State::Unspent && self.is_frozen(*token);
        for token in (0..self.tokens.len()).filter(gone).take(6).collect::<Vec<_>>() {
            let Some((session, place)) = self.tokens[token].origin else { continue };
            let claim = self.claimed(session, &[(place, token)], Vec::new()).unwrap();
            self.issue(true, &Paying::Recovery(claim), self.worth(token), 0, Fault::None, None);
        }
        self.compare();
    }

    fn some_kind(&self, choice: u8) -> (u32, Kind) {
        let keyset = pick(self.list.keysets(), choice / 3);
        (u32::try_from(keyset.number()).unwrap(), (keyset.id(), DENOMINATIONS[usize::from(choice) % 3]))
    }

    /// The mint's keys.
    pub(super) fn stolen(&self) -> KeyFile {
        KeyFile::from_json(&std::fs::read(self.dir.path().join("keys.json")).unwrap()).unwrap()
    }

    /// A token made with a stolen key.
    fn counterfeit(&mut self, choice: u8) {
        let (number, kind) = self.some_kind(choice);
        let stolen = self.stolen();
        let Some((denomination, key)) = stolen.keysets[number as usize].keys.iter().find(|(have, _)| have.units() == kind.1) else {
            return;
        };
        let context = SigningContext::new(&kind.0.0, kind.1, key.public());
        let (nonces, commitment) = commit(&Point::second_generator(), &mut self.rng).unwrap();
        let owner = SpendKey::generate(&mut self.rng);
        let blinding = Blinding::generate(&mut self.rng);
        let (pending, challenge) = blinding.challenge(&context, key.public(), &commitment, owner.public().as_bytes()).unwrap();
        let signature = pending.unblind(&nonces.respond(key, &challenge)).unwrap();
        let spent_key = SpentKey { keyset: kind.0, denomination: *denomination, key: owner.public().to_bytes() };
        let token = OwnedToken::new(Token::new(spent_key, signature), owner).unwrap();
        self.tokens.push(Held { token, cheat: true, state: State::Unspent, origin: None, left: false });
        self.leaked.insert(kind);
    }

    /// The thief's way to money: so long as no more come back than were issued, the mint cannot tell.
    fn cash(&mut self, kind: u8, tokens: u8, fault: Fault) {
        let (made, sent) = (self.tokens.len(), self.sent.len());
        for _ in 0..=tokens % 8 {
            self.counterfeit(kind);
        }
        for token in made..self.tokens.len() {
            self.pay(vec![token], 1, 30, 200);
        }
        self.hand_in((sent..self.sent.len()).collect(), fault);
    }

    /// As a wallet does: whole tokens of one session whose denominations are frozen, or that a mint has told it are.
    fn claim_own(&mut self, choice: u8, mask: u16, misled: bool, keyset: u8, fault: Fault) {
        self.learn_frozen();
        let able = |token: &usize| {
            let held = &self.tokens[*token];
            !held.cheat && held.state == State::Unspent && (misled || self.is_frozen(*token))
        };
        let able: Vec<usize> = (0..self.tokens.len()).filter(able).collect();
        let sessions: BTreeSet<usize> = able.iter().map(|token| self.tokens[*token].origin.unwrap().0).collect();
        let Some(session) = sessions.iter().nth(usize::from(choice) % sessions.len().max(1)).copied() else { return };
        let of = able.into_iter().filter_map(|token| {
            let (made, place) = self.tokens[token].origin?;
            (made == session).then_some((place, token))
        });
        let places: Vec<(u8, usize)> = of.enumerate().filter(|(place, _)| mask >> (place % 16) & 1 == 1).map(|(_, one)| one).collect();
        if let Some(claim) = self.claimed(session, &places[..places.len().min(MAX_TOKENS)], Vec::new()) {
            let units = claim.recovery.value().unwrap().units();
            self.issue(false, &Paying::Recovery(claim), units, keyset, fault, None);
        }
    }

    /// Whatever the second reader holds, bought, spent or counterfeit, by whatever session: it knows all their secrets.
    fn claim_any(&mut self, choice: u8, mask: u16, place: u8, changes: Vec<Change>, keyset: u8, fault: Fault) {
        if self.sessions.is_empty() {
            return;
        }
        self.learn_frozen();
        // Its own tokens of a session, by two ways in six frozen ones and by two any; whatever it holds; the same in wrong places. Of the last
        // two every other claim is of frozen ones: else it is refused for that.
        let (way, place) = (place % 6, place / 6);
        let (true_to, misplaced) = (way < 4, way == 5);
        let frozen_only = way < 2 || (!true_to && place % 2 == 0);
        let frozen = |session: &Bought| session.denominations.iter().any(|value| self.frozen.contains(&(session.keyset, value.units())));
        let own = |session: &usize| {
            let session = &self.sessions[*session];
            (session.cheat || !true_to) && (frozen(session) || !frozen_only)
        };
        let sessions: Vec<usize> = (0..self.sessions.len()).filter(own).collect();
        if sessions.is_empty() {
            return;
        }
        let session = *pick(&sessions, choice);
        let placed = |(number, token): (usize, usize)| {
            if let Some((made, own)) = self.tokens[token].origin
                && made == session
                && !misplaced
            {
                return Some((own, token));
            }
            let outputs = self.sessions[session].denominations.iter().zip(0..=u8::MAX);
            let fits: Vec<u8> = outputs.filter(|(value, _)| value.units() == self.worth(token)).map(|(_, place)| place).collect();
            (!fits.is_empty()).then(|| (fits[(usize::from(place) + number) % fits.len()], token))
        };
        // First what this session made, then the rest.
        let made = |token: &usize| self.tokens[*token].origin.is_some_and(|(made, _)| made == session);
        let able = |token: &usize| self.tokens[*token].cheat && (made(token) || !true_to) && (self.is_frozen(*token) || !frozen_only);
        let mut tokens: Vec<usize> = (0..self.tokens.len()).filter(able).collect();
        tokens.sort_by_key(|token| !made(token));
        let chosen = tokens.into_iter().enumerate().filter(|(place, _)| mask >> (place % 16) & 1 == 1);
        let places: Vec<(u8, usize)> = chosen.filter_map(placed).take(8).collect();
        if let Some(claim) = self.claimed(session, &places, changes) {
            let units = claim.recovery.value().unwrap().units();
            self.issue(true, &Paying::Recovery(claim), units, keyset, fault, None);
        }
    }

    fn claimed(&self, session: usize, places: &[(u8, usize)], changes: Vec<Change>) -> Option<Claim> {
        let (root, bought) = (*self.list.root(), &self.sessions[session]);
        let denominations = &bought.denominations;
        let origin = SessionOrigin { root: &root, keyset: bought.keyset, denominations, first_index: bought.first_index };
        let spent = |token: usize| *self.tokens[token].token.token().spent_key();
        let keys: Vec<(u8, SpentKey)> = places.iter().map(|(place, token)| (*place, spent(*token))).collect();
        let recovery = Recovery::new(&self.seed, &origin, &keys).ok()?;
        Some(Claim { tokens: places.iter().map(|(_, token)| *token).collect(), recovery, session, changes })
    }

    /// Under which index and recovery hash a session is opened.
    pub(super) fn called(&self, cheat: bool, name: Option<usize>) -> (u64, Option<[u8; 32]>) {
        match name.map(|name| &self.sessions[name]) {
            Some(own) if own.cheat && cheat => (own.first_index, None),
            Some(other) => (self.next_index, Some(other.recovery)),
            None => (self.next_index, None),
        }
    }

    /// Changes a claim as its reader wants; whether it is then still true: there is a booked session, shown as it is, that led to exactly
    /// these tokens, and the proof is by their keys.
    pub(super) fn leads(&self, claim: &Claim, frame: &mut OpenRequestFrame) -> bool {
        let (proof, FundingBody::Recovery { keyset, session, leaves, claims }) = (frame.proof.clone(), &mut frame.funding) else {
            return false;
        };
        *session = self.sessions[claim.session].recovery.into();
        let proved: Vec<_> = claims.iter().map(|one| (one.denomination, one.key)).collect();
        for change in &claim.changes {
            let count = claims.len();
            if count == 0 {
                break;
            }
            let at = |place: &u8| usize::from(*place) % count;
            match change {
                Change::Session(place, bits) => session.0[usize::from(*place) % 32] ^= bits,
                Change::OtherSession(other) => {
                    let other = pick(&self.sessions, *other);
                    (*session, *leaves) = (other.recovery.into(), other.leaves());
                }
                Change::Keyset(other) => *keyset = pick(self.list.keysets(), *other).id().0.into(),
                Change::Leaf(leaf, place, bits) => {
                    let count = leaves.len();
                    leaves[usize::from(*leaf) % count].0[usize::from(*place) % 32] ^= bits;
                }
                Change::SwapLeaves(a, b) => {
                    let count = leaves.len();
                    leaves.swap(usize::from(*a) % count, usize::from(*b) % count);
                }
                Change::LeafCount(more) if *more || leaves.len() == 1 => leaves.push(leaves[0]),
                Change::LeafCount(_) => leaves.truncate(leaves.len() - 1),
                Change::Position(place, position) => claims[at(place)].position = *position,
                Change::Secret(place, other, position) => {
                    claims[at(place)].secret = (*pick(&pick(&self.sessions, *other).secrets, *position)).into();
                }
                Change::SecretBits(place, byte, bits) => claims[at(place)].secret.0[usize::from(*byte) % 32] ^= bits,
                Change::Key(place, token) => claims[at(place)].key = pick(&self.tokens, *token).token.token().spent_key().key.into(),
                Change::Denomination(place, value) => claims[at(place)].denomination = *pick(&DENOMINATIONS, *value),
                Change::Twice(place) => claims.insert(at(place), claims[at(place)].clone()),
                Change::Proof(place, bits) => flip(&mut frame.proof.t, &mut frame.proof.u, *place, *bits),
                Change::IssueProof(..) => {}
            }
        }
        let shown = |bought: &&Bought| bought.recovery == session.0 && bought.keyset.0 == keyset.0 && bought.leaves() == *leaves;
        let of = |bought: &Bought| {
            claims.iter().all(|one| {
                let place = usize::from(one.position);
                let token = self.tokens.iter().find(|held| held.token.token().spent_key().key == one.key.0);
                let made = token
                    .and_then(|held| held.origin)
                    .is_some_and(|(number, position)| std::ptr::eq(&raw const self.sessions[number], bought) && position == one.position);
                let secret = bought.secrets.get(place) == Some(&one.secret.0);
                made && secret && bought.denominations[place].units() == one.denomination
            })
        };
        let same = claims.iter().map(|one| (one.denomination, one.key)).eq(proved) && frame.proof == proof;
        same && self.sessions.iter().filter(shown).any(of)
    }

    /// Asks which denominations are frozen, as wallets do: only those that have a reason to be, and for good.
    pub(super) fn learn_frozen(&mut self) {
        if self.leaked.is_empty() {
            return;
        }
        let router = self.process().router.clone();
        let request = Request::builder().uri("/v1/frozen").body(Body::empty()).unwrap();
        let body = self.process().runtime.block_on(async {
            let response = router.oneshot(request).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        });
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let kind = |one: &serde_json::Value| {
            let id = Base64UrlUnpadded::decode_vec(one["keyset"].as_str().unwrap()).unwrap();
            (KeysetId(id.try_into().unwrap()), one["denomination"].as_u64().unwrap())
        };
        let frozen: BTreeSet<Kind> = told.as_array().unwrap().iter().map(kind).collect();
        assert!(frozen.is_subset(&self.leaked), "a denomination is frozen although its key is the mint's alone");
        assert!(self.frozen.is_subset(&frozen), "what is frozen stays so");
        self.frozen = frozen;
    }

    /// Tokens by kind: as many issued, redeemed and repaid as the model says, and never more back than were issued.
    pub(super) fn compare_tokens(&mut self, status: &Status) {
        self.learn_frozen();
        let mut counts: BTreeMap<Kind, [u64; 3]> = BTreeMap::new();
        for (token, held) in self.tokens.iter().enumerate() {
            let count = counts.entry(self.kind(token)).or_default();
            count[0] += u64::from(held.origin.is_some());
            count[1] += u64::from(matches!(held.state, State::Paid(_) | State::Refreshed));
            count[2] += u64::from(held.state == State::Repaid);
        }
        let (mut outstanding, mut counterfeits) = (0, 0);
        for (keyset, told) in self.list.keysets().iter().zip(&status.keysets) {
            for one in &told.denominations {
                let kind = (keyset.id(), one.denomination.units());
                let [issued, redeemed, repaid] = counts.remove(&kind).unwrap_or_default();
                assert_eq!([one.issued, one.redeemed, one.repaid], [issued, redeemed, repaid], "tokens of {}", kind.1);
                assert!(redeemed <= issued && repaid <= issued, "more came back than was issued");
                assert_eq!(one.frozen, self.frozen.contains(&kind), "frozen is frozen");
                outstanding += issued.saturating_sub(redeemed + repaid) * kind.1;
                counterfeits += (redeemed + repaid).saturating_sub(issued) * kind.1;
            }
        }
        assert!(counts.values().all(|count| *count == [0; 3]), "tokens of no keyset");
        assert_eq!(status.outstanding.units(), outstanding, "tokens outstanding");
        assert_eq!(status.counterfeits.units(), counterfeits, "counterfeits");
    }
}
