//! Java reads back what was sent: values, nulls, headers, timestamps, codecs, batches of any size, from brokers of
//! any version.

use std::fs;
use std::time::{Duration, SystemTime};

use kafka_cluster::{TimestampType, Version};
use ottla::{Compression, Error, Record};

use super::made_anew;
use super::support::{
    Kafka, Message, Outcome, Suite, assert_java_reads, deliver, header, now_millis, random_bytes,
};

pub(crate) fn older_brokers(suite: &mut Suite) {
    let oldest = "round_trip::kafka_2_5_0_keeps_every_record_as_sent";
    suite.on(Version::V2_5_0, oldest, all);
    let older = "round_trip::kafka_3_9_1_keeps_every_record_as_sent";
    suite.on(Version::V3_9_1, older, all);
}

pub(crate) fn promises(suite: &mut Suite) {
    suite.shared(
        "round_trip::null_and_empty_keys_and_values_stay_distinct",
        nulls,
    );
    suite.shared(
        "round_trip::headers_keep_order_duplicates_nulls_and_empty_names",
        headers,
    );
    suite.shared("round_trip::explicit_timestamps_are_kept", timestamps);
    suite.shared(
        "round_trip::a_broker_that_stamps_records_tells_its_time",
        log_append_time,
    );
    suite.shared("round_trip::every_codec_and_level_is_read_by_java", codecs);
    suite.shared(
        "round_trip::batches_hold_one_record_or_thousands",
        batch_sizes,
    );
    suite.shared(
        "round_trip::values_up_to_the_largest_request_arrive",
        large_values,
    );
    suite.shared(
        "round_trip::the_console_consumer_prints_what_was_sent",
        console,
    );
    suite.shared(
        "round_trip::javas_deserializers_read_numbers_as_they_were_sent",
        numbers,
    );
    suite.shared(
        "round_trip::tasks_that_share_a_producer_lose_and_mix_up_nothing",
        many_tasks,
    );
}

async fn nulls(kafka: &Kafka) -> Outcome {
    let topic = "nulls";
    kafka.topic(topic, 1, &[])?;
    let some = |bytes: &str| Some(bytes.as_bytes().to_vec());
    let all = [None, some(""), some("x")];
    let messages: Vec<_> = all
        .iter()
        .flat_map(|key| all.iter().map(move |value| (key.clone(), value.clone())))
        .map(|(key, value)| Message {
            key,
            value,
            ..Message::default()
        })
        .collect();
    let producer = kafka.client().await?.producer().build()?;
    let places = deliver(&producer, topic, &messages).await?;
    assert_java_reads(kafka, topic, &messages, &places)
}

async fn headers(kafka: &Kafka) -> Outcome {
    let topic = "headers";
    kafka.topic(topic, 1, &[])?;
    let long = "n".repeat(300);
    let messages = [
        Message::of("none"),
        Message::of("all").headers([
            header("b", Some("1")),
            header("a", Some("2")),
            header("b", Some("3")),
            header("b", Some("1")),
            header("", Some("an empty name")),
            header("null", None),
            header("empty", Some("")),
            header("", None),
            header("ünïcödé ✓", Some("ja")),
            header(&long, Some(&long)),
        ]),
        Message::of("many").headers(vec![header("same", Some("same")); 500]),
    ];
    let producer = kafka.client().await?.producer().build()?;
    let places = deliver(&producer, topic, &messages).await?;
    assert_java_reads(kafka, topic, &messages, &places)
}

async fn timestamps(kafka: &Kafka) -> Outcome {
    let topic = "timestamps";
    // A broker would throw away a log of 1970 at its next look.
    kafka.topic(topic, 1, &[("retention.ms", "-1")])?;
    let now = now_millis();
    // Up and down within one batch: their differences are what is stored. -1 is Kafka's "none".
    let times = [
        now,
        0,
        now - 86_400_000,
        1,
        now + 60_000,
        -86_400_000,
        i64::from(i32::MIN),
        now,
        -1,
    ];
    let mut messages: Vec<_> = times
        .into_iter()
        .map(|time| Message::of(time.to_string()).timestamp(time))
        .collect();
    messages.push(Message::of("the producer's clock"));
    let producer = kafka.client().await?.producer().build()?;
    let places = deliver(&producer, topic, &messages).await?;
    for (place, time) in places.iter().zip(times) {
        assert_eq!(place.timestamp_millis(), time);
    }
    let own = places.last().ok_or("no place")?.timestamp_millis();
    assert!(
        (now..=now_millis()).contains(&own),
        "{own} where it was {now}"
    );
    let typed = Record::to(topic)
        .value("typed")
        .timestamp(SystemTime::UNIX_EPOCH);
    let place = producer.send(typed.clone()).await?;
    assert_eq!(place.timestamp_millis(), 0);
    messages.push(Message::of("typed").timestamp(0));
    let places: Vec<_> = places.into_iter().chain([place]).collect();
    assert_java_reads(kafka, topic, &messages, &places)
}

