//! The producer against a scripted broker on streams in memory.

mod broker;
mod ends;
mod sending;
mod sizes;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use super::Producer;
use crate::config::ProducerOptions;
use crate::error::Error;
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

#[tokio::test(start_paused = true)]
async fn topic_with_an_impossible_name_is_refused_at_once_and_spoils_no_other() {
    let broker = Broker::start();
    let producer = producer(&broker, |_| ()).await;
    for name in ["", "a/b", "..", &"x".repeat(40_000)] {
        let refused = producer.try_enqueue(Record::to(name).value("v"));
        let error = refused.unwrap_err().error;
        assert!(matches!(error, Error::InvalidTopic { .. }), "{error}");
    }
    producer.inner().cluster.request_refresh();
    producer.send(record("v")).await.unwrap();
}
