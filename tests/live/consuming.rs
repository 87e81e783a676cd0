//! The consumer hands out what Java's consumer reads, once and in order, wherever it is told to go.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use kafka_cluster::Version;
use ottla::{Client, Compression, Consumer, Error, ErrorCode, OffsetReset, TopicPartition};
use tokio::time::timeout;

use super::support::{
    Kafka, Message, Outcome, SOON, Suite, all_of, assert_in_order, by_place, deliver, header,
    random_bytes, told,
};

pub(crate) fn promises(suite: &mut Suite) {
    for (version, name) in [
        (Version::V2_5_0, "consuming::what_java_reads_from_2_5_0"),
        (Version::V3_9_1, "consuming::what_java_reads_from_3_9_1"),
        (Version::V4_3_0, "consuming::what_java_reads_from_4_3_0"),
    ] {
        suite.on(version, name, what_java_reads);
    }
    suite.shared("consuming::a_seek_lets_nothing_stale_through", seeks);
    suite.shared("consuming::a_pause_keeps_what_is_buffered", pauses);
    suite.shared("consuming::a_dropped_call_loses_nothing", dropped_calls);
    suite.shared(
        "consuming::a_position_that_is_gone_is_reset_or_told",
        out_of_range,
    );
    suite.shared("consuming::times_and_ends_are_found", times);
    suite.shared("consuming::new_records_arrive_at_once", news);
    suite.shared("consuming::a_stopped_consumer_returns_none", stops);
}

async fn reader(client: &Client, topic: &str, partitions: i32) -> Result<Consumer, Error> {
    client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign(all_of(topic, partitions))
        .build()
        .await
}

async fn what_java_reads(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("consuming-all", 3, &[])?;
    let client = kafka.client().await?;
    let some = |bytes: &str| Some(bytes.as_bytes().to_vec());
    for codec in [
        Compression::None,
        Compression::Gzip(None),
        Compression::Snappy,
        Compression::Lz4(None),
        Compression::Zstd(None),
    ] {
        let mut messages = Message::numbered(500);
        for (at, message) in messages.iter_mut().enumerate() {
            message.partition = Some(at as i32 % 3);
            message.key = [None, some(""), some("key")][at % 3].clone();
            if at % 7 == 0 {
                message.value = None;
            }
            if at % 5 == 0 {
                message.headers = vec![
                    header("a", Some("1")),
                    header("a", None),
                    header("", Some("")),
                ];
            }
        }
        messages.push(Message::of(random_bytes(300_000)).partition(1));
        let producer = client.producer().compression(codec).build()?;
        deliver(&producer, topic, &messages).await?;
    }
    let expected = by_place(kafka.consume_all(topic)?);

    let mut consumer = reader(&client, topic, 3).await?;
    let mut polled = Vec::new();
    while polled.len() < expected.len() {
        let records = timeout(SOON, consumer.poll()).await??.ok_or("the end")?;
        assert!((1..=500).contains(&records.len()));
        polled.extend(records.iter().map(told));
    }
    assert_in_order(&polled);
    assert_eq!(by_place(polled), expected);

    let mut consumer = reader(&client, topic, 3).await?;
    let mut received = Vec::new();
    while received.len() < expected.len() {
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        received.push(told(record.as_ref()));
    }
    assert_in_order(&received);
    assert_eq!(by_place(received), expected);
    for partition in all_of(topic, 3) {
        assert_eq!(consumer.lag(&partition)?, Some(0));
    }
    Ok(())
}

