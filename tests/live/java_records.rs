//! What Java's producers wrote, in every codec, shape and size, is handed out as Java's consumer hands it out.

use std::collections::HashMap;

use kafka_cluster::{ConsumedRecord, TimestampType, Version};
use ottla::{Client, Consumer, ConsumerBuilder, Error, OffsetReset, TopicPartition};
use tokio::time::timeout;

use super::round_trip::codec_on_disk;
use super::support::{
    By, Kafka, Message, Outcome, SOON, Suite, all_of, by_place, header, now_millis, random_bytes,
    read_to,
};

pub(crate) fn older_brokers(suite: &mut Suite) {
    for (version, names) in [
        (
            Version::V2_5_0,
            [
                "java_records::kafka_2_5_0_gives_back_each_codec",
                "java_records::kafka_2_5_0_gives_back_what_is_large",
            ],
        ),
        (
            Version::V3_9_1,
            [
                "java_records::kafka_3_9_1_gives_back_each_codec",
                "java_records::kafka_3_9_1_gives_back_what_is_large",
            ],
        ),
    ] {
        suite.on(version, names[0], small);
        suite.on(version, names[1], larger_than_a_fetch);
    }
}

pub(crate) fn promises(suite: &mut Suite) {
    let levels = "java_records::every_level_of_javas_codecs_is_read";
    suite.shared(levels, every_level);
    let old = "java_records::a_format_from_before_0_11_is_refused_by_name";
    suite.on(Version::V2_5_0, old, old_format);
    let codecs = "java_records::each_codec_of_javas_producer_is_read_record_for_record";
    suite.shared(codecs, every_codec);
    let console = "java_records::what_the_console_producer_wrote_is_read";
    suite.shared(console, console_producer);
    let stamped = "java_records::the_brokers_time_is_told_where_it_stamps_records";
    suite.shared(stamped, log_append_time);
    let large = "java_records::a_record_larger_than_any_limit_of_a_fetch_comes";
    suite.shared(large, larger_than_a_fetch);
}

async fn small(kafka: &Kafka) -> Outcome {
    every_codec(kafka).await?;
    console_producer(kafka).await?;
    log_append_time(kafka).await
}

fn from_the_start(client: &Client, topic: &str, partitions: i32) -> ConsumerBuilder {
    client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign(all_of(topic, partitions))
}

/// Reads a topic to its end by both calls, and finds what Java's consumer finds.
async fn assert_as_java(
    kafka: &Kafka,
    topic: &str,
    builder: &ConsumerBuilder,
) -> Result<Vec<ConsumedRecord>, libtest_mimic::Failed> {
    let expected = by_place(kafka.consume_all(topic)?);
    let ends = kafka.offsets(topic)?;
    for by in [By::Poll, By::Recv] {
        let mut consumer: Consumer = builder.clone().build().await?;
        let read = read_to(&mut consumer, topic, &ends, by).await?;
        assert_same(&by_place(read), &expected, by);
        for partition in consumer.assignment() {
            assert_eq!(consumer.lag(&partition)?, Some(0), "{partition:?} {by:?}");
        }
    }
    Ok(expected)
}

/// As `assert_eq`, whose message would be all of both.
fn assert_same(read: &[ConsumedRecord], expected: &[ConsumedRecord], by: By) {
    for (ours, javas) in read.iter().zip(expected) {
        let place = (javas.partition, javas.offset);
        assert_eq!((ours.partition, ours.offset), place, "{by:?}");
        assert!(ours == javas, "{by:?}: {place:?} differs from Java's");
    }
    assert_eq!(read.len(), expected.len(), "{by:?}");
}

/// Keys and values null, empty and not; headers that repeat; times of any order; partition after partition.
fn shapes(partitions: i32) -> Vec<Message> {
    let some = |bytes: &str| Some(bytes.as_bytes().to_vec());
    let mut messages = Message::numbered(600);
    for (at, message) in messages.iter_mut().enumerate() {
        message.partition = Some(at as i32 % partitions);
        message.key = [None, some(""), some("key"), some("ключ")][at % 4].clone();
        match at % 7 {
            0 => message.value = None,
            1 => message.value = some(""),
            _ => {}
        }
        message.timestamp = match at % 5 {
            0 => None,
            1 => Some(0),
            // Up and down: a batch's first and largest times are not those of its ends.
            _ => Some(1_700_000_000_000 + (at as i64 * 7919) % 1_000_003),
        };
        if at % 3 == 0 {
            message.headers = vec![
                header("b", Some("1")),
                header("a", None),
                header("b", Some("2")),
                header("", Some("")),
                header("b", Some("1")),
                header("ünïcödé ✓", Some("ja")),
            ];
        }
    }
    messages[100].headers = vec![header("same", Some("same")); 300];
    messages.push(Message::of(random_bytes(300_000)).partition(0));
    messages.push(Message::of(vec![b'z'; 900_000]).partition(1));
    messages
}

