//! The settings of TLS, by Kafka's names.

pub(crate) const TRUST_TYPE: &str = "ssl.truststore.type";
pub(crate) const TRUST_LOCATION: &str = "ssl.truststore.location";
pub(crate) const TRUST_PASSWORD: &str = "ssl.truststore.password";
pub(crate) const TRUST_PEM: &str = "ssl.truststore.certificates";
pub(crate) const KEY_TYPE: &str = "ssl.keystore.type";
pub(crate) const KEY_STORE: &str = "ssl.keystore.location";
pub(crate) const STORE_PASSWORD: &str = "ssl.keystore.password";
pub(crate) const KEY_PEM: &str = "ssl.keystore.key";
pub(crate) const CHAIN_PEM: &str = "ssl.keystore.certificate.chain";
pub(crate) const KEY_LOCATION: &str = "ssl.key.location";
pub(crate) const CHAIN_LOCATION: &str = "ssl.certificate.location";
pub(crate) const KEY_PASSWORD: &str = "ssl.key.password";
pub(crate) const CHECKS_HOST: &str = "ssl.endpoint.identification.algorithm";
pub(crate) const CHECKS_CERTIFICATES: &str = "enable.ssl.certificate.verification";
pub(crate) const PROTOCOL: &str = "ssl.protocol";
pub(crate) const VERSIONS: &str = "ssl.enabled.protocols";
pub(crate) const SUITES: &str = "ssl.cipher.suites";
pub(crate) const RELOADS: &str = "ssl.hotreload.enable";
pub(crate) const RELOAD_INTERVAL: &str = "ssl.hotreload.poll.interval.seconds";
pub(crate) const RELOAD_DEBOUNCE: &str = "ssl.hotreload.debounce.seconds";
