//! The fixture itself, against real Kafka.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use kafka_cluster::{
    Cluster, ConsumedRecord, Error, PartitionOffsets, ProducedRecord, TimestampType, Version,
    suite::Suite,
};
use libtest_mimic::{Failed, Trial};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let suite = Suite::from_args(&[]);
    let trial =
        |name: &str, test: fn() -> Outcome| suite.live(name, move || test().map_err(Failed::from));
    let trials = vec![
        Trial::test("a_missing_part_fails_at_once_and_by_name", || {
            missing_part().map_err(Failed::from)
        }),
        Trial::test(
            "without_being_asked_no_live_test_runs_and_one_line_says_so",
            || left_out().map_err(Failed::from),
        ),
        trial(
            "one_node_takes_topics_at_once_and_comes_back_from_the_dead",
            one_node,
        ),
        trial("three_nodes_elect_a_leader_when_one_dies", three_nodes),
        trial(
            "java_sees_nulls_headers_and_timestamps_exactly",
            exact_records,
        ),
        trial(
            "java_writes_transactions_and_its_tools_end_in_order",
            told_what_to_do,
        ),
        trial("kafka_3_9_1_runs", || older(Version::V3_9_1)),
        trial("kafka_2_5_0_runs_with_zookeeper", || older(Version::V2_5_0)),
        trial("no_broker_outlives_a_killed_process", killed_process),
        trial("a_panic_ends_the_brokers_and_keeps_their_logs", panicking),
    ];
    suite.run(trials).exit_code()
}

/// This very suite, as `cargo test` runs it.
fn itself() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_remove("OTTLA_LIVE");
    Ok(command)
}

/// On a machine without a single program.
fn missing_part() -> Outcome {
    let empty = std::env::temp_dir().join(format!("kafka-cluster-empty-{}", std::process::id()));
    fs::create_dir_all(&empty)?;
    let asked: [(&[&str], &str); 2] = [(&[], "1"), (&["--ignored"], "0")];
    for (arguments, live) in asked {
        let mut command = itself()?;
        command.env("OTTLA_LIVE", live).args(arguments);
        command.env("PATH", &empty).env_remove("JAVA_HOME");
        let output = command.output()?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("java was not found"), "{said}");
        assert!(output.stdout.is_empty(), "it did not go on to any test");
    }
    fs::remove_dir(empty)?;
    Ok(())
}

fn left_out() -> Outcome {
    let output = itself()?.arg("kafka_").output()?;
    let printed = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{printed}");
    let line = "left out, for they need real Kafka: 2 live tests; OTTLA_LIVE=1 runs them";
    let lines = printed
        .lines()
        .filter(|printed| printed.contains("live tests"));
    assert_eq!(lines.collect::<Vec<_>>(), [line]);
    assert!(
        printed.contains("0 passed; 0 failed; 2 ignored"),
        "{printed}"
    );
    Ok(())
}

fn start(version: Version, nodes: usize) -> Result<Cluster, Error> {
    let begin = Instant::now();
    let cluster = Cluster::builder().version(version).nodes(nodes).start()?;
    println!("{version} x{nodes} was ready after {:?}", begin.elapsed());
    Ok(cluster)
}

fn listens(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

fn keys(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| format!("key {number}").into_bytes())
        .collect()
}

