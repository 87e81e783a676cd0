//! Names: known, mistyped, and other clients'.

use super::super::property::Scope;
use super::super::table::all;
use super::super::unknown::FOREIGN;
use super::super::{ClientBuilder, ConsumerOptions, ProducerOptions};
use super::refused;
use crate::error::Error;

#[test]
fn an_unknown_name_is_refused_with_the_name_that_was_meant() {
    let error = ClientBuilder::new().set("linger.mns", "20").err();
    let error = error.expect("an unknown name");
    assert!(matches!(&error, Error::UnknownSetting { name, .. } if &**name == "linger.mns"));
    assert_eq!(
        error.to_string(),
        r#"unknown setting "linger.mns": did you mean "linger.ms"?"#
    );
    for (mistyped, meant) in [
        ("linger_ms", "linger.ms"),
        ("Linger.Ms", "linger.ms"),
        ("LINGER_MS", "linger.ms"),
        ("linger", "linger.ms"),
        ("linger-ms", "linger.ms"),
        ("bootstrap.server", "bootstrap.servers"),
        ("bootstrap_servers", "bootstrap.servers"),
        ("boostrap.servers", "bootstrap.servers"),
        ("ack", "acks"),
        ("retrys", "retries"),
        ("retires", "retries"),
        ("retry.backoff", "retry.backoff.ms"),
        ("retry_backoff", "retry.backoff.ms"),
        ("batchsize", "batch.size"),
        ("batch.sise", "batch.size"),
        ("max.block", "max.block.ms"),
        ("idempotence", "enable.idempotence"),
        ("enable.idempotency", "enable.idempotence"),
        ("compression", "compression.type"),
        ("compresion.type", "compression.type"),
        ("compression.gzip.levle", "compression.gzip.level"),
        ("delivery.timeout", "delivery.timeout.ms"),
        (
            "max_in_flight_requests_per_connection",
            "max.in.flight.requests.per.connection",
        ),
        ("max.requests.size", "max.request.size"),
        ("metadata.max.age", "metadata.max.age.ms"),
        ("auto_offset_reset", "auto.offset.reset"),
        ("max.poll.record", "max.poll.records"),
        ("heartbeat.interval", "heartbeat.interval.ms"),
        (
            "partition.assignment.strategies",
            "partition.assignment.strategy",
        ),
        ("isolation", "isolation.level"),
    ] {
        assert_eq!(
            refused(&[(mistyped, "1")]),
            format!("unknown setting {mistyped:?}: did you mean {meant:?}?")
        );
        let error = ProducerOptions::default().set(mistyped, "1").err();
        let error = error.expect("an unknown name").to_string();
        assert!(
            error.ends_with(&format!("did you mean {meant:?}?")),
            "{error}"
        );
    }
}

#[test]
fn a_name_like_no_other_is_refused_without_a_wrong_guess() {
    for name in ["frobnicate", "", "x", "ms", "spring.kafka.template", "ö"] {
        let error = refused(&[(name, "1")]);
        let expected = format!("unknown setting {name:?}: ottla has none of a similar name");
        assert_eq!(error, expected);
    }
}

