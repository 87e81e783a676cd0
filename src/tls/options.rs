//! What can be set about TLS, and the setters that set it.

use std::path::PathBuf;
use std::time::Duration;

use crate::sasl::Secret;

/// A version of the protocol. Kafka: `ssl.enabled.protocols`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2. Kafka: `TLSv1.2`.
    V1_2,
    /// TLS 1.3. Kafka: `TLSv1.3`.
    V1_3,
}

/// What a file of keys or certificates is. Kafka: `ssl.truststore.type`, `ssl.keystore.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFormat {
    /// Text: `-----BEGIN CERTIFICATE-----`.
    Pem,
    /// Java's own; since Java 9 its files are often PKCS#12 under this name, which is recognised.
    Jks,
    /// PKCS#12, the form of `.p12` and `.pfx` files.
    Pkcs12,
}

impl StoreFormat {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pem => "PEM",
            Self::Jks => "JKS",
            Self::Pkcs12 => "PKCS12",
        }
    }
}

/// How connections are encrypted, whom they trust, and by what the client shows who it is.
///
/// ```
/// use ottla::tls::TlsConfig;
///
/// let tls = TlsConfig::new()
///     .trust_file("/etc/kafka/ca.pem")
///     .identity_files("/etc/kafka/client.pem", "/etc/kafka/client.key");
/// let client = ottla::Client::builder()
///     .bootstrap_servers("kafka:9093")
///     .security_protocol(ottla::SecurityProtocol::Ssl)
///     .tls(tls);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TlsConfig {
    pub(crate) trust_format: Option<StoreFormat>,
    pub(crate) trust_location: Option<PathBuf>,
    pub(crate) trust_password: Option<Secret>,
    pub(crate) trust_pem: Option<String>,
    pub(crate) key_format: Option<StoreFormat>,
    /// Key and chain in one.
    pub(crate) identity_location: Option<PathBuf>,
    pub(crate) store_password: Option<Secret>,
    pub(crate) key_pem: Option<Secret>,
    pub(crate) chain_pem: Option<String>,
    pub(crate) key_location: Option<PathBuf>,
    pub(crate) chain_location: Option<PathBuf>,
    pub(crate) key_password: Option<Secret>,
    pub(crate) checks_host: Option<bool>,
    pub(crate) checks_certificates: Option<bool>,
    /// The highest, by Java's older name.
    pub(crate) protocol: Option<TlsVersion>,
    pub(crate) versions: Option<Vec<TlsVersion>>,
    pub(crate) suites: Option<Vec<String>>,
    pub(crate) reloads: Option<bool>,
    pub(crate) reload_interval: Option<Duration>,
    pub(crate) reload_debounce: Option<Duration>,
}

