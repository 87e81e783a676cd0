//! Asks one server after the other: the first good answer counts, and a slow server does not hold up the next.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::inner::ClusterInner;
use crate::error::Error;
use crate::machine::interest::Interest;
use crate::net::{Connection, Purpose};
use crate::types::Address;

/// How long a server may take before the next one is asked too.
const PATIENCE: Duration = Duration::from_secs(2);

/// Each server that was asked, with its error.
pub(super) type Failures = Vec<(Address, Error)>;

/// The first good answer of `servers`, asked in this order.
pub(super) async fn first<T, F>(
    servers: Vec<Address>,
    ask: impl Fn(Address) -> F,
) -> Result<T, Failures>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut servers = servers.into_iter();
    let mut asked = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        if let Some(server) = servers.next() {
            let answer = ask(server.clone());
            asked.spawn(async move { (server, answer.await) });
        }
        let patience = if servers.len() == 0 {
            Duration::MAX
        } else {
            PATIENCE
        };
        match timeout(patience, asked.join_next()).await {
            Ok(Some(Ok((_, Ok(answer))))) => return Ok(answer),
            Ok(Some(Ok((server, Err(error))))) => failures.push((server, error)),
            // The runtime is being shut down.
            Ok(Some(Err(_))) => {}
            Ok(None) => return Err(failures),
            Err(_) => {}
        }
    }
}

/// The known brokers, those first that are likely to answer soon.
pub(super) fn known(inner: &ClusterInner, purpose: Purpose) -> Vec<Address> {
    let topology = inner.topology();
    let mut all: Vec<(u8, u32, Address)> = topology
        .brokers
        .values()
        .map(|address| {
            (
                rank(inner, address, purpose),
                fastrand::u32(..),
                address.clone(),
            )
        })
        .collect();
    all.sort_by_key(|(rank, random, _)| (*rank, *random));
    all.into_iter().map(|(_, _, address)| address).collect()
}

fn rank(inner: &ClusterInner, address: &Address, purpose: Purpose) -> u8 {
    match inner.pool.live(address, purpose) {
        Some(connection) if connection.in_flight() == 0 => 0,
        // One that owes an answer may be stuck.
        Some(_) => 3,
        None if inner.pool.is_backing_off(address) => 4,
        // It was reached for something else.
        None if inner.pool.live(address, Purpose::Control).is_some() => 1,
        None => 2,
    }
}

/// A connection to some server: a known broker, or a bootstrap server when none is left.
pub(super) async fn any(inner: &Arc<ClusterInner>, purpose: Purpose) -> Result<Connection, Error> {
    let connect = |address: Address| {
        let pool = inner.pool.clone();
        async move { pool.connection(&address, purpose).await }
    };
    let known = known(inner, purpose);
    let likely = known.first().and_then(|at| inner.pool.live(at, purpose));
    if let Some(connection) = likely {
        return Ok(connection);
    }
    let mut failures = match first(known, connect).await {
        Ok(connection) => return Ok(connection),
        Err(failures) => failures,
    };
    if inner.settings.rebootstrap || failures.is_empty() {
        match first(inner.settings.bootstrap.clone(), connect).await {
            Ok(connection) => return Ok(connection),
            Err(more) => failures.extend(more),
        }
    }
    inner.interest(Interest::request_all);
    Err(summary(failures))
}

/// One error for all; a server that is no Kafka, or refuses the login, explains the most.
pub(super) fn summary(failures: Failures) -> Error {
    let special = |error: &Error| {
        matches!(
            error,
            Error::NotKafka { .. }
                | Error::Closed { .. }
                | Error::RuntimeEnded { .. }
                | Error::Authentication { refused: true, .. }
                | Error::Tls { refused: true, .. }
        )
    };
    if let Some((_, error)) = failures.iter().find(|(_, error)| special(error)) {
        return error.clone();
    }
    let mut lines: Vec<String> = Vec::new();
    for (address, error) in failures {
        let text = error.to_string();
        let line = if text.contains(&address.to_string()) {
            text
        } else {
            format!("{address}: {text}")
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Error::Bootstrap {
        attempts: lines.join("; ").into(),
    }
}
