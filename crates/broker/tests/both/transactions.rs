//! Transactions by both protocols, and what readers see of them.

use std::time::Duration;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use ottla_broker::ErrorCode;

use super::producing::request;
use super::talk::{Batch, Talk, code, s};

/// Records of a transaction.
const TRANSACTIONAL: i16 = 0x10;

/// A producer's id and epoch.
type Producer = (i64, i16);

fn transactional_id(talk: &Talk) -> TransactionalId {
    TransactionalId(s(&talk.name("x")))
}

/// Asks again while the coordinator has something else to do.
fn busy(number: i16) -> bool {
    [
        ErrorCode::CONCURRENT_TRANSACTIONS,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
    ]
    .contains(&code(number))
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn init(talk: &mut Talk, what: &str, before: Producer) -> Producer {
    let find = FindCoordinatorRequest::default()
        .with_key_type(1)
        .with_key(s(&talk.name("x")));
    while talk.ask(3, &find).await.error_code != 0 {
        pause().await;
    }
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(transactional_id(talk)))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(before.0))
        .with_producer_epoch(before.1);
    let mut answer = talk.ask(4, &request).await;
    while busy(answer.error_code) {
        pause().await;
        answer = talk.ask(4, &request).await;
    }
    talk.note(what, (code(answer.error_code), answer.producer_epoch));
    (answer.producer_id.0, answer.producer_epoch)
}

const NOBODY: Producer = (-1, -1);

async fn add(talk: &mut Talk, what: &str, (id, epoch): Producer, topics: &[&str]) {
    let topics = topics.iter().map(|name| {
        AddPartitionsToTxnTopic::default()
            .with_name(talk.topic_name(name))
            .with_partitions(vec![0])
    });
    let topics = topics.collect();
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id(talk))
        .with_v3_and_below_producer_id(ProducerId(id))
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(topics);
    let mut told = Vec::new();
    loop {
        let answer = talk.ask(3, &request).await;
        told.clear();
        for topic in &answer.results_by_topic_v3_and_below {
            let parts = topic.results_by_partition.iter();
            told.extend(parts.map(|one| one.partition_error_code));
        }
        if !told.iter().any(|code| busy(*code)) {
            break;
        }
        pause().await;
    }
    // In no order.
    told.sort_unstable();
    let told: Vec<_> = told.into_iter().map(code).collect();
    talk.note(what, told);
}

async fn send(
    talk: &mut Talk,
    what: &str,
    version: i16,
    attributes: i16,
    (id, epoch): Producer,
    sequence: i32,
) {
    let mut batch = Batch::of(2).producer(id, epoch, sequence);
    batch.attributes = attributes;
    let mut request = request(talk, version, "t", 0, Some(batch.bytes())).await;
    request.transactional_id = Some(transactional_id(talk));
    let answer = talk.ask(version, &request).await;
    let one = &answer.responses[0].partition_responses[0];
    talk.note(what, (code(one.error_code), one.base_offset));
}

/// The end, and again until the markers are written.
async fn end(
    talk: &mut Talk,
    what: &str,
    version: i16,
    (id, epoch): Producer,
    commit: bool,
) -> Producer {
    let request = EndTxnRequest::default()
        .with_transactional_id(transactional_id(talk))
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch)
        .with_committed(commit);
    let answer = talk.ask(version, &request).await;
    let same = answer.producer_id.0 == id;
    talk.note(what, (code(answer.error_code), same, answer.producer_epoch));
    let next = (answer.producer_id.0, answer.producer_epoch);
    if answer.error_code != 0 {
        return next;
    }
    let mut again = talk.ask(version, &request).await;
    while busy(again.error_code) {
        pause().await;
        again = talk.ask(version, &request).await;
    }
    let same = again.producer_id.0 == id;
    let told = (code(again.error_code), same, again.producer_epoch);
    talk.note(&format!("{what}, again"), told);
    next
}

