//! `examples/consume` prints what is there, once, and ends as asked.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Duration;

use kafka_cluster::Version;
use libtest_mimic::Failed;
use ottla::{GroupState, TopicPartition};
use tokio::time::sleep;

use super::support::{
    Kafka, Message, Outcome, Running, Suite, deliver, example, header, printed, run_example, within,
};

pub(crate) fn promises(suite: &mut Suite) {
    let all = "example_consume::everything_is_printed_once_and_in_order_up_to_the_end";
    suite.of_examples(Version::V4_3_0, all, everything);
    let formats = "example_consume::records_are_printed_as_the_format_says_or_as_json";
    suite.of_examples(Version::V4_3_0, formats, formats_of_records);
    suite.of_examples(
        Version::V4_3_0,
        "example_consume::reading_begins_where_it_is_told_to",
        places,
    );
    let count = "example_consume::a_group_goes_on_behind_the_last_record_printed";
    suite.of_examples(Version::V4_3_0, count, counted);
    let interrupt = "example_consume::ctrl_c_leaves_the_group_with_what_was_printed_committed";
    suite.of_examples(Version::V4_3_0, interrupt, interrupted);
    let pipe = "example_consume::a_reader_that_goes_away_ends_it_quietly";
    suite.of_examples(Version::V4_3_0, pipe, reader_goes);
    let wrong = "example_consume::wrong_options_end_with_2_and_unknown_topics_with_1";
    suite.of_examples(Version::V4_3_0, wrong, refusals);
}

fn command(kafka: &Kafka, line: &str) -> Result<Command, Failed> {
    let mut command = example("consume")?;
    let servers = format!("bootstrap.servers={}", kafka.bootstrap());
    command.args(["-X", &servers]).args(line.split(' '));
    Ok(command)
}

async fn consume(kafka: &Kafka, line: &str) -> Result<Output, Failed> {
    run_example(command(kafka, line)?).await
}

/// What it printed, when it ended well.
async fn lines(kafka: &Kafka, line: &str) -> Result<Vec<String>, Failed> {
    let output = consume(kafka, line).await?;
    let notes = printed(&output.stderr);
    assert!(output.status.success(), "{line}: {notes}");
    let text = printed(&output.stdout);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let told = format!("consume: records printed: {}\n", lines.len());
    assert_eq!(notes, told, "{line}");
    Ok(lines)
}

/// A topic with so many records in each of its partitions, with times 1000 ms apart.
async fn filled(kafka: &Kafka, topic: &str, partitions: i32, records: i64) -> Outcome {
    kafka.topic(topic, partitions, &[("retention.ms", "-1")])?;
    let producer = kafka.client().await?.producer().build()?;
    let messages: Vec<_> = (0..records)
        .flat_map(|number| (0..partitions).map(move |partition| (number, partition)))
        .map(|(number, partition)| {
            let message = Message::of(format!("{partition}/{number}"));
            message.partition(partition).timestamp(number * 1000)
        })
        .collect();
    deliver(&producer, topic, &messages).await?;
    Ok(())
}

async fn everything(kafka: &Kafka) -> Outcome {
    filled(kafka, "printed-a", 3, 2000).await?;
    filled(kafka, "printed-b", 1, 500).await?;
    kafka.topic("printed-empty", 2, &[])?;
    // Behind the last record of this one is the mark of a transaction's end.
    kafka.topic("printed-marked", 1, &[])?;
    let servers = format!("bootstrap.servers={}", kafka.bootstrap());
    let arguments = "--topic printed-marked --num-records 30 --record-size 5 --throughput -1 \
        --transactional-id printed --transaction-duration-ms 60000 --producer-props";
    let mut arguments: Vec<_> = arguments.split_whitespace().collect();
    arguments.push(&servers);
    let java = kafka.tool("org.apache.kafka.tools.ProducerPerformance", &arguments)?;
    assert!(java.status.success(), "{java:?}");

    let topics = "--topic printed-a --topic printed-b --topic printed-empty --topic printed-marked";
    for (group, isolation) in [
        ("", ""),
        (" --group printed", ""),
        ("", " -X isolation.level=read_committed"),
    ] {
        let line = format!("{topics}{group}{isolation} --from-beginning --exit-at-end --format");
        let mut command = command(kafka, &line)?;
        let output = run_example({
            command.arg("%t %p %o");
            command
        });
        let output = output.await?;
        assert!(output.status.success(), "{output:?}");
        let mut next = BTreeMap::new();
        for line in printed(&output.stdout).lines() {
            let (partition, offset) = line.rsplit_once(' ').ok_or("no offset")?;
            let next = next.entry(partition.to_owned()).or_insert(0);
            assert_eq!(offset.parse(), Ok(*next), "{partition}");
            *next += 1;
        }
        let expected = [
            ("printed-a 0", 2000),
            ("printed-a 1", 2000),
            ("printed-a 2", 2000),
            ("printed-b 0", 500),
            ("printed-marked 0", 30),
        ];
        assert_eq!(next, expected.map(|(p, n)| (p.to_owned(), n)).into());
    }
    Ok(())
}

