//! Sends batches built beforehand, and reads the answers in a second thread.

use crate::wire;
use anyhow::ensure;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use peers::work::{Work, payload};
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

/// One batch for each of this many partitions in a request.
const BATCHES: usize = 3;
const IN_FLIGHT: usize = 5;
const VERSION: i16 = 9;

/// A whole Produce request and the number of its records.
pub(crate) struct Frame {
    bytes: Bytes,
    records: u64,
}

/// Requests that together have a full batch for each partition.
pub(crate) fn frames(work: &Work) -> anyhow::Result<Vec<Frame>> {
    ensure!(
        work.compression == "none" && !work.keyed,
        "the floor neither compresses nor partitions"
    );
    let partitions: Vec<i32> = (0..work.partitions).collect();
    partitions
        .chunks(BATCHES)
        .map(|group| frame(work, group))
        .collect()
}

/// Sends `frames` in turn until `work.records` records are acknowledged, or a few more; their number.
pub(crate) fn send(work: &Work, broker: &str, frames: &[Frame]) -> anyhow::Result<u64> {
    let mut socket = wire::connect(broker)?;
    let answers = socket.try_clone()?;
    let (sent, in_flight) = sync_channel(IN_FLIGHT);
    let reader = std::thread::spawn(move || read_answers(answers, in_flight));
    let mut records = 0;
    for frame in frames.iter().cycle() {
        // The channel only closes when the reader has failed; its error says why.
        if records >= work.records || sent.send(()).is_err() {
            break;
        }
        socket.write_all(&frame.bytes)?;
        records += frame.records;
    }
    drop(sent);
    reader.join().expect("the reader does not panic")?;
    Ok(records)
}

/// Reads one answer for each request sent, until there are no more.
fn read_answers(mut socket: TcpStream, in_flight: Receiver<()>) -> anyhow::Result<()> {
    let mut buffer = BytesMut::new();
    while in_flight.recv().is_ok() {
        let frame = wire::read(&mut socket, buffer)?;
        let answer: ProduceResponse = wire::answer(&frame, VERSION)?;
        for topic in answer.responses {
            for partition in topic.partition_responses {
                ensure!(
                    partition.error_code == 0,
                    "partition {}: error {}",
                    partition.index,
                    partition.error_code
                );
            }
        }
        buffer = wire::reuse(frame);
    }
    Ok(())
}

/// A request with one full batch for each of `partitions`.
fn frame(work: &Work, partitions: &[i32]) -> anyhow::Result<Frame> {
    let (batch, records) = batch(work);
    let mut topic =
        TopicProduceData::default().with_name(TopicName(StrBytes::from_string(work.topic.clone())));
    for partition in partitions {
        let data = PartitionProduceData::default()
            .with_index(*partition)
            .with_records(Some(batch.clone()));
        topic.partition_data.push(data);
    }
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    Ok(Frame {
        bytes: wire::frame(ApiKey::Produce, VERSION, &request)?,
        records: records * partitions.len() as u64,
    })
}

/// A full batch, uncompressed, without producer id, and the number of its records.
pub(crate) fn batch(work: &Work) -> (Bytes, u64) {
    let mut records = Vec::new();
    let mut count = 0;
    loop {
        let record = record(work, count);
        if records.len() + record.len() > work.batch_size && count > 0 {
            break;
        }
        records.extend(record);
        count += 1;
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_millis() as i64;
    let mut checked = Vec::new();
    checked.put_i16(0); // attributes
    checked.put_i32(count as i32 - 1); // last offset delta
    checked.put_i64(now); // base timestamp
    checked.put_i64(now); // maximum timestamp
    checked.put_i64(-1); // producer id
    checked.put_i16(-1); // producer epoch
    checked.put_i32(-1); // base sequence
    checked.put_i32(count as i32);
    checked.extend(records);
    let mut batch = BytesMut::new();
    batch.put_i64(0); // base offset
    // What follows: leader epoch, magic and checksum, then the checked part.
    batch.put_i32(checked.len() as i32 + 9);
    batch.put_i32(-1); // leader epoch
    batch.put_u8(2); // magic
    batch.put_u32(crc32c::crc32c(&checked));
    batch.put_slice(&checked);
    (batch.freeze(), count)
}

fn record(work: &Work, i: u64) -> Vec<u8> {
    let value = payload(i, work.size);
    let mut body = vec![0]; // attributes
    put_varint(&mut body, 0); // timestamp delta
    put_varint(&mut body, i as i64); // offset delta
    put_varint(&mut body, -1); // no key
    put_varint(&mut body, value.len() as i64);
    body.extend(value);
    put_varint(&mut body, 0); // no headers
    let mut record = Vec::new();
    put_varint(&mut record, body.len() as i64);
    record.extend(body);
    record
}

fn put_varint(to: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        to.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}
