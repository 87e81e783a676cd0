//! Tells in the log what is sent again, and that it was written in the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tracing::{info, warn};

use crate::error::ErrorCode;
use crate::machine::produce::{Retried, Retries};
use crate::types::{BrokerId, TopicPartition};

/// What brokers have refused and will be sent again.
#[derive(Default)]
pub(crate) struct RetryLog {
    /// Whether anything is: all that an acknowledgement looks at in good times.
    any: AtomicBool,
    retries: Mutex<Retries>,
}

impl RetryLog {
    fn with<T>(&self, change: impl FnOnce(&mut Retries) -> T) -> T {
        let mut retries = self.retries.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut retries);
        self.any.store(retries.are_any(), Ordering::Relaxed);
        changed
    }

    /// The broker has refused a batch, which will be sent again.
    pub(crate) fn refused(&self, broker: BrokerId, partition: &TopicPartition, code: ErrorCode) {
        let now = tokio::time::Instant::now().into_std();
        let told = self.with(|retries| retries.refused(code, partition, now));
        if let Some(Retried {
            refusals,
            partitions,
            ..
        }) = told
        {
            warn!(broker = broker.0, %partition, %code, refusals, partitions, "a batch was refused: it is sent again");
        }
    }

    /// The partition's batch was written.
    #[inline]
    pub(crate) fn written(&self, partition: &TopicPartition) {
        if self.any.load(Ordering::Relaxed) {
            for over in self.end(partition) {
                let Retried {
                    code,
                    refusals,
                    lasted,
                    ..
                } = over;
                info!(%partition, %code, refusals, after = ?lasted, "what was refused is written now");
            }
        }
    }

    /// The partition's batch has failed, which is told elsewhere.
    pub(crate) fn failed(&self, partition: &TopicPartition) {
        if self.any.load(Ordering::Relaxed) {
            drop(self.end(partition));
        }
    }

    #[cold]
    fn end(&self, partition: &TopicPartition) -> Vec<Retried> {
        let now = tokio::time::Instant::now().into_std();
        self.with(|retries| retries.ended(partition, now))
    }
}
