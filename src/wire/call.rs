//! What a typed request is, and which versions of it both sides speak.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::decode::Malformed;

/// The requests this library sends, with their numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ApiKey {
    Produce = 0,
    Metadata = 3,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    InitProducerId = 22,
}

impl ApiKey {
    pub(crate) fn code(self) -> i16 {
        self as i16
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Produce => "Produce",
            Self::Metadata => "Metadata",
            Self::ApiVersions => "ApiVersions",
            Self::CreateTopics => "CreateTopics",
            Self::DeleteTopics => "DeleteTopics",
            Self::InitProducerId => "InitProducerId",
        }
    }

    /// The lowest and highest version this library speaks (brokers from Kafka 2.5 to 4.3).
    pub(crate) fn supported(self) -> (i16, i16) {
        match self {
            Self::Produce => (8, 13),
            Self::Metadata => (9, 13),
            Self::ApiVersions => (0, 4),
            Self::CreateTopics => (5, 7),
            Self::DeleteTopics => (4, 6),
            Self::InitProducerId => (2, 5),
        }
    }

    /// The first version with flexible headers and tagged fields (KIP-482).
    pub(crate) fn flexible_from(self) -> i16 {
        match self {
            Self::Produce | Self::Metadata => 9,
            Self::ApiVersions => 3,
            Self::CreateTopics => 5,
            Self::DeleteTopics => 4,
            Self::InitProducerId => 2,
        }
    }
}

/// A request with its answer.
pub(crate) trait Call: Send + Sync {
    type Response: Send + 'static;
    const KEY: ApiKey;

    /// Highest version this very request may use, where its content limits it.
    fn max_version(&self) -> i16 {
        Self::KEY.supported().1
    }

    /// How long the broker asks to be left alone (KIP-219).
    fn throttle(response: &Self::Response) -> Duration;

    /// Writes the body (no frame length, no request header).
    fn encode(&self, version: i16, out: &mut BytesMut);

    /// Reads the body of the answer (no frame length, no response header), which must use every byte.
    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed>;
}
