//! TLS: every protocol does all that a client does, Java reads what came by it, and what is wrong is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kafka_cluster::certificates::{Authority, Issued, KeyKind, Subject, Validity};
use kafka_cluster::{Cluster, Version};
use libtest_mimic::Failed;
use ottla::sasl::{Plain, Scram, ScramHash};
use ottla::tls::TlsConfig;
use ottla::{Client, ClientBuilder, Error, SecurityProtocol};
use tokio::time::Instant;

use super::logins::uses;
use super::support::{Outcome, Suite, within};

/// Longest wait for an error: far below `delivery.timeout.ms`.
const SOON: Duration = Duration::from_secs(10);

pub(crate) fn promises(suite: &mut Suite) {
    suite.alone(
        "tls::each_protocol_sends_reads_in_a_group_and_administers_and_java_reads_it",
        each_protocol,
    );
    suite.alone("tls::what_is_wrong_is_told_soon", what_is_wrong);
    suite.alone("tls::the_oldest_broker_takes_it", oldest);
}

/// Files that are gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, Failed> {
        let name = format!("ottla-live-tls-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failed> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A broker with a listener for each thing that can be wrong with it.
struct Secured {
    cluster: Cluster,
    authority: Authority,
    /// What the listener OWN shows, which nobody else has signed.
    own: Issued,
    files: Folder,
}

impl Secured {
    fn start(name: &str) -> Result<Self, Failed> {
        let files = Folder::new(name)?;
        let authority = Authority::new("ottla's authority")?;
        let broker = Subject::broker(&["localhost", "127.0.0.1"]);
        let own = broker.clone().authority().self_signed()?;
        let issue = |subject: Subject| authority.issue(&subject);
        let stores = [
            ("tls", issue(broker.clone())?),
            ("mtls", issue(broker.clone().key(KeyKind::Rsa))?),
            ("login", issue(broker.clone())?),
            ("past", issue(broker.clone().valid(Validity::Past))?),
            ("future", issue(broker.valid(Validity::Future))?),
            ("other", issue(Subject::broker(&["other.test"]))?),
            ("nameless", issue(Subject::client("localhost"))?),
            ("own", own.clone()),
        ];
        let trusted = files.write("ca.pem", &authority.pem())?;
        let mut builder = Cluster::builder()
            .heap("384m")
            .property("ssl.keystore.type", "PEM")
            .property("ssl.truststore.type", "PEM")
            .property("ssl.truststore.location", trusted.display().to_string())
            .property("listener.name.mtls.ssl.client.auth", "required")
            .property(
                "listener.name.login.sasl.enabled.mechanisms",
                "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            );
        for (mechanism, module) in [
            (
                "plain",
                "plain.PlainLoginModule required user_alice=\"alice-secret\";",
            ),
            ("scram-sha-256", "scram.ScramLoginModule required;"),
            ("scram-sha-512", "scram.ScramLoginModule required;"),
        ] {
            builder = builder.property(
                format!("listener.name.login.{mechanism}.sasl.jaas.config"),
                format!("org.apache.kafka.common.security.{module}"),
            );
        }
        for (listener, issued) in stores {
            let store = files.write(&format!("{listener}.pem"), &issued.both())?;
            let protocol = if listener == "login" {
                "SASL_SSL"
            } else {
                "SSL"
            };
            builder = builder
                .listener(listener.to_uppercase(), protocol)
                .property(
                    format!("listener.name.{listener}.ssl.keystore.location"),
                    store.display().to_string(),
                );
        }
        let cluster = builder.start()?;
        Ok(Self {
            cluster,
            authority,
            own,
            files,
        })
    }

    /// A client of a listener, which trusts the authority.
    fn builder(&self, listener: &str) -> ClientBuilder {
        Client::builder()
            .bootstrap_servers(self.cluster.listener(1, listener))
            .security_protocol(SecurityProtocol::Ssl)
            .tls(self.trusting())
    }

    fn trusting(&self) -> TlsConfig {
        TlsConfig::new().trust_file(self.files.0.join("ca.pem"))
    }

    /// Gives alice a password for SCRAM, by Kafka's own tool, which takes one hash at a time.
    fn add_scram_user(&self) -> Outcome {
        let bootstrap = self.cluster.bootstrap();
        for hash in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let config = format!("{hash}=[password=alice-secret]");
            let arguments = [
                "--bootstrap-server",
                &bootstrap,
                "--alter",
                "--add-config",
                &config,
                "--entity-type",
                "users",
                "--entity-name",
                "alice",
            ];
            let output = self.cluster.tool("kafka.admin.ConfigCommand", &arguments)?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
            }
        }
        Ok(())
    }

    /// What Java's console consumer reads of a topic by these settings.
    fn java_reads(
        &self,
        listener: &str,
        topic: &str,
        settings: &[(&str, &str)],
    ) -> Result<String, Failed> {
        let address = self.cluster.listener(1, listener);
        let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        let trusted = self.files.0.join("ca.pem").display().to_string();
        let trust = [
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", trusted.as_str()),
        ];
        let properties: Vec<String> = trust
            .iter()
            .chain(settings)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut arguments = vec!["--bootstrap-server", &address, "--topic", topic];
        arguments.extend(["--from-beginning", "--max-messages", "20"]);
        arguments.extend(["--timeout-ms", "30000"]);
        for property in &properties {
            arguments.extend(["--consumer-property", property]);
        }
        let output = self.cluster.tool(class, &arguments)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

async fn each_protocol() -> Outcome {
    let secured = Secured::start("each")?;
    secured.add_scram_user()?;
    let client = secured.builder("TLS").connect().await?;
    uses(&client, "TLS").await?;
    for kind in [KeyKind::Ecdsa, KeyKind::Ed25519, KeyKind::Rsa] {
        let alice = secured
            .authority
            .issue(&Subject::client("alice").key(kind))?;
        let tls = secured
            .trusting()
            .identity_pem(&alice.certificate, alice.key.as_str());
        let client = secured.builder("MTLS").tls(tls).connect().await?;
        uses(&client, &format!("mTLS-{kind:?}")).await?;
    }
    for (name, hash) in [
        ("PLAIN", None),
        ("SCRAM-SHA-256", Some(ScramHash::Sha256)),
        ("SCRAM-SHA-512", Some(ScramHash::Sha512)),
    ] {
        let builder = secured
            .builder("LOGIN")
            .security_protocol(SecurityProtocol::SaslSsl);
        let builder = match hash {
            None => builder.sasl(Plain::new("alice", "alice-secret")?),
            Some(hash) => builder.sasl(Scram::new(hash, "alice", "alice-secret")?),
        };
        uses(&builder.connect().await?, &format!("TLS-{name}")).await?;
    }
    let read = secured.java_reads("TLS", "login-tls", &[("security.protocol", "SSL")])?;
    assert!(
        read.contains("TLS 0\n") && read.contains("TLS 19\n"),
        "{read}"
    );
    // By the settings that Java was given.
    let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" password=\"alice-secret\";";
    let settings = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.jaas.config", jaas),
    ];
    let read = secured.java_reads("LOGIN", "login-tls-plain", &settings)?;
    assert!(read.contains("TLS-PLAIN 19\n"), "{read}");
    let trusted = secured.files.0.join("ca.pem").display().to_string();
    let client = Client::builder()
        .bootstrap_servers(secured.cluster.listener(1, "LOGIN"))
        .properties(settings)?
        .set("ssl.truststore.type", "PEM")?
        .set("ssl.truststore.location", &trusted)?
        .connect()
        .await?;
    uses(&client, "java-names").await
}

/// Each thing that can be wrong, with what its error says and when.
async fn what_is_wrong() -> Outcome {
    let secured = Secured::start("wrong")?;
    let stranger = Authority::new("a stranger")?;
    let bob = stranger.issue(&Subject::client("bob"))?;
    let foreign = secured
        .trusting()
        .identity_pem(&bob.certificate, bob.key.as_str());
    let untrusting = TlsConfig::new().trust_pem(stranger.pem());
    for (what, builder, says) in [
        ("expired", secured.builder("PAST"), "expired on 2020-02-03"),
        (
            "not yet valid",
            secured.builder("FUTURE"),
            "valid from 2090-02-03",
        ),
        (
            "wrong host",
            secured.builder("OTHER"),
            "not for \"localhost\" but for other.test",
        ),
        (
            "no subjectAltName",
            secured.builder("NAMELESS"),
            "no subjectAltName",
        ),
        ("self-signed", secured.builder("OWN"), "CA:TRUE"),
        (
            "unknown authority",
            secured.builder("TLS").tls(untrusting),
            "nobody who is trusted",
        ),
        (
            "no client certificate",
            secured.builder("MTLS"),
            "wants a certificate from the client",
        ),
        (
            "foreign client certificate",
            secured.builder("MTLS").tls(foreign),
            "does not take the client's certificate",
        ),
    ] {
        let (error, text) = failure(what, builder).await?;
        assert!(
            matches!(error, Error::Tls { refused: true, .. }),
            "{error:?}"
        );
        assert!(!error.is_retriable());
        assert!(text.contains(says), "{text}");
    }
    // The ends of these look like a broker that restarts.
    let tls_to_plaintext = secured
        .builder("TLS")
        .bootstrap_servers(secured.cluster.bootstrap());
    let (_, text) = failure("TLS to a plaintext port", tls_to_plaintext).await?;
    assert!(text.contains("is the listener SSL or SASL_SSL?"), "{text}");
    let plaintext = Client::builder().bootstrap_servers(secured.cluster.listener(1, "TLS"));
    let (_, text) = failure("plaintext to a TLS port", plaintext).await?;
    assert!(text.contains("TLS"), "{text}");
    let without_login = secured.builder("LOGIN");
    let (_, text) = failure("no login where one is wanted", without_login).await?;
    assert!(text.contains("SASL"), "{text}");

    // And with what was lacking.
    let pinned = TlsConfig::new().trust_pem(&secured.own.certificate);
    uses(&secured.builder("OWN").tls(pinned).connect().await?, "own").await?;
    let any_host = secured.trusting().check_host_name(false);
    uses(
        &secured.builder("OTHER").tls(any_host).connect().await?,
        "other",
    )
    .await
}

/// The error of connecting, which comes soon.
async fn failure(what: &str, builder: ClientBuilder) -> Result<(Error, String), Failed> {
    let start = Instant::now();
    let connected = within(SOON, what, builder.connect()).await?;
    let error = connected
        .err()
        .ok_or_else(|| format!("{what}: connected"))?;
    let text = error.to_string();
    println!("{what}, after {:?}: {text}", start.elapsed());
    Ok((error, text))
}

/// Kafka 2.5 takes no PEM: Java's tool makes its store.
async fn oldest() -> Outcome {
    let files = Folder::new("oldest")?;
    let store = files.0.join("broker.p12");
    let certificate = files.0.join("broker.pem");
    keytool(
        &store,
        &["-genkeypair", "-alias", "broker", "-dname", "CN=broker"],
        &[
            "-keyalg",
            "RSA",
            "-validity",
            "30",
            "-ext",
            "san=dns:localhost",
            "-storetype",
            "PKCS12",
        ],
    )?;
    let out = certificate.display().to_string();
    keytool(
        &store,
        &["-exportcert", "-alias", "broker", "-rfc"],
        &["-file", &out],
    )?;
    let cluster = Cluster::builder()
        .version(Version::V2_5_0)
        .heap("384m")
        .listener("TLS", "SSL")
        .property("ssl.keystore.type", "PKCS12")
        .property("ssl.keystore.location", store.display().to_string())
        .property("ssl.keystore.password", PASSWORD)
        .start()?;
    let jks = files.0.join("trust.jks");
    let import = ["-importcert", "-alias", "broker", "-noprompt"];
    keytool(&jks, &import, &["-file", &out, "-storetype", "JKS"])?;
    for (name, tls) in [
        ("pem", TlsConfig::new().trust_file(certificate)),
        (
            "jks",
            TlsConfig::new().trust_file(jks).trust_password(PASSWORD),
        ),
        (
            "pkcs12",
            TlsConfig::new().trust_file(store).trust_password(PASSWORD),
        ),
    ] {
        let client = Client::builder()
            .bootstrap_servers(cluster.listener(1, "TLS"))
            .security_protocol(SecurityProtocol::Ssl)
            .tls(tls)
            .connect()
            .await?;
        uses(&client, &format!("oldest-{name}")).await?;
    }
    Ok(())
}

const PASSWORD: &str = "store-secret";

fn keytool(store: &Path, first: &[&str], rest: &[&str]) -> Outcome {
    let output = Command::new("keytool")
        .args(first)
        .arg("-keystore")
        .arg(store)
        .args(["-storepass", PASSWORD])
        .args(rest)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stdout).into_owned().into())
}
