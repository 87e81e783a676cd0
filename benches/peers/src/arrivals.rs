//! From record sent to record handed out: the arrivals that a client's consumer reports, and their timing.

use crate::peer::Stopwatch;
use anyhow::{Context, ensure};
use peers::figures::Outcome;
use peers::work::Work;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Between two records, so that each finds the cluster and both clients idle.
const PAUSE: Duration = Duration::from_millis(2);

/// Where a consumer's task says that it was handed a record; it ends when that fails.
pub(crate) struct Reporter(mpsc::UnboundedSender<(Instant, i64)>);

impl Reporter {
    /// Right now, the record of this offset.
    pub(crate) fn arrived(&self, offset: i64) -> anyhow::Result<()> {
        self.0
            .send((Instant::now(), offset))
            .ok()
            .context("nobody waits for records any more")
    }
}

/// The records that arrive in a consumer's task.
pub(crate) struct Arrivals {
    task: JoinHandle<anyhow::Result<()>>,
    times: mpsc::UnboundedReceiver<(Instant, i64)>,
    offset: i64,
    stopwatch: Stopwatch,
}

impl Arrivals {
    /// Starts the consumer's task.
    pub(crate) fn new<F>(work: &Work, consumer: impl FnOnce(Reporter) -> F) -> anyhow::Result<Self>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (reporter, times) = mpsc::unbounded_channel();
        Ok(Arrivals {
            task: tokio::spawn(consumer(Reporter(reporter))),
            times,
            offset: 0,
            stopwatch: Stopwatch::new(work)?,
        })
    }

    /// Waits until all is idle; the time at which the next record is to be sent.
    pub(crate) async fn start(&self) -> Instant {
        tokio::time::sleep(PAUSE).await;
        Instant::now()
    }

    /// Waits for the record that was sent at `start`, the only one under way.
    pub(crate) async fn next(&mut self, start: Instant) -> anyhow::Result<()> {
        let Some((time, offset)) = self.times.recv().await else {
            // It ended although somebody waits: by an error.
            (&mut self.task).await??;
            anyhow::bail!("the consumer ended");
        };
        ensure!(
            offset == self.offset,
            "offset {offset} came instead of {}",
            self.offset
        );
        self.offset += 1;
        self.stopwatch.took(time - start)
    }

    pub(crate) fn outcome(self) -> Outcome {
        self.task.abort();
        self.stopwatch.outcome()
    }
}
