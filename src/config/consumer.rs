//! A consumer's settings: raw as they are set, checked together with its client's in the end.

use std::sync::Arc;
use std::time::Duration;

use super::client::retry_backoff;
use super::properties as p;
use super::settings::{Assignor, ClientSettings, ConsumerSettings, IsolationLevel, OffsetReset};
use crate::error::{Error, Result};

const DEFAULT_FETCH_MIN_BYTES: usize = 1;
const DEFAULT_FETCH_MAX_BYTES: usize = 52_428_800;
const DEFAULT_FETCH_MAX_WAIT: Duration = Duration::from_millis(500);
const DEFAULT_PARTITION_FETCH_BYTES: usize = 1_048_576;
const DEFAULT_BUFFER_MEMORY: usize = 67_108_864;
const DEFAULT_MAX_POLL_RECORDS: usize = 500;
const DEFAULT_AUTO_COMMIT_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_SESSION_TIMEOUT: Duration = Duration::from_secs(45);
const DEFAULT_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
const DEFAULT_MAX_POLL_INTERVAL: Duration = Duration::from_secs(300);
const DEFAULT_ASSIGNORS: [Assignor; 2] = [Assignor::Range, Assignor::CooperativeSticky];
const DEFAULT_API_TIMEOUT: Duration = Duration::from_secs(60);

/// What was set, by whichever way; `None` is the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConsumerOptions {
    pub(crate) fetch_min_bytes: Option<usize>,
    pub(crate) fetch_max_bytes: Option<usize>,
    pub(crate) fetch_max_wait: Option<Duration>,
    pub(crate) partition_fetch_bytes: Option<usize>,
    pub(crate) buffer_memory: Option<usize>,
    pub(crate) max_poll_records: Option<usize>,
    pub(crate) offset_reset: Option<OffsetReset>,
    pub(crate) isolation: Option<IsolationLevel>,
    pub(crate) check_crcs: Option<bool>,
    pub(crate) rack: Option<String>,
    pub(crate) auto_create_topics: Option<bool>,
    pub(crate) fail_on_missing_topics: Option<bool>,
    pub(crate) auto_commit: Option<bool>,
    pub(crate) auto_commit_interval: Option<Duration>,
    pub(crate) instance_id: Option<String>,
    pub(crate) session_timeout: Option<Duration>,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) max_poll_interval: Option<Duration>,
    pub(crate) assignors: Option<Vec<Assignor>>,
    pub(crate) api_timeout: Option<Duration>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) retry_backoff: Option<Duration>,
    pub(crate) retry_backoff_max: Option<Duration>,
}

