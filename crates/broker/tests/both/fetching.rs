//! Fetch, ListOffsets, DeleteRecords and OffsetForLeaderEpoch.

use bytes::Buf;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::*;

use super::producing;
use super::talk::{Batch, Talk, code, recently};

async fn append(talk: &mut Talk, partition: i32, records: usize) {
    let records = Some(Batch::of(records).bytes());
    let request = producing::request(talk, 11, "t", partition, records).await;
    let answer = talk.ask(11, &request).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

/// Partition, offset, and most bytes.
pub(crate) type From = (i32, i64, i32);

async fn request(
    talk: &mut Talk,
    version: i16,
    session: (i32, i32),
    from: &[From],
) -> FetchRequest {
    let partitions = from.iter().map(|(partition, offset, most)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(*most)
    });
    let mut of = FetchTopic::default().with_partitions(partitions.collect());
    if version >= 13 {
        of.topic_id = talk.topic_id("t").await;
    } else {
        of.topic = talk.topic_name("t");
    }
    let mut request = FetchRequest::default()
        .with_max_wait_ms(50)
        .with_min_bytes(1)
        .with_max_bytes(1_000_000);
    if !from.is_empty() {
        request.topics = vec![of];
    }
    if version >= 7 {
        request.session_id = session.0;
        request.session_epoch = session.1;
    }
    request
}

const NO_SESSION: (i32, i32) = (0, -1);
const MANY: i32 = 1_000_000;

/// The base offsets of whole batches.
fn bases(mut records: bytes::Bytes) -> Vec<i64> {
    let mut bases = Vec::new();
    while records.len() >= 12 {
        let base = records.get_i64();
        let length = records.get_i32() as usize;
        if length > records.len() {
            break;
        }
        records.advance(length);
        bases.push(base);
    }
    bases
}

fn note(talk: &mut Talk, what: &str, answer: &FetchResponse) {
    let mut told: Vec<_> = answer
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|one| {
            let records = one.records.clone().unwrap_or_default();
            let marks = (
                one.high_watermark,
                one.last_stable_offset,
                one.log_start_offset,
            );
            (
                one.partition_index,
                code(one.error_code),
                marks,
                bases(records),
            )
        })
        .collect();
    told.sort();
    talk.note(what, (code(answer.error_code), told));
}

pub(crate) async fn fetch(talk: &mut Talk, what: &str, version: i16, from: &[From]) {
    let request = request(talk, version, NO_SESSION, from).await;
    let answer = talk.ask(version, &request).await;
    note(talk, what, &answer);
}

pub(crate) async fn from_any_offset(talk: &mut Talk) {
    talk.topic("t", 2, &[]).await;
    for count in [2, 1, 3] {
        append(talk, 0, count).await;
    }
    append(talk, 1, 4).await;
    for version in 4..=17 {
        fetch(
            talk,
            &format!("version {version}"),
            version,
            &[(0, 0, MANY), (1, 0, MANY)],
        )
        .await;
    }
    for offset in 0..=6 {
        fetch(talk, &format!("from {offset}"), 12, &[(0, offset, MANY)]).await;
    }
    let size = Batch::of(2).bytes().len() as i32;
    fetch(talk, "one byte of each", 12, &[(0, 0, 1), (1, 0, 1)]).await;
    fetch(talk, "one byte of the second", 12, &[(0, 6, 1), (1, 0, 1)]).await;
    fetch(talk, "as much as the first batch has", 12, &[(0, 0, size)]).await;
    let mut limited = request(talk, 12, NO_SESSION, &[(0, 0, MANY), (1, 0, MANY)]).await;
    limited.max_bytes = 1;
    let answer = talk.ask(12, &limited).await;
    note(talk, "one byte altogether", &answer);
}

pub(crate) async fn refused(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    append(talk, 0, 2).await;
    fetch(talk, "behind the end", 12, &[(0, 3, MANY)]).await;
    fetch(talk, "before the start", 12, &[(0, -1, MANY)]).await;
    fetch(talk, "no such partition", 12, &[(7, 0, MANY)]).await;
    for epoch in [0, 1] {
        let mut request = request(talk, 12, NO_SESSION, &[(0, 0, MANY)]).await;
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let answer = talk.ask(12, &request).await;
        note(talk, &format!("epoch {epoch}"), &answer);
    }
    let mut named = request(talk, 12, NO_SESSION, &[(0, 0, MANY)]).await;
    named.topics[0].topic = talk.topic_name("none");
    let answer = talk.ask(12, &named).await;
    note(talk, "no such topic", &answer);
    let mut by_id = request(talk, 13, NO_SESSION, &[(0, 0, MANY)]).await;
    by_id.topics[0].topic_id = uuid::Uuid::from_u128(77);
    let answer = talk.ask(13, &by_id).await;
    note(talk, "no such id", &answer);
}

