//! What the readers do, at the publisher and at the mint.

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::http::{ChargeRequest, Credential, EchoedChallenge};
use farthing_protocol::proof::Statement;
use farthing_protocol::wire::RereadFrame;
use mpp::PaymentCredential;
use rand::Rng;

use super::*;

fn echoed(challenge: &PaymentChallenge) -> EchoedChallenge<'_> {
    EchoedChallenge {
        id: &challenge.id,
        realm: &challenge.realm,
        method: challenge.method.as_str(),
        intent: challenge.intent.as_str(),
        request: challenge.request.raw(),
        expires: challenge.expires.as_deref(),
        digest: challenge.digest.as_deref(),
        opaque: challenge.opaque.as_ref().map(mpp::Base64UrlJson::raw),
        description: challenge.description.as_deref(),
        header: challenge.header.as_deref(),
    }
}

fn credential(challenge: &PaymentChallenge, payload: &Credential) -> String {
    mpp::format_authorization(&PaymentCredential::new(challenge.to_echo(), payload)).unwrap()
}

impl Publisher {
    /// Up to six tokens.
    pub(super) fn pick(&self, mask: u16, able: impl Fn(&usize) -> bool) -> Vec<usize> {
        let able = (0..TEMPLATE.tokens.len()).filter(able);
        able.enumerate().filter(|(place, _)| mask >> (place % 16) & 1 == 1).map(|(_, token)| token).take(6).collect()
    }

    fn owned(tokens: &[usize]) -> Option<OwnedTokens> {
        OwnedTokens::new(tokens.iter().map(|token| machine::copy(&TEMPLATE.tokens[*token].0)).collect()).ok()
    }

    fn challenge(&self, page: u8, at: u64) -> Option<(PaymentChallenge, u64)> {
        let challenge = self.verifier().challenge(&offer(page), &self.resource(page), at).ok()?;
        Some((mpp::parse_www_authenticate(challenge.header().to_str().unwrap()).unwrap(), challenge.expires()))
    }

    /// Makes a payment and keeps it; nobody has seen it yet.
    pub(super) fn pay(&mut self, tokens: Vec<usize>, mut page: u8, flaw: Flaw) -> Option<usize> {
        let owned = Self::owned(&tokens)?;
        let now = self.verifier().now();
        let (mut good, mut invented) = (true, false);
        let (mut challenge, expires) = match (flaw, self.sent.last()) {
            (Flaw::Reused, Some(last)) => {
                (page, invented) = (last.page, last.invented);
                (last.challenge.clone(), last.expires)
            }
            (Flaw::Stale, _) => self.challenge(page, now.saturating_sub(LIFETIME))?,
            (Flaw::Early, _) => self.challenge(page, now + 86_401)?,
            _ => self.challenge(page, now)?,
        };
        let request: ChargeRequest = challenge.request.decode().unwrap();
        let mut amount: u64 = request.amount.parse().unwrap();
        match flaw {
            Flaw::Amount(more) => {
                amount = if more { amount + 1 } else { amount - 1 };
                good = false;
            }
            Flaw::Challenge => {
                let first = if challenge.id.starts_with('A') { "B" } else { "A" };
                challenge.id.replace_range(..1, first);
                invented = true;
            }
            _ => {}
        }
        let mut salt = [0; 32];
        self.rng.fill_bytes(&mut salt);
        let amount_paid = Amount::from_units(amount);
        let (recipient, deposit_by) = (request.recipient.as_str(), request.method_details.deposit_by);
        let terms = PaymentTerms { recipient, amount: amount_paid, deposit_by, subject: echoed(&challenge).subject(&salt) };
        let (payment, used) = owned.pay(&terms, &mut self.rng).ok()?;
        let mut bytes = payment.to_frame().to_bytes();
        match flaw {
            Flaw::Bytes(place, bits) => {
                let place = usize::from(place) % bytes.len();
                bytes[place] ^= bits.max(1);
                good = false;
            }
            Flaw::Salt => {
                salt[0] ^= 1;
                good = false;
            }
            _ => {}
        }
        good &= !invented;
        let text = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let header = credential(&challenge, &Credential::Payment { payment: text(&bytes), salt: text(&salt) });
        let (id, cheat) = (used.payment_id(&terms.statement()), TEMPLATE.tokens[tokens[0]].1);
        self.left.extend(&tokens);
        let (record, was_settled, forgotten) = (None, false, false);
        self.sent.push(Sent {
            header,
            id,
            challenge,
            invented,
            expires,
            page,
            amount,
            tokens,
            cheat,
            used,
            good,
            record,
            was_settled,
            forgotten,
        });
        Some(self.sent.len() - 1)
    }

    async fn ask(&self, path: &'static str, frame: Vec<u8>) -> (StatusCode, Vec<u8>) {
        machine::send(self.router.clone(), path, frame).await
    }

