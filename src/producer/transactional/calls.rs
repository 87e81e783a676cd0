//! The calls about transactions, made once each: what their answers mean is decided by `machine/transaction/verdict.rs`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use super::super::transactions::Transactions;
use super::refusal::refused;
use crate::cluster::{Coordinator, Node, Purpose, by_topic};
use crate::error::{Error, ErrorCode};
use crate::machine::transaction::{
    GroupOffsets, Outcome, Protocol, TxnCall, TxnRequest, TxnVerdict, verdict,
};
use crate::net::Connection;
use crate::producer::inner::ProducerInner;
use crate::types::{ProducerId, TopicPartition};
use crate::wire::{
    AddOffsetsToTxn, AddPartitionsToTxn, Call, CommitPartition, CoordinatorKind, EndTxn,
    InitProducerId, TxnOffsetCommit,
};

/// How long a coordinator may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(5);

/// Makes the calls of one producer's transactions.
#[derive(Clone)]
pub(super) struct Caller<'a> {
    inner: &'a ProducerInner,
    transactions: &'a Transactions,
    coordinator: Arc<Coordinator>,
    /// Those of groups whose offsets were part of transactions.
    groups: Arc<Mutex<HashMap<Arc<str>, Arc<Coordinator>>>>,
}

impl<'a> Caller<'a> {
    pub(super) fn new(inner: &'a ProducerInner, transactions: &'a Transactions) -> Self {
        let (kind, id) = (CoordinatorKind::Transaction, &transactions.settings.id);
        let coordinator = Coordinator::new(inner.cluster.clone(), kind, Arc::clone(id));
        Self {
            inner,
            transactions,
            coordinator: Arc::new(coordinator),
            groups: Arc::default(),
        }
    }

    /// Makes a call once.
    pub(super) async fn call(&self, request: &TxnRequest) -> Outcome {
        let (producer, protocol) = self
            .transactions
            .look(|manager| (manager.producer(), manager.protocol()));
        let id = Arc::clone(&self.transactions.settings.id);
        let bumps = protocol == Protocol::Second;
        match request {
            TxnRequest::InitProducerId(producer) => {
                let call = InitProducerId {
                    transactional_id: Some(id),
                    transaction_timeout: self.transactions.settings.timeout,
                    producer: *producer,
                };
                let answered = |answer: &<InitProducerId as Call>::Response| {
                    (vec![(None, answer.code)], Some(answer.producer))
                };
                self.ask(&call, TxnCall::InitProducerId, answered).await
            }
            TxnRequest::AddPartitions(partitions) => {
                let lines = partitions.iter().map(|p| (p, p.partition()));
                let call = AddPartitionsToTxn {
                    transactional_id: id,
                    producer,
                    topics: by_topic(lines),
                };
                self.ask(&call, TxnCall::AddPartitions, |answer| {
                    (codes(&answer.topics), None)
                })
                .await
            }
            TxnRequest::AddOffsets(group) => {
                let call = AddOffsetsToTxn {
                    transactional_id: id,
                    producer,
                    group: Arc::clone(group),
                };
                self.ask(&call, TxnCall::AddOffsets, |answer| {
                    (vec![(None, answer.code)], None)
                })
                .await
            }
            TxnRequest::CommitOffsets(offsets) => {
                self.commit_offsets(offsets, producer, bumps).await
            }
            TxnRequest::EndTxn { commit } => {
                let call = EndTxn {
                    transactional_id: id,
                    producer,
                    commit: *commit,
                    bumps,
                };
                self.ask(&call, TxnCall::EndTxn, |answer| {
                    (vec![(None, answer.code)], answer.producer)
                })
                .await
            }
        }
    }

    /// Asks the coordinator of the transactions.
    async fn ask<C: Call>(
        &self,
        call: &C,
        kind: TxnCall,
        told: impl FnOnce(&C::Response) -> (Codes, Option<ProducerId>),
    ) -> Outcome {
        let purpose = Purpose::Transactions(self.inner.id);
        let (node, connection) = match self.coordinator.connection(purpose, CONNECTING).await {
            Ok(found) => found,
            Err(error) => return self.not_found(TxnCall::Find, error),
        };
        let level = connection.versions().transaction_version();
        self.transactions.offer(if level >= 2 {
            Protocol::Second
        } else {
            Protocol::First
        });
        self.ask_at(&self.coordinator, &node, &connection, call, kind, told)
            .await
    }

