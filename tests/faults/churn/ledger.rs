//! The judge of a group: what its members were handed and what it committed, against the log. Pure.

mod violation;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::faults::checker::{Read, Sent, Told};
pub(crate) use violation::Violation;

/// What a member saw or did.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// It asks for records, and so is done with what it was handed before.
    Called,
    /// Partitions are its own, with the group's committed offset where that is known.
    Assigned(Vec<(i32, Option<i64>)>),
    Revoked(Vec<i32>),
    Lost(Vec<i32>),
    /// It was told that what it was done with last could not be committed.
    Uncommitted,
    Handed {
        partition: i32,
        offset: i64,
        /// `None` when the bytes are not those of any record sent.
        id: Option<u64>,
    },
    /// It is being dropped, without a word.
    Dropped,
    /// It dies without leaving.
    Killed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Revoked,
    Lost,
}

/// A partition in one member's hands, from its assignment on.
#[derive(Debug)]
struct Tenure {
    member: usize,
    partition: i32,
    /// The group's committed offset when it began.
    start: Option<i64>,
    next: Option<i64>,
    /// The member's calls when it was handed something last, and the first offset of that.
    batch: (u64, i64),
    end: End,
    uncommitted: bool,
    handed_at: Option<Duration>,
    silence: Duration,
}

#[derive(Debug, Default)]
struct Member {
    calls: u64,
    /// As of the last record handed out.
    last_batch: u64,
    tenures: BTreeMap<i32, usize>,
    /// Lost since the last call: what was handed out just before may be noted just after.
    just_lost: BTreeMap<i32, usize>,
    just_revoked: Vec<usize>,
    killed: bool,
    dropped: bool,
}

#[derive(Debug, Default)]
struct Partition {
    /// Who was handed which record last, by offset.
    handed: Vec<Option<(Option<u64>, usize)>>,
    /// Everything before it was handed out.
    whole: usize,
    /// As the group told last.
    committed: i64,
    /// When each record could be read, by offset, where that is looked at.
    seen: Vec<Duration>,
    /// Who had it last.
    last: Option<usize>,
}

/// Offsets that were handed out again.
#[derive(Debug)]
struct Repeat {
    partition: i32,
    from: i64,
    to: i64,
    first: usize,
    second: usize,
}

/// What happened in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) handed: usize,
    /// Handed out again, with good reason.
    pub(crate) repeated: usize,
    pub(crate) tenures: usize,
    pub(crate) lost: usize,
    /// Taken from a member, and given back to it next.
    pub(crate) given_back: usize,
    pub(crate) commits_seen: usize,
    /// How long a partition that stayed where it was had nothing, though there was something.
    pub(crate) silence: Duration,
}

/// All that is known of a group.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    members: Vec<Member>,
    partitions: BTreeMap<i32, Partition>,
    tenures: Vec<Tenure>,
    repeats: Vec<Repeat>,
    /// Tenures that began while another one of the same partition was open.
    overlaps: Vec<(usize, usize)>,
    violations: Vec<Violation>,
    survey: Survey,
    /// Longest silence of a partition that stays, if that is looked at.
    patience: Option<Duration>,
}

