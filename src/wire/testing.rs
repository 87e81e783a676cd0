//! The unit tests' second opinion (kafka_protocol's types) and the damage that every decoder must refuse.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::{ApiKey, Call, Malformed};

pub(crate) const ALL: [ApiKey; 47] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeConfigs,
    ApiKey::SaslAuthenticate,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
    ApiKey::ConsumerGroupDescribe,
    ApiKey::ShareGroupDescribe,
    ApiKey::DescribeAcls,
    ApiKey::CreateAcls,
    ApiKey::DeleteAcls,
    ApiKey::CreateDelegationToken,
    ApiKey::RenewDelegationToken,
    ApiKey::ExpireDelegationToken,
    ApiKey::DescribeDelegationToken,
    ApiKey::DescribeClientQuotas,
    ApiKey::AlterClientQuotas,
    ApiKey::DescribeUserScramCredentials,
    ApiKey::AlterUserScramCredentials,
    ApiKey::WriteTxnMarkers,
    ApiKey::DescribeProducers,
    ApiKey::DescribeTransactions,
    ApiKey::ListTransactions,
];

pub(super) fn versions(key: ApiKey) -> RangeInclusive<i16> {
    let (min, max) = key.supported();
    min..=max
}

/// A tagged field that no version has.
pub(super) fn tag() -> BTreeMap<i32, Bytes> {
    BTreeMap::from([(99, Bytes::from_static(b"from the future"))])
}

pub(super) fn encoded(message: &impl Encodable, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).unwrap();
    out.freeze()
}

/// What kafka_protocol reads of a whole body.
pub(super) fn read<T: Decodable>(body: impl Into<Bytes>, version: i16) -> T {
    let mut body = body.into();
    let message = T::decode(&mut body, version).unwrap();
    assert!(body.is_empty(), "{} bytes left", body.len());
    message
}

/// What kafka_protocol reads of our request, which must be the bytes that it would have written itself.
pub(super) fn request<T: Decodable + Encodable>(call: &impl Call, version: i16) -> T {
    let mut out = BytesMut::new();
    call.encode(version, &mut out);
    let ours = out.freeze();
    let message = read(ours.clone(), version);
    assert_eq!(encoded(&message, version), ours, "version {version}");
    message
}

pub(super) fn refuses_damage<C: Call>(version: i16, body: &Bytes) {
    refuses_truncation_and_trailing_bytes(body, |body| C::decode(version, body));
    survives_hostile_lengths(body, |body| C::decode(version, body));
}

pub(super) fn refuses_truncation_and_trailing_bytes<T>(
    body: &Bytes,
    decode: impl Fn(Bytes) -> Result<T, Malformed>,
) {
    for cut in 0..body.len() {
        let shorter = body.slice(..cut);
        assert!(decode(shorter).is_err(), "cut at {cut} of {}", body.len());
    }
    for trailing in [&[0][..], &[0, 0, 0, 0], &[0xff]] {
        let longer = [body, trailing].concat();
        assert!(decode(longer.into()).is_err(), "followed by {trailing:?}");
    }
}

/// Puts every hostile length at every place, over what is there and before it: no panic, and what it allocates is
/// bounded by the decoder's own checks.
pub(super) fn survives_hostile_lengths<T>(
    body: &Bytes,
    decode: impl Fn(Bytes) -> Result<T, Malformed>,
) {
    for at in 0..body.len() {
        for hostile in hostile_lengths(body.len() - at) {
            let (before, after) = body.split_at(at);
            let over = after.get(hostile.len()..).unwrap_or_default();
            let _ = decode([before, &hostile, over].concat().into());
            let _ = decode([before, &hostile, after].concat().into());
        }
    }
}

fn hostile_lengths(left: usize) -> Vec<Vec<u8>> {
    let left = left as i32;
    let numbers = [-1, -2, i32::MIN, i32::MAX, left - 1, left, left + 1];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for n in numbers {
        all.push(n.to_be_bytes().to_vec());
        all.push((n as i16).to_be_bytes().to_vec());
    }
    all.extend([
        vec![0x00],
        vec![0x01],
        vec![(left & 0x7f) as u8],
        vec![0xff, 0xff, 0xff, 0xff, 0x07],
        vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        vec![0xff; 10],
    ]);
    all
}

