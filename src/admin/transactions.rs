//! Transactional ids: listing and describing what their coordinators do, fencing their producers (KIP-664, KIP-588).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Admin, refusal, time};
use crate::cluster::{Purpose, each, find_by, is_transient, unanswered, unless_nobody_answered};
use crate::error::{Error, ErrorCode, Result};
use crate::types::{BrokerId, ProducerId, TopicPartition};
use crate::wire::{
    Call, CoordinatorKind, DescribeTransactions, DescribedTransaction, InitProducerId,
    ListTransactions,
};

/// What a transaction's coordinator does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransactionState {
    /// Its producer has begun none.
    Empty,
    /// Its producer writes.
    Ongoing,
    /// It is to be committed, and its partitions are told.
    PrepareCommit,
    /// It is to be aborted, and its partitions are told.
    PrepareAbort,
    /// It was committed.
    CompleteCommit,
    /// It was aborted.
    CompleteAbort,
    /// It was too long, or its producer was fenced: it is about to be aborted.
    PrepareEpochFence,
    /// Its id has expired.
    Dead,
    /// Something else, which this version of the library does not know.
    Other,
}

impl TransactionState {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Empty, "Empty"),
        (Self::Ongoing, "Ongoing"),
        (Self::PrepareCommit, "PrepareCommit"),
        (Self::PrepareAbort, "PrepareAbort"),
        (Self::CompleteCommit, "CompleteCommit"),
        (Self::CompleteAbort, "CompleteAbort"),
        (Self::PrepareEpochFence, "PrepareEpochFence"),
        (Self::Dead, "Dead"),
    ];

    fn of(word: &str) -> Self {
        let known = Self::ALL.iter().find(|(_, known)| *known == word);
        known.map_or(Self::Other, |(state, _)| *state)
    }

    fn word(self) -> &'static str {
        let known = Self::ALL.iter().find(|(state, _)| *state == self);
        known.map_or("Unknown", |(_, word)| *word)
    }
}

/// Kafka's word for it.
impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Which transactions are to be listed; without anything said, all.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TransactionFilter {
    states: Vec<TransactionState>,
    producers: Vec<i64>,
    longer_than: Option<Duration>,
}

impl TransactionFilter {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those in this state, or in one that was named before.
    pub fn state(mut self, state: TransactionState) -> Self {
        self.states.push(state);
        self
    }

    /// Those of this producer id, or of one that was named before.
    pub fn producer_id(mut self, id: i64) -> Self {
        self.producers.push(id);
        self
    }

    /// Those that have lasted for longer than this (KIP-994, Kafka 3.8).
    pub fn longer_than(mut self, time: Duration) -> Self {
        self.longer_than = Some(time);
        self
    }

    fn wire(&self) -> ListTransactions {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        ListTransactions {
            states: self
                .states
                .iter()
                .map(|state| state.word().into())
                .collect(),
            producers: self.producers.clone(),
            longer_than: self.longer_than.map_or(-1, millis),
        }
    }
}

/// A transactional id in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionListing {
    /// The id. Kafka: `transactional.id`.
    pub transactional_id: Arc<str>,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// The producer id that belongs to it.
    pub producer_id: i64,
    /// What is done with its transaction.
    pub state: TransactionState,
}

/// A transactional id, with the transaction that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionDescription {
    /// The id. Kafka: `transactional.id`.
    pub transactional_id: Arc<str>,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// What is done with its transaction.
    pub state: TransactionState,
    /// The producer id that belongs to it.
    pub producer_id: i64,
    /// The epoch of the newest producer of it; older ones are fenced.
    pub producer_epoch: i16,
    /// How long a transaction may last. Kafka: `transaction.timeout.ms`.
    pub timeout: Duration,
    /// When the transaction began, or the one that ended last; `None` where its producer has begun none.
    pub started: Option<SystemTime>,
    /// The partitions that are part of it, sorted.
    pub partitions: Vec<TopicPartition>,
}

