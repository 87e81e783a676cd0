//! An embedded Kafka broker for tests and development.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod api;
mod builder;
mod cluster;
mod faults;
mod inspect;
mod io;
mod node;
mod settings;
mod state;
mod wire;

pub use builder::Builder;
pub use cluster::{Cluster, Error, Faults};
pub use faults::{Fault, FaultId};
pub use inspect::{GroupView, LogRecord, MemberView, RequestSeen};
pub use node::Node;
pub use wire::{ApiKey, ErrorCode};
