//! What a group's member is told when its partitions come and go.

use std::fmt;
use std::pin::Pin;

use super::ConsumerHandle;
use crate::machine::group::Loss;
use crate::types::TopicPartition;

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

/// Why a member lost its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// The group forgot the member: no heartbeat arrived within `session.timeout.ms`, the member took longer than
    /// `max.poll.interval.ms` to join again, or an administrator removed it. Kafka: `UNKNOWN_MEMBER_ID`.
    Expired,
    /// The group has gone on without the member. Kafka: `ILLEGAL_GENERATION`.
    LeftBehind,
    /// Another member has taken the same `group.instance.id`. Kafka: `FENCED_INSTANCE_ID`.
    Fenced,
    /// The application did not call `recv` or `poll` within `max.poll.interval.ms`; the member left its group.
    PollInterval,
    /// The group refused the member for good, such as for a missing permission.
    Refused,
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

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the group forgot the member",
            Self::LeftBehind => "the group went on without the member",
            Self::Fenced => "another member has taken its group.instance.id",
            Self::PollInterval => "max.poll.interval.ms passed without a call of recv or poll",
            Self::Refused => "the group refused the member",
        })
    }
}
