//! A consumer's records as a [`Stream`].

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::collect::give_way;
use super::{Consumer, ConsumerRecord};
use crate::error::Result;

/// Records as they come; returned by [`Consumer::stream`].
///
/// Ends when the consumer is [stopped](super::ConsumerHandle::stop). An error is an item; the stream goes on after it.
/// Dropping it loses nothing.
pub struct RecordStream<'a>(At<'a>);

type Received<'a> = (&'a mut Consumer, Result<Option<ConsumerRecord>>);

enum At<'a> {
    Idle(&'a mut Consumer),
    Waiting(Pin<Box<dyn Future<Output = Received<'a>> + Send + 'a>>),
    /// Only while the next state is being made.
    Between,
}

impl Consumer {
    /// The records as a [`Stream`] of the crate `futures-core`, for its combinators: each as by [`recv`](Self::recv).
    pub fn stream(&mut self) -> RecordStream<'_> {
        RecordStream(At::Idle(self))
    }
}

impl Stream for RecordStream<'_> {
    type Item = Result<ConsumerRecord>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(pin!(give_way()).poll(context));
        loop {
            match std::mem::replace(&mut self.0, At::Between) {
                At::Idle(consumer) => match consumer.collector.take_one() {
                    // What is there needs no future, and so no allocation.
                    Ok(None) => {
                        self.0 = At::Waiting(Box::pin(async move {
                            let received = consumer.recv().await;
                            (consumer, received)
                        }));
                    }
                    taken => {
                        self.0 = At::Idle(consumer);
                        return Poll::Ready(taken.transpose());
                    }
                },
                At::Waiting(mut waiting) => match waiting.as_mut().poll(context) {
                    Poll::Ready((consumer, received)) => {
                        self.0 = At::Idle(consumer);
                        return Poll::Ready(received.transpose());
                    }
                    Poll::Pending => {
                        self.0 = At::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                At::Between => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for RecordStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream").finish_non_exhaustive()
    }
}
