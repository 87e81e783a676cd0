//! Brokers' answers: any bytes, cut into frames and taken apart.

use bytes::Bytes;

use super::{LIMIT, byte};
use crate::net::frames::Frames;
use crate::wire::{
    AddOffsetsToTxn, AddPartitionsToTxn, AlterClientQuotas, AlterUserScramCredentials, ApiKey,
    ApiVersions, Call, CreateAcls, CreateDelegationToken, CreateTopics, DeleteAcls, DeleteTopics,
    DescribeAcls, DescribeClientQuotas, DescribeDelegationToken, DescribeProducers,
    DescribeTransactions, DescribeUserScramCredentials, EndTxn, ExpireDelegationToken, Fetch,
    FindCoordinator, Heartbeat, InitProducerId, JoinGroup, LeaveGroup, ListOffsets,
    ListTransactions, MetadataCall, OffsetCommit, OffsetFetch, OffsetForLeaderEpoch,
    RenewDelegationToken, SyncGroup, TxnOffsetCommit, WriteTxnMarkers, decode_produce,
    recognise_foreign, split_response,
};

/// One of a call's supported versions.
fn version(key: ApiKey, chosen: u8) -> i16 {
    let (min, max) = key.supported();
    min + i16::from(chosen) % (max - min + 1)
}

/// A stream of answers, cut into frames: the same ones whatever the reads are, and split without a panic.
pub fn frames(mut data: &[u8]) {
    let step = usize::from(byte(&mut data)).max(1);
    let (key, version) = header_kind(byte(&mut data));
    let whole = cut(data, data.len().max(1));
    assert_eq!(whole, cut(data, step), "in steps of {step}");
    for frame in whole {
        let len = frame.len();
        if let Ok((_, body)) = split_response(key, version, frame) {
            assert!(body.len() + 4 <= len);
        }
    }
    recognise_foreign(data);
}

/// With a rigid header or a flexible one.
fn header_kind(chosen: u8) -> (ApiKey, i16) {
    match chosen % 3 {
        0 => (ApiKey::Produce, 8),
        1 => (ApiKey::Produce, 9),
        _ => (ApiKey::ApiVersions, 4),
    }
}

/// The frames that `data` holds, up to its end or the first bad length.
fn cut(data: &[u8], step: usize) -> Vec<Bytes> {
    let mut stream = Frames::new(LIMIT);
    let mut found = Vec::new();
    for piece in data.chunks(step) {
        let space = stream.space();
        assert!(
            space.capacity() <= 2 * (LIMIT + data.len()),
            "memory for a mere claim"
        );
        space.extend_from_slice(piece);
        while let Some(frame) = match stream.next() {
            Ok(frame) => frame,
            Err(_) => return found,
        } {
            assert!(frame.len() <= LIMIT);
            found.push(frame);
        }
    }
    found
}

/// A Produce answer's body.
pub fn produce_answer(mut data: &[u8]) {
    let version = version(ApiKey::Produce, byte(&mut data));
    if let Ok(answer) = decode_produce(version, Bytes::copy_from_slice(data)) {
        // Each partition takes 22 bytes and more: what is decoded stays in proportion.
        assert!(answer.partitions.len() * 22 <= data.len());
    }
}

/// A Fetch answer's body: record sets are slices of it, one after the other.
pub fn fetch_answer(mut data: &[u8]) {
    let version = version(ApiKey::Fetch, byte(&mut data));
    let body = Bytes::copy_from_slice(data);
    let Ok(answer) = Fetch::decode(version, body.clone()) else {
        return;
    };
    let mut wire = 0;
    let mut from = body.as_ptr();
    for fetched in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        // Each partition takes 37 bytes and more, each aborted transaction 16: what is decoded stays in proportion.
        wire += 37 + fetched.aborted.len() * 16 + fetched.records.len();
        if !fetched.records.is_empty() {
            let records = fetched.records.as_ptr_range();
            assert!(from <= records.start && records.end <= body.as_ptr_range().end);
            from = records.end;
        }
    }
    assert!(wire + answer.topics.len() * 3 <= data.len());
}

/// The body of one of the answers about a group and its offsets, the first byte says which.
pub fn group_answer(mut data: &[u8]) {
    match byte(&mut data) % 9 {
        0 => drop(answer::<FindCoordinator>(data)),
        1 => join_group_answer(data),
        2 => drop(answer::<SyncGroup>(data)),
        3 => drop(answer::<Heartbeat>(data)),
        4 => drop(answer::<LeaveGroup>(data)),
        5 => drop(answer::<OffsetCommit>(data)),
        6 => drop(answer::<OffsetFetch>(data)),
        7 => drop(answer::<ListOffsets>(data)),
        _ => drop(answer::<OffsetForLeaderEpoch>(data)),
    }
}

fn join_group_answer(data: &[u8]) {
    if let Some(answer) = answer::<JoinGroup>(data) {
        let wire = answer.members.iter();
        let wire: usize = wire.map(|m| m.member_id.len() + m.metadata.len() + 4).sum();
        assert!(wire <= data.len());
    }
}

/// A Metadata answer's body.
pub fn metadata_answer(data: &[u8]) {
    if let Some(answer) = answer::<MetadataCall>(data) {
        let partitions: usize = answer
            .topics
            .iter()
            .map(|topic| topic.partitions.len())
            .sum();
        assert!(partitions * 18 <= data.len());
    }
}

/// An ApiVersions answer's body, and the version asked with next.
pub fn api_versions_answer(data: &[u8]) {
    if let Some(answer) = answer::<ApiVersions>(data) {
        let mut asked = ApiKey::ApiVersions.supported().1;
        while let Some(lower) = answer.downgrade(asked) {
            assert!(lower < asked, "asking would not end");
            asked = lower;
        }
    }
}

/// The body of one of the other answers, the first byte says which.
pub fn other_answer(mut data: &[u8]) {
    match byte(&mut data) % 22 {
        0 => drop(answer::<CreateTopics>(data)),
        1 => drop(answer::<DeleteTopics>(data)),
        2 => drop(answer::<InitProducerId>(data)),
        3 => drop(answer::<DescribeAcls>(data)),
        4 => drop(answer::<CreateAcls>(data)),
        5 => drop(answer::<DeleteAcls>(data)),
        6 => drop(answer::<CreateDelegationToken>(data)),
        7 => drop(answer::<RenewDelegationToken>(data)),
        8 => drop(answer::<ExpireDelegationToken>(data)),
        9 => drop(answer::<DescribeDelegationToken>(data)),
        10 => drop(answer::<DescribeClientQuotas>(data)),
        11 => drop(answer::<AlterClientQuotas>(data)),
        12 => drop(answer::<DescribeUserScramCredentials>(data)),
        13 => drop(answer::<AddPartitionsToTxn>(data)),
        14 => drop(answer::<AddOffsetsToTxn>(data)),
        15 => drop(answer::<EndTxn>(data)),
        16 => drop(answer::<TxnOffsetCommit>(data)),
        17 => drop(answer::<AlterUserScramCredentials>(data)),
        18 => drop(answer::<WriteTxnMarkers>(data)),
        19 => drop(answer::<DescribeProducers>(data)),
        20 => drop(answer::<DescribeTransactions>(data)),
        _ => drop(answer::<ListTransactions>(data)),
    }
}

fn answer<C: Call>(mut data: &[u8]) -> Option<C::Response> {
    let version = version(C::KEY, byte(&mut data));
    C::decode(version, Bytes::copy_from_slice(data)).ok()
}
