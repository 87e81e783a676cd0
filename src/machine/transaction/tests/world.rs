//! Any order of what an application does and what becomes of calls, against a coordinator that keeps the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use crate::error::Error;
use crate::machine::transaction::{
    Began, Enrolment, Next, Outcome, Protocol, Told, TransactionManager, TxnRequest, TxnVerdict,
};
use crate::types::{GroupMetadata, ProducerId, TopicPartition};

fn error(what: &'static str) -> Arc<Error> {
    Arc::new(Error::Closed { what })
}

fn partition(number: u8) -> TopicPartition {
    TopicPartition::new("t", i32::from(number % 4))
}

/// The coordinator: what it was really asked to do.
#[derive(Default)]
struct Coordinator {
    second: bool,
    epoch: i16,
    /// Partitions and offsets of the open transaction.
    partitions: BTreeSet<TopicPartition>,
    groups: BTreeSet<Arc<str>>,
    offsets: BTreeSet<u64>,
    is_open: bool,
    /// How the last transaction ended, by which the same EndTxn is known again.
    last: Option<(i16, bool)>,
    /// The ends, in order; each with its offsets.
    ends: Vec<(bool, BTreeSet<u64>)>,
}

impl Coordinator {
    fn identity(&self) -> ProducerId {
        ProducerId {
            id: 7,
            epoch: self.epoch,
        }
    }

    /// Does what a call asks for.
    fn apply(&mut self, request: &TxnRequest, producer: ProducerId) -> Option<ProducerId> {
        match request {
            TxnRequest::InitProducerId(_) => {
                assert!(!self.is_open, "another epoch with a transaction open");
                self.epoch += 1;
                self.last = None;
                return Some(self.identity());
            }
            TxnRequest::AddPartitions(partitions) => {
                assert_eq!(producer, self.identity());
                self.is_open = true;
                self.partitions.extend(partitions.iter().cloned());
            }
            TxnRequest::AddOffsets(group) => {
                assert_eq!(producer, self.identity());
                self.is_open = true;
                self.groups.insert(Arc::clone(group));
            }
            TxnRequest::CommitOffsets(offsets) => {
                assert_eq!(producer, self.identity());
                let group = offsets.group.shared_group();
                assert!(
                    self.second || self.groups.contains(group),
                    "before its group"
                );
                self.is_open = true;
                self.offsets.insert(offsets.number);
            }
            TxnRequest::EndTxn { commit } => return self.end(*commit, producer),
        }
        None
    }

    fn end(&mut self, commit: bool, producer: ProducerId) -> Option<ProducerId> {
        if !self.is_open && self.last == Some((producer.epoch, commit)) {
            return self.second.then(|| self.identity());
        }
        assert_eq!(producer, self.identity(), "an end of an earlier epoch");
        assert!(self.is_open || !commit || self.second, "nothing to commit");
        self.is_open = false;
        self.partitions.clear();
        self.groups.clear();
        self.ends.push((commit, std::mem::take(&mut self.offsets)));
        self.last = Some((self.epoch, commit));
        self.epoch += i16::from(self.second);
        self.second.then(|| self.identity())
    }

    /// A batch arrives.
    fn write(&mut self, partition: TopicPartition) {
        if self.second {
            self.is_open = true;
            self.partitions.insert(partition);
        } else {
            assert!(
                self.partitions.contains(&partition),
                "not enrolled: {partition}"
            );
        }
    }
}

/// What the application knows of a transaction.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fate {
    /// How many ends there were before it.
    ends_before: usize,
    offsets: BTreeSet<u64>,
    told: Option<Result<(), bool>>,
    wrote: bool,
}

struct World {
    manager: TransactionManager,
    coordinator: Coordinator,
    call: Option<TxnRequest>,
    /// An attempt of the call may have been done.
    is_doubtful: bool,
    enrolled: BTreeSet<TopicPartition>,
    waiting: BTreeSet<TopicPartition>,
    open: Option<Fate>,
    committing: Option<Fate>,
    fates: Vec<Fate>,
    offsets: BTreeMap<u64, Option<bool>>,
    is_fatal: bool,
}

