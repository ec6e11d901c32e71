//! The session of mail.

mod connecting;
mod delivering;
mod leaving;
mod operation;
mod outage;
mod publishing;
mod random;
mod settling;
mod stage;
mod verdict;
mod world;
