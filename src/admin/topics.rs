//! Creating, deleting, enlarging and describing topics.

use std::sync::Arc;

use hashbrown::HashMap;
use tokio::time::{Instant, sleep, timeout_at};

use super::acl::{AclOperation, authorized};
use super::{Admin, refusal, retry_all};
use crate::cluster::unanswered;
use crate::error::{Error, ErrorCode, Result};
use crate::types::TopicId;
use crate::wire::{
    CreatePartitions, CreateTopics, DeleteTopics, GrownTopic, MetadataTopics, NewTopicSpec,
    PartitionMeta, TopicMeta,
};

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    name: Arc<str>,
    partitions: i32,
    replication: i16,
    assignments: Vec<(i32, Vec<i32>)>,
    configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic with the broker's default partitions and replication (`num.partitions`,
    /// `default.replication.factor`).
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            partitions: -1,
            replication: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }

    /// How many partitions; at least 1.
    #[must_use]
    pub fn partitions(mut self, count: i32) -> Self {
        self.partitions = count;
        self
    }

    /// How many brokers hold each partition; at least 1.
    #[must_use]
    pub fn replication(mut self, factor: i16) -> Self {
        self.replication = factor;
        self
    }

    /// Says which brokers hold a partition, its preferred leader first; to be said of every partition.
    #[must_use]
    pub fn assignment(mut self, partition: i32, brokers: impl Into<Vec<i32>>) -> Self {
        self.assignments.push((partition, brokers.into()));
        self
    }

    /// A topic setting by its Kafka name, such as `retention.ms`.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), Some(value.into())));
        self
    }

    fn spec(&self) -> NewTopicSpec {
        let assigned = !self.assignments.is_empty();
        NewTopicSpec {
            name: Arc::clone(&self.name),
            partitions: if assigned { -1 } else { self.partitions },
            replication: if assigned { -1 } else { self.replication },
            assignments: self.assignments.clone(),
            configs: self.configs.clone(),
        }
    }
}

/// A topic that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedTopic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; zero on a broker older than Kafka 2.8.
    pub id: TopicId,
    /// Its partitions, where the broker tells.
    pub partitions: Option<i32>,
    /// Its replication factor, where the broker tells.
    pub replication: Option<i16>,
}

/// How many partitions a topic is to have from now on.
///
/// Records with a key that came before stay where they are: the same key may be in another partition afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    topic: Arc<str>,
    total: i32,
    assignments: Vec<Vec<i32>>,
}

impl NewPartitions {
    /// `total` partitions of `topic`, those that it has included; more than it has.
    pub fn new(topic: impl Into<Arc<str>>, total: i32) -> Self {
        Self {
            topic: topic.into(),
            total,
            assignments: Vec::new(),
        }
    }

    /// Says which brokers hold the next new partition, its preferred leader first; to be said of every new one or
    /// of none.
    #[must_use]
    pub fn assignment(mut self, brokers: impl Into<Vec<i32>>) -> Self {
        self.assignments.push(brokers.into());
        self
    }

    fn spec(self) -> GrownTopic {
        GrownTopic {
            name: self.topic,
            count: self.total,
            assignments: Some(self.assignments).filter(|all| !all.is_empty()),
        }
    }
}

/// What the cluster knows about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; zero on a broker older than Kafka 2.8.
    pub id: TopicId,
    /// Whether Kafka keeps it for itself, such as `__consumer_offsets`.
    pub internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
    /// What this client may do with it; `None` unless
    /// [`include_authorized_operations`](crate::Admin::include_authorized_operations) asked for it, and where the broker
    /// does not tell.
    pub authorized_operations: Option<Vec<AclOperation>>,
}

/// What the cluster knows about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its number, from 0.
    pub partition: i32,
    /// The broker that leads it, `None` while there is none.
    pub leader: Option<i32>,
    /// How often the leader changed; -1 where the broker does not tell.
    pub leader_epoch: i32,
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those of them that are up to date.
    pub in_sync: Vec<i32>,
    /// Those of them that are away.
    pub offline: Vec<i32>,
}

