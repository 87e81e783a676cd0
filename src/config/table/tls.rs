//! TLS by Kafka's and librdkafka's names: its part of the table.

use std::time::Duration;

use crate::config::property::{Property, Scope};
use crate::config::value::{Bounded, Choice, Choices, FilePath, Flag, Hidden, INT, List, Pem};
use crate::tls::{StoreFormat, TlsVersion};

const TRUST_TYPE: Choice<StoreFormat> = store_format("ssl.truststore.type");
const TRUST_LOCATION: FilePath = FilePath::new("ssl.truststore.location");
const TRUST_PASSWORD: Hidden = Hidden::new("ssl.truststore.password");
const TRUST_PEM: Pem = Pem::new("ssl.truststore.certificates");
const CA_LOCATION: FilePath = FilePath::new("ssl.ca.location");
const CA_PEM: Pem = Pem::new("ssl.ca.pem");
const KEY_TYPE: Choice<StoreFormat> = store_format("ssl.keystore.type");
const KEY_STORE: FilePath = FilePath::new("ssl.keystore.location");
const STORE_PASSWORD: Hidden = Hidden::new("ssl.keystore.password");
const KEY_PEM: Hidden = Hidden::new("ssl.keystore.key");
const OTHER_KEY_PEM: Hidden = Hidden::new("ssl.key.pem");
const CHAIN_PEM: Pem = Pem::new("ssl.keystore.certificate.chain");
const OTHER_CHAIN_PEM: Pem = Pem::new("ssl.certificate.pem");
const KEY_LOCATION: FilePath = FilePath::new("ssl.key.location");
const CHAIN_LOCATION: FilePath = FilePath::new("ssl.certificate.location");
const KEY_PASSWORD: Hidden = Hidden::new("ssl.key.password");
const CHECKS_HOST: Choice<bool> = Choice {
    name: "ssl.endpoint.identification.algorithm",
    words: &[("https", true), ("none", false)],
    aliases: &[("", false)],
    note: " (nothing is none too)",
};
const CHECKS_CERTIFICATES: Flag = Flag {
    name: "enable.ssl.certificate.verification",
};
const PROTOCOL: Choice<TlsVersion> = Choice {
    name: "ssl.protocol",
    words: VERSION_WORDS,
    aliases: &[("TLS", TlsVersion::V1_3)],
    note: TOO_OLD,
};
const VERSIONS: Choices<TlsVersion> = Choices::new(Choice {
    name: "ssl.enabled.protocols",
    words: VERSION_WORDS,
    aliases: &[],
    note: TOO_OLD,
});
const SUITES: List = List::new("ssl.cipher.suites");

const RELOADS: Flag = Flag {
    name: "ssl.hotreload.enable",
};
const RELOAD_INTERVAL: Bounded<u32> =
    Bounded::new("ssl.hotreload.poll.interval.seconds", "seconds", 1, INT);
const RELOAD_DEBOUNCE: Bounded<u32> =
    Bounded::new("ssl.hotreload.debounce.seconds", "seconds", 1, INT);

const VERSION_WORDS: &[(&str, TlsVersion)] =
    &[("TLSv1.2", TlsVersion::V1_2), ("TLSv1.3", TlsVersion::V1_3)];
const TOO_OLD: &str = ": older versions are not safe";

const fn store_format(name: &'static str) -> Choice<StoreFormat> {
    Choice {
        name,
        words: &[
            ("PEM", StoreFormat::Pem),
            ("JKS", StoreFormat::Jks),
            ("PKCS12", StoreFormat::Pkcs12),
        ],
        aliases: &[],
        note: "",
    }
}

/// A row: its kind of value, and the field of [`TlsConfig`](crate::tls::TlsConfig) that holds it.
macro_rules! row {
    ($kind:ident $field:ident) => {
        row!($kind $field Into::into)
    };
    ($kind:ident $field:ident $into:expr) => {
        Property {
            name: $kind.name,
            #[cfg(test)]
            setter: Some("tls"),
            scope: Scope::Client(|options, text| {
                let value = $kind.parse(text)?;
                options.tls.$field = Some($into(value));
                Ok(())
            }),
        }
    };
}

/// TLS' part of the table of properties.
pub(super) static PROPERTIES: [Property; 24] = [
    row!(TRUST_TYPE trust_format),
    row!(TRUST_LOCATION trust_location),
    row!(TRUST_PASSWORD trust_password),
    row!(TRUST_PEM trust_pem),
    row!(CA_LOCATION trust_location),
    row!(CA_PEM trust_pem),
    row!(KEY_TYPE key_format),
    row!(KEY_STORE identity_location),
    row!(STORE_PASSWORD store_password),
    row!(KEY_PEM key_pem),
    row!(OTHER_KEY_PEM key_pem),
    row!(CHAIN_PEM chain_pem),
    row!(OTHER_CHAIN_PEM chain_pem),
    row!(KEY_LOCATION key_location),
    row!(CHAIN_LOCATION chain_location),
    row!(KEY_PASSWORD key_password),
    row!(CHECKS_HOST checks_host),
    row!(CHECKS_CERTIFICATES checks_certificates),
    row!(PROTOCOL protocol),
    row!(VERSIONS versions),
    row!(SUITES suites),
    row!(RELOADS reloads),
    row!(RELOAD_INTERVAL reload_interval seconds),
    row!(RELOAD_DEBOUNCE reload_debounce seconds),
];

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
