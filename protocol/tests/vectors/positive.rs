//! Positive vectors: whole traces, recomputed.

use base64ct::{Base64UrlUnpadded, Encoding};
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::error::GroupError;
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::filter::{SpentMark, SpentSegment};
use farthing_protocol::group::Point;
use farthing_protocol::http::{ChargeRequest, Credential, EchoedChallenge};
use farthing_protocol::issue::{FundingKeys, Issue, Open, SessionPlan, issued_frame, opened_frame};
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::labels::ALL_DOMAINS;
use farthing_protocol::payment::{Deposit, Payment, PaymentTerms};
use farthing_protocol::proof::{KeyList, KeyProof, KeysetId, LoneKey, PaymentId, Purpose, SpentKey, Statement};
use farthing_protocol::receipt::PublisherReceipt;
use farthing_protocol::recovery::{Recovery, RecoverySecret, SessionOrigin};
use farthing_protocol::refund::{self, Refund, RefundRefusal};
use farthing_protocol::restore::{self, Bucket};
use farthing_protocol::seed::{TokenPlace, WalletSeed};
use farthing_protocol::settle::{Refusal, sign_answer, verify_answer};
use farthing_protocol::snowblind::{Blinding, Challenge, Commitment, Nonces, SigningContext, SigningKey, commit};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{
    CommitmentBody, DepositRequestFrame, DepositResponseFrame, DoubleSpendFrame, Frame, IssueRequestFrame, IssueResponseFrame,
    KeysetListFrame, LedgerMark, OpenRequestFrame, OpenResponseFrame, PaymentFrame, RefundRequestFrame, RefundResponseFrame, RereadFrame,
    RestoreBucketFrame,
};
use serde_json::Value;

use super::reading::{Fields, Recorded, hex, spent_key};

/// Recomputes one vector; panics where it differs.
pub fn run(operation: &str, input: &Value, output: &Value, name: &str) {
    let check = Check { output, name };
    match operation {
        "generators" => generators(&check),
        "multiples" => multiples(&check),
        "transcript" => transcript(input, &check),
        "snowblind" => snowblind(input, &check),
        "wallet-token" => wallet_token(input, &check),
        "wallet-recovery" => {
            let seed = WalletSeed::from_bytes(&input.secret("seed"));
            check.hex("recovery", seed.recovery_hash(&input.point("root"), input.number("index")));
        }
        "voucher" => voucher(input, &check),
        "announce" => announce(input, &check),
        "follow" => follow(input, &check),
        "session" => session(input, &check),
        "pay" => pay(input, &check),
        "reread" => reread(input, &input.bytes("subject"), &check),
        "deposit-request" => deposit_request(&check),
        "answer" => answer(input, &check),
        "refusals" => refusals(&check),
        "double-spend" => double_spend(input, &check),
        "http-request" => http_request(input, &check),
        "http-subject" => check.hex("subject", subject(&input.at("challenge"), &input.hex("salt"))),
        "http-payment" => http_payment(input, &check),
        "http-reread" => http_reread(input, &check),
        "receipt" => receipt(input, &check),
        "spent" => spent(input, &check),
        "refund-request" => refund_request(input, &check),
        "refund-answer" => refund_answer(input, &check),
        "refund-refusals" => refund_refusals(&check),
        "restore" => restored(input, &check),
        "frame" => frame(input, &check),
        other => panic!("{name}: unknown operation {other}"),
    }
}

struct Check<'a> {
    output: &'a Value,
    name: &'a str,
}

impl Check<'_> {
    fn hex(&self, field: &str, found: impl AsRef<[u8]>) {
        assert_eq!(hex(found), self.output.text(field), "{}: {field}", self.name);
    }

    fn number(&self, field: &str, found: u64) {
        assert_eq!(found, self.output.number(field), "{}: {field}", self.name);
    }

    fn holds(&self, what: &str, good: bool) {
        assert!(good, "{}: {what}", self.name);
    }
}