impl Admin {
    /// Transactional ids that a filter lets through, by name, as all coordinators know them. Kafka: `ListTransactions`.
    ///
    /// # Errors
    /// When a broker could not be asked or refused: [`Error::Unsupported`] of one older than Kafka 3.0, or than 3.8 for
    /// [`TransactionFilter::longer_than`].
    pub async fn list_transactions(
        &self,
        filter: TransactionFilter,
    ) -> Result<Vec<TransactionListing>> {
        let call = Arc::new(filter.wire());
        let mut listed = self
            .of_every_broker("list transactions", |admin, id| {
                let call = Arc::clone(&call);
                async move { admin.transactions_of(id, &call).await }
            })
            .await?;
        listed.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
        // One that moved meanwhile was told of twice.
        listed.dedup_by(|a, b| a.transactional_id == b.transactional_id);
        Ok(listed)
    }

    async fn transactions_of(
        &self,
        id: BrokerId,
        call: &ListTransactions,
    ) -> Result<Vec<TransactionListing>> {
        let connection = self.calls.cluster.broker(id, Purpose::Control).await?;
        let answer = connection.call(call, self.calls.request_timeout()).await?;
        refusal(answer.code, None, || {
            format!("listing the transactions of broker {}", id.0)
        })?;
        let listed = answer
            .transactions
            .into_iter()
            .map(|one| TransactionListing {
                transactional_id: one.id,
                coordinator: id.0,
                producer_id: one.producer,
                state: TransactionState::of(&one.state),
            });
        Ok(listed.collect())
    }

    /// Describes transactional ids; each has its own result, in order. Kafka: `DescribeTransactions`.
    ///
    /// # Errors
    /// When no broker could be asked. An id's own result has the broker's error: `TRANSACTIONAL_ID_NOT_FOUND`,
    /// `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`. [`Error::Unsupported`] of brokers older than Kafka 3.0.
    pub async fn describe_transactions<N: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Result<TransactionDescription>>> {
        let ids = ids.into_iter().map(|id| id.as_ref().into());
        let deadline = self.calls.deadline();
        let outcomes = each(ids.collect(), |id: Arc<str>| {
            let admin = self.clone();
            async move {
                let context = || format!("describing the transactions of {id}");
                let call = DescribeTransactions {
                    ids: vec![Arc::clone(&id)],
                };
                let (at, mut answer) = admin
                    .at_transactions(deadline, "describe transactions", &id, &call, |answer| {
                        let told = answer.transactions.first();
                        told.map_or(Ok(()), |told| refusal(told.code, None, context))
                    })
                    .await?;
                let told = answer.transactions.pop();
                let told = told.ok_or_else(|| unanswered(context()))?;
                Ok(describe(at, told))
            }
        })
        .await;
        unless_nobody_answered(outcomes)
    }

    /// Makes sure that no producer of these transactional ids writes any more, and aborts their transactions; each has its
    /// own result, in order. Who produces under such an id is refused from then on, until it begins anew. Kafka:
    /// `InitProducerId`, as `fenceProducers` does (KIP-588).
    ///
    /// # Errors
    /// When no broker could be asked. An id's own result has the broker's error:
    /// `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`, or `CONCURRENT_TRANSACTIONS` where its transaction was not aborted in time.
    pub async fn fence_producers<N: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Result<()>>> {
        let ids = ids.into_iter().map(|id| id.as_ref().into());
        let deadline = self.calls.deadline();
        let outcomes = each(ids.collect(), |id: Arc<str>| {
            let admin = self.clone();
            async move {
                let call = InitProducerId {
                    transactional_id: Some(Arc::clone(&id)),
                    transaction_timeout: admin.calls.request_timeout(),
                    producer: ProducerId::NONE,
                };
                let context = || format!("fencing the producers of {id}");
                admin
                    .at_transactions(deadline, "fence producers", &id, &call, |answer| {
                        refusal(answer.code, None, context)
                    })
                    .await?;
                Ok(())
            }
        })
        .await;
        unless_nobody_answered(outcomes)
    }