async fn every_codec(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let messages = shapes(3);
    let records: Vec<_> = messages.iter().map(Message::for_java).collect();
    for (code, codec) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let topic = format!("java-{codec}");
        // Records of 1970 must not fall to the broker's next look at its logs.
        let topic = kafka.topic(&topic, 3, &[("retention.ms", "-1")])?;
        let producer = kafka.java_producer(&[
            ("compression.type", codec),
            ("linger.ms", "100"),
            ("batch.size", "20000"),
        ])?;
        let places = producer.send(topic, &records)?;
        assert_eq!(codec_on_disk(kafka, topic)?, code, "{codec}");
        let read = assert_as_java(kafka, topic, &from_the_start(&client, topic, 3)).await?;
        assert_sent(&read, &messages, &places);
    }
    Ok(())
}

/// The lowest and the highest, which have other windows and other ways to say what was left out.
async fn every_level(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let mut messages = shapes(2);
    let text = |at| format!("{{\"payment\":{at},\"currency\":\"JPY\",\"status\":\"paid\"}}");
    messages.extend((0..5000).map(|at| Message::of(text(at)).partition(0)));
    let records: Vec<_> = messages.iter().map(Message::for_java).collect();
    for (codec, level) in [
        ("gzip", "1"),
        ("gzip", "9"),
        ("lz4", "1"),
        ("lz4", "17"),
        ("zstd", "-131072"),
        ("zstd", "1"),
        ("zstd", "19"),
        ("zstd", "22"),
    ] {
        let topic = format!("java-{codec}-{level}");
        let topic = kafka.topic(&topic, 2, &[("retention.ms", "-1")])?;
        let producer = kafka.java_producer(&[
            ("compression.type", codec),
            (&format!("compression.{codec}.level"), level),
            ("linger.ms", "500"),
            ("batch.size", "1000000"),
        ])?;
        let places = producer.send(topic, &records)?;
        let read = assert_as_java(kafka, topic, &from_the_start(&client, topic, 2)).await?;
        assert_sent(&read, &messages, &places);
    }
    Ok(())
}

async fn old_format(kafka: &Kafka) -> Outcome {
    for version in ["0.9.0", "0.10.2"] {
        let topic = format!("java-format-{version}");
        let topic = kafka.topic(&topic, 1, &[("message.format.version", version)])?;
        // Such records have no headers, and their producers no sequence numbers.
        let settings = [("enable.idempotence", "false")];
        let records: Vec<_> = (0..10)
            .map(|number| Message::of(number.to_string()).for_java())
            .collect();
        kafka.java_producer(&settings)?.send(topic, &records)?;
        let client = kafka.client().await?;
        let mut consumer = from_the_start(&client, topic, 1).build().await?;
        for _ in 0..2 {
            let error = timeout(SOON, consumer.recv()).await?.unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
            assert!(error.to_string().contains("before Kafka 0.11"), "{error}");
        }
        // What a newer producer wrote behind them can be read.
        kafka.alter_config(topic, &[("message.format.version", "2.5")])?;
        kafka.java_producer(&[])?.send(topic, &records)?;
        consumer.seek(&TopicPartition::new(topic, 0), 10)?;
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        assert_eq!((record.offset(), record.value()), (10, Some(&b"0"[..])));
    }
    Ok(())
}

/// What was read is what was sent, so that both consumers cannot be wrong in the same way.
fn assert_sent(read: &[ConsumedRecord], messages: &[Message], places: &[(i32, i64)]) {
    assert_eq!(read.len(), messages.len());
    let read: HashMap<_, _> = read
        .iter()
        .map(|record| ((record.partition, record.offset), record))
        .collect();
    for (message, place) in messages.iter().zip(places) {
        let found = read[place];
        assert_eq!(found.key, message.key);
        assert!(found.value == message.value, "the value at {place:?}");
        assert_eq!(found.headers, message.headers);
        if let Some(timestamp) = message.timestamp {
            assert_eq!(found.timestamp, timestamp);
        }
    }
}

