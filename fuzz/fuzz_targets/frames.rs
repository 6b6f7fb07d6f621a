//! Every kind of frame, as bytes and as JSON: whatever decodes encodes to the very same, in the other encoding too, and its validated types
//! neither panic nor change it.
//!
//! An input that begins with the version is a frame, one that begins with `{` is JSON; any other is taken apart into the fields of a frame.
#![no_main]

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::issue::{Issue, Open};
use farthing_protocol::payment::{Deposit, Payment};
use farthing_protocol::proof::{KeyProof, KeysetId};
use farthing_protocol::refund::Refund;
use farthing_protocol::restore::Bucket;
use farthing_protocol::wire::{
    DepositRequestFrame, DepositResponseFrame, DoubleSpendFrame, Frame, IssueRequestFrame, IssueResponseFrame, KeysetListFrame,
    OpenRequestFrame, OpenResponseFrame, PaymentFrame, RefundRequestFrame, RefundResponseFrame, RereadFrame, RestoreBucketFrame, VERSION,
};
use libfuzzer_sys::fuzz_target;

/// The frame of an input, if it is one.
fn read<'a, F: Frame + Arbitrary<'a> + PartialEq + Debug>(bytes: &'a [u8]) -> Option<F> {
    let frame = match bytes {
        [VERSION, ..] => {
            let frame = F::from_bytes(bytes).ok()?;
            assert!(frame.to_bytes() == bytes, "one value, one encoding");
            frame
        }
        [b'{', ..] => serde_json::from_slice(bytes).ok()?,
        [kind, fields @ ..] if *kind == F::KIND + VERSION => F::arbitrary_take_rest(Unstructured::new(fields)).ok()?,
        _ => return None,
    };
    let json = serde_json::to_vec(&frame).expect("frames are JSON");
    assert!(serde_json::from_slice::<F>(&json).expect("its own JSON") == frame, "JSON says the same");
    let encoded = frame.to_bytes();
    match F::from_bytes(&encoded) {
        Ok(again) => assert!(again == frame && encoded.len() <= F::LIMIT),
        Err(_) => assert!(encoded.len() > F::LIMIT, "only its length stands against a frame"),
    }
    Some(frame)
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(frame) = read::<PaymentFrame>(bytes)
        && let Ok(payment) = Payment::from_frame(&frame)
    {
        assert!(payment.to_frame() == frame);
    }
    if let Some(frame) = read::<DoubleSpendFrame>(bytes)
        && let Ok(proof) = DoubleSpend::from_frame(&frame)
    {
        assert!(proof.to_frame() == frame);
    }
    if let Some(frame) = read::<OpenRequestFrame>(bytes)
        && let Ok(open) = Open::from_frame(&frame)
    {
        assert_eq!(open.plan().amount().map(farthing_protocol::amount::Amount::units), Ok(frame.denominations.iter().sum()));
    }
    if let Some(frame) = read::<IssueRequestFrame>(bytes)
        && let Ok(issue) = Issue::from_frame(&frame)
    {
        assert_eq!(*issue.session(), frame.session.0);
    }
    if let Some(frame) = read::<DepositRequestFrame>(bytes) {
        for body in &frame.payments {
            if let Ok(deposit) = Deposit::from_body(body) {
                assert!(deposit.to_body() == *body);
            }
        }
    }
    if let Some(frame) = read::<RefundRequestFrame>(bytes)
        && let Ok(refund) = Refund::from_frame(&frame)
    {
        assert_eq!(refund.publisher(), frame.publisher);
    }
    if let Some(frame) = read::<RestoreBucketFrame>(bytes)
        && let Ok(bucket) = Bucket::from_frame(&frame, KeysetId(frame.keyset.0), frame.bucket)
    {
        assert!(bucket.to_frame() == frame);
    }
    if let Some(frame) = read::<RereadFrame>(bytes)
        && let Ok(proof) = KeyProof::from_body(&frame.proof)
    {
        assert!(proof.to_body() == frame.proof);
    }
    read::<RefundResponseFrame>(bytes);
    read::<OpenResponseFrame>(bytes);
    read::<IssueResponseFrame>(bytes);
    read::<DepositResponseFrame>(bytes);
    read::<KeysetListFrame>(bytes);
});
