//! ListOffsets: the first, the last, or the offset at a time.

use super::{At, Call, Step};
use crate::about::About;
use crate::state::compression;
use crate::state::head::Head;
use crate::state::log::{Log, Stored};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

pub(super) struct ListOffsets {
    /// Only what is behind no transaction that goes on.
    committed: bool,
    topics: Vec<(Name, Vec<Question>)>,
}

struct Question {
    partition: i32,
    leader_epoch: i32,
    timestamp: i64,
}

pub(super) fn read(r: &mut Reader) -> Result<ListOffsets, Malformed> {
    r.i32()?; // replica id
    let committed = r.version >= 2 && r.i8()? == 1;
    let topics = r.array(|r| {
        let name = r.string()?;
        let questions = r.array(|r| {
            let partition = r.i32()?;
            let leader_epoch = if r.version >= 4 { r.i32()? } else { -1 };
            let timestamp = r.i64()?;
            r.tagged(Question {
                partition,
                leader_epoch,
                timestamp,
            })
        })?;
        r.tagged((name, questions))
    })?;
    if r.version >= 10 {
        r.i32()?; // how long tiered storage may take
    }
    Ok(ListOffsets { committed, topics })
}

/// An offset with its record's timestamp and leader epoch, -1 where there is none.
struct Found {
    timestamp: i64,
    offset: i64,
    epoch: i32,
}

impl Call for ListOffsets {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::partitions(self.topics.iter().flat_map(|(name, parts)| {
            let parts = parts.iter();
            parts.map(move |question| (name.clone(), Some(question.partition)))
        }))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        if out.version >= 2 {
            out.throttle();
        }
        out.array(&self.topics, |out, (name, questions)| {
            out.string(name);
            out.array(questions, |out, question| {
                let index = question.partition;
                let found = at.part(Some(name), Some(index), |at| {
                    find(at, name, question, self.committed)
                });
                out.i32(index);
                out.code(found.as_ref().err().copied().unwrap_or(ErrorCode::NONE));
                let found = found.unwrap_or(Found {
                    timestamp: -1,
                    offset: -1,
                    epoch: -1,
                });
                out.i64(found.timestamp);
                out.i64(found.offset);
                if out.version >= 4 {
                    out.i32(found.epoch);
                }
                out.tags();
            });
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}

fn find(
    at: &mut At<'_>,
    name: &str,
    question: &Question,
    committed: bool,
) -> Result<Found, ErrorCode> {
    let partition = at.state.topics.partition(name, question.partition)?;
    partition.check_leader(at.node, question.leader_epoch)?;
    let (log, epoch) = (&partition.log, partition.epoch);
    let place = |offset, timestamp| Found {
        timestamp,
        offset,
        epoch: log.epoch_at(offset).unwrap_or(epoch),
    };
    let nowhere = Found {
        timestamp: -1,
        offset: -1,
        epoch: -1,
    };
    let end = if committed {
        log.last_stable_offset()
    } else {
        log.high_watermark()
    };
    match question.timestamp {
        LATEST => Ok(Found {
            epoch,
            ..place(end, -1)
        }),
        EARLIEST | EARLIEST_LOCAL => Ok(place(log.start(), -1)),
        LATEST_TIERED => Ok(nowhere),
        MAX_TIMESTAMP => {
            let newest = log.newest().and_then(|batch| {
                let offset = at_time(log, batch, batch.max_timestamp)?;
                Some(place(offset.0, offset.1))
            });
            let newest = newest.filter(|newest| newest.offset < end);
            Ok(newest.unwrap_or(nowhere))
        }
        time if time < 0 => Err(ErrorCode::UNSUPPORTED_VERSION),
        time => {
            let mut later = log.stored().filter(|batch| batch.max_timestamp >= time);
            let found = later.find_map(|batch| at_time(log, batch, time));
            let found = found.filter(|(offset, _)| *offset < end);
            Ok(found.map_or(nowhere, |(offset, timestamp)| place(offset, timestamp)))
        }
    }
}

/// The first record of a batch with at least this timestamp.
fn at_time(log: &Log, batch: &Stored, time: i64) -> Option<(i64, i64)> {
    let head = Head::read(&batch.bytes)?;
    if head.has_log_append_time() {
        return Some((batch.base.max(log.start()), head.max_timestamp));
    }
    let Some(records) = compression::records(&batch.bytes, &head) else {
        return Some((batch.base.max(log.start()), head.max_timestamp));
    };
    let mut found = records.iter().filter_map(|record| {
        let timestamp = head.base_timestamp.checked_add(record.timestamp_delta)?;
        let offset = batch.base + record.offset_delta;
        (timestamp >= time && offset >= log.start()).then_some((offset, timestamp))
    });
    found.next()
}
