//! Approved payments, keyed by ticket type, from HTTP through a topic to a table.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod callers;
mod gateway;
mod http;
mod input;
mod intents;
mod member;
mod messages;
mod options;
mod report;
mod run;
mod service;
mod stand_in;
mod store;

pub use callers::Told;
pub use gateway::{Answer, Declined, Gateway, HttpGateway, Refusal};
pub use http::router;
pub use input::BadField;
pub use intents::Intents;
pub use member::{GROUP, run as run_member};
pub use messages::{PaymentConfirmRequest, PaymentConfirmResponse, PaymentMessage, TYPE_ID};
pub use options::Options;
pub use report::Report;
pub use run::System;
pub use service::{NotConfirmed, PARTITIONS, Payments, TOPIC, Totals};
pub use stand_in::StandIn;
pub use store::{Received, Saved, Store};
