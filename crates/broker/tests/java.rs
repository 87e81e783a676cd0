//! Java's own tools work on the embedded broker as on any other.
//!
//! Left out without `OTTLA_LIVE=1`; with it a missing Java is a failure.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kafka_cluster::suite::Suite;
use kafka_cluster::{Version, tool_command};
use libtest_mimic::Failed;
use ottla_broker::{ApiKey, Builder, Cluster};

/// Longest run of one tool.
const LIMIT: Duration = Duration::from_secs(60);

type Outcome = Result<(), Failed>;

/// A cluster, and the runtime that it lives on.
struct Env {
    cluster: Cluster,
    _runtime: tokio::runtime::Runtime,
}

impl Env {
    fn start(builder: Builder) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let cluster = runtime.block_on(builder.start()).unwrap();
        Self {
            cluster,
            _runtime: runtime,
        }
    }

    /// What a tool printed, given these arguments and this on its standard input.
    fn tool(&self, class: &str, arguments: &[&str], input: &str) -> Result<String, Failed> {
        let mut command = tool_command(Version::V4_3_0, class).map_err(|e| e.to_string())?;
        command.args(["--bootstrap-server", self.cluster.bootstrap_servers()]);
        command.args(arguments);
        run(command, input)
    }
}

fn run(mut command: Command, input: &str) -> Result<String, Failed> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn()?;
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // A tool that ends early has closed it.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let read = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            from.read_to_end(&mut text).map(|_| text)
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (out, err) = (text(stdout.join().unwrap()?), text(stderr.join().unwrap()?));
    match status {
        Some(status) if status.success() => Ok(out),
        Some(status) => Err(format!("{status}\n{out}\n{err}").into()),
        None => Err(format!("ran into {LIMIT:?}\n{out}\n{err}").into()),
    }
}

const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
const PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";

const TRANSACTIONS: &str = "org.apache.kafka.tools.TransactionsCommand";

/// Lines are `key:value`, for the console producer.
const KEYED: [&str; 4] = [
    "--reader-property",
    "parse.key=true",
    "--reader-property",
    "key.separator=:",
];

fn numbered(count: usize) -> String {
    (0..count).map(|n| format!("k{n}:v{n}\n")).collect()
}

