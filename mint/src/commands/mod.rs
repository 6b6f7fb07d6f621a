//! The parts of the command line that deserve a file of their own.

pub mod backup;
pub mod books;
pub mod clock;
pub mod desk;
pub mod keyset;
pub mod logs;
pub mod payout;
pub mod resync;
pub mod secret;
pub mod serve;
pub mod voucher;
