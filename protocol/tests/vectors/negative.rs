//! Negative vectors: one defect each, refused with exactly one code.

use farthing_protocol::amount::Amount;
use farthing_protocol::error::{
    AnswerError, EvidenceError, FrameError, GroupError, IssueError, KeysetError, PaymentError, ProofError, RefundError, RestoreError,
    UseError, VoucherError,
};
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::group::Point;
use farthing_protocol::http::{ChargeRequest, Credential};
use farthing_protocol::issue::{Funding, Issue, Open, PendingTokens, SessionPlan};
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::payment::{Deposit, Payment};
use farthing_protocol::proof::{KeyList, KeyProof, KeysetId, PaymentId, Purpose, SpentKey, Statement};
use farthing_protocol::recovery::Recovery;
use farthing_protocol::refund::{self, Refund, RefundRefusal};
use farthing_protocol::restore::Bucket;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::settle::{Refusal, verify_answer};
use farthing_protocol::snowblind::{Challenge, SigningKey};
use farthing_protocol::spending::{Spending, verify_batch};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{
    Bytes, DepositRequestFrame, DepositResponseFrame, DoubleSpendFrame, Frame, FundingBody, IssueRequestFrame, IssueResponseFrame,
    KeysetListFrame, OpenRequestFrame, OpenResponseFrame, PaymentFrame, ProofBody, RefundRequestFrame, RefundResponseFrame, RereadFrame,
    RestoreBucketFrame,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::positive::{publisher_receipt, subject};
use super::reading::{Fields, spent_key};

/// The code with which one input is refused; `None` if it is accepted.
pub fn run(operation: &str, input: &Value) -> Option<&'static str> {
    match operation {
        "frame" => frame(input),
        "frame-json" => frame_json(input),
        "group" => group(input),
        "payment" => Payment::from_frame(&input.frame::<PaymentFrame>("frame")).err().map(PaymentError::code),
        "deposit" => {
            let deposits = input.frame::<DepositRequestFrame>("frame").payments;
            deposits.iter().find_map(|body| Deposit::from_body(body).err()).map(PaymentError::code)
        }
        "spend" => verify(&stated(input), input),
        "batch" => batch(input),
        "keysets" => keysets(input),
        "evidence" => {
            let proof = DoubleSpend::from_frame(&input.frame::<DoubleSpendFrame>("frame"));
            proof.and_then(|proof| proof.verify(&input.keysets().key_table())).err().map(EvidenceError::code)
        }
        "open" => open(input),
        "issue" => issue(input),
        "blind" => blind(input).err().map(IssueError::code),
        "unblind" => blind(input).ok()?.unblind(&input.frame::<IssueResponseFrame>("frame")).err().map(IssueError::code),
        "answer" => answer(input),
        "receipt" => {
            let body = ProofBody { t: Bytes(input.bytes("t")), u: Bytes(input.bytes("u")) };
            let proof = KeyProof::from_body(&body).unwrap();
            publisher_receipt(input).verify(&input.bytes("key"), &proof).err().map(ProofError::code)
        }
        "refund" => {
            let refund = Refund::from_frame(&input.frame::<RefundRequestFrame>("frame"));
            refund.and_then(|refund| refund.verify(&input.point("root"), &input.point("key"))).err().map(RefundError::code)
        }
        "refund-answer" => {
            let payment = PaymentId(input.bytes("payment_id"));
            refund::verify_answer(&input.frame::<RefundResponseFrame>("frame"), payment, &input.keysets()).err().map(AnswerError::code)
        }
        "bucket" => bucket(input).err().map(RestoreError::code),
        "restore-session" => restore_session(input),
        "recovery" => recovery(input),
        "http-payment" => {
            let payment = Payment::from_frame(&input.frame::<PaymentFrame>("frame")).unwrap();
            let subject = subject(&input.at("challenge"), &input.hex("salt"));
            verify(&payment.state(input.text("recipient"), subject), input)
        }
        "http-reread" => reread(input),
        "http-payload" => serde_json::from_str::<Credential>(input.text("json")).is_err().then_some("malformed-credential"),
        "http-request" => serde_json::from_str::<ChargeRequest>(input.text("json")).is_err().then_some("malformed-credential"),
        "voucher" => VoucherCode::parse(input.text("text")).err().map(VoucherError::code),
        other => panic!("unknown operation {other}"),
    }
}

