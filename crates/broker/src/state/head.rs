//! What a record batch (magic 2) says of itself, before its records.

use bytes::Buf;

/// Length of a batch's header, from its base offset to its record count.
pub(crate) const HEADER_LEN: usize = 61;
pub(super) const ATTRIBUTES_AT: usize = 21;

const CODEC_MASK: i16 = 0x07;
pub(super) const LOG_APPEND_TIME: i16 = 0x08;
pub(super) const TRANSACTIONAL: i16 = 0x10;
pub(super) const CONTROL: i16 = 0x20;

/// What a batch says of itself.
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

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it is the broker's own, and no records of a client.
    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
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
