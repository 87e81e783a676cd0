//! The table of every property, by Kafka's name: its bounds, whose it is, and where its value goes.

use std::time::Duration;

use super::client::{ClientOptions, LEAST_ANSWER};
use super::consumer::{ConsumerOptions, LEAST_BUFFER_MEMORY};
use super::producer::{ProducerOptions, SMALLEST_BATCH};
use super::security::{MechanismName, SecurityProtocol};
use super::settings::{
    Acks, Assignor, Compression, IsolationLevel, OffsetReset, PartitionerChoice,
};
use super::value::{
    Bounded, Choice, Choices, Flag, Hidden, INT, Identifier, Jaas, LONG, OrNone, Servers, Text,
};
use super::{tls, unknown};
use crate::error::{Error, Result};
use crate::sasl::ScramHash;

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
const GROUP_PROTOCOL: Choice<()> = Choice {
    name: "group.protocol",
    words: &[("classic", ())],
    aliases: &[],
    note: ": the protocol of KIP-848 is not supported in this version",
};

const OR_SYSTEM: &str = ", or -1 for the operating system's own";

/// One property.
pub(super) struct Property {
    /// Kafka's name.
    pub(super) name: &'static str,
    /// The typed setter that does the same; none for what has but one value. Tests hold its doc to it.
    #[cfg(test)]
    pub(super) setter: Option<&'static str>,
    pub(super) scope: Scope,
}

pub(super) type Apply<T> = fn(&mut T, &str) -> Result<()>;

/// Whose a property is, and how its value gets there.
pub(super) enum Scope {
    Client(Apply<ClientOptions>),
    Producer(Apply<ProducerOptions>),
    Consumer(Apply<ConsumerOptions>),
    /// The producer's or consumer's own, by default the client's.
    All(
        Apply<ClientOptions>,
        Apply<ProducerOptions>,
        Apply<ConsumerOptions>,
    ),
}

/// A row: whose, its kind of value, the field that holds it; the typed setter where its name is not the field's.
macro_rules! row {
    ($scope:ident $kind:ident $field:ident) => {
        row!($scope $kind $field $field)
    };
    (All $kind:ident $field:ident $setter:ident) => {
        Property {
            name: $kind.name,
            #[cfg(test)]
            setter: Some(stringify!($setter)),
            scope: Scope::All(
                row!(@into $kind $field),
                row!(@into $kind $field),
                row!(@into $kind $field),
            ),
        }
    };
    ($scope:ident $kind:ident $field:ident $setter:ident) => {
        Property {
            name: $kind.name,
            #[cfg(test)]
            setter: Some(stringify!($setter)),
            scope: Scope::$scope(row!(@into $kind $field)),
        }
    };
    (@into $kind:ident $field:ident) => {
        |options, text| {
            options.$field = Some($kind.parse(text)?);
            Ok(())
        }
    };
}

/// A row about the login, whose settings are kept together.
macro_rules! login {
    ($kind:ident $field:ident $setter:expr) => {
        Property {
            name: $kind.name,
            #[cfg(test)]
            setter: Some($setter),
            scope: Scope::Client(|options, text| {
                options.login.$field = Some($kind.parse(text)?);
                Ok(())
            }),
        }
    };
}

