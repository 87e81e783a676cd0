//! A queue with an explicit clock, and the answers that a broker may give it.

use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::batch::{RecordParts, size_bound};
use crate::types::ProducerId;

pub(super) const LEADER: BrokerId = BrokerId(1);
pub(super) const ID: ProducerId = ProducerId { id: 9, epoch: 0 };
pub(super) const NEXT: ProducerId = ProducerId { id: 9, epoch: 1 };
pub(super) const LIMITS: Limits = Limits {
    batch_size: 1000,
    linger: Duration::from_millis(5),
    delivery_timeout: Duration::from_secs(120),
    retries: u32::MAX,
    compressed: false,
    idempotent: true,
    transactional: false,
};

/// Hands out numbered results, and memory up to a limit.
pub(super) struct Rooms {
    pub(super) left: usize,
    pub(super) others: Option<usize>,
    results: u32,
}

impl Room<u32> for Rooms {
    fn buffer(&mut self, least: usize, most: usize) -> Option<(Vec<u8>, usize)> {
        let capacity = self.grow(least, most)?;
        Some((Vec::with_capacity(capacity), capacity))
    }
    fn grow(&mut self, least: usize, most: usize) -> Option<usize> {
        let taken = Some(most.min(self.left)).filter(|taken| *taken >= least)?;
        self.left -= taken;
        Some(taken)
    }
    fn others(&mut self) -> Option<usize> {
        self.others
    }
    fn result(&mut self) -> u32 {
        self.results += 1;
        self.results
    }
}

/// A queue with its clock and memory.
pub(super) struct Bench {
    pub(super) queue: BatchQueue<u32>,
    pub(super) rooms: Rooms,
    pub(super) now: Instant,
}

impl Bench {
    /// A queue whose producer the broker knows.
    pub(super) fn new(limits: Limits) -> Self {
        let mut bench = Self::fresh(limits);
        bench.queue.prove(ID);
        bench
    }

    pub(super) fn fresh(limits: Limits) -> Self {
        Self {
            queue: BatchQueue::new(limits, Some(LEADER)),
            rooms: Rooms {
                left: usize::MAX,
                others: None,
                results: 0,
            },
            now: Instant::now(),
        }
    }

    pub(super) fn try_append(&mut self, len: usize, sticky: bool) -> Append<u32> {
        let value = vec![b'x'; len];
        let parts = RecordParts {
            timestamp: 1,
            key: None,
            value: Some(&value),
            headers: &[],
        };
        let now = self.now;
        self.queue
            .append(&parts, size_bound(&parts), sticky, || now, &mut self.rooms)
    }

    pub(super) fn append(&mut self, len: usize) -> Added<u32> {
        match self.try_append(len, false) {
            Append::Added(added) => added,
            _ => panic!("record was not added"),
        }
    }

    /// Appends a record and closes its batch.
    pub(super) fn batch(&mut self) -> u32 {
        let result = self.append(10).result;
        assert!(self.queue.close());
        result
    }

    pub(super) fn take_with(&mut self, bump: Option<ProducerId>) -> Option<Taken<u32>> {
        match self
            .queue
            .take(LEADER, TopicId::ZERO, self.now, false, ID, |_| bump)
        {
            Take::Send(mut taken) => {
                taken.batch.body = match taken.batch.body {
                    Body::Unsealed(closed) => Body::Sealed(closed.seal(ID, 0), ID, 0),
                    other => other,
                };
                Some(taken)
            }
            Take::Compress(_) => panic!("nothing is compressed here"),
            Take::Split(..) => panic!("nothing is too large here"),
            Take::GivenUp(_) => panic!("nothing is given up here"),
            Take::Nothing => None,
        }
    }

    /// What is given up before anything is sent again: the result, and whether it may be written.
    pub(super) fn given_up(&mut self) -> Vec<(u32, bool)> {
        let queue = &mut self.queue;
        let take = queue.take(LEADER, TopicId::ZERO, self.now, false, ID, |_| Some(NEXT));
        let Take::GivenUp(ended) = take else {
            panic!("nothing was given up");
        };
        assert!(ended.iter().all(|end| end.charged > 0 && end.attempts > 0));
        let told = ended.iter();
        told.map(|end| (end.share.result, end.possibly_written))
            .collect()
    }

    pub(super) fn take(&mut self) -> Option<Taken<u32>> {
        self.take_with(None)
    }

    pub(super) fn answer(&mut self, taken: Taken<u32>, code: ErrorCode) -> Answered<u32> {
        let answer = Answer {
            code,
            message: None,
            base_offset: 5,
            log_append_time: -1,
            rejected: Vec::new(),
        };
        let error = || Arc::new(Error::broker(code, None, "test"));
        let at = self.now + Duration::from_millis(100);
        self.queue
            .answer(taken.flight, taken.batch, &answer, self.now, error, |_| at)
    }

    /// The broker finds a batch of several records too large: its flight, and the batch to split.
    pub(super) fn too_large(&mut self, taken: Taken<u32>) -> (u64, ProducerBatch<u32>) {
        match self.answer(taken, ErrorCode::MESSAGE_TOO_LARGE) {
            Answered::TooLarge { flight, batch } => (flight, batch),
            _ => panic!("the batch is too large"),
        }
    }

    pub(super) fn lose(&mut self, taken: Taken<u32>, sent: bool) -> Answered<u32> {
        let error = Arc::new(Error::Closed { what: "test" });
        let at = self.now + Duration::from_millis(100);
        self.queue
            .unanswered(taken.flight, taken.batch, sent, error, |_| at)
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

/// A batch in parts of half its size.
#[expect(clippy::result_large_err, reason = "as it is tested")]
pub(super) fn halved(
    batch: ProducerBatch<u32>,
) -> Result<Vec<ProducerBatch<u32>>, (ProducerBatch<u32>, crate::wire::Malformed)> {
    let half = batch.plain_len / 2;
    split(batch, &[], half)
}

pub(super) fn sequence(taken: &Taken<u32>) -> (i16, i32) {
    let stamp = taken.batch.stamp.expect("a taken batch is stamped");
    (stamp.producer.epoch, stamp.base_sequence)
}
