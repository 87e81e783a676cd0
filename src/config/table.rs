//! The table of every property: what is set by a name goes where it says.

mod tls;

use super::client::ClientOptions;
use super::consumer::ConsumerOptions;
use super::producer::ProducerOptions;
use super::properties as p;
use super::property::{Property, Scope};
use super::unknown;
use crate::error::{Error, Result};

/// A row: whose, its kind of value, the field that holds it; the typed setter where its name is not the field's.
macro_rules! row {
    ($scope:ident $kind:ident $field:ident) => {
        row!($scope $kind $field $field)
    };
    (All $kind:ident $field:ident $setter:ident) => {
        Property {
            name: p::$kind.name,
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
            name: p::$kind.name,
            #[cfg(test)]
            setter: Some(stringify!($setter)),
            scope: Scope::$scope(row!(@into $kind $field)),
        }
    };
    (@into $kind:ident $field:ident) => {
        |options, text| {
            options.$field = Some(p::$kind.parse(text)?);
            Ok(())
        }
    };
}

/// A row about the login, whose settings are kept together.
macro_rules! login {
    ($kind:ident $field:ident $setter:expr) => {
        Property {
            name: p::$kind.name,
            #[cfg(test)]
            setter: Some($setter),
            scope: Scope::Client(|options, text| {
                options.login.$field = Some(p::$kind.parse(text)?);
                Ok(())
            }),
        }
    };
}

static PROPERTIES: [Property; 62] = [
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
    row!(Producer TRANSACTIONAL_ID transactional_id),
    row!(Producer TRANSACTION_TIMEOUT transaction_timeout),
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
        name: p::GROUP_PROTOCOL.name,
        #[cfg(test)]
        setter: None,
        scope: Scope::Consumer(|_, text| p::GROUP_PROTOCOL.parse(text)),
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

impl ProducerOptions {
    /// Sets one setting by its Kafka name; what is the client's or a consumer's alone is refused.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let property = find(name.trim())?;
        let elsewhere = match property.scope {
            Scope::Producer(apply) | Scope::All(_, apply, _) => return apply(self, text),
            Scope::Client(_) => {
                "the client's, which its producers share: set it on the ClientBuilder"
            }
            Scope::Consumer(_) => {
                "a consumer's: set it on the ConsumerBuilder or the ClientBuilder"
            }
        };
        Err(Error::config(property.name, elsewhere))
    }
}

impl ConsumerOptions {
    /// Sets one setting by its Kafka name; what is the client's or a producer's alone is refused.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let property = find(name.trim())?;
        let elsewhere = match property.scope {
            Scope::Consumer(apply) | Scope::All(_, _, apply) => return apply(self, text),
            Scope::Client(_) => {
                "the client's, which its consumers share: set it on the ClientBuilder"
            }
            Scope::Producer(_) => {
                "a producer's: set it on the ProducerBuilder or the ClientBuilder"
            }
        };
        Err(Error::config(property.name, elsewhere))
    }
}