impl ConsumerOptions {
    /// The settings of a consumer of a client with the settings `client`; without a group nothing is committed by
    /// itself.
    pub(crate) fn check(
        &self,
        client: &ClientSettings,
        has_group: bool,
    ) -> Result<ConsumerSettings> {
        let settings = ConsumerSettings {
            fetch_min_bytes: p::FETCH_MIN.pick(self.fetch_min_bytes, DEFAULT_FETCH_MIN_BYTES)?,
            fetch_max_bytes: p::FETCH_MAX.pick(self.fetch_max_bytes, DEFAULT_FETCH_MAX_BYTES)?,
            fetch_max_wait: p::FETCH_MAX_WAIT.pick(self.fetch_max_wait, DEFAULT_FETCH_MAX_WAIT)?,
            partition_fetch_bytes: p::PARTITION_FETCH
                .pick(self.partition_fetch_bytes, DEFAULT_PARTITION_FETCH_BYTES)?,
            buffer_memory: p::FETCH_BUFFER.pick(self.buffer_memory, DEFAULT_BUFFER_MEMORY)?,
            max_poll_records: p::MAX_POLL_RECORDS
                .pick(self.max_poll_records, DEFAULT_MAX_POLL_RECORDS)?,
            offset_reset: self.offset_reset.unwrap_or_default(),
            isolation: self.isolation.unwrap_or_default(),
            check_crcs: self.check_crcs.unwrap_or(true),
            rack: self.rack()?,
            auto_create_topics: self.auto_create_topics.unwrap_or(true),
            fail_on_missing_topics: self.fail_on_missing_topics.unwrap_or(false),
            auto_commit: self.auto_commit()?.filter(|_| has_group),
            instance_id: self.instance_id()?,
            session_timeout: p::SESSION_TIMEOUT
                .pick(self.session_timeout, DEFAULT_SESSION_TIMEOUT)?,
            heartbeat_interval: p::HEARTBEAT_INTERVAL
                .pick(self.heartbeat_interval, DEFAULT_HEARTBEAT_INTERVAL)?,
            max_poll_interval: p::MAX_POLL_INTERVAL
                .pick(self.max_poll_interval, DEFAULT_MAX_POLL_INTERVAL)?,
            assignors: p::ASSIGNORS
                .check(self.assignors.as_deref().unwrap_or(&DEFAULT_ASSIGNORS))?,
            api_timeout: p::API_TIMEOUT.pick(self.api_timeout, DEFAULT_API_TIMEOUT)?,
            request_timeout: p::REQUEST_TIMEOUT
                .pick(self.request_timeout, client.request_timeout)?,
            retry_backoff: retry_backoff(
                self.retry_backoff,
                self.retry_backoff_max,
                client.retry_backoff,
            )?,
        };
        check_times(&settings)?;
        check_memory(&settings)?;
        let room = room(client.max_response_bytes);
        for (bound, given) in [
            (p::FETCH_MAX, self.fetch_max_bytes),
            (p::PARTITION_FETCH, self.partition_fetch_bytes),
        ] {
            if let Some(given) = given.filter(|given| *given > room) {
                let (name, most) = (p::RECEIVE_MAX.name, client.max_response_bytes);
                return Err(bound.refuse(format!(
                    "{given} leaves no room in {name} = {most}: lower it to {room}, or raise {name}"
                )));
            }
        }
        // Those that nobody has set are as large as fits.
        Ok(ConsumerSettings {
            fetch_max_bytes: settings.fetch_max_bytes.min(room),
            partition_fetch_bytes: settings.partition_fetch_bytes.min(room),
            ..settings
        })
    }

    /// An empty name is Java's default, and stands for none.
    fn rack(&self) -> Result<Option<Arc<str>>> {
        let rack = p::RACK.parse(self.rack.as_deref().unwrap_or_default())?;
        Ok(Some(rack.into()).filter(|rack: &Arc<str>| !rack.is_empty()))
    }

    fn instance_id(&self) -> Result<Option<Arc<str>>> {
        let id = self.instance_id.as_deref();
        let id = id.map(|id| p::INSTANCE_ID.parse(id)).transpose()?;
        Ok(id.map(Arc::from))
    }

    fn auto_commit(&self) -> Result<Option<Duration>> {
        let interval = p::AUTO_COMMIT_INTERVAL
            .pick(self.auto_commit_interval, DEFAULT_AUTO_COMMIT_INTERVAL)?;
        Ok(self.auto_commit.unwrap_or(true).then_some(interval))
    }
}

/// Whether a live member is heard in time, and an answer that the broker holds back arrives in time.
fn check_times(settings: &ConsumerSettings) -> Result<()> {
    let heartbeat = (p::HEARTBEAT_INTERVAL.name, settings.heartbeat_interval);
    let session = (p::SESSION_TIMEOUT.name, settings.session_timeout);
    let wait = (p::FETCH_MAX_WAIT.name, settings.fetch_max_wait);
    let request = (p::REQUEST_TIMEOUT.name, settings.request_timeout);
    for ((name, time), (limit_name, limit)) in [(heartbeat, session), (wait, request)] {
        if time >= limit {
            let (time, limit) = (time.as_millis(), limit.as_millis());
            let reason = format!(
                "{time} is not below {limit_name} = {limit}: lower it, or raise {limit_name}"
            );
            return Err(Error::config(name, reason));
        }
    }
    Ok(())
}

/// What records may take of the largest answer: the rest is for what is said about them.
fn room(max_response_bytes: usize) -> usize {
    max_response_bytes - (max_response_bytes / 8).min(1 << 20)
}

/// Whether one partition's share of an answer fits into the buffer.
fn check_memory(settings: &ConsumerSettings) -> Result<()> {
    let (memory, bytes) = (settings.buffer_memory, settings.partition_fetch_bytes);
    if bytes <= memory {
        return Ok(());
    }
    let name = p::PARTITION_FETCH.name;
    Err(p::FETCH_BUFFER.refuse(format!(
        "{memory} is below {name} = {bytes}: raise it, or lower {name}"
    )))
}
