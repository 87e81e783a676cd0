//! Answers and hints in the orders in which brokers really give them.

use std::time::Duration;

use super::*;
use crate::wire::BrokerMeta;

const OLD: TopicId = TopicId([1; 16]);
const NEW: TopicId = TopicId([2; 16]);

fn address(id: i32) -> Address {
    Address::new(format!("broker-{id}"), 9092)
}

/// Partitions as (leader, epoch), a leader below zero for none.
fn topic(id: TopicId, partitions: &[(i32, i32)]) -> TopicMeta {
    let partition = |(number, (leader, leader_epoch)): (usize, &(i32, i32))| PartitionMeta {
        code: ErrorCode::NONE,
        partition: number as i32,
        leader: (*leader >= 0).then_some(BrokerId(*leader)),
        leader_epoch: *leader_epoch,
        replicas: vec![BrokerId(1), BrokerId(2)],
        isr: vec![BrokerId(1)],
        offline: vec![],
    };
    TopicMeta {
        code: ErrorCode::NONE,
        name: Some("t".into()),
        id,
        internal: false,
        partitions: partitions.iter().enumerate().map(partition).collect(),
        operations: i32::MIN,
    }
}

fn refused(code: ErrorCode) -> TopicMeta {
    TopicMeta {
        code,
        ..topic(TopicId::ZERO, &[])
    }
}

fn answer(topics: Vec<TopicMeta>) -> MetadataAnswer {
    let broker = |id| BrokerMeta {
        id: BrokerId(id),
        address: address(id),
        rack: None,
    };
    MetadataAnswer {
        throttle: Duration::ZERO,
        operations: i32::MIN,
        brokers: [1, 2].map(broker).to_vec(),
        cluster_id: Some("cluster".into()),
        controller: Some(BrokerId(1)),
        topics,
        code: ErrorCode::NONE,
    }
}

fn after(answers: Vec<TopicMeta>) -> Topology {
    answers
        .into_iter()
        .fold(Topology::default(), |topology, meta| {
            topology.merge(&answer(vec![meta]), &["t".into()])
        })
}

fn leaders(topology: &Topology) -> Vec<(i32, i32)> {
    let partitions = &topology.topics["t"].partitions;
    partitions
        .iter()
        .map(|p| (p.leader.map_or(-1, |leader| leader.0), p.leader_epoch))
        .collect()
}

#[test]
fn an_older_leader_epoch_is_ignored() {
    let topology = after(vec![
        topic(OLD, &[(1, 5), (1, 5)]),
        topic(OLD, &[(2, 4), (2, 6)]),
    ]);
    assert_eq!(leaders(&topology), [(1, 5), (2, 6)]);
}

#[test]
fn an_equal_or_unknown_leader_epoch_is_taken() {
    let topology = after(vec![
        topic(OLD, &[(1, 5), (1, 5)]),
        topic(OLD, &[(-1, 5), (2, -1)]),
    ]);
    assert_eq!(leaders(&topology), [(-1, 5), (2, -1)]);
}

#[test]
fn a_new_topic_id_replaces_everything() {
    let topology = after(vec![
        topic(OLD, &[(1, 5), (1, 5), (1, 5)]),
        topic(NEW, &[(2, 0)]),
    ]);
    assert_eq!(leaders(&topology), [(2, 0)]);
    assert_eq!(topology.topics["t"].id, NEW);
}

#[test]
fn a_topic_recreated_without_ids_is_recognised() {
    let zero = TopicId::ZERO;
    let smaller = after(vec![topic(zero, &[(1, 5), (1, 5)]), topic(zero, &[(2, 0)])]);
    assert_eq!(leaders(&smaller), [(2, 0)]);
    let gone = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let again = after(vec![
        topic(zero, &[(1, 5)]),
        refused(gone),
        topic(zero, &[(2, 0)]),
    ]);
    assert_eq!(leaders(&again), [(2, 0)]);
}

#[test]
fn an_absent_or_refused_topic_keeps_its_partitions_and_is_marked() {
    let known = after(vec![topic(OLD, &[(1, 5)])]);
    let absent = known.merge(&answer(vec![]), &["t".into()]);
    assert_eq!(leaders(&absent), [(1, 5)]);
    assert_eq!(
        absent.topics["t"].error,
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    );
    assert_eq!(absent.topics["t"].id, OLD);
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    let refused = absent.merge(&answer(vec![refused(code)]), &["t".into()]);
    assert_eq!(leaders(&refused), [(1, 5)]);
    assert_eq!(refused.topics["t"].error, Some(code));
    let back = refused.merge(&answer(vec![topic(OLD, &[(2, 6)])]), &["t".into()]);
    assert_eq!(leaders(&back), [(2, 6)]);
    assert_eq!(back.topics["t"].error, None);
}