static PROPERTIES: [Property; 60] = [
    row!(Client BOOTSTRAP_SERVERS bootstrap bootstrap_servers),
    row!(Client CLIENT_ID client_id),
    row!(All REQUEST_TIMEOUT request_timeout),
    row!(All RETRY_BACKOFF retry_backoff),
    row!(All RETRY_BACKOFF_MAX retry_backoff_max),
    row!(Client RECONNECT_BACKOFF reconnect_backoff),
    row!(Client RECONNECT_BACKOFF_MAX reconnect_backoff_max),
    row!(Client METADATA_MAX_AGE metadata_max_age),
    row!(Client CONNECTIONS_MAX_IDLE connections_max_idle),
    row!(Client SETUP_TIMEOUT connection_setup_timeout),
    row!(Client SETUP_TIMEOUT_MAX connection_setup_timeout_max),
    row!(Client SEND_BUFFER send_buffer),
    row!(Client RECEIVE_BUFFER receive_buffer),
    row!(Client RECEIVE_MAX max_response_bytes),
    row!(Client RECOVERY_STRATEGY rebootstrap),
    row!(Client REBOOTSTRAP_TRIGGER rebootstrap_trigger),
    login!(SECURITY_PROTOCOL protocol "security_protocol"),
    login!(SASL_MECHANISM mechanism "sasl"),
    login!(SASL_JAAS jaas "sasl"),
    login!(SASL_USERNAME username "sasl"),
    login!(SASL_PASSWORD password "sasl"),
    row!(Producer BATCH_SIZE batch_size),
    row!(Producer LINGER linger),
    row!(Producer BUFFER_MEMORY buffer_memory),
    row!(Producer MAX_BLOCK max_block),
    row!(Producer ACKS acks),
    row!(Producer IDEMPOTENCE idempotence),
    row!(Producer RETRIES retries),
    row!(Producer DELIVERY_TIMEOUT delivery_timeout),
    row!(Producer MAX_IN_FLIGHT max_in_flight),
    row!(Producer MAX_REQUEST_SIZE max_request_size),
    row!(Producer COMPRESSION codec compression),
    row!(Producer GZIP_LEVEL gzip_level compression),
    row!(Producer LZ4_LEVEL lz4_level compression),
    row!(Producer ZSTD_LEVEL zstd_level compression),
    row!(Producer PARTITIONER partitioner),
    row!(Producer IGNORE_KEYS ignore_keys),
    row!(Producer ADAPTIVE adaptive adaptive_partitioning),
    row!(Producer METADATA_MAX_IDLE metadata_max_idle),
    row!(Consumer FETCH_MIN fetch_min_bytes),
    row!(Consumer FETCH_MAX fetch_max_bytes),
    row!(Consumer FETCH_MAX_WAIT fetch_max_wait),
    row!(Consumer PARTITION_FETCH partition_fetch_bytes),
    row!(Consumer FETCH_BUFFER buffer_memory),
    row!(Consumer MAX_POLL_RECORDS max_poll_records),
    row!(Consumer OFFSET_RESET offset_reset),
    row!(Consumer ISOLATION isolation),
    row!(Consumer CHECK_CRCS check_crcs),
    row!(Consumer RACK rack),
    row!(Consumer AUTO_CREATE_TOPICS auto_create_topics),
    row!(Consumer FAIL_ON_MISSING_TOPICS fail_on_missing_topics),
    row!(Consumer AUTO_COMMIT auto_commit),
    row!(Consumer AUTO_COMMIT_INTERVAL auto_commit_interval),
    row!(Consumer INSTANCE_ID instance_id),
    row!(Consumer SESSION_TIMEOUT session_timeout),
    row!(Consumer HEARTBEAT_INTERVAL heartbeat_interval),
    row!(Consumer MAX_POLL_INTERVAL max_poll_interval),
    row!(Consumer ASSIGNORS assignors),
    row!(Consumer API_TIMEOUT api_timeout),
    Property {
        name: GROUP_PROTOCOL.name,
        #[cfg(test)]
        setter: None,
        scope: Scope::Consumer(|_, text| GROUP_PROTOCOL.parse(text)),
    },
];

/// Every property.
pub(super) fn all() -> impl Iterator<Item = &'static Property> + Clone {
    PROPERTIES.iter().chain(&tls::PROPERTIES)
}

fn find(name: &str) -> Result<&'static Property> {
    all()
        .find(|property| property.name == name)
        .ok_or_else(|| unknown::explain(name, all().map(|property| property.name)))
}

/// For a client: what is a role's alone becomes the default of the client's producers or consumers.
pub(super) fn set_client(
    client: &mut ClientOptions,
    producers: &mut ProducerOptions,
    consumers: &mut ConsumerOptions,
    name: &str,
    text: &str,
) -> Result<()> {
    match find(name.trim())?.scope {
        Scope::Client(apply) | Scope::All(apply, _, _) => apply(client, text),
        Scope::Producer(apply) => apply(producers, text),
        Scope::Consumer(apply) => apply(consumers, text),
    }
}

/// For a producer: what is the client's or a consumer's alone is refused.
pub(super) fn set_producer(producer: &mut ProducerOptions, name: &str, text: &str) -> Result<()> {
    let property = find(name.trim())?;
    let elsewhere = match property.scope {
        Scope::Producer(apply) | Scope::All(_, apply, _) => return apply(producer, text),
        Scope::Client(_) => "the client's, which its producers share: set it on the ClientBuilder",
        Scope::Consumer(_) => "a consumer's: set it on the ConsumerBuilder or the ClientBuilder",
    };
    Err(Error::config(property.name, elsewhere))
}

/// For a consumer: what is the client's or a producer's alone is refused.
pub(super) fn set_consumer(consumer: &mut ConsumerOptions, name: &str, text: &str) -> Result<()> {
    let property = find(name.trim())?;
    let elsewhere = match property.scope {
        Scope::Consumer(apply) | Scope::All(_, _, apply) => return apply(consumer, text),
        Scope::Client(_) => "the client's, which its consumers share: set it on the ClientBuilder",
        Scope::Producer(_) => "a producer's: set it on the ProducerBuilder or the ClientBuilder",
    };
    Err(Error::config(property.name, elsewhere))
}