    /// The second reader pays the other publisher, who deposits at once and has no line that fails.
    pub(super) async fn pay_elsewhere(&mut self, mask: u16) {
        let tokens = self.pick(mask, |token| TEMPLATE.tokens[*token].1);
        let Some(owned) = Self::owned(&tokens) else { return };
        let subject = [u8::try_from(self.elsewhere.len()).unwrap(); 32];
        let deposit_by = self.hands.now() + HOUR;
        let terms = PaymentTerms { recipient: PUBLISHERS[1], amount: Amount::from_units(STEP), deposit_by, subject };
        let (payment, _) = owned.pay(&terms, &mut self.rng).unwrap();
        let body = Deposit::new(PUBLISHERS[1], subject, payment).unwrap().to_body();
        let (status, answer) = self.ask("/v1/deposits", DepositRequestFrame { seen: None, payments: vec![body] }.to_bytes()).await;
        assert_eq!(status, StatusCode::OK);
        if matches!(DepositResponseFrame::from_bytes(&answer).unwrap().outcomes[..], [OutcomeBody::Credited { .. }]) {
            self.elsewhere.extend(tokens);
        }
    }

    /// The second reader refreshes tokens, and does not even take the new ones.
    pub(super) async fn refresh(&mut self, mask: u16) {
        let tokens = self.pick(mask, |token| TEMPLATE.tokens[*token].1);
        let Some(owned) = Self::owned(&tokens) else { return };
        let (keyset, root) = (&TEMPLATE.list.keysets()[0], TEMPLATE.list.root());
        let mut denominations: Vec<Amount> = tokens.iter().map(|token| TEMPLATE.tokens[*token].0.token().denomination()).collect();
        denominations.sort();
        let seed = WalletSeed::generate(&mut StdRng::seed_from_u64(8));
        let plan = SessionPlan::new(&seed, root, keyset.id(), denominations, self.sessions).unwrap();
        let retired = owned.retire();
        let funding = FundingKeys::Refresh(&retired);
        let open = plan.open(root, &funding, &mut self.rng).unwrap();
        let (status, opened) = self.ask("/v1/commitments", open.to_bytes()).await;
        if status != StatusCode::OK {
            return;
        }
        let pending = plan.blind(&seed, root, keyset, self.sessions, &OpenResponseFrame::from_bytes(&opened).unwrap()).unwrap();
        self.sessions += tokens.len() as u64;
        let request = plan.request(root, &pending, &funding, &mut self.rng).unwrap();
        if self.ask("/v1/issue", request.to_bytes()).await.0 == StatusCode::OK {
            self.refreshed.extend(tokens);
        }
    }

    /// Asks to read again what was paid for, by the keys of that payment or another.
    pub(super) async fn read_again(&mut self, payment: u8, keys: u8, other_page: bool, disk: Disk) {
        let (Some(index), Some(keys)) = (self.some(payment), self.some(keys)) else { return };
        let page = if other_page { (self.sent[index].page + 1) % 8 } else { self.sent[index].page };
        let now = self.verifier().now();
        let Some((challenge, _)) = self.challenge(page, now) else { return };
        let one = &self.sent[index];
        let statement = Statement::new(PUBLISHERS[0].as_bytes(), Amount::ZERO, 0, &echoed(&challenge).subject(&[]));
        let proof = self.sent[keys].used.reread(&statement, &mut self.rng).unwrap();
        let frame = RereadFrame { payment: one.id.0.into(), proof: proof.to_body() };
        let header = credential(&challenge, &Credential::Reread { reread: Base64UrlUnpadded::encode_string(&frame.to_bytes()) });
        let mut answers = Vec::new();
        for _ in 0..2 {
            answers.push(self.verifier().authorize(&header, &self.resource(page), &offer(page)).await);
        }
        let record = self.record(one.id).await;
        let may = record.is_some_and(|record| now < record.access_until) && !other_page && self.sent[keys].tokens_are(one);
        for (number, answer) in answers.iter().enumerate() {
            match answer {
                Ok(paid) => {
                    assert!(may && paid.is_reread() && paid.payment() == one.id, "read again without having paid");
                    assert!(number == 0, "a challenge is answered once");
                    assert!(!paid.is_settled() || self.front.said(|said| said.credited.contains_key(&one.id)));
                }
                Err(refused) => {
                    let served = one.record.as_ref().is_some_and(|record| record.state.serves());
                    let decided = !matches!(self.record(one.id).await, Some(record) if record.state.serves());
                    assert!(!(number == 0 && may && served && disk == Disk::Well) || decided, "not read again: {}", refused.code());
                }
            }
        }
    }
}

impl Sent {
    /// Whether the same keys were used.
    fn tokens_are(&self, other: &Self) -> bool {
        self.used.list() == other.used.list()
    }
}