    /// Asks the coordinator of a transactional id, which `check` may send on to another try.
    async fn at_transactions<C: Call>(
        &self,
        deadline: Instant,
        what: &'static str,
        id: &Arc<str>,
        call: &C,
        check: impl Fn(&C::Response) -> Result<()>,
    ) -> Result<(BrokerId, C::Response)> {
        let check = &check;
        self.calls
            .retry_while(passes, deadline, what, || async move {
                let cluster = &self.calls.cluster;
                let (kind, limit) = (CoordinatorKind::Transaction, self.calls.request_timeout());
                let found = find_by(&cluster.any().await?, kind, id, limit).await?;
                let connection = cluster.at(&found.address, Purpose::Control).await?;
                let answer = connection.call(call, limit).await?;
                check(&answer)?;
                Ok((found.id, answer))
            })
            .await
    }
}

/// Whether another try may do better; a transaction that is ending stands in the way of the next one for a moment.
fn passes(error: &Error) -> bool {
    is_transient(error) || error.broker_code() == Some(ErrorCode::CONCURRENT_TRANSACTIONS)
}

fn describe(coordinator: BrokerId, told: DescribedTransaction) -> TransactionDescription {
    let partitions = told.topics.into_iter().flat_map(|(topic, partitions)| {
        let named = move |partition| TopicPartition::new(&*topic, partition);
        partitions.into_iter().map(named)
    });
    let mut partitions: Vec<_> = partitions.collect();
    partitions.sort();
    TransactionDescription {
        transactional_id: told.id,
        coordinator: coordinator.0,
        state: TransactionState::of(&told.state),
        producer_id: told.producer.id,
        producer_epoch: told.producer.epoch,
        timeout: told.timeout,
        started: (told.started >= 0).then(|| time(told.started)),
        partitions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_kafkas_words_and_others_are_kept_apart() {
        for (state, word) in TransactionState::ALL {
            assert_eq!((TransactionState::of(word), state.word()), (state, word));
        }
        assert_eq!(TransactionState::of("Sleeping"), TransactionState::Other);
        assert_eq!(TransactionState::Other.to_string(), "Unknown");
    }

    #[test]
    fn a_filter_asks_for_what_was_said() {
        let all = TransactionFilter::all().wire();
        assert_eq!(
            (all.states, all.producers, all.longer_than),
            (vec![], vec![], -1)
        );
        let some = TransactionFilter::all()
            .state(TransactionState::Ongoing)
            .state(TransactionState::PrepareAbort)
            .producer_id(7)
            .longer_than(Duration::from_secs(5))
            .wire();
        assert_eq!(some.states, ["Ongoing".into(), "PrepareAbort".into()]);
        assert_eq!((some.producers, some.longer_than), (vec![7], 5000));
    }

    #[test]
    fn a_description_has_a_start_where_the_coordinator_tells_one() {
        let told = |started| DescribedTransaction {
            code: ErrorCode::NONE,
            id: "t".into(),
            state: "Ongoing".into(),
            timeout: Duration::from_secs(60),
            started,
            producer: ProducerId { id: 7, epoch: 8 },
            topics: vec![("b".into(), vec![1, 0]), ("a".into(), vec![2])],
        };
        let described = describe(BrokerId(3), told(1000));
        assert_eq!(described.started, Some(time(1000)));
        let at = |topic: &str, partition| TopicPartition::new(topic, partition);
        assert_eq!(described.partitions, [at("a", 2), at("b", 0), at("b", 1)]);
        assert_eq!(described.coordinator, 3);
        assert_eq!(describe(BrokerId(3), told(-1)).started, None);
    }

    #[test]
    fn a_transaction_that_is_ending_is_waited_for() {
        for (code, again) in [
            (ErrorCode::CONCURRENT_TRANSACTIONS, true),
            (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, true),
            (ErrorCode::NOT_COORDINATOR, true),
            (ErrorCode::TRANSACTIONAL_ID_NOT_FOUND, false),
            (ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, false),
        ] {
            assert_eq!(passes(&Error::broker(code, None, "x")), again, "{code}");
        }
    }
}
