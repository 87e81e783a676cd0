//! Whatever happens in whatever order: the queue's invariants hold, each record ends once, and all memory comes back.
//!
//! The invariants are checked by the queue itself, after every change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::types::ProducerId;

/// What a broker answers at random; nearly half of it is good.
const CODES: [ErrorCode; 16] = [
    ErrorCode::NONE,
    ErrorCode::NONE,
    ErrorCode::NONE,
    ErrorCode::NONE,
    ErrorCode::NONE,
    ErrorCode::NONE,
    ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
    ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::INVALID_RECORD,
    ErrorCode::TOPIC_AUTHORIZATION_FAILED,
    ErrorCode::UNKNOWN_PRODUCER_ID,
];

/// A batch that somebody is about to give back to its queue.
enum Away {
    Compressed(Batch),
    Parts(u64, Batch, Vec<u32>),
}

type Batch = ProducerBatch<u32>;

struct World {
    bench: Bench,
    leader: BrokerId,
    topic: TopicId,
    epoch: i16,
    flying: Vec<Taken<u32>>,
    away: Vec<Away>,
    appended: BTreeMap<u32, u32>,
    ended: BTreeMap<(u32, u32), u32>,
    seen: BTreeSet<&'static str>,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            bench: Bench::fresh(limits),
            leader: LEADER,
            topic: TopicId::ZERO,
            epoch: 0,
            flying: Vec::new(),
            away: Vec::new(),
            appended: BTreeMap::new(),
            ended: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    fn end_records(&mut self, share: &ResultShare<u32>) {
        for index in share.first..share.first + share.count {
            *self.ended.entry((share.result, index)).or_default() += 1;
        }
    }

    fn end_all(&mut self, ended: Vec<Ended<u32>>) {
        for end in ended {
            self.end_records(&end.share);
            self.bench.rooms.left += end.charged;
        }
    }

    /// A batch has ended, with its records.
    fn end(&mut self, batch: &Batch) {
        self.end_records(&batch.share);
        self.bench.rooms.left += batch.charged;
    }

    fn act(&mut self, what: u8, with: u16) {
        let pick = |len: usize| (len > 0).then(|| usize::from(with) % len);
        match what % 16 {
            0..=2 => {
                let added = self.bench.append(usize::from(with % 300));
                *self.appended.entry(added.result).or_default() += 1;
            }
            3 => {
                self.bench.queue.close();
            }
            4..=6 => self.take(),
            7..=9 => {
                if let Some(at) = pick(self.flying.len()) {
                    let taken = self.flying.remove(at);
                    self.answer(taken, CODES[usize::from(with / 8) % CODES.len()], with);
                }
            }
            10 => {
                if let Some(at) = pick(self.flying.len()) {
                    let taken = self.flying.remove(at);
                    let answered = self.bench.lose(taken, !with.is_multiple_of(3));
                    self.carry_out(answered);
                }
            }
            11 | 12 => {
                if let Some(at) = pick(self.away.len()) {
                    let away = self.away.remove(at);
                    self.give_back(away);
                }
            }
            13 => self
                .bench
                .pass(Duration::from_millis(u64::from(with) * 3 / 2)),
            14 => {
                let mut ended = Vec::new();
                self.bench.queue.expire(self.bench.now, &mut ended);
                self.end_all(ended);
            }
            _ => match with % 6 {
                0 => {
                    self.bench.queue.lead(None);
                }
                1 => self.topic = TopicId([with.to_be_bytes()[1]; 16]),
                2 => self.bench.queue.fit(200 + usize::from(with % 800)),
                _ => {
                    self.leader = BrokerId(1 + i32::from(with % 2));
                    self.bench.queue.lead(Some(self.leader));
                }
            },
        }
        self.seen.extend(self.bench.queue.states());
    }

    fn take(&mut self) {
        let epoch = self.epoch;
        let current = ProducerId { epoch, ..ID };
        let bump = |own: ProducerId| {
            self.epoch = self.epoch.max(own.epoch + 1);
            let epoch = self.epoch;
            Some(ProducerId { epoch, ..own })
        };
        let now = self.bench.now;
        let take = self
            .bench
            .queue
            .take(self.leader, self.topic, now, true, current, bump);
        match take {
            Take::Compress(batch) => self.away.push(Away::Compressed(batch)),
            Take::Split(number, batch) => self.away.push(Away::Parts(number, batch, Vec::new())),
            Take::GivenUp(ended) => self.end_all(ended),
            Take::Send(mut taken) => {
                taken.batch.body = match taken.batch.body {
                    Body::Unsealed(closed) => Body::Sealed(closed.seal(ID, 0), ID, 0),
                    other => other,
                };
                self.flying.push(taken);
            }
            Take::Nothing => {}
        }
    }

