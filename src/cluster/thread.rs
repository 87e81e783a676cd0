//! The thread on which groups' members live: what an application does to its own runtime's threads does not stop their
//! heartbeats.
//!
//! There is one for the process. It begins with the first member and ends with the last client that had one.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tracing::warn;

/// A runtime for members; its thread lives for as long as there is one of these.
#[derive(Clone)]
pub(crate) struct Home {
    handle: Handle,
    _thread: Option<Arc<Thread>>,
}

/// Keeps the thread alive.
struct Thread {
    handle: Handle,
    /// Dropped, it ends the thread.
    _end: oneshot::Sender<()>,
}

static THREAD: Mutex<Weak<Thread>> = Mutex::new(Weak::new());

impl Home {
    /// On the thread. Where the system gives none, the runtime that this is called on has to do.
    pub(crate) fn new() -> Self {
        let mut shared = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = shared.upgrade() {
            return Self::on(thread);
        }
        match Thread::start() {
            Ok(thread) => {
                let thread = Arc::new(thread);
                *shared = Arc::downgrade(&thread);
                Self::on(thread)
            }
            Err(error) => {
                warn!(%error, "no thread for heartbeats: a handler that blocks may cost its member the group");
                Self::here()
            }
        }
    }

    /// On the runtime that this is called on.
    pub(crate) fn here() -> Self {
        Self {
            handle: Handle::current(),
            _thread: None,
        }
    }

    fn on(thread: Arc<Thread>) -> Self {
        Self {
            handle: thread.handle.clone(),
            _thread: Some(thread),
        }
    }

    /// Runs a task there, which keeps the thread alive.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let home = self.clone();
        self.handle.spawn(async move {
            task.await;
            drop(home);
        });
    }
}

impl Thread {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let run = move || {
            // Nothing is ever sent: the sender is dropped.
            let _ = runtime.block_on(ended);
            // A name that is still being resolved holds nobody up.
            runtime.shutdown_background();
        };
        thread::Builder::new()
            .name("ottla-groups".into())
            .spawn(run)?;
        Ok(Self { handle, _end: end })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_thread_lives_for_as_long_as_somebody_has_it_and_begins_anew_afterwards() {
        for _ in 0..2 {
            let home = Home::new();
            let (sender, receiver) = std::sync::mpsc::channel();
            home.spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let _ = sender.send(thread::current().name().map(str::to_owned));
            });
            drop(home);
            let name = receiver.recv().unwrap();
            assert_eq!(name.as_deref(), Some("ottla-groups"), "the task keeps it");
        }
    }

    #[tokio::test]
    async fn what_lives_there_is_dropped_with_the_last_that_had_it() {
        struct Told(Option<oneshot::Sender<()>>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.take().map(|told| told.send(()));
            }
        }
        let thread = Thread::start().unwrap();
        let (sender, receiver) = oneshot::channel();
        let told = Told(Some(sender));
        thread.handle.spawn(async move {
            let _told = told;
            std::future::pending::<()>().await;
        });
        drop(thread);
        receiver.await.unwrap();
    }
}
