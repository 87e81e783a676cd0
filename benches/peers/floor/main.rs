//! The floor: batches built beforehand, pushed through one plain blocking socket. The least that
//! any client could spend.
//!
//! It knows no leaders: every partition must live on the first broker of the list.

use anyhow::{Context, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use clap::Parser;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use peers::figures::{Figures, Outcome};
use peers::usage::Usage;
use peers::work::{Work, payload};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One batch for each of this many partitions in a request.
const BATCHES: usize = 3;
const IN_FLIGHT: usize = 5;
const VERSION: i16 = 9;

/// A whole Produce request and the number of its records.
struct Frame {
    bytes: Bytes,
    records: u64,
}

#[derive(Parser)]
#[command(
    about = "Batches built beforehand through one plain socket: prints one JSON line of figures"
)]
struct Args {
    #[command(flatten)]
    work: Work,
}

fn main() -> anyhow::Result<()> {
    let Args { work } = Args::parse();
    ensure!(
        work.compression == "none" && !work.keyed,
        "the floor neither compresses nor partitions"
    );
    let broker = work.brokers.split(',').next().context("no broker named")?;
    let partitions: Vec<i32> = (0..work.partitions).collect();
    let frames = partitions
        .chunks(BATCHES)
        .map(|group| frame(&work, group))
        .collect::<anyhow::Result<Vec<_>>>()?;

    let (before, start) = (Usage::so_far(), Instant::now());
    let mut socket = TcpStream::connect(broker)?;
    socket.set_nodelay(true)?;
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
    let (wall, after) = (start.elapsed(), Usage::so_far());
    Figures::new(
        "floor",
        "produce",
        &work,
        &Outcome::records(records),
        wall,
        before,
        after,
    )
    .print()
}

/// Reads one answer for each request sent, until there are no more.
fn read_answers(mut socket: TcpStream, in_flight: Receiver<()>) -> anyhow::Result<()> {
    let mut answer = Vec::new();
    while in_flight.recv().is_ok() {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        answer.resize(u32::from_be_bytes(length) as usize, 0);
        socket.read_exact(&mut answer)?;
        let mut bytes = Bytes::copy_from_slice(&answer);
        ResponseHeader::decode(&mut bytes, 1)?;
        for topic in ProduceResponse::decode(&mut bytes, VERSION)?.responses {
            for partition in topic.partition_responses {
                ensure!(
                    partition.error_code == 0,
                    "partition {}: error {}",
                    partition.index,
                    partition.error_code
                );
            }
        }
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
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("floor")));
    let mut body = BytesMut::new();
    header.encode(&mut body, 2)?;
    request.encode(&mut body, VERSION)?;
    let mut bytes = BytesMut::new();
    bytes.put_u32(body.len() as u32);
    bytes.put(body);
    Ok(Frame {
        bytes: bytes.freeze(),
        records: records * partitions.len() as u64,
    })
}

/// A full batch, uncompressed, without producer id, and the number of its records.
fn batch(work: &Work) -> (Bytes, u64) {
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