fn generators(check: &Check<'_>) {
    check.hex("g", Point::generator().to_bytes());
    check.hex("h", Point::second_generator().to_bytes());
    let mut uniform = [0; 64];
    merlin::Transcript::new(b"farthing/1 generator H").challenge_bytes(b"output", &mut uniform);
    check.hex("h_uniform", uniform);
    check.hex("h", RistrettoPoint::from_uniform_bytes(&uniform).compress().0);
    let mut order: [u8; 32] = check.output.bytes("order");
    check.holds("l is no scalar", Challenge::from_bytes(order).err() == Some(GroupError::NonCanonicalScalar));
    order[0] -= 1;
    check.holds("l - 1 is a scalar", Challenge::from_bytes(order).is_ok());
}

fn multiples(check: &Check<'_>) {
    for (n, expected) in (1_u64..).zip(check.output.hexes("multiples")) {
        assert_eq!((Scalar::from(n) * RISTRETTO_BASEPOINT_POINT).compress().0[..], expected, "{n} G");
    }
}

fn leak(text: &str) -> &'static [u8] {
    Box::leak(text.to_owned().into_boxed_str()).as_bytes()
}

fn transcript(input: &Value, check: &Check<'_>) {
    let domain = input.text("domain");
    check.holds("a known domain", domain == "test protocol" || ALL_DOMAINS.iter().any(|known| known.as_str() == domain));
    let mut transcript = merlin::Transcript::new(leak(domain));
    for step in check.output.items("trace") {
        let value = step.hex("value");
        if let Some(label) = step["append"].as_str() {
            transcript.append_message(leak(label), &value);
        } else {
            let mut squeezed = vec![0; value.len()];
            transcript.challenge_bytes(leak(step.text("squeeze")), &mut squeezed);
            check.holds("squeezed bytes", squeezed == value);
        }
    }
}

fn snowblind(input: &Value, check: &Check<'_>) {
    let key = SigningKey::from_bytes(&input.secret("x")).unwrap();
    check.hex("key", key.public().as_bytes());
    let (keyset, message) = (input.bytes("keyset"), input.bytes("message"));
    let context = SigningContext::new(&keyset, input.number("denomination"), key.public());
    let mut rng = Recorded::new(input.hex("nonce_bytes"));
    let (nonces, commitment) = commit(&Point::second_generator(), &mut rng).unwrap();
    rng.finish();
    check.hex("a_point", commitment.a.as_bytes());
    check.hex("b_point", commitment.b.as_bytes());
    check.hex("row", commitment.row());
    let mut rng = Recorded::new(input.hex("blinding_bytes"));
    let blinding = Blinding::generate(&mut rng);
    rng.finish();
    let (pending, challenge) = blinding.challenge(&context, key.public(), &commitment, &message).unwrap();
    check.hex("challenge", challenge.to_bytes());
    let response = nonces.respond(&key, &challenge);
    let body = response.to_body();
    check.hex("b", body.b.0);
    check.hex("y", body.y.0);
    check.hex("z", body.z.0);
    let signature = pending.unblind(&response).unwrap().to_body();
    check.hex("r_point", signature.r.0);
    check.hex("s", signature.s.0);
    check.hex("t", signature.t.0);
}

