//! What becomes of each setting of a Java client's file: some of it means nothing to a client that has no JVM.

use tracing::debug;

use super::builder::ClientBuilder;
use super::properties_file::PropertiesFile;
use crate::error::{Error, Result};

/// What to do with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    /// As it would be set by its name.
    Set,
    /// Nothing, and why that does no harm.
    Ignore(&'static str),
    /// It names a class of the JVM, which would do something that this client does not.
    Refuse,
}

const SERDES: &str = "ottla takes and gives bytes";
const GROUP: &str = "for who makes the consumer";
const METRICS: &str = "ottla has metrics of its own";
const DNS: &str = "ottla tries every address that a name resolves to";
const RENEWAL: &str = "tokens and sessions are renewed as Java's defaults say";
const PLACES: &str = "slow partitions get fewer records in any case";

/// Kafka's own defaults of what chooses among the JVM's parts.
const JVM_DEFAULTS: [&str; 3] = ["", "SunX509", "PKIX"];

/// Of names that end in `.`, all that begin so.
const IGNORED: &[(&str, &str)] = &[
    ("key.serializer", SERDES),
    ("value.serializer", SERDES),
    ("key.deserializer", SERDES),
    ("value.deserializer", SERDES),
    // Confluent's serializers.
    ("schema.registry.", SERDES),
    ("basic.auth.", SERDES),
    ("specific.avro.reader", SERDES),
    ("auto.register.schemas", SERDES),
    ("use.latest.version", SERDES),
    ("key.subject.name.strategy", SERDES),
    ("value.subject.name.strategy", SERDES),
    ("group.id", GROUP),
    ("metrics.", METRICS),
    ("auto.include.jmx.reporter", METRICS),
    ("enable.metrics.push", METRICS),
    ("partitioner.availability.timeout.ms", PLACES),
    ("sasl.login.refresh.", RENEWAL),
    ("sasl.login.retry.", RENEWAL),
    ("sasl.login.connect.timeout.ms", RENEWAL),
    ("sasl.login.read.timeout.ms", RENEWAL),
    // Whoever wants Kerberos says so by the mechanism.
    ("sasl.kerberos.", "no mechanism but GSSAPI uses it"),
];

/// Settings whose values are classes, or names of the JVM's parts.
const CLASSES: [&str; 11] = [
    "interceptor.classes",
    "metric.reporters",
    "security.providers",
    "ssl.provider",
    "ssl.engine.factory.class",
    "ssl.keymanager.algorithm",
    "ssl.trustmanager.algorithm",
    "ssl.secure.random.implementation",
    "sasl.client.callback.handler.class",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
];

fn treatment(name: &str, value: &str) -> Treatment {
    let is = |known: &str| name == known || known.ends_with('.') && name.starts_with(known);
    if let Some((_, why)) = IGNORED.iter().find(|(known, _)| is(known)) {
        return Treatment::Ignore(why);
    }
    let value = value.trim();
    if CLASSES.contains(&name) {
        return match JVM_DEFAULTS.contains(&value) {
            true => Treatment::Ignore("it is what Java would do anyway"),
            false => Treatment::Refuse,
        };
    }
    match (name, value) {
        ("client.dns.lookup", "use_all_dns_ips") => Treatment::Ignore(DNS),
        _ => Treatment::Set,
    }
}

