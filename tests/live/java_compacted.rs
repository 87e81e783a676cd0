//! Of a compacted log what is left is handed out, in order, and from any offset on.

use std::collections::HashMap;
use std::time::Duration;

use kafka_cluster::{JavaProducer, ProducedRecord, Version};
use ottla::{Client, Consumer, Error, IsolationLevel, OffsetReset, TopicPartition};
use tokio::time::timeout;

use super::support::{
    By, Kafka, Message, Outcome, SOON, Suite, all_of, by_place, now_millis, read_to, until,
};

const TOPIC: &str = "java-compacted";
const PARTITIONS: i32 = 2;

pub(crate) fn older_brokers(suite: &mut Suite) {
    let oldest = "java_compacted::kafka_2_5_0_gives_what_is_left";
    suite.on(Version::V2_5_0, oldest, compacted);
    let older = "java_compacted::kafka_3_9_1_gives_what_is_left";
    suite.on(Version::V3_9_1, older, compacted);
}

pub(crate) fn promises(suite: &mut Suite) {
    let name = "java_compacted::what_is_left_comes_in_order_and_from_any_offset_on";
    suite.shared(name, compacted);
}

async fn consumer(client: &Client, level: IsolationLevel) -> Result<Consumer, Error> {
    client
        .standalone_consumer()
        .isolation(level)
        .offset_reset(OffsetReset::Earliest)
        // A few batches at a time, so that fetches begin and end at gaps.
        .partition_fetch_bytes(1000)
        // A seek waits for the fetch that is under way.
        .fetch_max_wait(Duration::from_millis(10))
        .assign(all_of(TOPIC, PARTITIONS))
        .build()
        .await
}

/// What is sent, a round at a time, and what of it compaction leaves.
struct Log<'a> {
    kafka: &'a Kafka,
    round: i64,
    started: i64,
    /// Each record's key, by place.
    records: Vec<((i32, i64), Vec<u8>)>,
    /// Where the active segments begin, of which nothing is cleaned.
    active: HashMap<i32, i64>,
}

