//! Whether the listener's protocol has TLS, and what then encrypts each connection.

use std::sync::Arc;

use super::properties::SECURITY_PROTOCOL;
use super::security::SecurityProtocol;
use crate::error::{Error, Result};
use crate::tls::{Tls, TlsConfig};

/// What encrypts each connection; nothing on a listener without TLS, for which nothing of it may be set.
pub(super) fn check(protocol: SecurityProtocol, config: &TlsConfig) -> Result<Option<Arc<Tls>>> {
    if protocol.has_tls() {
        return Tls::new(config).map(Some);
    }
    match config.first_set() {
        None => Ok(None),
        Some(setting) => Err(Error::config(
            setting,
            format!(
                "no effect with {} = {}: leave it out, or set {0}={}",
                SECURITY_PROTOCOL.name,
                protocol.name(),
                protocol.with_tls().name(),
            ),
        )),
    }
}
