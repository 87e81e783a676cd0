//! Every property by Kafka's name, with the kind of its value and its bounds.

use std::time::Duration;

use super::security::{MechanismName, SecurityProtocol};
use super::settings::{
    Acks, Assignor, Compression, IsolationLevel, OffsetReset, PartitionerChoice,
};
use super::value::{
    Bounded, Choice, Choices, Flag, Hidden, INT, Identifier, Jaas, LONG, OrNone, Servers, Text,
};
use crate::sasl::ScramHash;

/// An answer that says nothing of interest has some hundred bytes a topic and a broker.
const LEAST_ANSWER: i64 = 64 << 10;
/// The bytes of a batch with one empty record; in less, nothing can be sent.
const SMALLEST_BATCH: i64 = 68;
/// The bytes that a default `max.partition.fetch.bytes` may bring.
const LEAST_BUFFER_MEMORY: i64 = 1 << 20;

pub(super) const BOOTSTRAP_SERVERS: Servers = Servers {
    name: "bootstrap.servers",
};
pub(super) const CLIENT_ID: Text = Text {
    name: "client.id",
    most: i16::MAX as usize,
};
pub(super) const REQUEST_TIMEOUT: Bounded<Duration> = Bounded::millis("request.timeout.ms", 1, INT);
pub(super) const RETRY_BACKOFF: Bounded<Duration> = Bounded::millis("retry.backoff.ms", 0, LONG);
pub(super) const RETRY_BACKOFF_MAX: Bounded<Duration> =
    Bounded::millis("retry.backoff.max.ms", 0, LONG);
pub(super) const RECONNECT_BACKOFF: Bounded<Duration> =
    Bounded::millis("reconnect.backoff.ms", 0, LONG);
pub(super) const RECONNECT_BACKOFF_MAX: Bounded<Duration> =
    Bounded::millis("reconnect.backoff.max.ms", 0, LONG);
pub(super) const METADATA_MAX_AGE: Bounded<Duration> =
    Bounded::millis("metadata.max.age.ms", 1, LONG);
pub(super) const CONNECTIONS_MAX_IDLE: OrNone<Duration> =
    OrNone::new(Bounded::millis("connections.max.idle.ms", 1, LONG).note(", or -1 for never"));
pub(super) const SETUP_TIMEOUT: Bounded<Duration> =
    Bounded::millis("socket.connection.setup.timeout.ms", 1, LONG);
pub(super) const SETUP_TIMEOUT_MAX: Bounded<Duration> =
    Bounded::millis("socket.connection.setup.timeout.max.ms", 1, LONG);
pub(super) const SEND_BUFFER: OrNone<usize> =
    OrNone::new(Bounded::bytes("send.buffer.bytes", 1, INT).note(OR_SYSTEM));
pub(super) const RECEIVE_BUFFER: OrNone<usize> =
    OrNone::new(Bounded::bytes("receive.buffer.bytes", 1, INT).note(OR_SYSTEM));
pub(super) const RECEIVE_MAX: Bounded<usize> =
    Bounded::bytes("receive.message.max.bytes", LEAST_ANSWER, INT);
pub(super) const RECOVERY_STRATEGY: Choice<bool> = Choice {
    name: "metadata.recovery.strategy",
    words: &[("rebootstrap", true), ("none", false)],
    aliases: &[],
    note: "",
};
pub(super) const REBOOTSTRAP_TRIGGER: Bounded<Duration> =
    Bounded::millis("metadata.recovery.rebootstrap.trigger.ms", 0, LONG);
pub(super) const SECURITY_PROTOCOL: Choice<SecurityProtocol> = Choice {
    name: "security.protocol",
    words: &[
        ("PLAINTEXT", SecurityProtocol::Plaintext),
        ("SSL", SecurityProtocol::Ssl),
        ("SASL_PLAINTEXT", SecurityProtocol::SaslPlaintext),
        ("SASL_SSL", SecurityProtocol::SaslSsl),
    ],
    aliases: &[],
    note: "",
};
pub(super) const SASL_MECHANISM: Choice<MechanismName> = Choice {
    name: "sasl.mechanism",
    words: &[
        ("PLAIN", MechanismName::Plain),
        ("SCRAM-SHA-256", MechanismName::Scram(ScramHash::Sha256)),
        ("SCRAM-SHA-512", MechanismName::Scram(ScramHash::Sha512)),
        ("OAUTHBEARER", MechanismName::OAuthBearer),
    ],
    aliases: &[],
    note: " (one of your own goes to ClientBuilder::sasl)",
};
pub(super) const SASL_JAAS: Jaas = Jaas {
    name: "sasl.jaas.config",
};
pub(super) const SASL_USERNAME: Text = Text {
    name: "sasl.username",
    most: i16::MAX as usize,
};
pub(super) const SASL_PASSWORD: Hidden = Hidden::new("sasl.password");

