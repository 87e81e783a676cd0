//! What the fuzz targets call: decoders on any bytes, and promises that hold for all of them.
//!
//! Only there under `cfg(fuzzing)`, which cargo-fuzz sets. A broken promise is a panic.

#![allow(
    clippy::indexing_slicing,
    reason = "a panic here is a finding, as it is in a test"
)]

// The frames are the connection's own, out of reach from here: compiled once more rather than opened up.
#[path = "net/frames.rs"]
#[allow(clippy::duplicate_mod)]
#[allow(dead_code, reason = "only the connection looks at what is unread")]
mod frames;

use bytes::{Buf, Bytes};

use self::frames::Frames;
use crate::batch::{
    Batch, BatchWriter, Batches, ClosedBatch, HEADER_LEN, Headers, RecordParts, Records, Spares,
    Unreadable, control_type, reclaim, restamp, size_bound,
};
use crate::config::Compression;
use crate::record::Header;
use crate::types::ProducerId;
use crate::wire::{
    ApiKey, ApiVersions, Call, CreateTopics, DeleteTopics, Fetch, FindCoordinator, Heartbeat,
    InitProducerId, JoinGroup, LeaveGroup, ListOffsets, Malformed, MetadataCall, OffsetCommit,
    OffsetFetch, OffsetForLeaderEpoch, SyncGroup, decode_produce, recognise_foreign,
    split_response,
};

/// The largest answer, and the most bytes out of a decompressor; far above what the inputs are.
const LIMIT: usize = 1 << 20;

/// Takes one byte of the input to choose by; 0 when there is none left.
fn byte(data: &mut &[u8]) -> u8 {
    data.try_get_u8().unwrap_or_default()
}

/// One of a call's supported versions.
fn version(key: ApiKey, chosen: u8) -> i16 {
    let (min, max) = key.supported();
    min + i16::from(chosen) % (max - min + 1)
}

/// A stream of answers, cut into frames: the same ones whatever the reads are, and split without a panic.
pub fn frames(mut data: &[u8]) {
    let step = usize::from(byte(&mut data)).max(1);
    let (key, version) = header_kind(byte(&mut data));
    let whole = cut(data, data.len().max(1));
    assert_eq!(whole, cut(data, step), "in steps of {step}");
    for frame in whole {
        let len = frame.len();
        if let Ok((_, body)) = split_response(key, version, frame) {
            assert!(body.len() + 4 <= len);
        }
    }
    recognise_foreign(data);
}

/// With a rigid header or a flexible one.
fn header_kind(chosen: u8) -> (ApiKey, i16) {
    match chosen % 3 {
        0 => (ApiKey::Produce, 8),
        1 => (ApiKey::Produce, 9),
        _ => (ApiKey::ApiVersions, 4),
    }
}

/// The frames that `data` holds, up to its end or the first bad length.
fn cut(data: &[u8], step: usize) -> Vec<Bytes> {
    let mut stream = Frames::new(LIMIT);
    let mut found = Vec::new();
    for piece in data.chunks(step) {
        let space = stream.space();
        assert!(
            space.capacity() <= 2 * (LIMIT + data.len()),
            "memory for a mere claim"
        );
        space.extend_from_slice(piece);
        while let Some(frame) = match stream.next() {
            Ok(frame) => frame,
            Err(_) => return found,
        } {
            assert!(frame.len() <= LIMIT);
            found.push(frame);
        }
    }
    found
}

/// A Produce answer's body.
pub fn produce_answer(mut data: &[u8]) {
    let version = version(ApiKey::Produce, byte(&mut data));
    if let Ok(answer) = decode_produce(version, Bytes::copy_from_slice(data)) {
        // Each partition takes 22 bytes and more: what is decoded stays in proportion.
        assert!(answer.partitions.len() * 22 <= data.len());
    }
}

/// A Fetch answer's body: record sets are slices of it, one after the other.
pub fn fetch_answer(mut data: &[u8]) {
    let version = version(ApiKey::Fetch, byte(&mut data));
    let body = Bytes::copy_from_slice(data);
    let Ok(answer) = Fetch::decode(version, body.clone()) else {
        return;
    };
    let mut wire = 0;
    let mut from = body.as_ptr();
    for fetched in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        // Each partition takes 37 bytes and more, each aborted transaction 16: what is decoded stays in proportion.
        wire += 37 + fetched.aborted.len() * 16 + fetched.records.len();
        if !fetched.records.is_empty() {
            let records = fetched.records.as_ptr_range();
            assert!(from <= records.start && records.end <= body.as_ptr_range().end);
            from = records.end;
        }
    }
    assert!(wire + answer.topics.len() * 3 <= data.len());
}