impl World {
    fn new(second: bool) -> Self {
        let coordinator = Coordinator {
            second,
            ..Coordinator::default()
        };
        Self {
            manager: TransactionManager::new(),
            coordinator,
            call: None,
            is_doubtful: false,
            enrolled: BTreeSet::new(),
            waiting: BTreeSet::new(),
            open: None,
            committing: None,
            fates: Vec::new(),
            offsets: BTreeMap::new(),
            is_fatal: false,
        }
    }

    fn take(&mut self, told: Told) {
        let is_live = self.manager.failure().is_none();
        for partition in told.enrolled.iter().flat_map(|enrolled| enrolled.iter()) {
            if self.waiting.remove(partition) && is_live {
                self.coordinator.write(partition.clone());
            }
            self.enrolled.insert(partition.clone());
        }
        for (number, outcome) in told.offsets {
            let before = self.offsets.insert(number, Some(outcome.is_ok()));
            assert_eq!(before, Some(None), "offsets are told of once");
        }
        if let Some(outcome) = told.committed {
            let mut fate = self.committing.take().expect("a commit to tell of");
            fate.told = Some(outcome.map_err(|(_, possibly)| possibly));
            self.fates.push(fate);
        }
        self.is_fatal |= told.fatal.is_some();
    }

    fn begin(&mut self) {
        match self.manager.begin() {
            Began::Yes(_) => {
                assert!(self.open.is_none() && self.committing.is_none() && !self.is_fatal);
                assert!(self.call.is_none(), "the last one is not answered");
                (self.enrolled, self.waiting) = Default::default();
                self.open = Some(Fate {
                    ends_before: self.coordinator.ends.len(),
                    ..Fate::default()
                });
            }
            Began::Open => assert!(self.open.is_some()),
            Began::Never(_) => assert!(self.is_fatal),
            Began::Wait => assert!(self.open.is_none()),
        }
    }

    fn send(&mut self, to: TopicPartition) {
        let Some(open) = &mut self.open else { return };
        match self.manager.enroll(&to) {
            Enrolment::Refused(_) => return,
            Enrolment::Now => {
                self.enrolled.insert(to.clone());
            }
            Enrolment::Later => {
                self.waiting.insert(to.clone());
            }
            Enrolment::Known => {}
        }
        open.wrote = true;
        if self.enrolled.contains(&to) {
            self.coordinator.write(to);
        }
    }

    fn send_offsets(&mut self, group: &str) {
        let Some(open) = &mut self.open else { return };
        if let Ok(number) =
            self.manager
                .add_offsets(self.manager.number(), GroupMetadata::new(group), Vec::new())
        {
            open.offsets.insert(number);
            self.offsets.insert(number, None);
        }
    }

    fn commit(&mut self) {
        let Some(mut fate) = self.open.take() else {
            return;
        };
        match self.manager.commit(self.manager.number()) {
            Ok(()) => self.committing = Some(fate),
            Err(_) => {
                fate.told = Some(Err(false));
                self.fates.push(fate);
            }
        }
    }

    fn abort(&mut self) {
        let Some(mut fate) = self.open.take() else {
            return;
        };
        fate.told = Some(Err(false));
        self.fates.push(fate);
        let told = self
            .manager
            .abort(None, || Error::Closed { what: "aborted" });
        self.take(told);
    }

    /// Records that wait for their partition keep a commit from being quiet.
    fn is_quiet(&self) -> bool {
        self.waiting.is_empty() || self.manager.failure().is_some()
    }

    fn advance(&mut self) {
        match self.manager.next(self.is_quiet()) {
            Next::Nothing => {}
            Next::Finish => {
                assert!(!self.coordinator.is_open, "the coordinator knows of it");
                let told = self.manager.finish();
                self.take(told);
            }
            Next::Call(request) => {
                if let Some(before) = &self.call {
                    assert_eq!(format!("{before:?}"), format!("{request:?}"));
                } else {
                    self.is_doubtful = false;
                }
                if matches!(request, TxnRequest::EndTxn { .. }) {
                    assert!(self.is_quiet());
                }
                self.call = Some(request);
            }
        }
    }