    async fn commit_offsets(
        &self,
        offsets: &GroupOffsets,
        producer: ProducerId,
        joins: bool,
    ) -> Outcome {
        let group = offsets.group.shared_group();
        let coordinator = {
            let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            let known = groups.entry(Arc::clone(group)).or_insert_with(|| {
                let (cluster, kind) = (self.inner.cluster.clone(), CoordinatorKind::Group);
                Arc::new(Coordinator::new(cluster, kind, Arc::clone(group)))
            });
            Arc::clone(known)
        };
        let purpose = Purpose::Offsets(self.inner.id);
        let (node, connection) = match coordinator.connection(purpose, CONNECTING).await {
            Ok(found) => found,
            Err(error) => return self.not_found(TxnCall::FindGroup, error),
        };
        let lines = offsets.offsets.iter().map(|(partition, offset)| {
            let line = CommitPartition {
                partition: partition.partition(),
                offset: offset.offset,
                leader_epoch: offset.leader_epoch.unwrap_or(-1),
                metadata: offset.metadata.clone(),
            };
            (partition, line)
        });
        let call = TxnOffsetCommit {
            transactional_id: Arc::clone(&self.transactions.settings.id),
            producer,
            group: Arc::clone(group),
            generation: offsets.group.generation(),
            member_id: Arc::clone(offsets.group.shared_member_id()),
            instance_id: offsets.group.shared_instance_id().cloned(),
            topics: by_topic(lines),
            joins,
        };
        let told = |answer: &<TxnOffsetCommit as Call>::Response| (codes(&answer.topics), None);
        self.ask_at(
            &coordinator,
            &node,
            &connection,
            &call,
            TxnCall::CommitOffsets,
            told,
        )
        .await
    }

    async fn ask_at<C: Call>(
        &self,
        coordinator: &Coordinator,
        node: &Node,
        connection: &Connection,
        call: &C,
        kind: TxnCall,
        told: impl FnOnce(&C::Response) -> (Codes, Option<ProducerId>),
    ) -> Outcome {
        let limit = self.inner.settings.request_timeout;
        let answer = match connection.call(call, limit).await {
            Ok(answer) => answer,
            Err(error @ Error::Unsupported { .. }) => {
                return Outcome::Refused(TxnVerdict::Fatal, Arc::new(error));
            }
            Err(error) => {
                coordinator.forget(node);
                return Outcome::Unanswered(Arc::new(error));
            }
        };
        let (codes, producer) = told(&answer);
        let gravest = codes
            .into_iter()
            .map(|(of, code)| (verdict(kind, code), of, code));
        let gravest = gravest.reduce(|a, b| if a.0.and(b.0) == a.0 { a } else { b });
        let Some((verdict, of, code)) =
            gravest.filter(|(verdict, ..)| *verdict != TxnVerdict::Done)
        else {
            return Outcome::Done(producer);
        };
        if verdict == TxnVerdict::Find {
            coordinator.forget(node);
        }
        let error = refused(kind, code, of.as_ref(), &self.transactions.settings.id);
        Outcome::Refused(verdict, self.explain(verdict, error))
    }

    /// No coordinator was found, or it cannot be reached: nothing was asked.
    fn not_found(&self, kind: TxnCall, error: Error) -> Outcome {
        let verdict = match &error {
            Error::Broker { code, .. } => verdict(kind, *code),
            Error::Unsupported { .. } | Error::Closed { .. } => TxnVerdict::Fatal,
            _ => TxnVerdict::Retry,
        };
        Outcome::Refused(verdict, Arc::new(error))
    }

    /// The error as the application is told it.
    fn explain(&self, verdict: TxnVerdict, error: Error) -> Arc<Error> {
        let error = Arc::new(error);
        // A commit that finds nothing open comes after transaction.timeout.ms; an abort's refusal by it is not told.
        if !matches!(verdict, TxnVerdict::Fenced | TxnVerdict::NotOpen) {
            return error;
        }
        Arc::new(Error::Fenced {
            transactional_id: Arc::clone(&self.transactions.settings.id),
            cause: error,
        })
    }
}

/// Each part of an answer with its code; the parts of most are one.
type Codes = Vec<(Option<TopicPartition>, ErrorCode)>;

/// A topic, and what was said of its partitions.
type TopicCodes = (Arc<str>, Vec<(i32, ErrorCode)>);

fn codes(topics: &[TopicCodes]) -> Codes {
    let parts = topics.iter().flat_map(|(topic, partitions)| {
        let of = move |number| TopicPartition::new(Arc::clone(topic), number);
        partitions
            .iter()
            .map(move |(number, code)| (Some(of(*number)), *code))
    });
    parts.collect()
}
