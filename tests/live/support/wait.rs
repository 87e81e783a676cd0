//! Waiting for conditions, never for a while.

use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use libtest_mimic::Failed;
use ottla::Producer;
use tokio::time::{Instant, sleep, timeout};

/// Waits until `holds`; fails after 20 s.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Failed> {
    eventually(what, async || holds()).await
}

/// As `until`, of something that has to be asked for.
pub(crate) async fn eventually(
    what: &str,
    mut holds: impl AsyncFnMut() -> bool,
) -> Result<(), Failed> {
    const LIMIT: Duration = Duration::from_secs(20);
    let end = Instant::now() + LIMIT;
    while !holds().await {
        if Instant::now() > end {
            return Err(format!("{what}: not so after {LIMIT:?}").into());
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// What the future gives, which it must do within `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = T>,
) -> Result<T, Failed> {
    match timeout(limit, future).await {
        Ok(output) => Ok(output),
        Err(_) => Err(format!("{what}: not over after {limit:?}").into()),
    }
}

/// Waits until so many requests are in flight; an answered one counts until all its records have been told.
pub(crate) async fn in_flight(producer: &Producer, requests: usize) -> Result<(), Failed> {
    let what = format!("{requests} requests in flight");
    let now = || {
        producer
            .metrics()
            .brokers
            .values()
            .map(|broker| broker.in_flight)
            .sum::<usize>()
    };
    until(&what, || now() == requests).await
}

/// Whether every thread of the broker with its files in `dir` is stopped.
pub(crate) fn has_stopped(dir: &Path) -> bool {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let dir = dir.display().to_string();
    let is_broker = |process: &Path| {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        command.contains("kafka.Kafka") && command.contains(&dir)
    };
    // The state stands behind the name, which is in brackets.
    let is_stopped = |thread: &Path| {
        let stat = fs::read_to_string(thread.join("stat")).unwrap_or_default();
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('T'))
    };
    entries(Path::new("/proc"))
        .filter(|process| is_broker(&process.path()))
        .all(|process| {
            entries(&process.path().join("task")).all(|thread| is_stopped(&thread.path()))
        })
}

/// Polls a future once and drops it.
pub(crate) async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Milliseconds since 1970.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
