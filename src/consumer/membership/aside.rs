//! Tasks beside the driver, which is told of their outcome.

use tokio::sync::mpsc;

use super::{Driver, Host, Input, auto_commit};

/// Tells the driver what became of something: also when the runtime that it was done on has ended.
pub(super) struct Reply {
    inbox: mpsc::UnboundedSender<Input>,
    otherwise: Option<Input>,
}

impl Reply {
    pub(super) fn new(inbox: &mpsc::UnboundedSender<Input>, otherwise: Input) -> Self {
        Self {
            inbox: inbox.clone(),
            otherwise: Some(otherwise),
        }
    }

    pub(super) fn send(mut self, input: Input) {
        self.otherwise = Some(input);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(input) = self.otherwise.take() {
            // Nobody listens any more once the member has left.
            let _ = self.inbox.send(input);
        }
    }
}

impl<H: Host> Driver<H> {
    /// Does something aside, and is told of its outcome.
    pub(super) fn aside(&mut self, task: impl Future<Output = Input> + Send + 'static) {
        let inbox = self.inbox.clone();
        self.tasks.spawn(async move {
            // Nobody listens any more once the member has left.
            let _ = inbox.send(task.await);
        });
    }

    /// Starts what runs on the application's runtime all the time, and notices its end.
    pub(super) fn watch_application(&mut self) {
        let reply = Reply::new(&self.inbox, Input::Orphaned);
        let commits = (self.hands.clone(), self.settings.auto_commit);
        let lasting = async move {
            // Told by being dropped with the runtime.
            let _reply = reply;
            match commits {
                (hands, Some(every)) => auto_commit(hands, every).await,
                (_, None) => std::future::pending().await,
            }
        };
        self.tasks.spawn_on(lasting, &self.application);
    }
}