/// The body of one of the answers about a group and its offsets, the first byte says which.
pub fn group_answer(mut data: &[u8]) {
    match byte(&mut data) % 9 {
        0 => drop(answer::<FindCoordinator>(data)),
        1 => join_group_answer(data),
        2 => drop(answer::<SyncGroup>(data)),
        3 => drop(answer::<Heartbeat>(data)),
        4 => drop(answer::<LeaveGroup>(data)),
        5 => drop(answer::<OffsetCommit>(data)),
        6 => drop(answer::<OffsetFetch>(data)),
        7 => drop(answer::<ListOffsets>(data)),
        _ => drop(answer::<OffsetForLeaderEpoch>(data)),
    }
}

fn join_group_answer(data: &[u8]) {
    if let Some(answer) = answer::<JoinGroup>(data) {
        let wire = answer.members.iter();
        let wire: usize = wire.map(|m| m.member_id.len() + m.metadata.len() + 4).sum();
        assert!(wire <= data.len());
    }
}

/// A Metadata answer's body.
pub fn metadata_answer(data: &[u8]) {
    if let Some(answer) = answer::<MetadataCall>(data) {
        let partitions: usize = answer
            .topics
            .iter()
            .map(|topic| topic.partitions.len())
            .sum();
        assert!(partitions * 18 <= data.len());
    }
}

/// An ApiVersions answer's body, and the version asked with next.
pub fn api_versions_answer(data: &[u8]) {
    if let Some(answer) = answer::<ApiVersions>(data) {
        let mut asked = ApiKey::ApiVersions.supported().1;
        while let Some(lower) = answer.downgrade(asked) {
            assert!(lower < asked, "asking would not end");
            asked = lower;
        }
    }
}

/// The body of one of the other answers, the first byte says which.
pub fn other_answer(mut data: &[u8]) {
    match byte(&mut data) % 3 {
        0 => drop(answer::<CreateTopics>(data)),
        1 => drop(answer::<DeleteTopics>(data)),
        _ => drop(answer::<InitProducerId>(data)),
    }
}

fn answer<C: Call>(mut data: &[u8]) -> Option<C::Response> {
    let version = version(C::KEY, byte(&mut data));
    C::decode(version, Bytes::copy_from_slice(data)).ok()
}

/// A fetched record set: as it is, and with what a fuzzer cannot guess (magic, length, CRC) repaired.
pub fn record_set(data: &[u8]) {
    read_all(data);
    let mut repaired = data.to_vec();
    if let Some(header) = repaired.first_chunk_mut::<HEADER_LEN>() {
        repair(header, &data[HEADER_LEN..]);
        let batch = read_all(&repaired);
        if let Some(batch) = batch {
            batch.verify_crc().expect("the CRC was repaired");
        }
    }
}

