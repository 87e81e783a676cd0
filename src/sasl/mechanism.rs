//! What every mechanism is: a name, and an exchange for each login.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::error::MechanismError;
use super::secret::Secret;

/// A way to log in, by its registered name. One is made for a client, and starts an [`Exchange`] for each login.
///
/// Kafka: `sasl.mechanism`, `sasl.client.callback.handler.class`.
pub trait Mechanism: fmt::Debug + Send + Sync + 'static {
    /// The registered name, which the broker has to offer: `SCRAM-SHA-512`.
    fn name(&self) -> &str;

    /// Begins a login at a broker, which is known by this host and port (as it advertises them).
    fn start(&self, host: &str, port: u16) -> Box<dyn Exchange>;
}

/// One login of one connection.
pub trait Exchange: Send {
    /// Takes what the server said, nothing at first, and tells what is next.
    ///
    /// It is called again with each answer until it returns [`Step::Done`] or an error; a future that was dropped
    /// ends the exchange.
    fn step<'a>(&'a mut self, challenge: &'a [u8]) -> Stepping<'a>;
}

/// The future of an [`Exchange::step`].
pub type Stepping<'a> = Pin<Box<dyn Future<Output = Result<Step, MechanismError>> + Send + 'a>>;

/// What an exchange does next.
#[derive(Debug)]
pub enum Step {
    /// This goes to the server, whose answer is the next challenge.
    Send(Secret),
    /// The server has said all that it has to, and it was right.
    Done,
}

/// A step that has nothing to wait for.
pub(super) fn at_once<'a>(step: Result<Step, MechanismError>) -> Stepping<'a> {
    Box::pin(std::future::ready(step))
}
