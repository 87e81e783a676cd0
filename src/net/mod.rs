//! Connections to brokers: bytes out, answers back in order; knows requests as bytes, never roles.

mod connection;
mod frames;
mod handshake;
mod link;
mod outgoing;
mod pool;
mod tasks;
mod transport;

#[cfg(test)]
mod tests;

pub(crate) use connection::Connection;
pub(crate) use link::RequestError;
pub(crate) use pool::{ConsumerId, Pool, Purpose};
#[cfg(test)]
pub(crate) use tests::server;
pub(crate) use transport::{Connector, TcpConnector};
