mod between;
mod coordinator;
mod faults;
mod script;
mod session;
mod steps;
mod world;

use std::time::{Duration, Instant};

use super::*;
use crate::config::Backoff;
use crate::error::ErrorCode;
use crate::machine::group::assign::PartitionCounts;
use crate::machine::group::member::{Answer, Joined};
use crate::machine::group::protocol::Assignment;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn settings(assignors: &[Assignor]) -> Settings {
    Settings {
        group: "g".into(),
        instance_id: None,
        rack: None,
        assignors: assignors.to_vec(),
        session_timeout: ms(10_000),
        heartbeat_interval: ms(3_000),
        rebalance_timeout: ms(60_000),
        request_timeout: ms(30_000),
        backoff: Backoff {
            base: ms(100),
            max: ms(1_000),
        },
    }
}

fn partitions(text: &str) -> Vec<TopicPartition> {
    let one = |name: &str| TopicPartition::new(&name[..1], name[1..].parse().unwrap());
    text.split_whitespace().map(one).collect()
}

fn names(partitions: &[TopicPartition]) -> String {
    let name = |p: &TopicPartition| format!(" {}{}", p.topic(), p.partition());
    partitions.iter().map(name).collect()
}

impl Classic {
    /// Whether the consumer is closed, or is being closed.
    fn is_closed(&self) -> bool {
        matches!(self.goal, Goal::Closed | Goal::Left)
    }
}
