//! C's pointers become slices, and texts become C's until C gives them back.
#![allow(unsafe_code)]

use std::ptr;

/// The longest input, in bytes: far more than any settings or request need, far less than a length that was computed wrongly.
const MAX_INPUT: usize = 16 << 20;

/// A text in UTF-8 that the library has written, without a zero byte at its end. `bytes` is null if there is none. Give it back with
/// `farthing_text_free`, and with nothing else.
#[repr(C)]
pub struct FarthingText {
    /// Its first byte, or null.
    pub bytes: *mut u8,
    /// How many bytes it has.
    pub length: usize,
}

impl FarthingText {
    const NONE: Self = Self { bytes: ptr::null_mut(), length: 0 };
}

/// What a caller said is a text of so many bytes.
///
/// # Safety
/// If `bytes` is not null, it points to `length` bytes that are read-only until the returned text is no longer used.
pub(crate) unsafe fn input<'a>(bytes: *const u8, length: usize) -> Option<&'a str> {
    if bytes.is_null() || length > MAX_INPUT {
        return None;
    }
    // SAFETY: not null, shorter than isize::MAX, and the caller promises the rest.
    let slice = unsafe { std::slice::from_raw_parts(bytes, length) };
    std::str::from_utf8(slice).ok()
}

/// Writes where the caller wants it, without reading what is there; nothing for null.
///
/// # Safety
/// If `place` is not null, it is aligned and may be written to.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not null, and the caller promises the rest.
        unsafe { ptr::write(place, value) };
    }
}

/// Hands a text to C.
///
/// # Safety
/// If `place` is not null, it is aligned and may be written to.
pub(crate) unsafe fn hand_out(place: *mut FarthingText, text: Option<String>) {
    if place.is_null() {
        return;
    }
    let text = text.filter(|text| !text.is_empty()).map_or(FarthingText::NONE, |text| {
        let bytes = text.into_bytes().into_boxed_slice();
        let length = bytes.len();
        FarthingText { bytes: Box::into_raw(bytes).cast(), length }
    });
    // SAFETY: what `put` asks for is what the caller promises.
    unsafe { put(place, text) };
}

/// Takes a text back from C and leaves none in its place, so that freeing it twice does nothing.
///
/// # Safety
/// `place` is null, or holds what [`hand_out`] wrote there, unchanged, and nobody else uses it meanwhile.
pub(crate) unsafe fn take_back(place: *mut FarthingText) {
    if place.is_null() {
        return;
    }
    // SAFETY: not null, and the caller promises that it is a text.
    let text = unsafe { ptr::replace(place, FarthingText::NONE) };
    if !text.bytes.is_null() {
        let slice = ptr::slice_from_raw_parts_mut(text.bytes, text.length);
        // SAFETY: `hand_out` made it from a box of just these bytes.
        drop(unsafe { Box::from_raw(slice) });
    }
}
