//! The table of every property, by Kafka's name: its bounds, whose it is, and where its value goes.

use std::time::Duration;

use super::client::ClientOptions;
use super::producer::{ProducerOptions, SMALLEST_BATCH};
use super::settings::{Acks, Compression, PartitionerChoice};
use super::unknown;
use super::value::{Bounded, Choice, Flag, INT, LONG, OrNone, Servers, Text};
use crate::error::{Error, Result};

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
pub(super) const RECOVERY_STRATEGY: Choice<bool> = Choice {
    name: "metadata.recovery.strategy",
    words: &[("rebootstrap", true), ("none", false)],
    aliases: &[],
    note: "",
};
pub(super) const REBOOTSTRAP_TRIGGER: Bounded<Duration> =
    Bounded::millis("metadata.recovery.rebootstrap.trigger.ms", 0, LONG);
const SECURITY_PROTOCOL: Choice<()> = Choice {
    name: "security.protocol",
    words: &[("PLAINTEXT", ())],
    aliases: &[],
    note: ": TLS and SASL are not supported in this version",
};

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

type Apply<T> = fn(&mut T, &str) -> Result<()>;

/// Whose a property is, and how its value gets there.
pub(super) enum Scope {
    Client(Apply<ClientOptions>),
    Producer(Apply<ProducerOptions>),
    /// The producer's own, by default the client's.
    Both(Apply<ClientOptions>, Apply<ProducerOptions>),
}

/// A row: whose, its kind of value, the field that holds it; the typed setter where its name is not the field's.
macro_rules! row {
    ($scope:ident $kind:ident $field:ident) => {
        row!($scope $kind $field $field)
    };
    (Both $kind:ident $field:ident $setter:ident) => {
        Property {
            name: $kind.name,
            #[cfg(test)]
            setter: Some(stringify!($setter)),
            scope: Scope::Both(row!(@into $kind $field), row!(@into $kind $field)),
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

pub(super) static PROPERTIES: [Property; 33] = [
    row!(Client BOOTSTRAP_SERVERS bootstrap bootstrap_servers),
    row!(Client CLIENT_ID client_id),
    row!(Both REQUEST_TIMEOUT request_timeout),
    row!(Both RETRY_BACKOFF retry_backoff),
    row!(Both RETRY_BACKOFF_MAX retry_backoff_max),
    row!(Client RECONNECT_BACKOFF reconnect_backoff),
    row!(Client RECONNECT_BACKOFF_MAX reconnect_backoff_max),
    row!(Client METADATA_MAX_AGE metadata_max_age),
    row!(Client CONNECTIONS_MAX_IDLE connections_max_idle),
    row!(Client SETUP_TIMEOUT connection_setup_timeout),
    row!(Client SETUP_TIMEOUT_MAX connection_setup_timeout_max),
    row!(Client SEND_BUFFER send_buffer),
    row!(Client RECEIVE_BUFFER receive_buffer),
    row!(Client RECOVERY_STRATEGY rebootstrap),
    row!(Client REBOOTSTRAP_TRIGGER rebootstrap_trigger),
    Property {
        name: SECURITY_PROTOCOL.name,
        #[cfg(test)]
        setter: None,
        scope: Scope::Client(|_, text| SECURITY_PROTOCOL.parse(text)),
    },
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
];

fn find(name: &str) -> Result<&'static Property> {
    PROPERTIES
        .iter()
        .find(|property| property.name == name)
        .ok_or_else(|| unknown::explain(name, PROPERTIES.iter().map(|property| property.name)))
}

/// For a client: what is a producer's alone becomes the default of the client's producers.
pub(super) fn set_client(
    client: &mut ClientOptions,
    producers: &mut ProducerOptions,
    name: &str,
    text: &str,
) -> Result<()> {
    match find(name.trim())?.scope {
        Scope::Client(apply) | Scope::Both(apply, _) => apply(client, text),
        Scope::Producer(apply) => apply(producers, text),
    }
}

/// For a producer: what is the client's alone is refused.
pub(super) fn set_producer(producer: &mut ProducerOptions, name: &str, text: &str) -> Result<()> {
    let property = find(name.trim())?;
    match property.scope {
        Scope::Producer(apply) | Scope::Both(_, apply) => apply(producer, text),
        Scope::Client(_) => Err(Error::config(
            property.name,
            "the client's, which its producers share: set it on the ClientBuilder",
        )),
    }
}
