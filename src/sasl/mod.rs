//! Logging in: SASL mechanisms as exchanges of messages, which know neither sockets nor Kafka's frames.
//!
//! ```text
//!   Mechanism::start ──▶ Exchange ── step("") ──▶ Send(first message)
//!                           ▲                          │ to the broker
//!                           └── step(its answer) ◀─────┘   until Done
//! ```

mod error;
mod jaas;
mod mechanism;
mod oauthbearer;
mod plain;
mod scram;
mod secret;

pub use error::MechanismError;
pub(crate) use jaas::{JaasLine, Module};
pub use mechanism::{Exchange, Mechanism, Step, Stepping};
pub use oauthbearer::{OAuthBearer, Token, TokenFuture, TokenProvider};
pub use plain::Plain;
pub use scram::{Scram, ScramHash};
pub(crate) use scram::{new_salt, salted_password};
pub use secret::Secret;