fn wallet_token(input: &Value, check: &Check<'_>) {
    let (root, key) = (input.point("root"), input.point("key"));
    let body = CommitmentBody { a: input.bytes("a_point").into(), b: input.bytes("b_point").into() };
    let commitment = Commitment::from_body(&body).unwrap();
    let keyset = KeysetId(input.bytes("keyset"));
    let place = TokenPlace { root: &root, keyset, denomination: input.amount("denomination"), index: input.number("index"), key: &key };
    let seed = WalletSeed::from_bytes(&input.secret("seed"));
    let (spend_key, blinding) = seed.token(&place, &commitment).unwrap();
    let secret = seed.recovery_secret(&root, keyset, place.denomination, place.index);
    check.holds("secret", secret == RecoverySecret::from_bytes(check.output.bytes("secret")));
    check.hex("leaf", secret.leaf());
    check.hex("k", spend_key.expose_secret().as_ref());
    check.hex("p_point", spend_key.public().as_bytes());
    // r, alpha and beta stay inside; the challenge depends on all three.
    let context = SigningContext::new(&keyset.0, input.number("denomination"), &key);
    let (_, challenge) = blinding.challenge(&context, &key, &commitment, spend_key.public().as_bytes()).unwrap();
    check.hex("challenge", challenge.to_bytes());
}

fn voucher(input: &Value, check: &Check<'_>) {
    let mut rng = Recorded::new(input.hex("code"));
    let code = VoucherCode::generate(&mut rng);
    rng.finish();
    let text = check.output.text("text");
    check.holds("text", *code.expose_secret() == text);
    for typed in check.output.items("also_read").iter().map(|typed| typed.as_str().unwrap()).chain([text]) {
        let key = VoucherCode::parse(typed).unwrap().key().unwrap();
        check.hex("key", key.public().as_bytes());
        check.hex("secret", key.expose_secret().as_ref());
    }
}

fn proposal(value: &Value) -> Proposal {
    let windows: Vec<u64> = value.items("windows").iter().map(|bound| bound.as_u64().unwrap()).collect();
    let [issue_from, issue_until, spend_until, refresh_until, deposit_until] = windows[..] else { panic!("five bounds") };
    let key = |pair: &Value| {
        let key: [u8; 32] = super::reading::unhex(pair[1].as_str().unwrap()).try_into().unwrap();
        (Amount::from_units(pair[0].as_u64().unwrap()), Point::from_bytes(key).unwrap())
    };
    Proposal {
        published: value.number("published"),
        unit: Unit::new(value.text("currency"), u8::try_from(value.number("decimals")).unwrap()).unwrap(),
        windows: Windows { issue_from, issue_until, spend_until, refresh_until, deposit_until },
        receipt_key: value.point("receipt_key"),
        keys: value.items("keys").iter().map(key).collect(),
    }
}

fn announce(input: &Value, check: &Check<'_>) {
    let root = LoneKey::from_bytes(&input.secret("root_secret")).unwrap();
    check.hex("root", root.public().as_bytes());
    let mut list = KeysetList::new(*root.public());
    for (number, (body, fresh)) in input.items("proposals").iter().zip(input.hexes("fresh")).enumerate() {
        let mut rng = Recorded::new(fresh);
        let id = list.announce(proposal(body), &root, &mut rng).unwrap();
        rng.finish();
        assert_eq!(id.0[..], check.output.hexes("ids")[number]);
        assert_eq!(list.head()[..], check.output.hexes("heads")[number]);
    }
    check.hex("frame", list.to_frame().to_bytes());
    KeysetList::verify(&check.output.frame("frame"), root.public()).unwrap();
}

fn follow(input: &Value, check: &Check<'_>) {
    let known = KeysetList::verify(&input.frame::<KeysetListFrame>("known"), &input.point("root")).unwrap();
    check.hex("head", known.follow(&input.frame("frame")).unwrap().head());
}

