//! The queues that may hold what has not ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::partition_queue::{LockedQueue, PartitionQueue};
use crate::machine::produce::waiters::Key;

/// The queues that may hold what has not ended: all that a flush looks at.
#[derive(Default)]
pub(crate) struct Busy(Mutex<HashMap<Key, Arc<PartitionQueue>>>);

impl Busy {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<PartitionQueue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a queue whose lock is held.
    pub(crate) fn add(&self, queue: &Arc<PartitionQueue>, locked: &mut LockedQueue) {
        if !std::mem::replace(&mut locked.busy, true) {
            self.lock().insert(queue.key(), Arc::clone(queue));
        }
    }

    /// Removes a queue that holds nothing, and whose lock is held.
    pub(crate) fn remove(&self, queue: &PartitionQueue, locked: &mut LockedQueue) {
        if std::mem::replace(&mut locked.busy, false) {
            self.lock().remove(&queue.key());
        }
    }

    pub(crate) fn queues(&self) -> Vec<Arc<PartitionQueue>> {
        self.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::topic;
    use super::super::topics::TopicQueues;
    use super::*;
    use crate::machine::produce::Limits;

    #[test]
    fn queue_is_among_the_busy_ones_once_until_it_is_removed() {
        let limits = Limits {
            batch_size: 1,
            linger: std::time::Duration::ZERO,
            delivery_timeout: std::time::Duration::ZERO,
            retries: 0,
            compressed: false,
            idempotent: false,
            transactional: false,
        };
        let queues = TopicQueues::new(&topic(3), None, limits).queues;
        let busy = Busy::default();
        for queue in queues.iter().take(2) {
            queue
                .change(|locked, _| busy.add(queue, locked))
                .only_result();
            queue
                .change(|locked, _| busy.add(queue, locked))
                .only_result();
        }
        assert_eq!(busy.queues().len(), 2);
        queues[0]
            .change(|locked, _| busy.remove(&queues[0], locked))
            .only_result();
        queues[2]
            .change(|locked, _| busy.remove(&queues[2], locked))
            .only_result();
        assert_eq!(busy.queues()[0].key(), queues[1].key());
        assert_eq!(busy.queues().len(), 1);
    }
}
