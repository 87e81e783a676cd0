//! The request that a broker's fetch loop makes, and how it waits for its answer or for something to ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::cluster::Purpose;
use crate::consumer::inner::ConsumerInner;
use crate::error::Error;
use crate::machine::fetch::Asked;
use crate::net::Connection;
use crate::types::BrokerId;
use crate::wire::{Fetch, FetchAnswer};

/// Asks for this, in an answer of so many bytes that is there after `max_wait` at the latest.
pub(super) fn request(
    inner: &ConsumerInner,
    asked: Asked,
    max_wait: Duration,
    max_bytes: usize,
) -> Fetch {
    let settings = &inner.settings;
    Fetch {
        max_wait,
        min_bytes: i32::try_from(settings.fetch_min_bytes).unwrap_or(i32::MAX),
        max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
        read_committed: inner.filter.read_committed,
        session_id: asked.session_id,
        session_epoch: asked.session_epoch,
        by_name: !asked.has_ids,
        topics: asked.topics,
        forgotten: asked.forgotten,
        rack: settings.rack.clone().unwrap_or_default(),
    }
}

/// Ends a session.
pub(super) fn parting(inner: &ConsumerInner, session_id: i32, session_epoch: i32) -> Fetch {
    Fetch {
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: 0,
        read_committed: inner.filter.read_committed,
        session_id,
        session_epoch,
        by_name: false,
        topics: Vec::new(),
        forgotten: Vec::new(),
        rack: Arc::default(),
    }
}

/// The broker's answer, by the connection for this purpose.
pub(super) async fn ask(
    inner: &ConsumerInner,
    broker: BrokerId,
    purpose: Purpose,
    call: &Fetch,
) -> Result<FetchAnswer, Error> {
    let connection = inner.cluster.broker(broker, purpose).await?;
    ask_by(inner, &connection, call).await
}

/// The same by this connection.
pub(super) async fn ask_by(
    inner: &ConsumerInner,
    connection: &Connection,
    call: &Fetch,
) -> Result<FetchAnswer, Error> {
    let limit = inner.settings.request_timeout + call.max_wait;
    connection.call(call, limit).await
}

/// Waits for the loop to be told of something, or for this time.
pub(super) async fn wait(wake: &Notify, until: Option<Instant>) {
    match until {
        Some(until) => tokio::select! {
            () = wake.notified() => {}
            () = sleep_until(until.into()) => {}
        },
        None => wake.notified().await,
    }
}
