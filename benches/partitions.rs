//! What a record costs with 10,000 partitions beside 1,000, in batches that are equally full.
//!
//! ```sh
//! cargo bench --bench partitions                                  # a broker that keeps nothing, in another process
//! cargo bench --bench partitions -- --bootstrap localhost:9092    # a real one: topics "partitions-1000" and "partitions-10000"
//! ```
//!
//! Records of 100 bytes go to partitions in a fixed disorder; every 1,800,000 the producer is flushed, when all batches are full. Each case is a process of
//! its own, and the medians of five are compared. Bar: at most 1.2 times the processor time a record. Needs Linux.
//!
//! The last column is what the machine's memory alone asks for: the same bytes appended to one buffer a partition, in the
//! same order, and nothing else. What many partitions cost beside that is the producer's.

#![allow(
    clippy::indexing_slicing,
    reason = "a panic ends a benchmark as well as anything"
)]

#[path = "support/broker.rs"]
mod broker;
#[path = "support/process.rs"]
mod process;
mod support;

use std::collections::VecDeque;
use std::time::Duration;

use ottla::{Client, Delivery, Record};

use process::{Failure, figure};

const FEW: i32 = 1_000;
const MANY: i32 = 10_000;
const RUNS: usize = 5;
const BATCH_SIZE: usize = 4096;
/// Without a common divisor with either: it visits every partition in turn, far from the one before.
const STEP: u64 = 7_919;
/// So many records fill a batch.
const A_BATCH: u64 = 36;
/// How many records between two flushes: the last batch of each partition is full, with many partitions as with few.
const FLUSHED: u64 = 5 * A_BATCH * MANY as u64;
const RECORDS: u64 = 2 * FLUSHED;
const MOST: f64 = 1.2;

fn main() -> Result<(), Failure> {
    if let Some(case) = process::case() {
        let [address, partitions] = &case[..] else {
            return Err("a case is an address and partitions".into());
        };
        let runtime = tokio::runtime::Runtime::new()?;
        return runtime.block_on(measure(address, partitions.parse()?));
    }
    let mut arguments = std::env::args().skip(1);
    let mut bootstrap = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bootstrap" => bootstrap = arguments.next(),
            // Cargo's own.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let address = |partitions| -> Result<String, Failure> {
        match &bootstrap {
            Some(address) => Ok(address.clone()),
            None => Ok(broker::start(partitions)?.to_string()),
        }
    };
    let cases = [(FEW, address(FEW)?), (MANY, address(MANY)?)];
    println!("partitions   us/record   fill   requests/1000 records   us/record, copied only");
    let mut costs = [const { Vec::new() }; 2];
    let mut copies = costs.clone();
    for _ in 0..RUNS {
        let figures = costs.iter_mut().zip(&mut copies);
        for ((partitions, address), (costs, copies)) in cases.iter().zip(figures) {
            let figures = process::run(&[address, partitions])?;
            let of = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
            println!(
                "{partitions:10} {:11.3} {:6.3} {:23.2} {:24.3}",
                of("cpu"),
                of("fill"),
                of("requests"),
                of("copy")
            );
            costs.push(of("cpu"));
            copies.push(of("copy"));
        }
    }
    let ([few, many], [few_copied, many_copied]) =
        (costs.map(support::median), copies.map(support::median));
    let ratio = many / few;
    println!("{MANY} partitions: {ratio:.2} x the processor time a record of {FEW}");
    let (more, copied) = (many - few, many_copied - few_copied);
    println!("{more:.3} us a record more, of which the copy alone needs {copied:.3}");
    if ratio <= MOST {
        Ok(())
    } else {
        Err(format!("bar missed: {MOST} x").into())
    }
}

async fn measure(address: &str, partitions: i32) -> Result<(), Failure> {
    let client = Client::connect(address).await?;
    let builder = client
        .producer()
        .buffer_memory(256 << 20)
        .batch_size(BATCH_SIZE);
    let builder = builder.delivery_timeout(Duration::from_secs(7200));
    let producer = builder.linger(Duration::from_secs(3600)).build()?;
    let topic = format!("partitions-{partitions}");
    if i64::from(producer.prepare(&topic).await?) != i64::from(partitions) {
        return Err(format!("{topic} has another number of partitions").into());
    }
    let payload = support::payload(1, 100);
    let mut held = VecDeque::new();
    let observe = |held: &mut VecDeque<Delivery>| -> Result<(), Failure> {
        while held.front().is_some_and(Delivery::is_done) {
            if let Some(Ok(done)) = held.pop_front().map(Delivery::try_done) {
                done?;
            }
        }
        Ok(())
    };
    // Until every partition has had a batch.
    let warm_up = A_BATCH * MANY as u64;
    let mut cpu = process::cpu()?;
    for i in 0..warm_up + RECORDS {
        if i == warm_up {
            cpu = process::cpu()?;
        }
        let partition = (i * STEP % partitions as u64) as i32;
        let record = Record::to(&topic).partition(partition).value(&payload);
        held.push_back(producer.enqueue(record).await?);
        if i % 64 == 0 {
            observe(&mut held)?;
            tokio::task::consume_budget().await;
        }
        if i + 1 == warm_up || i > warm_up && (i - warm_up) % FLUSHED == FLUSHED - 1 {
            producer.flush().await?;
        }
    }
    producer.flush().await?;
    observe(&mut held)?;
    assert!(held.is_empty(), "all have been acknowledged");
    let metrics = producer.metrics();
    figure("cpu", (process::cpu()? - cpu) * 1e6 / RECORDS as f64);
    figure("fill", metrics.batch_fill);
    let requests: u64 = metrics.brokers.values().map(|broker| broker.requests).sum();
    figure(
        "requests",
        requests as f64 * 1000.0 / (warm_up + RECORDS) as f64,
    );
    producer.close(Duration::from_secs(10)).await?;
    figure("copy", copied(partitions as usize)?);
    Ok(())
}

/// Microseconds of processor time for appending a record's bytes to its partition's buffer.
fn copied(partitions: usize) -> Result<f64, Failure> {
    let record = [7; BATCH_SIZE / A_BATCH as usize];
    // Written once, so that each has its memory.
    let mut buffers = vec![vec![1u8; BATCH_SIZE]; partitions];
    let cpu = process::cpu()?;
    for i in 0..RECORDS {
        let buffer = &mut buffers[(i * STEP % partitions as u64) as usize];
        if buffer.len() + record.len() > BATCH_SIZE {
            buffer.clear();
        }
        buffer.extend_from_slice(&record);
    }
    std::hint::black_box(&buffers);
    Ok((process::cpu()? - cpu) * 1e6 / RECORDS as f64)
}
