//! Whatever happens to a partition in whatever order, it stays consistent.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::machine::fetch::completed_fetch::CompletedFetch;
use crate::machine::fetch::position::{FetchedPart, Wanted};

/// Something that happens to a partition.
#[derive(Clone, Copy, Debug)]
enum Event {
    Begin(Option<Start>),
    Seek(i64, i32),
    Reset,
    Stick,
    Refetch,
    Rewind,
    Recreated,
    /// A leader of this epoch.
    Lead(i32),
    /// A lookup begins, if one is wanted.
    Ask,
    /// The lookup that is under way ends so: an offset, or a failure.
    Found(i64),
    Failed,
    /// The request that is under way is answered, by so many records.
    Answer(u8, bool),
    OutOfRange,
    /// A request is made, if that can be.
    Fetch,
    Pause(bool),
    Stop,
    /// So many records are handed out.
    HandOut(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::Begin(None)),
        1 => Just(Event::Begin(Some(Start::Latest))),
        1 => (0..100_i64, -1..4_i32).prop_map(|(offset, epoch)| Event::Seek(offset, epoch)),
        1 => Just(Event::Reset),
        1 => Just(Event::Stick),
        1 => Just(Event::Refetch),
        1 => Just(Event::Rewind),
        1 => Just(Event::Recreated),
        1 => (0..4_i32).prop_map(Event::Lead),
        3 => Just(Event::Ask),
        3 => (0..100_i64).prop_map(Event::Found),
        1 => Just(Event::Failed),
        6 => (0..9_u8, prop::bool::weighted(0.1)).prop_map(|(n, bad)| Event::Answer(n, bad)),
        1 => Just(Event::OutOfRange),
        6 => Just(Event::Fetch),
        1 => any::<bool>().prop_map(Event::Pause),
        1 => Just(Event::Stop),
        4 => (1..9_u8).prop_map(Event::HandOut),
    ]
}

/// A partition, with the request and the lookup that are under way.
struct World {
    partition: PartitionState,
    versions: u64,
    asked: Option<(u64, Need)>,
    fetching: Option<Wanted>,
    /// What records are being taken of, and the offset behind it.
    active: Option<(u64, CompletedFetch, i64)>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self {
            partition: PartitionState::held(TopicPartition::new("t", 0), 0),
            versions: 0,
            asked: None,
            fetching: None,
            active: None,
            now: Instant::now(),
        }
    }

    fn version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    fn happen(&mut self, event: Event) {
        let position = |offset, leader_epoch| Position {
            offset,
            leader_epoch,
        };
        let version = self.version();
        let partition = &mut self.partition;
        match event {
            Event::Begin(start) => partition.begin(start),
            Event::Seek(offset, epoch) => partition.seek(position(offset, epoch), version),
            Event::Reset => partition.reset(Start::Earliest, version),
            Event::Stick => partition.stick(version),
            Event::Refetch => partition.refetch(version),
            Event::Rewind if partition.is_ahead() => partition.rewind(version),
            Event::Recreated => {
                partition.forget(version);
                partition.reset(Start::Latest, version);
            }
            Event::Lead(epoch) => partition.lead_by(Some(BrokerId(1)), epoch, TopicId([1; 16])),
            Event::Ask => {
                if let Some(need) = partition.need(self.now) {
                    self.asked = Some((partition.version, need));
                    partition.ask();
                    assert_eq!(partition.need(self.now), None, "one lookup at a time");
                }
            }
            Event::Found(offset) => self.found(offset, version),
            Event::Failed => {
                partition.failed(self.now, |_| Duration::from_secs(1));
                self.now += Duration::from_secs(1);
                self.asked = None;
            }
            Event::Fetch => {
                if partition.is_fetchable(self.now) {
                    self.fetching = Some(partition.wanted(0));
                }
            }
            Event::Answer(records, is_damaged) => self.answer(records.into(), is_damaged),
            Event::OutOfRange => {
                let fetching = self.fetching.take();
                if fetching.is_some_and(|wanted| partition.expects(&wanted)) && !partition.drain() {
                    partition.reset(Start::Earliest, version);
                }
            }
            Event::Pause(paused) => partition.pause(paused),
            Event::Stop => {
                partition.stopped = true;
                partition.refetch(version);
            }
            Event::HandOut(records) => self.hand_out(records.into()),
            Event::Rewind => {}
        }
    }

    fn found(&mut self, offset: i64, new: u64) {
        let asked = self.asked.take();
        let Some((_, need)) = asked.filter(|(version, _)| *version == self.partition.version)
        else {
            return;
        };
        let position = Position {
            offset,
            leader_epoch: self.partition.leader_epoch(),
        };
        match need {
            Need::Committed if offset % 2 == 0 => self.partition.reset(Start::Latest, new),
            Need::Committed | Need::Offset(_) => self.partition.seek(position, new),
            Need::EndOf { .. } => self.partition.validated(self.partition.leader_epoch()),
        }
    }

    fn answer(&mut self, records: i64, is_damaged: bool) {
        let fetching = self.fetching.take();
        let Some(wanted) = fetching.filter(|wanted| self.partition.expects(wanted)) else {
            return;
        };
        let bytes = Bytes::from(vec![0; usize::try_from(records).unwrap_or(0) * 10]);
        let name = self.partition.name.clone();
        let completed = CompletedFetch::new(name, wanted.offset, -1, bytes, Vec::new());
        self.partition.answered(FetchedPart {
            completed: (records > 0).then_some(completed),
            next: (records > 0).then_some(Position {
                offset: wanted.offset + records,
                leader_epoch: self.partition.leader_epoch(),
            }),
            is_damaged,
            high_watermark: wanted.offset + records,
            last_stable_offset: -1,
            log_start_offset: 0,
        });
    }

    /// As the collector does: of a void completed fetch nothing is handed out.
    fn hand_out(&mut self, records: i64) {
        let partition = &mut self.partition;
        if self
            .active
            .as_ref()
            .is_none_or(|(version, ..)| *version != partition.version)
        {
            self.active = None;
            if partition.has_some() {
                let completed = partition.take_completed().expect("there is one");
                let end = completed.position().0 + completed.size() as i64 / 10;
                self.active = Some((partition.version, completed, end));
            }
        }
        let Some((version, completed, end)) = self.active.take() else {
            return;
        };
        if partition.paused {
            partition.return_completed(completed);
            return;
        }
        let before = partition.position().expect("what is read has a position");
        let to = end.min(before.offset.max(completed.position().0) + records);
        partition.hand_out((to, partition.leader_epoch()));
        if to < end {
            self.active = Some((version, completed, end));
        } else {
            partition.release(completed.size());
            partition.take_drained();
        }
    }

    fn holds(&self) {
        let partition = &self.partition;
        assert_eq!(partition.violated(), None);
        if let (Some(next), Some(handed)) = (partition.next(), partition.position()) {
            assert!(
                handed.offset <= next.offset,
                "what was not fetched is handed out"
            );
            assert!(partition.done().offset <= handed.offset);
        }
        let is_known = partition.is_positioned();
        assert!(!partition.is_fetchable(self.now) || is_known && !partition.stopped);
        assert!(partition.need(self.now).is_none() || !partition.is_fetching());
    }
}

proptest! {
    #[test]
    fn whatever_happens_a_partition_is_consistent(events in prop::collection::vec(event(), 0..200)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
            world.holds();
        }
    }
}
