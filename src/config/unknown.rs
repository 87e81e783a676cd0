//! What to say about a name that ottla does not know: another client's name, or the one that was probably meant.

use crate::error::Error;

/// Names of other Kafka clients, or (ending in `.`) how such names begin, and what to do instead.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    // Java's producer.
    ("key.serializer", BYTES),
    ("value.serializer", BYTES),
    ("transaction.two.phase.commit.enable", TWO_PHASES),
    (
        "interceptor.classes",
        "ottla has no interceptors: wrap the calls that send and receive",
    ),
    ("metric.reporters", METRICS),
    ("metrics.", METRICS),
    ("auto.include.jmx.reporter", METRICS),
    ("enable.metrics.push", METRICS),
    (
        "client.dns.lookup",
        "ottla tries every address that a name resolves to, as Java's use_all_dns_ips does",
    ),
    (
        "partitioner.availability.timeout.ms",
        "not supported: partitions whose leader is slow already get fewer records, see \
         \"partitioner.adaptive.partitioning.enable\"",
    ),
    (
        "config.providers",
        "ottla reads no values from elsewhere: give them resolved",
    ),
    ("security.providers", "a Java class: ottla has its own"),
    ("ssl.provider", JAVA_TLS),
    ("ssl.engine.factory.class", JAVA_TLS),
    ("ssl.keymanager.algorithm", JAVA_TLS),
    ("ssl.trustmanager.algorithm", JAVA_TLS),
    ("ssl.secure.random.implementation", JAVA_TLS),
    ("ssl.engine.", OPENSSL),
    ("ssl.providers", OPENSSL),
    ("ssl.curves.list", OPENSSL),
    ("ssl.sigalgs.list", OPENSSL),
    (
        "ssl.crl.location",
        "lists of revoked certificates are not supported in this version",
    ),
    (
        "ssl.ca.certificate.stores",
        "a store of Windows: without \"ssl.truststore.location\" brokers are trusted as the operating system trusts servers",
    ),
    (
        "ssl.certificate.refresh.interval.ms",
        "use \"ssl.hotreload.poll.interval.seconds\"",
    ),
    ("ssl.client.auth", "a broker's setting"),
    ("ssl.principal.mapping.rules", "a broker's setting"),
    (
        "sasl.client.callback.handler.class",
        "a Java class: give a mechanism by ClientBuilder::sasl",
    ),
    (
        "sasl.login.callback.handler.class",
        "a Java class: give tokens by ClientBuilder::sasl(OAuthBearer::new(...))",
    ),
    (
        "sasl.login.class",
        "a Java class: give a mechanism by ClientBuilder::sasl",
    ),
    (
        "sasl.mechanisms",
        "librdkafka's name: use \"sasl.mechanism\"",
    ),
    (
        "sasl.oauthbearer.",
        "not supported in this version: give tokens by ClientBuilder::sasl(OAuthBearer::new(...))",
    ),
    (
        "sasl.kerberos.",
        "Kerberos is not supported in this version",
    ),
    (
        "sasl.login.",
        "tokens are renewed when 80 % of their lifetime are over, as Java's defaults say",
    ),
    // librdkafka.
    (
        "metadata.broker.list",
        "librdkafka's name: use \"bootstrap.servers\"",
    ),
    (
        "queue.buffering.max.ms",
        "librdkafka's name: use \"linger.ms\"",
    ),
    (
        "queue.buffering.max.kbytes",
        "librdkafka's name: use \"buffer.memory\", which is in bytes",
    ),
    (
        "queue.buffering.max.messages",
        "ottla bounds its buffer in bytes, by \"buffer.memory\", not in records",
    ),
    (
        "batch.num.messages",
        "ottla bounds a batch in bytes, by \"batch.size\", not in records",
    ),
    (
        "message.send.max.retries",
        "librdkafka's name: use \"retries\"",
    ),
    (
        "message.timeout.ms",
        "librdkafka's name: use \"delivery.timeout.ms\"",
    ),
    (
        "message.max.bytes",
        "librdkafka's name: use \"max.request.size\"",
    ),
    ("request.required.acks", "librdkafka's name: use \"acks\""),
    (
        "compression.codec",
        "librdkafka's name: use \"compression.type\"",
    ),
    (
        "compression.level",
        "librdkafka's name: use \"compression.gzip.level\", \"compression.lz4.level\" or \
         \"compression.zstd.level\"",
    ),
    (
        "partitioner",
        "librdkafka's name: use \"partitioner.class\", whose default places keys as Java and \
         murmur2_random do",
    ),
    (
        "max.in.flight",
        "librdkafka's name: use \"max.in.flight.requests.per.connection\"",
    ),
    (
        "socket.timeout.ms",
        "librdkafka's name: use \"request.timeout.ms\"",
    ),
    (
        "socket.send.buffer.bytes",
        "librdkafka's name: use \"send.buffer.bytes\"",
    ),
    (
        "socket.receive.buffer.bytes",
        "librdkafka's name: use \"receive.buffer.bytes\"",
    ),
    (
        "topic.metadata.refresh.interval.ms",
        "librdkafka's name: use \"metadata.max.age.ms\"",
    ),
    ("statistics.interval.ms", METRICS),
    (
        "sticky.partitioning.linger.ms",
        "ottla stays with a partition for \"batch.size\" bytes, as Java does",
    ),
    (
        "enable.gapless.guarantee",
        "ottla has no such mode: \"enable.idempotence\" keeps the order",
    ),
    // Java's consumer.
    ("key.deserializer", BYTES),
    ("value.deserializer", BYTES),
    (
        "group.id",
        "given when a consumer is made, as in client.consumer(group)",
    ),
    ("group.remote.assignor", NEXT_GROUPS),
    (
        "exclude.internal.topics",
        "ottla subscribes to topics by name: Kafka's own are read only where they are named",
    ),
    (
        "internal.leave.group.on.close",
        "a consumer leaves its group when it is closed; a static member, with \"group.instance.id\", does not",
    ),
    (
        "share.acknowledgement.mode",
        "share groups are not supported",
    ),
    ("share.acquire.mode", "share groups are not supported"),
    // librdkafka's consumer.
    (
        "queued.min.messages",
        "ottla bounds what it fetches ahead in bytes, by \"fetch.buffer.memory\", not in records",
    ),
    (
        "queued.max.messages.kbytes",
        "librdkafka's name: use \"fetch.buffer.memory\", which is in bytes",
    ),
    (
        "fetch.wait.max.ms",
        "librdkafka's name: use \"fetch.max.wait.ms\"",
    ),
    (
        "fetch.message.max.bytes",
        "librdkafka's name: use \"max.partition.fetch.bytes\"",
    ),
    (
        "fetch.error.backoff.ms",
        "librdkafka's name: use \"retry.backoff.ms\"",
    ),
    (
        "fetch.queue.backoff.ms",
        "ottla fetches on as soon as there is room in \"fetch.buffer.memory\"",
    ),
    (
        "enable.auto.offset.store",
        "ottla has no store of offsets: \"enable.auto.commit\" commits what the application is done with",
    ),
    (
        "auto.commit.enable",
        "an old name: use \"enable.auto.commit\"",
    ),
    (
        "offset.store.",
        "offsets are kept by the group's coordinator alone",
    ),
    (
        "enable.partition.eof",
        "ottla gives no record for a partition's end: ask the consumer for its lag",
    ),
    (
        "consume.callback.max.messages",
        "librdkafka's name: use \"max.poll.records\"",
    ),
    ("group.protocol.type", "ottla's is always that of consumers"),
    (
        "coordinator.query.interval.ms",
        "ottla looks a coordinator up when it needs one",
    ),
];

