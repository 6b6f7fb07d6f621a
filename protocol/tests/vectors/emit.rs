//! Freshly random artefacts for the reference in `spec/reference/` to verify.

use farthing_protocol::amount::{Amount, Unit, default_denominations};
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::group::Point;
use farthing_protocol::issue::{FundingKeys, Issue, Open, SessionPlan, issued_frame, opened_frame};
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::proof::{LoneKey, PaymentId, SpendKey, SpentKey, Statement};
use farthing_protocol::receipt::PublisherReceipt;
use farthing_protocol::refund::{self, RefundOutcome, RefundRefusal};
use farthing_protocol::restore::{Bucket, RecordedSession};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::settle::{Outcome, Refusal, sign_answer};
use farthing_protocol::snowblind::{Nonces, SigningKey, commit};
use farthing_protocol::spending::Spending;
use farthing_protocol::token::{OwnedToken, OwnedTokens, UsedTokens};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{
    Frame, IssueResponseFrame, LedgerMark, OpenRequestFrame, OpenResponseFrame, RecordedOutputBody, RereadFrame,
};
use rand::rngs::ThreadRng;
use rand::{Rng, RngExt};
use serde_json::{Value, json};

use super::positive::subject;
use super::reading::{Fields, hex};

const DAY: u64 = 86_400;

/// Everything for `count` mints of their own.
pub fn artefacts(count: usize) -> Value {
    json!({"worlds": (0..count).map(|_| World::new().artefacts()).collect::<Vec<_>>()})
}

struct World {
    rng: ThreadRng,
    root: LoneKey,
    receipt: LoneKey,
    list: KeysetList,
    keys: Vec<Vec<(Amount, SigningKey)>>,
    seed: WalletSeed,
    next_index: u64,
    sessions: Vec<Value>,
}

