//! Partitions that appear in a topic which is being read already.

use hashbrown::HashMap;

use crate::types::{TopicId, TopicName, TopicPartition};

/// How many partitions topics had, and since when that is known.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    topics: HashMap<TopicName, Grown>,
}

#[derive(Debug)]
struct Grown {
    id: TopicId,
    /// Partitions from so many on were not there at that time; the later, the more partitions.
    absent: Vec<(usize, i64)>,
    is_wanted: bool,
}

impl Growth {
    /// The cluster says that a topic has so many partitions; `now` is in milliseconds.
    pub(crate) fn see(&mut self, name: &TopicName, id: TopicId, count: usize, now: i64) {
        let fresh = || Grown {
            id,
            absent: vec![(count, now)],
            is_wanted: true,
        };
        let seen = self.topics.entry(name.clone()).or_insert_with(fresh);
        seen.is_wanted = true;
        let before = seen.absent.last().map_or(0, |(count, _)| *count);
        if seen.id != id || count < before {
            // Of the topic that was made anew nothing is known but this.
            *seen = fresh();
        } else if count > before {
            seen.absent.push((count, now));
        }
    }

    /// A time at which the partition was known not to be there, the last number of partitions that it is not among.
    pub(crate) fn absent_at(&self, partition: &TopicPartition) -> Option<i64> {
        let number = usize::try_from(partition.partition()).ok()?;
        let seen = self.topics.get(partition.topic())?;
        let without = seen.absent.iter().rev().find(|(count, _)| *count <= number);
        without.map(|(_, at)| *at)
    }

    /// What was not seen since the last call is of no interest any more.
    pub(crate) fn sweep(&mut self) {
        self.topics
            .retain(|_, seen| std::mem::take(&mut seen.is_wanted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: TopicId = TopicId([1; 16]);
    const NEW: TopicId = TopicId([2; 16]);

    fn absent(growth: &Growth, number: i32) -> Option<i64> {
        growth.absent_at(&TopicPartition::new("t", number))
    }

    #[test]
    fn a_partition_that_appears_was_absent_when_its_topic_was_seen_without_it() {
        let mut growth = Growth::default();
        assert_eq!(absent(&growth, 0), None, "nothing is known");
        let name = TopicName::from("t");
        for (count, now) in [(2, 100), (2, 200), (3, 300), (5, 400), (5, 500)] {
            growth.see(&name, OLD, count, now);
        }
        let all: Vec<_> = (0..6).map(|number| absent(&growth, number)).collect();
        let expected = [None, None, Some(100), Some(300), Some(300), Some(400)];
        assert_eq!(all, expected, "5 is not known of yet");
    }

    #[test]
    fn a_topic_made_anew_has_none_that_appeared() {
        let mut growth = Growth::default();
        let name = TopicName::from("t");
        growth.see(&name, OLD, 1, 100);
        growth.see(&name, NEW, 3, 200);
        assert_eq!(absent(&growth, 2), None);
        // Without ids, fewer partitions tell.
        growth.see(&name, NEW, 2, 300);
        assert_eq!(absent(&growth, 1), None);
        assert_eq!(absent(&growth, 2), Some(300));
    }

    #[test]
    fn what_is_not_read_any_more_is_forgotten() {
        let mut growth = Growth::default();
        growth.see(&TopicName::from("t"), OLD, 1, 100);
        growth.sweep();
        assert_eq!(absent(&growth, 1), Some(100));
        growth.sweep();
        assert_eq!(absent(&growth, 1), None);
    }
}
