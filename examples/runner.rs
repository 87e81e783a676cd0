//! Handles records by key, many at a time: some fail and are tried again, some fail for good and are buried, and what
//! became of all of them is told at the end. With no option on an embedded broker.
//!
//!     cargo run --example runner
//!     cargo run --example runner -- --records 100000 --bootstrap 127.0.0.1:9092

use std::time::Duration;

use lexopt::prelude::*;
use ottla::runner::{Context, HandlerError, OnFailure, Panicked, Runner};
use ottla::{Client, ConsumerRecord, NewTopic, OffsetReset, Record};
use ottla_broker::Cluster;

/// Longest time that handlers in flight have at the end.
const LONGEST: Duration = Duration::from_secs(10);

struct Options {
    records: u64,
    /// `None` for an embedded broker.
    bootstrap: Option<String>,
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        records: 2000,
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

/// The application: `?` turns every error into a failure, of which the runner asks what to do.
async fn handle(record: ConsumerRecord, context: Context) -> Result<(), HandlerError> {
    let amount: i64 = record.value_as::<&str>()?.parse()?;
    // As if a database were asked.
    tokio::time::sleep(Duration::from_millis(2)).await;
    match amount {
        amount if amount % 500 == 13 => Err("the account is closed".into()),
        amount if amount % 100 == 7 && context.attempt() == 1 => Err("the database is away".into()),
        _ => Ok(()),
    }
}

#[tokio::main]
async fn main() -> Result<(), HandlerError> {
    let options = options()?;
    // Held to the end: the brokers live in it.
    let mut embedded = None;
    let bootstrap = match options.bootstrap {
        Some(bootstrap) => bootstrap,
        None => {
            let cluster = Cluster::start().await?;
            embedded.insert(cluster).bootstrap_servers().to_owned()
        }
    };
    let client = Client::connect(&bootstrap).await?;
    let topic = format!("runner-{}", std::process::id());
    let names = [topic.clone(), format!("{topic}-dlt")];
    let new = names.map(|name| NewTopic::new(name).partitions(6));
    for created in client.admin().create_topics(new).await? {
        created?;
    }
    let producer = client.producer().build()?;
    for number in 0..options.records {
        let (key, value) = ((number % 50).to_string(), number.to_string());
        let record = Record::to(&topic).key(&key).value(&value);
        drop(producer.enqueue(record).await?);
    }
    producer.flush().await?;

    let consumer = client
        .consumer(topic.as_str())
        .subscribe([&topic])
        .offset_reset(OffsetReset::Earliest);
    let runner = Runner::builder(consumer)
        .max_handlers(64)
        .max_attempts(3)
        .dead_letters(&producer)
        .on_failure(|failure| match failure.find::<Panicked>() {
            Some(_) => OnFailure::Stop,
            None => OnFailure::Retry,
        })
        .start(handle)
        .await?;

    let handle = runner.handle();
    let all_done = async {
        let done = || {
            let metrics = handle.metrics();
            metrics.handled + metrics.dead_letters
        };
        while done() < options.records {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = all_done => {}
        _ = tokio::signal::ctrl_c() => println!("interrupted"),
        error = runner.failed() => println!("ended by itself: {error}"),
    }
    let time = runner.metrics().handler_time;
    let account = runner.shutdown(LONGEST).await;
    println!(
        "{} handled (half within {:.1?}), {} calls made again, {} dead letters, {} left",
        account.handled, time.p50, account.retries, account.dead_letters, account.left
    );
    account.error.map_or(Ok(()), |error| Err(error.into()))
}
