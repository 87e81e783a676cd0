use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::Stream;

use super::*;
use crate::config::{Compression, ConsumerSettings};
use crate::consumer::Consumer;
use crate::consumer::testing::fetched::{answer_fetch, batch, consumer};
use crate::consumer::testing::{consumer_settings, partitions};

/// Another task on the only thread: how often it had its turn.
fn beating() -> Arc<AtomicUsize> {
    let beats = Arc::new(AtomicUsize::new(0));
    let counted = beats.clone();
    tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    beats
}

#[tokio::test]
async fn other_tasks_have_their_turn_while_records_are_taken_of_a_full_buffer() {
    let settings = ConsumerSettings {
        max_poll_records: 1,
        ..consumer_settings()
    };
    let mut consumer = consumer(1, settings).await;
    answer_fetch(&consumer, 0, &[good(0, 6000)]);
    // What a started runtime has to do first is done.
    tokio::task::yield_now().await;
    let beats = beating();
    let mut before = 0;
    let mut has_beaten = |call: &str| {
        let now = beats.load(Ordering::Relaxed);
        assert!(now > before + 2, "{call}: {now} beats after {before}");
        before = now;
    };
    for _ in 0..2000 {
        consumer.recv().await.unwrap().unwrap();
    }
    has_beaten("recv");
    for _ in 0..2000 {
        consumer.poll().await.unwrap().unwrap();
    }
    has_beaten("poll");
    let mut stream = consumer.stream();
    for _ in 0..1999 {
        let next = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context));
        next.await.unwrap().unwrap();
    }
    has_beaten("stream");
}

fn good(base: i64, records: usize) -> Vec<u8> {
    batch(base, records, 3, Compression::None)
}

