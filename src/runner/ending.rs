//! A runner as its owner has it: what ends it, and what became of its records.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::handle::RunnerHandle;
use super::metrics::Account;
use crate::consumer::Consumer;
use crate::error::Error;
use crate::types::after;

/// How long the last commit and leaving the group may take, besides the handlers' own time.
const LEAVING: Duration = Duration::from_secs(10);

/// Calls a handler with the records of a group's member: see the [module](super).
///
/// Everything but its end can be done from other tasks too, by a [`RunnerHandle`], which this dereferences to.
///
/// [`shutdown`](Self::shutdown) ends it in order. Dropping it lets handlers that are in flight run on, begins no more of
/// them, and leaves the group in the background with a commit of what is finished by then.
pub struct Runner {
    handle: RunnerHandle,
    reader: Option<JoinHandle<Consumer>>,
}

impl Runner {
    pub(super) fn new(handle: RunnerHandle, reader: JoinHandle<Consumer>) -> Self {
        Self {
            handle,
            reader: Some(reader),
        }
    }

    /// A handle to steer this runner from other tasks.
    #[must_use]
    pub fn handle(&self) -> RunnerHandle {
        self.handle.clone()
    }

    /// Waits until the runner has ended by itself, and tells why: [`Error::Handler`] for a record that was not to be gone
    /// past, an error that ends its consumer ([`Error::ends_consumer`]) or its reading (damaged records, an offset that is
    /// gone with `auto.offset.reset=none`), or one that a dead letter could not be sent for.
    ///
    /// It has begun no handler since; call [`shutdown`](Self::shutdown) all the same, which lets others have its partitions
    /// at once: without that they do after `max.poll.interval.ms`.
    pub async fn failed(&self) -> Error {
        let shared = self.handle.shared();
        let mut failed = shared.failed.subscribe();
        // The sender lives as long as `self`.
        let _ = failed.wait_for(|failed| *failed).await;
        let failure = shared.lock().failure.clone();
        failure.unwrap_or(Error::Closed { what: "runner" })
    }

    /// Begins no more handlers, waits for those in flight for up to `deadline`, commits what is finished, and leaves the
    /// group; tells what became of the records.
    ///
    /// Handlers that are in flight when the deadline is over are told by their [`Context`](super::Context), and count as left. The last
    /// commit and leaving take up to 10 s more where the brokers do not answer.
    pub async fn shutdown(mut self, deadline: Duration) -> Account {
        let until = after(Instant::now().into_std(), deadline);
        let shared = self.handle.shared().clone();
        shared.close();
        let resting = shared.resting(|state| state.has_handlers());
        // What is still in flight then is left.
        let _ = timeout_at(until.into(), resting).await;
        shared
            .lock()
            .all()
            .for_each(|partition| partition.assignment.lose());
        let closed = match self.reader.take() {
            Some(reader) => match reader.await {
                Ok(consumer) => consumer.close(LEAVING).await,
                Err(_) => Err(Error::RuntimeEnded { what: "consumer" }),
            },
            None => Ok(()),
        };
        let state = shared.lock();
        let counts = &state.counts;
        Account {
            handled: counts.handled,
            retries: counts.retries,
            dead_letters: counts.dead_letters,
            skipped: counts.skipped,
            left: state.lanes.waiting() + state.running,
            error: state.failure.clone().or(closed.err()),
        }
    }
}

impl Deref for Runner {
    type Target = RunnerHandle;

    fn deref(&self) -> &RunnerHandle {
        &self.handle
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.handle.shared().close();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
