//! The task that keeps the snapshot fresh: on request, by age, and from the bootstrap servers when all brokers are gone.

use std::sync::Arc;

use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use super::ask::{self, Failures};
use super::shared::Shared;
use crate::error::{Error, ErrorCode};
use crate::net::Purpose;
use crate::types::{Address, TopicName};
use crate::wire::{ApiKey, MetadataAnswer, MetadataCall, MetadataTopics};

/// Ends the cluster with its task, so that nobody waits for a refresh that never comes.
pub(super) struct Guard(pub(super) Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The first snapshot.
pub(super) async fn bootstrap(shared: &Arc<Shared>) -> Result<(), Error> {
    let answer = ask(shared, shared.settings.bootstrap.clone(), &[], false).await;
    take(shared, &answer.map_err(ask::summary)?, &[])
}

/// Refreshes until the cluster is closed.
pub(super) async fn run(guard: Guard) {
    let shared = &guard.0;
    let settings = &shared.settings;
    let mut due = Instant::now() + settings.metadata_max_age;
    // Refreshes in a row that failed or left something out, and since when the former.
    let mut unfinished = 0u32;
    let mut failing: Option<Instant> = None;
    while shared.wanted(due).await {
        let serving = shared.begin();
        let began = Instant::now();
        let since = *failing.get_or_insert(began);
        let outcome = tokio::select! {
            outcome = refresh(shared, since) => outcome,
            () = closed(shared) => return,
        };
        let max = settings.metadata_max_age;
        match outcome {
            Ok(()) => {
                shared.succeeded(serving);
                failing = None;
                due = Instant::now() + max;
                let incomplete = shared.topology().is_incomplete();
                unfinished = if incomplete {
                    unfinished.saturating_add(1)
                } else {
                    0
                };
            }
            Err(error) => {
                unfinished = unfinished.saturating_add(1);
                debug!(failures = unfinished, %error, "metadata refresh failed");
                shared.failed(error);
            }
        }
        let delay = settings
            .retry_backoff
            .delay(unfinished.max(1), fastrand::f64());
        let next = Instant::now() + delay;
        if unfinished > 0 {
            due = due.min(next);
        }
        if !shared.pause(next).await {
            return;
        }
    }
}

async fn closed(shared: &Shared) {
    let mut changes = shared.changes();
    while changes.changed().await.is_ok() {}
}

/// One refresh.
///
/// A request makes either all of its topics that are missing or none: those that may be made are asked for by
/// themselves before all, where there are others.
async fn refresh(shared: &Arc<Shared>, failing_since: Instant) -> Result<(), Error> {
    let (topics, kept) = shared.interest();
    if kept.is_empty() {
        return pass(shared, failing_since, topics, true).await;
    }
    let known = shared.topology();
    let is_missing = |topic: &TopicName| {
        let known = known.topics.get(topic);
        !kept.contains(topic)
            && known.is_none_or(|t| t.error == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
    };
    let missing: Vec<_> = topics.iter().filter(|t| is_missing(t)).cloned().collect();
    if !missing.is_empty() {
        pass(shared, failing_since, missing, true).await?;
    }
    pass(shared, failing_since, topics, false).await
}

/// Asks for these topics at a known broker, else at a bootstrap server; `creates` those that are missing, where the
/// brokers allow that.
async fn pass(
    shared: &Arc<Shared>,
    failing_since: Instant,
    topics: Vec<TopicName>,
    creates: bool,
) -> Result<(), Error> {
    let settings = &shared.settings;
    let mut failures = Failures::new();
    let servers = ask::known(shared);
    if !servers.is_empty() {
        let asked = ask(shared, servers, &topics, creates);
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
            Ok(answer) => return take(shared, &answer, &topics),
            Err(more) => failures = more,
        }
        if !settings.rebootstrap {
            return Err(ask::summary(failures));
        }
        info!("no known broker is of use: asking the bootstrap servers");
    }
    match ask(shared, settings.bootstrap.clone(), &topics, creates).await {
        Ok(answer) => take(shared, &answer, &topics),
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

fn take(shared: &Shared, answer: &MetadataAnswer, asked: &[TopicName]) -> Result<(), Error> {
    let refused = |code| Error::broker(code, None, "metadata");
    answer.code.ok().map_err(refused)?;
    shared.update_with(|topology, interest| {
        // What nobody wants any more must not come back.
        let wanted = asked.iter().filter(|topic| interest.contains(*topic));
        Some(topology.merge(answer, &wanted.cloned().collect::<Vec<_>>()))
    });
    Ok(())
}

/// The first usable metadata that one of `servers` gives.
async fn ask(
    shared: &Arc<Shared>,
    servers: Vec<Address>,
    topics: &[TopicName],
    creates: bool,
) -> Result<MetadataAnswer, Failures> {
    let call = Arc::new(MetadataCall {
        topics: MetadataTopics::Names(topics.to_vec()),
        allow_auto_create: creates,
    });
    ask::first(servers, |address| {
        one(shared.clone(), address, call.clone())
    })
    .await
}

/// One server's metadata, within one request's time, connecting included.
async fn one(
    shared: Arc<Shared>,
    address: Address,
    call: Arc<MetadataCall>,
) -> Result<MetadataAnswer, Error> {
    let limit = shared.settings.request_timeout;
    let asking = async {
        let connection = shared.pool.connection(&address, Purpose::Control).await?;
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