fn one_node() -> Outcome {
    let cluster = start(Version::V4_3_0, 1)?;
    cluster.create_topic("t", 6, 1, &[("retention.ms", "60000")])?;
    assert!(
        matches!(cluster.create_topic("t", 6, 1, &[]), Err(Error::Java(text)) if text.contains("Exists"))
    );

    let chosen = cluster.java_partitions("t", &keys(500))?;
    let read = cluster.consume_all("t")?;
    let by_key: BTreeMap<_, _> = read
        .iter()
        .map(|record| (record.key.clone(), record.partition))
        .collect();
    assert_eq!(read.len(), 500);
    for (key, partition) in keys(500).into_iter().zip(chosen) {
        assert_eq!(by_key.get(&Some(key)), Some(&partition));
    }

    cluster.kill(1)?;
    assert!(!listens(&cluster.address(1)) && cluster.running().is_empty());
    let begin = Instant::now();
    cluster.start(1)?;
    println!("{} was back after {:?}", cluster.version(), begin.elapsed());
    assert_eq!(cluster.leader_of("t", 0)?, 1);
    assert_eq!(cluster.consume_all("t")?.len(), 500);

    cluster.pause(1)?;
    assert!(listens(&cluster.address(1)) && cluster.running().is_empty());
    cluster.resume(1)?;
    cluster.wait_ready()?;

    cluster.grow_topic("t", 8)?;
    cluster.alter_config("t", &[("max.message.bytes", "5000")])?;
    cluster.alter_broker_config(None, &[("message.max.bytes", "6000")])?;
    cluster.delete_records("t", 0, 1)?;
    let first = cluster
        .offsets("t")?
        .into_iter()
        .find(|one| one.partition == 0);
    assert_eq!(first.map(|one| one.start), Some(1));
    cluster.delete_topic("t")?;
    assert!(cluster.consume_all("t").is_err());
    cluster.create_topic("t", 1, 1, &[])?;

    cluster.stop(1)?;
    assert!(cluster.kill(2).is_err());
    let dir = cluster.dir().to_owned();
    drop(cluster);
    assert!(!dir.exists());
    Ok(())
}

fn three_nodes() -> Outcome {
    let cluster = start(Version::V4_3_0, 3)?;
    assert_eq!(cluster.bootstrap().split(',').count(), 3);
    cluster.create_topic("t", 3, 3, &[])?;
    let leader = cluster.leader_of("t", 0)?;
    cluster.kill(leader)?;
    let begin = Instant::now();
    while cluster.leader_of("t", 0)? == leader {
        assert!(begin.elapsed() < Duration::from_secs(30), "no new leader");
    }
    assert_eq!(cluster.java_partitions("t", &keys(10))?.len(), 10);
    cluster.start(leader)?;
    cluster.wait_in_sync(Duration::from_secs(30))?;
    cluster.move_leader("t", 0, leader)?;
    assert_eq!(cluster.leader_of("t", 0)?, leader);
    assert_eq!(cluster.consume_all("t")?.len(), 10);
    Ok(())
}

fn told_what_to_do() -> Outcome {
    let cluster = start(Version::V4_3_0, 1)?;
    cluster.create_topic("t", 1, 1, &[])?;
    let record = |value: &str| ProducedRecord {
        partition: Some(0),
        timestamp: Some(1_700_000_000_000),
        key: None,
        value: Some(value.into()),
        headers: vec![("h".to_owned(), None), ("h".to_owned(), Some(b"1".into()))],
    };
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let bootstrap = cluster.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--topic", "t"];
    let tool = cluster.start_tool(class, &[&arguments[..], &["--from-beginning"]].concat())?;
    let plain = cluster.java_producer(&[("linger.ms", "5")])?;
    assert_eq!(
        plain.send("t", &[record("a"), record("b")])?,
        [(0, 0), (0, 1)]
    );
    let producer = cluster.java_producer(&[("transactional.id", "one")])?;
    assert!(matches!(producer.commit(), Err(Error::Java(_))));
    producer.begin()?;
    producer.send("t", &[record("c")])?;
    producer.abort()?;
    producer.begin()?;
    producer.send("t", &[record("d")])?;
    producer.commit()?;
    producer.begin()?;
    producer.send("t", &[record("e")])?;
    drop(producer);

    let values = |records: Vec<ConsumedRecord>| -> Vec<u8> {
        let values = records.iter().filter_map(|record| record.value.clone());
        values.flatten().collect()
    };
    let all = cluster.consume_all("t")?;
    let first = all.first().ok_or("nothing")?;
    assert_eq!(first.headers, record("a").headers);
    assert_eq!(first.timestamp, 1_700_000_000_000);
    assert_eq!(values(all), b"abcde");
    assert_eq!(values(cluster.consume_committed("t")?), b"abd");
    let end = |offsets: Vec<PartitionOffsets>| offsets.first().map(|one| one.end);
    // Each of the two transactions that have ended has its marker in the log.
    assert_eq!(end(cluster.offsets("t")?), Some(7));
    assert_eq!(end(cluster.stable_offsets("t")?), Some(6));

    let began = Instant::now();
    while tool.lines().len() < 5 {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{:?}",
            tool.lines()
        );
    }
    assert_eq!(tool.terminate()?, ["a", "b", "c", "d", "e"]);
    Ok(())
}