async fn filled(
    kafka: &Kafka,
    topic: &str,
    partitions: i32,
    records: usize,
) -> Result<Client, libtest_mimic::Failed> {
    kafka.topic(topic, partitions, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().batch_size(2000).build()?;
    let mut messages = Message::numbered(records);
    for (at, message) in messages.iter_mut().enumerate() {
        message.partition = Some(at as i32 % partitions);
    }
    deliver(&producer, topic, &messages).await?;
    Ok(client)
}

async fn seeks(kafka: &Kafka) -> Outcome {
    let client = filled(kafka, "seeks", 2, 4000).await?;
    let mut consumer = reader(&client, "seeks", 2).await?;
    let partitions = all_of("seeks", 2);
    let mut next: HashMap<i32, i64> = HashMap::from([(0, 0), (1, 0)]);
    for round in 0..300 {
        for _ in 0..fastrand::u32(..30) {
            if next.values().all(|offset| *offset >= 2000) {
                break;
            }
            let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
            let expected = next.insert(record.partition(), record.offset() + 1);
            assert_eq!(Some(record.offset()), expected, "round {round}");
        }
        let number = fastrand::usize(..2);
        let offset = fastrand::i64(0..2000);
        consumer.seek(&partitions[number], offset)?;
        assert_eq!(consumer.position(&partitions[number])?, Some(offset));
        next.insert(number as i32, offset);
    }
    Ok(())
}

async fn pauses(kafka: &Kafka) -> Outcome {
    let client = filled(kafka, "pauses", 2, 4000).await?;
    let mut consumer = reader(&client, "pauses", 2).await?;
    let partitions = all_of("pauses", 2);
    let mut counts = [0, 0];
    let take = async |consumer: &mut Consumer, counts: &mut [i64; 2]| -> Outcome {
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        let count = &mut counts[record.partition() as usize];
        assert_eq!(record.offset(), *count);
        *count += 1;
        Ok(())
    };
    for _ in 0..100 {
        take(&mut consumer, &mut counts).await?;
    }
    consumer.pause(&partitions[0])?;
    let before = counts[0];
    while counts[1] < 2000 {
        take(&mut consumer, &mut counts).await?;
    }
    assert_eq!(counts[0], before, "a paused partition is handed out");
    let idle = timeout(Duration::from_millis(300), consumer.recv()).await;
    assert!(idle.is_err(), "a paused partition is handed out");
    consumer.resume(&partitions[0])?;
    while counts[0] < 2000 {
        take(&mut consumer, &mut counts).await?;
    }
    Ok(())
}

async fn dropped_calls(kafka: &Kafka) -> Outcome {
    let client = filled(kafka, "dropped", 3, 3000).await?;
    let mut consumer = reader(&client, "dropped", 3).await?;
    let mut next = [0i64; 3];
    while next.iter().sum::<i64>() < 3000 {
        let wait = Duration::from_micros(fastrand::u64(..50));
        if fastrand::bool() {
            if let Ok(record) = timeout(wait, consumer.recv()).await {
                let record = record?.ok_or("the end")?;
                let place = &mut next[record.partition() as usize];
                assert_eq!(record.offset(), *place);
                *place += 1;
            }
        } else if let Ok(records) = timeout(wait, consumer.poll()).await {
            for record in &records?.ok_or("the end")? {
                let place = &mut next[record.partition() as usize];
                assert_eq!(record.offset(), *place);
                *place += 1;
            }
        }
    }
    Ok(())
}

async fn out_of_range(kafka: &Kafka) -> Outcome {
    let client = filled(kafka, "gone", 1, 1000).await?;
    kafka.delete_records("gone", 0, 600)?;
    let partition = TopicPartition::new("gone", 0);
    for (reset, expected) in [
        (OffsetReset::Earliest, Some(600)),
        (OffsetReset::None, None),
    ] {
        let mut consumer = client
            .standalone_consumer()
            .offset_reset(reset)
            .assign([partition.clone()])
            .build()
            .await?;
        consumer.seek(&partition, 100)?;
        let found = timeout(SOON, consumer.recv()).await?;
        match expected {
            Some(offset) => assert_eq!(found?.ok_or("the end")?.offset(), offset),
            None => {
                let Err(Error::NoOffset {
                    partition: told, ..
                }) = found
                else {
                    return Err(format!("{found:?}").into());
                };
                assert_eq!(told, partition);
                consumer.seek(&partition, 700)?;
                let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
                assert_eq!(record.offset(), 700);
            }
        }
    }
    Ok(())
}

async fn times(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("times", 1, &[("retention.ms", "-1")])?;
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    let messages: Vec<_> = (0..100)
        .map(|at| Message::of("x").timestamp(1_700_000_000_000 + at * 1000))
        .collect();
    deliver(&producer, topic, &messages).await?;
    let partition = TopicPartition::new(topic, 0);
    let mut consumer = reader(&client, topic, 1).await?;
    let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    consumer.seek_to_time(&partition, at(1_700_000_041_500))?;
    let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    assert_eq!(record.offset(), 42);
    consumer.seek_to_beginning(&partition)?;
    let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    assert_eq!(record.offset(), 0);
    let all = [partition.clone()];
    assert_eq!(consumer.beginning_offsets(all.clone()).await?, [0]);
    assert_eq!(consumer.end_offsets(all).await?, [100]);
    let asked = [1_700_000_041_500, 1_800_000_000_000].map(|time| (partition.clone(), at(time)));
    let found = consumer.offsets_for_times(asked).await?;
    assert_eq!((found[0].offset, found[1].offset), (Some(42), None));
    let nowhere = TopicPartition::new("no-such-topic", 0);
    let error = consumer.end_offsets([nowhere]).await.unwrap_err();
    assert_eq!(
        error.broker_code(),
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    );
    // Behind the last record's time, and at the end: the next one written.
    for to_end in [false, true] {
        if to_end {
            consumer.seek_to_end(&partition)?;
        } else {
            consumer.seek_to_time(&partition, at(1_800_000_000_000))?;
        }
        let idle = timeout(Duration::from_millis(700), consumer.recv()).await;
        assert!(idle.is_err(), "{idle:?}");
        let places = deliver(&producer, topic, &[Message::of("new")]).await?;
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        assert_eq!(Some(record.offset()), places[0].offset());
    }
    Ok(())
}

async fn news(kafka: &Kafka) -> Outcome {
    let client = filled(kafka, "news", 1, 1).await?;
    let producer = client.producer().linger(Duration::ZERO).build()?;
    let mut consumer = reader(&client, "news", 1).await?;
    timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    for number in 1..200 {
        let sent = deliver(&producer, "news", &[Message::of("x")]).await?;
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        assert_eq!(record.offset(), number);
        assert_eq!(sent[0].offset(), Some(number));
    }
    Ok(())
}

async fn stops(kafka: &Kafka) -> Outcome {
    let client = filled(kafka, "stops", 1, 10).await?;
    let mut consumer = reader(&client, "stops", 1).await?;
    timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    let handle = consumer.handle();
    handle.stop();
    assert!(timeout(SOON, consumer.recv()).await??.is_none());
    assert!(timeout(SOON, consumer.poll()).await??.is_none());
    drop(consumer);
    assert!(handle.seek(&TopicPartition::new("other", 0), 1).is_err());
    Ok(())
}