/// Makes the header one of a batch that ends where `body` does.
fn repair(header: &mut [u8; HEADER_LEN], body: &[u8]) {
    let length = HEADER_LEN - 12 + body.len();
    header[8..12].copy_from_slice(&(length as u32).to_be_bytes());
    header[16] = 2;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[21..]), body);
    header[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Reads every record of every batch in both ways; returns the first batch.
fn read_all(record_set: &[u8]) -> Option<Batch> {
    let mut first = None;
    let mut ended = false;
    for batch in Batches::new(Bytes::copy_from_slice(record_set)) {
        assert!(!ended, "an error ends the batches");
        let Ok(batch) = batch else {
            ended = true;
            continue;
        };
        let _ = batch.verify_crc();
        read_records(&batch);
        read_in_steps(&batch);
        first.get_or_insert(batch);
    }
    first
}

/// Borrowed and shared records are the same ones, within the batch's offsets, and an error is the last.
fn read_records(batch: &Batch) {
    let Ok(mut borrowed) = batch.records(LIMIT) else {
        return;
    };
    let shared = borrowed.clone();
    let header = batch.header();
    let _ = (
        header.timestamp_type(),
        header.is_transactional(),
        header.is_control(),
    );
    let mut count = 0;
    for record in shared {
        let twin = borrowed.next_ref().expect("as many records in both ways");
        let (record, twin) = match (record, twin) {
            (Ok(record), Ok(twin)) => (record, twin),
            (Err(a), Err(b)) => {
                assert_eq!(a, b);
                continue;
            }
            (a, b) => panic!("{:?} but {:?}", a.err(), b.err()),
        };
        count += 1;
        assert!((header.base_offset..=header.last_offset()).contains(&record.offset));
        assert_eq!(
            (record.offset, record.timestamp),
            (twin.offset, twin.timestamp)
        );
        assert_eq!(
            (record.key.as_deref(), record.value.as_deref()),
            (twin.key, twin.value)
        );
        let headers = pairs(&record.headers);
        assert_eq!(headers.len(), record.headers.len());
        let twins = twin
            .headers()
            .map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
        assert_eq!(headers, twins.collect::<Vec<_>>());
        let _ = control_type(record.key.as_deref());
    }
    assert!(borrowed.next_ref().is_none());
    assert!(count <= header.count);
}

/// In steps, within a cap far below what the bytes may become, what is read is what is read at once, as far as that goes.
fn read_in_steps(batch: &Batch) {
    const CAP: usize = 64 << 10;
    let Ok(Some(mut unpacking)) = batch.in_steps(CAP, &Spares::default()) else {
        return;
    };
    let mut whole = batch.records(LIMIT).ok();
    let (mut count, mut ended) = (0, false);
    while let Some(part) = unpacking.next(0) {
        assert!(!ended, "an error is the last");
        let part = match part {
            Ok(part) => part,
            Err(Unreadable::TooLarge { size, .. }) => {
                assert!(size > CAP);
                ended = true;
                continue;
            }
            Err(Unreadable::Malformed(_)) => {
                ended = true;
                continue;
            }
        };
        // A record, or many small ones, and what was decompressed with the last of them.
        assert!(
            part.bytes().len() <= CAP + (5 << 20),
            "memory above the cap"
        );
        for record in part {
            count += 1;
            let twin = whole.as_mut().and_then(Records::next);
            let (Ok(record), Some(Ok(twin))) = (record, twin) else {
                whole = None;
                continue;
            };
            assert_eq!(
                (record.offset, record.timestamp),
                (twin.offset, twin.timestamp)
            );
            assert_eq!((record.key, record.value), (twin.key, twin.value));
        }
    }
    assert!(count <= batch.header().count);
}

/// A header's name and value, owned.
type Pair = (Vec<u8>, Option<Vec<u8>>);

fn pairs(headers: &Headers) -> Vec<Pair> {
    headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.map(|v| v.to_vec())))
        .collect()
}

/// Any bytes as the compressed part of a batch, and what our encoders made of them with a few bytes changed.
pub fn compressed(mut data: &[u8]) {
    let chosen = byte(&mut data);
    if chosen & 0x80 == 0 {
        return any_bytes(chosen, data);
    }
    let changes: Vec<_> = (0..chosen & 7)
        .map(|_| (data.try_get_u16().unwrap_or_default(), byte(&mut data)))
        .collect();
    let value = data.repeat(4);
    let parts = RecordParts {
        timestamp: 0,
        key: None,
        value: Some(&value),
        headers: &[],
    };
    let mut writer = BatchWriter::new(Vec::new());
    writer.append(&parts);
    let closed = compress(writer.close(), compression(chosen & 0x7f));
    let mut batch = closed.seal(ProducerId::NONE, -1).to_vec();
    let (header, body) = batch.split_first_chunk_mut().expect("a header");
    for (at, change) in changes {
        if let Some(at) = usize::from(at).checked_rem(body.len()) {
            body[at] ^= change;
        }
    }
    repair(header, body);
    read_all(&batch).expect("a well-formed header");
}

fn any_bytes(chosen: u8, mut data: &[u8]) {
    let codec = i16::from(chosen % 5);
    let count = i32::from(byte(&mut data));
    let mut header = [0; HEADER_LEN];
    header[21..23].copy_from_slice(&codec.to_be_bytes());
    header[23..27].copy_from_slice(&(count - 1).max(0).to_be_bytes());
    header[57..].copy_from_slice(&count.to_be_bytes());
    repair(&mut header, data);
    let batch = [&header[..], data].concat();
    let batch = read_all(&batch).expect("a well-formed header");
    batch.verify_crc().expect("its CRC");
}

/// A record as the fuzzer describes it.
struct Wanted<'a> {
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<Header<'a>>,
}

impl<'a> Wanted<'a> {
    fn read(data: &mut &'a [u8]) -> Self {
        let shape = byte(data);
        let timestamp = match shape & 3 {
            // Neighbours, as usual, or any distance at all.
            0 => i64::from(byte(data)) + 1_700_000_000_000,
            _ => data.try_get_i64().unwrap_or_default(),
        };
        let key = field(data, shape & 4 != 0);
        let value = field(data, shape & 8 != 0);
        let headers = (0..shape >> 5).map(|_| header(data)).collect();
        Self {
            timestamp,
            key,
            value,
            headers,
        }
    }