async fn formats_of_records(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("formats", 1, &[("retention.ms", "-1")])?;
    let producer = kafka.client().await?.producer().build()?;
    let full = Message::of("paid \"100\"")
        .key("42")
        .timestamp(1_700_000_000_123);
    let full = full.headers([header("a", Some("1")), header("a", None)]);
    let nulls = Message {
        timestamp: Some(5),
        ..Message::default()
    };
    let bytes = Message::of(*b"\xff\x00").timestamp(6);
    deliver(&producer, topic, &[full, nulls, bytes]).await?;

    let shown = async |format: &[&str]| {
        let line = "--topic formats --from-beginning --count 3 --exit-at-end";
        let mut command = command(kafka, line)?;
        command.args(format);
        let output = run_example(command).await?;
        assert!(output.status.success(), "{output:?}");
        Ok::<_, Failed>(output.stdout)
    };
    let expected = b"paid \"100\"\nnull\n\xff\x00\n";
    assert_eq!(shown(&[]).await?, expected);
    let expected = b"formats[0]@0\t1700000000123 42=paid \"100\" a=1,a=null 100%\n\
        formats[0]@1\t5 null=null  100%\n\
        formats[0]@2\t6 null=\xff\x00  100%\n";
    let format = "%t[%p]@%o\\t%T %k=%v %h 100%%";
    assert_eq!(
        printed(&shown(&["--format", format]).await?),
        printed(expected)
    );
    let expected = [
        r#"{"topic":"formats","partition":0,"offset":0,"timestamp":1700000000123,"headers":[["a","1"],["a",null]],"key":"42","value":"paid \"100\""}"#,
        r#"{"topic":"formats","partition":0,"offset":1,"timestamp":5,"headers":[],"key":null,"value":null}"#,
        r#"{"topic":"formats","partition":0,"offset":2,"timestamp":6,"headers":[],"key":null,"value":{"hex":"ff00"}}"#,
    ];
    let json = printed(&shown(&["--json"]).await?);
    assert_eq!(json.lines().collect::<Vec<_>>(), expected);
    Ok(())
}