    fn answer(&mut self, taken: Taken<u32>, code: ErrorCode, with: u16) {
        let count = taken.batch.share.count;
        let rejected = match code {
            ErrorCode::INVALID_RECORD => vec![(u32::from(with) % count, None)],
            _ => Vec::new(),
        };
        let answer = Answer {
            code,
            message: None,
            base_offset: 5,
            log_append_time: -1,
            rejected,
        };
        let error = || Arc::new(Error::broker(code, None, "test"));
        let (now, at) = (self.bench.now, self.bench.now + Duration::from_millis(100));
        let queue = &mut self.bench.queue;
        let answered = queue.answer(taken.flight, taken.batch, &answer, now, error, |_| at);
        self.carry_out(answered);
    }

    fn carry_out(&mut self, answered: Answered<u32>) {
        match answered {
            Answered::Acked { batch, proved, .. } => {
                self.end(&batch);
                proved.iter().for_each(|batch| self.end(batch));
            }
            Answered::Queued { .. } => {}
            Answered::Without {
                flight,
                batch,
                refused,
            } => {
                let without = refused.iter().map(|(index, _)| *index).collect();
                self.away.push(Away::Parts(flight, batch, without));
            }
            Answered::TooLarge { flight, batch } => {
                self.away.push(Away::Parts(flight, batch, Vec::new()));
            }
            Answered::Failed { batch, .. } => self.end(&batch),
            // Its records have ended before.
            Answered::Late { batch } => self.bench.rooms.left += batch.charged,
        }
    }

    fn give_back(&mut self, away: Away) {
        let (number, batch, without) = match away {
            Away::Compressed(mut batch) => {
                if let Body::Raw(closed) = batch.body {
                    batch.body = Body::Unsealed(closed);
                }
                if let Some(late) = self.bench.queue.compressed(batch) {
                    self.bench.rooms.left += late.charged;
                }
                return;
            }
            Away::Parts(number, batch, without) => (number, batch, without),
        };
        if without.is_empty() && batch.share.count == 1 {
            if self.bench.queue.not_split(number) {
                self.end_records(&batch.share);
            }
            self.bench.rooms.left += batch.charged;
            return;
        }
        let (share, charged) = (batch.share.clone(), batch.charged);
        let size = batch.plain_len / 2;
        let parts =
            split(batch, &without, size).unwrap_or_else(|(_, malformed)| panic!("{malformed}"));
        if parts.is_empty() {
            self.bench.rooms.left += charged;
        }
        match self.bench.queue.parts(number, parts) {
            Ok(()) => {
                for index in without {
                    let first = share.first + index;
                    let one = share.clone();
                    self.end_records(&ResultShare {
                        first,
                        count: 1,
                        ..one
                    });
                }
            }
            Err(late) => self.bench.rooms.left += late.iter().map(|p| p.charged).sum::<usize>(),
        }
    }

    /// Ends everything; tells which states the queue was in.
    fn close(mut self) -> BTreeSet<&'static str> {
        let mut ended = Vec::new();
        let error = Error::Closed { what: "producer" };
        self.bench.queue.abort(&error, &mut ended);
        self.end_all(ended);
        for taken in std::mem::take(&mut self.flying) {
            let answered = self.bench.lose(taken, true);
            self.carry_out(answered);
        }
        for away in std::mem::take(&mut self.away) {
            self.give_back(away);
        }
        assert_eq!(self.bench.rooms.left, usize::MAX, "memory is missing");
        let all = self.appended.iter();
        let all = all.flat_map(|(result, count)| (0..*count).map(|index| ((*result, index), 1)));
        assert_eq!(self.ended, all.collect(), "not each record ended once");
        self.seen
    }
}

fn run(limits: Limits, events: impl IntoIterator<Item = (u8, u16)>) -> BTreeSet<&'static str> {
    let mut world = World::new(limits);
    for (what, with) in events {
        world.act(what, with);
    }
    world.close()
}

/// The limits that make a difference to a queue's states.
fn limits(kind: u8) -> Limits {
    Limits {
        compressed: kind & 1 > 0,
        idempotent: kind & 2 > 0,
        retries: if kind & 4 > 0 { 2 } else { u32::MAX },
        ..LIMITS
    }
}

proptest! {
    #[test]
    fn each_record_ends_once_and_all_memory_comes_back_whatever_happens(
        kind in 0u8..8,
        events in proptest::collection::vec((any::<u8>(), any::<u16>()), 0..300),
    ) {
        run(limits(kind), events);
    }
}

#[test]
fn random_events_reach_every_state_of_sequences_and_batches() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut seen = BTreeSet::new();
    for world in 0..400_u16 {
        let events: Vec<_> = (0..300).map(|_| (random.u8(..), random.u16(..))).collect();
        seen.extend(run(limits((world % 8) as u8), events));
    }
    let all = [
        "Doubted",
        "Fresh",
        "Gap",
        "MaybeWritten",
        "NotWritten",
        "PassedOver",
        "Proven",
        "Restart",
        "Unproven",
        "Written",
    ];
    assert!(seen.iter().eq(&all), "{seen:?}");
}