fn session(input: &Value, check: &Check<'_>) {
    let (root, list) = (input.point("root"), input.keysets());
    let seed = WalletSeed::from_bytes(&input.secret("seed"));
    let keyset = list.get(&KeysetId(input.bytes("keyset"))).unwrap();
    let plan = SessionPlan::new(&seed, &root, keyset.id(), input.amounts("denominations"), input.number("recovery_index")).unwrap();
    check.hex("recovery", plan.recovery);
    check.hex("recovery_commitment", plan.recovery_commitment);
    check.number("amount", plan.amount().unwrap().units());

    let given = input.at("funding");
    let mut code = Recorded::new(if given.get("voucher").is_some() { given.hex("voucher") } else { vec![0; 16] });
    let voucher = VoucherCode::generate(&mut code).key().unwrap();
    let used = ["refresh", "change", "reclaim", "recovery"]
        .into_iter()
        .find(|kind| given.get(kind).is_some())
        .map(|kind| given.tokens(kind).retire());
    let claim = used.as_ref().filter(|_| given.get("recovery").is_some()).map(|used| {
        let (denominations, first_index) = (given.amounts("denominations"), given.number("first_index"));
        let positions = given.items("positions").iter().map(|position| u8::try_from(position.as_u64().unwrap()).unwrap());
        let places: Vec<_> = positions.zip(used.list()).collect();
        let origin = SessionOrigin { root: &root, keyset: places[0].1.keyset, denominations: &denominations, first_index };
        Recovery::new(&seed, &origin, &places).unwrap()
    });
    let funding = match &used {
        None => FundingKeys::Voucher(&voucher),
        Some(used) if claim.is_some() => FundingKeys::Recovery(used, claim.as_ref().unwrap()),
        Some(used) if given.get("refresh").is_some() => FundingKeys::Refresh(used),
        Some(used) if given.get("reclaim").is_some() => FundingKeys::Reclaim(used, Statement::from_bytes(given.bytes("statement"))),
        Some(used) => FundingKeys::Change(used, Statement::from_bytes(given.bytes("statement"))),
    };

    let mut rng = Recorded::new(input.hex("open_fresh"));
    let request: OpenRequestFrame = plan.open(&root, &funding, &mut rng).unwrap();
    rng.finish();
    check.hex("open_request", request.to_bytes());
    let open = Open::from_frame(&request).unwrap().verify(&root, &list.key_table(), &mut Recorded::new([7; 32])).unwrap();
    check.hex("open_digest", open.digest());

    let mut rng = Recorded::new(input.hex("nonce_bytes"));
    let nonces: Vec<Nonces> = plan.denominations.iter().map(|_| commit(&Point::second_generator(), &mut rng).unwrap().0).collect();
    rng.finish();
    let commitments: Vec<Commitment> = nonces.iter().map(|one| *one.commitment()).collect();
    let opened = opened_frame(input.bytes("session"), input.number("expires"), &commitments);
    check.hex("open_response", opened.to_bytes());

    let pending = plan.blind(&seed, &root, keyset, input.number("first_index"), &opened).unwrap();
    let mut rng = Recorded::new(input.hex("issue_fresh"));
    let request = plan.request(&root, &pending, &funding, &mut rng).unwrap();
    rng.finish();
    check.hex("issue_request", request.to_bytes());
    let asked = Issue::from_frame(&request).unwrap();
    check.hex("lookup_digest", asked.digest());
    let asked = asked.verify(&root, &open).unwrap();

    let keys: Vec<SigningKey> =
        input.hexes("keys").into_iter().map(|key| SigningKey::from_bytes(&<[u8; 32]>::try_from(key).unwrap().into()).unwrap()).collect();
    let responses: Vec<_> =
        nonces.into_iter().zip(&keys).zip(asked.challenges()).map(|((nonces, key), challenge)| nonces.respond(key, challenge)).collect();
    let answer = issued_frame(&responses);
    check.hex("issue_response", answer.to_bytes());
    let tokens = pending.unblind(&answer).unwrap();
    for (token, expected) in tokens.iter().zip(check.output.items("tokens")) {
        check.holds("spent key", *token.token().spent_key() == spent_key(expected));
        assert_eq!(hex(token.key().expose_secret().as_ref()), expected.text("secret"));
        let signature = token.token().signature().to_body();
        assert_eq!(hex([signature.r.0, signature.s.0, signature.t.0].concat()), expected.text("signature"));
    }
    assert_eq!(tokens.len(), check.output.items("tokens").len());
}

