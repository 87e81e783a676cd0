//! Record batches (magic 2): checked when they arrive, then stored as they came.

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::ErrorCode;

/// Length of a batch's header, from its base offset to its record count.
pub(crate) const HEADER_LEN: usize = 61;
/// What a batch's length field does not count: the base offset and the field itself.
const LENGTH_END: usize = 12;
const EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const CRC_END: usize = 21;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
/// Codecs up to zstd exist.
const HIGHEST_CODEC: i16 = 4;

/// A checked batch that no log has given its offset yet.
#[derive(Debug)]
pub(crate) struct NewBatch {
    bytes: BytesMut,
    pub(crate) head: Head,
}

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is no batch, or not one.
    Shape(ErrorCode),
    /// It is one, but not of records that can be appended.
    Records(ErrorCode),
}

/// What the broker goes by; the records themselves it does not look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
}

impl Head {
    /// Reads a header of [`HEADER_LEN`] bytes; `None` if there are fewer.
    pub(crate) fn read(batch: &[u8]) -> Option<Self> {
        let mut at = batch.get(ATTRIBUTES_AT..HEADER_LEN)?;
        Some(Self {
            attributes: at.get_i16(),
            last_offset_delta: at.get_i32(),
            base_timestamp: at.get_i64(),
            max_timestamp: at.get_i64(),
            producer_id: at.get_i64(),
            producer_epoch: at.get_i16(),
            base_sequence: at.get_i32(),
            count: at.get_i32(),
        })
    }

    pub(crate) fn codec(&self) -> i16 {
        self.attributes & CODEC_MASK
    }

    pub(crate) fn has_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// The sequence of the last record, which starts again at 0 after the highest.
    pub(crate) fn last_sequence(&self) -> i32 {
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        let wrapped = if last > i64::from(i32::MAX) {
            last - i64::from(i32::MAX) - 1
        } else {
            last
        };
        wrapped as i32
    }
}

impl NewBatch {
    /// Checks what one partition of a Produce request carries, as Kafka does: exactly one batch, whole and unharmed.
    pub(crate) fn check(bytes: BytesMut) -> Result<Self, Flaw> {
        let head = Head::read(&bytes).ok_or(Flaw::Shape(ErrorCode::CORRUPT_MESSAGE))?;
        check_shape(&bytes).map_err(Flaw::Shape)?;
        check_records(&bytes, &head).map_err(Flaw::Records)?;
        Ok(Self { bytes, head })
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
        if append_time.is_some() || wanted != attributes {
            put(ATTRIBUTES_AT, &wanted.to_be_bytes());
            if let Some(time) = append_time {
                put(MAX_TIMESTAMP_AT, &time.to_be_bytes());
            }
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

/// What the batch says of itself is right.
fn check_records(bytes: &[u8], head: &Head) -> Result<(), ErrorCode> {
    let whole = head.count > 0 && i64::from(head.last_offset_delta) == i64::from(head.count) - 1;
    let from_a_client = head.attributes & CONTROL == 0;
    if !whole || !from_a_client {
        return Err(ErrorCode::INVALID_RECORD);
    }
    if head.attributes & TRANSACTIONAL != 0 {
        return Err(ErrorCode::INVALID_TXN_STATE);
    }
    if head.codec() > HIGHEST_CODEC {
        // Kafka has no better word for it.
        return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
    }
    if head.codec() == 0 && !super::records::are_whole(bytes, head.count) {
        return Err(ErrorCode::INVALID_RECORD);
    }
    if head.producer_id >= 0 && head.base_sequence < 0 {
        return Err(ErrorCode::INVALID_RECORD);
    }
    Ok(())
}