impl Ledger {
    /// Also checks that nothing interrupts a partition that stays: records come steadily.
    pub(crate) fn steady(patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..Self::default()
        }
    }

    /// A new member.
    pub(crate) fn join(&mut self) -> usize {
        self.members.push(Member::default());
        self.members.len() - 1
    }

    /// Everything before this offset was handed out.
    pub(crate) fn handed_to(&self, partition: i32) -> i64 {
        let found = self.partitions.get(&partition);
        found.map_or(0, |partition| partition.whole as i64)
    }

    /// The group's offset, as it was seen last.
    pub(crate) fn committed_to(&self, partition: i32) -> i64 {
        let found = self.partitions.get(&partition);
        found.map_or(0, |partition| partition.committed)
    }

    /// How many partitions the members have now.
    pub(crate) fn owned(&self, members: &[usize]) -> Vec<usize> {
        members
            .iter()
            .map(|id| self.members[*id].tenures.len())
            .collect()
    }

    /// Something happens to a member.
    pub(crate) fn note(&mut self, id: usize, now: Duration, event: Event) {
        match event {
            Event::Called => {
                let member = &mut self.members[id];
                member.calls += 1;
                member.just_lost.clear();
            }
            Event::Assigned(partitions) => {
                for (partition, start) in partitions {
                    self.begin(id, partition, start);
                }
            }
            Event::Revoked(partitions) => {
                let ended = self.end(id, partitions, End::Revoked);
                self.members[id].just_revoked = ended;
            }
            Event::Lost(partitions) => {
                self.survey.lost += partitions.len();
                for tenure in self.end(id, partitions, End::Lost) {
                    let partition = self.tenures[tenure].partition;
                    self.members[id].just_lost.insert(partition, tenure);
                }
            }
            Event::Uncommitted => {
                let member = &self.members[id];
                let open = member.tenures.values().copied();
                for tenure in member.just_revoked.iter().copied().chain(open) {
                    self.tenures[tenure].uncommitted = true;
                }
            }
            Event::Handed {
                partition,
                offset,
                id: record,
            } => self.hand(id, now, partition, offset, record),
            Event::Dropped | Event::Killed => {
                let member = &mut self.members[id];
                member.killed |= matches!(event, Event::Killed);
                member.dropped |= matches!(event, Event::Dropped);
            }
        }
    }

    /// An offset that the group has committed, as anybody may see.
    pub(crate) fn committed(&mut self, partition: i32, offset: i64) {
        self.survey.commits_seen += 1;
        self.partitions.entry(partition).or_default().committed = offset;
        let handed = self.handed_to(partition);
        if offset > handed {
            self.violations.push(Violation::CommittedTooFar {
                partition,
                offset,
                handed,
            });
        }
    }

    /// Somebody outside of the group has read this record; all of a partition come in order.
    pub(crate) fn seen(&mut self, partition: i32, offset: i64, now: Duration) {
        let place = self.partitions.entry(partition).or_default();
        assert_eq!(i64::try_from(place.seen.len()), Ok(offset));
        place.seen.push(now);
    }

    fn begin(&mut self, member: usize, partition: i32, start: Option<i64>) {
        let tenure = self.tenures.len();
        self.survey.tenures += 1;
        let place = self.partitions.entry(partition).or_default();
        if let Some(last) = place.last.replace(tenure) {
            let before = &self.tenures[last];
            if before.end == End::Open && !self.members[before.member].dropped {
                self.overlaps.push((last, tenure));
            }
            if before.member == member && before.end == End::Revoked {
                self.survey.given_back += 1;
                if self.patience.is_some() {
                    self.violations
                        .push(Violation::TakenForNothing { member, partition });
                }
            }
        }
        self.tenures.push(Tenure {
            member,
            partition,
            start,
            next: None,
            batch: (0, i64::MAX),
            end: End::Open,
            uncommitted: false,
            handed_at: None,
            silence: Duration::ZERO,
        });
        self.members[member].tenures.insert(partition, tenure);
    }

    fn end(&mut self, member: usize, partitions: Vec<i32>, end: End) -> Vec<usize> {
        let mut ended = Vec::new();
        for partition in partitions {
            match self.members[member].tenures.remove(&partition) {
                Some(tenure) => {
                    self.tenures[tenure].end = end;
                    ended.push(tenure);
                }
                None => self
                    .violations
                    .push(Violation::NotOwned { member, partition }),
            }
        }
        ended
    }

    fn hand(&mut self, id: usize, now: Duration, partition: i32, offset: i64, record: Option<u64>) {
        self.survey.handed += 1;
        let member = &mut self.members[id];
        member.last_batch = member.calls;
        let calls = member.calls;
        let own = member.tenures.get(&partition);
        let own = own.or_else(|| member.just_lost.get(&partition)).copied();
        let Some(own) = own else {
            let member = id;
            return self.violations.push(Violation::Stale {
                member,
                partition,
                offset,
            });
        };
        let whole = self.handed_to(partition);
        let tenure = &mut self.tenures[own];
        let expected = tenure.next.or(tenure.start).unwrap_or(offset);
        let skipped = if tenure.next.is_some() {
            offset > expected
        } else {
            offset > whole
        };
        if skipped || offset < expected {
            self.violations.push(Violation::Moved {
                member: id,
                partition,
                expected: if skipped {
                    expected.min(whole)
                } else {
                    expected
                },
                offset,
            });
        }
        tenure.next = Some(offset + 1);
        if tenure.batch.0 != calls {
            tenure.batch = (calls, offset);
        }
        let seen = self.partitions.get(&partition);
        let seen = seen.and_then(|place| place.seen.get(usize::try_from(offset).ok()?));
        if let (Some(before), Some(seen)) = (tenure.handed_at.replace(now), seen) {
            let silence = now.saturating_sub(before.max(*seen));
            tenure.silence = tenure.silence.max(silence);
        }
        self.write(partition, offset, record, own);
    }

    fn write(&mut self, partition: i32, offset: i64, record: Option<u64>, own: usize) {
        let place = self.partitions.entry(partition).or_default();
        let at = usize::try_from(offset).expect("offsets are not negative");
        if place.handed.len() <= at {
            place.handed.resize(at + 1, None);
        }
        if let Some((_, first)) = place.handed[at].replace((record, own)) {
            match self.repeats.last_mut() {
                Some(last)
                    if (last.partition, last.to, last.first, last.second)
                        == (partition, offset, first, own) =>
                {
                    last.to += 1;
                }
                _ => self.repeats.push(Repeat {
                    partition,
                    from: offset,
                    to: offset + 1,
                    first,
                    second: own,
                }),
            }
        }
        while place.handed.get(place.whole).is_some_and(Option::is_some) {
            place.whole += 1;
        }
    }

    /// Judges all of it, with what the producer was told and what is in the log.
    pub(crate) fn judge(mut self, sent: &[Sent], log: &[Read]) -> Result<Survey, Vec<Violation>> {
        self.judge_repeats();
        self.judge_owners();
        self.judge_records(sent, log);
        if self.violations.is_empty() {
            return Ok(self.survey);
        }
        Err(self.violations)
    }

    /// Whether what this tenure had and did not commit is excused.
    fn is_torn(&self, tenure: usize) -> bool {
        let tenure = &self.tenures[tenure];
        tenure.end == End::Lost || self.members[tenure.member].killed
    }

    fn judge_repeats(&mut self) {
        for repeat in std::mem::take(&mut self.repeats) {
            let first = &self.tenures[repeat.first];
            let member = &self.members[first.member];
            // A member that is dropped may not be done with what it was handed last.
            let undone = member.dropped
                && first.batch.0 == member.last_batch
                && repeat.from >= first.batch.1;
            let excused = undone
                || first.uncommitted
                || self.is_torn(repeat.first)
                || self.is_torn(repeat.second);
            if excused {
                self.survey.repeated += (repeat.to - repeat.from) as usize;
                continue;
            }
            self.violations.push(Violation::Repeated {
                partition: repeat.partition,
                from: repeat.from,
                to: repeat.to,
                first: first.member,
                second: self.tenures[repeat.second].member,
            });
        }
    }

    fn judge_owners(&mut self) {
        for (first, second) in std::mem::take(&mut self.overlaps) {
            let both = (&self.tenures[first], &self.tenures[second]);
            if !self.is_torn(first) && !both.0.uncommitted && !self.members[both.0.member].dropped {
                self.violations.push(Violation::Shared {
                    partition: both.0.partition,
                    first: both.0.member,
                    second: both.1.member,
                });
            }
        }
        for tenure in &self.tenures {
            self.survey.silence = self.survey.silence.max(tenure.silence);
            if self.patience.is_some_and(|most| tenure.silence > most) {
                self.violations.push(Violation::Interrupted {
                    member: tenure.member,
                    partition: tenure.partition,
                    silence: tenure.silence,
                });
            }
        }
    }

    fn judge_records(&mut self, sent: &[Sent], log: &[Read]) {
        for read in log {
            let place = self.partitions.get(&read.partition);
            let at = usize::try_from(read.offset).unwrap_or(usize::MAX);
            match place.and_then(|place| place.handed.get(at)?.as_ref()) {
                None => self.violations.push(Violation::Missed(*read)),
                Some((id, _)) if *id != read.id => {
                    let told = *id;
                    self.violations.push(Violation::Altered(*read, told));
                }
                Some(_) => {}
            }
        }
        for sent in sent {
            let (Told::Acked(Some(offset)), Some(partition)) = (sent.told, sent.partition) else {
                continue;
            };
            let place = self.partitions.get(&partition);
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            let handed = place.and_then(|place| place.handed.get(at).copied().flatten());
            if handed.is_none_or(|(id, _)| id != Some(sent.id)) {
                self.violations.push(Violation::Lost(*sent));
            }
        }
    }
}

#[path = "ledger/tests.rs"]
pub(crate) mod tests;
