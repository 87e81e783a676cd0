//! Sends records through an embedded broker, reads them back, and says how long each took.
//!
//!     cargo run --release --example embedded
//!     cargo run --release --example embedded -- --records 1000000 --bootstrap 127.0.0.1:9092

use std::error::Error;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use ottla::{Client, NewTopic, OffsetReset, Record, TopicPartition};
use ottla_broker::Cluster;

const PARTITIONS: i32 = 6;
const SIZE: usize = 100;

struct Options {
    records: usize,
    /// `None` for an embedded broker.
    bootstrap: Option<String>,
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        records: 1_000_000,
        bootstrap: None,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("records") => options.records = arguments.value()?.parse()?,
            Long("bootstrap") => options.bootstrap = Some(arguments.value()?.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    // Held to the end: the brokers live in it.
    let mut embedded = None;
    let bootstrap = match options.bootstrap {
        Some(bootstrap) => bootstrap,
        None => {
            let start = Instant::now();
            let cluster = Cluster::start().await?;
            println!("an embedded broker, ready after {:.1?}", start.elapsed());
            embedded.insert(cluster).bootstrap_servers().to_owned()
        }
    };
    let client = Client::connect(&bootstrap).await?;
    let topic = format!("embedded-{}", std::process::id());
    let new = NewTopic::new(topic.as_str()).partitions(PARTITIONS);
    for created in client.admin().create_topics([new]).await? {
        created?;
    }
    let took = send(&client, &topic, options.records).await?;
    tell("sent and acknowledged", options.records, took);
    let took = read(&client, &topic, options.records).await?;
    tell("read", options.records, took);
    Ok(())
}

fn tell(what: &str, records: usize, took: Duration) {
    let rate = records as f64 / took.as_secs_f64() / 1e6;
    println!("{records} records of {SIZE} B {what} in {took:.2?}: {rate:.2} million a second");
}

async fn send(client: &Client, topic: &str, records: usize) -> ottla::Result<Duration> {
    let producer = client.producer().build()?;
    let value = [b'x'; SIZE];
    let start = Instant::now();
    let mut deliveries = Vec::with_capacity(records);
    for _ in 0..records {
        deliveries.push(producer.enqueue(Record::to(topic).value(&value)).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    let took = start.elapsed();
    producer.close(Duration::from_secs(10)).await?;
    Ok(took)
}

async fn read(client: &Client, topic: &str, records: usize) -> ottla::Result<Duration> {
    let start = Instant::now();
    let mut consumer = client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign((0..PARTITIONS).map(|partition| TopicPartition::new(topic, partition)))
        .build()
        .await?;
    let mut read = 0;
    while read < records {
        match consumer.poll().await? {
            Some(batch) => read += batch.len(),
            None => break,
        }
    }
    Ok(start.elapsed())
}
