//! What C calls.
//!
//! Every function may be called from any thread, several at once on one verifier. None lets a panic through: what would be one is
//! `FARTHING_STATUS_DEFECT`, and nothing was decided.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::calls::{self, Failure, FarthingStatus};
use crate::handles;
use crate::memory::{FarthingText, hand_out, input, put, take_back};

/// The version of this interface. A program compares it with what `farthing_abi_version` says: another number is another interface.
pub const FARTHING_ABI_VERSION: u32 = 1;

/// Does it, explains a failure in `text`, and stops panics.
///
/// Implements R-EMBED-03.
///
/// # Safety
/// If `text` is not null, it is aligned and may be written to.
unsafe fn call(text: *mut FarthingText, act: impl FnOnce() -> Result<Option<String>, Failure>) -> FarthingStatus {
    if text.is_null() {
        return FarthingStatus::BadArgument;
    }
    // What a panic leaves behind is behind locks that survive it; the verifier's own state is in its store.
    let (status, answer) = match catch_unwind(AssertUnwindSafe(act)).unwrap_or(Err(Failure::Defect)) {
        Ok(answer) => (FarthingStatus::Ok, answer),
        Err(failure) => (failure.code().0, Some(failure.text())),
    };
    // SAFETY: the caller of this function promises it.
    unsafe { hand_out(text, answer) };
    status
}

/// The version of this interface in the library that was loaded.
#[unsafe(no_mangle)]
pub extern "C" fn farthing_abi_version() -> u32 {
    FARTHING_ABI_VERSION
}

/// Opens a verifier and writes its number to `verifier`, or 0.
///
/// `settings` is the text of a configuration in TOML, or in JSON if it begins with a brace: the sidecar's, whose `listen`, `proxy`,
/// `trusted_peers`, `peers_may_refund`, `metrics` and `log` are not looked at. Its `data` directory is used by one verifier of one process
/// at a time; with `store = "postgres"` verifiers of any number of processes share the database. A mint that cannot be reached is no
/// failure.
///
/// # Safety
/// `settings` points to `settings_length` bytes that do not change during the call. `verifier` and `text` may be written to. On failure
/// `text` is `{"code":"..","title":".."}`, otherwise there is none; give it back with `farthing_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn farthing_open(
    settings: *const u8,
    settings_length: usize,
    verifier: *mut u64,
    text: *mut FarthingText,
) -> FarthingStatus {
    // SAFETY: promised by the caller.
    unsafe { put(verifier, 0) };
    // SAFETY: promised by the caller, for the whole call.
    let settings = unsafe { input(settings, settings_length) };
    let opened = || {
        let settings = settings.filter(|_| !verifier.is_null()).ok_or(Failure::Argument)?;
        let number = handles::open(settings)?;
        // SAFETY: promised by the caller.
        unsafe { put(verifier, number) };
        Ok(None)
    };
    // SAFETY: promised by the caller.
    unsafe { call(text, opened) }
}

/// Ends a verifier: waits for what is on its way to the mint and lets go of its data. Calls of other threads that use it are finished
/// first, and the last of them does the waiting. What is undecided waits for the next start.
///
/// Returns `FARTHING_STATUS_OK`, or `FARTHING_STATUS_CLOSED` if it was closed before.
#[unsafe(no_mangle)]
pub extern "C" fn farthing_close(verifier: u64) -> FarthingStatus {
    match catch_unwind(|| handles::close(verifier)).unwrap_or(Err(Failure::Defect)) {
        Ok(()) => FarthingStatus::Ok,
        Err(failure) => failure.code().0,
    }
}

