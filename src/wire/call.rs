//! What a typed request is, and which versions of it both sides speak.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::decode::Malformed;

/// One request this library sends.
struct Api {
    name: &'static str,
    lowest: i16,
    highest: i16,
    flexible_from: i16,
}

const fn api(name: &'static str, lowest: i16, highest: i16, flexible_from: i16) -> Api {
    Api {
        name,
        lowest,
        highest,
        flexible_from,
    }
}

/// The requests this library sends, with their numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ApiKey {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DescribeGroups = 15,
    ListGroups = 16,
    SaslHandshake = 17,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
    DescribeAcls = 29,
    CreateAcls = 30,
    DeleteAcls = 31,
    DescribeConfigs = 32,
    SaslAuthenticate = 36,
    CreatePartitions = 37,
    CreateDelegationToken = 38,
    RenewDelegationToken = 39,
    ExpireDelegationToken = 40,
    DescribeDelegationToken = 41,
    DeleteGroups = 42,
    IncrementalAlterConfigs = 44,
    OffsetDelete = 47,
    DescribeClientQuotas = 48,
    AlterClientQuotas = 49,
    DescribeUserScramCredentials = 50,
    AlterUserScramCredentials = 51,
    DescribeCluster = 60,
    DescribeProducers = 61,
    DescribeTransactions = 65,
    ListTransactions = 66,
    ConsumerGroupDescribe = 69,
    ShareGroupDescribe = 77,
}

/// For a call without a flexible version.
const NEVER: i16 = i16::MAX;

impl ApiKey {
    pub(crate) fn code(self) -> i16 {
        self as i16
    }

    pub(crate) fn name(self) -> &'static str {
        self.api().name
    }

    /// The lowest and highest version this library speaks (brokers from Kafka 2.5 to 4.3).
    pub(crate) fn supported(self) -> (i16, i16) {
        let api = self.api();
        (api.lowest, api.highest)
    }

    /// The first version with flexible headers and tagged fields (KIP-482).
    pub(crate) fn flexible_from(self) -> i16 {
        self.api().flexible_from
    }

    fn api(self) -> Api {
        match self {
            Self::Produce => api("Produce", 8, 13, 9),
            Self::Fetch => api("Fetch", 11, 17, 12),
            Self::ListOffsets => api("ListOffsets", 5, 10, 6),
            Self::Metadata => api("Metadata", 9, 13, 9),
            Self::OffsetCommit => api("OffsetCommit", 8, 10, 8),
            Self::OffsetFetch => api("OffsetFetch", 7, 7, 6),
            Self::FindCoordinator => api("FindCoordinator", 3, 3, 3),
            Self::JoinGroup => api("JoinGroup", 7, 9, 6),
            Self::Heartbeat => api("Heartbeat", 4, 4, 4),
            Self::LeaveGroup => api("LeaveGroup", 4, 5, 4),
            Self::SyncGroup => api("SyncGroup", 5, 5, 4),
            Self::DescribeGroups => api("DescribeGroups", 5, 6, 5),
            Self::ListGroups => api("ListGroups", 3, 5, 3),
            // Never flexible: its answer must be read before anything of the broker is known.
            Self::SaslHandshake => api("SaslHandshake", 1, 1, NEVER),
            Self::ApiVersions => api("ApiVersions", 0, 4, 3),
            Self::CreateTopics => api("CreateTopics", 5, 7, 5),
            Self::DeleteTopics => api("DeleteTopics", 4, 6, 4),
            Self::InitProducerId => api("InitProducerId", 2, 5, 2),
            Self::OffsetForLeaderEpoch => api("OffsetForLeaderEpoch", 3, 4, 4),
            // Later versions are for brokers, which pass on what they are asked by Produce.
            Self::AddPartitionsToTxn => api("AddPartitionsToTxn", 1, 3, 3),
            Self::AddOffsetsToTxn => api("AddOffsetsToTxn", 1, 4, 3),
            Self::EndTxn => api("EndTxn", 1, 5, 3),
            Self::WriteTxnMarkers => api("WriteTxnMarkers", 1, 1, 1),
            Self::TxnOffsetCommit => api("TxnOffsetCommit", 3, 5, 3),
            Self::DescribeAcls => api("DescribeAcls", 1, 3, 2),
            Self::CreateAcls => api("CreateAcls", 1, 3, 2),
            Self::DeleteAcls => api("DeleteAcls", 1, 3, 2),
            Self::DescribeConfigs => api("DescribeConfigs", 2, 4, 4),
            Self::SaslAuthenticate => api("SaslAuthenticate", 0, 2, 2),
            Self::CreatePartitions => api("CreatePartitions", 2, 3, 2),
            Self::CreateDelegationToken => api("CreateDelegationToken", 1, 3, 2),
            Self::RenewDelegationToken => api("RenewDelegationToken", 1, 2, 2),
            Self::ExpireDelegationToken => api("ExpireDelegationToken", 1, 2, 2),
            Self::DescribeDelegationToken => api("DescribeDelegationToken", 1, 3, 2),
            Self::DeleteGroups => api("DeleteGroups", 2, 2, 2),
            Self::IncrementalAlterConfigs => api("IncrementalAlterConfigs", 1, 1, 1),
            Self::OffsetDelete => api("OffsetDelete", 0, 0, NEVER),
            Self::DescribeClientQuotas => api("DescribeClientQuotas", 0, 1, 1),
            Self::AlterClientQuotas => api("AlterClientQuotas", 0, 1, 1),
            Self::DescribeUserScramCredentials => api("DescribeUserScramCredentials", 0, 0, 0),
            Self::AlterUserScramCredentials => api("AlterUserScramCredentials", 0, 0, 0),
            Self::DescribeCluster => api("DescribeCluster", 0, 1, 0),
            Self::DescribeProducers => api("DescribeProducers", 0, 0, 0),
            Self::DescribeTransactions => api("DescribeTransactions", 0, 0, 0),
            Self::ListTransactions => api("ListTransactions", 0, 2, 0),
            Self::ConsumerGroupDescribe => api("ConsumerGroupDescribe", 0, 1, 0),
            Self::ShareGroupDescribe => api("ShareGroupDescribe", 1, 1, 0),
        }
    }
}

/// A request with its answer.
pub(crate) trait Call: Send + Sync {
    type Response: Send + 'static;
    const KEY: ApiKey;

    /// Lowest version that has all that this very request says.
    fn min_version(&self) -> i16 {
        Self::KEY.supported().0
    }

    /// Highest version this very request may use, where its content limits it.
    fn max_version(&self) -> i16 {
        Self::KEY.supported().1
    }

    /// How long a broker keeps the answer back when all is well; `None` where that cannot be told.
    fn held(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    /// How long the broker asks to be left alone (KIP-219).
    fn throttle(response: &Self::Response) -> Duration;

    /// Writes the body (no frame length, no request header).
    fn encode(&self, version: i16, out: &mut BytesMut);

    /// Reads the body of the answer (no frame length, no response header), which must use every byte.
    fn decode(version: i16, body: Bytes) -> Result<Self::Response, Malformed>;

    /// What the first bytes of an answer tell that is larger than is taken; nothing, of most.
    fn decode_beginning(_version: i16, _beginning: Bytes) -> Option<Self::Response> {
        None
    }
}
