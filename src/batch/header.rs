//! The 61 bytes in front of every record batch.

use bytes::{Buf, BufMut};

use crate::types::ProducerId;
use crate::wire::Malformed;

/// Length of a batch's header, from its base offset to its record count.
pub(crate) const HEADER_LEN: usize = 61;

/// What a batch's length field does not count: the base offset and the field itself.
pub(super) const LENGTH_END: usize = 12;
/// Where the magic byte is, in every format since the first.
pub(super) const MAGIC_AT: usize = 16;
/// Where the CRC is; it covers everything behind it.
const CRC_AT: usize = 17;
pub(super) const CRC_END: usize = 21;
const PRODUCER_AT: usize = 43;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// How a batch's records are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// Whose clock a batch's timestamps are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimestampType {
    /// The producer's; each record has its own.
    Create,
    /// The broker's; all records share the batch's `max_timestamp`.
    LogAppend,
}

/// A batch's header, its fields in the order of their bytes (the magic byte is always 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    /// Bytes that follow this field.
    pub(crate) length: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    /// Compaction may have removed that record, or all of them: the batch still covers its offset.
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
}

impl BatchHeader {
    /// Reads what `write` writes; checks nothing.
    pub(super) fn read(bytes: &[u8; HEADER_LEN]) -> Self {
        let mut bytes = bytes.as_slice();
        let (base_offset, length, leader_epoch) =
            (bytes.get_i64(), bytes.get_i32(), bytes.get_i32());
        bytes.advance(1); // magic
        Self {
            base_offset,
            length,
            leader_epoch,
            crc: bytes.get_u32(),
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            count: bytes.get_i32(),
        }
    }

    pub(super) fn write(&self, bytes: &mut [u8; HEADER_LEN]) {
        let mut bytes = bytes.as_mut_slice();
        bytes.put_i64(self.base_offset);
        bytes.put_i32(self.length);
        bytes.put_i32(self.leader_epoch);
        bytes.put_i8(2); // magic
        bytes.put_u32(self.crc);
        bytes.put_i16(self.attributes);
        bytes.put_i32(self.last_offset_delta);
        bytes.put_i64(self.base_timestamp);
        bytes.put_i64(self.max_timestamp);
        bytes.put_i64(self.producer_id);
        bytes.put_i16(self.producer_epoch);
        bytes.put_i32(self.base_sequence);
        bytes.put_i32(self.count);
    }

    /// Refuses what would mislead whoever goes by the header alone.
    pub(super) fn check(&self) -> Result<(), Malformed> {
        let wrong = |what| Malformed::new(format!("batch at offset {}: {what}", self.base_offset));
        if self.base_offset < 0 {
            return Err(wrong("negative offset".to_owned()));
        }
        if self.last_offset_delta < 0 {
            // A position that follows it would go backwards, and the same batch be fetched for ever.
            return Err(wrong(format!(
                "last offset delta {}",
                self.last_offset_delta
            )));
        }
        if i64::from(self.last_offset_delta) >= i64::MAX - self.base_offset {
            return Err(wrong("its last offset overflows".to_owned()));
        }
        if self.count < 0 {
            return Err(wrong(format!("{} records", self.count)));
        }
        Ok(())
    }

    /// The last offset that the batch covers; the next batch starts behind it.
    pub(crate) fn last_offset(&self) -> i64 {
        // `check` has seen that it does not overflow.
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    pub(crate) fn compression(&self) -> Result<Codec, Malformed> {
        match self.attributes & CODEC_MASK {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            other => Err(Malformed::new(format!(
                "batch at offset {}: unknown compression {other}",
                self.base_offset
            ))),
        }
    }

    pub(super) fn set_compression(&mut self, codec: Codec) {
        self.attributes = self.attributes & !CODEC_MASK | codec as i16;
    }

    pub(crate) fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 {
            TimestampType::Create
        } else {
            TimestampType::LogAppend
        }
    }

    pub(crate) fn is_compressed(&self) -> bool {
        !matches!(self.compression(), Ok(Codec::None))
    }

    pub(super) fn set_transactional(&mut self) {
        self.attributes |= TRANSACTIONAL;
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
}

/// Writes identity, sequence and CRC into an otherwise finished batch.
pub(super) fn stamp(batch: &mut [u8], producer: ProducerId, base_sequence: i32) {
    if let Some(mut identity) = batch.get_mut(PRODUCER_AT..HEADER_LEN) {
        identity.put_i64(producer.id);
        identity.put_i16(producer.epoch);
        identity.put_i32(base_sequence);
    }
    let crc = crc(batch);
    if let Some(field) = batch.get_mut(CRC_AT..CRC_END) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
}

/// The CRC32C of everything that it covers.
pub(super) fn crc(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(CRC_END..).unwrap_or_default())
}