/// Decides about a request: checks its payment, claims it and has the mint book it.
///
/// `request` is `{"method":"GET","url":"/a?b","headers":[["authorization","Payment .."],..]}`: the path and query just as the reader
/// spelled them, and all headers or those that matter (`authorization`, `accept`, `accept-payment`, `origin` and
/// `access-control-request-method`). With `FARTHING_STATUS_OK`, `text` is one of
///
///     {"decision":"serve","payment":null,"headers":[]}                                       it is free
///     {"decision":"serve","payment":{"reference":"..","state":"settled","amount":"500","change":"0","reread":false},
///      "headers":[["payment-receipt",".."],["cache-control","private"]]}                     serve it with these headers
///     {"decision":"answer","status":402,"headers":[..],"body":".."}                          send this as it is
///
/// After any other status, and after anything else in `text`, serve nothing (503). The call takes as long as the mint's answer.
///
/// # Safety
/// `request` points to `request_length` bytes that do not change during the call. `text` may be written to; give it back with
/// `farthing_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn farthing_decide(
    verifier: u64,
    request: *const u8,
    request_length: usize,
    text: *mut FarthingText,
) -> FarthingStatus {
    // SAFETY: promised by the caller, for the whole call.
    let request = unsafe { input(request, request_length) };
    // SAFETY: promised by the caller.
    unsafe { call(text, || calls::decide(verifier, request.ok_or(Failure::Argument)?).map(Some)) }
}

/// Checks a request's payment and changes nothing: `{"decision":"found","payment":{..}}`, with null for what is free, or the answer that
/// `farthing_decide` would give. It is no payment: serve for `farthing_decide` alone.
///
/// # Safety
/// As `farthing_decide`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn farthing_check(
    verifier: u64,
    request: *const u8,
    request_length: usize,
    text: *mut FarthingText,
) -> FarthingStatus {
    // SAFETY: promised by the caller, for the whole call.
    let request = unsafe { input(request, request_length) };
    // SAFETY: promised by the caller.
    unsafe { call(text, || calls::check(verifier, request.ok_or(Failure::Argument)?).map(Some)) }
}

/// Gives a payment back, by its reference: `{"payment":"..","amount":"500","state":"refunded"}`. Asking twice changes nothing.
/// `FARTHING_STATUS_REFUSED` says in `text` why not; after `FARTHING_STATUS_UNAVAILABLE` ask again.
///
/// # Safety
/// `reference` points to `reference_length` bytes that do not change during the call. `text` may be written to; give it back with
/// `farthing_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn farthing_refund(
    verifier: u64,
    reference: *const u8,
    reference_length: usize,
    text: *mut FarthingText,
) -> FarthingStatus {
    // SAFETY: promised by the caller, for the whole call.
    let reference = unsafe { input(reference, reference_length) };
    // SAFETY: promised by the caller.
    unsafe { call(text, || calls::refund(verifier, reference.ok_or(Failure::Argument)?).map(Some)) }
}

/// The double-spend proofs kept: `{"proofs":["..",..]}`, each what `farthing-verifier evidence verify` reads.
///
/// # Safety
/// `text` may be written to; give it back with `farthing_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn farthing_proofs(verifier: u64, text: *mut FarthingText) -> FarthingStatus {
    // SAFETY: promised by the caller.
    unsafe { call(text, || calls::proofs(verifier).map(Some)) }
}

/// `FARTHING_STATUS_OK` if payments can be decided now. On failure `text` says why, otherwise there is none.
///
/// # Safety
/// `text` may be written to; give it back with `farthing_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn farthing_ready(verifier: u64, text: *mut FarthingText) -> FarthingStatus {
    // SAFETY: promised by the caller.
    unsafe { call(text, || calls::ready(verifier).map(|()| None)) }
}

/// Counters and sums as text for Prometheus. Nothing in it is about anybody.
///
/// # Safety
/// `text` may be written to; give it back with `farthing_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn farthing_metrics(verifier: u64, text: *mut FarthingText) -> FarthingStatus {
    // SAFETY: promised by the caller.
    unsafe { call(text, || calls::metrics(verifier).map(Some)) }
}

/// Gives a text back to the library and leaves none in its place. Null, and a place without a text, are fine.
///
/// # Safety
/// `text` is null or points to what a function of this library wrote, unchanged, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn farthing_text_free(text: *mut FarthingText) {
    // SAFETY: promised by the caller.
    unsafe { take_back(text) };
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A call with a defect in it.
    pub(crate) fn panicking(text: *mut FarthingText) -> FarthingStatus {
        // SAFETY: tests hand over a place.
        unsafe { call(text, || panic!("a defect")) }
    }
}
