//! Batches that are to be compressed elsewhere, and how many threads do that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::accumulator::PartitionQueue;
use super::batch_result::BatchResult;
use crate::machine::produce::ProducerBatch;

type OurBatch = ProducerBatch<Arc<BatchResult>>;

/// Threads that one producer compresses on at most: those of the runtime's pool serve others too.
const MOST_THREADS: usize = 4;

/// Batches that are to be compressed, in the order in which they came.
///
/// Their plain buffers are charged; beside these there is one output for each thread.
pub(crate) struct Compressor {
    work: Mutex<Work>,
    most_threads: usize,
}

#[derive(Default)]
struct Work {
    waiting: VecDeque<(Arc<PartitionQueue>, OurBatch)>,
    threads: usize,
}

impl Default for Compressor {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            work: Mutex::default(),
            most_threads: cores.min(MOST_THREADS),
        }
    }
}

impl Compressor {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch; tells whether another thread is to help.
    pub(crate) fn add(&self, queue: Arc<PartitionQueue>, batch: OurBatch) -> bool {
        let mut work = self.work();
        work.waiting.push_back((queue, batch));
        let helps = work.threads < self.most_threads;
        work.threads += usize::from(helps);
        helps
    }

    /// The next batch for one of the threads, which ends when there is none.
    pub(crate) fn next(&self) -> Option<(Arc<PartitionQueue>, OurBatch)> {
        let mut work = self.work();
        let next = work.waiting.pop_front();
        if next.is_none() {
            work.threads -= 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::accumulator::TopicQueues;
    use super::*;
    use crate::batch::RecordParts;
    use crate::machine::produce::{Added, Append, Limits, Room, Take};
    use crate::types::{BrokerId, ProducerId, TopicId, TopicPartition};
    use std::time::{Duration, Instant};

    struct Plenty;

    impl Room<Arc<BatchResult>> for Plenty {
        fn buffer(&mut self, least: usize, _: usize) -> Option<(Vec<u8>, usize)> {
            Some((Vec::with_capacity(least), least))
        }
        fn grow(&mut self, least: usize, _: usize) -> Option<usize> {
            Some(least)
        }
        fn others(&mut self) -> Option<usize> {
            None
        }
        fn result(&mut self) -> Arc<BatchResult> {
            Arc::new(BatchResult::new(TopicPartition::new("t", 0)))
        }
    }

    /// A queue with a batch of it that is to be compressed.
    fn to_compress(number: usize) -> (Arc<PartitionQueue>, OurBatch) {
        let limits = Limits {
            batch_size: 1000,
            linger: Duration::ZERO,
            delivery_timeout: Duration::from_secs(1),
            retries: 0,
            compressed: true,
            idempotent: false,
            transactional: false,
        };
        let topic = super::super::accumulator::testing::topic(number + 1);
        let queue = Arc::clone(&TopicQueues::new(&topic, None, limits).queues[number]);
        let record = RecordParts {
            timestamp: 1,
            key: None,
            value: None,
            headers: &[],
        };
        let now = Instant::now();
        let leader = BrokerId(1);
        let nobody = ProducerId::NONE;
        let changed = queue.change(|locked, _| {
            let added = locked
                .queue
                .append(&record, 100, false, || now, &mut Plenty);
            assert!(matches!(added, Append::Added(Added { .. })));
            locked
                .queue
                .take(leader, TopicId::ZERO, now, true, nobody, |_| None)
        });
        let take = changed.only_result();
        let Take::Compress(batch) = take else {
            panic!("it is to be compressed");
        };
        (queue, batch)
    }

    #[test]
    fn few_threads_compress_whatever_is_due_in_the_order_in_which_it_came() {
        let compressor = Compressor {
            work: Mutex::default(),
            most_threads: 3,
        };
        let mut helpers = 0;
        for number in 0..20 {
            let (queue, batch) = to_compress(number);
            helpers += usize::from(compressor.add(queue, batch));
        }
        assert_eq!(helpers, 3);
        let next = || compressor.next().map(|(queue, _)| queue.target.partition());
        assert!((0..20).eq(std::iter::from_fn(next)));
        // The one that found nothing has ended; a new batch is another's work.
        let (queue, batch) = to_compress(0);
        assert!(compressor.add(Arc::clone(&queue), batch));
        let (queue, batch) = to_compress(1);
        assert!(!compressor.add(queue, batch));
    }
}
