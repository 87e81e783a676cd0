//! Connections to brokers: bytes out, answers back in order; knows requests as bytes, never roles.

mod attempt;
mod call;
mod connection;
mod dial;
pub(crate) mod frames;
mod handshake;
mod history;
mod link;
mod login;
mod outage;
mod outgoing;
mod pool;
mod probe;
mod renewal;
mod requests;
mod silence;
mod tasks;
mod transport;

#[cfg(test)]
mod tests;

pub(crate) use connection::Connection;
pub(crate) use outage::Outage;
pub(crate) use pool::{Pool, Purpose, RoleId, next_role};
pub(crate) use requests::RequestError;
#[cfg(test)]
pub(crate) use tests::server;
pub use transport::{Connecting, Connector, Endpoint, Resolving, TcpConnector, Transport};
