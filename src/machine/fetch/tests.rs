//! What a fetched partition gives, and what a session says, whatever the broker sends.

mod partition_state;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::batch::{BatchWriter, RecordParts, Spares};
use crate::error::ErrorCode;
use crate::types::{BrokerId, ProducerId, TopicId, TopicPartition};
use crate::wire::{AbortedTransaction, TopicRef};

fn filter() -> Filter {
    Filter {
        read_committed: true,
        check_crcs: true,
        limit: 1 << 20,
        spares: Spares::default(),
    }
}

fn name(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

const TRANSACTIONAL: u8 = 0x10;
const CONTROL: u8 = 0x20;

/// A batch of these records, covering offsets up to `last_delta`, as a broker stores it.
fn batch(
    base: i64,
    records: &[(&[u8], &str)],
    last_delta: i32,
    attributes: u8,
    producer: i64,
) -> Vec<u8> {
    let mut writer = BatchWriter::new(Vec::new());
    for (key, value) in records
        .iter()
        .chain(records.is_empty().then_some(&(&b""[..], "")))
    {
        writer.append(&RecordParts {
            timestamp: 1000,
            key: Some(key),
            value: Some(value.as_bytes()),
            headers: &[],
        });
    }
    let producer = ProducerId {
        id: producer,
        epoch: 0,
    };
    let mut bytes = writer.close().seal(producer, 0).to_vec();
    if records.is_empty() {
        bytes.truncate(61);
        bytes[57..61].copy_from_slice(&0i32.to_be_bytes());
        bytes[8..12].copy_from_slice(&49i32.to_be_bytes());
    }
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes[12..16].copy_from_slice(&7i32.to_be_bytes());
    bytes[22] |= attributes;
    bytes[23..27].copy_from_slice(&last_delta.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn plain(base: i64, values: &[&str]) -> Vec<u8> {
    let records: Vec<_> = values.iter().map(|value| (&b"k"[..], *value)).collect();
    batch(base, &records, values.len() as i32 - 1, 0, -1)
}

fn of_transaction(base: i64, value: &str, producer: i64) -> Vec<u8> {
    batch(base, &[(b"k", value)], 0, TRANSACTIONAL, producer)
}

fn marker(base: i64, kind: u8, producer: i64) -> Vec<u8> {
    batch(
        base,
        &[(&[0, 0, 0, kind], "")],
        0,
        TRANSACTIONAL | CONTROL,
        producer,
    )
}

const ABORT: u8 = 0;
const COMMIT: u8 = 1;

fn completed(position: i64, batches: &[Vec<u8>], aborted: &[(i64, i64)]) -> CompletedFetch {
    let aborted = aborted
        .iter()
        .map(|&(producer_id, first_offset)| AbortedTransaction {
            producer_id,
            first_offset,
        })
        .collect();
    CompletedFetch::new(name(0), position, -1, batches.concat().into(), aborted)
}

/// Offsets and values that a completed fetch hands out, and how it ends.
fn read(
    completed: &mut CompletedFetch,
    filter: &Filter,
) -> (Vec<(i64, String)>, Result<(), Damage>) {
    let mut records = Vec::new();
    loop {
        match completed.step(filter) {
            Ok(NextRecords::Records) => {
                let (block, slot) = completed.take().expect("a record");
                let value = slot.value(&block.bytes).expect("a value");
                records.push((slot.offset, String::from_utf8_lossy(value).into_owned()));
            }
            Ok(NextRecords::End) => return (records, Ok(())),
            Err(damage) => return (records, Err(damage)),
        }
    }
}

fn offsets(completed: &mut CompletedFetch, filter: &Filter) -> Vec<i64> {
    let (records, end) = read(completed, filter);
    assert_eq!(end, Ok(()));
    records.into_iter().map(|(offset, _)| offset).collect()
}

#[test]
fn a_batch_that_starts_before_the_position_is_filtered() {
    let mut completed = completed(12, &[plain(10, &["a", "b", "c", "d"])], &[]);
    assert_eq!(offsets(&mut completed, &filter()), [12, 13]);
    assert_eq!(completed.position(), (14, 7));
}

#[test]
fn compacted_gaps_and_empty_batches_move_the_position_behind_them() {
    let gap = batch(0, &[(b"k", "a")], 9, 0, -1);
    let empty = batch(10, &[], 4, 0, -1);
    let mut completed = completed(0, &[gap, empty, plain(20, &["b"])], &[]);
    assert_eq!(offsets(&mut completed, &filter()), [0, 20]);
    assert_eq!(completed.position(), (21, 7));
    let only_empty = batch(10, &[], 4, 0, -1);
    let mut nothing = self::completed(10, &[only_empty], &[]);
    assert!(offsets(&mut nothing, &filter()).is_empty());
    assert_eq!(nothing.position(), (15, 7));
}

#[test]
fn aborted_transactions_are_left_out_in_whatever_order_and_however_often_they_are_told() {
    let log = [
        of_transaction(0, "aborted 1", 1),
        of_transaction(1, "kept 2", 2),
        plain(2, &["kept"]),
        marker(3, ABORT, 1),
        of_transaction(4, "kept 1", 1),
        marker(5, COMMIT, 1),
        marker(6, COMMIT, 2),
        of_transaction(7, "aborted 1 again", 1),
        marker(8, ABORT, 1),
        marker(9, ABORT, 1),
        of_transaction(10, "kept 1 again", 1),
        marker(11, COMMIT, 1),
        marker(12, COMMIT, 1),
    ];
    for aborted in [
        &[(1, 0), (1, 7)][..],
        &[(1, 7), (1, 0)],
        &[(1, 0), (1, 7), (1, 7)],
    ] {
        let mut completed = completed(0, &log, aborted);
        assert_eq!(
            offsets(&mut completed, &filter()),
            [1, 2, 4, 10],
            "{aborted:?}"
        );
        assert_eq!(completed.position(), (13, 7));
    }
    let all = Filter {
        read_committed: false,
        ..filter()
    };
    assert_eq!(
        offsets(&mut completed(0, &log, &[]), &all),
        [0, 1, 2, 4, 7, 10]
    );
}

#[test]
fn a_damaged_batch_is_told_after_the_records_before_it() {
    let mut damaged = plain(2, &["c", "d"]);
    *damaged.last_mut().expect("bytes") ^= 1;
    let log = [plain(0, &["a", "b"]), damaged.clone(), plain(4, &["e"])];
    let (records, end) = read(&mut completed(0, &log, &[]), &filter());
    assert_eq!(records.len(), 2);
    let damage = end.expect_err("a wrong CRC");
    assert_eq!((damage.offset, damage.next_offset), (2, 4));
    assert!(
        format!("{:?}", damage.reason).contains("CRC"),
        "{:?}",
        damage.reason
    );
    // Behind it, all is well.
    assert_eq!(offsets(&mut completed(4, &log, &[]), &filter()), [4]);
    // Unchecked, it is read as it is, or refused: never a panic.
    let unchecked = Filter {
        check_crcs: false,
        ..filter()
    };
    let _ = read(&mut completed(0, &[damaged], &[]), &unchecked);
}

#[test]
fn what_is_paused_keeps_no_frame_that_is_much_larger_and_loses_no_record() {
    let log = [
        of_transaction(0, "aborted", 1),
        plain(1, &["a", "b", "c"]),
        of_transaction(4, "aborted", 1),
        marker(5, ABORT, 1),
        of_transaction(6, "d", 1),
    ];
    let part = log.concat();
    let frame = Bytes::from([part.clone(), vec![0; part.len() * 8]].concat());
    let aborted = vec![AbortedTransaction {
        producer_id: 1,
        first_offset: 0,
    }];
    for before in 0..4 {
        let mut completed =
            CompletedFetch::new(name(0), 0, -1, frame.slice(..part.len()), aborted.clone());
        completed = completed.of_frame(frame.len());
        let mut found = Vec::new();
        for _ in 0..before {
            assert_eq!(completed.step(&filter()), Ok(NextRecords::Records));
            found.push(completed.take().expect("a record").1.offset);
        }
        // Where records are left, the frame is kept by nothing else.
        assert!(!frame.is_unique());
        let size = completed.size();
        completed.shelve();
        assert!(frame.is_unique(), "after {before}");
        assert_eq!(completed.size(), size, "counted as before");
        completed.shelve();
        found.extend(offsets(&mut completed, &filter()));
        assert_eq!(found, [1, 2, 3, 6]);
        assert_eq!(completed.position(), (7, 7));
    }
}

#[test]
fn what_is_paused_in_a_frame_of_its_own_is_not_copied() {
    let part = Bytes::from(plain(0, &["a", "b", "c"]));
    let mut partition = fetching(0, 1);
    partition.answered(FetchedPart {
        completed: Some(CompletedFetch::new(
            name(0),
            0,
            -1,
            part.clone(),
            Vec::new(),
        )),
        next: None,
        is_damaged: false,
        high_watermark: 3,
        last_stable_offset: 3,
        log_start_offset: 0,
    });
    partition.pause(true);
    assert!(!part.is_unique());
    let mut completed = partition.take_completed().expect("a completed");
    assert_eq!(offsets(&mut completed, &filter()), [0, 1, 2]);
}

fn fetching(number: i32, version: u64) -> PartitionState {
    let mut partition = PartitionState::held(name(number), version);
    partition.lead_by(Some(BrokerId(1)), 5, TopicId([9; 16]));
    partition.begin(Some(Start::Earliest));
    partition.seek(
        Position {
            offset: 10,
            leader_epoch: -1,
        },
        version,
    );
    partition
}

fn asked(session: &mut Session, partitions: &[PartitionState]) -> (i32, Vec<i32>, Vec<i32>) {
    let all = partitions.iter().enumerate().map(|(at, p)| (at as u32, p));
    let asked = session.ask(all.filter(|(_, p)| !p.paused), 1000);
    let of = |topic: crate::wire::FetchTopic| topic.partitions.into_iter().map(|p| p.partition);
    (
        asked.session_epoch,
        asked.topics.into_iter().flat_map(of).collect(),
        asked
            .forgotten
            .into_iter()
            .flat_map(|t| t.partitions)
            .collect(),
    )
}

#[test]
fn a_session_names_only_what_has_changed() {
    let mut session = Session::default();
    let mut all = [fetching(0, 1), fetching(1, 2), fetching(2, 3)];
    assert_eq!(asked(&mut session, &all), (0, vec![0, 1, 2], vec![]));
    assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
    assert_eq!(asked(&mut session, &all), (1, vec![], vec![]));
    assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
    all[1].seek(
        Position {
            offset: 50,
            leader_epoch: -1,
        },
        4,
    );
    all[2].paused = true;
    assert_eq!(asked(&mut session, &all), (2, vec![1], vec![2]));
    assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
    all[2].paused = false;
    assert_eq!(asked(&mut session, &all), (3, vec![2], vec![]));
    let lost = session.answered(ErrorCode::INVALID_FETCH_SESSION_EPOCH, 0);
    assert_eq!(lost, Heard::Lost);
    assert_eq!(asked(&mut session, &all), (0, vec![0, 1, 2], vec![]));
    assert_eq!(session.end(), Some((77, -1)));
    assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
    let lost = session.answered(ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0);
    assert_eq!(lost, Heard::Lost);
    assert_eq!(session.end(), None);
}

#[test]
fn what_a_broker_refuses_is_not_taken_for_a_lost_session() {
    for code in [
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::UNKNOWN_TOPIC_ID,
        ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR,
    ] {
        let mut session = Session::default();
        let all = [fetching(0, 1)];
        asked(&mut session, &all);
        session.answered(ErrorCode::NONE, 77);
        assert_eq!(session.answered(code, 0), Heard::Refused, "{code}");
        assert_eq!(asked(&mut session, &all), (0, vec![0], vec![]));
        // A session that is only being asked for cannot be lost.
        let code = ErrorCode::INVALID_FETCH_SESSION_EPOCH;
        assert_eq!(session.answered(code, 0), Heard::Refused);
    }
}

#[test]
fn a_topic_whose_id_becomes_known_is_asked_for_in_a_new_session() {
    let mut session = Session::default();
    let mut all = [fetching(0, 1), fetching(1, 2)];
    all[1].lead_by(Some(BrokerId(1)), 5, TopicId::ZERO);
    assert_eq!(asked(&mut session, &all), (0, vec![0, 1], vec![]));
    assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
    // All by name, even if only those are named that have an id.
    let same = session.ask([(0, &all[0]), (1, &all[1])].into_iter(), 1000);
    assert!(same.topics.is_empty() && !same.has_ids);
    assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
    all[1].lead_by(Some(BrokerId(1)), 5, TopicId([9; 16]));
    let anew = session.ask([(0, &all[0]), (1, &all[1])].into_iter(), 1000);
    assert!(anew.has_ids && anew.session_epoch == 0 && anew.forgotten.is_empty());
}

#[test]
fn a_topic_that_was_made_anew_is_never_asked_for_and_forgotten_at_once() {
    for at in [0, 1] {
        let mut session = Session::default();
        let old = fetching(0, 1);
        session.ask([(0, &old)].into_iter(), 1000);
        assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
        let mut new = fetching(0, 2);
        new.lead_by(Some(BrokerId(1)), 5, TopicId([8; 16]));
        let asked = session.ask([(at, &new)].into_iter(), 1000);
        assert_eq!((asked.session_id, asked.session_epoch), (77, 0));
        assert_eq!(asked.topics.len(), 1);
        assert!(asked.forgotten.is_empty());
        let topic = TopicRef::Id(TopicId([8; 16]));
        assert!(session.asked(&topic, 0).is_some());
    }
}

#[test]
fn a_partition_that_comes_back_at_another_index_is_not_forgotten() {
    let mut session = Session::default();
    let all: Vec<_> = (0..3).map(|n| fetching(n, n as u64)).collect();
    asked(&mut session, &all);
    assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
    let moved: Vec<_> = [2, 0].map(|n| fetching(n, 10 + n as u64)).into();
    assert_eq!(asked(&mut session, &moved), (1, vec![2, 0], vec![1]));
    assert_eq!(session.answered(ErrorCode::NONE, 77), Heard::News);
    let topic = TopicRef::Id(TopicId([9; 16]));
    for (number, version) in [(0, Some(10)), (1, None), (2, Some(12))] {
        let found = session.asked(&topic, number).map(|wanted| wanted.version);
        assert_eq!(found, version, "partition {number}");
    }
    assert_eq!(asked(&mut session, &moved), (2, vec![], vec![]));
}

#[test]
fn a_broker_without_room_for_sessions_is_asked_for_everything_each_time() {
    let mut session = Session::default();
    let all = [fetching(0, 1), fetching(1, 2)];
    for _ in 0..3 {
        assert_eq!(asked(&mut session, &all), (0, vec![0, 1], vec![]));
        assert_eq!(session.answered(ErrorCode::NONE, 0), Heard::News);
    }
}

#[test]
fn what_was_asked_for_before_a_seek_is_not_expected_after_it() {
    let mut partition = fetching(0, 1);
    let wanted = partition.wanted(0);
    assert!(partition.expects(&wanted));
    let same = Position {
        offset: 10,
        leader_epoch: -1,
    };
    partition.seek(same, 2);
    assert!(!partition.expects(&wanted));
}

#[test]
fn what_is_sought_before_it_begins_is_fetched_only_then() {
    let now = Instant::now();
    for is_looked_up in [false, true] {
        let mut partition = PartitionState::held(name(0), 1);
        partition.lead_by(Some(BrokerId(1)), 5, TopicId([9; 16]));
        if is_looked_up {
            partition.reset(Start::Timestamp(1), 2);
        } else {
            let sought = Position {
                offset: 10,
                leader_epoch: -1,
            };
            partition.seek(sought, 2);
        }
        assert!(!partition.is_fetchable(now) && !partition.is_fetching());
        assert_eq!(partition.need(now), None);
        partition.take_moved(now);
        partition.begin(Some(Start::Earliest));
        assert!(partition.take_moved(now), "its loop is to be told");
        assert_eq!(partition.is_fetchable(now), !is_looked_up);
        let need = is_looked_up.then_some(Need::Offset(Start::Timestamp(1)));
        assert_eq!(partition.need(now), need);
    }
}

#[test]
fn a_new_leader_is_asked_whether_it_has_what_was_read() {
    let now = Instant::now();
    let mut partition = fetching(0, 1);
    let read = Position {
        offset: 10,
        leader_epoch: 5,
    };
    partition.seek(read, 2);
    assert_eq!(partition.need(now), None);
    partition.lead_by(Some(BrokerId(2)), 6, TopicId([9; 16]));
    assert_eq!(partition.need(now), Some(Need::EndOf { position: read }));
    assert!(!partition.is_fetchable(now));
    partition.ask();
    assert_eq!(partition.need(now), None);
    // Another leader came before the first one's answer.
    partition.lead_by(Some(BrokerId(3)), 7, TopicId([9; 16]));
    partition.validated(6);
    assert!(matches!(partition.need(now), Some(Need::EndOf { .. })));
    partition.validated(7);
    assert!(partition.is_fetchable(now));
    partition.failed(now, |_| Duration::from_secs(1));
    assert!(!partition.is_fetchable(now));
    assert!(partition.is_fetchable(now + Duration::from_secs(1)));
}
