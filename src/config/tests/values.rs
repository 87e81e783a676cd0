//! Values: of the right kind and size, or refused with what would be right.

use super::super::property::Scope;
use super::super::settings::PartitionerChoice;
use super::super::table::all;
use super::super::{Acks, ClientBuilder, Compression};
use super::{client, consumer, ms, producer, refused};

/// Each name with values that it takes.
const GOOD: &[(&str, &[&str])] = &[
    (
        "bootstrap.servers",
        &[
            "a:1",
            "a:1,b:65535",
            "PLAINTEXT://a:9092",
            "[::1]:9092",
            "a:1,,a:1,",
        ],
    ),
    ("client.id", &["", "payment-service 7", "카프카"]),
    ("request.timeout.ms", &["1", "30000", " 30000 ", "\t5\n"]),
    ("retry.backoff.ms", &["0", "1000"]),
    ("retry.backoff.max.ms", &["100", "9223372036854775807"]),
    ("reconnect.backoff.ms", &["0", "1000"]),
    ("reconnect.backoff.max.ms", &["50", "9223372036854775807"]),
    ("metadata.max.age.ms", &["1", "9223372036854775807"]),
    (
        "connections.max.idle.ms",
        &["-1", "1", "9223372036854775807"],
    ),
    ("socket.connection.setup.timeout.ms", &["1", "60000"]),
    (
        "socket.connection.setup.timeout.max.ms",
        &["10000", "30000"],
    ),
    ("send.buffer.bytes", &["-1", "1", "131072", "2147483647"]),
    ("receive.buffer.bytes", &["-1", "1", "32768", "2147483647"]),
    (
        "metadata.recovery.strategy",
        &["none", "rebootstrap", "REBOOTSTRAP"],
    ),
    ("metadata.recovery.rebootstrap.trigger.ms", &["0", "300000"]),
    ("security.protocol", &["PLAINTEXT", "plaintext"]),
    ("batch.size", &["0", "1", "16384", "33554432"]),
    ("linger.ms", &["0", "5", "+5", "90000"]),
    ("buffer.memory", &["131072", "33554432", "68719476736"]),
    ("metadata.max.idle.ms", &["5000", "9223372036854775807"]),
    ("transactional.id", &["payments-1", "결제 7"]),
    ("max.block.ms", &["0", "9223372036854775807"]),
    ("acks", &["all", "-1", "ALL"]),
    ("enable.idempotence", &["true", "false", "TRUE", " False "]),
    ("retries", &["1", "2147483647"]),
    ("delivery.timeout.ms", &["30005", "2147483647"]),
    ("max.in.flight.requests.per.connection", &["1", "5"]),
    ("max.request.size", &["68", "33554432"]),
    (
        "compression.type",
        &["none", "gzip", "snappy", "lz4", "zstd"],
    ),
    (
        "partitioner.class",
        &["default", "sticky", "round_robin", "", "null"],
    ),
    ("partitioner.ignore.keys", &["true", "false"]),
    (
        "partitioner.adaptive.partitioning.enable",
        &["true", "false"],
    ),
    ("fetch.min.bytes", &["0", "1", "2147483647"]),
    // As much as fits into the largest answer.
    ("fetch.max.bytes", &["0", "52428800", "103809024"]),
    ("fetch.max.wait.ms", &["0", "500", "29999"]),
    ("max.partition.fetch.bytes", &["0", "1048576", "67108864"]),
    ("fetch.buffer.memory", &["1048576", "68719476736"]),
    ("max.poll.records", &["1", "2147483647"]),
    (
        "auto.offset.reset",
        &["earliest", "latest", "none", "LATEST", "smallest", "end"],
    ),
    ("isolation.level", &["read_uncommitted", "read_committed"]),
    ("receive.message.max.bytes", &["134217728", "2147483647"]),
    ("check.crcs", &["true", "false"]),
    ("client.rack", &["", "eu-west-1a", "랙 7"]),
    ("allow.auto.create.topics", &["true", "false"]),
    ("fail.on.missing.topics", &["true", "false"]),
    ("enable.auto.commit", &["true", "false"]),
    ("auto.commit.interval.ms", &["1", "2147483647"]),
    ("group.instance.id", &["a", "orders-7.b_C"]),
    ("session.timeout.ms", &["3001", "2147483647"]),
    ("heartbeat.interval.ms", &["1", "44999"]),
    // Java, too, takes one below the session's timeout.
    ("max.poll.interval.ms", &["1", "2147483647"]),
    (
        "partition.assignment.strategy",
        &["range", "sticky, RoundRobin", "cooperative-sticky,"],
    ),
    ("default.api.timeout.ms", &["0", "2147483647"]),
    ("group.protocol", &["classic", "CLASSIC"]),
];

