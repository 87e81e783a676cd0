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

pub(crate) use api_versions::{ApiVersions, ApiVersionsAnswer, decode_api_versions};
pub(crate) use call::{ApiKey, Call};
pub(crate) use decode::{Decoder, Malformed, Text};
pub(crate) use frame::{recognise_foreign, request_header, split_response};
pub(crate) use init_producer_id::{InitProducerId, InitProducerIdAnswer};
pub(crate) use metadata::{
    BrokerMeta, MetadataAnswer, MetadataCall, MetadataTopics, PartitionMeta, TopicMeta,
};
pub(crate) use produce::{
    ProduceAnswer, ProducePart, ProducePartitionAnswer, RecordError, TopicRef, decode_produce,
    encode_produce,
};
pub(crate) use topics::{
    CreateTopics, CreateTopicsAnswer, CreatedTopic, DeleteTopics, DeleteTopicsAnswer, DeletedTopic,
    NewTopicSpec,
};
pub(crate) use version::Versions;
