//! Logins: every mechanism does all that a client does, and what is wrong with one is told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_cluster::{Cluster, Version};
use libtest_mimic::Failed;
use ottla::sasl::{OAuthBearer, Token};
use ottla::{Client, ClientBuilder, Error, NewTopic, OffsetReset, Record, SecurityProtocol};

use super::support::{Outcome, Proxy, Suite, within};

const CONFIG_COMMAND: &str = "kafka.admin.ConfigCommand";
/// Longest wait for a refusal: far below `delivery.timeout.ms` and `request.timeout.ms`.
const SOON: Duration = Duration::from_secs(10);

pub(crate) fn promises(suite: &mut Suite) {
    suite.alone(
        "logins::each_mechanism_sends_reads_in_a_group_and_administers",
        each_mechanism,
    );
    suite.alone("logins::the_oldest_broker_takes_plain", oldest);
}

/// A broker whose second listener wants a login, and a proxy by whose address it is known.
pub(crate) struct Secured {
    pub(crate) cluster: Cluster,
    /// Forwards for as long as the process lives; its address is the listener's.
    pub(crate) proxy: Proxy,
}

impl Secured {
    pub(crate) fn start(version: Version, properties: &[(&str, &str)]) -> Result<Self, Failed> {
        let proxy = Proxy::start()?;
        let module = |class: &str, options: &str| {
            format!("org.apache.kafka.common.security.{class} required{options};")
        };
        let mut builder = Cluster::builder()
            .version(version)
            .heap("384m")
            .proxies([proxy.address()])
            .property(
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SASL_PLAINTEXT",
            )
            .property(
                "listener.name.proxied.sasl.enabled.mechanisms",
                "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            );
        for (mechanism, class, options) in [
            (
                "plain",
                "plain.PlainLoginModule",
                " user_alice=\"alice-secret\"",
            ),
            ("scram-sha-256", "scram.ScramLoginModule", ""),
            ("scram-sha-512", "scram.ScramLoginModule", ""),
            // Takes tokens without a signature, which is what its own documentation says it is for.
            (
                "oauthbearer",
                "oauthbearer.OAuthBearerLoginModule",
                " unsecuredLoginStringClaim_sub=\"broker\"",
            ),
        ] {
            builder = builder.property(
                format!("listener.name.proxied.{mechanism}.sasl.jaas.config"),
                module(class, options),
            );
        }
        for &(name, value) in properties {
            builder = builder.property(name, value);
        }
        let cluster = builder.start()?;
        proxy.forward_to(&cluster.behind_proxy(1));
        Ok(Self { cluster, proxy })
    }

    /// Gives alice a password for SCRAM, by Kafka's own tool, which takes one hash at a time.
    pub(crate) fn add_scram_user(&self) -> Outcome {
        let bootstrap = self.cluster.bootstrap();
        for config in [
            "SCRAM-SHA-256=[password=alice-secret]",
            "SCRAM-SHA-512=[iterations=8192,password=alice-secret]",
        ] {
            let server = ["--bootstrap-server", &bootstrap];
            let what = ["--alter", "--add-config", config];
            let whom = ["--entity-type", "users", "--entity-name", "alice"];
            let arguments = [&server[..], &what, &whom].concat();
            let output = self.cluster.tool(CONFIG_COMMAND, &arguments)?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
            }
        }
        Ok(())
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .bootstrap_servers(self.proxy.address())
            .security_protocol(SecurityProtocol::SaslPlaintext)
    }

    /// A client by Kafka's names alone.
    pub(crate) async fn named(
        &self,
        mechanism: &str,
        user: &str,
        password: &str,
    ) -> Result<Client, Error> {
        self.builder()
            .set("sasl.mechanism", mechanism)?
            .set("sasl.username", user)?
            .set("sasl.password", password)?
            .connect()
            .await
    }

    /// A client that logs in by tokens.
    pub(crate) async fn bearer<F, T>(&self, tokens: F) -> Result<Client, Error>
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<Token, ottla::sasl::MechanismError>> + Send + 'static,
    {
        self.builder()
            .sasl(OAuthBearer::new(tokens))
            .connect()
            .await
    }
}

