//! The records within a batch: walked to check them, decoded for who inspects a log.

use bytes::Bytes;

/// One record as a batch has it, offsets and timestamps still relative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(String, Option<Bytes>)>,
}

/// What is to be known of a record before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) timestamp_delta: i64,
    pub(crate) has_key: bool,
}

/// Walks over `count` whole records with nothing behind them; `None` if they are not so.
///
/// Of their offsets Kafka believes the batch, so nothing is asked of them here.
pub(crate) fn walk(section: &[u8], count: i32, mut see: impl FnMut(Outline)) -> Option<()> {
    let mut left = section;
    for _ in 0..count {
        see(outline(&mut left)?);
    }
    left.is_empty().then_some(())
}

fn outline(left: &mut &[u8]) -> Option<Outline> {
    let len = usize::try_from(varint(left)?).ok()?;
    let mut record = left.get(..len)?;
    *left = left.get(len..)?;
    record = record.get(1..)?; // attributes
    let timestamp_delta = varint(&mut record)?;
    varint(&mut record)?; // delta of the offset
    let has_key = skip_field(&mut record)?;
    skip_field(&mut record)?;
    let headers = varint(&mut record)?;
    for _ in 0..headers {
        let len = usize::try_from(varint(&mut record)?).ok()?;
        record = record.get(len..)?;
        skip_field(&mut record)?;
    }
    (headers >= 0 && record.is_empty()).then_some(Outline {
        timestamp_delta,
        has_key,
    })
}

/// All records of an uncompressed record section; `None` if they are damaged.
pub(crate) fn decode(section: &Bytes, count: i32) -> Option<Vec<RawRecord>> {
    let mut left: &[u8] = section;
    let mut all = Vec::new();
    for _ in 0..count {
        let len = usize::try_from(varint(&mut left)?).ok()?;
        let record = left.get(..len)?;
        left = left.get(len..)?;
        all.push(decode_one(section, record)?);
    }
    Some(all)
}

fn decode_one(section: &Bytes, record: &[u8]) -> Option<RawRecord> {
    let mut left = record.get(1..)?;
    let timestamp_delta = varint(&mut left)?;
    let offset_delta = varint(&mut left)?;
    let key = field(section, &mut left)?;
    let value = field(section, &mut left)?;
    let count = varint(&mut left)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = field(section, &mut left)??;
        let name = String::from_utf8_lossy(&name).into_owned();
        headers.push((name, field(section, &mut left)?));
    }
    Some(RawRecord {
        timestamp_delta,
        offset_delta,
        key,
        value,
        headers,
    })
}

/// Bytes with their length in front; the inner `None` is null.
fn field(section: &Bytes, left: &mut &[u8]) -> Option<Option<Bytes>> {
    let len = varint(left)?;
    if len < 0 {
        return Some(None);
    }
    let len = usize::try_from(len).ok()?;
    let bytes = left.get(..len)?;
    *left = left.get(len..)?;
    Some(Some(section.slice_ref(bytes)))
}

/// Whether there was one, rather than null.
fn skip_field(left: &mut &[u8]) -> Option<bool> {
    let Ok(len) = usize::try_from(varint(left)?) else {
        return Some(false);
    };
    *left = left.get(len..)?;
    Some(true)
}

/// A zigzag varint of at most ten bytes.
fn varint(left: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = left.split_first()?;
        *left = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}