pub(crate) async fn sessions(talk: &mut Talk) {
    talk.topic("t", 3, &[]).await;
    append(talk, 0, 2).await;
    let first = request(
        talk,
        15,
        (0, 0),
        &[(0, 0, MANY), (1, 0, MANY), (2, 0, MANY)],
    )
    .await;
    let answer = talk.ask(15, &first).await;
    note(talk, "a new session", &answer);
    let id = answer.session_id;
    talk.note("has an id", id > 0);
    let steps: &[(&str, &[From])] = &[
        ("the same again", &[]),
        ("further on", &[(0, 2, MANY)]),
        ("nothing new", &[]),
        ("an offset that is not there", &[(0, 9, MANY)]),
        ("which is told each time", &[]),
        ("and over", &[(0, 2, MANY)]),
    ];
    let mut epoch = 0;
    for (what, from) in steps {
        epoch += 1;
        let next = request(talk, 15, (id, epoch), from).await;
        let answer = talk.ask(15, &next).await;
        note(talk, what, &answer);
    }
    append(talk, 1, 1).await;
    append(talk, 2, 1).await;
    let mut forget = request(talk, 15, (id, epoch + 1), &[]).await;
    let forgotten = ForgottenTopic::default()
        .with_topic_id(talk.topic_id("t").await)
        .with_partitions(vec![2]);
    forget.forgotten_topics_data = vec![forgotten];
    let answer = talk.ask(15, &forget).await;
    note(talk, "one forgotten", &answer);
    for (what, version, session) in [
        ("an old epoch", 15, (id, 1)),
        ("an epoch too far", 15, (id, 99)),
        ("another session", 15, (id ^ 1, 1)),
        ("by name in a session by id", 12, (id, epoch + 2)),
        ("closed", 15, (id, -1)),
        ("after it was closed", 15, (id, epoch + 2)),
    ] {
        let next = request(talk, version, session, &[]).await;
        let answer = talk.ask(version, &next).await;
        note(talk, what, &answer);
    }
}

async fn list(
    talk: &mut Talk,
    what: &str,
    version: i16,
    partition: i32,
    timestamp: i64,
    epoch: i32,
) {
    let mut of = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp);
    if version >= 4 {
        of.current_leader_epoch = epoch;
    }
    let of = ListOffsetsTopic::default()
        .with_name(talk.topic_name("t"))
        .with_partitions(vec![of]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![of]);
    let answer = talk.ask(version, &request).await;
    let one = &answer.topics[0].partitions[0];
    let time = match one.timestamp {
        -1 => -1,
        time => time - recently(),
    };
    talk.note(
        what,
        (code(one.error_code), one.offset, time, one.leader_epoch),
    );
}

pub(crate) async fn offsets_by_time(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    for version in [1, 5, 8, 10] {
        list(talk, "of nothing, latest", version, 0, -1, -1).await;
        list(talk, "of nothing, earliest", version, 0, -2, -1).await;
        list(talk, "of nothing, by time", version, 0, recently(), -1).await;
    }
    list(talk, "of nothing, the newest", 8, 0, -3, -1).await;
    for times in [[0, 10, 20], [15, 5, 30]] {
        let mut batch = Batch::of(0);
        batch.records = times.to_vec();
        batch.max_timestamp = batch.base_timestamp + times.iter().max().unwrap();
        producing::send(talk, "times", batch.bytes()).await;
    }
    for version in [1, 4, 7, 10] {
        list(talk, "latest", version, 0, -1, -1).await;
        list(talk, "earliest", version, 0, -2, -1).await;
        for time in [-1_000_000, 0, 5, 12, 20, 25, 30, 31] {
            list(talk, &format!("{time}"), version, 0, recently() + time, -1).await;
        }
    }
    list(talk, "the newest", 8, 0, -3, -1).await;
    list(talk, "earliest local", 8, 0, -4, -1).await;
    list(talk, "latest tiered", 9, 0, -5, -1).await;
    list(talk, "epoch 0", 8, 0, -1, 0).await;
    list(talk, "epoch 1", 8, 0, -1, 1).await;
    list(talk, "no such partition", 8, 9, -1, -1).await;
}

pub(crate) async fn deleted_records(talk: &mut Talk) {
    use delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    talk.topic("t", 1, &[]).await;
    for _ in 0..3 {
        append(talk, 0, 2).await;
    }
    for offset in [0, 3, 1, 7, -5] {
        let of = DeleteRecordsPartition::default().with_offset(offset);
        let of = DeleteRecordsTopic::default()
            .with_name(talk.topic_name("t"))
            .with_partitions(vec![of]);
        let request = DeleteRecordsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![of]);
        let answer = talk.ask(2, &request).await;
        let one = &answer.topics[0].partitions[0];
        talk.note(
            &format!("before {offset}"),
            (code(one.error_code), one.low_watermark),
        );
        fetch(talk, "from 2", 12, &[(0, 2, MANY)]).await;
        fetch(talk, "from 3", 12, &[(0, 3, MANY)]).await;
        list(talk, "earliest", 8, 0, -2, -1).await;
        list(talk, "by time", 8, 0, recently(), -1).await;
    }
    epochs(talk).await;
}

async fn epochs(talk: &mut Talk) {
    use offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
    for (current, epoch) in [(-1, 0), (0, 0), (-1, 1), (1, 0), (-1, -1)] {
        let of = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let of = OffsetForLeaderTopic::default()
            .with_topic(talk.topic_name("t"))
            .with_partitions(vec![of]);
        let mut request = OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1));
        request.topics = vec![of];
        let answer = talk.ask(4, &request).await;
        let one = &answer.topics[0].partitions[0];
        let told = (code(one.error_code), one.leader_epoch, one.end_offset);
        talk.note(&format!("epoch {epoch}, current {current}"), told);
    }
}
