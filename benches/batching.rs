//! A record's whole way through the producer, without the network: accepted, its batch sealed and
//! acknowledged, the memory given back, the delivery observed.
//!
//! The records go on from one iteration to the next, so that batches are full and the rare work of
//! a batch is spread over all its records, as under a steady load.

#![allow(
    clippy::indexing_slicing,
    reason = "a panic ends a benchmark as well as anything"
)]

mod support;

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ottla::Record;
use ottla::bench::{Batching, Delivery};

use support::{PAYLOADS, key, payloads};

/// Records of one iteration.
const RECORDS: u64 = 10_000;
const THREADS: usize = 8;
/// Batches end when they are full; nobody ever waits for memory.
const SETTINGS: &[(&str, &str)] = &[
    ("batch.size", "131072"),
    ("linger.ms", "3600000"),
    ("delivery.timeout.ms", "7200000"),
    ("buffer.memory", "1073741824"),
];

/// One caller: sends, and observes in order of sending.
#[derive(Default)]
struct Caller {
    next: u64,
    held: VecDeque<Delivery>,
}

impl Caller {
    fn send(&mut self, producer: &Batching, payloads: &[Vec<u8>], keyed: bool, records: u64) {
        for i in self.next..self.next + records {
            let key = key(i);
            let mut record = Record::to("bench").value(&payloads[i as usize % PAYLOADS]);
            if keyed {
                record = record.key(&key);
            }
            self.held.push_back(producer.enqueue(&record));
            self.observe();
        }
        self.next += records;
    }

    fn observe(&mut self) {
        while self.held.front().is_some_and(Delivery::is_done) {
            if let Some(Ok(done)) = self.held.pop_front().map(Delivery::try_done) {
                black_box(done.expect("acknowledged").offset());
            }
        }
    }
}

/// The time that `threads` callers take for `records` in all.
fn run(
    producer: &Batching,
    callers: &mut [Caller],
    payloads: &[Vec<u8>],
    keyed: bool,
    records: u64,
) -> Duration {
    let began = Instant::now();
    match callers {
        [only] => only.send(producer, payloads, keyed, records),
        callers => {
            let share = records / callers.len() as u64;
            std::thread::scope(|scope| {
                for caller in callers {
                    scope.spawn(move || caller.send(producer, payloads, keyed, share));
                }
            });
        }
    }
    began.elapsed()
}

fn batching(c: &mut Criterion) {
    for threads in [1, THREADS] {
        let mut group = c.benchmark_group(format!("batching/{threads}_threads"));
        group.throughput(Throughput::Elements(RECORDS));
        for size in [100, 1000] {
            let payloads = payloads(size);
            for partitions in [6, 1000] {
                for keyed in [false, true] {
                    let kind = if keyed { "keyed" } else { "sticky" };
                    let id = format!("{size}_B/{partitions}_partitions");
                    group.bench_function(BenchmarkId::new(kind, id), |b| {
                        let producer = Batching::new("bench", partitions, SETTINGS);
                        let mut callers: Vec<_> = (0..threads).map(|_| Caller::default()).collect();
                        b.iter_custom(|iterations| {
                            let records = iterations * RECORDS;
                            run(&producer, &mut callers, &payloads, keyed, records)
                        });
                        producer.flush();
                        callers.iter_mut().for_each(Caller::observe);
                        assert_eq!(producer.used(), 0);
                        assert!(callers.iter().all(|caller| caller.held.is_empty()));
                    });
                }
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = batching
}
criterion_main!(benches);
