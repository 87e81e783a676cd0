//! What a group's member is told when its partitions come and go.

use std::pin::Pin;

use super::ConsumerHandle;
use crate::machine::group::Loss;
use crate::types::TopicPartition;

pub use crate::types::LostReason;

/// What a callback of [`RebalanceListener`] returns: `Box::pin(async move { ... })`.
pub type ListenerFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Hears which partitions a group's member is given and which it gives up; set by
/// [`ConsumerBuilder::listener`](crate::ConsumerBuilder::listener).
///
/// The member's rebalance waits until a callback has returned, while heartbeats go on; no callback runs at the same
/// time as another one of the same consumer. `partitions` is never empty. Each callback does nothing unless it is
/// overridden. Kafka: `ConsumerRebalanceListener`.
///
/// ```
/// use ottla::{ConsumerHandle, ListenerFuture, RebalanceListener, TopicPartition};
///
/// struct Tells;
///
/// impl RebalanceListener for Tells {
///     fn assigned<'a>(
///         &'a self,
///         _consumer: &'a ConsumerHandle,
///         partitions: &'a [TopicPartition],
///     ) -> ListenerFuture<'a> {
///         Box::pin(async move { println!("reading {partitions:?} from now on") })
///     }
/// }
/// ```
pub trait RebalanceListener: Send + Sync + 'static {
    /// `partitions` are this member's from now on, besides those that it kept; none of their records was handed out
    /// yet, so that this is the place to seek.
    fn assigned<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> ListenerFuture<'a> {
        let _ = (consumer, partitions);
        nothing()
    }

    /// `partitions` go to another member, or the consumer is being closed. They are still this member's: what is
    /// committed here counts. No record of theirs is handed out any more.
    fn revoked<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> ListenerFuture<'a> {
        let _ = (consumer, partitions);
        nothing()
    }

    /// `partitions` are not this member's any more, without notice: another member may be reading them already, and
    /// offsets can no longer be committed. So too when the group refuses the last automatic commit of partitions that
    /// were to be revoked.
    fn lost<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
        reason: LostReason,
    ) -> ListenerFuture<'a> {
        let _ = (consumer, partitions, reason);
        nothing()
    }
}

fn nothing() -> ListenerFuture<'static> {
    Box::pin(std::future::ready(()))
}

impl From<Loss> for LostReason {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Expired => Self::Expired,
            Loss::LeftBehind => Self::LeftBehind,
            Loss::Fenced => Self::Fenced,
            Loss::PollInterval => Self::PollInterval,
            Loss::Refused => Self::Refused,
        }
    }
}
