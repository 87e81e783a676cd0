//! Records in: the open batch grows, or gives way to the next.

use std::time::Instant;

use super::{
    Added, Append, BatchQueue, Body, FIRST_BUFFER, OpenBatch, ProducerBatch, ResultShare, Room,
};
use crate::batch::{BatchWriter, HEADER_LEN, RecordParts};
use crate::machine::produce::knowledge::Knowledge;

impl<T: Clone> BatchQueue<T> {
    /// Adds a record; `bound` is its largest possible size, `sticky` tells that it has no key.
    #[inline]
    pub(crate) fn append(
        &mut self,
        record: &RecordParts<'_>,
        bound: usize,
        sticky: bool,
        now: impl FnOnce() -> Instant,
        room: &mut impl Room<T>,
    ) -> Append<T> {
        if let Some((result, index)) = self.try_append(record, bound, sticky) {
            return Append::Added(Added {
                result,
                index,
                opened: false,
                first: false,
            });
        }
        self.append_with_room(record, bound, sticky, now, room)
    }

    /// Adds a record to the open batch, if it has room for it as it is: the record's result, and its index in that.
    #[inline]
    pub(crate) fn try_append(
        &mut self,
        record: &RecordParts<'_>,
        bound: usize,
        sticky: bool,
    ) -> Option<(T, u32)> {
        let open = self.open.as_mut()?;
        if open.writer.len() + bound > open.fill_to {
            return None;
        }
        // Before the copy: a counter's atomic update would wait for all its stores.
        let result = open.result.clone();
        let index = open.writer.append(record);
        if sticky {
            self.sticky_bytes += bound;
        }
        Some((result, index))
    }

    /// The rare half of `append`: the open batch grows, or gives way to a new one.
    #[cold]
    fn append_with_room(
        &mut self,
        record: &RecordParts<'_>,
        bound: usize,
        sticky: bool,
        now: impl FnOnce() -> Instant,
        room: &mut impl Room<T>,
    ) -> Append<T> {
        if self.closed {
            return Append::Closed;
        }
        let others = room.others();
        let batch_size = self.limits.batch_size;
        if let Some(open) = &mut self.open {
            match open.make_room(bound, batch_size, others, room) {
                Fit::Fits => return self.append(record, bound, sticky, now, room),
                Fit::Kept => return Append::Full,
                Fit::Full => {}
            }
        }
        self.close();
        if sticky && self.sticky_bytes > 0 && self.sticky_bytes + bound + HEADER_LEN > batch_size {
            self.sticky_bytes = 0;
            return Append::Switch;
        }
        let least = bound + HEADER_LEN;
        // As much as the batch before, or as much as those hold who wait with this one.
        let usual = (self.last_len + self.last_len / 8)
            .max(FIRST_BUFFER)
            .max(others.map_or(0, |others| least + others))
            .min(batch_size);
        let Some((buffer, charged)) = room.buffer(least, usual.max(least)) else {
            return Append::Full;
        };
        let mut writer = BatchWriter::new(buffer);
        let index = writer.append(record);
        let result = room.result();
        if sticky {
            self.sticky_bytes += bound;
        }
        let first = !std::mem::replace(&mut self.watched, true);
        let mut open = OpenBatch {
            writer,
            result: result.clone(),
            opened: now(),
            charged,
            fill_to: 0,
        };
        open.reserve(batch_size, others.unwrap_or(0));
        self.open = Some(open);
        Append::Added(Added {
            result,
            index,
            opened: true,
            first,
        })
    }

    /// Closes the open batch, if there is one: it takes no more records and is ready to send.
    pub(crate) fn close(&mut self) -> bool {
        let Some(open) = self.open.take() else {
            return false;
        };
        let plain_len = open.writer.len();
        self.last_len = plain_len;
        let count = open.writer.count();
        let mut closed = open.writer.close();
        if self.limits.transactional {
            closed = closed.in_transaction();
        }
        self.ready.push_back(ProducerBatch {
            body: if self.limits.compressed {
                Body::Raw(closed)
            } else {
                Body::Unsealed(closed)
            },
            share: ResultShare {
                result: open.result,
                first: 0,
                count,
                total: count,
            },
            opened: open.opened,
            charged: open.charged,
            plain_len,
            stamp: None,
            failures: 0,
            knowledge: Knowledge::NotWritten,
            last_error: None,
            compressing: 0,
        });
        true
    }
}

/// Whether a record fits into the open batch.
enum Fit {
    Fits,
    /// Not now: the room is another's, or memory is used up. The batch stays open and may grow.
    Kept,
    /// Never: it is as large as batches become.
    Full,
}

impl<T> OpenBatch<T> {
    /// Makes room for a record of `bound` bytes, if there is any for it; `others` as [`Room::others`] told.
    fn make_room(
        &mut self,
        bound: usize,
        batch_size: usize,
        others: Option<usize>,
        room: &mut impl Room<T>,
    ) -> Fit {
        let (len, capacity) = (self.writer.len(), self.writer.capacity());
        let wanted = len + bound;
        if wanted > batch_size {
            return Fit::Full;
        }
        let usual = match others {
            None if self.fill_to < capacity.min(batch_size) => return Fit::Kept,
            None => capacity * 4,
            Some(others) => wanted + others,
        };
        if wanted > capacity {
            let larger = usual.clamp(wanted, batch_size);
            let Some(more) = room.grow(wanted - capacity, larger - capacity) else {
                return Fit::Kept;
            };
            self.charged += more;
            self.writer.grow(capacity + more);
        }
        self.reserve(batch_size, others.unwrap_or(0));
        // Its own part was not reserved.
        self.fill_to = self.fill_to.max(wanted);
        Fit::Fits
    }

    /// Batches have another size from now on.
    pub(super) fn fit(&mut self, before: usize, size: usize) {
        let others = self.end(before).saturating_sub(self.fill_to);
        self.reserve(size, others);
    }

    /// Keeps `others` bytes for those who waited and are about to come.
    fn reserve(&mut self, batch_size: usize, others: usize) {
        let end = self.end(batch_size);
        self.fill_to = end.saturating_sub(others).max(self.writer.len());
    }

    /// How far the batch can be filled as it is.
    fn end(&self, batch_size: usize) -> usize {
        let len = self.writer.len();
        self.writer.capacity().min(batch_size.max(len))
    }
}
