//! 100 coupons for 1000 applicants: a counter lets the first ones in, a topic carries them, a group saves them.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod gate;
mod member;
mod options;
mod report;
mod run;
mod service;
mod store;

pub use gate::{Drawn, Gate};
pub use member::{GROUP, run as run_member};
pub use options::Options;
pub use report::Report;
pub use run::System;
pub use service::{Applied, COUPONS, Coupons, TOPIC, Won};
pub use store::Store;
