//! Markers: the control batches that end a transaction in a partition's log.

use bytes::{BufMut, Bytes, BytesMut};

use super::head::{CONTROL, TRANSACTIONAL};

/// Whose transaction ends, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) commit: bool,
}

impl Marker {
    /// The batch of its one record, at its place.
    pub(super) fn batch(self, base_offset: i64, leader_epoch: i32, wall: i64) -> Bytes {
        let mut covered = BytesMut::new();
        covered.put_i16(TRANSACTIONAL | CONTROL);
        covered.put_i32(0); // last offset delta
        covered.put_i64(wall);
        covered.put_i64(wall);
        covered.put_i64(self.producer_id);
        covered.put_i16(self.producer_epoch);
        covered.put_i32(-1); // control batches have no sequence
        covered.put_i32(1);
        // The record: 16 bytes behind its length, in varints that are twice the number.
        covered.put_slice(&[32, 0, 0, 0, 8]);
        covered.put_i16(0);
        covered.put_i16(self.commit.into());
        covered.put_u8(12);
        covered.put_i16(0);
        covered.put_i32(0); // the coordinator's epoch
        covered.put_u8(0);
        let mut out = BytesMut::with_capacity(covered.len() + 21);
        out.put_i64(base_offset);
        out.put_i32(covered.len() as i32 + 9);
        out.put_i32(leader_epoch);
        out.put_u8(2);
        out.put_u32(crc32c::crc32c(&covered));
        out.put_slice(&covered);
        out.freeze()
    }
}
