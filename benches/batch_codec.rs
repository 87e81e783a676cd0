//! Batches as bytes: encoding beside `kafka-protocol`'s encoder, and the codecs.

#![allow(
    clippy::indexing_slicing,
    reason = "a panic ends a benchmark as well as anything"
)]

mod support;

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::records::{
    Compression as TheirCompression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use ottla::Compression;
use ottla::bench::{Plain, decompress, encode, reuse};

use support::payloads;

const RECORDS: usize = 1000;
const SIZE: usize = 100;
const TIMESTAMP: i64 = 1_700_000_000_000;
/// The text that is compressed: 128 records of 1 KiB.
const TEXT: usize = 128;

/// One batch of 1000 records of 100 bytes, from append to CRC.
fn encoding(c: &mut Criterion) {
    let payloads = payloads(SIZE);
    let values = &payloads[..RECORDS];
    let mut group = c.benchmark_group("encode_1000x100_B");
    group.throughput(Throughput::Bytes((RECORDS * SIZE) as u64));

    let mut buffer = Vec::with_capacity(128 << 10);
    group.bench_function("ottla", |b| {
        b.iter(|| {
            let values = black_box(values).iter().map(Vec::as_slice);
            let batch = encode(std::mem::take(&mut buffer), TIMESTAMP, values);
            buffer = reuse(black_box(batch));
        });
    });

    let records: Vec<Record> = (0..)
        .zip(values)
        .map(|(i, value)| record(i, value))
        .collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: TheirCompression::None,
    };
    let mut buffer = BytesMut::with_capacity(128 << 10);
    group.bench_function("kafka-protocol", |b| {
        b.iter(|| {
            buffer.clear();
            RecordBatchEncoder::encode(&mut buffer, black_box(&records), &options)
                .expect("records that fit");
            black_box(&buffer);
        });
    });
    group.finish();
}

fn record(i: i64, value: &[u8]) -> Record {
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 1,
        producer_epoch: 0,
        timestamp_type: TimestampType::Creation,
        offset: i,
        sequence: i as i32,
        timestamp: TIMESTAMP,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: Default::default(),
    }
}

fn codecs(c: &mut Criterion) {
    let payloads = payloads(1024);
    let plain = || Plain::new(payloads[..TEXT].iter().map(Vec::as_slice));
    for (name, compression) in [
        ("gzip", Compression::Gzip(None)),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4(None)),
        ("zstd", Compression::Zstd(None)),
    ] {
        let mut group = c.benchmark_group(format!("{name}_128_KiB"));
        group.throughput(Throughput::Bytes((TEXT * 1024) as u64));
        let packed = plain().compress(compression).seal();
        println!(
            "{name}: {:.3} of the size",
            packed.len() as f64 / (TEXT * 1024) as f64
        );
        group.bench_function("compress", |b| {
            b.iter_batched(
                plain,
                |batch| batch.compress(compression),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("decompress", |b| {
            b.iter(|| {
                let first = decompress(black_box(packed.clone()));
                assert_eq!(first.as_deref(), Some(&*payloads[0]));
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = encoding, codecs
}
criterion_main!(benches);