impl Log<'_> {
    /// Each round is a segment: its records are more than `segment.ms` younger than the last one's.
    fn round(&mut self) {
        self.round += 1;
        self.active.clear();
    }

    /// Sends a record of each of these keys to each partition.
    fn send(
        &mut self,
        producer: &JavaProducer<'_>,
        keys: impl Iterator<Item = usize>,
        is_kept: bool,
    ) -> Outcome {
        let mut records: Vec<ProducedRecord> = Vec::new();
        for key in keys {
            for partition in 0..PARTITIONS {
                let mut message = Message::of(format!("round {} of {key}", self.round))
                    .key(format!("key {key}"))
                    .partition(partition)
                    .timestamp(self.started + self.round * 10_000);
                // A tombstone, which stays for a day.
                if key % 11 == 0 {
                    message.value = None;
                }
                records.push(message.for_java());
            }
        }
        let places = producer.send(TOPIC, &records)?;
        for (place, record) in places.into_iter().zip(records) {
            self.active.entry(place.0).or_insert(place.1);
            if is_kept {
                self.records.push((place, record.key.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// The last record of each key before the active segment, and all of that.
    fn left(&self) -> Vec<(i32, i64)> {
        let mut last = HashMap::new();
        let is_active = |(partition, offset): (i32, i64)| offset >= self.active[&partition];
        for (place, key) in self.records.iter().filter(|(place, _)| !is_active(*place)) {
            last.insert((place.0, key), *place);
        }
        let places = self.records.iter().map(|(place, _)| *place);
        let mut left: Vec<_> = places
            .filter(|place| is_active(*place))
            .chain(last.into_values())
            .collect();
        left.sort();
        left
    }

    fn places(&self) -> Option<Vec<(i32, i64)>> {
        let read = by_place(self.kafka.consume_all(TOPIC).ok()?);
        let places = read.iter().map(|record| (record.partition, record.offset));
        Some(places.collect())
    }
}

/// Fills the topic, and waits until it was compacted.
async fn fill(log: &mut Log<'_>) -> Outcome {
    let kafka = log.kafka;
    let settings = [
        ("compression.type", "lz4"),
        ("batch.size", "400"),
        ("linger.ms", "20"),
    ];
    let producer = kafka.java_producer(&settings)?;
    // Of one that writes once and never again its last batch is kept, though empty.
    let once = kafka.java_producer(&settings)?;
    let transactional =
        kafka.java_producer(&[("transactional.id", TOPIC), ("batch.size", "400")])?;
    log.send(&producer, 0..100, true)?;
    log.round();
    log.send(&once, 0..40, true)?;
    log.round();
    // All of this segment goes.
    log.send(&producer, (20..60).chain(20..60), true)?;
    log.round();
    transactional.begin()?;
    log.send(&transactional, 30..70, false)?;
    transactional.abort()?;
    transactional.begin()?;
    log.send(&transactional, 10..30, true)?;
    transactional.commit()?;
    log.round();
    log.send(&producer, (0..90).filter(|key| key % 4 != 0), true)?;
    log.round();
    log.send(&producer, 40..50, true)?;
    log.send(&producer, 40..50, true)?;
    let left = log.left();
    assert!(left.len() < log.records.len() / 2);
    let is_compacted = || log.places().is_some_and(|places| places == left);
    until("the compacted log", is_compacted).await
}

async fn compacted(kafka: &Kafka) -> Outcome {
    let config = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1000"),
        ("min.cleanable.dirty.ratio", "0"),
        ("max.compaction.lag.ms", "1"),
    ];
    kafka.topic(TOPIC, PARTITIONS, &config)?;
    let mut log = Log {
        kafka,
        round: 0,
        // Ahead of the markers, whose time is the broker's, and which must not begin segments.
        started: now_millis() + 10_000,
        records: Vec::new(),
        active: HashMap::new(),
    };
    fill(&mut log).await?;
    let left = log.left();
    let expected = by_place(kafka.consume_all(TOPIC)?);
    assert_eq!(by_place(kafka.consume_committed(TOPIC)?), expected);
    let client = kafka.client().await?;
    let ends = kafka.offsets(TOPIC)?;
    for level in [
        IsolationLevel::ReadUncommitted,
        IsolationLevel::ReadCommitted,
    ] {
        for by in [By::Poll, By::Recv] {
            let mut consumer = consumer(&client, level).await?;
            let read = by_place(read_to(&mut consumer, TOPIC, &ends, by).await?);
            assert_eq!(read, expected, "{level:?} {by:?}");
            for partition in consumer.assignment() {
                assert_eq!(consumer.lag(&partition)?, Some(0));
            }
        }
        // Every offset, that of a record that is left as well as any in a gap.
        let mut consumer = consumer(&client, level).await?;
        for partition in all_of(TOPIC, PARTITIONS) {
            seek_everywhere(&mut consumer, &partition, &left).await?;
        }
    }
    Ok(())
}

async fn seek_everywhere(
    consumer: &mut Consumer,
    partition: &TopicPartition,
    left: &[(i32, i64)],
) -> Outcome {
    let others = all_of(TOPIC, PARTITIONS);
    for other in others.iter().filter(|other| *other != partition) {
        consumer.pause(other)?;
    }
    let offsets = left.iter().filter(|place| place.0 == partition.partition());
    let offsets: Vec<i64> = offsets.map(|place| place.1).collect();
    let last = *offsets.last().ok_or("nothing is left")?;
    for from in 0..=last {
        consumer.seek(partition, from)?;
        assert_eq!(consumer.position(partition)?, Some(from));
        let next = offsets[offsets.partition_point(|offset| *offset < from)];
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        let place = (record.topic_partition(), record.offset());
        assert_eq!(place, (partition, next), "from {from}");
    }
    // Behind the last record nothing comes, whatever the log ends with.
    consumer.seek(partition, last + 1)?;
    let idle = timeout(Duration::from_millis(300), consumer.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    for other in &others {
        consumer.resume(other)?;
    }
    Ok(())
}
