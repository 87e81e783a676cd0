//! Reading partitions to their ends, and comparing what came with what Java's consumer reads.

use std::collections::HashMap;
use std::time::Duration;

use kafka_cluster::{ConsumedRecord, PartitionOffsets};
use libtest_mimic::Failed;
use ottla::{Consumer, RecordRef, TopicPartition};
use tokio::time::{Instant, timeout};

/// Longest wait for a record that is there.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How long a call is waited for before the positions are looked at again.
const GLANCE: Duration = Duration::from_millis(50);

/// By which call records are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Poll,
    Recv,
}

/// Every partition of a topic.
pub(crate) fn all_of(topic: &str, partitions: i32) -> Vec<TopicPartition> {
    (0..partitions)
        .map(|partition| TopicPartition::new(topic, partition))
        .collect()
}

/// A record as Java's consumer would tell of it.
pub(crate) fn told(record: RecordRef<'_>) -> ConsumedRecord {
    ConsumedRecord {
        partition: record.partition(),
        offset: record.offset(),
        timestamp: record.timestamp_millis(),
        timestamp_type: match record.timestamp_type() {
            ottla::TimestampType::LogAppendTime => kafka_cluster::TimestampType::LogAppend,
            _ => kafka_cluster::TimestampType::Create,
        },
        key: record.key().map(<[u8]>::to_vec),
        value: record.value().map(<[u8]>::to_vec),
        headers: record
            .headers()
            .map(|header| (header.name().to_owned(), header.value().map(<[u8]>::to_vec)))
            .collect(),
    }
}

/// In one order, whatever the order in which partitions came.
pub(crate) fn by_place(mut records: Vec<ConsumedRecord>) -> Vec<ConsumedRecord> {
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Each partition's offsets rise.
pub(crate) fn assert_in_order(records: &[ConsumedRecord]) {
    let mut last = HashMap::new();
    for record in records {
        let before = last.insert(record.partition, record.offset);
        assert!(before.is_none_or(|before| before < record.offset));
    }
}

/// Takes records until every partition's position is its end; they are in order, and fewer than `SOON` apart.
///
/// The position tells the end, and not the last record: a log may end with what is never handed out.
pub(crate) async fn read_to(
    consumer: &mut Consumer,
    topic: &str,
    ends: &[PartitionOffsets],
    by: By,
) -> Result<Vec<ConsumedRecord>, Failed> {
    let mut records = Vec::new();
    let mut last = Instant::now();
    loop {
        let mut behind = Vec::new();
        for end in ends {
            let position = consumer.position(&TopicPartition::new(topic, end.partition))?;
            if position.is_none_or(|position| position < end.end) {
                behind.push((*end, position));
            }
        }
        if behind.is_empty() {
            assert_in_order(&records);
            return Ok(records);
        }
        if last.elapsed() > SOON {
            let read = records.len();
            return Err(format!("no progress after {read} records: {behind:?}").into());
        }
        let before = records.len();
        match by {
            By::Recv => {
                if let Ok(record) = timeout(GLANCE, consumer.recv()).await {
                    records.push(told(record?.ok_or("the end")?.as_ref()));
                }
            }
            By::Poll => {
                if let Ok(polled) = timeout(GLANCE, consumer.poll()).await {
                    records.extend(polled?.ok_or("the end")?.iter().map(told));
                }
            }
        }
        if records.len() > before {
            last = Instant::now();
        }
    }
}
