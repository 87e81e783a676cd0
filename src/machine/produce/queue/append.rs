//! Records in: the open batch grows, or gives way to the next.

use std::time::Instant;

use super::{Added, Append, Batch, Body, FIRST_BUFFER, OpenBatch, Queue, Room, Ticket};
use crate::batch::{BatchWriter, HEADER_LEN, RecordParts};

impl<T: Clone> Queue<T> {
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
        if let Some(open) = &mut self.open {
            let len = open.writer.len() + bound;
            if len <= open.writer.capacity() && len <= self.limits.batch_size {
                // Before the copy: a counter's atomic update would wait for all its stores.
                let outcome = open.outcome.clone();
                let index = open.writer.append(record);
                if sticky {
                    self.sticky_bytes += bound;
                }
                return Append::Added(Added {
                    outcome,
                    index,
                    opened: false,
                    first: false,
                });
            }
        }
        self.append_with_room(record, bound, sticky, now, room)
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
        if let Some(open) = &mut self.open {
            let (capacity, wanted) = (open.writer.capacity(), open.writer.len() + bound);
            if wanted <= self.limits.batch_size {
                let larger = (capacity * 4).clamp(wanted, self.limits.batch_size);
                if room.grow(larger - capacity) {
                    open.charged += larger - capacity;
                    open.writer.grow(larger);
                    return self.append(record, bound, sticky, now, room);
                }
            }
        }
        if self.closed {
            return Append::Closed;
        }
        self.close();
        if sticky
            && self.sticky_bytes > 0
            && self.sticky_bytes + bound + HEADER_LEN > self.limits.batch_size
        {
            self.sticky_bytes = 0;
            return Append::Switch;
        }
        let least = bound + HEADER_LEN;
        let usual = (self.last_len + self.last_len / 8)
            .max(FIRST_BUFFER)
            .min(self.limits.batch_size);
        let Some((capacity, buffer)) = [usual.max(least), least]
            .into_iter()
            .find_map(|capacity| Some((capacity, room.buffer(capacity)?)))
        else {
            return Append::Full { wanted: least };
        };
        let mut writer = BatchWriter::new(buffer);
        let index = writer.append(record);
        let outcome = room.outcome();
        if sticky {
            self.sticky_bytes += bound;
        }
        let first = !std::mem::replace(&mut self.watched, true);
        self.open = Some(OpenBatch {
            writer,
            outcome: outcome.clone(),
            opened: now(),
            charged: capacity,
        });
        Append::Added(Added {
            outcome,
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
        let closed = open.writer.close();
        self.ready.push_back(Batch {
            body: if self.limits.compressed {
                Body::Raw(closed)
            } else {
                Body::Packed(closed)
            },
            ticket: Ticket {
                outcome: open.outcome,
                first: 0,
                count,
                total: count,
            },
            opened: open.opened,
            charged: open.charged,
            plain_len,
            stamp: None,
            failures: 0,
            unknown: false,
            doubted_in: None,
            written: false,
            last_error: None,
        });
        true
    }
}
