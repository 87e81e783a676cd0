//! Looking up partitions' first and last offsets, and those of times, at their leaders.

use std::time::SystemTime;

use hashbrown::{HashMap, HashSet};
use tokio::time::{Instant, sleep, timeout_at};

use super::Purpose;
use super::calls::{Calls, by_topic, is_transient, unanswered, unless_nobody_answered};
use super::each::each;
use crate::config::IsolationLevel;
use crate::error::{Error, ErrorCode, Result};
use crate::record::system_time;
use crate::types::{BrokerId, TopicName, TopicPartition};
use crate::wire::{ListOffset, ListOffsets, MetadataAnswer, MetadataTopics};

/// Which offset of a partition is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OffsetSpec {
    /// Of the oldest record that the log has.
    Earliest,
    /// Of the next record that is written. With [`IsolationLevel::ReadCommitted`], of the first record of the
    /// oldest open transaction, where there is one.
    Latest,
    /// Of the first record that is as late as this time or later, in milliseconds since 1970.
    Timestamp(i64),
}

impl OffsetSpec {
    /// Kafka's number for it.
    fn wire(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            // Numbers below zero have other meanings, and no record is as early.
            Self::Timestamp(millis) => millis.max(0),
        }
    }
}

/// An offset that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionOffset {
    /// The offset; `None` when no record is as late as the time that was asked for.
    pub offset: Option<i64>,
    /// The time of the record that was found, in milliseconds since 1970; `None` where no time was asked for.
    pub timestamp_millis: Option<i64>,
    /// The leader epoch of the record that was found (KIP-320), where the broker tells.
    pub leader_epoch: Option<i32>,
}

impl PartitionOffset {
    /// The time of the record that was found; `None` where no time was asked for.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.timestamp_millis.and_then(system_time)
    }
}

/// What is asked, by its place in the caller's list.
#[derive(Clone, Debug)]
struct Question {
    place: usize,
    partition: TopicPartition,
    spec: OffsetSpec,
}

/// What came of one question in one round.
struct Told {
    place: usize,
    outcome: Result<PartitionOffset>,
    /// Whether another round may do better.
    again: bool,
}

impl Told {
    fn refused(question: &Question, code: ErrorCode, again: bool) -> Self {
        Self {
            place: question.place,
            outcome: Err(Error::broker(code, None, question.context())),
            again,
        }
    }
}

impl Question {
    fn context(&self) -> String {
        format!("looking up an offset of {}", self.partition)
    }
}

impl Calls {
    /// Looks up offsets of partitions; each has its own result, in order.
    ///
    /// # Errors
    /// When no broker could be asked.
    pub(crate) async fn list_offsets(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
        isolation: IsolationLevel,
    ) -> Result<Vec<Result<PartitionOffset>>> {
        let deadline = self.deadline();
        let mut open: Vec<_> = (0..)
            .zip(partitions)
            .map(|(place, (partition, spec))| Question {
                place,
                partition,
                spec,
            })
            .collect();
        let late = || {
            Err(Error::Deadline {
                what: "list offsets",
                limit: self.timeout,
            })
        };
        let mut outcomes: Vec<_> = open.iter().map(|_| late()).collect();
        let mut failures = 0;
        while !open.is_empty() {
            let round = self.offsets_round(deadline, &open, isolation);
            let Ok(round) = timeout_at(deadline, round).await else {
                break;
            };
            let mut again = HashSet::new();
            for told in round? {
                if told.again {
                    again.insert(told.place);
                }
                if let Some(outcome) = outcomes.get_mut(told.place) {
                    *outcome = told.outcome;
                }
            }
            open.retain(|question| again.contains(&question.place));
            if !open.is_empty() {
                self.cluster.request_refresh();
                failures += 1;
                let backoff = self.cluster.settings().retry_backoff;
                let pause = sleep(backoff.delay(failures, fastrand::f64()));
                if timeout_at(deadline, pause).await.is_err() {
                    break;
                }
            }
        }
        unless_nobody_answered(outcomes)
    }

