//! Kafka's requests and answers as bytes, in both directions and every version that is spoken.

mod api_versions;
mod call;
mod decode;
mod encode;
mod fields;
mod frame;
mod init_producer_id;
mod metadata;
mod produce;
#[cfg(test)]
mod testing;
mod topics;
mod version;

pub(crate) use api_versions::ApiVersions;
pub(crate) use call::{ApiKey, Call};
#[cfg(test)]
pub(crate) use decode::Decoder;
pub(crate) use decode::Malformed;
pub(crate) use frame::{recognise_foreign, request_header, split_response};
pub(crate) use init_producer_id::InitProducerId;
#[cfg(test)]
pub(crate) use metadata::BrokerMeta;
pub(crate) use metadata::{MetadataAnswer, MetadataCall, MetadataTopics, PartitionMeta, TopicMeta};
pub(crate) use produce::{
    ProducePart, ProducePartitionAnswer, TopicRef, decode_produce, encode_produce,
};
pub(crate) use topics::{CreateTopics, DeleteTopics, NewTopicSpec};
pub(crate) use version::Versions;