const JAVA_TLS: &str = "of Java's own TLS: ottla has another";
const OPENSSL: &str = "of OpenSSL: ottla has another TLS, whose choices are safe";
const BYTES: &str =
    "ottla takes and gives bytes: its serdes make them of typed keys and values, and back";
const TWO_PHASES: &str = "commits in two phases are not supported";
const METRICS: &str = "ottla reports its metrics by a call that returns them all";
const NEXT_GROUPS: &str = "the group protocol of KIP-848 is not supported in this version";

/// The error for a name that is not one of `known`.
pub(super) fn explain(name: &str, known: impl Iterator<Item = &'static str> + Clone) -> Error {
    if let Some((_, instead)) = FOREIGN.iter().find(|(foreign, _)| {
        name == *foreign || foreign.ends_with('.') && name.starts_with(foreign)
    }) {
        return Error::config(name, *instead);
    }
    let hint = match closest(name, known) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => "ottla has none of a similar name".to_owned(),
    };
    Error::UnknownSetting {
        name: name.into(),
        hint: hint.into(),
    }
}

/// The known name that was probably meant, if one is close enough to be worth naming.
fn closest(name: &str, known: impl Iterator<Item = &'static str> + Clone) -> Option<&'static str> {
    let dotted = name.to_ascii_lowercase().replace(['_', '-'], ".");
    // A typing error in every fifth character, and one more.
    let limit = 1 + dotted.len() / 5;
    known
        .clone()
        .map(|known| (strsim::damerau_levenshtein(&dotted, known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .or_else(|| {
            // Whole words of it: "linger", "retry.backoff", "idempotence"; "ms" says nothing.
            known
                .filter(|_| dotted.len() > 3)
                .filter(|known| format!(".{known}.").contains(&format!(".{dotted}.")))
                .map(|known| (known.len(), known))
                .min()
        })
        .map(|(_, known)| known)
}