impl World {
    fn new() -> Self {
        let mut rng = rand::rng();
        let root = LoneKey::generate(&mut rng);
        let mut list = KeysetList::new(*root.public());
        let mut keys = Vec::new();
        let mut receipt = LoneKey::generate(&mut rng);
        for number in 0..2 {
            let made: Vec<_> = default_denominations().into_iter().map(|amount| (amount, SigningKey::generate(&mut rng))).collect();
            receipt = LoneKey::generate(&mut rng);
            let from = (1 + 20 * number) * DAY;
            let windows = Windows {
                issue_from: from,
                issue_until: from + 30 * DAY,
                spend_until: from + 40 * DAY,
                refresh_until: from + 50 * DAY,
                deposit_until: from + 60 * DAY,
            };
            let proposal = Proposal {
                published: from - DAY,
                unit: Unit::default_eur(),
                windows,
                receipt_key: *receipt.public(),
                keys: made.iter().map(|(amount, key)| (*amount, *key.public())).collect(),
            };
            list.announce(proposal, &root, &mut rng).unwrap();
            keys.push(made);
        }
        let seed = WalletSeed::generate(&mut rng);
        Self { rng, root, receipt, list, keys, seed, next_index: 0, sessions: Vec::new() }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Runs a whole session, and notes it down.
    fn issue(&mut self, number: usize, denominations: &[u64], funding: &FundingKeys<'_>) -> Vec<OwnedToken> {
        let root = *self.root.public();
        let keyset = &self.list.keysets()[number];
        let amounts = denominations.iter().copied().map(Amount::from_units).collect();
        let plan = SessionPlan::new(&self.seed, &root, keyset.id(), amounts, self.next_index).unwrap();
        let open_request = plan.open(&root, funding, &mut self.rng).unwrap();
        let open = Open::from_frame(&open_request).unwrap().verify(&root, &self.list.key_table(), &mut self.rng).unwrap();
        let h = Point::second_generator();
        let nonces: Vec<Nonces> = denominations.iter().map(|_| commit(&h, &mut self.rng).unwrap().0).collect();
        let commitments: Vec<_> = nonces.iter().map(|one| *one.commitment()).collect();
        let open_response = opened_frame(self.rng.random(), 120, &commitments);
        let first_index = self.next_index;
        self.next_index += denominations.len() as u64;
        let pending = plan.blind(&self.seed, &root, keyset, first_index, &open_response).unwrap();
        let issue_request = plan.request(&root, &pending, funding, &mut self.rng).unwrap();
        let checked = Issue::from_frame(&issue_request).unwrap().verify(&root, &open).unwrap();
        let key = |amount: &Amount| &self.keys[number].iter().find(|(known, _)| known == amount).unwrap().1;
        let responses: Vec<_> = nonces
            .into_iter()
            .zip(checked.challenges())
            .zip(&plan.denominations)
            .map(|((one, challenge), amount)| one.respond(key(amount), challenge))
            .collect();
        let issue_response = issued_frame(&responses);
        let tokens = pending.unblind(&issue_response).unwrap();
        self.sessions.push(json!({
            "open_request": hex(open_request.to_bytes()), "open_response": hex(open_response.to_bytes()),
            "issue_request": hex(issue_request.to_bytes()), "issue_response": hex(issue_response.to_bytes()),
            "seed": hex(self.seed.expose_secret().as_ref()), "first_index": first_index,
            "keys": tokens.iter().map(|token| hex(token.token().spent_key().key)).collect::<Vec<_>>(),
        }));
        tokens
    }

    fn artefacts(mut self) -> Value {
        let code = VoucherCode::generate(&mut self.rng);
        let voucher = code.key().unwrap();
        let vouchers = json!([{"text": *code.expose_secret(), "key": hex(voucher.public().as_bytes())}]);
        let mut tokens = self.issue(0, &[20, 500, 500], &FundingKeys::Voucher(&voucher));
        let newer = self.issue(1, &[1000], &FundingKeys::Voucher(&voucher));
        let copied = copy(&tokens[1]);
        let retired = OwnedTokens::new(vec![tokens.pop().unwrap()]).unwrap().retire();
        let refreshed = self.issue(1, &[100, 200, 200], &FundingKeys::Refresh(&retired));

        let (mut payments, mut spendings) = (Vec::new(), Vec::new());
        let mut pay = |world: &mut Self, tokens: Vec<OwnedToken>, recipient: &str, amount: u64| {
            let subject: [u8; 32] = world.bytes();
            let terms = PaymentTerms { recipient, amount: Amount::from_units(amount), deposit_by: 60 * DAY, subject };
            let (payment, used) = OwnedTokens::new(tokens).unwrap().pay(&terms, &mut world.rng).unwrap();
            let spending = payment.state(recipient, subject).verify(&world.list.key_table(), &mut world.rng).unwrap().into_inner();
            payments.push(json!({
                "frame": hex(payment.to_frame().to_bytes()), "recipient": recipient, "subject": hex(subject),
                "payment_id": hex(spending.payment_id().0), "change": payment.change().units(),
            }));
            spendings.push(spending);
            (used, terms.statement(), payment.change())
        };
        let mixed = tokens.into_iter().chain(newer).collect();
        let (used, _, first_change) = pay(&mut self, mixed, "news.example", 1_500);
        let (_, _, second_change) = pay(&mut self, vec![copied], "blog.example:8443", 500);
        let (rest, settled, _) = pay(&mut self, refreshed, "news.example", 470);
        self.issue(0, &[10, 20], &FundingKeys::Change(&rest, settled));

        let proof = DoubleSpend::new(SpendingSide::of(&spendings[0]), &spendings[1]).unwrap();
        let double_spends = json!([{
            "frame": hex(proof.to_frame().to_bytes()), "payment_ids": proof.payment_ids().map(|id| hex(id.0)),
        }]);
        let answers = self.answers(&spendings, [first_change, second_change], proof);
        let rereads = self.reread(&used);
        self.issue(1, &[20, 50, 200, 200], &FundingKeys::Reclaim(&rest, settled));
        let refunds = self.refund(&spendings[0]);
        let receipts = self.receipts(&spendings[0]);
        let buckets = self.buckets();
        json!({
            "root": hex(self.root.public().as_bytes()), "list": hex(self.list.to_frame().to_bytes()), "head": hex(self.list.head()),
            "ids": self.list.keysets().iter().map(|keyset| hex(keyset.id().0)).collect::<Vec<_>>(),
            "payments": payments, "double_spends": double_spends, "answers": answers, "sessions": self.sessions, "rereads": rereads,
            "vouchers": vouchers, "refunds": refunds, "receipts": receipts, "buckets": buckets,
        })
    }

    fn answers(&mut self, spendings: &[Spending], changes: [Amount; 2], proof: DoubleSpend) -> Value {
        let ids: Vec<PaymentId> = spendings.iter().map(Spending::payment_id).collect();
        let outcomes = [Outcome::Credited { change: changes[0] }, Outcome::DoubleSpent(Box::new(proof)), Outcome::Refused(Refusal::Late)];
        let mark = LedgerMark { ledger: self.bytes::<16>().into(), sequence: self.rng.random_range(0..1 << 40) };
        let given: Vec<Option<PaymentId>> = ids.iter().copied().map(Some).collect();
        let frame = sign_answer(self.root.public(), mark, &given, &outcomes, &self.receipt, &mut self.rng).unwrap();
        let payments: Vec<Value> = ids.iter().map(|id| json!({"id": hex(id.0), "change": changes[0].units()})).collect();
        json!([{"frame": hex(frame.to_bytes()), "payments": payments}])
    }

    fn receipts(&mut self, spending: &Spending) -> Value {
        let key = LoneKey::generate(&mut self.rng);
        let receipt = PublisherReceipt {
            payment: spending.payment_id(),
            publisher: "news.example".into(),
            amount: Amount::from_units(self.rng.random_range(1..1 << 40)),
            settled: self.rng.random(),
            resource: self.bytes(),
            paid_at: self.rng.random_range(0..1 << 40),
            access_until: self.rng.random_range(0..1 << 40),
        };
        let proof = receipt.sign(&key, &mut self.rng).unwrap().to_body();
        json!([{
            "payment_id": hex(receipt.payment.0), "publisher": receipt.publisher, "amount": receipt.amount.units(),
            "settled": receipt.settled, "resource": hex(receipt.resource), "paid_at": receipt.paid_at,
            "access_until": receipt.access_until, "key": hex(key.public().as_bytes()), "t": hex(proof.t.0), "u": hex(proof.u.0),
        }])
    }

    fn refund(&mut self, spending: &Spending) -> Value {
        let (payment, key) = (spending.payment_id(), LoneKey::generate(&mut self.rng));
        let request = refund::request(self.root.public(), payment, "news.example", &key, &mut self.rng).unwrap();
        let mark = LedgerMark { ledger: self.bytes::<16>().into(), sequence: self.rng.random_range(0..1 << 40) };
        let outcome = RefundOutcome::Refused(RefundRefusal::PaidOut);
        let answer = refund::sign_answer(self.root.public(), mark, payment, outcome, &self.receipt, &mut self.rng).unwrap();
        json!([{
            "payment_id": hex(payment.0), "key": hex(key.public().as_bytes()), "request": hex(request.to_bytes()),
            "answer": hex(answer.to_bytes()), "outcome": {"Refused": outcome_number(outcome)},
        }])
    }

    /// What the mint would publish of all sessions so far.
    fn buckets(&self) -> Value {
        let mut all = Vec::new();
        for keyset in self.list.keysets() {
            let mut sessions = Vec::new();
            let mut keys = Vec::new();
            for session in &self.sessions {
                let open: OpenRequestFrame = session.frame("open_request");
                if open.keyset.0 != keyset.id().0 {
                    continue;
                }
                let (opened, issued) =
                    (session.frame::<OpenResponseFrame>("open_response"), session.frame::<IssueResponseFrame>("issue_response"));
                let outputs = open.denominations.iter().zip(opened.commitments).zip(issued.responses);
                let outputs = outputs.map(|((denomination, commitment), response)| RecordedOutputBody {
                    denomination: *denomination,
                    commitment,
                    response,
                });
                sessions.push(RecordedSession::new(open.recovery.0, outputs.collect()).unwrap());
                keys.extend(session.items("keys").iter().cloned());
            }
            let bucket = Bucket::new(keyset.id(), 0, sessions).unwrap();
            all.push(json!({"keyset": hex(keyset.id().0), "frame": hex(bucket.to_frame().to_bytes()), "keys": keys}));
        }
        json!({"seed": hex(self.seed.expose_secret().as_ref()), "all": all})
    }

    fn reread(&mut self, used: &UsedTokens) -> Value {
        let challenge = json!({
            "id": hex(self.bytes::<32>()), "realm": "news.example", "method": "farthing", "intent": "charge", "request": "e30",
            "opaque": hex(self.bytes::<16>()),
        });
        let statement = Statement::new(b"news.example", Amount::ZERO, 0, &subject(&challenge, &[]));
        let proof = used.reread(&statement, &mut self.rng).unwrap();
        let frame = RereadFrame { payment: self.bytes::<32>().into(), proof: proof.to_body() };
        let key =
            |spent: &SpentKey| json!({"keyset": hex(spent.keyset.0), "denomination": spent.denomination.units(), "key": hex(spent.key)});
        json!([{
            "frame": hex(frame.to_bytes()), "challenge": challenge, "recipient": "news.example",
            "keys": used.list().iter().map(key).collect::<Vec<_>>(),
        }])
    }
}

fn outcome_number(outcome: RefundOutcome) -> u16 {
    match outcome {
        RefundOutcome::Refused(refusal) => refusal.number(),
        _ => 0,
    }
}

/// What a cheating reader does: the same key loaded twice.
fn copy(token: &OwnedToken) -> OwnedToken {
    OwnedToken::new(*token.token(), SpendKey::from_bytes(&token.key().expose_secret()).unwrap()).unwrap()
}
