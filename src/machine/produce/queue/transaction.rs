//! What a transaction's begin and end do to a partition's queue.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{BatchQueue, Ended, ProducerBatch};
use crate::error::Error;

impl<T: Clone> BatchQueue<T> {
    /// The partition is part of the open transaction: its batches may be sent.
    pub(crate) fn enroll(&mut self) {
        self.enrolled = true;
    }

    /// The transaction is about to be ended, and none of its batches is left: what comes next is of another one.
    pub(crate) fn leave(&mut self) {
        self.enrolled = !self.limits.transactional;
        self.retracted = None;
    }

    /// Ends what was not sent of a transaction that is not to be committed, and what comes back to be sent again; tells
    /// whether a sequence was spent for that.
    ///
    /// What may be in the log is sent again until that is known: nothing that a broker has somewhere on its way may be
    /// written after the transaction has ended.
    pub(crate) fn retract(&mut self, error: &Arc<Error>, ended: &mut Vec<Ended<T>>) -> bool {
        self.retracted = Some(Arc::clone(error));
        self.close();
        let mut gap = self.end_detached(|_| true, ended, |_| (**error).clone());
        let is_kept = |batch: &ProducerBatch<T>| batch.knowledge.may_be_written();
        let ready = std::mem::take(&mut self.ready).into_iter();
        let (kept, unsent): (VecDeque<_>, VecDeque<_>) = ready.partition(is_kept);
        self.ready = kept;
        for batch in unsent {
            gap = gap.max(batch.place());
            ended.push(Ended {
                error: Arc::clone(error),
                possibly_written: false,
                attempts: batch.failures,
                charged: batch.charged,
                share: batch.share,
                flying: false,
            });
        }
        if let Some(place) = gap {
            self.sequences.lose(place);
        }
        self.check();
        gap.is_some()
    }
}
