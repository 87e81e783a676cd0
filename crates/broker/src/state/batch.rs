//! Record batches (magic 2): checked when they arrive, then stored as they came.

use bytes::{Buf, Bytes, BytesMut};

use super::compression::{self, Closed};
use super::configs::TopicConfigs;
use super::head::{ATTRIBUTES_AT, Head, LOG_APPEND_TIME};
use super::records;
use crate::wire::ErrorCode;

/// What a batch's length field does not count: the base offset and the field itself.
const LENGTH_END: usize = 12;
const EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const CRC_END: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

/// Codecs up to zstd exist.
const HIGHEST_CODEC: i16 = 4;

/// A checked batch that no log has given its offset yet.
#[derive(Debug)]
pub(crate) struct NewBatch {
    bytes: BytesMut,
    pub(crate) head: Head,
    /// What its records say; `None` when there are too many to look at.
    seen: Option<Seen>,
}

/// What is known of all records together.
#[derive(Clone, Copy, Debug)]
struct Seen {
    first_timestamp: i64,
    last_timestamp: i64,
    keyless: bool,
}

/// What a record's timestamp says when it says nothing.
const NO_TIMESTAMP: i64 = -1;

/// Records that a topic does not take, by their place in the batch, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) code: ErrorCode,
    pub(crate) records: Vec<(i32, &'static str)>,
}

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is no batch, or not one.
    Shape(ErrorCode),
    /// It is one, but not of records that can be appended.
    Records(ErrorCode),
}

impl From<ErrorCode> for Rejected {
    /// The batch as a whole.
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            records: Vec::new(),
        }
    }
}

impl NewBatch {
    /// Checks what one partition of a Produce request carries, as Kafka does: exactly one batch, whole and unharmed.
    pub(crate) fn check(bytes: BytesMut) -> Result<Self, Flaw> {
        let head = Head::read(&bytes).ok_or(Flaw::Shape(ErrorCode::CORRUPT_MESSAGE))?;
        check_shape(&bytes).map_err(Flaw::Shape)?;
        check_head(&head).map_err(Flaw::Records)?;
        let seen = look(&bytes, &head).map_err(Flaw::Records)?;
        let mut batch = Self { bytes, head, seen };
        if let Some(seen) = seen {
            // Kafka goes by the records, and corrects the batch.
            batch.head.max_timestamp = seen.last_timestamp;
        }
        Ok(batch)
    }

    /// Whether a topic takes all of the records, at this time.
    pub(crate) fn suits(&self, wall: i64, configs: &TopicConfigs) -> Result<(), Rejected> {
        let suits = self.seen.is_none_or(|seen| {
            let keyed = !(seen.keyless && configs.compacts());
            let timely = |time| self.is_timely(time, wall, configs);
            keyed && timely(seen.first_timestamp) && timely(seen.last_timestamp)
        });
        if suits {
            Ok(())
        } else {
            self.reject(wall, configs)
        }
    }

    fn is_timely(&self, time: i64, wall: i64, configs: &TopicConfigs) -> bool {
        let old = wall.saturating_sub(time);
        configs.log_append_time
            || time == NO_TIMESTAMP
            || (old <= configs.timestamp_before_max && -old <= configs.timestamp_after_max)
    }

