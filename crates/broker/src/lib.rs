//! An embedded Kafka broker for tests and development.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod api;
mod cluster;
mod io;
mod settings;
mod state;
mod wire;

pub use cluster::{Builder, Cluster, Error};
pub use wire::{ApiKey, ErrorCode};
