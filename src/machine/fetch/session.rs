//! A fetch session with one broker (KIP-227): only what has changed is asked for, only news are answered.
//!
//! ```text
//!            full answer, id given            answered
//!   None ──────────────────────▶ Open(id, 1) ──────────▶ Open(id, n + 1)
//!    ▲                               │
//!    └───────────────────────────────┘  the broker lost it, or the answer was lost
//! ```

use hashbrown::HashMap;

use super::partition_state::PartitionState;
use super::position::Wanted;
use crate::error::ErrorCode;
use crate::types::{TopicId, TopicName, TopicPartition};
use crate::wire::{FetchPartition, FetchTopic, ForgottenTopic, TopicRef};

/// The epoch that asks for a new session.
const NEW: i32 = 0;
/// The epoch that ends one.
const FINAL: i32 = -1;

/// What both sides have agreed upon.
#[derive(Debug, Default)]
pub(crate) struct Session {
    id: i32,
    epoch: i32,
    round: u64,
    /// Topics go by their ids, since all have one; else all go by name.
    has_ids: bool,
    /// By the partition's index: what was asked for last.
    sent: Vec<Option<SessionPartition>>,
    count: usize,
    names: HashMap<TopicName, HashMap<i32, u32>>,
    ids: HashMap<TopicId, TopicName>,
}

#[derive(Debug)]
struct SessionPartition {
    wanted: Wanted,
    /// The last request that was for this partition too.
    round: u64,
}

/// What to put into the next request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) session_id: i32,
    pub(crate) session_epoch: i32,
    /// Every topic of the session has an id.
    pub(crate) has_ids: bool,
    pub(crate) topics: Vec<FetchTopic>,
    pub(crate) forgotten: Vec<ForgottenTopic>,
    /// The session's partitions, those that the request need not name included.
    pub(crate) partitions: usize,
}

impl Asked {
    /// The same in a request that belongs to no session.
    pub(crate) fn once(mut self) -> Self {
        (self.session_id, self.session_epoch) = (0, FINAL);
        self
    }
}

/// What an answer says of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It goes on, and there may be news of partitions.
    News,
    /// The broker does not have it any more: the same is to be asked again, from the start.
    Lost,
    /// The broker refuses the request.
    Refused,
}

impl Session {
    /// The next request, for these partitions and no others.
    pub(crate) fn ask<'a>(
        &mut self,
        partitions: impl Iterator<Item = (u32, &'a PartitionState)> + Clone,
        max_bytes: i32,
    ) -> Asked {
        if !self.is_kept() {
            self.restart();
        }
        let (asked, is_sound) = self.collect(partitions.clone(), max_bytes);
        if is_sound {
            return asked;
        }
        self.restart();
        self.collect(partitions, max_bytes).0
    }

    /// The request, and whether it can be made within the session: that is by ids or by names, and by name a topic
    /// that was made anew is the same as the old one, and would be asked for and forgotten.
    fn collect<'a>(
        &mut self,
        partitions: impl Iterator<Item = (u32, &'a PartitionState)>,
        max_bytes: i32,
    ) -> (Asked, bool) {
        self.round += 1;
        let mut asked = self.asked_nothing();
        let mut replaced = Vec::new();
        for (index, partition) in partitions {
            asked.partitions += 1;
            asked.has_ids &= !partition.topic_id.is_zero();
            if !self.is_known(index, partition) {
                replaced.extend(self.add(index, partition, max_bytes, &mut asked));
            }
        }
        if self.epoch != NEW && asked.has_ids != self.has_ids {
            return (asked, false);
        }
        self.has_ids = asked.has_ids;
        if self.count > asked.partitions {
            replaced.extend(self.take_others());
        }
        for wanted in replaced {
            match self.at(wanted.partition.topic(), wanted.partition.partition()) {
                // It is there still, at another index: brokers drop what is forgotten even if it is asked for, too.
                Some(there) if there.wanted.is_of(&wanted) => continue,
                Some(there) if there.wanted.partition == wanted.partition => return (asked, false),
                _ => {}
            }
            self.unname(&wanted);
            forget(&mut asked.forgotten, wanted);
        }
        (asked, true)
    }

    fn asked_nothing(&self) -> Asked {
        Asked {
            session_id: self.id,
            session_epoch: self.epoch,
            has_ids: true,
            topics: Vec::new(),
            forgotten: Vec::new(),
            partitions: 0,
        }
    }

    /// Whether the session knows all that the request would say of this partition.
    fn is_known(&mut self, index: u32, partition: &PartitionState) -> bool {
        let Some(Some(sent)) = self.sent.get_mut(index as usize) else {
            return false;
        };
        let is_known = partition.is_asked_by(&sent.wanted);
        if is_known {
            sent.round = self.round;
        }
        is_known
    }

    /// Whether what was asked for last has this partition from where it is read now.
    pub(crate) fn covers(&self, index: u32, partition: &PartitionState) -> bool {
        let sent = self.sent.get(index as usize).and_then(Option::as_ref);
        sent.is_some_and(|sent| {
            sent.wanted.topic_id == partition.topic_id && partition.expects(&sent.wanted)
        })
    }