    /// Every record by itself: those that were refused are told.
    fn reject(&self, wall: i64, configs: &TopicConfigs) -> Result<(), Rejected> {
        let mut records = Vec::new();
        let mut code = ErrorCode::INVALID_RECORD;
        let section = compression::opened(&self.bytes, &self.head).unwrap_or_default();
        let mut place = 0;
        let _ = records::walk(&section, self.head.count, |record| {
            let time = self
                .head
                .base_timestamp
                .saturating_add(record.timestamp_delta);
            if configs.compacts() && !record.has_key {
                records.push((place, "Compacted topic cannot accept message without key"));
            } else if !self.is_timely(time, wall, configs) {
                code = ErrorCode::INVALID_TIMESTAMP;
                records.push((place, "Timestamp of message is out of range"));
            }
            place += 1;
        });
        if records.is_empty() {
            return Ok(());
        }
        Err(Rejected { code, records })
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives the batch its place in a log, and the broker's time if the topic wants that.
    pub(crate) fn place(mut self, base_offset: i64, epoch: i32, append_time: Option<i64>) -> Bytes {
        let mut put = |at: usize, field: &[u8]| {
            if let Some(place) = self.bytes.get_mut(at..at + field.len()) {
                place.copy_from_slice(field);
            }
        };
        put(0, &base_offset.to_be_bytes());
        put(EPOCH_AT, &epoch.to_be_bytes());
        let attributes = self.head.attributes;
        let wanted = match append_time {
            Some(_) => attributes | LOG_APPEND_TIME,
            None => attributes & !LOG_APPEND_TIME,
        };
        let max_timestamp = append_time.unwrap_or(self.head.max_timestamp);
        let told = Head::read(&self.bytes).map(|head| head.max_timestamp);
        if told != Some(max_timestamp) || wanted != attributes {
            let mut put = |at: usize, field: &[u8]| {
                if let Some(place) = self.bytes.get_mut(at..at + field.len()) {
                    place.copy_from_slice(field);
                }
            };
            put(ATTRIBUTES_AT, &wanted.to_be_bytes());
            put(MAX_TIMESTAMP_AT, &max_timestamp.to_be_bytes());
            let crc = crc32c::crc32c(self.bytes.get(CRC_END..).unwrap_or_default());
            if let Some(place) = self.bytes.get_mut(CRC_AT..CRC_END) {
                place.copy_from_slice(&crc.to_be_bytes());
            }
        }
        self.bytes.freeze()
    }
}

/// One batch of the right format, with nothing behind it and nothing changed on its way.
fn check_shape(bytes: &[u8]) -> Result<(), ErrorCode> {
    if bytes.get(MAGIC_AT) != Some(&2) {
        return Err(ErrorCode::INVALID_RECORD);
    }
    let length = bytes.get(LENGTH_END - 4..).map_or(0, |mut at| at.get_i32());
    let there = bytes.len().saturating_sub(LENGTH_END);
    match usize::try_from(length) {
        Ok(length) if length == there => {}
        // A second batch behind the first.
        Ok(length) if length < there => return Err(ErrorCode::INVALID_RECORD),
        _ => return Err(ErrorCode::CORRUPT_MESSAGE),
    }
    let crc = bytes.get(CRC_AT..).map_or(0, |mut at| at.get_u32());
    let covered = bytes.get(CRC_END..).unwrap_or_default();
    if crc32c::crc32c(covered) == crc {
        Ok(())
    } else {
        Err(ErrorCode::CORRUPT_MESSAGE)
    }
}

/// The records are what the batch says they are.
fn look(bytes: &[u8], head: &Head) -> Result<Option<Seen>, ErrorCode> {
    let section = match compression::opened(bytes, head) {
        Ok(section) => section,
        Err(Closed::TooLarge) => return Ok(None),
        // Kafka has no better word for it.
        Err(Closed::Damaged) => return Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    };
    let mut seen = Seen {
        first_timestamp: i64::MAX,
        last_timestamp: NO_TIMESTAMP,
        keyless: false,
    };
    let whole = records::walk(&section, head.count, |record| {
        let time = head.base_timestamp.saturating_add(record.timestamp_delta);
        if time != NO_TIMESTAMP {
            seen.first_timestamp = seen.first_timestamp.min(time);
        }
        seen.last_timestamp = seen.last_timestamp.max(time);
        seen.keyless |= !record.has_key;
    });
    if seen.first_timestamp == i64::MAX {
        seen.first_timestamp = NO_TIMESTAMP;
    }
    whole.map(|()| Some(seen)).ok_or(ErrorCode::INVALID_RECORD)
}

/// What the batch says of itself is right.
fn check_head(head: &Head) -> Result<(), ErrorCode> {
    let whole = head.count > 0 && i64::from(head.last_offset_delta) == i64::from(head.count) - 1;
    if !whole || head.is_control() {
        return Err(ErrorCode::INVALID_RECORD);
    }
    if head.is_transactional() && head.producer_id < 0 {
        return Err(ErrorCode::INVALID_RECORD);
    }
    if head.codec() > HIGHEST_CODEC {
        // Kafka has no better word for it.
        return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
    }
    if head.producer_id >= 0 && head.base_sequence < 0 {
        return Err(ErrorCode::INVALID_RECORD);
    }
    Ok(())
}