pub(super) const BATCH_SIZE: Bounded<usize> = Bounded::bytes("batch.size", 0, INT);
pub(super) const LINGER: Bounded<Duration> = Bounded::millis("linger.ms", 0, LONG);
pub(super) const BUFFER_MEMORY: Bounded<usize> =
    Bounded::bytes("buffer.memory", SMALLEST_BATCH, LONG);
pub(super) const MAX_BLOCK: Bounded<Duration> = Bounded::millis("max.block.ms", 0, LONG);
pub(super) const ACKS: Choice<Acks> = Choice {
    name: "acks",
    words: &[("0", Acks::None), ("1", Acks::Leader), ("all", Acks::All)],
    aliases: &[("-1", Acks::All)],
    note: "",
};
pub(super) const IDEMPOTENCE: Flag = Flag {
    name: "enable.idempotence",
};
pub(super) const RETRIES: Bounded<u32> = Bounded::new("retries", "", 0, INT);
pub(super) const DELIVERY_TIMEOUT: Bounded<Duration> =
    Bounded::millis("delivery.timeout.ms", 1, INT);
pub(super) const MAX_IN_FLIGHT: Bounded<usize> =
    Bounded::new("max.in.flight.requests.per.connection", "", 1, INT);
pub(super) const MAX_REQUEST_SIZE: Bounded<usize> =
    Bounded::bytes("max.request.size", SMALLEST_BATCH, INT);
pub(super) const COMPRESSION: Choice<Compression> = Choice {
    name: "compression.type",
    words: &[
        ("none", Compression::None),
        ("gzip", Compression::Gzip(None)),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4(None)),
        ("zstd", Compression::Zstd(None)),
    ],
    aliases: &[],
    note: "",
};
pub(super) const GZIP_LEVEL: OrNone<i32> = OrNone::new(
    Bounded::new("compression.gzip.level", "", 1, 9).note(", or -1 for the codec's default"),
);
pub(super) const LZ4_LEVEL: Bounded<i32> = Bounded::new("compression.lz4.level", "", 1, 17);
pub(super) const ZSTD_LEVEL: Bounded<i32> = Bounded::new("compression.zstd.level", "", -7, 4)
    .note("; Kafka's other levels need the C library, which this build does not have");
pub(super) const PARTITIONER: Choice<PartitionerChoice> = Choice {
    name: "partitioner.class",
    words: &[
        ("default", PartitionerChoice::Default),
        ("sticky", PartitionerChoice::Default),
        ("round_robin", PartitionerChoice::RoundRobin),
    ],
    aliases: &[
        ("", PartitionerChoice::Default),
        ("null", PartitionerChoice::Default),
        (
            "org.apache.kafka.clients.producer.internals.DefaultPartitioner",
            PartitionerChoice::Default,
        ),
        (
            "org.apache.kafka.clients.producer.RoundRobinPartitioner",
            PartitionerChoice::RoundRobin,
        ),
    ],
    note: " (one of your own goes to ProducerBuilder::partitioner)",
};
pub(super) const IGNORE_KEYS: Flag = Flag {
    name: "partitioner.ignore.keys",
};
pub(super) const ADAPTIVE: Flag = Flag {
    name: "partitioner.adaptive.partitioning.enable",
};

pub(super) const METADATA_MAX_IDLE: Bounded<Duration> =
    Bounded::millis("metadata.max.idle.ms", 5000, LONG);

pub(super) const TRANSACTIONAL_ID: Text = Text {
    name: "transactional.id",
    most: i16::MAX as usize,
};
pub(super) const TRANSACTION_TIMEOUT: Bounded<Duration> =
    Bounded::millis("transaction.timeout.ms", 1, INT);