impl Admin {
    /// Creates topics; each has its own result, in order. Kafka: `CreateTopics`.
    ///
    /// The cluster knows a created topic at once, its brokers a moment later:
    /// [`Producer`](crate::Producer) waits for that.
    ///
    /// # Errors
    /// When no broker could be asked. A topic's own result has the broker's error, such as
    /// `TOPIC_ALREADY_EXISTS`.
    pub async fn create_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
    ) -> Result<Vec<Result<CreatedTopic>>> {
        let topics: Vec<_> = topics.into_iter().map(|topic| topic.spec()).collect();
        let call = CreateTopics {
            topics,
            timeout: self.calls.broker_timeout(),
            validate_only: false,
        };
        let call = &call;
        let answer = self
            .calls
            .with_retries("create topics", || async move {
                let connection = self.calls.cluster.controller().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                retry_all(
                    answer.topics.iter().map(|topic| topic.code),
                    "creating topics",
                )?;
                Ok(answer)
            })
            .await?;
        let result = |topic: &NewTopicSpec| {
            let context = || format!("creating topic {}", topic.name);
            let told = answer.topics.iter().find(|told| told.name == topic.name);
            let told = told.ok_or_else(|| unanswered(context()))?;
            refusal(told.code, told.message.as_ref(), context)?;
            Ok(CreatedTopic {
                name: Arc::clone(&told.name),
                id: told.id,
                partitions: (told.partitions >= 0).then_some(told.partitions),
                replication: (told.replication >= 0).then_some(told.replication),
            })
        };
        Ok(call.topics.iter().map(result).collect())
    }

    /// Makes sure that topics are there, and each of their partitions has a leader; each has its own result, in order.
    ///
    /// Those that do not exist are created. Those that do stay as they are, and may be other than asked for: the
    /// result tells. Waits for leaders until the timeout.
    ///
    /// # Errors
    /// When no broker could be asked. A topic's own result has the broker's error, such as
    /// `TOPIC_AUTHORIZATION_FAILED`, or [`Error::Deadline`] where leaders were not elected in time.
    pub async fn ensure_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
    ) -> Result<Vec<Result<TopicDescription>>> {
        let topics: Vec<_> = topics.into_iter().collect();
        let deadline = self.calls.deadline();
        let names: Vec<_> = topics.iter().map(|topic| Arc::clone(&topic.name)).collect();
        let mut found = self.topics_until(deadline, &names).await?;
        let is_missing = |told: &Result<TopicDescription>| {
            let code = told.as_ref().err().and_then(Error::broker_code);
            code == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        };
        let missing = topics.iter().zip(&found);
        let missing = missing.filter(|(_, told)| is_missing(told));
        let missing: Vec<_> = missing.map(|(topic, _)| topic.clone()).collect();
        let mut refused = HashMap::new();
        if !missing.is_empty() {
            let created = self.create_topics(missing.clone()).await?;
            for (topic, created) in missing.iter().zip(created) {
                match created {
                    // Somebody else was faster.
                    Err(error) if error.broker_code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {}
                    Err(error) => drop(refused.insert(Arc::clone(&topic.name), error)),
                    Ok(_) => {}
                }
            }
        }
        let backoff = self.calls.cluster.settings().retry_backoff;
        let mut failures = 0;
        while found.iter().zip(&names).any(|(told, name)| {
            !refused.contains_key(name) && (is_missing(told) || !has_leaders(told))
        }) {
            failures += 1;
            let pause = sleep(backoff.delay(failures, fastrand::f64()));
            if timeout_at(deadline, pause).await.is_err() {
                break;
            }
            found = self.topics_until(deadline, &names).await?;
        }
        let late = || Error::Deadline {
            what: "ensure topics",
            limit: self.calls.timeout,
        };
        let told = names
            .iter()
            .zip(found)
            .map(|(name, told)| match refused.get(name) {
                Some(error) => Err(error.clone()),
                None if is_missing(&told) || !has_leaders(&told) => Err(late()),
                None => told,
            });
        Ok(told.collect())
    }

    /// Deletes topics with all their records; each has its own result, in order. Kafka: `DeleteTopics`.
    ///
    /// # Errors
    /// When no broker could be asked. A topic's own result has the broker's error, such as
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub async fn delete_topics<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Result<()>>> {
        let names = names.into_iter().map(|name| name.as_ref().into()).collect();
        let call = DeleteTopics {
            names,
            timeout: self.calls.broker_timeout(),
        };
        let call = &call;
        let answer = self
            .calls
            .with_retries("delete topics", || async move {
                let connection = self.calls.cluster.controller().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                retry_all(
                    answer.topics.iter().map(|topic| topic.code),
                    "deleting topics",
                )?;
                Ok(answer)
            })
            .await?;
        let result = |name: &Arc<str>| {
            let context = || format!("deleting topic {name}");
            let told = answer.topics.iter().find(|told| told.name == *name);
            let told = told.ok_or_else(|| unanswered(context()))?;
            refusal(told.code, told.message.as_ref(), context)
        };
        Ok(call.names.iter().map(result).collect())
    }

    /// Adds partitions to topics; each has its own result, in order. Kafka: `CreatePartitions`.
    ///
    /// # Errors
    /// When no broker could be asked. A topic's own result has the broker's error, such as
    /// `INVALID_PARTITIONS` where it has as many already.
    pub async fn create_partitions(
        &self,
        topics: impl IntoIterator<Item = NewPartitions>,
    ) -> Result<Vec<Result<()>>> {
        let call = &CreatePartitions {
            topics: topics.into_iter().map(NewPartitions::spec).collect(),
            timeout: self.calls.broker_timeout(),
        };
        let answer = self
            .calls
            .with_retries("create partitions", || async move {
                let connection = self.calls.cluster.controller().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                retry_all(
                    answer.topics.iter().map(|topic| topic.code),
                    "creating partitions",
                )?;
                Ok(answer)
            })
            .await?;
        let result = |topic: &GrownTopic| {
            let context = || format!("creating partitions of topic {}", topic.name);
            let told = answer.topics.iter().find(|told| told.name == topic.name);
            let told = told.ok_or_else(|| unanswered(context()))?;
            refusal(told.code, told.message.as_ref(), context)
        };
        Ok(call.topics.iter().map(result).collect())
    }

    /// Describes topics; each has its own result, in order. Kafka: `DescribeTopics`, by `Metadata`.
    ///
    /// # Errors
    /// When no broker could be asked. A topic's own result has the broker's error, such as
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub async fn describe_topics<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Result<TopicDescription>>> {
        let names: Vec<Arc<str>> = names.into_iter().map(|name| name.as_ref().into()).collect();
        self.topics_until(self.calls.deadline(), &names).await
    }

    /// Describes one topic: see [`describe_topics`](Self::describe_topics).
    ///
    /// # Errors
    /// When no broker could be asked, or it refused, such as with `UNKNOWN_TOPIC_OR_PARTITION`.
    pub async fn describe_topic(&self, name: impl AsRef<str>) -> Result<TopicDescription> {
        let described = self.describe_topics([name.as_ref()]).await?;
        let first = described.into_iter().next();
        first.unwrap_or_else(|| Err(unanswered(format!("describing topic {}", name.as_ref()))))
    }

    async fn topics_until(
        &self,
        deadline: Instant,
        names: &[Arc<str>],
    ) -> Result<Vec<Result<TopicDescription>>> {
        let asked = MetadataTopics::Names(names.to_vec());
        let answer = self
            .calls
            .metadata_with(deadline, "describe topics", asked, self.operations)
            .await?;
        let find = |name: Arc<str>| {
            let told = answer
                .topics
                .iter()
                .find(|topic| topic.name.as_ref() == Some(&name));
            let code = told.map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |topic| topic.code);
            match told {
                Some(topic) if code.is_none() => Ok(describe(name, topic)),
                _ => Err(Error::broker(
                    code,
                    None,
                    format!("describing topic {name}"),
                )),
            }
        };
        Ok(names.iter().cloned().map(find).collect())
    }

    /// Describes every topic that the client may see, Kafka's own ones included. Kafka: `ListTopics`.
    ///
    /// # Errors
    /// When no broker could be asked.
    pub async fn list_topics(&self) -> Result<Vec<TopicDescription>> {
        let (deadline, all) = (self.calls.deadline(), MetadataTopics::All);
        let answer = self
            .calls
            .metadata_with(deadline, "list topics", all, self.operations)
            .await?;
        let usable = answer.topics.iter().filter(|topic| topic.code.is_none());
        let mut topics: Vec<_> = usable
            .filter_map(|topic| Some(describe(topic.name.clone()?, topic)))
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }
}

/// Of a topic that cannot be described there is nothing to wait for.
fn has_leaders(told: &Result<TopicDescription>) -> bool {
    match told {
        Ok(topic) => topic.partitions.iter().all(|p| p.leader.is_some()),
        Err(error) => error.broker_code() != Some(ErrorCode::LEADER_NOT_AVAILABLE),
    }
}

fn describe(name: Arc<str>, topic: &TopicMeta) -> TopicDescription {
    let mut partitions: Vec<_> = topic.partitions.iter().map(describe_partition).collect();
    partitions.sort_by_key(|partition| partition.partition);
    TopicDescription {
        name,
        id: topic.id,
        internal: topic.internal,
        partitions,
        authorized_operations: authorized(topic.operations),
    }
}

fn describe_partition(partition: &PartitionMeta) -> PartitionDescription {
    let ids = |brokers: &[crate::types::BrokerId]| brokers.iter().map(|b| b.0).collect();
    PartitionDescription {
        partition: partition.partition,
        leader: partition.leader.map(|leader| leader.0),
        leader_epoch: partition.leader_epoch,
        replicas: ids(&partition.replicas),
        in_sync: ids(&partition.isr),
        offline: ids(&partition.offline),
    }
}
