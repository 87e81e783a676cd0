//! A record as it is kept: as in any record batch, but that its key begins with what a batch has no place for.

use std::borrow::Cow;
use std::sync::Arc;

use crate::batch::{BatchWriter, RecordParts, Slot, size_bound};
use crate::record::{Data, Header, Record};

/// A record that is kept until it is known to be safe.
pub(crate) type Kept = Arc<Record<'static>>;

/// The record has a key of its own, which may be empty.
const HAS_KEY: u8 = 1;
/// The application asked for a partition, whose number follows in four bytes.
const HAS_PARTITION: u8 = 2;

/// Appends a record that has its time; `key` is only used for its memory.
pub(super) fn append(writer: &mut BatchWriter, record: &Record<'_>, key: &mut Vec<u8>) {
    key.clear();
    let flag = |set: bool, flag| if set { flag } else { 0 };
    key.push(flag(record.key.is_some(), HAS_KEY) | flag(record.partition.is_some(), HAS_PARTITION));
    if let Some(partition) = record.partition {
        key.extend_from_slice(&partition.to_be_bytes());
    }
    key.extend_from_slice(record.get_key().unwrap_or_default());
    writer.append(&RecordParts {
        timestamp: record.timestamp.unwrap_or_default(),
        key: Some(key),
        value: record.get_value(),
        headers: &record.headers,
    });
}

/// No less than the record takes in a batch: what the producer's own limits are held against.
pub(super) fn bound(record: &Record<'_>) -> usize {
    size_bound(&RecordParts {
        timestamp: 0,
        key: record.get_key(),
        value: record.get_value(),
        headers: &record.headers,
    })
}

/// What `append` has written, borrowed from the bytes of its batch; `None` for what it never writes.
pub(super) fn read<'a>(topic: &'a str, slot: &Slot, batch: &'a [u8]) -> Option<Record<'a>> {
    let (flags, rest) = slot.key(batch)?.split_first()?;
    if flags & !(HAS_KEY | HAS_PARTITION) != 0 {
        return None;
    }
    let (partition, key) = match flags & HAS_PARTITION {
        0 => (None, rest),
        _ => {
            let (partition, key) = rest.split_first_chunk()?;
            (Some(i32::from_be_bytes(*partition)), key)
        }
    };
    let mut headers = Vec::with_capacity(slot.header_count());
    for (name, value) in slot.headers(batch) {
        let name = Cow::Borrowed(std::str::from_utf8(name).ok()?);
        headers.push(match value {
            Some(value) => Header::new(name, value),
            None => Header::null(name),
        });
    }
    Some(Record {
        topic: Cow::Borrowed(topic),
        partition,
        key: (flags & HAS_KEY != 0).then_some(Data::Borrowed(key)),
        value: slot.value(batch).map(Data::Borrowed),
        headers,
        timestamp: Some(slot.timestamp),
    })
}
