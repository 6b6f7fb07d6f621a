//! The parts of the command line that deserve a file of their own.

pub mod books;
pub mod clock;
pub mod desk;
pub mod keyset;
pub mod payout;
pub mod secret;
pub mod voucher;
