//! What is asked of coordinators, and what comes of it.

use std::sync::Arc;

use super::verdict::TxnVerdict;
use crate::error::Error;
use crate::types::{GroupMetadata, OffsetAndMetadata, ProducerId, TopicPartition};

/// How clients and brokers do transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Partitions and groups are enrolled before anything is written.
    #[default]
    First,
    /// Writing enrolls, and the end of a transaction bumps the epoch (KIP-890).
    Second,
}

/// A group's offsets that are part of a transaction.
#[derive(Debug)]
pub(crate) struct GroupOffsets {
    /// Tells them from others of the same producer.
    pub(crate) number: u64,
    pub(crate) group: GroupMetadata,
    pub(crate) offsets: Vec<(TopicPartition, OffsetAndMetadata)>,
}

/// A call to make.
#[derive(Clone, Debug)]
pub(crate) enum TxnRequest {
    /// Asks for an identity, or for another epoch of this one.
    InitProducerId(ProducerId),
    AddPartitions(Arc<[TopicPartition]>),
    AddOffsets(Arc<str>),
    CommitOffsets(Arc<GroupOffsets>),
    EndTxn {
        commit: bool,
    },
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It was done; with the identity that goes on from here, where the answer has one.
    Done(Option<ProducerId>),
    /// It was refused, or its coordinator could not be found or reached: nothing was done.
    Refused(TxnVerdict, Arc<Error>),
    /// It was sent, and not answered: whether it was done is not known.
    Unanswered(Arc<Error>),
}
