//! TLS by Kafka's and librdkafka's names: what belongs together, and what contradicts itself.

use super::super::ClientBuilder;
use super::{client, refused};
use crate::tls::TlsConfig;

const SSL: (&str, &str) = ("security.protocol", "SSL");
const NO_CHECK: (&str, &str) = ("enable.ssl.certificate.verification", "false");

#[cfg(feature = "__rustls")]
#[test]
fn each_protocol_has_what_it_says() {
    let plain = [
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "hunter2"),
    ];
    for (protocol, tls, login) in [
        ("PLAINTEXT", false, false),
        ("ssl", true, false),
        ("SASL_PLAINTEXT", false, true),
        ("sasl_ssl", true, true),
    ] {
        let mut properties = vec![("security.protocol", protocol)];
        properties.extend(login.then_some(plain).iter().flatten());
        properties.extend(tls.then_some(NO_CHECK));
        let settings = client(&properties);
        assert_eq!(settings.tls.is_some(), tls, "{protocol}");
        assert_eq!(settings.login.is_some(), login, "{protocol}");
    }
}

#[cfg(feature = "__rustls")]
#[test]
fn versions_suites_and_the_host_check_have_kafkas_values() {
    for properties in [
        &[("ssl.endpoint.identification.algorithm", "")][..],
        &[("ssl.endpoint.identification.algorithm", "none")],
        &[("ssl.enabled.protocols", "TLSv1.2")],
        &[
            ("ssl.enabled.protocols", "TLSv1.2,TLSv1.3"),
            ("ssl.protocol", "TLSv1.2"),
        ],
        &[("ssl.protocol", "TLS")],
        &[
            ("ssl.hotreload.poll.interval.seconds", "1"),
            ("ssl.hotreload.debounce.seconds", "1"),
        ],
        &[("ssl.hotreload.enable", "false")],
        &[
            ("ssl.protocol", "TLSv1.2"),
            ("ssl.cipher.suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ],
    ] {
        client(&[&[SSL, NO_CHECK][..], properties].concat());
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused_by_name() {
    for (properties, setting, says) in [
        (
            &[("ssl.truststore.location", "ca.pem")][..],
            "ssl.truststore.location",
            "no effect with security.protocol = PLAINTEXT: leave it out, or set security.protocol=SSL",
        ),
        (
            &[
                SSL,
                ("ssl.truststore.location", "ca.pem"),
                ("ssl.ca.pem", "x"),
            ],
            "ssl.truststore.certificates",
            "conflicts with ssl.truststore.location",
        ),
        (
            &[SSL, ("ssl.truststore.password", "x")],
            "ssl.truststore.password",
            "no effect without ssl.truststore.location",
        ),
        (
            &[
                SSL,
                ("ssl.truststore.type", "PEM"),
                ("ssl.truststore.location", "x"),
                ("ssl.truststore.password", "x"),
            ],
            "ssl.truststore.password",
            "certificates in PEM have no password",
        ),
        (
            &[
                SSL,
                ("ssl.truststore.type", "JKS"),
                ("ssl.truststore.certificates", "x"),
            ],
            "ssl.truststore.type",
            "is PEM text, not JKS",
        ),
        (
            &[
                SSL,
                ("ssl.keystore.location", "x"),
                ("ssl.keystore.key", "x"),
            ],
            "ssl.keystore.key",
            "conflicts with ssl.keystore.location",
        ),
        (
            &[
                SSL,
                ("ssl.keystore.location", "x"),
                ("ssl.key.location", "x"),
            ],
            "ssl.key.location",
            "conflicts with ssl.keystore.location",
        ),
        (
            &[SSL, ("ssl.keystore.key", "x")],
            "ssl.keystore.key",
            "no effect without ssl.keystore.certificate.chain",
        ),
        (
            &[SSL, ("ssl.certificate.location", "x")],
            "ssl.certificate.location",
            "no effect without ssl.key.location",
        ),
        (
            &[SSL, ("ssl.key.password", "x")],
            "ssl.key.password",
            "no effect without ssl.keystore.location",
        ),
        (
            &[SSL, ("ssl.keystore.password", "x")],
            "ssl.keystore.password",
            "no effect without ssl.keystore.location",
        ),
        (
            &[
                SSL,
                ("ssl.keystore.type", "PKCS12"),
                ("ssl.keystore.key", "x"),
                ("ssl.keystore.certificate.chain", "x"),
            ],
            "ssl.keystore.type",
            "is PEM text, not PKCS12",
        ),
        (
            &[
                SSL,
                ("ssl.keystore.type", "PEM"),
                ("ssl.keystore.location", "x"),
                ("ssl.keystore.password", "x"),
            ],
            "ssl.keystore.password",
            "the key's is ssl.key.password",
        ),
        (
            &[
                SSL,
                ("ssl.enabled.protocols", "TLSv1.3"),
                ("ssl.protocol", "TLSv1.2"),
            ],
            "ssl.protocol",
            "conflicts with ssl.enabled.protocols",
        ),
        (
            &[SSL, ("ssl.enabled.protocols", "TLSv1.1")],
            "ssl.enabled.protocols",
            "is not one of TLSv1.2, TLSv1.3: older versions are not safe",
        ),
        (
            &[
                SSL,
                NO_CHECK,
                ("ssl.endpoint.identification.algorithm", "https"),
            ],
            "ssl.endpoint.identification.algorithm",
            "conflicts with enable.ssl.certificate.verification",
        ),
        (
            &[SSL, NO_CHECK, ("ssl.ca.location", "ca.pem")],
            "ssl.truststore.location",
            "conflicts with enable.ssl.certificate.verification",
        ),
        (
            &[SSL, ("ssl.ca.location", "")],
            "ssl.ca.location",
            "it is empty",
        ),
    ] {
        let text = refused(properties);
        assert!(
            text.starts_with(&format!("setting {setting:?}: ")),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_typed_configuration_takes_the_place_of_all_names() {
    let builder = ClientBuilder::new()
        .bootstrap_servers("localhost:9092")
        .set("ssl.ca.location", "/nowhere")
        .unwrap()
        .tls(TlsConfig::new());
    builder.check().expect("nothing of TLS is set");
}

#[cfg(not(feature = "__rustls"))]
#[test]
fn a_build_without_tls_names_the_feature() {
    let text = refused(&[SSL]);
    assert!(text.contains("enable its feature \"tls\""), "{text}");
}