#[test]
fn partitions_grow_and_an_answer_that_lags_does_not_shrink_them() {
    let topology = after(vec![
        topic(OLD, &[(1, 0)]),
        topic(OLD, &[(1, 0), (2, 0)]),
        topic(OLD, &[(1, 0)]),
    ]);
    assert_eq!(leaders(&topology), [(1, 0), (2, 0)]);
}

#[test]
fn partition_numbers_out_of_range_are_ignored() {
    for number in [-1, 1, i32::MAX, i32::MIN] {
        let mut meta = topic(OLD, &[(1, 0)]);
        meta.partitions[0].partition = number;
        assert_eq!(leaders(&after(vec![meta])), [(-1, -1)], "{number}");
    }
}

#[test]
fn topics_not_asked_for_stay_as_they_are() {
    let known = after(vec![topic(OLD, &[(1, 5)])]);
    let next = known.merge(&answer(vec![topic(OLD, &[(2, 9)])]), &[]);
    assert!(Arc::ptr_eq(&known.topics["t"], &next.topics["t"]));
    let same = known.merge(&answer(vec![topic(OLD, &[(1, 5)])]), &["t".into()]);
    assert!(Arc::ptr_eq(&known.topics["t"], &same.topics["t"]));
    assert!(same.version > known.version);
}

#[test]
fn another_cluster_has_other_topics() {
    let known = after(vec![topic(TopicId::ZERO, &[(1, 5)])]);
    let mut other = answer(vec![topic(TopicId::ZERO, &[(2, 0)])]);
    other.cluster_id = Some("another".into());
    assert_eq!(leaders(&known.merge(&other, &["t".into()])), [(2, 0)]);
}

fn named(topic: &str, partition: i32, leader: i32, epoch: i32) -> LeaderHint {
    LeaderHint {
        topic: topic.into(),
        partition,
        leader: BrokerId(leader),
        epoch,
    }
}

#[test]
fn the_leader_hints_of_one_answer_make_one_snapshot() {
    let known = after(vec![topic(OLD, &[(1, 5), (1, 5), (1, 5)])]);
    let hints = [
        named("t", 0, 2, 6),
        named("other", 0, 2, 9),
        named("t", 2, 7, 6),
        // Twice the same partition: the newest epoch holds, whatever the order.
        named("t", 0, 7, 8),
        named("t", 0, 1, 7),
    ];
    let next = known
        .apply_leader_hints(&hints, &[(BrokerId(7), address(7))])
        .unwrap();
    assert_eq!(leaders(&next), [(7, 8), (1, 5), (7, 6)]);
    assert_eq!(next.version, known.version + 1);
    assert_eq!(next.brokers[&BrokerId(7)], address(7));
    assert!(next.apply_leader_hints(&hints, &[]).is_none());
}

#[test]
fn a_leader_hint_counts_only_with_a_newer_epoch_and_a_known_leader() {
    let known = after(vec![topic(OLD, &[(1, 5)])]);
    let hint = |partition, leader, epoch, nodes: &[i32]| {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|id| (BrokerId(*id), address(*id)))
            .collect();
        known.apply_leader_hints(&[named("t", partition, leader, epoch)], &nodes)
    };
    for no_news in [
        hint(0, 2, 5, &[2]),
        hint(0, 2, 4, &[2]),
        hint(0, 7, 6, &[8]),
        hint(1, 2, 6, &[2]),
        hint(-1, 2, 6, &[2]),
    ] {
        assert!(no_news.is_none());
    }
    let next = hint(0, 7, 6, &[7]).unwrap();
    assert_eq!(leaders(&next), [(7, 6)]);
    assert_eq!(next.brokers[&BrokerId(7)], address(7));
    assert!(next.version > known.version);
    // An answer from a broker that has not heard of it does not take it back.
    let stale = next.merge(&answer(vec![topic(OLD, &[(1, 5)])]), &["t".into()]);
    assert_eq!(leaders(&stale), [(7, 6)]);
    assert!(hint(0, 2, 6, &[]).is_some());
}
