//! The verifier as a C library, `libfarthing_verifier`, with the header `include/farthing.h`.
//!
//! ```text
//! exports    what C calls: status codes, handles, texts; no panic gets past it
//! memory     C's pointers become slices and back: the only other place with unsafe code
//! handles    numbers for verifiers that are open
//! calls      JSON in, JSON out, on the verifier's own types
//! ```
//!
//! A handle is a number that is never given twice, so that a closed or invented one is an error and not a wild pointer. There is no
//! "last error": each call hands its own explanation to its own caller, so that threads never read each other's.

mod calls;
mod exports;
mod handles;
mod memory;
#[cfg(test)]
mod tests;
