//! A consumer without tasks: a test fetches for it.

use super::{Brokers, partitions};
use crate::batch::{BatchWriter, RecordParts, span};
use crate::config::{Compression, ConsumerSettings};
use crate::consumer::collect::FetchCollector;
use crate::consumer::{Consumer, ConsumerHandle, ConsumerInner};
use crate::machine::fetch::{CompletedFetch, FetchedPart, Position, Start};
use crate::types::{BrokerId, ProducerId, TopicId};

/// Reads `t-0`, `t-1` and so on, as many as told, from 0 on, from the leader of epoch 3.
pub(in crate::consumer) async fn consumer(count: i32, settings: ConsumerSettings) -> Consumer {
    of_group(count, settings, None).await
}

/// The same, of a group.
pub(in crate::consumer) async fn of_group(
    count: i32,
    settings: ConsumerSettings,
    group: Option<&str>,
) -> Consumer {
    let cluster = Brokers::start(count).cluster().await;
    let inner = ConsumerInner::new(9, cluster, settings, group.map(Into::into), None);
    let names = partitions(0..count);
    let mut state = inner.lock();
    state.hold(&names);
    let start = Position {
        offset: 0,
        leader_epoch: -1,
    };
    for name in &names {
        let partition = state.find(name).unwrap();
        partition.lead_by(Some(BrokerId(0)), 3, TopicId([1; 16]));
        partition.begin(Some(Start::Earliest));
        let _ = state.seek(name, start).expect("it is assigned");
    }
    drop(state);
    Consumer {
        collector: FetchCollector::new(inner.clone()),
        handle: ConsumerHandle::new(inner),
        membership: None,
    }
}

/// Answers a fetch of the partition at `index` with these batches.
pub(in crate::consumer) fn answer_fetch(consumer: &Consumer, index: u32, batches: &[Vec<u8>]) {
    let mut state = consumer.inner().lock();
    let partition = state.get(index).unwrap();
    let wanted = partition.wanted(index);
    assert!(partition.expects(&wanted));
    let records = bytes::Bytes::from(batches.concat());
    let next = span(&records).last.map(|(offset, leader_epoch)| Position {
        offset: offset + 1,
        leader_epoch,
    });
    let name = wanted.partition.clone();
    let wakes = state.answered(
        index,
        FetchedPart {
            completed: Some(
                CompletedFetch::new(name, wanted.offset, -1, records, Vec::new())
                    .of_topic(wanted.topic_id),
            ),
            next,
            is_damaged: false,
            high_watermark: 1_000_000,
            last_stable_offset: 1_000_000,
            log_start_offset: 0,
        },
    );
    drop(state);
    consumer.inner().wake(wakes);
}

/// A transaction's marker at this offset.
pub(in crate::consumer) fn marker(offset: i64) -> Vec<u8> {
    let mut bytes = batch(offset, 1, 4, Compression::None);
    bytes[22] |= 0x30;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// A batch of so many records of so many zeros each, from offset `base` on.
pub(in crate::consumer) fn batch(
    base: i64,
    records: usize,
    size: usize,
    compression: Compression,
) -> Vec<u8> {
    let mut writer = BatchWriter::new(Vec::new());
    let value = vec![0; size];
    for _ in 0..records {
        writer.append(&RecordParts {
            timestamp: 1000,
            key: None,
            value: Some(&value),
            headers: &[],
        });
    }
    let mut closed = writer.close();
    if compression != Compression::None {
        closed = closed.compress(compression).unwrap().0;
    }
    let producer = ProducerId { id: -1, epoch: -1 };
    let mut bytes = closed.seal(producer, -1).to_vec();
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes
}