    /// Asks each partition's leader once.
    async fn offsets_round(
        &self,
        deadline: Instant,
        open: &[Question],
        isolation: IsolationLevel,
    ) -> Result<Vec<Told>> {
        let names: HashSet<_> = open.iter().map(|q| q.partition.name().clone()).collect();
        let names = MetadataTopics::Names(names.into_iter().collect());
        let metadata = self.metadata(deadline, "list offsets", names).await?;
        let (mut told, asked) = by_leader(&metadata, open);
        let answers = each(asked.clone(), |asked| {
            let calls = self.clone();
            async move { calls.offsets_at(asked, isolation).await }
        })
        .await;
        for ((_, questions), answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(answer) => told.extend(answer),
                Err(error) => told.extend(questions.into_iter().map(|(question, _)| Told {
                    place: question.place,
                    again: is_transient(&error),
                    outcome: Err(error.clone()),
                })),
            }
        }
        Ok(told)
    }

    async fn offsets_at(
        &self,
        (leader, questions): (BrokerId, Vec<(Question, i32)>),
        isolation: IsolationLevel,
    ) -> Result<Vec<Told>> {
        let lines = questions.iter().map(|(question, leader_epoch)| {
            let line = ListOffset {
                partition: question.partition.partition(),
                leader_epoch: *leader_epoch,
                timestamp: question.spec.wire(),
            };
            (&question.partition, line)
        });
        let call = ListOffsets {
            read_committed: isolation == IsolationLevel::ReadCommitted,
            topics: by_topic(lines),
            timeout: self.broker_timeout(),
        };
        let connection = self.cluster.broker(leader, Purpose::Control).await?;
        let answer = connection.call(&call, self.request_timeout()).await?;
        let answered: HashMap<(&TopicName, i32), _> = answer
            .topics
            .iter()
            .flat_map(|(name, lines)| lines.iter().map(move |line| ((name, line.partition), line)))
            .collect();
        let result = |(question, _): &(Question, i32)| {
            let place = (question.partition.name(), question.partition.partition());
            let Some(line) = answered.get(&place) else {
                return Told {
                    place: question.place,
                    outcome: Err(unanswered(question.context())),
                    again: false,
                };
            };
            if !line.code.is_none() {
                return Told::refused(question, line.code, line.code.is_retriable());
            }
            let found = PartitionOffset {
                offset: Some(line.offset).filter(|offset| *offset >= 0),
                timestamp_millis: Some(line.timestamp).filter(|time| *time >= 0),
                leader_epoch: Some(line.leader_epoch).filter(|epoch| *epoch >= 0),
            };
            Told {
                place: question.place,
                outcome: Ok(found),
                again: false,
            }
        };
        Ok(questions.iter().map(result).collect())
    }
}

/// Questions with the partition's leader epoch, for one request to a leader.
type Asked = (BrokerId, Vec<(Question, i32)>);