async fn console_producer(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("java-console", 3, &[])?;
    let class = match kafka.version() {
        Version::V4_3_0 => "org.apache.kafka.tools.ConsoleProducer",
        _ => "kafka.tools.ConsoleProducer",
    };
    let bootstrap = kafka.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--topic", topic];
    let options = ["--property", "parse.key=true", "--compression-codec", "lz4"];
    let lines: String = (0..1000)
        .map(|number| format!("key {}\tvalue {number}\n", number % 50))
        .collect();
    let output = kafka.tool_with_input(class, &[arguments, options].concat(), lines.as_bytes())?;
    assert!(output.status.success(), "{output:?}");
    let client = kafka.client().await?;
    let read = assert_as_java(kafka, topic, &from_the_start(&client, topic, 3)).await?;
    let mut written: Vec<String> = read
        .into_iter()
        .map(|record| {
            let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
            format!("{}\t{}\n", text(record.key), text(record.value))
        })
        .collect();
    let mut lines: Vec<_> = lines.split_inclusive('\n').map(str::to_owned).collect();
    written.sort();
    lines.sort();
    assert_eq!(written, lines);
    Ok(())
}

async fn log_append_time(kafka: &Kafka) -> Outcome {
    let config = [("message.timestamp.type", "LogAppendTime")];
    let topic = kafka.topic("java-log-append", 2, &config)?;
    let messages: Vec<_> = (0..200)
        .map(|number| {
            let message = Message::of(number.to_string()).partition(number % 2);
            message.timestamp(1_600_000_000_000 + i64::from(number))
        })
        .collect();
    let records: Vec<_> = messages.iter().map(Message::for_java).collect();
    let began = now_millis();
    for codec in ["none", "lz4"] {
        let settings = [("compression.type", codec), ("linger.ms", "50")];
        kafka.java_producer(&settings)?.send(topic, &records)?;
    }
    let ended = now_millis();
    let client = kafka.client().await?;
    let read = assert_as_java(kafka, topic, &from_the_start(&client, topic, 2)).await?;
    assert_eq!(read.len(), 400);
    for record in read {
        assert_eq!(record.timestamp_type, TimestampType::LogAppend);
        let time = record.timestamp;
        assert!(
            (began..=ended).contains(&time),
            "{time} is not the broker's"
        );
    }
    Ok(())
}

async fn larger_than_a_fetch(kafka: &Kafka) -> Outcome {
    let mut messages = Vec::new();
    for round in 0..2 {
        for partition in 0..3 {
            let mut of = |value: Vec<u8>| messages.push(Message::of(value).partition(partition));
            of(format!("before {round}").into_bytes());
            of(random_bytes(3_000_000));
            of(format!("between {round}").into_bytes());
            of(vec![b'z'; 6_000_000]);
            of(format!("behind {round}").into_bytes());
        }
    }
    let records: Vec<_> = messages.iter().map(Message::for_java).collect();
    let client = kafka.client().await?;
    for codec in ["none", "zstd"] {
        let topic = format!("java-large-{codec}");
        let topic = kafka.topic(&topic, 3, &[("max.message.bytes", "8000000")])?;
        let producer = kafka.java_producer(&[
            ("compression.type", codec),
            ("max.request.size", "7900000"),
            ("buffer.memory", "100000000"),
        ])?;
        producer.send(topic, &records)?;
        let builder = from_the_start(&client, topic, 3);
        let small = builder.clone().partition_fetch_bytes(1000);
        // What a record is decompressed to must fit: it may be a bomb.
        let tight = if codec == "none" { 1 << 20 } else { 7 << 20 };
        for builder in [
            builder.clone().fetch_max_bytes(1000),
            builder.partition_fetch_bytes(1).fetch_max_bytes(1),
            small.clone().buffer_memory(tight),
            small.clone(),
        ] {
            let read = assert_as_java(kafka, topic, &builder).await?;
            assert_eq!(read.len(), messages.len());
        }
        if codec == "zstd" {
            skips_what_is_too_large(small.buffer_memory(1 << 20), &messages).await?;
        }
    }
    Ok(())
}

/// A record that is larger than the buffer is an error each time, from which the application goes on.
async fn skips_what_is_too_large(builder: ConsumerBuilder, messages: &[Message]) -> Outcome {
    let mut consumer = builder.build().await?;
    let small = messages
        .iter()
        .filter(|message| message.value.as_ref().is_some_and(|v| v.len() < 1000));
    let (mut read, mut refused) = (0, 0);
    while read < small.clone().count() {
        match timeout(SOON, consumer.recv()).await? {
            Ok(record) => {
                assert!(record.ok_or("the end")?.value().unwrap().len() < 1000);
                read += 1;
            }
            Err(Error::TooLargeToRead {
                partition,
                offset,
                next_offset,
                setting: "fetch.buffer.memory",
                limit: 1_048_576,
                ..
            }) => {
                assert_eq!(next_offset, offset + 1);
                consumer.seek(&partition, offset + 1)?;
                refused += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!(refused, messages.len() - read);
    Ok(())
}
