//! What becomes of a record that was handed over: acknowledged, on disk, or given back.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::entry::Kept;
use super::verdict::{Fate, of_new};
use crate::error::{Error, Result};
use crate::producer::{Delivery, RecordMetadata};
use crate::record::Record;

/// Where a record is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Sent {
    /// In the log: the cluster has acknowledged it.
    Acknowledged(RecordMetadata),
    /// On disk: it is sent when the cluster is back, after the topic's records before it.
    Spilled,
}

impl Sent {
    /// The record's place in the log; `None` when it is on disk.
    #[must_use]
    pub fn metadata(&self) -> Option<&RecordMetadata> {
        match self {
            Self::Acknowledged(metadata) => Some(metadata),
            Self::Spilled => None,
        }
    }

    /// Whether it is on disk.
    #[must_use]
    pub fn is_spilled(&self) -> bool {
        matches!(self, Self::Spilled)
    }
}

/// A record that is neither in the log nor on disk, as far as is known, and why.
///
/// [`Error::possibly_written`] tells whether it may be in the log all the same.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotSent {
    /// The record, as it was given.
    pub record: Record<'static>,
    /// Why it was not sent.
    #[source]
    pub error: Error,
}

impl NotSent {
    pub(crate) fn new(record: Kept, error: Error) -> Box<Self> {
        let record = Arc::unwrap_or_clone(record);
        Box::new(Self { record, error })
    }
}

impl From<Box<NotSent>> for Error {
    fn from(not_sent: Box<NotSent>) -> Self {
        not_sent.error
    }
}

/// A record that was handed over; await it for where it is.
///
/// Dropping it does not call the record back: it is sent, or spilled, all the same.
#[must_use = "await it to learn whether the record is safe"]
pub struct SpillDelivery {
    record: Option<Kept>,
    delivery: Option<Delivery>,
    told: oneshot::Receiver<Result<()>>,
    second_copies: bool,
}

impl SpillDelivery {
    pub(crate) fn new(
        record: Kept,
        delivery: Option<Delivery>,
        told: oneshot::Receiver<Result<()>>,
        second_copies: bool,
    ) -> Self {
        Self {
            record: Some(record),
            delivery,
            told,
            second_copies,
        }
    }

    fn not_sent(&mut self, error: Error) -> Box<NotSent> {
        let record = self.record.take();
        NotSent::new(record.unwrap_or_else(|| Arc::new(Record::to(""))), error)
    }
}

impl Future for SpillDelivery {
    type Output = Result<Sent, Box<NotSent>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(delivery) = &mut self.delivery {
            let outcome = ready!(Pin::new(delivery).poll(cx));
            self.delivery = None;
            match outcome {
                Ok(metadata) => return Poll::Ready(Ok(Sent::Acknowledged(metadata))),
                Err(error) => match of_new(&error, self.second_copies) {
                    Fate::GiveBack => return Poll::Ready(Err(self.not_sent(error))),
                    Fate::Spill => {}
                },
            }
        }
        let told = ready!(Pin::new(&mut self.told).poll(cx));
        Poll::Ready(match told {
            Ok(Ok(())) => Ok(Sent::Spilled),
            Ok(Err(error)) => Err(self.not_sent(error)),
            Err(_) => Err(self.not_sent(Error::Closed { what: "producer" })),
        })
    }
}

impl fmt::Debug for SpillDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillDelivery").finish_non_exhaustive()
    }
}