async fn log_append_time(kafka: &Kafka) -> Outcome {
    let topic = "log-append-time";
    let config = ("message.timestamp.type", "LogAppendTime");
    kafka.topic(topic, 1, &[config])?;
    let messages = [
        Message::of("1").timestamp(1),
        Message::of("2"),
        Message::of("3").timestamp(3),
    ];
    let began = now_millis();
    let builder = kafka.client().await?.producer();
    for compression in [Compression::None, Compression::Lz4(None)] {
        let producer = builder.clone().compression(compression).build()?;
        let places = deliver(&producer, topic, &messages).await?;
        for place in &places {
            let time = place.timestamp_millis();
            assert!(
                (began..=now_millis()).contains(&time),
                "{time} where it was {began}"
            );
            let read = kafka.consume_all(topic)?;
            let found = read
                .iter()
                .find(|record| Some(record.offset) == place.offset());
            let found = found.ok_or("Java does not find the record")?;
            assert_eq!(found.timestamp, time);
            assert_eq!(found.timestamp_type, TimestampType::LogAppend);
        }
    }
    Ok(())
}

/// Every codec at its default, lowest and highest level, with the number that batches have of it.
const CODECS: [(Compression, u8); 12] = [
    (Compression::None, 0),
    (Compression::Gzip(None), 1),
    (Compression::Gzip(Some(1)), 1),
    (Compression::Gzip(Some(9)), 1),
    (Compression::Snappy, 2),
    (Compression::Lz4(None), 3),
    (Compression::Lz4(Some(1)), 3),
    (Compression::Lz4(Some(17)), 3),
    (Compression::Zstd(None), 4),
    (Compression::Zstd(Some(-7)), 4),
    (Compression::Zstd(Some(1)), 4),
    (Compression::Zstd(Some(4)), 4),
];

async fn codecs(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    // Words, repetition, and what no codec makes smaller; more than any codec's block in all.
    let mut messages: Vec<_> = (0..1500)
        .map(|number| {
            let text = format!("{{\"payment\":{number},\"currency\":\"JPY\",\"status\":\"paid\"}}");
            Message::of(text)
                .key(format!("customer-{}", number % 40))
                .partition(0)
        })
        .collect();
    messages.push(Message::of(vec![b'z'; 150_000]).partition(0));
    messages.push(Message::of(random_bytes(100_000)).partition(0));
    messages.push(Message::of("").headers([header("h", None)]).partition(0));
    for (number, (compression, code)) in CODECS.into_iter().enumerate() {
        let topic = format!("codec-{number}");
        kafka.topic(&topic, 1, &[])?;
        let producer = client
            .producer()
            .compression(compression)
            .batch_size(900_000)
            .linger(Duration::from_secs(10))
            .build()?;
        let places = deliver(&producer, &topic, &messages).await?;
        assert_java_reads(kafka, &topic, &messages, &places)?;
        let metrics = producer.metrics();
        let ratio = metrics.compression_ratio().unwrap_or_default();
        match compression {
            Compression::None => assert_eq!(ratio, 1.0),
            _ => assert!(ratio < 0.6, "{compression:?}: {ratio}"),
        }
        assert_eq!(
            (metrics.batches, metrics.retries),
            (1, 0),
            "{compression:?}"
        );
        assert_eq!(codec_on_disk(kafka, &topic)?, code, "{compression:?}");
    }
    Ok(())
}

/// The codec of a topic's first batch, as it lies on the broker's disk.
pub(crate) fn codec_on_disk(kafka: &Kafka, topic: &str) -> std::io::Result<u8> {
    let log = format!("node1/logs/{topic}-0/00000000000000000000.log");
    // Base offset, length, leader epoch, magic, CRC, then the attributes, whose lowest bits are the codec.
    let attributes = fs::read(kafka.dir().join(log))?.get(22).copied();
    Ok(attributes.unwrap_or_default() & 7)
}

async fn batch_sizes(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    for count in [1, 2, 100, 8000] {
        let topic = format!("batch-of-{count}");
        kafka.topic(&topic, 1, &[])?;
        // Longer than the test: only `flush` sends.
        let linger = Duration::from_secs(60);
        let producer = client
            .producer()
            .batch_size(900_000)
            .linger(linger)
            .build()?;
        let messages = Message::numbered(count);
        let places = deliver(&producer, &topic, &messages).await?;
        let offsets: Vec<_> = places.iter().filter_map(|place| place.offset()).collect();
        assert!(offsets.into_iter().eq(0..i64::try_from(count)?));
        assert_java_reads(kafka, &topic, &messages, &places)?;
        let metrics = producer.metrics();
        assert_eq!(
            (metrics.batches, metrics.records),
            (1, u64::try_from(count)?)
        );
    }
    Ok(())
}