async fn see(talk: &mut Talk, what: &str) {
    for isolation in [0, 1] {
        let latest = ListOffsetsPartition::default().with_timestamp(-1);
        let of = ListOffsetsTopic::default()
            .with_name(talk.topic_name("t"))
            .with_partitions(vec![latest]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation)
            .with_topics(vec![of]);
        let answer = talk.ask(6, &request).await;
        let end = answer.topics[0].partitions[0].offset;
        let part = FetchPartition::default()
            .with_partition_max_bytes(1_000_000)
            .with_current_leader_epoch(-1);
        let of = FetchTopic::default()
            .with_topic(talk.topic_name("t"))
            .with_partitions(vec![part]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_bytes(1_000_000)
            .with_isolation_level(isolation)
            .with_session_epoch(-1)
            .with_topics(vec![of]);
        let answer = talk.ask(12, &request).await;
        let one = &answer.responses[0].partitions[0];
        let aborted = one.aborted_transactions.as_deref().unwrap_or_default();
        let aborted: Vec<_> = aborted.iter().map(|one| one.first_offset).collect();
        let bytes = one.records.as_ref().map_or(0, |records| records.len());
        let marks = (one.high_watermark, one.last_stable_offset);
        let told = (end, marks, aborted, bytes);
        talk.note(&format!("{what}, isolation {isolation}"), told);
    }
}

pub(crate) async fn first_protocol(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    let one = init(talk, "a first producer", NOBODY).await;
    send(talk, "not asked before", 11, TRANSACTIONAL, one, 0).await;
    send(talk, "not asked before, of old", 10, TRANSACTIONAL, one, 0).await;
    add(talk, "an unknown topic", one, &["t", "unknown"]).await;
    add(talk, "another's id", (one.0 + 1_000_000, 0), &["t"]).await;
    add(talk, "an epoch to come", (one.0, 5), &["t"]).await;
    end(talk, "commit of nothing", 4, one, true).await;
    add(talk, "the topic", one, &["t"]).await;
    see(talk, "nothing yet").await;
    send(talk, "two records", 11, TRANSACTIONAL, one, 0).await;
    send(talk, "outside of it", 11, 0, one, 2).await;
    send(talk, "again", 11, TRANSACTIONAL, one, 0).await;
    see(talk, "open").await;
    end(talk, "another's id", 4, (one.0 + 1_000_000, 0), true).await;
    end(talk, "an epoch to come", 4, (one.0, 1), true).await;
    end(talk, "commit", 4, one, true).await;
    see(talk, "committed").await;
    end(talk, "abort after the commit", 4, one, false).await;
    add(talk, "the next one", one, &["t"]).await;
    send(talk, "two more", 11, TRANSACTIONAL, one, 2).await;
    end(talk, "abort", 4, one, false).await;
    see(talk, "aborted").await;
    let two = init(talk, "a second producer", NOBODY).await;
    end(talk, "the first is fenced", 4, one, true).await;
    end(talk, "and in older words", 1, one, true).await;
    add(talk, "the first is fenced", one, &["t"]).await;
    add(talk, "the second is not", two, &["t"]).await;
    send(talk, "its records", 11, TRANSACTIONAL, two, 0).await;
    let three = init(talk, "a third aborts the second", NOBODY).await;
    see(talk, "aborted by the third").await;
    send(talk, "the second is fenced", 11, TRANSACTIONAL, two, 2).await;
    let four = init(talk, "goes on after an error", three).await;
    init(talk, "whose answer was lost", three).await;
    init(talk, "of old", two).await;
    end(talk, "abort of nothing", 4, four, false).await;
}

pub(crate) async fn second_protocol(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    let one = init(talk, "a first producer", NOBODY).await;
    send(talk, "not asked before", 12, TRANSACTIONAL, one, 0).await;
    see(talk, "open").await;
    let two = end(talk, "commit", 5, one, true).await;
    see(talk, "committed").await;
    send(talk, "in the old epoch", 12, TRANSACTIONAL, one, 2).await;
    end(talk, "abort after the commit", 5, one, false).await;
    send(
        talk,
        "in the new one, in the old order",
        12,
        TRANSACTIONAL,
        two,
        2,
    )
    .await;
    end(talk, "abort", 5, two, false).await;
    let three = (two.0, two.1 + 1);
    send(talk, "in the new one", 12, TRANSACTIONAL, three, 0).await;
    let four = end(talk, "abort of two records", 5, three, false).await;
    see(talk, "aborted").await;
    let five = end(talk, "abort of nothing", 5, four, false).await;
    end(talk, "commit of nothing", 5, five, true).await;
    end(talk, "of old", 5, two, true).await;
    init(talk, "goes on after an error", five).await;
}

async fn commit(
    talk: &mut Talk,
    what: &str,
    version: i16,
    (id, epoch): Producer,
    generation: i32,
    offset: i64,
) {
    let one = TxnOffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(s("m")));
    let of = TxnOffsetCommitRequestTopic::default()
        .with_name(talk.topic_name("t"))
        .with_partitions(vec![one]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional_id(talk))
        .with_group_id(talk.group_id("g"))
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch)
        .with_generation_id(generation)
        .with_topics(vec![of]);
    let answer = talk.ask(version, &request).await;
    let told = answer.topics[0].partitions[0].error_code;
    talk.note(what, code(told));
}

async fn committed(talk: &mut Talk, what: &str) {
    let of = OffsetFetchRequestTopic::default()
        .with_name(talk.topic_name("t"))
        .with_partition_indexes(vec![0]);
    for stable in [false, true] {
        let request = OffsetFetchRequest::default()
            .with_group_id(talk.group_id("g"))
            .with_topics(Some(vec![of.clone()]))
            .with_require_stable(stable);
        let answer = talk.ask(7, &request).await;
        let one = &answer.topics[0].partitions[0];
        let told = (code(one.error_code), one.committed_offset);
        talk.note(&format!("{what}, stable {stable}"), told);
    }
}