/// All records of a topic as `key:value`, sorted.
fn all(cluster: &Cluster, topic: &str, partitions: i32) -> Vec<String> {
    let records = (0..partitions).flat_map(|partition| cluster.log(topic, partition));
    let text = |bytes: Option<_>| -> String {
        let bytes: Vec<u8> = bytes.map(|b: bytes::Bytes| b.to_vec()).unwrap_or_default();
        String::from_utf8(bytes).unwrap()
    };
    let mut all: Vec<String> = records
        .map(|record| format!("{}:{}", text(record.key), text(record.value)))
        .collect();
    all.sort();
    all
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Every codec, each batch compressed by Java.
fn console_producer() -> Outcome {
    let env = Env::start(Builder::default().nodes(3).topic("t", 4));
    let input = numbered(500);
    for (round, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().enumerate() {
        let arguments = [&["--topic", "t", "--compression-codec", codec][..], &KEYED].concat();
        env.tool(PRODUCER, &arguments, &input)?;
        let expected = sorted(&input.repeat(round + 1));
        assert_eq!(all(&env.cluster, "t", 4), expected, "{codec}");
    }
    Ok(())
}

fn console_consumer() -> Outcome {
    let env = Env::start(Builder::default().nodes(3).topic("t", 4));
    let input = numbered(500);
    env.tool(PRODUCER, &["--topic", "t"], &input)?;
    let arguments = ["--topic", "t", "--group", "g", "--from-beginning"];
    let until = ["--max-messages", "500", "--timeout-ms", "30000"];
    let printed = env.tool(CONSUMER, &[&arguments[..], &until].concat(), "")?;
    assert_eq!(sorted(&printed), sorted(&input));
    let group = &env.cluster.groups()[0];
    assert_eq!((&*group.name, group.state), ("g", "Empty"));
    let committed: i64 = group.offsets.iter().map(|(_, _, offset)| offset).sum();
    assert_eq!(committed, 500);
    Ok(())
}

fn topic_command() -> Outcome {
    let env = Env::start(Builder::default().nodes(3));
    let settings = ["--config", "retention.ms=60000"];
    let create = ["--create", "--topic", "a", "--partitions", "4"];
    let replicas = ["--replication-factor", "2"];
    env.tool(TOPICS, &[&create[..], &replicas, &settings].concat(), "")?;
    let told = env.tool(TOPICS, &["--describe", "--topic", "a"], "")?;
    assert!(told.contains("PartitionCount: 4"), "{told}");
    assert!(told.contains("ReplicationFactor: 2"), "{told}");
    assert!(told.contains("retention.ms=60000"), "{told}");
    let more = ["--alter", "--topic", "a", "--partitions", "6"];
    env.tool(TOPICS, &more, "")?;
    assert_eq!(env.cluster.topics(), [("a".to_owned(), 6)]);
    let topic = ["--entity-type", "topics", "--entity-name", "a"];
    let change = ["--alter", "--add-config", "max.message.bytes=2000"];
    env.tool(CONFIGS, &[&change[..], &topic].concat(), "")?;
    let told = env.tool(CONFIGS, &[&["--describe"][..], &topic].concat(), "")?;
    assert!(told.contains("max.message.bytes=2000"), "{told}");
    assert_eq!(env.tool(TOPICS, &["--list"], "")?.trim(), "a");
    env.tool(TOPICS, &["--delete", "--topic", "a"], "")?;
    assert_eq!(env.cluster.topics(), []);
    Ok(())
}

fn consumer_group_command() -> Outcome {
    let env = Env::start(Builder::default().nodes(3).topic("t", 2));
    // Keys, so that both partitions have records: of an empty one nothing may be committed.
    let produce = [&["--topic", "t"][..], &KEYED].concat();
    env.tool(PRODUCER, &produce, &numbered(100))?;
    let arguments = ["--topic", "t", "--group", "g", "--from-beginning"];
    let until = ["--max-messages", "100", "--timeout-ms", "30000"];
    env.tool(CONSUMER, &[&arguments[..], &until].concat(), "")?;
    assert_eq!(env.tool(GROUPS, &["--list"], "")?.trim(), "g");
    let told = env.tool(GROUPS, &["--describe", "--group", "g"], "")?;
    let lines: Vec<Vec<&str>> = told
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|line: &Vec<&str>| line.first() == Some(&"g"))
        .collect();
    assert_eq!(lines.len(), 2, "{told}");
    let end = |partition: i32| env.cluster.log("t", partition).len().to_string();
    for line in lines {
        let end = end(line[2].parse().unwrap());
        assert_eq!(line[1], "t");
        assert_eq!(line[3..6], [&*end, &*end, "0"]);
    }
    let reset = ["--reset-offsets", "--to-earliest", "--group", "g"];
    let execute = ["--topic", "t", "--execute"];
    env.tool(GROUPS, &[&reset[..], &execute].concat(), "")?;
    let offsets = &env.cluster.groups()[0].offsets;
    assert!(offsets.iter().all(|(_, _, offset)| *offset == 0));
    env.tool(GROUPS, &["--delete", "--group", "g"], "")?;
    assert_eq!(env.cluster.groups(), []);
    Ok(())
}

fn producer_performance() -> Outcome {
    let env = Env::start(Builder::default().topic("t", 6));
    let arguments = ["--topic", "t", "--num-records", "100000"];
    let how = ["--record-size", "100", "--throughput", "-1"];
    let printed = env.tool(PERFORMANCE, &[&arguments[..], &how].concat(), "")?;
    assert!(printed.contains("100000 records sent"), "{printed}");
    let told = env.tool(OFFSETS, &["--topic", "t"], "")?;
    let ends = told.lines().filter_map(|line| line.rsplit(':').next());
    let sum: i64 = ends.filter_map(|end| end.parse::<i64>().ok()).sum();
    assert_eq!(sum, 100_000);
    Ok(())
}

/// By both protocols: what the feature's level says is what Java's producer does.
fn transactions() -> Outcome {
    for level in [1, 2] {
        let delay = Duration::from_millis(20);
        let builder = Builder::default().nodes(3).topic("t", 6);
        let builder = builder.transaction_version(level);
        let env = Env::start(builder.transaction_marker_delay(delay));
        let arguments = ["--topic", "t", "--num-records", "5000"];
        let how = ["--record-size", "100", "--throughput", "5000"];
        let id = ["--transactional-id", "x", "--transaction-duration-ms", "50"];
        let printed = env.tool(PERFORMANCE, &[&arguments[..], &how, &id].concat(), "")?;
        assert!(printed.contains("5000 records sent"), "{printed}");
        let seen = env.cluster.requests_seen();
        let asked = |key| seen.iter().filter(|one| one.api == key).count();
        assert_eq!(asked(ApiKey::AddPartitionsToTxn) > 0, level == 1);
        let ends = seen.iter().filter(|one| one.api == ApiKey::EndTxn);
        let newest = if level == 2 { 5 } else { 4 };
        assert!(ends.clone().count() > 1 && ends.clone().all(|one| one.version == newest));
        let consume = [
            "--topic",
            "t",
            "--from-beginning",
            "--isolation-level",
            "read_committed",
        ];
        let until = ["--max-messages", "5000", "--timeout-ms", "30000"];
        let printed = env.tool(CONSUMER, &[&consume[..], &until].concat(), "")?;
        assert_eq!(printed.lines().count(), 5000);
        let committed = (0..6).map(|of| env.cluster.committed_log("t", of).len());
        assert_eq!(committed.sum::<usize>(), 5000);
        let told = env.tool(TRANSACTIONS, &["list"], "")?;
        assert!(told.contains("CompleteCommit"), "{told}");
        let told = env.tool(TRANSACTIONS, &["describe", "--transactional-id", "x"], "")?;
        assert!(told.contains("CompleteCommit"), "{told}");
    }
    Ok(())
}

/// Java logs in, and renews its sessions under load.
fn logins() -> Outcome {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let builder = Builder::default().topic("t", 6).user("alice", "secret");
        let env = Env::start(builder.session_lifetime(Duration::from_millis(1500)));
        let module = match mechanism {
            "PLAIN" => "plain.PlainLoginModule",
            _ => "scram.ScramLoginModule",
        };
        let properties = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism={mechanism}\n\
             sasl.jaas.config=org.apache.kafka.common.security.{module} \
             required username=\"alice\" password=\"secret\";\n"
        );
        let file = std::env::temp_dir().join(format!("{}-{mechanism}", std::process::id()));
        std::fs::write(&file, properties)?;
        let path = file.display().to_string();
        let arguments = ["--topic", "t", "--num-records", "20000"];
        let how = ["--record-size", "100", "--throughput", "4000"];
        let login = ["--command-config", &path];
        let printed = env.tool(PERFORMANCE, &[&arguments[..], &how, &login].concat(), "");
        std::fs::remove_file(&file)?;
        let printed = printed?;
        assert!(printed.contains("20000 records sent"), "{printed}");
        let seen = env.cluster.requests_seen();
        let renewed = seen
            .iter()
            .any(|one| one.api == ApiKey::SaslHandshake && one.user == "alice");
        assert!(renewed, "no session was renewed");
    }
    Ok(())
}

fn main() -> ExitCode {
    let suite = Suite::from_args(&[]);
    let trial = |name: &str, test: fn() -> Outcome| suite.live(name, test);
    let trials = vec![
        trial("console_producer", console_producer),
        trial("console_consumer", console_consumer),
        trial("topic_command", topic_command),
        trial("consumer_group_command", consumer_group_command),
        trial("producer_performance", producer_performance),
        trial("transactions", transactions),
        trial("logins", logins),
    ];
    suite.run(trials).exit_code()
}
