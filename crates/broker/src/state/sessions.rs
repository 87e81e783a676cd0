//! Fetch sessions (KIP-227): what a client fetches from a node, told once and then only as it changes.

use std::collections::{BTreeMap, HashMap};

use super::ids::NodeId;
use crate::wire::{ErrorCode, Name, TopicId};

/// As many as Kafka keeps a node (`max.incremental.fetch.session.cache.slots`); the oldest goes for a new one.
const MOST: usize = 1000;
/// As many partitions are remembered in all sessions together; beyond, the oldest sessions go, too.
const MOST_PARTITIONS: usize = 1_000_000;

/// A topic as the request's version names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TopicRef {
    Name(Name),
    Id(TopicId),
}

/// What is fetched of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) offset: i64,
    pub(crate) max_bytes: usize,
    /// High watermark and log start as the session told them last.
    pub(crate) told: Option<(i64, i64)>,
}

#[derive(Debug)]
pub(crate) struct Session {
    /// The epoch of the next request.
    epoch: i32,
    by_id: bool,
    places: HashMap<(TopicRef, i32), u64>,
    /// In the order in which they are read: who got records goes to the end.
    wanted: BTreeMap<u64, Wanted>,
    next_place: u64,
}

/// All sessions of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: BTreeMap<(NodeId, i32), Session>,
    /// When each was made, oldest first.
    ages: BTreeMap<u64, (NodeId, i32)>,
    made: u64,
    /// In all sessions together.
    partitions: usize,
}

impl Session {
    fn put(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.partition);
        if let Some(place) = self.places.get(&key)
            && let Some(old) = self.wanted.get_mut(place)
        {
            let told = old.told;
            *old = wanted;
            old.told = told;
            return;
        }
        self.places.insert(key, self.next_place);
        self.wanted.insert(self.next_place, wanted);
        self.next_place += 1;
    }

    fn remove(&mut self, topic: &TopicRef, partition: i32) -> Option<Wanted> {
        let place = self.places.remove(&(topic.clone(), partition))?;
        self.wanted.remove(&place)
    }

    /// What was told of a partition; if it had records, the others have their turn first.
    pub(crate) fn told(&mut self, topic: &TopicRef, partition: i32, marks: (i64, i64), read: bool) {
        let key = (topic.clone(), partition);
        if let Some(place) = self.places.get(&key)
            && let Some(wanted) = self.wanted.get_mut(place)
        {
            wanted.told = Some(marks);
        }
        if read && let Some(wanted) = self.remove(topic, partition) {
            self.put(wanted);
        }
    }

    /// An error was told: what comes next is told in any case.
    pub(crate) fn told_error(&mut self, topic: &TopicRef, partition: i32) {
        let key = (topic.clone(), partition);
        if let Some(place) = self.places.get(&key)
            && let Some(wanted) = self.wanted.get_mut(place)
        {
            wanted.told = None;
        }
    }

    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        self.wanted.values().cloned().collect()
    }
}

impl Sessions {
    /// Begins a session and gives it its id.
    pub(crate) fn begin(
        &mut self,
        node: NodeId,
        id: i32,
        by_id: bool,
        wanted: impl IntoIterator<Item = Wanted>,
    ) {
        let mut session = Session {
            epoch: 1,
            by_id,
            places: HashMap::new(),
            wanted: BTreeMap::new(),
            next_place: 0,
        };
        for one in wanted {
            session.put(one);
        }
        self.partitions += session.wanted.len();
        self.ages.insert(self.made, (node, id));
        self.made += 1;
        self.all.insert((node, id), session);
        self.make_room();
    }

    /// Lets the oldest sessions go until the limits hold.
    fn make_room(&mut self) {
        while self.all.len() > MOST || self.partitions > MOST_PARTITIONS {
            let Some((_, oldest)) = self.ages.pop_first() else {
                return;
            };
            if let Some(gone) = self.all.remove(&oldest) {
                self.partitions -= gone.wanted.len();
            }
        }
    }

    /// What a session has, as far as there is such a session.
    pub(crate) fn wanted(&self, node: NodeId, id: i32) -> impl Iterator<Item = &Wanted> {
        let session = self.all.get(&(node, id));
        session
            .into_iter()
            .flat_map(|session| session.wanted.values())
    }

    pub(crate) fn has(&self, node: NodeId, id: i32) -> bool {
        self.all.contains_key(&(node, id))
    }

    pub(crate) fn get_mut(&mut self, node: NodeId, id: i32) -> Option<&mut Session> {
        self.all.get_mut(&(node, id))
    }

    pub(crate) fn end(&mut self, node: NodeId, id: i32) {
        if let Some(gone) = self.all.remove(&(node, id)) {
            self.partitions -= gone.wanted.len();
            self.ages.retain(|_, of| *of != (node, id));
        }
    }

    pub(crate) fn forget_node(&mut self, node: NodeId) {
        let partitions = &mut self.partitions;
        self.all.retain(|(of, _), session| {
            let stays = *of != node;
            if !stays {
                *partitions -= session.wanted.len();
            }
            stays
        });
        self.ages.retain(|_, (of, _)| *of != node);
    }

    /// The next request of a session: applies its changes.
    pub(crate) fn go_on(
        &mut self,
        node: NodeId,
        id: i32,
        epoch: i32,
        by_id: bool,
        changed: Vec<Wanted>,
        forgotten: &[(TopicRef, i32)],
    ) -> Result<(), ErrorCode> {
        let session = self
            .all
            .get_mut(&(node, id))
            .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.by_id != by_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        if session.epoch != epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        session.epoch = epoch.checked_add(1).unwrap_or(1);
        let before = session.wanted.len();
        for one in changed {
            session.put(one);
        }
        for (topic, partition) in forgotten {
            session.remove(topic, *partition);
        }
        self.partitions = self.partitions - before + session.wanted.len();
        self.make_room();
        Ok(())
    }
}