/// What is known without asking, and whom to ask; a partition is at most once in a request.
fn by_leader(metadata: &MetadataAnswer, open: &[Question]) -> (Vec<Told>, Vec<Asked>) {
    let topics: HashMap<&str, _> = metadata
        .topics
        .iter()
        .filter_map(|topic| Some((topic.name.as_deref()?, topic)))
        .collect();
    let mut told = Vec::new();
    let mut times: HashMap<&TopicPartition, usize> = HashMap::new();
    let mut requests: HashMap<(BrokerId, usize), Vec<(Question, i32)>> = HashMap::new();
    for question in open {
        let partition = &question.partition;
        let topic = topics.get(partition.topic());
        let code = topic.map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |topic| topic.code);
        if !code.is_none() {
            let again = code == ErrorCode::LEADER_NOT_AVAILABLE;
            told.push(Told::refused(question, code, again));
            continue;
        }
        let known = topic.and_then(|topic| {
            let number = partition.partition();
            topic.partitions.iter().find(|p| p.partition == number)
        });
        let Some(known) = known else {
            let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            told.push(Told::refused(question, code, false));
            continue;
        };
        let Some(leader) = known.leader else {
            let code = ErrorCode::LEADER_NOT_AVAILABLE;
            told.push(Told::refused(question, code, true));
            continue;
        };
        let time = times.entry(partition).or_insert(0);
        let request = requests.entry((leader, *time)).or_default();
        request.push((question.clone(), known.leader_epoch));
        *time += 1;
    }
    let requests = requests.into_iter();
    let requests = requests.map(|((leader, _), questions)| (leader, questions));
    (told, requests.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;
    use crate::wire::{PartitionMeta, TopicMeta};
    use std::time::Duration;

    fn partition(number: i32, leader: Option<i32>) -> PartitionMeta {
        PartitionMeta {
            code: ErrorCode::NONE,
            partition: number,
            leader: leader.map(BrokerId),
            leader_epoch: 7,
            replicas: vec![],
            isr: vec![],
            offline: vec![],
        }
    }

    fn topic(name: &str, code: ErrorCode, partitions: Vec<PartitionMeta>) -> TopicMeta {
        TopicMeta {
            code,
            name: Some(name.into()),
            id: TopicId::ZERO,
            internal: false,
            partitions,
            operations: i32::MIN,
        }
    }

    fn question(place: usize, topic: &str, partition: i32, spec: OffsetSpec) -> Question {
        Question {
            place,
            partition: TopicPartition::new(topic, partition),
            spec,
        }
    }

    #[test]
    fn each_leader_is_asked_for_its_own_and_for_a_partition_once_a_request() {
        let metadata = MetadataAnswer {
            throttle: Duration::ZERO,
            operations: i32::MIN,
            brokers: vec![],
            cluster_id: None,
            controller: None,
            topics: vec![
                topic(
                    "t",
                    ErrorCode::NONE,
                    vec![
                        partition(0, Some(1)),
                        partition(1, Some(2)),
                        partition(2, None),
                    ],
                ),
                topic("secret", ErrorCode::TOPIC_AUTHORIZATION_FAILED, vec![]),
                topic("new", ErrorCode::LEADER_NOT_AVAILABLE, vec![]),
            ],
            code: ErrorCode::NONE,
        };
        let open = [
            question(0, "t", 0, OffsetSpec::Earliest),
            question(1, "t", 0, OffsetSpec::Latest),
            question(2, "t", 1, OffsetSpec::Latest),
            question(3, "t", 2, OffsetSpec::Latest),
            question(4, "t", 3, OffsetSpec::Latest),
            question(5, "secret", 0, OffsetSpec::Latest),
            question(6, "new", 0, OffsetSpec::Latest),
            question(7, "none", 0, OffsetSpec::Latest),
        ];
        let (told, asked) = by_leader(&metadata, &open);
        let told: Vec<_> = told
            .iter()
            .map(|told| {
                let error = told.outcome.as_ref().err();
                (told.place, error.and_then(Error::broker_code), told.again)
            })
            .collect();
        let expected = [
            (3, ErrorCode::LEADER_NOT_AVAILABLE, true),
            (4, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, false),
            (5, ErrorCode::TOPIC_AUTHORIZATION_FAILED, false),
            (6, ErrorCode::LEADER_NOT_AVAILABLE, true),
            (7, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, false),
        ];
        assert_eq!(
            told,
            expected.map(|(place, code, again)| (place, Some(code), again))
        );
        let mut asked: Vec<_> = asked
            .into_iter()
            .map(|(leader, questions)| {
                assert!(questions.iter().all(|(_, epoch)| *epoch == 7));
                let places: Vec<_> = questions.iter().map(|(q, _)| q.place).collect();
                (leader.0, places)
            })
            .collect();
        asked.sort();
        assert_eq!(asked, [(1, vec![0]), (1, vec![1]), (2, vec![2])]);
    }

    #[test]
    fn a_time_before_1970_is_not_taken_for_the_beginning_or_the_end() {
        assert_eq!(OffsetSpec::Latest.wire(), -1);
        assert_eq!(OffsetSpec::Earliest.wire(), -2);
        assert_eq!(OffsetSpec::Timestamp(-1).wire(), 0);
        assert_eq!(OffsetSpec::Timestamp(5).wire(), 5);
    }
}
