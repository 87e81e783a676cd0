//! Logins by Kafka's names: what belongs together, what contradicts itself, and that no secret is shown.

use super::super::{ClientBuilder, SecurityProtocol};
use super::{client, refused};
use crate::sasl::{OAuthBearer, Plain, Token};

const PROTOCOL: (&str, &str) = ("security.protocol", "SASL_PLAINTEXT");
const SCRAM_LINE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" password=\"hunter2\";";
const PLAIN_LINE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"alice\" password=\"hunter2\";";
const OAUTH_LINE: &str =
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";

fn mechanism(properties: &[(&str, &str)]) -> String {
    let settings = client(properties);
    let login = settings.login.expect("a login");
    format!("{} {login:?}", login.name())
}

#[test]
fn a_plaintext_client_has_no_login() {
    assert!(client(&[]).login.is_none());
    assert!(
        client(&[("security.protocol", "plaintext")])
            .login
            .is_none()
    );
}

#[test]
fn both_ways_to_give_credentials_make_a_login() {
    for (properties, expected) in [
        (
            &[
                PROTOCOL,
                ("sasl.mechanism", "PLAIN"),
                ("sasl.jaas.config", PLAIN_LINE),
            ][..],
            "PLAIN ",
        ),
        (
            &[
                PROTOCOL,
                ("sasl.mechanism", "SCRAM-SHA-256"),
                ("sasl.jaas.config", SCRAM_LINE),
            ],
            "SCRAM-SHA-256 ",
        ),
        (
            &[
                PROTOCOL,
                ("sasl.mechanism", "scram-sha-512"),
                ("sasl.username", "alice"),
                ("sasl.password", " hunter2 "),
            ],
            "SCRAM-SHA-512 ",
        ),
    ] {
        let made = mechanism(properties);
        assert!(
            made.starts_with(expected) && made.contains("alice"),
            "{made}"
        );
        assert!(!made.contains("hunter2"), "{made}");
    }
}

#[test]
fn what_lacks_or_contradicts_itself_is_named_without_a_secret() {
    let scram = ("sasl.mechanism", "SCRAM-SHA-256");
    let user = ("sasl.username", "alice");
    let password = ("sasl.password", "hunter2");
    let line = ("sasl.jaas.config", SCRAM_LINE);
    for (properties, setting, reason) in [
        (
            &[scram][..],
            "sasl.mechanism",
            "no effect with security.protocol = PLAINTEXT",
        ),
        (&[line], "sasl.jaas.config", "no effect"),
        (&[user], "sasl.username", "no effect"),
        (&[password], "sasl.password", "no effect"),
        (
            &[PROTOCOL],
            "sasl.mechanism",
            "SASL_PLAINTEXT needs it: PLAIN, SCRAM-SHA-256",
        ),
        (
            &[PROTOCOL, scram],
            "sasl.jaas.config",
            "needs a name and a password",
        ),
        (&[PROTOCOL, scram, user], "sasl.password", "needs it"),
        (&[PROTOCOL, scram, password], "sasl.username", "needs it"),
        (
            &[PROTOCOL, scram, line, user],
            "sasl.username",
            "leave one of them out",
        ),
        (
            &[PROTOCOL, scram, line, password],
            "sasl.password",
            "leave one of them out",
        ),
        (
            &[PROTOCOL, ("sasl.mechanism", "PLAIN"), line],
            "sasl.jaas.config",
            "must go together",
        ),
        (
            &[PROTOCOL, ("sasl.mechanism", "GSSAPI")],
            "sasl.mechanism",
            "is not one of",
        ),
        (
            &[PROTOCOL, ("sasl.mechanism", "OAUTHBEARER")],
            "sasl.mechanism",
            "ClientBuilder::sasl",
        ),
        (
            &[
                PROTOCOL,
                scram,
                (
                    "sasl.jaas.config",
                    "ScramLoginModule required password=\"hunter2\";",
                ),
            ],
            "sasl.jaas.config",
            "username is missing",
        ),
        (
            &[
                PROTOCOL,
                scram,
                (
                    "sasl.jaas.config",
                    "ScramLoginModule required username=\"u\" password=\"hunter2\" x=\"y\";",
                ),
            ],
            "sasl.jaas.config",
            "no option \"x\"",
        ),
        (
            &[
                PROTOCOL,
                scram,
                (
                    "sasl.jaas.config",
                    "ScramLoginModule required password=\"hunter2",
                ),
            ],
            "sasl.jaas.config",
            "does not end",
        ),
        (
            &[PROTOCOL, scram, ("sasl.username", ""), password],
            "sasl.username",
            "is empty",
        ),
    ] {
        let error = refused(properties);
        assert!(
            error.starts_with(&format!("setting {setting:?}: ")),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

fn builder() -> ClientBuilder {
    ClientBuilder::new().bootstrap_servers("a:1")
}

#[test]
fn a_mechanism_of_ones_own_goes_with_its_name_and_nothing_else() {
    let tokens = || OAuthBearer::new(|| async { Token::new("t") });
    let typed = builder()
        .security_protocol(SecurityProtocol::SaslPlaintext)
        .sasl(tokens());
    let (settings, ..) = typed.clone().build_settings().expect("valid");
    assert_eq!(settings.login.expect("a login").name(), "OAUTHBEARER");
    // A Java service's file says the same in its own words.
    let file = [
        PROTOCOL,
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.jaas.config", OAUTH_LINE),
    ];
    let both = builder().properties(file).expect("known names");
    assert!(both.sasl(tokens()).build_settings().is_ok());

    let refuse =
        |builder: ClientBuilder| builder.build_settings().expect_err("refused").to_string();
    let error = refuse(typed.clone().set("sasl.mechanism", "PLAIN").expect("known"));
    assert!(
        error.contains("PLAIN conflicts with") && error.contains("OAUTHBEARER"),
        "{error}"
    );
    let error = refuse(typed.set("sasl.username", "alice").expect("known"));
    assert!(error.contains("credentials of its own"), "{error}");
    let error = refuse(builder().sasl(Plain::new("u", "p").expect("valid")));
    assert!(
        error.contains("no effect with security.protocol = PLAINTEXT"),
        "{error}"
    );
}

#[test]
fn no_debug_output_of_a_builder_shows_a_secret() {
    let shown = format!(
        "{:?}",
        builder()
            .properties([
                PROTOCOL,
                ("sasl.mechanism", "PLAIN"),
                ("sasl.password", "hunter2"),
                ("sasl.jaas.config", PLAIN_LINE),
            ])
            .expect("known names")
            .sasl(Plain::new("u", "hunter2").expect("valid"))
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