fn pay(input: &Value, check: &Check<'_>) {
    let recipient = input.text("recipient");
    let (amount, deposit_by, subject) = (input.amount("amount"), input.number("deposit_by"), input.bytes("subject"));
    let terms = PaymentTerms { recipient, amount, deposit_by, subject };
    let mut rng = Recorded::new(input.hex("fresh"));
    let (payment, used) = input.tokens("tokens").pay(&terms, &mut rng).unwrap();
    rng.finish();
    check.hex("statement", terms.statement().to_bytes());
    let spent: Vec<Vec<u8>> = used.list().iter().map(|spent| spent.to_bytes().to_vec()).collect();
    check.holds("spent keys", spent == check.output.hexes("spent_keys"));
    let frame = payment.to_frame();
    check.hex("t_point", frame.proof.t.0);
    check.hex("u", frame.proof.u.0);
    check.hex("payment_id", used.payment_id(&terms.statement()).0);
    check.number("change", payment.change().units());
    check.hex("frame", frame.to_bytes());
    let received = Payment::from_frame(&check.output.frame::<PaymentFrame>("frame")).unwrap();
    let checked = received.state(recipient, subject).verify(&input.keysets().key_table(), &mut Recorded::new([8; 32])).unwrap();
    check.hex("payment_id", checked.spending().payment_id().0);
}

fn reread(input: &Value, subject: &[u8; 32], check: &Check<'_>) {
    let statement = Statement::new(input.text("recipient").as_bytes(), Amount::ZERO, 0, subject);
    check.hex("statement", statement.to_bytes());
    let used = input.tokens("tokens").retire();
    let mut rng = Recorded::new(input.hex("fresh"));
    let proof = used.reread(&statement, &mut rng).unwrap();
    rng.finish();
    check.hex("frame", RereadFrame { payment: input.bytes("payment").into(), proof: proof.to_body() }.to_bytes());
    let received = KeyProof::from_body(&check.output.frame::<RereadFrame>("frame").proof).unwrap();
    received.verify(Purpose::Reread, &statement, KeyList::Tokens(&used.list())).unwrap();
}

fn deposit_request(check: &Check<'_>) {
    let frame: DepositRequestFrame = check.output.frame("frame");
    let deposits: Vec<Deposit> = frame.payments.iter().map(|body| Deposit::from_body(body).unwrap()).collect();
    let ids: Vec<Vec<u8>> = deposits.iter().map(|deposit| deposit.spending().payment_id().0.to_vec()).collect();
    check.holds("payment ids", ids == check.output.hexes("payment_ids"));
    let again = DepositRequestFrame { seen: frame.seen, payments: deposits.iter().map(Deposit::to_body).collect() };
    check.hex("frame", again.to_bytes());
}

fn answer(input: &Value, check: &Check<'_>) {
    let list = input.keysets();
    let expected: Vec<(PaymentId, Amount)> =
        input.items("payments").iter().map(|payment| (PaymentId(payment.bytes("id")), payment.amount("change"))).collect();
    let frame: DepositResponseFrame = check.output.frame("frame");
    let outcomes = verify_answer(&frame, &expected, &list).unwrap();
    let key = LoneKey::from_bytes(&input.secret("receipt_secret")).unwrap();
    let mark = LedgerMark { ledger: input.bytes("ledger").into(), sequence: input.number("sequence") };
    let ids: Vec<Option<PaymentId>> = expected.iter().map(|(id, _)| Some(*id)).collect();
    let mut rng = Recorded::new(input.hex("fresh"));
    let signed = sign_answer(list.root(), mark, &ids, &outcomes, &key, &mut rng).unwrap();
    rng.finish();
    check.hex("frame", signed.to_bytes());
}

