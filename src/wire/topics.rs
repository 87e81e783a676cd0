//! CreateTopics and DeleteTopics.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::{TopicId, TopicName};

#[derive(Clone, Debug)]
pub(crate) struct CreateTopics {
    pub(crate) topics: Vec<NewTopicSpec>,
    /// How long the broker may take.
    pub(crate) timeout: Duration,
    /// Only says whether the topics could be created.
    pub(crate) validate_only: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct NewTopicSpec {
    pub(crate) name: TopicName,
    /// -1 for the broker's default, and when `assignments` are given.
    pub(crate) partitions: i32,
    /// -1 for the broker's default, and when `assignments` are given.
    pub(crate) replication: i16,
    /// Each partition with the brokers that hold it.
    pub(crate) assignments: Vec<(i32, Vec<i32>)>,
    pub(crate) configs: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct CreateTopicsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) topics: Vec<CreatedTopic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreatedTopic {
    pub(crate) name: TopicName,
    /// Zero below version 7.
    pub(crate) id: TopicId,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Arc<str>>,
    /// -1 when the broker does not tell.
    pub(crate) partitions: i32,
    /// -1 when the broker does not tell.
    pub(crate) replication: i16,
}

impl Call for CreateTopics {
    type Response = CreateTopicsAnswer;
    const KEY: ApiKey = ApiKey::CreateTopics;

    fn throttle(response: &CreateTopicsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.topics, |body, topic| {
            body.string(&topic.name);
            body.i32(topic.partitions);
            body.i16(topic.replication);
            body.array(&topic.assignments, |body, (partition, brokers)| {
                body.i32(*partition);
                body.array(brokers, |body, broker| body.i32(*broker));
                body.no_tags();
            });
            body.array(&topic.configs, |body, (name, value)| {
                body.string(name);
                body.nullable_string(value.as_deref());
                body.no_tags();
            });
            body.no_tags();
        });
        body.millis(self.timeout);
        body.bool(self.validate_only);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let topics = d.array(12, |d| read_created(version, d))?;
        d.skip_tags()?;
        d.finish()?;
        Ok(CreateTopicsAnswer { throttle, topics })
    }
}

fn read_created(version: i16, d: &mut Decoder) -> Result<CreatedTopic, Malformed> {
    let name = d.owned()?;
    let id = if version >= 7 {
        d.topic_id()?
    } else {
        TopicId::ZERO
    };
    let topic = CreatedTopic {
        name,
        id,
        code: d.code()?,
        message: d.nullable_owned()?,
        partitions: d.i32()?,
        replication: d.i16()?,
    };
    for _ in 0..d.array_len(6)? {
        d.string()?; // a setting's name
        d.nullable_string()?; // its value
        d.bool()?; // read only
        d.i8()?; // where it comes from
        d.bool()?; // sensitive
        d.skip_tags()?;
    }
    d.skip_tags()?;
    Ok(topic)
}

#[derive(Clone, Debug)]
pub(crate) struct DeleteTopics {
    pub(crate) names: Vec<TopicName>,
    /// How long the broker may take.
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct DeleteTopicsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) topics: Vec<DeletedTopic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeletedTopic {
    pub(crate) name: TopicName,
    /// Zero below version 6.
    pub(crate) id: TopicId,
    pub(crate) code: ErrorCode,
    /// Never there below version 5.
    pub(crate) message: Option<Arc<str>>,
}

impl Call for DeleteTopics {
    type Response = DeleteTopicsAnswer;
    const KEY: ApiKey = ApiKey::DeleteTopics;

    fn throttle(response: &DeleteTopicsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.names, |body, name| {
            body.string(name);
            if version >= 6 {
                body.uuid(TopicId::ZERO.0);
                body.no_tags();
            }
        });
        body.millis(self.timeout);
        body.no_tags();
    }

    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let topics = d.array(4, |d| read_deleted(version, d))?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DeleteTopicsAnswer { throttle, topics })
    }
}

fn read_deleted(version: i16, d: &mut Decoder) -> Result<DeletedTopic, Malformed> {
    // Null only for a topic deleted by id, which is not asked here.
    let name = d.owned()?;
    let id = if version >= 6 {
        d.topic_id()?
    } else {
        TopicId::ZERO
    };
    let code = d.code()?;
    let message = if version >= 5 {
        d.nullable_owned()?
    } else {
        None
    };
    d.skip_tags()?;
    Ok(DeletedTopic {
        name,
        id,
        code,
        message,
    })
}

#[cfg(test)]
mod tests;
