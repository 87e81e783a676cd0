//! What a membership needs of the consumer whose partitions it brings and takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::consumer::offsets::{Commit, Commits};
use crate::error::Error;
use crate::machine::group::Loss;
use crate::types::{TopicName, TopicPartition};

/// What the application's listener is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum News {
    Assigned,
    Revoked,
    Lost(Loss),
}

/// A listener's work.
pub(in crate::consumer) type Listening<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The consumer.
pub(in crate::consumer) trait Host: Send + Sync + 'static {
    /// The topics subscribed to.
    fn subscription(&self) -> watch::Receiver<Arc<[TopicName]>>;

    /// Adds partitions that are not fetched yet.
    fn hold(&self, partitions: &[TopicPartition]);

    /// Lets partitions be fetched.
    fn begin(&self, partitions: &[TopicPartition]);

    /// Hands out nothing at all, or again: buffers and positions stay as they are.
    fn withhold(&self, withheld: bool);

    /// Hands out nothing more of these.
    fn stop(&self, partitions: &[TopicPartition]);

    /// Waits until the application is done with what it was handed of these; `false` at the deadline.
    fn settled(
        &self,
        partitions: &[TopicPartition],
        until: Instant,
    ) -> impl Future<Output = bool> + Send;

    /// Takes these away, which may come back with the next assignment and are paused then as they were.
    fn give_up(&self, partitions: &[TopicPartition]);

    /// What is given up does not come back any more.
    fn rest(&self);

    /// Takes these away.
    fn remove(&self, partitions: &[TopicPartition]);

    /// What the application is done with and is not committed, of these partitions or of all.
    fn committable(&self, partitions: Option<&[TopicPartition]>) -> Commits;

    /// These offsets are committed.
    fn committed(&self, offsets: &[(TopicPartition, Commit)]);

    /// Offsets were refused.
    fn refused(&self, error: &Error);

    /// How often the application asked for records, and whether it is waiting for some now.
    fn calls(&self) -> (u64, bool);

    /// Lets a call that waits show that it is awaited: it counts itself again.
    fn nudge(&self);

    /// These were lost: for an application without a listener that is told of it.
    fn lost(&self, partitions: &[TopicPartition], why: Loss);

    /// An error for the application's next call.
    fn fail(&self, error: Error);

    /// The error of each of the application's calls from now on.
    fn end(&self, error: Error);

    /// The group was left: nothing more is asked of this.
    fn left(&self);

    /// Tells the listener.
    fn tell<'a>(&'a self, news: News, partitions: &'a [TopicPartition]) -> Listening<'a>;
}
