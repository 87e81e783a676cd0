//! Settings that are right by themselves and wrong together, and typed values out of bounds.

use std::time::Duration;

use super::super::{Acks, ClientBuilder, Compression, ProducerOptions};
use super::{client, ms, producer, refused};

/// The text with which a client is refused.
fn client_refused(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> String {
    let builder = change(ClientBuilder::new().bootstrap_servers("a:1"));
    builder.build_settings().expect_err("refused").to_string()
}

/// The text with which a producer is refused.
fn producer_refused(change: impl FnOnce(&mut ProducerOptions)) -> String {
    let mut options = ProducerOptions::default();
    change(&mut options);
    let Err(error) = options.check(&client(&[])) else {
        panic!("{options:?} was accepted");
    };
    error.to_string()
}

#[test]
fn acks_below_all_are_refused_with_idempotence_and_both_ways_out_told() {
    for acks in ["0", "1"] {
        assert_eq!(
            refused(&[("acks", acks)]),
            format!(
                "setting \"acks\": {acks} conflicts with enable.idempotence = true (the default): \
                 set acks=all, or enable.idempotence=false"
            )
        );
        assert_eq!(
            refused(&[("acks", acks), ("enable.idempotence", "true")]),
            format!(
                "setting \"acks\": {acks} conflicts with enable.idempotence = true: \
                 set acks=all, or enable.idempotence=false"
            )
        );
        producer(&[("acks", acks), ("enable.idempotence", "false")]);
    }
}

#[test]
fn more_than_five_requests_in_flight_or_no_retries_are_refused_with_idempotence() {
    let name = "max.in.flight.requests.per.connection";
    assert_eq!(
        refused(&[(name, "6")]),
        format!(
            "setting {name:?}: 6 conflicts with enable.idempotence = true (the default): \
             set {name} to at most 5, or enable.idempotence=false"
        )
    );
    assert_eq!(
        refused(&[("retries", "0")]),
        "setting \"retries\": 0 conflicts with enable.idempotence = true (the default): \
         set retries to at least 1, or enable.idempotence=false"
    );
    let p = producer(&[
        (name, "6"),
        ("retries", "0"),
        ("enable.idempotence", "false"),
    ]);
    assert_eq!((p.max_in_flight, p.retries, p.idempotence), (6, 0, false));
}

#[test]
fn a_delivery_timeout_below_linger_and_request_timeout_is_refused() {
    assert_eq!(
        refused(&[("delivery.timeout.ms", "30004")]),
        "setting \"delivery.timeout.ms\": 30004 is below linger.ms = 5 + request.timeout.ms = 30000: \
         raise it, or lower one of these"
    );
    assert!(refused(&[("request.timeout.ms", "120000")]).contains("request.timeout.ms = 120000"));
    let longest = refused(&[("linger.ms", "9223372036854775807")]);
    assert!(
        longest.contains("linger.ms = 9223372036854775807"),
        "{longest}"
    );
}

#[test]
fn a_delay_above_its_maximum_is_refused() {
    assert_eq!(
        refused(&[("retry.backoff.ms", "2000")]),
        "setting \"retry.backoff.ms\": 2000 is above retry.backoff.max.ms = 1000: \
         lower it, or raise retry.backoff.max.ms"
    );
    assert!(refused(&[("reconnect.backoff.max.ms", "49")]).contains("reconnect.backoff.ms"));
    let setup = refused(&[("socket.connection.setup.timeout.max.ms", "9999")]);
    assert!(
        setup.contains("10000 is above socket.connection.setup.timeout.max.ms = 9999"),
        "{setup}"
    );
    let own = producer_refused(|o| o.retry_backoff = Some(ms(1_001)));
    assert!(
        own.contains("1001 is above retry.backoff.max.ms = 1000"),
        "{own}"
    );
}

#[test]
fn a_buffer_below_what_it_must_hold_is_refused() {
    assert_eq!(
        refused(&[("buffer.memory", "65536")]),
        "setting \"buffer.memory\": 65536 is below batch.size = 131072: raise it, or lower batch.size"
    );
    assert_eq!(
        refused(&[("buffer.memory", "200000"), ("max.request.size", "200001")]),
        "setting \"buffer.memory\": 200000 is below max.request.size = 200001: \
         raise it, or lower max.request.size"
    );
    // Beside the default max.request.size a small buffer is what was asked for.
    producer(&[("buffer.memory", "65536"), ("batch.size", "16384")]);
}

#[test]
fn a_level_of_another_codec_is_refused() {
    for (codec, level) in [
        ("none", "gzip"),
        ("gzip", "lz4"),
        ("snappy", "lz4"),
        ("lz4", "zstd"),
    ] {
        let name = format!("compression.{level}.level");
        assert_eq!(
            refused(&[("compression.type", codec), (&name, "2")]),
            format!(
                "setting {name:?}: no effect with compression.type = {codec}: \
                 leave it out, or set compression.type={level}"
            )
        );
    }
    assert!(refused(&[("compression.zstd.level", "2")]).contains("compression.type = none"));
}

#[test]
fn a_typed_codec_replaces_the_levels_set_before() {
    let mut options = ProducerOptions::default();
    options.set("compression.gzip.level", "9").expect("valid");
    for compression in [
        Compression::Lz4(Some(3)),
        Compression::Gzip(None),
        Compression::Zstd(Some(4)),
        Compression::Snappy,
        Compression::None,
    ] {
        options.set_compression(compression);
        let settings = options.check(&client(&[])).expect("valid settings");
        assert_eq!(settings.compression, compression);
    }
    options.set_compression(Compression::Gzip(Some(-1)));
    let settings = options.check(&client(&[])).expect("valid settings");
    assert_eq!(settings.compression, Compression::Gzip(None));
}

#[test]
fn typed_values_out_of_bounds_are_refused_when_built() {
    type Change = fn(&mut ProducerOptions);
    let changes: &[(&str, Change)] = &[
        ("batch.size", |o| o.batch_size = Some(usize::MAX)),
        ("linger.ms", |o| o.linger = Some(Duration::MAX)),
        ("buffer.memory", |o| o.buffer_memory = Some(0)),
        ("max.block.ms", |o| o.max_block = Some(Duration::MAX)),
        ("retries", |o| o.retries = Some(u32::MAX)),
        ("retry.backoff.ms", |o| {
            o.retry_backoff = Some(Duration::MAX)
        }),
        ("retry.backoff.max.ms", |o| {
            o.retry_backoff_max = Some(Duration::MAX)
        }),
        ("delivery.timeout.ms", |o| {
            o.delivery_timeout = Some(Duration::MAX)
        }),
        ("request.timeout.ms", |o| {
            o.request_timeout = Some(Duration::ZERO)
        }),
        ("request.timeout.ms", |o| {
            o.request_timeout = Some(Duration::from_micros(999))
        }),
        ("max.in.flight.requests.per.connection", |o| {
            o.max_in_flight = Some(0)
        }),
        ("max.request.size", |o| o.max_request_size = Some(0)),
        ("compression.gzip.level", |o| {
            o.set_compression(Compression::Gzip(Some(10)))
        }),
        ("compression.lz4.level", |o| {
            o.set_compression(Compression::Lz4(Some(0)))
        }),
        ("compression.zstd.level", |o| {
            o.set_compression(Compression::Zstd(Some(5)))
        }),
        ("acks", |o| o.acks = Some(Acks::Leader)),
    ];
    for (name, change) in changes {
        let error = producer_refused(change);
        assert!(error.starts_with(&format!("setting {name:?}: ")), "{error}");
    }

    type ClientChange = fn(ClientBuilder) -> ClientBuilder;
    let changes: &[(&str, ClientChange)] = &[
        ("bootstrap.servers", |b| b.bootstrap_servers("kafka")),
        ("client.id", |b| b.client_id("x".repeat(32_768))),
        ("request.timeout.ms", |b| b.request_timeout(Duration::ZERO)),
        ("retry.backoff.ms", |b| b.retry_backoff(Duration::MAX)),
        ("retry.backoff.max.ms", |b| {
            b.retry_backoff_max(Duration::MAX)
        }),
        ("reconnect.backoff.ms", |b| {
            b.reconnect_backoff(Duration::MAX)
        }),
        ("reconnect.backoff.max.ms", |b| {
            b.reconnect_backoff_max(Duration::MAX)
        }),
        ("metadata.max.age.ms", |b| {
            b.metadata_max_age(Duration::ZERO)
        }),
        ("connections.max.idle.ms", |b| {
            b.connections_max_idle(Duration::ZERO)
        }),
        ("socket.connection.setup.timeout.ms", |b| {
            b.connection_setup_timeout(Duration::ZERO)
        }),
        ("socket.connection.setup.timeout.max.ms", |b| {
            b.connection_setup_timeout_max(Duration::ZERO)
        }),
        ("send.buffer.bytes", |b| b.send_buffer(0)),
        ("receive.buffer.bytes", |b| b.receive_buffer(usize::MAX)),
        ("metadata.recovery.rebootstrap.trigger.ms", |b| {
            b.rebootstrap_trigger(Duration::MAX)
        }),
    ];
    for (name, change) in changes {
        let error = client_refused(change);
        assert!(error.starts_with(&format!("setting {name:?}: ")), "{error}");
    }
}

#[test]
fn a_client_without_servers_is_refused() {
    let error = ClientBuilder::new().build_settings().expect_err("refused");
    assert_eq!(
        error.to_string(),
        "setting \"bootstrap.servers\": not set: give one or more servers as host:port, separated by commas"
    );
}

#[test]
fn typed_setters_fill_the_same_place_as_names() {
    type Change = fn(ClientBuilder) -> ClientBuilder;
    let twins: &[(&str, &str, Change)] = &[
        ("bootstrap.servers", "b:2", |b| b.bootstrap_servers("b:2")),
        ("client.id", "x", |b| b.client_id("x")),
        ("request.timeout.ms", "7", |b| b.request_timeout(ms(7))),
        ("retry.backoff.ms", "7", |b| b.retry_backoff(ms(7))),
        ("retry.backoff.max.ms", "700", |b| {
            b.retry_backoff_max(ms(700))
        }),
        ("reconnect.backoff.ms", "7", |b| b.reconnect_backoff(ms(7))),
        ("reconnect.backoff.max.ms", "700", |b| {
            b.reconnect_backoff_max(ms(700))
        }),
        ("metadata.max.age.ms", "7", |b| b.metadata_max_age(ms(7))),
        ("connections.max.idle.ms", "7", |b| {
            b.connections_max_idle(ms(7))
        }),
        ("connections.max.idle.ms", "-1", |b| {
            b.connections_max_idle(None)
        }),
        ("socket.connection.setup.timeout.ms", "7", |b| {
            b.connection_setup_timeout(ms(7))
        }),
        ("send.buffer.bytes", "7", |b| b.send_buffer(7)),
        ("receive.buffer.bytes", "-1", |b| b.receive_buffer(None)),
        ("metadata.recovery.strategy", "none", |b| {
            b.rebootstrap(false)
        }),
        ("metadata.recovery.rebootstrap.trigger.ms", "7", |b| {
            b.rebootstrap_trigger(ms(7))
        }),
    ];
    for (name, value, typed) in twins {
        let named = format!("{:?}", client(&[(name, value)]));
        let typed = typed(ClientBuilder::new().bootstrap_servers("localhost:9092"));
        let typed = typed.build_settings().expect("valid settings").0;
        assert_eq!(named, format!("{typed:?}"));
    }
}

#[test]
fn a_client_builder_checks_every_role_before_it_connects() {
    let check = |name: &str, value: &str| {
        let builder = ClientBuilder::new().set(name, value)?;
        builder.bootstrap_servers("localhost:9092").check()
    };
    check("linger.ms", "20").expect("valid settings");
    for (name, value) in [
        ("reconnect.backoff.ms", "5000"),
        ("delivery.timeout.ms", "1000"),
        ("heartbeat.interval.ms", "60000"),
    ] {
        let error = check(name, value).expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    let error = ClientBuilder::new().check().expect_err("no servers");
    assert!(error.to_string().contains("bootstrap.servers"), "{error}");
}