fn refusals(check: &Check<'_>) {
    let listed = check.output.items("codes");
    assert_eq!(listed.len(), Refusal::ALL.len());
    for (listed, known) in listed.iter().zip(Refusal::ALL) {
        let number = u16::try_from(listed.number("number")).unwrap();
        assert!(Refusal::from_number(number) == *known && known.code() == listed.text("code"));
    }
    assert_eq!(Refusal::from_number(4242).code(), "refused-other");
}

fn double_spend(input: &Value, check: &Check<'_>) {
    let table = input.keysets().key_table();
    let side = |name: &str| {
        let side = input.at(name);
        let payment = Payment::from_frame(&side.frame::<PaymentFrame>("frame")).unwrap();
        let stated = payment.state(side.text("recipient"), input.bytes("subject"));
        stated.verify(&table, &mut Recorded::new([9; 32])).unwrap().into_inner()
    };
    let proof = DoubleSpend::new(SpendingSide::of(&side("earlier")), &side("later")).unwrap();
    check.hex("frame", proof.to_frame().to_bytes());
    let ids: Vec<Vec<u8>> = proof.payment_ids().iter().map(|id| id.0.to_vec()).collect();
    check.holds("payment ids", ids == check.output.hexes("payment_ids"));
    DoubleSpend::from_frame(&check.output.frame::<DoubleSpendFrame>("frame")).unwrap().verify(&table).unwrap();
}

fn http_request(input: &Value, check: &Check<'_>) {
    let canonical = check.output.text("canonical");
    let request: ChargeRequest = serde_json::from_str(canonical).unwrap();
    check.holds("request", serde_json::to_value(&request).unwrap() == input.at("request"));
    assert_eq!(Base64UrlUnpadded::encode_string(canonical.as_bytes()), check.output.text("base64url"));
}

/// D of an echoed challenge.
pub fn subject(challenge: &Value, salt: &[u8]) -> [u8; 32] {
    let optional = |name: &str| challenge.get(name).map(|value| value.as_str().unwrap());
    EchoedChallenge {
        id: challenge.text("id"),
        realm: challenge.text("realm"),
        method: challenge.text("method"),
        intent: challenge.text("intent"),
        request: challenge.text("request"),
        expires: optional("expires"),
        digest: optional("digest"),
        opaque: optional("opaque"),
        description: optional("description"),
        header: optional("header"),
    }
    .subject(salt)
}

/// Compares the payload with the output's and with the one inside the `Authorization` value.
fn payload(input: &Value, credential: &Credential, check: &Check<'_>) {
    let payload = serde_json::to_value(credential).unwrap();
    check.holds("payload", payload == check.output.at("payload"));
    let encoded = check.output.text("authorization").strip_prefix("Payment ").unwrap();
    let decoded: Value = serde_json::from_slice(&Base64UrlUnpadded::decode_vec(encoded).unwrap()).unwrap();
    check.holds("authorization", decoded == serde_json::json!({"challenge": input.at("challenge"), "payload": payload}));
}

fn http_payment(input: &Value, check: &Check<'_>) {
    let challenge = input.at("challenge");
    let subject = subject(&challenge, &input.hex("salt"));
    check.hex("subject", subject);
    let request = Base64UrlUnpadded::decode_vec(challenge.text("request")).unwrap();
    let request: ChargeRequest = serde_json::from_slice(&request).unwrap();
    let amount = Amount::from_units(request.amount.parse().unwrap());
    let terms = PaymentTerms { recipient: &request.recipient, amount, deposit_by: request.method_details.deposit_by, subject };
    check.hex("statement", terms.statement().to_bytes());
    let mut rng = Recorded::new(input.hex("fresh"));
    let (payment, used) = input.tokens("tokens").pay(&terms, &mut rng).unwrap();
    rng.finish();
    check.hex("payment_id", used.payment_id(&terms.statement()).0);
    let bytes = payment.to_frame().to_bytes();
    check.hex("frame", &bytes);
    payment.state(&request.recipient, subject).verify(&input.keysets().key_table(), &mut Recorded::new([6; 32])).unwrap();
    let salt = Base64UrlUnpadded::encode_string(&input.hex("salt"));
    payload(input, &Credential::Payment { payment: Base64UrlUnpadded::encode_string(&bytes), salt }, check);
}