fn exact_records() -> Outcome {
    let cluster = Cluster::builder().proxies(["127.0.0.1:9"]).start()?;
    assert!(listens(&cluster.behind_proxy(1)));
    cluster.create_topic("t", 1, 1, &[])?;
    let properties = ["parse.key=true", "parse.headers=true", "null.marker=NULL"];
    let bootstrap = cluster.bootstrap();
    let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", "t"];
    arguments.extend(
        properties
            .iter()
            .flat_map(|property| ["--property", property]),
    );
    let lines = "a:1,a:NULL,b:\tk\tNULL\nNULL\tNULL\tv\nNULL\t\t\n";
    let class = "org.apache.kafka.tools.ConsoleProducer";
    let output = cluster.tool_with_input(class, &arguments, lines.as_bytes())?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let read = cluster.consume_all("t")?;
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(
        read.iter().map(|record| record.offset).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    let fields: Vec<_> = read
        .iter()
        .map(|record| (record.key.clone(), record.value.clone()))
        .collect();
    assert_eq!(
        fields,
        [
            (bytes("k"), None),
            (None, bytes("v")),
            (bytes(""), bytes(""))
        ]
    );
    let header = |name: &str, value| (name.to_owned(), value);
    let expected = [
        header("a", bytes("1")),
        header("a", None),
        header("b", bytes("")),
    ];
    assert_eq!(
        read.first().map(|record| record.headers.as_slice()),
        Some(&expected[..])
    );
    assert!(
        read.iter()
            .all(|record| record.timestamp_type == TimestampType::Create && record.timestamp > 0)
    );

    let text = cluster.console_consume("t", &[("null.literal", "NULL")])?;
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("Partition:0\tOffset:0\ta:1,a:NULL,b:\tk\tNULL"),
        "{text}"
    );
    Ok(())
}

fn older(version: Version) -> Outcome {
    let cluster = start(version, 1)?;
    cluster.create_topic("t", 3, 1, &[])?;
    assert_eq!(cluster.java_partitions("t", &keys(100))?.len(), 100);
    let begin = Instant::now();
    cluster.kill(1)?;
    cluster.start(1)?;
    println!("{version} was back after {:?}", begin.elapsed());
    assert_eq!(cluster.consume_all("t")?.len(), 100);
    assert_eq!(cluster.console_consume("t", &[])?.lines().count(), 100);
    cluster.alter_config("t", &[("max.message.bytes", "5000")])?;
    cluster.delete_topic("t")?;
    cluster.stop(1)?;
    Ok(())
}

fn killed_process() -> Outcome {
    let dir = std::env::temp_dir().join(format!("kafka-cluster-killed-{}", std::process::id()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_kafka-cluster"))
        .args(["up", "--port", "0", "--dir"])
        .arg(&dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut address)?;
    let address = address.trim();
    assert!(listens(address));
    child.kill()?;
    child.wait()?;
    let begin = Instant::now();
    while listens(address) {
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "the broker lives on"
        );
    }
    fs::remove_dir_all(dir)?;
    Ok(())
}

fn panicking() -> Outcome {
    let cluster = start(Version::V4_3_0, 1)?;
    let (address, log) = (cluster.address(1), cluster.log(1));
    let dir = cluster.dir().to_owned();
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let _dropped = cluster;
        panic!("a test that fails, on purpose");
    }));
    assert!(caught.is_err() && !listens(&address) && log.exists());
    fs::remove_dir_all(dir)?;
    Ok(())
}
