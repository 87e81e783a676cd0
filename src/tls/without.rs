//! What stands for TLS in a build that has none.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::options::TlsConfig;
use super::sources::Sources;
use crate::error::{Error, Result};

/// Never there.
#[derive(Debug)]
pub(crate) struct Tls(Infallible);

impl Tls {
    pub(crate) fn new(config: &TlsConfig) -> Result<Arc<Self>> {
        Sources::of(config)?;
        Err(Error::config(
            "security.protocol",
            "this build of ottla has no TLS: enable its feature \"tls\"",
        ))
    }

    pub(crate) fn watch(&self) {
        match self.0 {}
    }

    pub(crate) fn reload(&self) -> Result<()> {
        match self.0 {}
    }

    pub(crate) async fn handshake<S>(&self, _: S, _: &str, _: &Arc<str>, _: Duration) -> Result<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match self.0 {}
    }

    pub(crate) fn refusal(&self, _: &Arc<str>, _: &io::Error) -> Option<Error> {
        match self.0 {}
    }
}
