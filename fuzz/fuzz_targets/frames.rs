//! Whatever decodes as a frame encodes to the very same bytes, and its validated types neither panic nor change it.
#![no_main]

use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::issue::{Issue, Open};
use farthing_protocol::payment::{Deposit, Payment};
use farthing_protocol::proof::KeysetId;
use farthing_protocol::refund::Refund;
use farthing_protocol::restore::Bucket;
use farthing_protocol::wire::{
    DepositRequestFrame, DepositResponseFrame, DoubleSpendFrame, Frame, IssueRequestFrame, IssueResponseFrame, KeysetListFrame,
    OpenRequestFrame, OpenResponseFrame, PaymentFrame, RefundRequestFrame, RefundResponseFrame, RereadFrame, RestoreBucketFrame,
};
use libfuzzer_sys::fuzz_target;

fn decode<F: Frame>(bytes: &[u8]) -> Option<F> {
    let frame = F::from_bytes(bytes).ok()?;
    assert!(frame.to_bytes() == bytes, "one value, one encoding");
    Some(frame)
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(frame) = decode::<PaymentFrame>(bytes)
        && let Ok(payment) = Payment::from_frame(&frame)
    {
        assert!(payment.to_frame() == frame);
    }
    if let Some(frame) = decode::<DoubleSpendFrame>(bytes)
        && let Ok(proof) = DoubleSpend::from_frame(&frame)
    {
        assert!(proof.to_frame() == frame);
    }
    if let Some(frame) = decode::<OpenRequestFrame>(bytes) {
        let _ = Open::from_frame(&frame);
    }
    if let Some(frame) = decode::<IssueRequestFrame>(bytes) {
        let _ = Issue::from_frame(&frame);
    }
    if let Some(frame) = decode::<DepositRequestFrame>(bytes) {
        for body in &frame.payments {
            if let Ok(deposit) = Deposit::from_body(body) {
                assert!(deposit.to_body() == *body);
            }
        }
    }
    if let Some(frame) = decode::<RefundRequestFrame>(bytes) {
        let _ = Refund::from_frame(&frame);
    }
    if let Some(frame) = decode::<RestoreBucketFrame>(bytes)
        && let Ok(bucket) = Bucket::from_frame(&frame, KeysetId(frame.keyset.0), frame.bucket)
    {
        assert!(bucket.to_frame() == frame);
    }
    decode::<RefundResponseFrame>(bytes);
    decode::<RereadFrame>(bytes);
    decode::<OpenResponseFrame>(bytes);
    decode::<IssueResponseFrame>(bytes);
    decode::<DepositResponseFrame>(bytes);
    decode::<KeysetListFrame>(bytes);
});
