//! What the settings promise.

mod conflicts;
mod consumer;
mod names;
mod security;
mod tls;
mod values;

use std::time::Duration;

use super::settings::{ClientSettings, ConsumerSettings, PartitionerChoice, ProducerSettings};
use super::{Acks, Backoff, ClientBuilder, Compression};
use crate::error::Result;

const SERVERS: (&str, &str) = ("bootstrap.servers", "localhost:9092");

/// The checked settings of a client that was given `properties`, and of its producer.
fn built(properties: &[(&str, &str)]) -> Result<(ClientSettings, ProducerSettings)> {
    let (client, options, _) = ClientBuilder::new()
        .properties([SERVERS])?
        .properties(properties.iter().copied())?
        .build_settings()?;
    let producer = options.check(&client)?;
    Ok((client, producer))
}

/// The checked settings of a member of a group, whose client was given `properties`.
fn built_consumer(properties: &[(&str, &str)]) -> Result<ConsumerSettings> {
    let (client, _, options) = ClientBuilder::new()
        .properties([SERVERS])?
        .properties(properties.iter().copied())?
        .build_settings()?;
    options.check(&client, true)
}

fn client(properties: &[(&str, &str)]) -> ClientSettings {
    built(properties).expect("valid settings").0
}

fn producer(properties: &[(&str, &str)]) -> ProducerSettings {
    built(properties).expect("valid settings").1
}

fn consumer(properties: &[(&str, &str)]) -> ConsumerSettings {
    built_consumer(properties).expect("valid settings")
}

/// The text of the error with which a producer, or else a consumer, is refused.
fn refused(properties: &[(&str, &str)]) -> String {
    match built(properties).and_then(|_| built_consumer(properties)) {
        Ok(_) => panic!("{properties:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn client_defaults_are_the_documented_ones() {
    let c = client(&[]);
    assert_eq!(c.bootstrap.len(), 1);
    assert_eq!(&*c.client_id, "ottla");
    assert_eq!(c.request_timeout, ms(30_000));
    let retry = Backoff {
        base: ms(100),
        max: ms(1_000),
    };
    assert_eq!(c.retry_backoff, retry);
    let reconnect = Backoff {
        base: ms(50),
        max: ms(1_000),
    };
    assert_eq!(c.reconnect_backoff, reconnect);
    assert_eq!(c.metadata_max_age, ms(300_000));
    assert_eq!(c.connections_max_idle, Some(ms(540_000)));
    assert_eq!(c.connect_timeout, ms(10_000));
    assert_eq!((c.send_buffer, c.receive_buffer), (None, None));
    assert!(c.rebootstrap);
    assert_eq!(c.rebootstrap_trigger, ms(300_000));
}

#[test]
fn producer_defaults_are_the_documented_ones() {
    let p = producer(&[]);
    assert_eq!(p.batch_size, 131_072);
    assert_eq!(p.linger, ms(5));
    assert_eq!(p.buffer_memory, 33_554_432);
    assert_eq!(p.max_block, ms(60_000));
    assert_eq!(p.acks, Acks::All);
    assert!(p.idempotence);
    assert_eq!(p.retries, 2_147_483_647);
    assert_eq!(p.retry_backoff.base, ms(100));
    assert_eq!(p.retry_backoff.max, ms(1_000));
    assert_eq!(p.delivery_timeout, ms(120_000));
    assert_eq!(p.request_timeout, ms(30_000));
    assert_eq!(p.max_in_flight, 5);
    assert_eq!(p.max_request_size, 1_048_576);
    assert_eq!(p.compression, Compression::None);
    assert!(matches!(p.partitioner, PartitionerChoice::Default));
    assert!(!p.ignore_keys);
    assert!(p.adaptive);
}

#[test]
fn a_producer_takes_its_clients_timeouts_unless_it_has_its_own() {
    let (client, mut options, _) = ClientBuilder::new()
        .bootstrap_servers("localhost:9092")
        .request_timeout(ms(7_000))
        .retry_backoff(ms(20))
        .retry_backoff_max(ms(40))
        .build_settings()
        .expect("valid settings");
    let theirs = options.check(&client).expect("valid settings");
    assert_eq!(theirs.request_timeout, ms(7_000));
    assert_eq!(theirs.retry_backoff.base, ms(20));
    assert_eq!(theirs.retry_backoff.max, ms(40));

    options.set("request.timeout.ms", "900").expect("valid");
    options.set("retry.backoff.ms", "30").expect("valid");
    let own = options.check(&client).expect("valid settings");
    assert_eq!(own.request_timeout, ms(900));
    assert_eq!(own.retry_backoff.base, ms(30));
    assert_eq!(own.retry_backoff.max, ms(40));
}

#[test]
fn producer_settings_given_to_a_client_are_its_producers_defaults() {
    let p = producer(&[("linger.ms", "20"), ("compression.type", "lz4")]);
    assert_eq!(p.linger, ms(20));
    assert_eq!(p.compression, Compression::Lz4(None));
}

#[test]
fn the_settings_of_the_payment_application_are_accepted() {
    let p = producer(&[
        ("retries", "2"),
        ("buffer.memory", "67108864"),
        ("max.block.ms", "5000"),
        ("linger.ms", "20"),
    ]);
    assert_eq!((p.retries, p.buffer_memory), (2, 67_108_864));
    assert_eq!((p.max_block, p.linger), (ms(5_000), ms(20)));
}