fn bad(base: i64, records: usize) -> Vec<u8> {
    let mut bytes = good(base, records);
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

/// A consumer with two records, two that are damaged, and two more.
async fn damaged_in_the_middle() -> Consumer {
    let consumer = consumer(1, consumer_settings()).await;
    refetch(&consumer);
    consumer
}

fn refetch(consumer: &Consumer) {
    answer_fetch(consumer, 0, &[good(0, 2), bad(2, 2), good(4, 2)]);
}

async fn polled(consumer: &mut Consumer) -> Result<Vec<i64>> {
    let records = consumer.poll().await?.unwrap();
    Ok(records.iter().map(|record| record.offset()).collect())
}

fn assert_damage(error: &Error) {
    assert!(
        matches!(
            error,
            Error::Corrupt {
                offset: 2,
                next_offset: 4,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn poll_never_passes_a_damaged_batch_until_it_is_sought_past() {
    let mut consumer = damaged_in_the_middle().await;
    let name = &partitions([0])[0];
    assert_eq!(polled(&mut consumer).await.unwrap(), [0, 1]);
    assert_damage(&polled(&mut consumer).await.unwrap_err());
    for _ in 0..2 {
        assert_eq!(consumer.position(name).unwrap(), Some(2));
        refetch(&consumer);
        assert_damage(&polled(&mut consumer).await.unwrap_err());
    }
    consumer.seek(name, 4).unwrap();
    answer_fetch(&consumer, 0, &[bad(2, 2), good(4, 2)]);
    assert_eq!(polled(&mut consumer).await.unwrap(), [4, 5]);
}

#[tokio::test]
async fn recv_never_passes_a_damaged_batch() {
    let mut consumer = damaged_in_the_middle().await;
    for offset in [0, 1] {
        let record = consumer.recv().await.unwrap().unwrap();
        assert_eq!(record.offset(), offset);
    }
    assert_damage(&consumer.recv().await.unwrap_err());
    refetch(&consumer);
    assert_damage(&consumer.recv().await.unwrap_err());
}

#[tokio::test]
async fn damage_is_not_forgotten_over_a_pause() {
    let mut consumer = damaged_in_the_middle().await;
    let name = &partitions([0])[0];
    assert_eq!(polled(&mut consumer).await.unwrap(), [0, 1]);
    consumer.pause(name).unwrap();
    // The completed fetch goes back to its partition.
    assert!(consumer.collector.take_one().unwrap().is_none());
    consumer.resume(name).unwrap();
    assert_damage(&polled(&mut consumer).await.unwrap_err());
}

#[tokio::test]
async fn damage_right_behind_another_partitions_last_record_is_told_after_it() {
    let mut consumer = consumer(2, consumer_settings()).await;
    answer_fetch(&consumer, 0, &[good(0, 2)]);
    answer_fetch(&consumer, 1, &[bad(0, 2), good(2, 2)]);
    assert_eq!(polled(&mut consumer).await.unwrap(), [0, 1]);
    assert!(polled(&mut consumer).await.is_err());
    let name = &partitions([1])[0];
    assert_eq!(consumer.position(name).unwrap(), Some(0));
}

#[tokio::test]
async fn damage_in_what_a_seek_has_voided_is_not_told() {
    let mut consumer = damaged_in_the_middle().await;
    assert_eq!(polled(&mut consumer).await.unwrap(), [0, 1]);
    consumer.seek(&partitions([0])[0], 4).unwrap();
    assert!(!consumer.collector.step().unwrap());
}

#[tokio::test]
async fn one_poll_does_not_decompress_all_that_is_buffered() {
    let mut consumer = consumer(2, consumer_settings()).await;
    let large = |base| batch(base, 1, 2 << 20, Compression::Lz4(None));
    answer_fetch(&consumer, 0, &[large(0), large(1), large(2)]);
    answer_fetch(&consumer, 1, &[good(0, 2), good(2, 2)]);
    for offset in 0..2 {
        assert_eq!(polled(&mut consumer).await.unwrap(), [offset]);
        // That much less is fetched ahead.
        assert!(consumer.inner().lock().unpacked > 2 << 20);
    }
    assert_eq!(polled(&mut consumer).await.unwrap(), [2]);
    assert_eq!(polled(&mut consumer).await.unwrap(), [0, 1, 2, 3]);
    assert_eq!(consumer.inner().lock().unpacked, 0);
    answer_fetch(&consumer, 0, &[large(3)]);
    assert_eq!(consumer.recv().await.unwrap().unwrap().offset(), 3);
    assert!(consumer.inner().lock().unpacked > 2 << 20);
}

#[tokio::test]
async fn a_batch_that_becomes_more_than_the_buffer_is_handed_out_to_its_last_record() {
    for codec in [Compression::Lz4(None), Compression::Zstd(None)] {
        let settings = ConsumerSettings {
            buffer_memory: 1 << 20,
            ..consumer_settings()
        };
        let mut consumer = consumer(1, settings).await;
        answer_fetch(&consumer, 0, &[batch(0, 24, 400_000, codec), good(24, 2)]);
        for offset in 0..10 {
            let record = consumer.recv().await.unwrap().unwrap();
            assert_eq!(record.offset(), offset);
            assert!(consumer.inner().lock().unpacked < 3 << 20);
        }
        let mut offsets = Vec::new();
        while offsets.last() != Some(&25) {
            offsets.extend(polled(&mut consumer).await.unwrap());
        }
        assert!(offsets.into_iter().eq(10..26));
    }
}

#[tokio::test]
async fn a_record_above_the_buffer_is_no_damage_and_is_skipped_alone() {
    let settings = ConsumerSettings {
        buffer_memory: 1 << 20,
        ..consumer_settings()
    };
    let mut consumer = consumer(1, settings).await;
    let large = || batch(0, 3, 2 << 20, Compression::Zstd(None));
    answer_fetch(&consumer, 0, &[large(), good(3, 1)]);
    for skipped in 0..3 {
        let error = consumer.recv().await.unwrap_err();
        let Error::TooLargeToRead {
            offset,
            next_offset,
            setting,
            limit,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((*offset, *next_offset), (skipped, skipped + 1));
        assert_eq!((*setting, *limit), ("fetch.buffer.memory", 1 << 20));
        consumer.seek(&partitions([0])[0], *next_offset).unwrap();
        answer_fetch(&consumer, 0, &[large(), good(3, 1)]);
    }
    assert_eq!(polled(&mut consumer).await.unwrap(), [3]);
}

#[tokio::test]
async fn what_is_withheld_comes_when_it_is_handed_out_again_and_in_order() {
    let mut consumer = consumer(2, consumer_settings()).await;
    answer_fetch(&consumer, 0, &[good(0, 3)]);
    assert_eq!(consumer.recv().await.unwrap().unwrap().offset(), 0);
    consumer.inner().withhold(true);
    answer_fetch(&consumer, 1, &[good(0, 1)]);
    let soon = std::time::Duration::from_millis(20);
    for _ in 0..2 {
        assert!(tokio::time::timeout(soon, consumer.recv()).await.is_err());
        assert!(tokio::time::timeout(soon, consumer.poll()).await.is_err());
    }
    consumer.inner().fail(Error::Closed { what: "a test" });
    assert!(consumer.recv().await.is_err(), "errors are told meanwhile");
    consumer.inner().withhold(false);
    let mut got = Vec::new();
    for _ in 0..3 {
        let record = consumer.recv().await.unwrap().unwrap();
        got.push((record.partition(), record.offset()));
    }
    got.sort_unstable();
    assert_eq!(got, [(0, 1), (0, 2), (1, 0)]);
}