#[test]
fn another_clients_name_is_refused_with_what_to_do_instead() {
    for (name, part) in [
        ("key.serializer", "ottla takes and gives bytes"),
        ("value.serializer", "ottla takes and gives bytes"),
        ("transaction.two.phase.commit.enable", "not supported"),
        ("sasl.kerberos.service.name", "Kerberos is not supported"),
        ("sasl.login.callback.handler.class", "OAuthBearer::new"),
        ("sasl.oauthbearer.token.endpoint.url", "OAuthBearer::new"),
        ("sasl.mechanisms", "use \"sasl.mechanism\""),
        ("ssl.provider", "of Java's own TLS"),
        ("ssl.curves.list", "of OpenSSL"),
        ("interceptor.classes", "no interceptors"),
        ("metric.reporters", "metrics"),
        ("metrics.num.samples", "metrics"),
        ("queue.buffering.max.ms", "use \"linger.ms\""),
        ("queue.buffering.max.kbytes", "use \"buffer.memory\""),
        ("metadata.broker.list", "use \"bootstrap.servers\""),
        ("message.send.max.retries", "use \"retries\""),
        ("message.timeout.ms", "use \"delivery.timeout.ms\""),
        ("key.deserializer", "ottla takes and gives bytes"),
        ("group.id", "client.consumer(group)"),
        ("group.remote.assignor", "KIP-848"),
        ("exclude.internal.topics", "by name"),
        ("queued.min.messages", "\"fetch.buffer.memory\""),
        ("fetch.wait.max.ms", "use \"fetch.max.wait.ms\""),
        (
            "fetch.message.max.bytes",
            "use \"max.partition.fetch.bytes\"",
        ),
        ("enable.auto.offset.store", "\"enable.auto.commit\""),
        ("enable.partition.eof", "lag"),
        ("offset.store.method", "coordinator"),
    ] {
        let error = refused(&[(name, "secret")]);
        assert!(error.starts_with(&format!("setting {name:?}: ")), "{error}");
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn no_known_name_is_called_another_clients_and_every_quoted_one_exists() {
    let is_known = |name: &str| all().any(|property| property.name == name);
    for (name, text) in FOREIGN {
        assert!(!is_known(name), "{name}");
        let hides = |known: &str| name.ends_with('.') && known.starts_with(name);
        assert!(!all().any(|p| hides(p.name)), "{name}");
        for quoted in text.split('"').skip(1).step_by(2) {
            assert!(is_known(quoted), "{name}: {quoted}");
        }
    }
}

#[test]
fn anothers_setting_is_refused_on_a_producer_and_on_a_consumer() {
    let on_producer = |name, value| {
        let error = ProducerOptions::default().set(name, value);
        error.expect_err("another's").to_string()
    };
    let on_consumer = |name, value| {
        let error = ConsumerOptions::default().set(name, value);
        error.expect_err("another's").to_string()
    };
    let clients = "the client's, which its {} share: set it on the ClientBuilder";
    for (error, expected) in [
        (
            on_producer("bootstrap.servers", "localhost:9092"),
            clients.replace("{}", "producers"),
        ),
        (
            on_consumer("bootstrap.servers", "localhost:9092"),
            clients.replace("{}", "consumers"),
        ),
    ] {
        assert_eq!(error, format!("setting \"bootstrap.servers\": {expected}"));
    }
    assert_eq!(
        on_producer("max.poll.records", "1"),
        "setting \"max.poll.records\": a consumer's: set it on the ConsumerBuilder or the ClientBuilder"
    );
    assert_eq!(
        on_consumer("linger.ms", "1"),
        "setting \"linger.ms\": a producer's: set it on the ProducerBuilder or the ClientBuilder"
    );
}

#[test]
fn every_name_is_in_the_table_once() {
    for (i, property) in all().enumerate() {
        let twin = all().skip(i + 1).find(|p| p.name == property.name);
        assert!(twin.is_none(), "{}", property.name);
    }
}

/// The doc comment right above `pub fn setter(`, as one line.
fn doc_of(source: &str, setter: &str) -> String {
    let start = [format!("pub fn {setter}("), format!("pub fn {setter}<")];
    let (before, _) = start
        .iter()
        .find_map(|start| source.split_once(start.as_str()))
        .unwrap_or_else(|| panic!("no setter {setter}"));
    let mut lines: Vec<_> = before
        .trim_end()
        .lines()
        .rev()
        .map(str::trim)
        .take_while(|line| line.starts_with("///"))
        .map(|line| line.trim_start_matches('/').trim())
        .collect();
    lines.reverse();
    lines.join(" ")
}

#[test]
fn every_setting_has_a_typed_setter_whose_doc_gives_its_name_and_default() {
    let client = include_str!("../builder.rs");
    let producer = include_str!("../../producer/builder.rs");
    let consumer = include_str!("../../consumer/builder.rs");
    for property in all() {
        let sources: &[&str] = match property.scope {
            Scope::Client(_) => &[client],
            Scope::Producer(_) => &[producer],
            Scope::Consumer(_) => &[consumer],
            Scope::All(..) => &[client, producer, consumer],
        };
        let Some(setter) = property.setter else {
            // Those of one value.
            assert_eq!(property.name, "group.protocol");
            continue;
        };
        for source in sources {
            let doc = doc_of(source, setter);
            let (meaning, names) = doc.split_once("Kafka: ").expect(setter);
            assert!(
                names.contains(&format!("`{}`", property.name)),
                "{setter}: {doc}"
            );
            assert!(
                meaning.to_lowercase().contains("default"),
                "{setter}: {doc}"
            );
        }
    }
}