pub(crate) async fn offsets(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    talk.coordinator("g").await;
    let one = init(talk, "a first producer", NOBODY).await;
    commit(talk, "not asked before", 4, one, -1, 3).await;
    commit(talk, "not asked before, of old", 3, one, -1, 3).await;
    let add = AddOffsetsToTxnRequest::default()
        .with_transactional_id(transactional_id(talk))
        .with_producer_id(ProducerId(one.0))
        .with_producer_epoch(one.1)
        .with_group_id(talk.group_id("g"));
    let answer = talk.ask(3, &add).await;
    talk.note("asked for", code(answer.error_code));
    commit(talk, "of a generation that is not", 4, one, 7, 3).await;
    commit(talk, "an offset", 4, one, -1, 3).await;
    committed(talk, "open").await;
    end(talk, "commit", 4, one, true).await;
    committed(talk, "committed").await;
    let two = init(talk, "a second producer", NOBODY).await;
    commit(talk, "fenced", 5, one, -1, 4).await;
    commit(
        talk,
        "not asked before, by the second protocol",
        5,
        two,
        -1,
        4,
    )
    .await;
    committed(talk, "open").await;
    end(talk, "abort", 5, two, false).await;
    committed(talk, "aborted").await;
}

pub(crate) async fn described(talk: &mut Talk) {
    use describe_producers_request::TopicRequest;
    talk.topic("t", 1, &[]).await;
    let describe =
        DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id(talk)]);
    let one = init(talk, "a producer", NOBODY).await;
    for step in ["new", "open", "over"] {
        match step {
            "open" => send(talk, step, 12, TRANSACTIONAL, one, 0).await,
            "over" => drop(end(talk, step, 5, one, true).await),
            _ => {}
        }
        let answer = talk.ask(0, &describe).await;
        let told = &answer.transaction_states[0];
        let topics: Vec<_> = told.topics.iter().map(|of| of.partitions.clone()).collect();
        let told = (
            code(told.error_code),
            told.transaction_state.to_string(),
            told.transaction_timeout_ms,
            told.producer_epoch,
            told.transaction_start_time_ms > 0,
            topics,
        );
        talk.note(step, told);
        let list = ListTransactionsRequest::default()
            .with_producer_id_filters(vec![ProducerId(one.0)])
            .with_state_filters(vec![s("Ongoing"), s("Empty"), s("Strange")]);
        let answer = talk.ask(0, &list).await;
        let states = answer.transaction_states.iter();
        let states: Vec<_> = states
            .map(|one| one.transaction_state.to_string())
            .collect();
        talk.note(step, (states, answer.unknown_state_filters.len()));
        let of = TopicRequest::default()
            .with_name(talk.topic_name("t"))
            .with_partition_indexes(vec![0, 7]);
        let request = DescribeProducersRequest::default().with_topics(vec![of]);
        let mut answer = talk.ask(0, &request).await;
        answer.topics[0]
            .partitions
            .sort_by_key(|one| one.partition_index);
        for part in &answer.topics[0].partitions {
            let active = part.active_producers.iter();
            let active: Vec<_> = active
                .map(|one| {
                    let start = one.current_txn_start_offset;
                    (one.producer_epoch, one.last_sequence, start)
                })
                .collect();
            talk.note(step, (code(part.error_code), active));
        }
    }
    let unknown = DescribeTransactionsRequest::default()
        .with_transactional_ids(vec![TransactionalId(s(&talk.name("unknown")))]);
    let answer = talk.ask(0, &unknown).await;
    let told = &answer.transaction_states[0];
    talk.note("unknown", code(told.error_code));
}

pub(crate) async fn ended_by_hand(talk: &mut Talk) {
    use write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
    talk.topic("t", 1, &[]).await;
    let one = init(talk, "a producer", NOBODY).await;
    let two = end(talk, "an end of nothing", 5, one, false).await;
    send(talk, "two records", 12, TRANSACTIONAL, two, 0).await;
    let of = WritableTxnMarkerTopic::default()
        .with_name(talk.topic_name("t"))
        .with_partition_indexes(vec![0, 7]);
    for (what, epoch) in [("of old", two.1 - 1), ("as it is", two.1)] {
        let marker = WritableTxnMarker::default()
            .with_producer_id(ProducerId(two.0))
            .with_producer_epoch(epoch)
            .with_transaction_result(false)
            .with_topics(vec![of.clone()]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        let answer = talk.ask(1, &request).await;
        let mut parts = answer.markers[0].topics[0].partitions.clone();
        parts.sort_by_key(|one| one.partition_index);
        let codes: Vec<_> = parts.iter().map(|one| code(one.error_code)).collect();
        talk.note(what, codes);
        see(talk, what).await;
    }
}
