//! Metadata: which brokers there are, and who leads which partition.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::{Address, BrokerId, TopicId, TopicName};

/// From here on topics have ids (KIP-516).
const TOPIC_IDS_FROM: i16 = 10;

#[derive(Clone, Debug)]
pub(crate) struct MetadataCall {
    pub(crate) topics: MetadataTopics,
    /// Whether the broker may create a topic that is missing, where its own settings allow that too.
    pub(crate) allow_auto_create: bool,
    /// Whether to tell what the asker may do with the cluster and the topics (KIP-430).
    pub(crate) operations: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum MetadataTopics {
    All,
    /// These; an empty list asks for the brokers only.
    Names(Vec<TopicName>),
}

#[derive(Clone, Debug)]
pub(crate) struct MetadataAnswer {
    pub(crate) throttle: Duration,
    /// Those with an id and a port that can be connected to.
    pub(crate) brokers: Vec<BrokerMeta>,
    pub(crate) cluster_id: Option<Arc<str>>,
    pub(crate) controller: Option<BrokerId>,
    pub(crate) topics: Vec<TopicMeta>,
    /// The whole answer's, from version 13 on: REBOOTSTRAP_REQUIRED (KIP-1102).
    pub(crate) code: ErrorCode,
    /// What the asker may do with the cluster, a bit for each of Kafka's numbers; `i32::MIN` where that is not told.
    pub(crate) operations: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerMeta {
    pub(crate) id: BrokerId,
    pub(crate) address: Address,
    pub(crate) rack: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicMeta {
    pub(crate) code: ErrorCode,
    /// Missing only for a topic that was asked for by id and is unknown.
    pub(crate) name: Option<TopicName>,
    /// Zero from a broker that knows no topic ids.
    pub(crate) id: TopicId,
    pub(crate) internal: bool,
    pub(crate) partitions: Vec<PartitionMeta>,
    /// What the asker may do, a bit for each of Kafka's numbers; `i32::MIN` where that is not told.
    pub(crate) operations: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionMeta {
    pub(crate) code: ErrorCode,
    pub(crate) partition: i32,
    pub(crate) leader: Option<BrokerId>,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<BrokerId>,
    pub(crate) isr: Vec<BrokerId>,
    pub(crate) offline: Vec<BrokerId>,
}

impl Call for MetadataCall {
    type Response = MetadataAnswer;
    const KEY: ApiKey = ApiKey::Metadata;

    fn throttle(response: &MetadataAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        match &self.topics {
            MetadataTopics::All => body.null_array(),
            MetadataTopics::Names(names) => body.array(names, |body, name| {
                if version >= TOPIC_IDS_FROM {
                    body.uuid(TopicId::ZERO.0);
                }
                body.string(name);
                body.no_tags();
            }),
        }
        body.bool(self.allow_auto_create);
        if version <= 10 {
            body.bool(self.operations); // the cluster's
        }
        body.bool(self.operations); // the topics'
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let brokers = d.array(11, read_broker)?.into_iter().flatten().collect();
        let cluster_id = d.nullable_owned()?;
        let controller = d.broker()?;
        let topics = d.array(10, |d| read_topic(version, d))?;
        let operations = if version <= 10 { d.i32()? } else { i32::MIN };
        let code = if version >= 13 {
            d.code()?
        } else {
            ErrorCode::NONE
        };
        d.skip_tags()?;
        d.finish()?;
        Ok(MetadataAnswer {
            throttle,
            brokers,
            cluster_id,
            controller,
            topics,
            code,
            operations,
        })
    }
}

/// `None` for a broker that could not be connected to: it must not cost what the answer says of the others.
pub(super) fn read_broker(d: &mut Decoder) -> Result<Option<BrokerMeta>, Malformed> {
    let id = d.broker()?;
    let address = d.address()?;
    let rack = d.nullable_owned()?;
    d.skip_tags()?;
    Ok(id
        .zip(address)
        .map(|(id, address)| BrokerMeta { id, address, rack }))
}

fn read_topic(version: i16, d: &mut Decoder) -> Result<TopicMeta, Malformed> {
    let code = d.code()?;
    let name = if version >= 12 {
        d.nullable_owned()?
    } else {
        Some(d.owned()?)
    };
    let id = if version >= TOPIC_IDS_FROM {
        d.topic_id()?
    } else {
        TopicId::ZERO
    };
    let internal = d.bool()?;
    let partitions = d.array(18, read_partition)?;
    let operations = d.i32()?;
    d.skip_tags()?;
    Ok(TopicMeta {
        code,
        name,
        id,
        internal,
        partitions,
        operations,
    })
}

fn read_partition(d: &mut Decoder) -> Result<PartitionMeta, Malformed> {
    let partition = PartitionMeta {
        code: d.code()?,
        partition: d.i32()?,
        leader: d.broker()?,
        leader_epoch: d.i32()?,
        replicas: d.brokers()?,
        isr: d.brokers()?,
        offline: d.brokers()?,
    };
    d.skip_tags()?;
    Ok(partition)
}

#[cfg(test)]
mod tests;