impl ClientBuilder {
    /// Sets all that a Java client's properties file has, as [`set`](Self::set) does; what is set afterwards counts
    /// instead.
    ///
    /// What means nothing without a JVM is left out, with a line in the log at debug: serializers, deserializers and their
    /// own settings, metrics, the JVM's defaults. So is `group.id`: it is given when a consumer is made, by
    /// [`PropertiesFile::get`].
    ///
    /// # Errors
    /// Those of [`set`](Self::set), for the first setting that is refused; [`Error::Config`] for one that names a class of
    /// the JVM, such as `interceptor.classes`.
    pub fn properties_file(self, file: &PropertiesFile) -> Result<Self> {
        file.iter().try_fold(self, |builder, (name, value)| {
            match treatment(name, value) {
                Treatment::Set => builder.set(name, value),
                Treatment::Ignore(why) => {
                    debug!(setting = name, why, "a setting of Java's is left out");
                    Ok(builder)
                }
                Treatment::Refuse => Err(Error::config(
                    name,
                    format!(
                        "{} is of the JVM, which is not here: leave it out",
                        value.trim()
                    ),
                )),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_of_java_is_set_left_out_or_refused() {
        let ignored = |treatment| matches!(treatment, Treatment::Ignore(_));
        for (name, value) in [
            (
                "key.serializer",
                "org.apache.kafka.common.serialization.StringSerializer",
            ),
            (
                "value.deserializer",
                "io.confluent.kafka.serializers.KafkaAvroDeserializer",
            ),
            ("schema.registry.url", "http://localhost:8081"),
            ("group.id", "g"),
            ("metrics.num.samples", "2"),
            ("metric.reporters", ""),
            ("interceptor.classes", " "),
            ("ssl.keymanager.algorithm", "SunX509"),
            ("client.dns.lookup", "use_all_dns_ips"),
            ("sasl.login.refresh.window.factor", "0.8"),
            ("sasl.kerberos.service.name", "kafka"),
        ] {
            assert!(ignored(treatment(name, value)), "{name}={value}");
        }
        for (name, value) in [
            ("interceptor.classes", "com.example.Audit"),
            ("metric.reporters", "com.example.Reporter"),
            ("ssl.engine.factory.class", "com.example.Engines"),
            ("ssl.provider", "BC"),
            ("sasl.login.callback.handler.class", "com.example.Tokens"),
        ] {
            assert_eq!(treatment(name, value), Treatment::Refuse, "{name}={value}");
        }
        for (name, value) in [
            ("bootstrap.servers", "a:1"),
            ("sasl.jaas.config", "x"),
            ("linger.ms", "5"),
            (
                "client.dns.lookup",
                "resolve_canonical_bootstrap_servers_only",
            ),
            ("ssl.truststore.location", "ca.pem"),
        ] {
            assert_eq!(treatment(name, value), Treatment::Set, "{name}={value}");
        }
    }

    #[test]
    fn a_java_services_file_is_taken_as_it_is_and_what_is_set_afterwards_counts() {
        let file = PropertiesFile::parse(
            "bootstrap.servers=kafka-1:9093,kafka-2:9093\n\
             security.protocol=SASL_PLAINTEXT\n\
             sasl.mechanism=SCRAM-SHA-512\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n\
             \u{20}  username=\"alice\" password=\"open sesame\";\n\
             key.serializer=org.apache.kafka.common.serialization.StringSerializer\n\
             value.serializer=org.apache.kafka.common.serialization.ByteArraySerializer\n\
             group.id=reports\n\
             linger.ms=20\nacks=all\nenable.auto.commit=false\n\
             partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor\n",
        )
        .unwrap();
        let builder = ClientBuilder::new().properties_file(&file).unwrap();
        let builder = builder.set("linger.ms", "7").unwrap();
        builder.check().unwrap();
        let shown = format!("{builder:?}");
        assert!(shown.contains("7ms") && !shown.contains("20ms"), "{shown}");
        assert!(!shown.contains("sesame"), "{shown}");
        assert_eq!(file.get("group.id"), Some("reports"));
    }

    #[test]
    fn a_class_is_refused_by_its_name_and_a_mistake_as_ever() {
        for (text, says) in [
            ("interceptor.classes=com.example.Audit", "com.example.Audit"),
            ("linger.mss=5", "linger.ms"),
            ("linger.ms=soon", "linger.ms"),
        ] {
            let file = PropertiesFile::parse(text).unwrap();
            let refused = ClientBuilder::new().properties_file(&file);
            let text = refused.unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
    }
}