fn http_reread(input: &Value, check: &Check<'_>) {
    let subject = subject(&input.at("challenge"), &[]);
    check.hex("subject", subject);
    reread(input, &subject, check);
    payload(input, &Credential::Reread { reread: Base64UrlUnpadded::encode_string(&check.output.hex("frame")) }, check);
}

pub fn publisher_receipt(input: &Value) -> PublisherReceipt {
    PublisherReceipt {
        payment: PaymentId(input.bytes("payment_id")),
        publisher: input.text("publisher").into(),
        amount: input.amount("amount"),
        settled: input.at("settled").as_bool().unwrap(),
        resource: input.bytes("resource"),
        paid_at: input.number("paid_at"),
        access_until: input.number("access_until"),
    }
}

fn receipt(input: &Value, check: &Check<'_>) {
    let (said, key) = (publisher_receipt(input), LoneKey::from_bytes(&input.secret("publisher_secret")).unwrap());
    check.hex("publisher_key", key.public().as_bytes());
    let mut rng = Recorded::new(input.hex("fresh"));
    let proof = said.sign(&key, &mut rng).unwrap();
    rng.finish();
    check.hex("t", proof.to_body().t.0);
    check.hex("u", proof.to_body().u.0);
    check.holds("receipt", said.verify(key.public().as_bytes(), &proof).is_ok());
}

fn spent(input: &Value, check: &Check<'_>) {
    let keyset = KeysetId(input.bytes("keyset"));
    let mark = |token: &Value| SpentMark::of(&SpentKey { keyset, denomination: token.amount("denomination"), key: token.bytes("key") });
    let marks: Vec<SpentMark> = input.items("tokens").iter().map(mark).collect();
    let bytes = input.hex("segment");
    let segment = SpentSegment::from_bytes(&bytes).unwrap();
    assert_eq!((segment.keyset(), segment.to_bytes()), (keyset, bytes));
    check.number("first", segment.range().0);
    check.number("count", segment.range().1);
    let expected = check.output.hexes("marks").into_iter().zip(check.output.items("hits"));
    for (mark, (bytes, hit)) in marks.iter().zip(expected) {
        check.holds("mark", mark.to_bytes()[..] == bytes && Value::Bool(segment.may_hold(*mark)) == *hit);
    }
    check.holds("a mark a token", check.output.items("hits").len() == marks.len());
}

fn refund_request(input: &Value, check: &Check<'_>) {
    let (root, payment, publisher) = (input.point("root"), PaymentId(input.bytes("payment_id")), input.text("publisher"));
    let key = LoneKey::from_bytes(&input.secret("publisher_secret")).unwrap();
    check.hex("publisher_key", key.public().as_bytes());
    let mut rng = Recorded::new(input.hex("fresh"));
    let frame = refund::request(&root, payment, publisher, &key, &mut rng).unwrap();
    rng.finish();
    check.hex("frame", frame.to_bytes());
    let checked = Refund::from_frame(&frame).unwrap().verify(&root, key.public()).unwrap();
    check.holds("payment and publisher", checked.payment() == payment && checked.publisher() == publisher);
}

fn refund_answer(input: &Value, check: &Check<'_>) {
    let (list, payment) = (input.keysets(), PaymentId(input.bytes("payment_id")));
    let outcome = refund::verify_answer(&check.output.frame("frame"), payment, &list).unwrap();
    let key = LoneKey::from_bytes(&input.secret("receipt_secret")).unwrap();
    let mark = LedgerMark { ledger: input.bytes("ledger").into(), sequence: input.number("sequence") };
    let mut rng = Recorded::new(input.hex("fresh"));
    let frame = refund::sign_answer(list.root(), mark, payment, outcome, &key, &mut rng).unwrap();
    rng.finish();
    check.hex("frame", frame.to_bytes());
}

