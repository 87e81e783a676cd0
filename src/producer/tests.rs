//! The producer against a scripted broker on streams in memory.

mod broker;
mod ends;

use std::time::Duration;

use super::Producer;
use crate::config::ProducerOptions;
use crate::record::Record;
use broker::Broker;

/// Longest wait for what takes no time of its own.
const SOON: Duration = Duration::from_secs(20);

/// A producer that knows topic `t`.
async fn producer(broker: &Broker, set: impl FnOnce(&mut ProducerOptions)) -> Producer {
    let cluster = broker.cluster().await;
    let mut options = ProducerOptions::default();
    set(&mut options);
    let settings = options.check(cluster.settings()).unwrap();
    let producer = Producer::start(cluster, settings).unwrap();
    producer.prepare("t").await.unwrap();
    producer
}

fn record(value: &str) -> Record<'_> {
    Record::to("t").partition(0).value(value)
}
