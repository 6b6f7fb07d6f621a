#![doc = include_str!("../README.md")]
//!
//! # Where to begin
//!
//! | to | see |
//! |---|---|
//! | sign blindly, as a mint | [`snowblind::commit`], [`issue::Open`], [`issue::Issue`], [`snowblind::Nonces::respond`] |
//! | buy, as a reader | [`voucher::VoucherCode`], [`issue::SessionPlan`], [`issue::PendingTokens`] |
//! | pay, as a reader | [`token::OwnedTokens::pay`] |
//! | check payments, as a publisher | [`payment::Payment`], [`spending::verify_batch`] |
//! | give a payment back | [`refund::request`], [`refund::Refund`], [`issue::FundingKeys::Reclaim`] |
//! | get tokens back from a seed | [`restore::Bucket`], [`restore::find`], [`restore::RecordedSession::restore`] |
//! | settle | [`payment::Deposit`], [`settle::sign_answer`], [`settle::verify_answer`] |
//! | prove a double-spend | [`evidence::DoubleSpend`] |
//! | follow a mint's keys | [`keyset::KeysetList`] |
//! | read and write bytes | [`wire::Frame`] |
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "arbitrary"))]
extern crate std;

pub mod amount;
mod batch;
pub mod error;
pub mod evidence;
pub mod filter;
pub mod group;
pub mod http;
pub mod issue;
pub mod keyset;
pub mod labels;
pub mod payment;
pub mod proof;
mod public_transcript;
pub mod receipt;
pub mod recovery;
pub mod refund;
pub mod restore;
pub mod seed;
pub mod settle;
pub mod snowblind;
pub mod spending;
pub mod token;
mod transcript;
pub mod voucher;
pub mod wire;
