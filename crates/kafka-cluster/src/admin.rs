//! Topics and their contents, as Java's clients and the brokers themselves report them.

use std::{io, sync::PoisonError, time::Duration};

use crate::{
    Cluster, ConsumedRecord, Error, PartitionOffsets,
    cluster::READY,
    helper::{Answers, Helper},
    probe::{Ask, View},
    process::wait_for,
};

const UNKNOWN_TOPIC: i16 = 3;
const ALL: Option<&[u8]> = Some(b"read_uncommitted");
const COMMITTED: Option<&[u8]> = Some(b"read_committed");

impl Cluster {
    /// Creates a topic and waits until every running node knows a leader of each of its partitions.
    ///
    /// # Errors
    ///
    /// What Java's admin client reports, such as a topic that exists.
    pub fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        replication: i16,
        config: &[(&str, &str)],
    ) -> Result<(), Error> {
        let (count, replication) = (partitions.to_string(), replication.to_string());
        let mut arguments = vec![count.as_str(), &replication];
        arguments.extend(config.iter().flat_map(|&(name, value)| [name, value]));
        self.administer("create", topic, &arguments)?;
        self.wait_for_partitions(topic, partitions)
    }

    /// Deletes a topic and waits until no running node knows it.
    ///
    /// # Errors
    ///
    /// What Java's admin client reports, such as a topic that does not exist.
    pub fn delete_topic(&self, topic: &str) -> Result<(), Error> {
        self.administer("delete", topic, &[])?;
        self.everywhere(
            Ask::One(topic),
            &format!("the end of topic {topic}"),
            |view| {
                view.topics
                    .get(topic)
                    .is_some_and(|topic| topic.error == UNKNOWN_TOPIC)
            },
        )
    }

    /// Gives a topic more partitions, `total` in all.
    ///
    /// # Errors
    ///
    /// What Java's admin client reports.
    pub fn grow_topic(&self, topic: &str, total: i32) -> Result<(), Error> {
        self.administer("grow", topic, &[&total.to_string()])?;
        self.wait_for_partitions(topic, total)
    }

    /// Deletes a partition's records below an offset.
    ///
    /// # Errors
    ///
    /// What Java's admin client reports.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<(), Error> {
        self.administer(
            "truncate",
            topic,
            &[&partition.to_string(), &before.to_string()],
        )
    }

    /// Changes settings of a topic; the others keep their values.
    ///
    /// # Errors
    ///
    /// What Java's admin client reports.
    pub fn alter_config(&self, topic: &str, config: &[(&str, &str)]) -> Result<(), Error> {
        let arguments: Vec<&str> = config
            .iter()
            .flat_map(|&(name, value)| [name, value])
            .collect();
        self.administer("alter-topic", topic, &arguments)
    }

    /// Changes dynamic settings of one broker, or of all with `None`.
    ///
    /// # Errors
    ///
    /// What Java's admin client reports.
    pub fn alter_broker_config(
        &self,
        node: Option<i32>,
        config: &[(&str, &str)],
    ) -> Result<(), Error> {
        let name = node.map(|node| node.to_string()).unwrap_or_default();
        let arguments: Vec<&str> = config
            .iter()
            .flat_map(|&(name, value)| [name, value])
            .collect();
        self.administer("alter-broker", &name, &arguments)
    }

    /// Makes a node the leader of a partition, a replica of which it need not have had, and waits
    /// until all know it.
    ///
    /// # Errors
    ///
    /// What Java's admin client reports.
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), Error> {
        self.administer("move", topic, &[&partition.to_string(), &node.to_string()])?;
        let what = format!("node {node} as the leader of {topic}-{partition}");
        self.everywhere(Ask::One(topic), &what, |view| {
            leader_in(view, topic, partition) == Some(node)
        })
    }

    /// The leader of a partition, in the view of the first running node that knows one; waits for
    /// an election to end.
    ///
    /// # Errors
    ///
    /// When no node knows a leader within 90 s.
    pub fn leader_of(&self, topic: &str, partition: i32) -> Result<i32, Error> {
        let mut leader = None;
        wait_for(READY, || {
            leader = self
                .views(Ask::One(topic))
                .iter()
                .flatten()
                .find_map(|view| leader_in(view, topic, partition));
            leader.is_some()
        });
        leader.ok_or_else(|| Error::Timeout {
            what: format!("a leader of {topic}-{partition}"),
            limit: READY,
        })
    }

    /// Waits until every replica of every partition is in sync.
    ///
    /// # Errors
    ///
    /// After `limit`.
    pub fn wait_in_sync(&self, limit: Duration) -> Result<(), Error> {
        self.everywhere_within(limit, Ask::All, "every replica in sync", |view| {
            let mut partitions = view
                .topics
                .values()
                .flat_map(|topic| topic.partitions.values());
            partitions.all(|partition| {
                partition.leader >= 0 && partition.in_sync.len() == partition.replicas.len()
            })
        })
    }

    /// Reads a topic from its beginning to its present end by Java's consumer, uncommitted records
    /// included.
    ///
    /// Records of one partition are in the order of their offsets.
    ///
    /// # Errors
    ///
    /// What Java's consumer reports, such as a topic that does not exist.
    pub fn consume_all(&self, topic: &str) -> Result<Vec<ConsumedRecord>, Error> {
        self.ask("consume", topic, &[ALL], Answers::record)
    }

    /// As [`Cluster::consume_all`], of committed records alone, up to the first transaction that is open.
    ///
    /// # Errors
    ///
    /// As [`Cluster::consume_all`].
    pub fn consume_committed(&self, topic: &str) -> Result<Vec<ConsumedRecord>, Error> {
        self.ask("consume", topic, &[COMMITTED], Answers::record)
    }

    /// Where each partition of a topic begins and ends, by Java's consumer.
    ///
    /// # Errors
    ///
    /// What Java's consumer reports.
    pub fn offsets(&self, topic: &str) -> Result<Vec<PartitionOffsets>, Error> {
        self.ask("offsets", topic, &[ALL], Answers::offsets)
    }

    /// As [`Cluster::offsets`], where a partition ends at its first open transaction: at the last stable offset.
    ///
    /// # Errors
    ///
    /// What Java's consumer reports.
    pub fn stable_offsets(&self, topic: &str) -> Result<Vec<PartitionOffsets>, Error> {
        self.ask("offsets", topic, &[COMMITTED], Answers::offsets)
    }

    /// The partition that Java's producer chooses for each key, found by sending the keys to the
    /// topic.
    ///
    /// # Errors
    ///
    /// What Java's producer reports.
    pub fn java_partitions(&self, topic: &str, keys: &[Vec<u8>]) -> Result<Vec<i32>, Error> {
        let keys: Vec<Option<&[u8]>> = keys.iter().map(|key| Some(key.as_slice())).collect();
        self.ask("partitions", topic, &keys, Answers::i32)
    }

    fn administer(&self, command: &str, name: &str, arguments: &[&str]) -> Result<(), Error> {
        let arguments: Vec<Option<&[u8]>> = arguments
            .iter()
            .map(|argument| Some(argument.as_bytes()))
            .collect();
        self.ask(command, name, &arguments, |_| Ok(())).map(drop)
    }

    pub(crate) fn ask<T>(
        &self,
        command: &str,
        name: &str,
        arguments: &[Option<&[u8]>],
        row: fn(&mut Answers) -> io::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let bootstrap = self.running_addresses()?;
        let mut all = vec![
            Some(command.as_bytes()),
            Some(bootstrap.as_bytes()),
            Some(name.as_bytes()),
        ];
        all.extend(arguments);
        let mut slot = self.helper.lock().unwrap_or_else(PoisonError::into_inner);
        let mut helper = match slot.take() {
            Some(helper) => helper,
            None => Helper::start(&self.group, self.plan.dir.join("helper.log"))?,
        };
        let answer = helper.ask(&all, row);
        // After a broken pipe the next question gets a new process.
        if matches!(answer, Ok(_) | Err(Error::Java(_))) {
            *slot = Some(helper);
        }
        answer
    }

    fn wait_for_partitions(&self, topic: &str, partitions: i32) -> Result<(), Error> {
        let what = format!("leaders of topic {topic}'s {partitions} partitions");
        self.everywhere(Ask::One(topic), &what, |view| {
            (0..partitions).all(|partition| leader_in(view, topic, partition).is_some())
        })
    }

    fn everywhere(
        &self,
        ask: Ask<'_>,
        what: &str,
        holds: impl Fn(&View) -> bool,
    ) -> Result<(), Error> {
        self.everywhere_within(READY, ask, what, holds)
    }

    /// Waits until a condition holds in the view of every running node.
    fn everywhere_within(
        &self,
        limit: Duration,
        ask: Ask<'_>,
        what: &str,
        holds: impl Fn(&View) -> bool,
    ) -> Result<(), Error> {
        let all = || {
            self.views(ask)
                .iter()
                .all(|view| view.as_ref().is_some_and(&holds))
        };
        if wait_for(limit, all) {
            return Ok(());
        }
        Err(Error::Timeout {
            what: what.to_owned(),
            limit,
        })
    }

    /// What each running node says; `None` for one that does not answer.
    fn views(&self, ask: Ask<'_>) -> Vec<Option<View>> {
        self.running()
            .into_iter()
            .map(|node| self.view(node, ask))
            .collect()
    }
}

fn leader_in(view: &View, topic: &str, partition: i32) -> Option<i32> {
    let leader = view.topics.get(topic)?.partitions.get(&partition)?.leader;
    (leader >= 0).then_some(leader)
}