/// Every code of the crate's error types and refusals.
pub fn all_codes() -> Vec<&'static str> {
    let mut codes = Vec::new();
    codes.extend(FrameError::ALL.iter().map(|error| error.code()));
    codes.extend(GroupError::ALL.iter().map(|error| error.code()));
    codes.extend(PaymentError::ALL.iter().map(|error| error.code()));
    codes.extend(ProofError::ALL.iter().map(|error| error.code()));
    codes.extend(EvidenceError::ALL.iter().map(|error| error.code()));
    codes.extend(KeysetError::ALL.iter().map(|error| error.code()));
    codes.extend(IssueError::ALL.iter().map(|error| error.code()));
    codes.extend(AnswerError::ALL.iter().map(|error| error.code()));
    codes.extend(RefundError::ALL.iter().map(|error| error.code()));
    codes.extend(RestoreError::ALL.iter().map(|error| error.code()));
    codes.extend(UseError::ALL.iter().map(|error| error.code()));
    codes.extend(VoucherError::ALL.iter().map(|error| error.code()));
    codes.extend(Refusal::ALL.iter().map(|refusal| refusal.code()));
    codes.push(Refusal::Other(0).code());
    codes.extend(RefundRefusal::ALL.iter().map(|refusal| refusal.code()));
    codes.push(RefundRefusal::Other(0).code());
    codes
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn frame(input: &Value) -> Option<&'static str> {
    let mut bytes = input.hex("frame");
    if input.get("pad_to").is_some() {
        bytes.resize(usize::try_from(input.number("pad_to")).unwrap(), 0);
    }
    let error = match input.number("kind") {
        1 => PaymentFrame::from_bytes(&bytes).err(),
        2 => RereadFrame::from_bytes(&bytes).err(),
        3 => OpenRequestFrame::from_bytes(&bytes).err(),
        4 => OpenResponseFrame::from_bytes(&bytes).err(),
        5 => IssueRequestFrame::from_bytes(&bytes).err(),
        6 => IssueResponseFrame::from_bytes(&bytes).err(),
        7 => DepositRequestFrame::from_bytes(&bytes).err(),
        8 => DepositResponseFrame::from_bytes(&bytes).err(),
        9 => DoubleSpendFrame::from_bytes(&bytes).err(),
        10 => KeysetListFrame::from_bytes(&bytes).err(),
        11 => RefundRequestFrame::from_bytes(&bytes).err(),
        12 => RefundResponseFrame::from_bytes(&bytes).err(),
        13 => RestoreBucketFrame::from_bytes(&bytes).err(),
        other => panic!("unknown kind {other}"),
    };
    error.map(FrameError::code)
}

fn frame_json(input: &Value) -> Option<&'static str> {
    let text = input.text("json");
    let refused = match input.number("kind") {
        2 => serde_json::from_str::<RereadFrame>(text).is_err(),
        3 => serde_json::from_str::<OpenRequestFrame>(text).is_err(),
        8 => serde_json::from_str::<DepositResponseFrame>(text).is_err(),
        other => panic!("no vector has JSON of kind {other}"),
    };
    refused.then_some(FrameError::Malformed.code())
}

fn group(input: &Value) -> Option<&'static str> {
    let error = match input.text("type") {
        "point" => Point::from_bytes(input.bytes("bytes")).err(),
        "scalar" => Challenge::from_bytes(input.bytes("bytes")).err(),
        "non-zero-scalar" => SigningKey::from_bytes(&input.secret("bytes")).err(),
        other => panic!("unknown type {other}"),
    };
    error.map(GroupError::code)
}

fn stated(value: &Value) -> Spending {
    let payment = Payment::from_frame(&value.frame::<PaymentFrame>("frame")).unwrap();
    payment.state(value.text("recipient"), value.bytes("subject"))
}

fn verify(spending: &Spending, input: &Value) -> Option<&'static str> {
    spending.clone().verify(&input.keysets().key_table(), &mut rng()).err().map(ProofError::code)
}

fn batch(input: &Value) -> Option<&'static str> {
    let spendings = input.items("payments").iter().map(stated).collect();
    let answers = verify_batch(spendings, &input.keysets().key_table(), &mut rng()).unwrap();
    let codes: Vec<Option<&str>> = answers.into_iter().map(|answer| answer.err().map(ProofError::code)).collect();
    let expected: Vec<Option<&str>> = input.items("codes").iter().map(Value::as_str).collect();
    assert_eq!(codes, expected);
    codes.into_iter().flatten().next()
}

fn keysets(input: &Value) -> Option<&'static str> {
    let (root, frame) = (input.point("root"), input.frame::<KeysetListFrame>("frame"));
    let answer = if input.get("known").is_some() {
        KeysetList::verify(&input.frame::<KeysetListFrame>("known"), &root).unwrap().follow(&frame)
    } else {
        KeysetList::verify(&frame, &root)
    };
    answer.err().map(KeysetError::code)
}

