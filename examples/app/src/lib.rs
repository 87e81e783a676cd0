//! What the applications share: options and settings, the parts that they connect to, and how they end.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod account;
mod database;
mod failure;
mod kafka;
mod member;
mod options;
mod progress;
mod run;
mod set_aside;
mod settings;

pub use account::Account;
pub use database::{Database, is_there_already, is_unfit};
pub use failure::Failure;
pub use kafka::Kafka;
pub use member::{Done, Members, Next, Saved, committed, in_group, next, saved};
pub use options::{Parts, within};
pub use progress::{Progress, say};
pub use run::main;
pub use set_aside::SetAside;
pub use settings::Settings;
