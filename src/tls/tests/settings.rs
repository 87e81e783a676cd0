//! Keys, certificates and settings that are refused before anything is connected, each with the setting's name.

use kafka_cluster::certificates::{KeyKind, Subject, pem as to_pem};

use super::*;
use crate::tls::StoreFormat;

fn told(config: &TlsConfig) -> String {
    let error = Tls::new(config).expect_err("a refusal");
    assert!(matches!(error, Error::Config { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn files_that_hold_something_else_are_refused_with_what_they_hold() {
    let authority = authority();
    let alice = authority.issue(&Subject::client("alice")).unwrap();
    let key = File::of(&alice.key);
    let certificate = File::of(&alice.certificate);
    let der = File::of([0x30, 0x82, 1, 2, 3, 0xff]);
    let jceks = File::of([0xce, 0xce, 0xce, 0xce, 0, 0, 0, 2]);
    let junk = File::of([0xff, 0xfe, 0xfd]);
    let damaged = to_pem("CERTIFICATE", b"no certificate");
    let config = TlsConfig::new;
    for (config, setting, says) in [
        (
            config().trust_file("/nowhere/ca.pem"),
            "ssl.truststore.location",
            "/nowhere/ca.pem: ",
        ),
        (
            config().trust_file(&key.0),
            "ssl.truststore.location",
            "no \"-----BEGIN CERTIFICATE-----\"",
        ),
        (
            config().trust_file(&junk.0),
            "ssl.truststore.location",
            "not text",
        ),
        (
            config().trust_file(&jceks.0),
            "ssl.truststore.location",
            "keytool -importkeystore",
        ),
        (
            config().trust_pem(damaged),
            "ssl.truststore.location",
            "certificate 1 is damaged",
        ),
        (
            config().identity_file(&certificate.0),
            "ssl.keystore.location",
            "no \"-----BEGIN PRIVATE KEY-----\"",
        ),
        (
            config().identity_file(&key.0),
            "ssl.keystore.location",
            "no \"-----BEGIN CERTIFICATE-----\"",
        ),
        (
            config().identity_files(&key.0, &key.0),
            "ssl.certificate.location",
            "no \"-----BEGIN CERTIFICATE-----\"",
        ),
        (
            config().identity_files(&certificate.0, &der.0),
            "ssl.key.location",
            "not text",
        ),
        (
            config().identity_pem("", alice.key.as_str()),
            "ssl.keystore.certificate.chain",
            "no \"-----BEGIN",
        ),
        (
            config().identity_pem(&alice.certificate, ""),
            "ssl.keystore.key",
            "no \"-----BEGIN",
        ),
    ] {
        let text = told(&config);
        assert!(
            text.starts_with(&format!("setting \"{setting}\": ")),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
    }
    let mut jks = config().trust_file(&certificate.0);
    jks.trust_format = Some(StoreFormat::Jks);
    assert!(told(&jks).contains("looks like PEM, and is said to be JKS"));
    let mut with_password = config().trust_file(&certificate.0);
    with_password.trust_password = Some("hunter2".into());
    assert!(told(&with_password).contains("is PEM, which has none"));
}

#[test]
fn a_key_must_fit_its_certificate() {
    let authority = authority();
    for kind in [KeyKind::Ecdsa, KeyKind::Ed25519, KeyKind::Rsa] {
        let subject = Subject::client("alice").key(kind);
        let (one, other) = (
            authority.issue(&subject).unwrap(),
            authority.issue(&subject).unwrap(),
        );
        let config = TlsConfig::new().identity_pem(&one.certificate, other.key.as_str());
        let text = told(&config);
        assert!(
            text.contains("not that of the first certificate"),
            "{kind:?} {text}"
        );
    }
}

#[test]
fn cipher_suites_are_known_ones_for_each_version() {
    let config = TlsConfig::new().check_certificates(false);
    let text = told(
        &config
            .clone()
            .cipher_suites(["ECDHE-RSA-AES128-GCM-SHA256"]),
    );
    assert!(
        text.contains("is not one of") && text.contains("TLS_AES_256_GCM_SHA384"),
        "{text}"
    );
    let text = told(&config.cipher_suites(["TLS_AES_128_GCM_SHA256"]));
    assert!(text.contains("none of them is TLSv1.2's"), "{text}");
}

#[cfg(feature = "encrypted-keys")]
#[test]
fn an_encrypted_key_is_decrypted_by_its_password() {
    use pkcs8::pkcs5::pbes2::Parameters;

    let alice = authority().issue(&Subject::client("alice")).unwrap();
    let Key::Plain(key) = pem::private_key(&alice.key).unwrap() else {
        panic!("an encrypted key");
    };
    let plain = pkcs8::PrivateKeyInfoRef::try_from(key.secret_der()).unwrap();
    let cheap = Parameters::generate_pbkdf2_sha256_aes256cbc(2048, &[7; 16], [9; 16]).unwrap();
    let encrypted = plain.encrypt_with_params(cheap, "hunter2").unwrap();
    let text = to_pem("ENCRYPTED PRIVATE KEY", encrypted.as_bytes());
    let config = TlsConfig::new()
        .check_certificates(false)
        .identity_pem(&alice.certificate, text.as_str());
    Tls::new(&config.clone().key_password("hunter2")).unwrap();
    let wrong = told(&config.clone().key_password("hunter3"));
    assert!(
        wrong.contains("ssl.key.password") && !wrong.contains("hunter3"),
        "{wrong}"
    );
    assert!(told(&config).contains("set ssl.key.password"));
}

#[test]
fn debug_shows_no_secret() {
    let config = TlsConfig::new()
        .identity_pem("certificate", "hunter1")
        .key_password("hunter2")
        .trust_password("hunter3");
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter"), "{shown}");
}