async fn places(kafka: &Kafka) -> Outcome {
    filled(kafka, "places", 2, 10).await?;
    let sorted = async |line: &str| {
        let mut lines = lines(kafka, &format!("--topic places {line}")).await?;
        lines.sort();
        Ok::<_, Failed>(lines)
    };
    let last = ["0/8", "0/9", "1/8", "1/9"];
    assert_eq!(sorted("--from-timestamp 7500 --exit-at-end").await?, last);
    let nothing: [&str; 0] = [];
    assert_eq!(sorted("--from-end --exit-at-end").await?, nothing);
    assert_eq!(sorted("--exit-at-end").await?, nothing);
    assert_eq!(
        sorted("--from-timestamp 10000 --exit-at-end").await?,
        nothing
    );

    // A group that has committed something of one partition: the time counts in the other one.
    let admin = kafka.client().await?.admin();
    let offsets = [(TopicPartition::new("places", 0), 3.into())];
    admin
        .alter_group_offsets("places", offsets)
        .await?
        .remove(0)?;
    let line = "--group places --from-timestamp 7500 --exit-at-end";
    let rest = [
        "0/3", "0/4", "0/5", "0/6", "0/7", "0/8", "0/9", "1/8", "1/9",
    ];
    assert_eq!(sorted(line).await?, rest);
    assert_eq!(sorted(line).await?, nothing);

    // At the end, what is written from then on.
    let mut reading = Running::start(command(kafka, "--topic places --from-end --count 1")?)?;
    let producer = kafka.client().await?.producer().build()?;
    let new = async {
        while !reading.has_ended()? {
            deliver(&producer, "places", &[Message::of("new")]).await?;
            sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, Failed>(())
    };
    within(Duration::from_secs(30), "a new record", new).await??;
    assert_eq!(reading.line().await?, "new");
    Ok(())
}

/// The offset that the group has committed in the topic's partition 0, when the group has no members.
async fn left_at(kafka: &Kafka, group: &str) -> Result<Option<i64>, Failed> {
    let admin = kafka.client().await?.admin();
    let described = admin.describe_groups([group]).await?.remove(0)?;
    assert_eq!(described.state, GroupState::Empty);
    let offsets = admin.list_group_offsets(group).await?;
    let Some((_, committed)) = offsets.into_iter().next() else {
        return Ok(None);
    };
    Ok(Some(committed?.offset))
}

async fn counted(kafka: &Kafka) -> Outcome {
    filled(kafka, "counted", 1, 1000).await?;
    let mut next = 0;
    // Fewer than are handed out together, and more.
    for count in [1, 10, 700, 1] {
        let line = format!("--topic counted --group counted --from-beginning --count {count}");
        let expected: Vec<_> = (next..next + count).map(|n| format!("0/{n}")).collect();
        assert_eq!(lines(kafka, &line).await?, expected);
        next += count;
        assert_eq!(left_at(kafka, "counted").await?, Some(next));
    }
    let line = "--topic counted --group counted --exit-at-end";
    assert_eq!(lines(kafka, line).await?.len(), 288);
    assert_eq!(left_at(kafka, "counted").await?, Some(1000));
    Ok(())
}

async fn interrupted(kafka: &Kafka) -> Outcome {
    filled(kafka, "interrupted", 1, 50).await?;
    let line = "--topic interrupted --group interrupted --from-beginning";
    let mut reading = Running::start(command(kafka, line)?)?;
    for number in 0..50 {
        assert_eq!(reading.line().await?, format!("0/{number}"));
    }
    reading.interrupt()?;
    assert!(reading.end().await?.status.success());
    // The group did not wait for a session to time out, nor for the next automatic commit.
    assert_eq!(left_at(kafka, "interrupted").await?, Some(50));
    // Also one that waits for records.
    let line = "--topic interrupted --group interrupted --json";
    let mut reading = Running::start(command(kafka, line)?)?;
    let producer = kafka.client().await?.producer().build()?;
    deliver(&producer, "interrupted", &[Message::of("last")]).await?;
    assert!(reading.line().await?.contains(r#""offset":50"#));
    reading.interrupt()?;
    assert!(reading.end().await?.status.success());
    assert_eq!(left_at(kafka, "interrupted").await?, Some(51));
    Ok(())
}

async fn reader_goes(kafka: &Kafka) -> Outcome {
    let topic = "reader-goes";
    kafka.topic(topic, 1, &[])?;
    let producer = kafka.client().await?.producer().build()?;
    // More than a pipe holds, which nobody reads.
    let messages: Vec<_> = (0..2000).map(|_| Message::of("x".repeat(1000))).collect();
    deliver(&producer, topic, &messages).await?;
    let line = "--topic reader-goes --group reader-goes --from-beginning";
    let mut reading = Running::start(command(kafka, line)?)?;
    assert_eq!(reading.line().await?.len(), 1000);
    let output = reading.end().await?;
    assert!(output.status.success(), "{output:?}");
    let notes = printed(&output.stderr);
    assert!(notes.starts_with("consume: records printed: "), "{notes}");
    let committed = left_at(kafka, topic).await?.unwrap_or_default();
    assert!(committed < 2000, "{committed} records are said to be read");
    Ok(())
}

async fn refusals(kafka: &Kafka) -> Outcome {
    for (line, status, told) in [
        ("--from-beginning", 2, "--topic is missing"),
        ("--topic t --group", 2, "--group"),
        ("--topic t --format %y", 2, "--format: %y"),
        ("--topic t --from-end --from-beginning", 2, "--from-"),
        ("--topic t -X fetch.min.byte=1", 2, "fetch.min.bytes"),
        (
            "--topic t --group g -X heartbeat.interval.ms=60000",
            2,
            "-X: ",
        ),
        ("--topic t/u --group g", 2, "--topic: "),
        ("--topic t --group=", 2, "--group: "),
        ("--topic t/u", 2, "--topic: "),
        ("--topic no-such-topic", 1, "no-such-topic"),
    ] {
        let output = consume(kafka, line).await?;
        let text = printed(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}: {text}");
        assert!(
            text.starts_with("consume: ") && text.contains(told),
            "{text}"
        );
        assert!(output.stdout.is_empty());
    }
    let mut help = example("consume")?;
    help.arg("--help");
    let help = run_example(help).await?;
    assert!(help.status.success() && printed(&help.stdout).contains("--from-timestamp"));
    Ok(())
}