pub(super) const FETCH_MIN: Bounded<usize> = Bounded::bytes("fetch.min.bytes", 0, INT);
pub(super) const FETCH_MAX: Bounded<usize> = Bounded::bytes("fetch.max.bytes", 0, INT);
pub(super) const FETCH_MAX_WAIT: Bounded<Duration> = Bounded::millis("fetch.max.wait.ms", 0, INT);
pub(super) const PARTITION_FETCH: Bounded<usize> =
    Bounded::bytes("max.partition.fetch.bytes", 0, INT);
pub(super) const FETCH_BUFFER: Bounded<usize> =
    Bounded::bytes("fetch.buffer.memory", LEAST_BUFFER_MEMORY, LONG);
pub(super) const MAX_POLL_RECORDS: Bounded<usize> = Bounded::new("max.poll.records", "", 1, INT);
pub(super) const OFFSET_RESET: Choice<OffsetReset> = Choice {
    name: "auto.offset.reset",
    words: &[
        ("earliest", OffsetReset::Earliest),
        ("latest", OffsetReset::Latest),
        ("none", OffsetReset::None),
    ],
    // librdkafka's.
    aliases: &[
        ("smallest", OffsetReset::Earliest),
        ("beginning", OffsetReset::Earliest),
        ("largest", OffsetReset::Latest),
        ("end", OffsetReset::Latest),
        ("error", OffsetReset::None),
    ],
    note: " (by_duration is not supported: seek by a timestamp)",
};
pub(super) const ISOLATION: Choice<IsolationLevel> = Choice {
    name: "isolation.level",
    words: &[
        ("read_uncommitted", IsolationLevel::ReadUncommitted),
        ("read_committed", IsolationLevel::ReadCommitted),
    ],
    aliases: &[],
    note: "",
};
pub(super) const CHECK_CRCS: Flag = Flag { name: "check.crcs" };
pub(super) const RACK: Text = Text {
    name: "client.rack",
    most: i16::MAX as usize,
};
pub(super) const AUTO_CREATE_TOPICS: Flag = Flag {
    name: "allow.auto.create.topics",
};
pub(super) const FAIL_ON_MISSING_TOPICS: Flag = Flag {
    name: "fail.on.missing.topics",
};
pub(super) const AUTO_COMMIT: Flag = Flag {
    name: "enable.auto.commit",
};
// Java takes 0 as well, and commits at every poll; librdkafka takes it for "never".
pub(super) const AUTO_COMMIT_INTERVAL: Bounded<Duration> =
    Bounded::millis("auto.commit.interval.ms", 1, INT);
pub(super) const INSTANCE_ID: Identifier = Identifier {
    name: "group.instance.id",
};
pub(super) const SESSION_TIMEOUT: Bounded<Duration> = Bounded::millis("session.timeout.ms", 1, INT);
pub(super) const HEARTBEAT_INTERVAL: Bounded<Duration> =
    Bounded::millis("heartbeat.interval.ms", 1, INT);
pub(super) const MAX_POLL_INTERVAL: Bounded<Duration> =
    Bounded::millis("max.poll.interval.ms", 1, INT);
pub(super) const ASSIGNORS: Choices<Assignor> = Choices::new(Choice {
    name: "partition.assignment.strategy",
    words: &[
        ("range", Assignor::Range),
        ("roundrobin", Assignor::RoundRobin),
        ("sticky", Assignor::Sticky),
        ("cooperative-sticky", Assignor::CooperativeSticky),
    ],
    aliases: &[
        (
            "org.apache.kafka.clients.consumer.RangeAssignor",
            Assignor::Range,
        ),
        (
            "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            Assignor::RoundRobin,
        ),
        (
            "org.apache.kafka.clients.consumer.StickyAssignor",
            Assignor::Sticky,
        ),
        (
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
            Assignor::CooperativeSticky,
        ),
    ],
    note: " (or the name of Java's class)",
});
pub(super) const API_TIMEOUT: Bounded<Duration> = Bounded::millis("default.api.timeout.ms", 0, INT);
pub(super) const GROUP_PROTOCOL: Choice<()> = Choice {
    name: "group.protocol",
    words: &[("classic", ())],
    aliases: &[],
    note: ": the protocol of KIP-848 is not supported in this version",
};

const OR_SYSTEM: &str = ", or -1 for the operating system's own";
