//! Shows that a record costs no allocation: counts those of a steady load, and fails when there are
//! more than a few for each batch. Nothing is timed.

#![allow(
    clippy::indexing_slicing,
    reason = "a panic ends a benchmark as well as anything"
)]

mod support;

use std::alloc::System;
use std::collections::VecDeque;

use ottla::Record;
use ottla::bench::{Batching, Delivery};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use support::{PAYLOADS, key, payloads};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RECORDS: u64 = 1_000_000;
const BATCH: u64 = 131_072;
/// The outcome, the list of what is due, what is in flight, and the place of the bytes' reference count.
const PER_BATCH: f64 = 12.0;

fn main() {
    for size in [100, 1000] {
        let payloads = payloads(size);
        for partitions in [6, 1000] {
            for keyed in [false, true] {
                count(size, &payloads, partitions, keyed);
            }
        }
    }
}

fn count(size: usize, payloads: &[Vec<u8>], partitions: usize, keyed: bool) {
    let settings = [
        ("batch.size", BATCH.to_string()),
        ("linger.ms", "3600000".to_owned()),
        ("delivery.timeout.ms", "7200000".to_owned()),
        ("buffer.memory", "1073741824".to_owned()),
    ];
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let producer = Batching::new("bench", partitions, &settings);
    let mut held = VecDeque::new();
    let mut send = |from: u64, to: u64| {
        for i in from..to {
            let key = key(i);
            let mut record = Record::to("bench").value(&payloads[i as usize % PAYLOADS]);
            if keyed {
                record = record.key(&key);
            }
            held.push_back(producer.enqueue(&record));
            while held.front().is_some_and(Delivery::is_done) {
                let done = held.pop_front().map(Delivery::try_done);
                assert!(matches!(done, Some(Ok(Ok(_)))));
            }
        }
    };
    // Until every partition has had its first batches, and as many as it will hold at once.
    let warm_up = 3 * BATCH * partitions as u64 / size as u64;
    send(0, warm_up);
    let region = Region::new(ALLOCATOR);
    send(warm_up, warm_up + RECORDS);
    let counted = region.change();
    let allocations = counted.allocations + counted.reallocations;
    let a_record = allocations as f64 / RECORDS as f64;
    let batches = (RECORDS * (size as u64 + 10)) as f64 / BATCH as f64;
    let a_batch = allocations as f64 / batches;
    let kind = if keyed { "keyed" } else { "sticky" };
    println!(
        "allocations/{kind}/{size}_B/{partitions}_partitions: {a_record:.5} a record, {a_batch:.1} a full batch"
    );
    assert!(a_batch < PER_BATCH, "{a_batch} allocations a batch");
}