/// A token without a signature, as Kafka's own unsecured login module makes them.
pub(crate) fn unsecured_token(lifetime: Duration) -> Result<Token, ottla::sasl::MechanismError> {
    let now = SystemTime::now();
    let expires = now + lifetime;
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let claims = format!(
        r#"{{"sub":"alice","iat":{},"exp":{}}}"#,
        seconds(now),
        seconds(expires)
    );
    let token = format!(
        "{}.{}.",
        base64_url(br#"{"alg":"none"}"#),
        base64_url(claims.as_bytes())
    );
    Ok(Token::new(token)?.expires(expires))
}

fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(
                DIGITS[(group >> (18 - 6 * place) & 63) as usize],
            ));
        }
    }
    text
}

/// Makes a topic, sends to it, and reads it as a member of a group.
pub(crate) async fn uses(client: &Client, name: &str) -> Outcome {
    let topic = format!("login-{name}").to_lowercase();
    client
        .admin()
        .create_topics([NewTopic::new(topic.as_str()).partitions(1)])
        .await?;
    let producer = client.producer().build()?;
    for number in 0..20 {
        let value = format!("{name} {number}");
        producer.send(Record::to(&topic).value(&value)).await?;
    }
    let mut consumer = client
        .consumer(format!("group-{topic}"))
        .offset_reset(OffsetReset::Earliest)
        .subscribe([topic.as_str()])
        .build()
        .await?;
    for number in 0..20 {
        let record = consumer.recv().await?.ok_or("the consumer ended")?;
        let expected = format!("{name} {number}");
        assert_eq!(record.value(), Some(expected.as_bytes()));
    }
    consumer.close(SOON).await?;
    producer.close(SOON).await?;
    Ok(())
}

async fn each_mechanism() -> Outcome {
    let secured = Secured::start(Version::V4_3_0, &[])?;
    secured.add_scram_user()?;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let client = secured.named(mechanism, "alice", "alice-secret").await?;
        uses(&client, mechanism).await?;
    }
    let tokens = OAuthBearer::new(|| async { unsecured_token(Duration::from_secs(600)) });
    let client = secured.builder().sasl(tokens).connect().await?;
    uses(&client, "OAUTHBEARER").await?;
    refusals(&secured).await
}

/// Each wrong login with what its error says.
async fn refusals(secured: &Secured) -> Outcome {
    for (mechanism, user, password, says) in [
        ("PLAIN", "alice", "wrong", "refused the credentials"),
        ("PLAIN", "nobody", "alice-secret", "refused the credentials"),
        ("SCRAM-SHA-256", "alice", "wrong", "refused the credentials"),
        (
            "SCRAM-SHA-512",
            "nobody",
            "alice-secret",
            "refused the credentials",
        ),
    ] {
        let connecting = within(
            SOON,
            "the refusal",
            secured.named(mechanism, user, password),
        );
        told(connecting.await?.err(), mechanism, says)?;
    }
    let stale = OAuthBearer::new(|| async {
        let token = unsecured_token(Duration::ZERO)?;
        Ok(token.expires(SystemTime::now() + SOON))
    });
    let connecting = secured.builder().sasl(stale).connect();
    let refused = within(SOON, "the refusal", connecting).await?.err();
    told(refused, "OAUTHBEARER", "refused the credentials")?;

    // A login where none is taken, and none where one is wanted.
    let plaintext = Client::builder()
        .bootstrap_servers(secured.cluster.bootstrap())
        .security_protocol(SecurityProtocol::SaslPlaintext)
        .sasl(ottla::sasl::Plain::new("alice", "alice-secret")?)
        .connect();
    let refused = within(SOON, "the refusal", plaintext).await?.err();
    told(refused, "PLAIN", "takes no login")?;
    let address = secured.proxy.address();
    let without = within(SOON, "the refusal", Client::connect(&address)).await?;
    let text = without
        .err()
        .ok_or("connected without a login")?
        .to_string();
    println!("{text}");
    assert!(text.contains("SASL"), "{text}");
    Ok(())
}

/// Checks a refused login's error.
fn told(error: Option<Error>, mechanism: &str, says: &str) -> Outcome {
    let error = error.ok_or_else(|| format!("{mechanism} was accepted"))?;
    let text = error.to_string();
    println!("{text}");
    assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
    assert!(!error.is_retriable(), "{text}");
    assert!(text.contains(mechanism) && text.contains(says), "{text}");
    assert!(
        !text.contains("alice-secret") && !text.contains("wrong"),
        "{text}"
    );
    Ok(())
}

async fn oldest() -> Outcome {
    let secured = Secured::start(Version::V2_5_0, &[])?;
    let client = secured.named("PLAIN", "alice", "alice-secret").await?;
    uses(&client, "PLAIN").await
}
