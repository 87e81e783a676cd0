//! How fast records go to disk while the cluster is away, and from there to the cluster.
//!
//! ```sh
//! cargo bench --bench spill                                  # a broker that keeps nothing
//! cargo bench --bench spill -- --bootstrap localhost:9092    # a real one: topic "spill", 12 partitions
//! ```
//!
//! Records of 100 bytes. To disk: told as spilled, synced in batches, in the folder `--directory` (the build's own). From
//! disk: from opening the directory until all are acknowledged, beside a producer without one that is handed the same
//! records. Medians of three. Bars: 200,000 records/s to disk, and from disk half of the producer's own rate.

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
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ottla::spill::SpillingProducer;
use ottla::{Client, Delivery, Record};

use process::Failure;

const TOPIC: &str = "spill";
const PARTITIONS: i32 = 12;
const RECORDS: usize = 1_000_000;
const WINDOW: usize = 20_000;
const TURNS: usize = 3;
const LEAST_RATE: f64 = 200_000.0;
const LEAST_RATIO: f64 = 0.5;

fn main() -> Result<(), Failure> {
    let (mut bootstrap, mut directory) = (None, PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bootstrap" => bootstrap = arguments.next(),
            "--directory" => directory = arguments.next().ok_or("which?")?.into(),
            // Cargo's own.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let address = match bootstrap {
        Some(address) => address,
        None => broker::start(PARTITIONS)?.to_string(),
    };
    let directory = directory.join(format!("bench-spill-{}", std::process::id()));
    let runtime = tokio::runtime::Runtime::new()?;
    let judged = runtime.block_on(turns(&address, &directory));
    let _ = std::fs::remove_dir_all(&directory);
    judged
}

async fn turns(address: &str, directory: &Path) -> Result<(), Failure> {
    println!("to disk   from disk   directly   records/s");
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..TURNS {
        let _ = std::fs::remove_dir_all(directory);
        let turn = [
            to_disk(directory).await?,
            from_disk(address, directory).await?,
            directly(address).await?,
        ];
        println!("{:7.0} {:11.0} {:10.0}", turn[0], turn[1], turn[2]);
        rates
            .iter_mut()
            .zip(turn)
            .for_each(|(all, rate)| all.push(rate));
    }
    let [to, from, direct] = rates.map(support::median);
    let ratio = from / direct;
    println!("{to:.0} records/s to disk; from disk {ratio:.2} x the producer's own rate");
    if to < LEAST_RATE || ratio < LEAST_RATIO {
        return Err(format!("bars missed: {LEAST_RATE} and {LEAST_RATIO} x").into());
    }
    Ok(())
}

fn rate(began: Instant) -> f64 {
    RECORDS as f64 / began.elapsed().as_secs_f64()
}

async fn open(client: &Client, directory: &Path) -> Result<SpillingProducer, Failure> {
    let builder = client.producer().spill(directory);
    Ok(builder.accept_second_copies(true).open().await?)
}

/// No server is at the address.
async fn to_disk(directory: &Path) -> Result<f64, Failure> {
    let client = Client::builder()
        .bootstrap_servers("127.0.0.1:1")
        .connect_lazily()?;
    let producer = open(&client, directory).await?;
    let payloads = support::payloads(100);
    let began = Instant::now();
    let mut waiting = VecDeque::new();
    for number in 0..RECORDS {
        if waiting.len() == WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            spilled(oldest).await?;
        }
        let key = support::key(number as u64);
        let record = Record::to(TOPIC)
            .key(&key)
            .value(&payloads[number % payloads.len()]);
        waiting.push_back(producer.enqueue(record).await?);
    }
    for delivery in waiting {
        spilled(delivery).await?;
    }
    let rate = rate(began);
    producer.close(Duration::ZERO).await?;
    Ok(rate)
}

async fn spilled(delivery: ottla::spill::SpillDelivery) -> Result<(), Failure> {
    if delivery.await?.is_spilled() {
        return Ok(());
    }
    Err("a record was acknowledged where no broker is".into())
}

async fn from_disk(address: &str, directory: &Path) -> Result<f64, Failure> {
    let client = Client::connect(address).await?;
    let began = Instant::now();
    let producer = open(&client, directory).await?;
    while producer.metrics().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rate = rate(began);
    let replayed = producer.metrics().replayed;
    producer.close(Duration::from_secs(10)).await?;
    if replayed != RECORDS as u64 {
        return Err(format!("{replayed} records were replayed").into());
    }
    Ok(rate)
}

async fn directly(address: &str) -> Result<f64, Failure> {
    let client = Client::connect(address).await?;
    let producer = client.producer().build()?;
    producer.prepare(TOPIC).await?;
    let payloads = support::payloads(100);
    let began = Instant::now();
    let mut held: VecDeque<Delivery> = VecDeque::new();
    for number in 0..RECORDS {
        while held.front().is_some_and(Delivery::is_done) {
            if let Some(oldest) = held.pop_front() {
                oldest.await?;
            }
        }
        let key = support::key(number as u64);
        let record = Record::to(TOPIC)
            .key(&key)
            .value(&payloads[number % payloads.len()]);
        held.push_back(producer.enqueue(record).await?);
    }
    for delivery in held {
        delivery.await?;
    }
    let rate = rate(began);
    producer.close(Duration::from_secs(10)).await?;
    Ok(rate)
}
