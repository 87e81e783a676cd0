//! Reads: each request asks for all partitions, outside of a session; each answer's batches are counted by their headers
//! and their checksums compared. Nothing is decompressed, no record is looked at.

use crate::wire;
use anyhow::{Context, ensure};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use peers::work::Work;
use std::io::Write;

/// The last that names topics instead of their ids.
const VERSION: i16 = 12;

/// As much as clients ask for by default: Kafka's `fetch.max.bytes`, `max.partition.fetch.bytes`, `fetch.max.wait.ms`.
const MAX_BYTES: i32 = 50 << 20;
const PARTITION_MAX_BYTES: i32 = 1 << 20;
const MAX_WAIT_MS: i32 = 500;

/// Reads `work.records` records from the beginning; their number, when every partition's came without a gap.
pub(crate) fn fetch(work: &Work, broker: &str) -> anyhow::Result<u64> {
    let mut socket = wire::connect(broker)?;
    let mut next = vec![0; work.partitions as usize];
    let mut buffer = BytesMut::new();
    let mut records = 0;
    socket.write_all(&request(work, &next)?)?;
    loop {
        let frame = wire::read(&mut socket, buffer)?;
        let fetched = fetched(&frame)?;
        for (partition, bytes) in &fetched {
            records += advance(&mut next[*partition], bytes)
                .with_context(|| format!("partition {partition}"))?;
        }
        // Asked before the sums are compared, so that the broker works meanwhile.
        let done = records >= work.records;
        if !done {
            socket.write_all(&request(work, &next)?)?;
        }
        for batch in fetched.iter().flat_map(|(_, bytes)| batches(bytes)) {
            batch.check()?;
        }
        if done {
            break;
        }
        drop(fetched);
        buffer = wire::reuse(frame);
    }
    ensure!(
        records == work.records,
        "{records} records came instead of {}",
        work.records
    );
    Ok(records)
}

fn request(work: &Work, next: &[i64]) -> anyhow::Result<Bytes> {
    let partition = |(partition, next): (i32, &i64)| {
        FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(*next)
            .with_partition_max_bytes(PARTITION_MAX_BYTES)
    };
    let topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_string(work.topic.clone())))
        .with_partitions((0..).zip(next).map(partition).collect());
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(MAX_WAIT_MS)
        .with_min_bytes(1)
        .with_max_bytes(MAX_BYTES)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    wire::frame(ApiKey::Fetch, VERSION, &request)
}

/// Each partition's batches in an answer.
fn fetched(frame: &Bytes) -> anyhow::Result<Vec<(usize, Bytes)>> {
    let answer: FetchResponse = wire::answer(frame, VERSION)?;
    ensure!(answer.error_code == 0, "error {}", answer.error_code);
    let mut fetched = Vec::new();
    for partition in answer.responses.into_iter().flat_map(|t| t.partitions) {
        let (index, error) = (partition.partition_index, partition.error_code);
        ensure!(error == 0, "partition {index}: error {error}");
        fetched.push((index as usize, partition.records.unwrap_or_default()));
    }
    Ok(fetched)
}

/// Moves `next` behind the batches that `bytes` holds; the number of their records.
fn advance(next: &mut i64, bytes: &[u8]) -> anyhow::Result<u64> {
    let mut records = 0;
    for batch in batches(bytes) {
        let (offset, count) = (batch.base_offset(), batch.records());
        ensure!(offset == *next, "offset {offset} came instead of {next}");
        *next += i64::from(count);
        records += u64::from(count);
    }
    ensure!(bytes.is_empty() || records > 0, "no whole batch came");
    Ok(records)
}

/// A whole record batch of the format of today, magic 2.
struct Batch<'a>(&'a [u8]);

/// Where what the checksum covers begins, and how long the header is.
const CHECKED: usize = 21;
const HEADER: usize = 61;

/// The whole batches in `bytes`; a broker may cut the last one off.
fn batches(mut bytes: &[u8]) -> impl Iterator<Item = Batch<'_>> {
    std::iter::from_fn(move || {
        let length = 12 + bytes.get(8..12)?.get_u32() as usize;
        let (batch, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        (length >= HEADER).then_some(Batch(batch))
    })
}

impl Batch<'_> {
    fn base_offset(&self) -> i64 {
        (&self.0[..8]).get_i64()
    }

    fn records(&self) -> u32 {
        (&self.0[57..HEADER]).get_u32()
    }

    fn check(&self) -> anyhow::Result<()> {
        let told = (&self.0[17..CHECKED]).get_u32();
        ensure!(
            crc32c::crc32c(&self.0[CHECKED..]) == told,
            "the checksum of the batch at offset {} is wrong",
            self.base_offset()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::produce::batch;

    /// Two batches, the second one behind the first.
    fn two() -> (Vec<u8>, u64) {
        let (batch, records) = batch(&Work::default());
        let mut both = [&batch[..], &batch[..]].concat();
        both[batch.len()..][..8].copy_from_slice(&records.to_be_bytes());
        (both, records)
    }

    #[test]
    fn whole_batches_count_and_one_that_is_cut_off_is_left_for_later() {
        let (both, records) = two();
        let mut next = 0;
        assert_eq!(advance(&mut next, &both).ok(), Some(2 * records));
        assert_eq!(next as u64, 2 * records);
        next = 0;
        assert_eq!(
            advance(&mut next, &both[..both.len() - 1]).ok(),
            Some(records)
        );
        assert_eq!(next as u64, records);
        assert_eq!(advance(&mut next, &[]).ok(), Some(0));
    }

    #[test]
    fn a_gap_and_an_answer_without_progress_are_errors() {
        let (both, _) = two();
        assert!(advance(&mut 1, &both).is_err());
        assert!(advance(&mut 0, &both[..100]).is_err());
    }

    #[test]
    fn a_changed_byte_is_found() {
        let (mut both, _) = two();
        let sound = |both: &[u8]| batches(both).all(|batch| batch.check().is_ok());
        assert!(sound(&both));
        *both.last_mut().expect("bytes") ^= 1;
        assert!(!sound(&both));
    }
}