/// Each name with values that it refuses.
const BAD: &[(&str, &[&str])] = &[
    (
        "bootstrap.servers",
        &[
            "",
            " , ",
            "localhost",
            "a:",
            ":9092",
            "a:0",
            "a:65536",
            "a:-1",
            "a:9092/x",
        ],
    ),
    ("client.id", &["a\nb", "\u{7f}"]),
    (
        "request.timeout.ms",
        &["0", "-1", "30s", "2147483648", "1.5", ""],
    ),
    ("retry.backoff.ms", &["-1", "9223372036854775808", "fast"]),
    ("retry.backoff.max.ms", &["-1", "1e3"]),
    ("reconnect.backoff.ms", &["-1", "50ms"]),
    ("reconnect.backoff.max.ms", &["-1", "0x10"]),
    ("metadata.max.age.ms", &["0", "-1", "five"]),
    ("connections.max.idle.ms", &["0", "-2", "never"]),
    ("socket.connection.setup.timeout.ms", &["0", "-1", ""]),
    ("socket.connection.setup.timeout.max.ms", &["0", "-1", "x"]),
    ("send.buffer.bytes", &["0", "-2", "128k", "2147483648"]),
    ("receive.buffer.bytes", &["0", "-2", "32 768", "4294967296"]),
    ("metadata.recovery.strategy", &["", "retry"]),
    ("metadata.recovery.rebootstrap.trigger.ms", &["-1", "x"]),
    ("security.protocol", &["TLS", "SASL", ""]),
    ("sasl.mechanism", &["", "GSSAPI", "SCRAM-SHA-1"]),
    ("sasl.jaas.config", &[""]),
    ("sasl.username", &["a\nb"]),
    ("sasl.password", &[""]),
    ("batch.size", &["-1", "16k", "2147483648"]),
    ("linger.ms", &["-1", "5s", "0.5", "", "-0.0"]),
    (
        "buffer.memory",
        &[
            "0",
            "-1",
            "67",
            "32M",
            "9999999999999999999999999999999999999999999",
        ],
    ),
    ("metadata.max.idle.ms", &["4999", "0", "-1", "five"]),
    ("transactional.id", &["a\tb"]),
    ("transaction.timeout.ms", &["0", "-1", "2147483648", "1m"]),
    ("max.block.ms", &["-1", "9223372036854775808"]),
    ("acks", &["2", "-2", "none", ""]),
    ("enable.idempotence", &["yes", "1", ""]),
    ("retries", &["-1", "2147483648", "many"]),
    ("delivery.timeout.ms", &["0", "-1", "2147483648"]),
    ("max.in.flight.requests.per.connection", &["0", "-1", "x"]),
    ("max.request.size", &["0", "67", "2147483648", "1MB"]),
    ("compression.type", &["", "brotli", "gzip9"]),
    ("compression.gzip.level", &["0", "10", "-2", "best"]),
    ("compression.lz4.level", &["0", "18", "-1"]),
    ("compression.zstd.level", &["-8", "5", "22", "x"]),
    ("partitioner.class", &["com.example.Mine", "murmur2"]),
    ("partitioner.ignore.keys", &["no"]),
    ("partitioner.adaptive.partitioning.enable", &["on"]),
    ("fetch.min.bytes", &["-1", "1k", "2147483648"]),
    ("fetch.max.bytes", &["-1", "50M", "2147483648"]),
    ("fetch.max.wait.ms", &["-1", "0.5", "2147483648"]),
    ("max.partition.fetch.bytes", &["-1", "2147483648"]),
    ("fetch.buffer.memory", &["0", "1048575", "64M"]),
    ("max.poll.records", &["0", "-1", "2147483648"]),
    ("auto.offset.reset", &["", "first", "by_duration:P1D"]),
    ("isolation.level", &["", "serializable"]),
    ("receive.message.max.bytes", &["65535", "2147483648"]),
    ("check.crcs", &["1"]),
    ("client.rack", &["a\tb"]),
    ("allow.auto.create.topics", &["yes"]),
    ("fail.on.missing.topics", &["0"]),
    ("enable.auto.commit", &["on"]),
    ("auto.commit.interval.ms", &["0", "-1", "2147483648"]),
    ("group.instance.id", &["", "a b", ".", "..", "소비자"]),
    ("session.timeout.ms", &["0", "-1", "2147483648"]),
    ("heartbeat.interval.ms", &["0", "-1", "3s"]),
    ("max.poll.interval.ms", &["0", "-1", "2147483648"]),
    (
        "partition.assignment.strategy",
        &["", ",", "com.example.Mine"],
    ),
    ("default.api.timeout.ms", &["-1", "2147483648"]),
    ("group.protocol", &["", "consumer"]),
];