    /// Puts the partition into the request; returns the one that had its index before.
    fn add(
        &mut self,
        index: u32,
        partition: &PartitionState,
        max_bytes: i32,
        asked: &mut Asked,
    ) -> Option<Wanted> {
        let mut replaced = None;
        let wanted = partition.wanted(index);
        let at = index as usize;
        if self.sent.len() <= at {
            self.sent.resize_with(at + 1, || None);
        }
        let place = self.sent.get_mut(at)?;
        match place {
            Some(sent) if sent.wanted.is_of(&wanted) => {
                sent.wanted = wanted.clone();
                sent.round = self.round;
            }
            place => {
                let old = place.replace(SessionPartition {
                    wanted: wanted.clone(),
                    round: self.round,
                });
                replaced = old.map(|old| old.wanted);
                if replaced.is_none() {
                    self.count += 1;
                }
                self.name(&wanted.partition, wanted.topic_id, index);
            }
        }
        let partition = FetchPartition {
            partition: wanted.partition.partition(),
            leader_epoch: wanted.leader_epoch,
            offset: wanted.offset,
            max_bytes,
        };
        // Those of one topic follow each other.
        match asked.topics.last_mut() {
            Some(topic) if topic.name == *wanted.partition.name() => {
                topic.partitions.push(partition);
            }
            _ => asked.topics.push(FetchTopic {
                name: wanted.partition.name().clone(),
                id: wanted.topic_id,
                partitions: vec![partition],
            }),
        }
        replaced
    }

    fn name(&mut self, partition: &TopicPartition, id: TopicId, index: u32) {
        self.names
            .entry(partition.name().clone())
            .or_default()
            .insert(partition.partition(), index);
        if !id.is_zero() {
            self.ids.insert(id, partition.name().clone());
        }
    }

    /// Takes out what this round was not for.
    fn take_others(&mut self) -> Vec<Wanted> {
        let round = self.round;
        let places = self.sent.iter_mut();
        let others = places.filter_map(|place| place.take_if(|sent| sent.round != round));
        let others: Vec<_> = others.map(|sent| sent.wanted).collect();
        self.count -= others.len();
        others
    }

    /// Where a partition is that is in the session.
    fn at(&self, name: &str, number: i32) -> Option<&SessionPartition> {
        let index = *self.names.get(name)?.get(&number)?;
        self.sent.get(index as usize)?.as_ref()
    }

    /// Drops the name of what is not in the session any more; a topic made anew has the same.
    fn unname(&mut self, wanted: &Wanted) {
        let (name, number) = (wanted.partition.topic(), wanted.partition.partition());
        let is_used = self
            .at(name, number)
            .is_some_and(|sent| sent.wanted.partition == wanted.partition);
        let Some(numbers) = self.names.get_mut(name).filter(|_| !is_used) else {
            return;
        };
        numbers.remove(&number);
        if numbers.is_empty() {
            self.names.remove(name);
            self.ids.remove(&wanted.topic_id);
        }
    }

    /// What was asked for of a partition in an answer.
    pub(crate) fn asked(&self, topic: &TopicRef, partition: i32) -> Option<&Wanted> {
        let name = match topic {
            TopicRef::Name(name) => name.as_str(),
            TopicRef::Id(id) => self.ids.get(id)?,
        };
        self.at(name, partition).map(|sent| &sent.wanted)
    }

    /// An answer came.
    pub(crate) fn answered(&mut self, code: ErrorCode, id: i32) -> Heard {
        if code.is_none() {
            self.id = id;
            // Never back to the epoch that asks for a new one.
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
            return Heard::News;
        }
        let is_lost = match code {
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND => {
                self.id = 0;
                true
            }
            code => code == ErrorCode::INVALID_FETCH_SESSION_EPOCH,
        };
        // Who refuses a new session would refuse the next one at once, too.
        let heard = if is_lost && self.epoch != NEW {
            Heard::Lost
        } else {
            Heard::Refused
        };
        self.restart();
        heard
    }

    /// Without an id the broker keeps no session, for want of room: each request names everything.
    pub(crate) fn is_kept(&self) -> bool {
        self.id != 0
    }

    /// The answer was lost, or ids are void: the next request replaces the session, which the broker still may have.
    pub(crate) fn restart(&mut self) {
        self.epoch = NEW;
        self.sent.clear();
        self.count = 0;
        self.names.clear();
        self.ids.clear();
    }

    /// The session's id and the epoch that ends it, where there is one to end.
    pub(crate) fn end(&self) -> Option<(i32, i32)> {
        self.is_kept().then_some((self.id, FINAL))
    }
}

fn forget(topics: &mut Vec<ForgottenTopic>, wanted: Wanted) {
    let number = wanted.partition.partition();
    match topics.last_mut() {
        Some(topic) if topic.name == *wanted.partition.name() && topic.id == wanted.topic_id => {
            topic.partitions.push(number);
        }
        _ => topics.push(ForgottenTopic {
            name: wanted.partition.name().clone(),
            id: wanted.topic_id,
            partitions: vec![number],
        }),
    }
}
