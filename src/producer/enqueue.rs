//! The future that hands a record over: in place, without a copy, when nothing has to be waited for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use super::outcome::Delivery;
use super::shared::Shared;
use crate::error::Result;
use crate::record::Record;

/// Hands a record over when awaited; made by [`Producer::enqueue`](crate::Producer::enqueue).
#[must_use = "nothing is sent until the future is awaited"]
pub struct Enqueue<'a> {
    shared: &'a Arc<Shared>,
    step: Step<'a>,
}

enum Step<'a> {
    Record { record: Record<'a>, yielded: bool },
    Waiting(Pin<Box<dyn Future<Output = Result<Delivery>> + Send + 'a>>),
    Done,
}

impl<'a> Enqueue<'a> {
    #[inline]
    pub(crate) fn new(shared: &'a Arc<Shared>, record: Record<'a>) -> Self {
        Self {
            shared,
            step: Step::Record {
                record,
                yielded: false,
            },
        }
    }
}

impl Future for Enqueue<'_> {
    type Output = Result<Delivery>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Step::Record { record, yielded } = &mut this.step {
            // A sender has work: on a runtime with one thread it would otherwise never run.
            if this.shared.yield_due.load(Ordering::Relaxed) && !*yielded {
                this.shared.yield_due.store(false, Ordering::Relaxed);
                *yielded = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.shared.accept(record, None) {
                Ok(delivery) => {
                    this.step = Step::Done;
                    return Poll::Ready(Ok(delivery));
                }
                Err(refused) => {
                    if let Step::Record { record, .. } =
                        std::mem::replace(&mut this.step, Step::Done)
                    {
                        let shared = this.shared;
                        this.step = Step::Waiting(Box::pin(async move {
                            shared.accept_slowly(&record, refused).await
                        }));
                    }
                }
            }
        }
        match &mut this.step {
            Step::Waiting(waiting) => {
                let accepted = ready!(waiting.as_mut().poll(cx));
                this.step = Step::Done;
                Poll::Ready(accepted)
            }
            // As a fused future would: the record was handed over once and is not again.
            Step::Record { .. } | Step::Done => Poll::Pending,
        }
    }
}

impl fmt::Debug for Enqueue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue").finish_non_exhaustive()
    }
}
