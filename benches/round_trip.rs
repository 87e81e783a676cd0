//! From the call to the acknowledgement, through loopback sockets and a broker in this process that
//! only answers: what a real one takes for its log is not in the figures.

#![allow(
    clippy::indexing_slicing,
    reason = "a panic ends a benchmark as well as anything"
)]

#[path = "support/broker.rs"]
mod broker;
mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ottla::{Client, Producer, Record};
use tokio::runtime::Runtime;

use support::{PAYLOADS, payloads};

const RECORDS: usize = 10_000;
const PARTITIONS: i32 = 6;

async fn producer(linger_ms: &str) -> ottla::Result<Producer> {
    let address = broker::start(PARTITIONS).expect("a free port").to_string();
    let client = Client::connect(&address).await?;
    let producer = client.producer().set("linger.ms", linger_ms)?.build()?;
    producer.prepare("bench").await?;
    Ok(producer)
}

/// One record at a time, each acknowledged before the next.
fn send(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let producer = runtime.block_on(producer("0")).expect("a producer");
    let payload = support::payload(0, 100);
    let mut group = c.benchmark_group("round_trip");
    group.bench_function("send_100_B_linger_0", |b| {
        b.iter(|| {
            let record = Record::to("bench").value(&payload).partition(0);
            let done = runtime.block_on(producer.send(record));
            black_box(done.expect("acknowledged"));
        });
    });
    group.finish();
}

/// Many records, then all their acknowledgements.
fn enqueue(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let producer = runtime.block_on(producer("5")).expect("a producer");
    let payloads = payloads(100);
    let mut group = c.benchmark_group("round_trip");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("enqueue_and_flush_10000x100_B", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let mut deliveries = Vec::with_capacity(RECORDS);
                for i in 0..RECORDS {
                    let record = Record::to("bench").value(&payloads[i % PAYLOADS]);
                    deliveries.push(producer.enqueue(record).await.expect("accepted"));
                }
                producer.flush().await.expect("open");
                for delivery in deliveries {
                    black_box(delivery.await.expect("acknowledged").offset());
                }
            });
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = send, enqueue
}
criterion_main!(benches);
