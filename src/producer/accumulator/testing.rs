//! A topic for tests of what is made of it.

use crate::machine::topology::{Partition, Topic};
use crate::types::{BrokerId, TopicId};

/// A topic whose partitions broker 1 leads.
pub(crate) fn topic(partitions: usize) -> Topic {
    let leader = BrokerId(1);
    let partition = Partition {
        leader: Some(leader),
        leader_epoch: 0,
        replicas: vec![leader],
        isr: vec![leader],
        offline: Vec::new(),
    };
    Topic {
        name: "t".into(),
        id: TopicId::ZERO,
        internal: false,
        partitions: vec![partition; partitions],
        error: None,
    }
}
