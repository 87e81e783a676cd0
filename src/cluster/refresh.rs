//! The task that keeps the snapshot fresh: as topics need it, by age, and from the bootstrap servers when all brokers are gone.

use std::sync::Arc;

use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::ask::{self, Failures};
use super::inner::ClusterInner;
use crate::error::{Error, ErrorCode};
use crate::machine::interest::Ask;
use crate::net::{Outage, Purpose};
use crate::types::{Address, TopicName};
use crate::wire::{ApiKey, MetadataAnswer, MetadataCall, MetadataTopics};

/// Ends the cluster with its task, so that nobody waits for a refresh that never comes.
pub(super) struct CloseOnDrop(pub(super) Arc<ClusterInner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(Error::RuntimeEnded { what: "client" });
    }
}

/// The first snapshot.
pub(super) async fn bootstrap(inner: &Arc<ClusterInner>) -> Result<(), Error> {
    let answer = ask(inner, inner.settings.bootstrap.clone(), &[], false).await;
    let answer = answer.map_err(ask::summary)?;
    check(&answer)?;
    inner.update(|topology| Some(topology.merge(&answer, &[])));
    Ok(())
}

/// Asks for what is wanted until the cluster is closed.
pub(super) async fn run(guard: CloseOnDrop) {
    let inner = &guard.0;
    let mut failing: Option<Instant> = None;
    let mut outage: Option<Outage> = None;
    while let Some(ask) = inner.next_ask().await {
        let since = *failing.get_or_insert_with(Instant::now);
        let outcome = tokio::select! {
            outcome = pass(inner, since, &ask) => outcome,
            () = closed(inner) => return,
        };
        match outcome {
            Ok(answer) => {
                failing = None;
                if let Some(ended) = outage.take() {
                    let after = ended.lasted(Instant::now());
                    info!(failures = ended.failures, ?after, "metadata is known again");
                }
                inner.answered(&ask, &answer);
            }
            Err(error) => {
                let now = Instant::now();
                let outage = outage.get_or_insert_with(|| Outage::new(now));
                if outage.failed(now) {
                    let failures = outage.failures;
                    warn!(failures, %error, "no metadata from any broker, asking again");
                } else {
                    debug!(failures = outage.failures, %error, "metadata refresh failed");
                }
                inner.failed(&ask, error);
            }
        }
    }
}

async fn closed(inner: &ClusterInner) {
    let mut changes = inner.changes();
    while changes.changed().await.is_ok() {}
}

/// Asks a known broker, else a bootstrap server.
async fn pass(
    inner: &Arc<ClusterInner>,
    failing_since: Instant,
    wanted: &Ask,
) -> Result<MetadataAnswer, Error> {
    let settings = &inner.settings;
    let (topics, creates) = (&wanted.names, wanted.creates);
    let mut failures = Failures::new();
    let servers = ask::known(inner, Purpose::Control);
    if !servers.is_empty() {
        let asked = ask(inner, servers, topics, creates);
        // KIP-1102: brokers that neither answer nor fail are given up after the trigger's time.
        let answer = if settings.rebootstrap {
            let give_up = failing_since + settings.rebootstrap_trigger;
            timeout_at(give_up, asked)
                .await
                .unwrap_or_else(|_| Err(Failures::new()))
        } else {
            asked.await
        };
        match answer {
            Ok(answer) if settings.rebootstrap && sends_away(&answer) => {}
            Ok(answer) => return check(&answer).map(|()| answer),
            Err(more) => failures = more,
        }
        if !settings.rebootstrap {
            return Err(ask::summary(failures));
        }
        info!("no known broker is of use: asking the bootstrap servers");
    }
    match ask(inner, settings.bootstrap.clone(), topics, creates).await {
        Ok(answer) => check(&answer).map(|()| answer),
        Err(more) => {
            failures.extend(more);
            Err(ask::summary(failures))
        }
    }
}

/// Whether the broker wants us to begin again at the bootstrap servers (KIP-1102).
fn sends_away(answer: &MetadataAnswer) -> bool {
    answer.code == ErrorCode::REBOOTSTRAP_REQUIRED
}

fn check(answer: &MetadataAnswer) -> Result<(), Error> {
    let refused = |code| Error::broker(code, None, "metadata");
    answer.code.ok().map_err(refused)
}

/// The first usable metadata that one of `servers` gives.
async fn ask(
    inner: &Arc<ClusterInner>,
    servers: Vec<Address>,
    topics: &[TopicName],
    creates: bool,
) -> Result<MetadataAnswer, Failures> {
    let call = Arc::new(MetadataCall {
        topics: MetadataTopics::Names(topics.to_vec()),
        allow_auto_create: creates,
        operations: false,
    });
    ask::first(servers, |address| one(inner.clone(), address, call.clone())).await
}

/// One server's metadata, within one request's time, connecting included.
async fn one(
    inner: Arc<ClusterInner>,
    address: Address,
    call: Arc<MetadataCall>,
) -> Result<MetadataAnswer, Error> {
    let limit = inner.settings.request_timeout;
    let asking = async {
        let connection = inner.pool.connection(&address, Purpose::Control).await?;
        connection.call(call.as_ref(), limit).await
    };
    let answer = timeout(limit, asking).await.unwrap_or_else(|_| {
        Err(Error::RequestTimeout {
            address: address.to_string().into(),
            request: ApiKey::Metadata.name(),
            timeout: limit,
        })
    })?;
    if sends_away(&answer) {
        return Ok(answer);
    }
    let context = || format!("metadata from {address}");
    answer
        .code
        .ok()
        .map_err(|code| Error::broker(code, None, context()))?;
    if answer.brokers.is_empty() {
        // A broker that is starting knows of nobody; what is known is better.
        let code = ErrorCode::BROKER_NOT_AVAILABLE;
        return Err(Error::broker(code, None, context()));
    }
    Ok(answer)
}
