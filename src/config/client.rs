//! The client's settings: raw as they are set, checked together in the end.

use std::time::Duration;

use tracing::debug;

use super::login::LoginOptions;
use super::properties as p;
use super::settings::{Backoff, ClientSettings};
use super::tls;
use crate::error::{Error, Result};
use crate::tls::TlsConfig;
use crate::types::Address;

const DEFAULT_CLIENT_ID: &str = "ottla";
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_RETRY_BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(100),
    max: Duration::from_secs(1),
};
const DEFAULT_RECONNECT_BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(50),
    max: Duration::from_secs(1),
};
const DEFAULT_METADATA_MAX_AGE: Duration = Duration::from_secs(300);
const DEFAULT_CONNECTIONS_MAX_IDLE: Duration = Duration::from_secs(540);
const DEFAULT_SETUP_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_REBOOTSTRAP_TRIGGER: Duration = Duration::from_secs(300);
/// As large as the largest request that a broker takes (its `socket.request.max.bytes`).
const DEFAULT_MAX_RESPONSE_BYTES: usize = 100 << 20;

/// What was set, by whichever way; `None` is the default.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientOptions {
    pub(super) bootstrap: Option<Vec<Address>>,
    pub(super) client_id: Option<String>,
    pub(super) request_timeout: Option<Duration>,
    pub(super) retry_backoff: Option<Duration>,
    pub(super) retry_backoff_max: Option<Duration>,
    pub(super) reconnect_backoff: Option<Duration>,
    pub(super) reconnect_backoff_max: Option<Duration>,
    pub(super) metadata_max_age: Option<Duration>,
    pub(super) connections_max_idle: Option<Option<Duration>>,
    pub(super) connection_setup_timeout: Option<Duration>,
    pub(super) connection_setup_timeout_max: Option<Duration>,
    pub(super) send_buffer: Option<Option<usize>>,
    pub(super) receive_buffer: Option<Option<usize>>,
    pub(super) max_response_bytes: Option<usize>,
    pub(super) rebootstrap: Option<bool>,
    pub(super) rebootstrap_trigger: Option<Duration>,
    pub(super) login: LoginOptions,
    pub(super) tls: TlsConfig,
}

impl ClientOptions {
    pub(super) fn check(self) -> Result<ClientSettings> {
        let bootstrap = self.bootstrap.unwrap_or_default();
        match bootstrap.as_slice() {
            [] => {
                let reason = "not set: give one or more servers as host:port, separated by commas";
                return Err(Error::config(p::BOOTSTRAP_SERVERS.name, reason));
            }
            [only] => debug!(
                server = %only,
                "one bootstrap server: name two or more to connect while it is down"
            ),
            _ => {}
        }
        // An empty name is Java's default, and stands for ours.
        let client_id = self.client_id.unwrap_or_default();
        let client_id = match p::CLIENT_ID.parse(&client_id)?.as_str() {
            "" => DEFAULT_CLIENT_ID.into(),
            given => given.into(),
        };
        let setup_timeout =
            p::SETUP_TIMEOUT.pick(self.connection_setup_timeout, DEFAULT_SETUP_TIMEOUT)?;
        if let Some(max) = self.connection_setup_timeout_max {
            ordered(
                (p::SETUP_TIMEOUT.name, setup_timeout),
                (p::SETUP_TIMEOUT_MAX.name, p::SETUP_TIMEOUT_MAX.check(max)?),
            )?;
        }
        Ok(ClientSettings {
            bootstrap,
            client_id,
            request_timeout: p::REQUEST_TIMEOUT
                .pick(self.request_timeout, DEFAULT_REQUEST_TIMEOUT)?,
            retry_backoff: retry_backoff(
                self.retry_backoff,
                self.retry_backoff_max,
                DEFAULT_RETRY_BACKOFF,
            )?,
            reconnect_backoff: ordered(
                (
                    p::RECONNECT_BACKOFF.name,
                    p::RECONNECT_BACKOFF
                        .pick(self.reconnect_backoff, DEFAULT_RECONNECT_BACKOFF.base)?,
                ),
                (
                    p::RECONNECT_BACKOFF_MAX.name,
                    p::RECONNECT_BACKOFF_MAX
                        .pick(self.reconnect_backoff_max, DEFAULT_RECONNECT_BACKOFF.max)?,
                ),
            )?,
            metadata_max_age: p::METADATA_MAX_AGE
                .pick(self.metadata_max_age, DEFAULT_METADATA_MAX_AGE)?,
            connections_max_idle: p::CONNECTIONS_MAX_IDLE.pick(
                self.connections_max_idle,
                Some(DEFAULT_CONNECTIONS_MAX_IDLE),
            )?,
            connect_timeout: setup_timeout,
            // `check` has bounded them by i32::MAX.
            send_buffer: p::SEND_BUFFER
                .pick(self.send_buffer, None)?
                .map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
            receive_buffer: p::RECEIVE_BUFFER
                .pick(self.receive_buffer, None)?
                .map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
            rebootstrap: self.rebootstrap.unwrap_or(true),
            rebootstrap_trigger: p::REBOOTSTRAP_TRIGGER
                .pick(self.rebootstrap_trigger, DEFAULT_REBOOTSTRAP_TRIGGER)?,
            max_response_bytes: p::RECEIVE_MAX
                .pick(self.max_response_bytes, DEFAULT_MAX_RESPONSE_BYTES)?,
            login: self.login.check()?,
            tls: tls::check(self.login.protocol.unwrap_or_default(), &self.tls)?,
        })
    }
}

/// A pair `base`, `max`, each with its name; refused when `base` is the longer one.
fn ordered(base: (&str, Duration), max: (&str, Duration)) -> Result<Backoff> {
    let ((base_name, base), (max_name, max)) = (base, max);
    if base > max {
        return Err(Error::config(
            base_name,
            format!(
                "{} is above {max_name} = {}: lower it, or raise {max_name}",
                base.as_millis(),
                max.as_millis()
            ),
        ));
    }
    Ok(Backoff { base, max })
}

/// `retry.backoff.ms` and `retry.backoff.max.ms`, which clients and their roles have alike.
pub(super) fn retry_backoff(
    base: Option<Duration>,
    max: Option<Duration>,
    default: Backoff,
) -> Result<Backoff> {
    ordered(
        (
            p::RETRY_BACKOFF.name,
            p::RETRY_BACKOFF.pick(base, default.base)?,
        ),
        (
            p::RETRY_BACKOFF_MAX.name,
            p::RETRY_BACKOFF_MAX.pick(max, default.max)?,
        ),
    )
}