fn open(input: &Value) -> Option<&'static str> {
    match Open::from_frame(&input.frame::<OpenRequestFrame>("frame")) {
        Err(error) => Some(error.code()),
        Ok(open) => open.verify(&input.point("root"), &input.keysets().key_table(), &mut rng()).err().map(ProofError::code),
    }
}

fn issue(input: &Value) -> Option<&'static str> {
    let (root, table) = (input.point("root"), input.keysets().key_table());
    let open = Open::from_frame(&input.frame::<OpenRequestFrame>("open")).unwrap().verify(&root, &table, &mut rng()).unwrap();
    let issue = Issue::from_frame(&input.frame::<IssueRequestFrame>("frame"));
    issue.and_then(|issue| issue.verify(&root, &open)).err().map(IssueError::code)
}

fn blind(input: &Value) -> Result<PendingTokens, IssueError> {
    let list = input.keysets();
    let keyset = list.get(&KeysetId(input.bytes("keyset"))).unwrap();
    let plan =
        SessionPlan { keyset: keyset.id(), denominations: input.amounts("denominations"), recovery: [0; 32], recovery_commitment: [0; 32] };
    let seed = WalletSeed::from_bytes(&input.secret("seed"));
    plan.blind(&seed, list.root(), keyset, input.number("first_index"), &input.frame::<OpenResponseFrame>("opened"))
}

fn bucket(input: &Value) -> Result<Bucket, RestoreError> {
    let number = if input.get("bucket").is_some() { input.number("bucket") } else { 0 };
    Bucket::from_frame(&input.frame::<RestoreBucketFrame>("frame"), KeysetId(input.bytes("keyset")), number)
}

fn restore_session(input: &Value) -> Option<&'static str> {
    let (list, bucket) = (input.keysets(), bucket(input).unwrap());
    let keyset = list.get(&KeysetId(input.bytes("keyset"))).unwrap();
    let seed = WalletSeed::from_bytes(&input.secret("seed"));
    bucket.sessions()[0].restore(&seed, list.root(), keyset, input.number("first_index")).err().map(IssueError::code)
}

fn recovery(input: &Value) -> Option<&'static str> {
    let list = input.keysets();
    let open = Open::from_frame(&input.frame::<OpenRequestFrame>("frame"));
    let claim = match open.as_ref().map(Open::funding) {
        Ok(Funding::Recovery(claim)) => claim,
        Ok(_) => panic!("another funding"),
        // The amounts are another vector's matter.
        Err(IssueError::AmountMismatch) => return recovery_of_another_amount(input, &list),
        Err(error) => return Some(error.code()),
    };
    checked_recovery(claim, input, &list)
}

/// A claim whose outputs are worth what it claims, whatever the frame asks for.
fn recovery_of_another_amount(input: &Value, list: &KeysetList) -> Option<&'static str> {
    let mut frame = input.frame::<OpenRequestFrame>("frame");
    let FundingBody::Recovery { claims, .. } = &frame.funding else { panic!("another funding") };
    frame.denominations = claims.iter().map(|claim| claim.denomination).collect();
    let open = Open::from_frame(&frame).unwrap();
    let Funding::Recovery(claim) = open.funding() else { panic!("another funding") };
    checked_recovery(claim, input, list)
}

fn checked_recovery(claim: &Recovery, input: &Value, list: &KeysetList) -> Option<&'static str> {
    let frame = input.frame::<RestoreBucketFrame>("recorded");
    let keyset = list.get(&KeysetId(frame.keyset.0)).unwrap();
    let bucket = Bucket::from_frame(&frame, keyset.id(), frame.bucket).unwrap();
    claim.verify(keyset, &bucket.sessions()[0]).err().map(IssueError::code)
}

fn answer(input: &Value) -> Option<&'static str> {
    let payments: Vec<(PaymentId, Amount)> =
        input.items("payments").iter().map(|payment| (PaymentId(payment.bytes("id")), payment.amount("change"))).collect();
    let answer = verify_answer(&input.frame::<DepositResponseFrame>("frame"), &payments, &input.keysets());
    answer.err().map(AnswerError::code)
}

fn reread(input: &Value) -> Option<&'static str> {
    let subject = subject(&input.at("challenge"), &[]);
    let statement = Statement::new(input.text("recipient").as_bytes(), Amount::ZERO, 0, &subject);
    let list: Vec<SpentKey> = input.items("keys").iter().map(spent_key).collect();
    let proof = KeyProof::from_body(&input.frame::<RereadFrame>("frame").proof).unwrap();
    proof.verify(Purpose::Reread, &statement, KeyList::Tokens(&list)).err().map(ProofError::code)
}
