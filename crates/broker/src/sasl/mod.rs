//! The broker's side of logins: users, and the exchange of messages that each mechanism is.

mod credential;
mod exchange;
mod mechanism;
mod plain;
mod reply;
mod scram;
mod users;

pub(crate) use exchange::Exchange;
pub use mechanism::SaslMechanism;
pub(crate) use reply::{Refused, Reply};
pub(crate) use users::Users;