async fn large_values(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("large-values", 1, &[("max.message.bytes", "8000000")])?;
    let builder = kafka.client().await?.producer();
    let producer = builder.max_request_size(7_000_000).build()?;
    let sizes = [
        0,
        1,
        63,
        64,
        8191,
        8192,
        131_000,
        131_072,
        1 << 20,
        6_990_000,
    ];
    let messages: Vec<_> = sizes
        .into_iter()
        .map(|size| Message::of(random_bytes(size)))
        .collect();
    let places = deliver(&producer, topic, &messages).await?;
    assert_java_reads(kafka, topic, &messages, &places)
}

async fn console(kafka: &Kafka) -> Outcome {
    let topic = "console";
    // Old records must not fall to the broker's next look at its logs.
    kafka.topic(topic, 1, &[("retention.ms", "-1")])?;
    let tagged = Message::of("paid").key("42").timestamp(1_700_000_000_123);
    let mut messages = vec![
        tagged.headers([
            header("a", Some("1")),
            header("a", Some("2")),
            header("b", None),
        ]),
        Message::of("").key(""),
        Message {
            key: Some(b"deleted".to_vec()),
            ..Message::default()
        },
        Message {
            value: Some(b"no key".to_vec()),
            ..Message::default()
        },
    ];
    for message in &mut messages {
        message.timestamp = Some(1_700_000_000_123);
    }
    let producer = kafka.client().await?.producer().build()?;
    deliver(&producer, topic, &messages).await?;
    let text = kafka.console_consume(topic, &[("null.literal", "NULL")])?;
    let expected = [
        ("0", "a:1,a:2,b:NULL", "42", "paid"),
        ("1", "NO_HEADERS", "", ""),
        ("2", "NO_HEADERS", "deleted", "NULL"),
        ("3", "NO_HEADERS", "NULL", "no key"),
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, (offset, headers, key, value)) in lines.into_iter().zip(expected) {
        let time = "CreateTime:1700000000123";
        let full = format!("{time}\tPartition:0\tOffset:{offset}\t{headers}\t{key}\t{value}");
        // The oldest console consumer knows neither offset nor headers, nor another word for null.
        let short = format!("{time}\t{key}\t{value}\t0").replace("NULL", "null");
        let old = kafka.version() == Version::V2_5_0;
        assert_eq!(line, if old { short } else { full });
    }
    Ok(())
}

async fn numbers(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("numbers", 1, &[])?;
    let producer = kafka.client().await?.producer().build()?;
    let sent = [
        (0, 0),
        (42, -42),
        (i64::MIN, i32::MAX),
        (i64::MAX, i32::MIN),
    ];
    for (key, value) in sent {
        let record = Record::to(topic).key(key).value(value);
        producer.send(record).await?;
    }
    let package = "org.apache.kafka.common.serialization";
    let long = format!("{package}.LongDeserializer");
    let integer = format!("{package}.IntegerDeserializer");
    let properties = [
        ("key.deserializer", &*long),
        ("value.deserializer", &*integer),
    ];
    let text = kafka.console_consume(topic, &properties)?;
    let expected = sent.map(|(key, value)| format!("\t{key}\t{value}"));
    assert_eq!(text.lines().count(), expected.len(), "{text}");
    for (line, end) in text.lines().zip(expected) {
        assert!(line.ends_with(&end), "{text}");
    }
    Ok(())
}

/// All of the above on a broker of another version.
async fn all(kafka: &Kafka) -> Outcome {
    nulls(kafka).await?;
    headers(kafka).await?;
    timestamps(kafka).await?;
    log_append_time(kafka).await?;
    codecs(kafka).await?;
    batch_sizes(kafka).await?;
    console(kafka).await?;
    made_anew::goes_on(kafka).await?;
    made_anew::with_fewer(kafka).await
}

async fn many_tasks(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("many-tasks", 4, &[])?;
    let builder = kafka.client().await?.producer();
    let producer = builder
        .compression(Compression::Lz4(None))
        .batch_size(4000)
        .build()?;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let producer = producer.clone();
            // One task's records go to one partition, where their order can be seen.
            let messages: Vec<_> = (0..2000)
                .map(|number| Message::of(format!("{task} {number}")).partition(task % 4))
                .collect();
            tokio::spawn(async move {
                let mut deliveries = Vec::new();
                for message in &messages {
                    deliveries.push(producer.enqueue(message.record("many-tasks")).await?);
                }
                let mut places = Vec::new();
                for delivery in deliveries {
                    places.push(delivery.await?);
                }
                Ok::<_, Error>((messages, places))
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        let (messages, places) = task.await??;
        let offsets: Vec<_> = places.iter().filter_map(|place| place.offset()).collect();
        assert!(offsets.is_sorted(), "one task's records are out of order");
        all.extend(messages.into_iter().zip(places));
    }
    // By place: of different tasks nobody knows who was first.
    all.sort_by_key(|(_, place)| (place.partition(), place.offset()));
    let (messages, places): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    assert_java_reads(kafka, topic, &messages, &places)
}
