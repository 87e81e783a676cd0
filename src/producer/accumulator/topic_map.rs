//! The topics that records go to: a map that only grows, read without a lock or an atomic write.
//!
//! Every record looks its topic up, so a look-up is a hash, a few plain loads and one comparison.
//! A topic that grows is followed by its successor; neither is freed before the map is.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use super::topics::TopicQueues;

const BUCKETS: usize = 256;

/// Topics by name.
pub(crate) struct TopicMap {
    buckets: Vec<OnceLock<Box<Node>>>,
    hasher: hashbrown::DefaultHashBuilder,
}

struct Node {
    name: Arc<str>,
    queues: Arc<TopicQueues>,
    /// The same topic with more partitions.
    grown: OnceLock<Box<Node>>,
    /// Another topic of the same bucket.
    next: OnceLock<Box<Node>>,
}

impl Node {
    fn new(name: Arc<str>, queues: Arc<TopicQueues>) -> Box<Self> {
        Box::new(Self {
            name,
            queues,
            grown: OnceLock::new(),
            next: OnceLock::new(),
        })
    }

    /// What the topic has become.
    #[inline]
    fn newest(&self) -> &Self {
        let mut node = self;
        while let Some(grown) = node.grown.get() {
            node = grown;
        }
        node
    }
}

impl Default for TopicMap {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| OnceLock::new()).collect(),
            hasher: hashbrown::DefaultHashBuilder::default(),
        }
    }
}

/// Equality without a call for names of 4 to 32 bytes: two words that overlap.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        8..=16 => {
            (a.first_chunk::<8>(), a.last_chunk::<8>())
                == (b.first_chunk::<8>(), b.last_chunk::<8>())
        }
        17..=32 => {
            (a.first_chunk::<16>(), a.last_chunk::<16>())
                == (b.first_chunk::<16>(), b.last_chunk::<16>())
        }
        4..8 => {
            (a.first_chunk::<4>(), a.last_chunk::<4>())
                == (b.first_chunk::<4>(), b.last_chunk::<4>())
        }
        _ => a == b,
    }
}

impl TopicMap {
    #[inline]
    fn bucket(&self, name: &str) -> Option<&OnceLock<Box<Node>>> {
        let hash = self.hasher.hash_one(name);
        self.buckets.get(hash as usize % BUCKETS)
    }

    /// The topic's queues.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<TopicQueues>> {
        let mut node = self.bucket(name)?.get()?;
        while !same(node.name.as_bytes(), name.as_bytes()) {
            node = node.next.get()?;
        }
        Some(&node.newest().queues)
    }

    /// Adds a topic, or what it has become. To be called by one thread at a time.
    pub(crate) fn put(&self, name: Arc<str>, queues: Arc<TopicQueues>) {
        let Some(mut place) = self.bucket(&name) else {
            return;
        };
        let mut fresh = Node::new(name, queues);
        loop {
            match place.get() {
                Some(node) if node.name == fresh.name => {
                    // Nobody else adds, so the newest has no successor yet.
                    let _ = node.newest().grown.set(fresh);
                    return;
                }
                Some(node) => place = &node.next,
                None => match place.set(fresh) {
                    Ok(()) => return,
                    Err(rejected) => fresh = rejected,
                },
            }
        }
    }

    /// Every topic's queues.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<TopicQueues>)> {
        self.buckets
            .iter()
            .flat_map(|bucket| {
                std::iter::successors(bucket.get(), |node| node.next.get()).map(|node| &**node)
            })
            .map(|node| (&node.name, &node.newest().queues))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::produce::Limits;
    use crate::machine::topology::Topic;
    use std::time::Duration;

    #[test]
    fn names_are_the_same_only_when_every_byte_is() {
        for len in 0..40 {
            let name: Vec<u8> = (0..len).collect();
            assert!(same(&name, &name.clone()), "{len} bytes");
            assert!(!same(&name, &vec![0xff; name.len() + 1]));
            for at in 0..name.len() {
                let mut other = name.clone();
                other[at] ^= 0x80;
                assert!(!same(&name, &other), "{len} bytes, another at {at}");
            }
        }
    }

    fn queues(name: &str) -> Arc<TopicQueues> {
        let limits = Limits {
            batch_size: 1,
            linger: Duration::ZERO,
            delivery_timeout: Duration::ZERO,
            retries: 0,
            compressed: false,
            idempotent: false,
            transactional: false,
        };
        let topic = Topic {
            name: name.into(),
            id: crate::types::TopicId::ZERO,
            internal: false,
            partitions: Vec::new(),
            error: None,
        };
        Arc::new(TopicQueues::new(&topic, None, limits))
    }

    #[test]
    fn every_topic_is_found_again_and_no_other() {
        let map = TopicMap::default();
        let all: Vec<_> = (0..1000)
            .map(|i| (format!("topic-{i}"), queues("t")))
            .collect();
        for (name, queues) in &all {
            assert!(map.get(name).is_none());
            map.put(name.as_str().into(), Arc::clone(queues));
        }
        for (name, queues) in &all {
            assert!(Arc::ptr_eq(map.get(name).unwrap(), queues), "{name}");
        }
        assert!(map.get("topic-1000").is_none());
        assert_eq!(map.all().count(), 1000);
    }

    #[test]
    fn grown_topic_takes_the_place_of_what_it_was() {
        let map = TopicMap::default();
        map.put("a".into(), queues("a"));
        for _ in 0..3 {
            let larger = queues("a");
            map.put("a".into(), Arc::clone(&larger));
            assert!(Arc::ptr_eq(map.get("a").unwrap(), &larger));
        }
        assert_eq!(map.all().count(), 1);
    }
}
