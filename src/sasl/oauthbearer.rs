//! OAUTHBEARER (RFC 7628): a token that somebody else issued, which is asked for when it is needed.

mod exchange;
mod store;
mod token;

use std::fmt;
use std::sync::Arc;

pub use token::{Token, TokenFuture, TokenProvider};

use exchange::Bearer;
use store::Store;

use super::mechanism::{Exchange, Mechanism};

/// A token of an identity provider (RFC 7628).
///
/// A token is kept and used by all connections until 80 % of its lifetime are over; the next login asks for
/// another. Where that fails the one at hand is used while it is valid. Kafka: `sasl.mechanism=OAUTHBEARER`, `sasl.login.refresh.window.factor`.
#[derive(Clone)]
pub struct OAuthBearer(Arc<Store>);

impl OAuthBearer {
    /// Logs in with the tokens of `provider`.
    pub fn new(provider: impl TokenProvider) -> Self {
        Self(Arc::new(Store::new(Box::new(provider))))
    }
}

impl fmt::Debug for OAuthBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthBearer").finish_non_exhaustive()
    }
}

impl Mechanism for OAuthBearer {
    fn name(&self) -> &str {
        "OAUTHBEARER"
    }

    fn start(&self, _host: &str, _port: u16) -> Box<dyn Exchange> {
        Box::new(Bearer::new(self.0.clone()))
    }
}