    fn parts(&self) -> RecordParts<'_> {
        RecordParts {
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            headers: &self.headers,
        }
    }
}

fn field<'a>(data: &mut &'a [u8], is_some: bool) -> Option<&'a [u8]> {
    if !is_some {
        return None;
    }
    let len = usize::from(byte(data)).min(data.len());
    let (field, rest) = data.split_at(len);
    *data = rest;
    Some(field)
}

fn header<'a>(data: &mut &'a [u8]) -> Header<'a> {
    let shape = byte(data);
    let name = std::str::from_utf8(field(data, true).unwrap_or_default()).unwrap_or("name");
    match field(data, shape & 1 != 0) {
        Some(value) => Header::new(name, value),
        None => Header::null(name),
    }
}

/// Records written, compressed, sealed and sealed anew are read back as they were.
pub fn round_trip(mut data: &[u8]) {
    let compression = compression(byte(&mut data));
    let capacity = usize::from(byte(&mut data));
    let producer = ProducerId {
        id: i64::from(byte(&mut data)),
        epoch: 3,
    };
    let mut records = Vec::new();
    let mut writer = BatchWriter::new(Vec::with_capacity(capacity));
    while records.is_empty() || !data.is_empty() {
        let record = Wanted::read(&mut data);
        let (before, exact) = (writer.len(), writer.encoded_len(&record.parts()));
        assert!(exact <= size_bound(&record.parts()));
        assert_eq!(writer.append(&record.parts()) as usize, records.len());
        assert_eq!(writer.len(), before + exact);
        records.push(record);
    }
    let closed = compress(writer.close(), compression);
    assert_eq!(closed.count() as usize, records.len());
    let sealed = closed.seal(producer, 7);
    check(&sealed, &records, producer, 7);

    let next = ProducerId {
        epoch: 4,
        ..producer
    };
    let held = sealed.clone();
    let copied = restamp(sealed, next, 0);
    check(&copied, &records, next, 0);
    check(&held, &records, producer, 7);
    drop(copied);
    let in_place = restamp(held, next, 0);
    check(&in_place, &records, next, 0);
    assert!(reclaim(in_place).expect("nobody else holds it").is_empty());
}

fn compression(chosen: u8) -> Compression {
    let level = i32::from(chosen >> 4);
    match chosen % 5 {
        0 => Compression::None,
        1 => Compression::Gzip((1..=9).contains(&level).then_some(level)),
        2 => Compression::Snappy,
        3 => Compression::Lz4(None),
        _ => Compression::Zstd((level < 12).then_some(level - 7)),
    }
}

fn compress(closed: ClosedBatch, compression: Compression) -> ClosedBatch {
    match closed.compress(compression) {
        Ok((closed, _)) => closed,
        Err((_, error)) => panic!("{compression:?}: {error}"),
    }
}

fn check(sealed: &Bytes, records: &[Wanted<'_>], producer: ProducerId, sequence: i32) {
    let mut batches = Batches::new(sealed.clone());
    let batch = batches.next().expect("a batch").expect("a well-formed one");
    assert!(batches.next().is_none());
    batch.verify_crc().expect("its CRC");
    let header = batch.header();
    assert_eq!(
        (header.producer_id, header.producer_epoch),
        (producer.id, producer.epoch)
    );
    assert_eq!(header.base_sequence, sequence);
    assert_eq!(header.count as usize, records.len());
    let latest = records.iter().map(|record| record.timestamp).max();
    assert_eq!(Some(header.max_timestamp), latest);
    assert_eq!(batch.size(), sealed.len());

    let read: Result<Vec<_>, Malformed> = batch.records(LIMIT).expect("its codec").collect();
    let read = read.expect("well-formed records");
    assert_eq!(read.len(), records.len());
    for (offset, (read, wanted)) in read.iter().zip(records).enumerate() {
        assert_eq!(
            (read.offset, read.timestamp),
            (offset as i64, wanted.timestamp)
        );
        assert_eq!(
            (read.key.as_deref(), read.value.as_deref()),
            (wanted.key, wanted.value)
        );
        let owned = |header: &Header<'_>| {
            (
                header.name().as_bytes().to_vec(),
                header.value().map(<[u8]>::to_vec),
            )
        };
        let wanted: Vec<Pair> = wanted.headers.iter().map(owned).collect();
        assert_eq!(pairs(&read.headers), wanted);
    }
}
