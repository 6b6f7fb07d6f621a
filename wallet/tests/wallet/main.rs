//! The wallet against a real mint and real publishers.

mod attacks;
mod command;
mod flows;
mod givebacks;
mod hostile;
mod passes;
mod recovery;
mod resync;
mod stage;