/// Reads a body with the decoder of `key`, whatever comes of it.
fn decode(key: ApiKey, version: i16, body: Bytes) {
    fn with<C: Call>(version: i16, body: Bytes) {
        let _ = C::decode(version, body);
    }
    let decoder = match key {
        ApiKey::Produce => |version, body| drop(super::decode_produce(version, body)),
        ApiKey::Fetch => with::<super::Fetch>,
        ApiKey::ListOffsets => with::<super::ListOffsets>,
        ApiKey::Metadata => with::<super::MetadataCall>,
        ApiKey::ApiVersions => with::<super::ApiVersions>,
        ApiKey::CreateTopics => with::<super::CreateTopics>,
        ApiKey::DeleteTopics => with::<super::DeleteTopics>,
        ApiKey::InitProducerId => with::<super::InitProducerId>,
        ApiKey::OffsetForLeaderEpoch => with::<super::OffsetForLeaderEpoch>,
        ApiKey::DescribeGroups => with::<super::DescribeGroups>,
        ApiKey::ListGroups => with::<super::ListGroups>,
        ApiKey::DescribeConfigs => with::<super::DescribeConfigs>,
        ApiKey::CreatePartitions => with::<super::CreatePartitions>,
        ApiKey::DeleteGroups => with::<super::DeleteGroups>,
        ApiKey::IncrementalAlterConfigs => with::<super::IncrementalAlterConfigs>,
        ApiKey::OffsetDelete => with::<super::OffsetDelete>,
        ApiKey::DescribeCluster => with::<super::DescribeCluster>,
        ApiKey::ConsumerGroupDescribe => with::<super::ConsumerGroupDescribe>,
        ApiKey::ShareGroupDescribe => with::<super::ShareGroupDescribe>,
        ApiKey::OffsetCommit => with::<super::OffsetCommit>,
        ApiKey::OffsetFetch => with::<super::OffsetFetch>,
        ApiKey::FindCoordinator => with::<super::FindCoordinator>,
        ApiKey::AddPartitionsToTxn => with::<super::AddPartitionsToTxn>,
        ApiKey::AddOffsetsToTxn => with::<super::AddOffsetsToTxn>,
        ApiKey::EndTxn => with::<super::EndTxn>,
        ApiKey::TxnOffsetCommit => with::<super::TxnOffsetCommit>,
        ApiKey::JoinGroup => with::<super::JoinGroup>,
        ApiKey::Heartbeat => with::<super::Heartbeat>,
        ApiKey::LeaveGroup => with::<super::LeaveGroup>,
        ApiKey::SyncGroup => with::<super::SyncGroup>,
        ApiKey::SaslHandshake => with::<super::SaslHandshake>,
        ApiKey::SaslAuthenticate => with::<super::SaslAuthenticate>,
        ApiKey::DescribeAcls => with::<super::DescribeAcls>,
        ApiKey::CreateAcls => with::<super::CreateAcls>,
        ApiKey::DeleteAcls => with::<super::DeleteAcls>,
        ApiKey::CreateDelegationToken => with::<super::CreateDelegationToken>,
        ApiKey::RenewDelegationToken => with::<super::RenewDelegationToken>,
        ApiKey::ExpireDelegationToken => with::<super::ExpireDelegationToken>,
        ApiKey::DescribeDelegationToken => with::<super::DescribeDelegationToken>,
        ApiKey::DescribeClientQuotas => with::<super::DescribeClientQuotas>,
        ApiKey::AlterClientQuotas => with::<super::AlterClientQuotas>,
        ApiKey::DescribeUserScramCredentials => with::<super::DescribeUserScramCredentials>,
        ApiKey::AlterUserScramCredentials => with::<super::AlterUserScramCredentials>,
        ApiKey::WriteTxnMarkers => with::<super::WriteTxnMarkers>,
        ApiKey::DescribeProducers => with::<super::DescribeProducers>,
        ApiKey::DescribeTransactions => with::<super::DescribeTransactions>,
        ApiKey::ListTransactions => with::<super::ListTransactions>,
    };
    decoder(version, body);
}

proptest::proptest! {
    #[test]
    fn no_decoder_panics_on_arbitrary_bytes(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
    ) {
        let bytes = Bytes::from(bytes);
        for key in ALL {
            for version in versions(key) {
                let _ = super::split_response(key, version, bytes.clone());
                decode(key, version, bytes.clone());
            }
        }
        let _ = super::recognise_foreign(&bytes);
    }
}