impl TlsConfig {
    /// Brokers are trusted as the operating system trusts servers, and host names are checked.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file with the certificates that are trusted, of authorities or of brokers themselves, in place of the operating
    /// system's; a folder stands for the PEM files in it.
    ///
    /// Default none. Kafka: `ssl.truststore.location`; librdkafka: `ssl.ca.location`.
    pub fn trust_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust_location = Some(path.into());
        self
    }

    /// The certificates that are trusted, as PEM text, in place of a file.
    ///
    /// Default none. Kafka: `ssl.truststore.certificates`; librdkafka: `ssl.ca.pem`.
    pub fn trust_pem(mut self, certificates: impl Into<String>) -> Self {
        self.trust_pem = Some(certificates.into());
        self
    }

    /// The password of a trust file that has one: PKCS#12, JKS.
    ///
    /// Default none. Kafka: `ssl.truststore.password`.
    pub fn trust_password(mut self, password: impl Into<Secret>) -> Self {
        self.trust_password = Some(password.into());
        self
    }

    /// A file with the client's key, its certificate and the certificates between that and the authority's: PEM, or
    /// PKCS#12.
    ///
    /// Default none: the client has no certificate. RSA from 2048 bits, ECDSA on P-256 or P-384, or Ed25519. Kafka:
    /// `ssl.keystore.location`.
    pub fn identity_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity_location = Some(path.into());
        self
    }

    /// The same in two PEM files: certificates, the client's first, and the key.
    ///
    /// Default none. Kafka: librdkafka's `ssl.certificate.location` and `ssl.key.location`.
    pub fn identity_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.chain_location = Some(chain.into());
        self.key_location = Some(key.into());
        self
    }

    /// The same as PEM text: certificates, the client's first, and the key.
    ///
    /// Default none. Kafka: `ssl.keystore.certificate.chain` and `ssl.keystore.key`; librdkafka: `ssl.certificate.pem` and
    /// `ssl.key.pem`.
    pub fn identity_pem(mut self, chain: impl Into<String>, key: impl Into<Secret>) -> Self {
        self.chain_pem = Some(chain.into());
        self.key_pem = Some(key.into());
        self
    }

    /// The password of the client's key, or of the PKCS#12 file that it is in.
    ///
    /// Default none. Kafka: `ssl.key.password`, `ssl.keystore.password`.
    pub fn key_password(mut self, password: impl Into<Secret>) -> Self {
        self.key_password = Some(password.into());
        self
    }

    /// Whether a broker's certificate must be for the host name, or the IP address, by which it was reached.
    ///
    /// Default true. Without it whoever has any certificate of a trusted authority can pass for a broker. Kafka:
    /// `ssl.endpoint.identification.algorithm`, `https` or nothing; librdkafka: `none`.
    pub fn check_host_name(mut self, enabled: bool) -> Self {
        self.checks_host = Some(enabled);
        self
    }

    /// Whether a broker's certificate must be trusted at all.
    ///
    /// Default true. Without it the connection is encrypted, and may be so to anybody: for tests alone. Kafka:
    /// librdkafka's `enable.ssl.certificate.verification`.
    pub fn check_certificates(mut self, enabled: bool) -> Self {
        self.checks_certificates = Some(enabled);
        self
    }

    /// The versions of the protocol that are offered.
    ///
    /// Default both. Kafka: `ssl.enabled.protocols`, `ssl.protocol`.
    pub fn versions(mut self, versions: impl IntoIterator<Item = TlsVersion>) -> Self {
        self.protocol = None;
        self.versions = Some(versions.into_iter().collect());
        self
    }

    /// The cipher suites that are offered, by their registered names (`TLS_AES_256_GCM_SHA384`).
    ///
    /// Default all that the build has, none of which is weak. Kafka: `ssl.cipher.suites`.
    pub fn cipher_suites<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.suites = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// How often the files are looked at for a change, which new connections then use; `None` never does.
    ///
    /// Default every 60 s. Kafka: `ssl.hotreload.enable`, `ssl.hotreload.poll.interval.seconds` (proposed by KIP-1288; Java's
    /// clients have neither).
    pub fn reload_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.reload_interval = interval.into();
        self.reloads = Some(self.reload_interval.is_some());
        self
    }

    /// For how long changed files must stay as they are before they are read, since a key and its certificate are written
    /// one after the other.
    ///
    /// Default 5 s. Kafka: `ssl.hotreload.debounce.seconds` (proposed by KIP-1288).
    pub fn reload_debounce(mut self, rest: Duration) -> Self {
        self.reload_debounce = Some(rest);
        self
    }

    /// The first setting that is set, by Kafka's name.
    pub(crate) fn first_set(&self) -> Option<&'static str> {
        use super::names as n;
        [
            (self.trust_format.is_some(), n::TRUST_TYPE),
            (self.trust_location.is_some(), n::TRUST_LOCATION),
            (self.trust_password.is_some(), n::TRUST_PASSWORD),
            (self.trust_pem.is_some(), n::TRUST_PEM),
            (self.key_format.is_some(), n::KEY_TYPE),
            (self.identity_location.is_some(), n::KEY_STORE),
            (self.store_password.is_some(), n::STORE_PASSWORD),
            (self.key_pem.is_some(), n::KEY_PEM),
            (self.chain_pem.is_some(), n::CHAIN_PEM),
            (self.key_location.is_some(), n::KEY_LOCATION),
            (self.chain_location.is_some(), n::CHAIN_LOCATION),
            (self.key_password.is_some(), n::KEY_PASSWORD),
            (self.checks_host.is_some(), n::CHECKS_HOST),
            (self.checks_certificates.is_some(), n::CHECKS_CERTIFICATES),
            (self.protocol.is_some(), n::PROTOCOL),
            (self.versions.is_some(), n::VERSIONS),
            (self.suites.is_some(), n::SUITES),
            (self.reloads.is_some(), n::RELOADS),
            (self.reload_interval.is_some(), n::RELOAD_INTERVAL),
            (self.reload_debounce.is_some(), n::RELOAD_DEBOUNCE),
        ]
        .into_iter()
        .find_map(|(set, name)| set.then_some(name))
    }
}
