//! Record batches: any bytes, and what we write ourselves, read in every way there is.

use bytes::{Buf, Bytes};

use super::{LIMIT, byte};
use crate::batch::{
    Batch, BatchWriter, Batches, ClosedBatch, HEADER_LEN, Headers, RecordParts, Records, Spares,
    Unreadable, control_type, reclaim, restamp, size_bound,
};
use crate::config::Compression;
use crate::record::Header;
use crate::types::ProducerId;
use crate::wire::Malformed;

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