    /// What becomes of the call that is on the way.
    fn answer(&mut self, how: u8) {
        let Some(request) = self.call.clone() else {
            return;
        };
        let producer = self.manager.producer();
        let protocol = if self.coordinator.second {
            Protocol::Second
        } else {
            Protocol::First
        };
        self.manager.offer(protocol);
        let outcome = match how {
            0..=3 => Outcome::Done(self.coordinator.apply(&request, producer)),
            4 => {
                self.coordinator.apply(&request, producer);
                self.is_doubtful = true;
                Outcome::Unanswered(error("lost"))
            }
            5 => Outcome::Unanswered(error("not sent")),
            6 => Outcome::Refused(TxnVerdict::Retry, error("not yet")),
            7 => Outcome::Refused(TxnVerdict::Find, error("not there")),
            // A coordinator does not refuse what it has done, nor an abort.
            8 if !self.is_doubtful && !matches!(request, TxnRequest::EndTxn { commit: false }) => {
                Outcome::Refused(TxnVerdict::Abort, error("refused"))
            }
            9 if !self.is_doubtful => {
                self.is_fatal = true;
                Outcome::Refused(TxnVerdict::Fatal, error("fatal"))
            }
            _ => return,
        };
        let is_final = matches!(outcome, Outcome::Done(_) | Outcome::Refused(..));
        // What was to become part of a transaction that has failed since is left.
        let is_left = matches!(outcome, Outcome::Refused(..))
            && matches!(
                request,
                TxnRequest::AddPartitions(_) | TxnRequest::AddOffsets(_)
            )
            && self.manager.failure().is_some();
        let is_answered = !self.is_doubtful || matches!(outcome, Outcome::Done(_));
        if is_final && (is_answered || is_left) {
            (self.call, self.is_doubtful) = (None, false);
        }
        let told = self.manager.answered(outcome);
        // One that is asked for again as it was is still the same call.
        if let Next::Call(again) = self.manager.next(false)
            && self.call.is_none()
        {
            self.call = Some(again);
        }
        self.take(told);
    }

    fn step(&mut self, what: u8, with: u8) {
        match what % 16 {
            0 => self.begin(),
            1..=3 => self.send(partition(with)),
            4 => self.send_offsets(["g", "h"][usize::from(with % 2)]),
            5 => self.commit(),
            6 if with.is_multiple_of(3) => self.abort(),
            7 if with.is_multiple_of(5) && self.open.is_some() => {
                let told = self.manager.fail(error("a record failed"));
                self.waiting.clear();
                self.take(told);
            }
            8..=11 => self.advance(),
            12..=14 => self.answer(with % 10),
            _ => self.answer(with % 7),
        }
    }

    /// Everything that is still asked for is answered.
    fn settle(&mut self) {
        self.abort();
        for _ in 0..100 {
            self.advance();
            self.answer(0);
        }
        if !self.is_fatal {
            assert!(self.committing.is_none(), "a commit that nobody is told of");
            assert!(!self.manager.is_ending());
            assert!(!self.coordinator.is_open, "a transaction is left open");
            assert!(matches!(self.manager.begin(), Began::Yes(_)));
        }
    }

    /// Each transaction became what its application was told.
    fn check(&self) {
        for (n, fate) in self.fates.iter().enumerate() {
            let next = self.fates.get(n + 1).map(|next| next.ends_before);
            let until = next.unwrap_or(self.coordinator.ends.len());
            let ends = &self.coordinator.ends[fate.ends_before.min(until)..until];
            let commits: Vec<_> = ends.iter().filter(|(commit, _)| *commit).collect();
            match fate.told {
                Some(Ok(())) => {
                    let is_empty = !fate.wrote && fate.offsets.is_empty();
                    assert_eq!(commits.len(), usize::from(!is_empty), "{fate:?}: {ends:?}");
                    if let [(_, offsets)] = commits[..] {
                        assert_eq!(*offsets, fate.offsets);
                    }
                }
                Some(Err(false)) => assert!(commits.is_empty(), "{fate:?}: {ends:?}"),
                Some(Err(true)) => assert!(self.is_fatal && commits.len() <= 1),
                None => unreachable!("{fate:?}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn each_transaction_becomes_what_its_application_is_told_whatever_happens(
        second: bool,
        steps in prop::collection::vec((any::<u8>(), any::<u8>()), 0..200),
    ) {
        let mut world = World::new(second);
        for (what, with) in steps {
            world.step(what, with);
        }
        world.settle();
        world.check();
    }
}
