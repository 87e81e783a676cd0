//! The future that hands a record over: in place, without a copy, when nothing has to be waited for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::accept::Refused;
use super::delivery::Delivery;
use super::inner::ProducerInner;
use super::wait::Wait;
use crate::error::Result;
use crate::record::Record;

/// Hands a record over when awaited; made by [`Producer::enqueue`](crate::Producer::enqueue).
#[must_use = "nothing is sent until the future is awaited"]
pub struct Enqueue<'a> {
    inner: &'a Arc<ProducerInner>,
    step: Step<'a>,
}

enum Step<'a> {
    Record {
        record: Record<'a>,
        yielded: bool,
    },
    /// For memory: in place too, for it may be many who wait.
    InLine {
        record: Record<'a>,
        wait: Wait<'a>,
        began: Instant,
    },
    Waiting(Pin<Box<dyn Future<Output = Result<Delivery>> + Send + 'a>>),
    Done,
}

impl<'a> Enqueue<'a> {
    #[inline]
    pub(crate) fn new(inner: &'a Arc<ProducerInner>, record: Record<'a>) -> Self {
        Self {
            inner,
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
            if this.inner.yield_due.load(Ordering::Relaxed) && !*yielded {
                this.inner.yield_due.store(false, Ordering::Relaxed);
                *yielded = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.inner.accept(record, None) {
                Ok(delivery) => {
                    this.step = Step::Done;
                    return Poll::Ready(Ok(delivery));
                }
                Err(refused) => this.refused(refused),
            }
        }
        this.poll_slowly(cx)
    }
}

impl<'a> Enqueue<'a> {
    /// Waits for what the record was refused for.
    #[cold]
    fn refused(&mut self, refused: Refused) {
        let inner = self.inner;
        self.step = match (std::mem::replace(&mut self.step, Step::Done), refused) {
            (Step::Record { record, .. }, Refused::Full(key, bytes)) => {
                let began = Instant::now();
                let wait = inner.wait(key, bytes, began);
                Step::InLine {
                    record,
                    wait,
                    began,
                }
            }
            (
                Step::InLine {
                    record,
                    mut wait,
                    began,
                },
                Refused::Full(key, _),
            ) => {
                wait.again(key);
                Step::InLine {
                    record,
                    wait,
                    began,
                }
            }
            (Step::Record { record, .. }, refused) => {
                let began = Instant::now();
                Step::Waiting(Box::pin(async move {
                    inner.accept_slowly(&record, refused, began).await
                }))
            }
            (Step::InLine { record, began, .. }, refused) => Step::Waiting(Box::pin(async move {
                inner.accept_slowly(&record, refused, began).await
            })),
            (other, _) => other,
        };
    }

    #[cold]
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<Result<Delivery>> {
        let inner = self.inner;
        loop {
            match &mut self.step {
                Step::InLine {
                    record,
                    wait,
                    began,
                } => {
                    let accepted = match ready!(wait.poll(cx, || inner.accumulator.rush())) {
                        Ok(()) => inner.accept(record, wait.turn()),
                        Err(why) => {
                            let (bytes, began) = (wait.bytes(), *began);
                            let error = inner.without_memory(why, bytes, began);
                            Err(Refused::Error(error))
                        }
                    };
                    match accepted {
                        Err(Refused::Error(error)) => {
                            self.step = Step::Done;
                            return Poll::Ready(Err(error));
                        }
                        Err(refused) => self.refused(refused),
                        Ok(delivery) => {
                            self.step = Step::Done;
                            return Poll::Ready(Ok(delivery));
                        }
                    }
                }
                Step::Waiting(waiting) => {
                    let accepted = ready!(waiting.as_mut().poll(cx));
                    self.step = Step::Done;
                    return Poll::Ready(accepted);
                }
                // As a fused future would: the record was handed over once and is not again.
                Step::Record { .. } | Step::Done => return Poll::Pending,
            }
        }
    }
}

impl fmt::Debug for Enqueue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue").finish_non_exhaustive()
    }
}
