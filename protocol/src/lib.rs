//! The cryptography and the wire of Farthing.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod amount;
mod batch;
pub mod error;
pub mod evidence;
pub mod group;
pub mod http;
pub mod issue;
pub mod keyset;
pub mod labels;
pub mod payment;
pub mod proof;
pub mod seed;
pub mod settle;
pub mod snowblind;
pub mod spending;
pub mod token;
mod transcript;
pub mod voucher;
pub mod wire;