#[test]
fn every_setting_takes_what_kafka_takes() {
    for (name, values) in GOOD {
        for value in *values {
            let mut properties = vec![(*name, *value)];
            if *name == "linger.ms" || *name == "retry.backoff.ms" {
                properties.push(("delivery.timeout.ms", "2147483647"));
            }
            producer(&properties);
            if all().any(|p| p.name == *name && matches!(p.scope, Scope::Consumer(_))) {
                consumer(&properties);
            }
        }
    }
    for (codec, levels) in [
        ("gzip", &["1", "9", "-1"]),
        ("lz4", &["1", "9", "17"]),
        ("zstd", &["-7", "3", "4"]),
    ] {
        for level in levels {
            let name = format!("compression.{codec}.level");
            producer(&[("compression.type", codec), (&name, level)]);
        }
    }
}

#[test]
fn every_setting_refuses_other_values_by_name_and_at_once() {
    for (name, values) in BAD {
        for value in *values {
            let error = ClientBuilder::new().set(name, value).err();
            let error = error
                .unwrap_or_else(|| panic!("{name}={value}"))
                .to_string();
            assert!(error.starts_with(&format!("setting {name:?}: ")), "{error}");
            let shown = value.trim().escape_debug().to_string();
            assert!(error.contains(&shown), "{error}");
        }
    }
}

#[test]
fn every_row_of_the_table_is_tried_with_good_and_bad_values() {
    for property in all() {
        let name = property.name;
        let tried = |table: &[(&str, &[&str])]| table.iter().any(|(tried, _)| *tried == name);
        // Levels, logins, TLS and a time for transactions are right only beside others: tried by themselves.
        let beside = name.ends_with(".level")
            || name.starts_with("sasl.")
            || name.contains("ssl.")
            || name == "transaction.timeout.ms";
        assert!(tried(GOOD) || beside, "{name}");
        // Every text may be a path, or fail only when it is read.
        assert!(tried(BAD) || name.contains("ssl."), "{name}");
    }
}

