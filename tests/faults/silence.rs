//! A steady load on the partitions of several brokers, one of which is to fall silent.

use std::time::Duration;

use ottla::{Producer, ProducerBuilder};

use super::load::{Keys, Load, Plan};
use super::world::{Live, Outcome};

/// A load that has begun on every partition.
pub(crate) struct Silence {
    pub(crate) producer: Producer,
    pub(crate) load: Load,
    /// The broker to make silent: the leader of partition 0.
    pub(crate) broker: i32,
    /// The partitions that it does not lead.
    pub(crate) others: Vec<i32>,
}

impl Silence {
    /// Of the topic: each broker leads some.
    pub(crate) const PARTITIONS: i32 = 6;

    /// One replica each, so that no partition needs another broker than its leader.
    pub(crate) async fn prepare(
        live: &Live,
        topic: &str,
        set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Outcome<Self> {
        live.create_topic(topic, Self::PARTITIONS, 1, &[("min.insync.replicas", "1")])?;
        let broker = live.leader_of(topic, 0)?;
        let mut others = Vec::new();
        for partition in 0..Self::PARTITIONS {
            if live.leader_of(topic, partition)? != broker {
                others.push(partition);
            }
        }
        let producer = set(live.client(false).await?.producer()).build()?;
        let plan = Plan {
            topic: topic.to_owned(),
            partitions: Self::PARTITIONS,
            // 500 for each.
            rate: 3000,
            keys: Keys::Partitions(Self::PARTITIONS as u64),
        };
        let load = Load::start(producer.clone(), plan);
        load.advance_all(50, Duration::from_secs(20)).await?;
        Ok(Self {
            producer,
            load,
            broker,
            others,
        })
    }
}