fn refund_refusals(check: &Check<'_>) {
    let listed = check.output.items("codes");
    assert_eq!(listed.len(), RefundRefusal::ALL.len());
    for (listed, known) in listed.iter().zip(RefundRefusal::ALL) {
        let number = u16::try_from(listed.number("number")).unwrap();
        assert!(RefundRefusal::from_number(number) == *known && known.code() == listed.text("code") && known.number() == number);
    }
}

fn restored(input: &Value, check: &Check<'_>) {
    let (list, frame) = (input.keysets(), input.frame::<RestoreBucketFrame>("frame"));
    let keyset = list.get(&KeysetId(input.bytes("keyset"))).unwrap();
    let bucket = Bucket::from_frame(&frame, keyset.id(), input.number("bucket")).unwrap();
    check.holds("the frame again", bucket.to_frame() == frame);
    let seed = WalletSeed::from_bytes(&input.secret("seed"));
    let found = restore::find(&seed, list.root(), 0, &bucket.sessions().iter().map(|session| *session.recovery()).collect());
    let listed = check.output.items("found").iter().map(|one| (one.number("index"), one.bytes("recovery")));
    check.holds("found", found.iter().copied().eq(listed));
    let (mut tokens, mut passed_over) = (Vec::new(), 0);
    for (index, hash) in found {
        for session in bucket.sessions().iter().filter(|session| *session.recovery() == hash) {
            match session.restore(&seed, list.root(), keyset, index) {
                Ok(own) => tokens.extend(own),
                Err(_) => passed_over += 1,
            }
        }
    }
    check.number("passed_over", passed_over);
    assert_eq!(tokens.len(), check.output.items("tokens").len());
    for (token, expected) in tokens.iter().zip(check.output.items("tokens")) {
        check.holds("spent key", *token.token().spent_key() == spent_key(expected));
        assert_eq!(hex(token.key().expose_secret().as_ref()), expected.text("secret"));
        let signature = token.token().signature().to_body();
        assert_eq!(hex([signature.r.0, signature.s.0, signature.t.0].concat()), expected.text("signature"));
    }
}

fn both_encodings<F: Frame>(input: &Value, check: &Check<'_>) {
    assert_eq!((u64::from(F::KIND), F::LIMIT as u64), (input.number("kind"), input.number("limit")));
    let bytes = input.hex("frame");
    check.number("size", bytes.len() as u64);
    let frame = F::from_bytes(&bytes).unwrap();
    check.holds("bytes", frame.to_bytes() == bytes);
    check.holds("JSON", serde_json::to_value(&frame).unwrap() == check.output.at("json"));
    let read: F = serde_json::from_value(check.output.at("json")).unwrap();
    check.holds("bytes from JSON", read.to_bytes() == bytes);
}

fn frame(input: &Value, check: &Check<'_>) {
    match input.number("kind") {
        1 => both_encodings::<PaymentFrame>(input, check),
        2 => both_encodings::<RereadFrame>(input, check),
        3 => both_encodings::<OpenRequestFrame>(input, check),
        4 => both_encodings::<OpenResponseFrame>(input, check),
        5 => both_encodings::<IssueRequestFrame>(input, check),
        6 => both_encodings::<IssueResponseFrame>(input, check),
        7 => both_encodings::<DepositRequestFrame>(input, check),
        8 => both_encodings::<DepositResponseFrame>(input, check),
        9 => both_encodings::<DoubleSpendFrame>(input, check),
        10 => both_encodings::<KeysetListFrame>(input, check),
        11 => both_encodings::<RefundRequestFrame>(input, check),
        12 => both_encodings::<RefundResponseFrame>(input, check),
        13 => both_encodings::<RestoreBucketFrame>(input, check),
        other => panic!("unknown kind {other}"),
    }
}