#[test]
fn a_value_that_does_not_parse_is_told_with_what_was_expected() {
    for (name, value, reason) in [
        (
            "linger.ms",
            "5s",
            r#""5s" is not a whole number of milliseconds"#,
        ),
        (
            "batch.size",
            "16k",
            r#""16k" is not a whole number of bytes"#,
        ),
        ("retries", "many", r#""many" is not a whole number"#),
        (
            "batch.size",
            "-1",
            "-1 is out of bounds (0 to 2147483647 bytes)",
        ),
        (
            "retries",
            "99999999999",
            "99999999999 is out of bounds (0 to 2147483647)",
        ),
        (
            "connections.max.idle.ms",
            "0",
            "0 is out of bounds (1 to 9223372036854775807 milliseconds, or -1 for never)",
        ),
        (
            "enable.idempotence",
            "yes",
            r#""yes" is neither true nor false"#,
        ),
        ("acks", "2", r#""2" is not one of 0, 1, all"#),
        (
            "compression.type",
            "brotli",
            r#""brotli" is not one of none, gzip, snappy, lz4, zstd"#,
        ),
        (
            "compression.zstd.level",
            "19",
            "19 is out of bounds (-7 to 4; Kafka's other levels need the C library, which this build does not have)",
        ),
        (
            "security.protocol",
            "TLS",
            r#""TLS" is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"#,
        ),
        (
            "partitioner.class",
            "com.example.Mine",
            r#""com.example.Mine" is not one of default, sticky, round_robin (one of your own goes to ProducerBuilder::partitioner)"#,
        ),
        (
            "auto.offset.reset",
            "by_duration:P1D",
            r#""by_duration:P1D" is not one of earliest, latest, none (by_duration is not supported: seek by a timestamp)"#,
        ),
        (
            "partition.assignment.strategy",
            "range,com.example.Mine",
            r#""com.example.Mine" is not one of range, roundrobin, sticky, cooperative-sticky (or the name of Java's class)"#,
        ),
        (
            "partition.assignment.strategy",
            "",
            "none is named: give one or more, separated by commas",
        ),
        (
            "group.instance.id",
            "a b",
            r#""a b" is not 1 to 249 letters, digits, dots, underscores and hyphens, other than "." and "..""#,
        ),
        (
            "group.protocol",
            "consumer",
            r#""consumer" is not classic: the protocol of KIP-848 is not supported in this version"#,
        ),
        (
            "bootstrap.servers",
            "localhost",
            r#""localhost" has no port: give host:port, such as localhost:9092"#,
        ),
        (
            "bootstrap.servers",
            "::1:9092",
            r#""::1:9092" is not host:port: an IPv6 address goes in brackets, as in [::1]:9092"#,
        ),
        (
            "bootstrap.servers",
            "a:1,b:70000",
            r#""b:70000" has a port that is not from 1 to 65535"#,
        ),
        (
            "bootstrap.servers",
            "http://localhost:9092",
            r#""http://localhost:9092" asks for http: give host:port here, and the protocol of all servers by security.protocol"#,
        ),
        (
            "bootstrap.servers",
            "",
            "no server is named: give one or more as host:port, separated by commas",
        ),
    ] {
        assert_eq!(
            refused(&[(name, value)]),
            format!("setting {name:?}: {reason}")
        );
    }
}

#[test]
fn servers_are_kept_in_order_and_once() {
    let parsed = |text: &str| {
        let servers = client(&[("bootstrap.servers", text)]).bootstrap;
        servers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(parsed("b:2, a:1 ,b:2,"), ["b:2", "a:1"]);
    assert_eq!(parsed("PLAINTEXT://kafka:9092"), ["kafka:9092"]);
    assert_eq!(
        parsed("[::1]:9092,[fe80::1%eth0]:9093"),
        ["[::1]:9092", "[fe80::1%eth0]:9093"]
    );
    assert_eq!(
        &*client(&[("bootstrap.servers", "[::1]:9092")]).bootstrap[0].host,
        "::1"
    );
    for bad in [
        "[::1]",
        "[::1]9092",
        "[::1:9092",
        "[kafka]:9092",
        "a b:1",
        "a:b",
        "a:+1",
        "[]:1",
    ] {
        let error = refused(&[("bootstrap.servers", bad)]);
        assert!(
            error.starts_with(&format!("setting \"bootstrap.servers\": {bad:?} ")),
            "{error}"
        );
    }
}

#[test]
fn numbers_words_and_java_names_mean_what_they_mean_in_kafka() {
    for (text, acks) in [
        ("0", Acks::None),
        ("1", Acks::Leader),
        ("all", Acks::All),
        ("-1", Acks::All),
    ] {
        let p = producer(&[("acks", text), ("enable.idempotence", "false")]);
        assert_eq!(p.acks, acks);
    }
    let java = "org.apache.kafka.clients.producer.RoundRobinPartitioner";
    for text in ["round_robin", java] {
        let p = producer(&[("partitioner.class", text)]);
        assert!(matches!(p.partitioner, PartitionerChoice::RoundRobin));
    }
    for (codec, level, expected) in [
        ("gzip", "9", Compression::Gzip(Some(9))),
        ("gzip", "-1", Compression::Gzip(None)),
        ("lz4", "17", Compression::Lz4(Some(17))),
        ("zstd", "-7", Compression::Zstd(Some(-7))),
    ] {
        let name = format!("compression.{codec}.level");
        // In either order.
        let one = producer(&[("compression.type", codec), (&name, level)]);
        let other = producer(&[(&name, level), ("compression.type", codec)]);
        assert_eq!((one.compression, other.compression), (expected, expected));
    }
    let c = client(&[
        ("connections.max.idle.ms", "-1"),
        ("send.buffer.bytes", "65536"),
    ]);
    assert_eq!(
        (c.connections_max_idle, c.send_buffer),
        (None, Some(65_536))
    );
    assert!(!client(&[("metadata.recovery.strategy", "none")]).rebootstrap);
    assert_eq!(producer(&[("linger.ms", " 20 ")]).linger, ms(20));
    assert_eq!(producer(&[(" linger.ms ", "20")]).linger, ms(20));
}

#[test]
fn the_last_value_set_holds() {
    assert_eq!(
        producer(&[("linger.ms", "1"), ("linger.ms", "2")]).linger,
        ms(2)
    );
    let servers = ClientBuilder::new()
        .bootstrap_servers("no port")
        .bootstrap_servers("a:1")
        .build_settings();
    assert_eq!(servers.expect("the last is valid").0.bootstrap.len(), 1);
}
