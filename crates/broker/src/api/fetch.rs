//! Fetch: records from an offset on; waits for them, and remembers in a session what the client wants.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;

use super::leaders;
use super::{At, Call, Step, millis};
use crate::about::About;
use crate::state::sessions::{TopicRef, Wanted};
use crate::state::waits::Awaited;
use crate::state::{Aborted, NodeId, State};
use crate::wire::{ErrorCode, Malformed, Reader, Writer};

/// The epoch of a request that is not part of a session.
const NO_SESSION: i32 = -1;

pub(super) struct Fetch {
    max_wait: Duration,
    min_bytes: usize,
    max_bytes: usize,
    /// Only what is behind no transaction that goes on.
    committed: bool,
    session_id: i32,
    session_epoch: i32,
    by_id: bool,
    wanted: Vec<Wanted>,
    forgotten: Vec<(TopicRef, i32)>,
    /// Once the session is found or made.
    begun: Option<Begun>,
}

#[derive(Clone, Copy)]
struct Begun {
    until: Duration,
    /// 0 for none.
    session_id: i32,
    /// Only what has changed is told.
    incremental: bool,
}

pub(super) fn read(r: &mut Reader) -> Result<Fetch, Malformed> {
    if r.version <= 14 {
        r.i32()?; // replica id
    }
    let max_wait = millis(r.i32()?);
    let min_bytes = bounded(r.i32()?);
    let max_bytes = bounded(r.i32()?);
    let committed = r.i8()? == 1;
    let (mut session_id, mut session_epoch) = (0, NO_SESSION);
    if r.version >= 7 {
        session_id = r.i32()?;
        session_epoch = r.i32()?;
    }
    let wanted = r.array(read_topic)?.into_iter().flatten().collect();
    let mut forgotten = Vec::new();
    if r.version >= 7 {
        for (topic, partitions) in r.array(|r| {
            let topic = read_ref(r)?;
            let partitions = r.array(Reader::i32)?;
            r.tagged((topic, partitions))
        })? {
            forgotten.extend(partitions.into_iter().map(|p| (topic.clone(), p)));
        }
    }
    if r.version >= 11 {
        r.string()?; // the client's rack
    }
    Ok(Fetch {
        max_wait,
        min_bytes,
        max_bytes,
        committed,
        session_id,
        session_epoch,
        by_id: r.version >= 13,
        wanted,
        forgotten,
        begun: None,
    })
}

fn read_ref(r: &mut Reader) -> Result<TopicRef, Malformed> {
    Ok(if r.version >= 13 {
        TopicRef::Id(r.topic_id()?)
    } else {
        TopicRef::Name(r.string()?)
    })
}

fn read_topic(r: &mut Reader) -> Result<Vec<Wanted>, Malformed> {
    let topic = read_ref(r)?;
    let all = r.array(|r| {
        let partition = r.i32()?;
        let leader_epoch = if r.version >= 9 { r.i32()? } else { -1 };
        let offset = r.i64()?;
        if r.version >= 12 {
            r.i32()?; // last fetched epoch: a replica's
        }
        if r.version >= 5 {
            r.i64()?; // log start: a replica's
        }
        let max_bytes = bounded(r.i32()?);
        r.tagged(Wanted {
            topic: topic.clone(),
            partition,
            leader_epoch,
            offset,
            max_bytes,
            told: None,
        })
    })?;
    r.tagged(all)
}

fn bounded(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

/// A partition's part of the answer.
struct Got {
    partition: i32,
    code: ErrorCode,
    high_watermark: i64,
    last_stable: i64,
    aborted: Vec<Aborted>,
    log_start: i64,
    hint: Option<(NodeId, i32)>,
    batches: Vec<Bytes>,
}

impl Call for Fetch {
    fn about(&self, state: &State, node: NodeId) -> About {
        let named = self.wanted.iter();
        let mut all: Vec<_> = named.map(|one| (&one.topic, one.partition)).collect();
        // A session goes on with what it has, but for what is taken out of it now.
        if self.session_epoch > 0 && self.begun.is_none() {
            let session = state.sessions.wanted(node, self.session_id);
            let session = session.map(|one| (&one.topic, one.partition));
            let gone = self.forgotten.iter();
            let gone: HashSet<_> = gone.map(|(topic, partition)| (topic, *partition)).collect();
            all.extend(session.filter(|one| !gone.contains(one)));
        }
        About::partitions(
            all.into_iter()
                .filter_map(|(topic, partition)| Some((topic.name(state)?, Some(partition)))),
        )
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        at.state.waits.forget(at.connection);
        let begun = match self.begin(at) {
            Ok(begun) => begun,
            Err(code) => {
                write(at, code, 0, &[], out);
                return Step::Answer;
            }
        };
        let wanted = match at.state.sessions.get_mut(at.node, begun.session_id) {
            Some(session) => session.wanted(),
            None if begun.session_id == 0 => self.wanted.clone(),
            // The node died meanwhile.
            None => return Step::Close,
        };
        let read = read_all(at, &wanted, self.max_bytes, self.committed);
        let size: usize = read.iter().map(|(_, _, size)| size).sum();
        let failed = read.iter().any(|(_, got, _)| !got.code.is_none());
        let waits = size < self.min_bytes && !failed && !wanted.is_empty();
        if waits && at.now.up < begun.until {
            for one in &wanted {
                if let Some(name) = one.topic.name(at.state) {
                    let partition = Awaited::Partition(name, one.partition);
                    at.state.waits.wait(at.connection, partition);
                }
            }
            return Step::Wait {
                until: Some(begun.until),
            };
        }
        let told = tell(at, begun, read);
        write(at, ErrorCode::NONE, begun.session_id, &told, out);
        Step::Answer
    }
}

impl Fetch {
    /// Finds or makes the session, once a request.
    fn begin(&mut self, at: &mut At<'_>) -> Result<Begun, ErrorCode> {
        if let Some(begun) = self.begun {
            return Ok(begun);
        }
        let (node, id) = (at.node, self.session_id);
        let sessions = &mut at.state.sessions;
        let (session_id, incremental) = match self.session_epoch {
            NO_SESSION => {
                sessions.end(node, id);
                (0, false)
            }
            0 => {
                sessions.end(node, id);
                let mut new = 0;
                while new == 0 || sessions.has(node, new) {
                    new = (at.state.random.next() & 0x7fff_ffff) as i32;
                }
                sessions.begin(node, new, self.by_id, self.wanted.iter().cloned());
                (new, false)
            }
            epoch => {
                let changed = std::mem::take(&mut self.wanted);
                sessions.go_on(node, id, epoch, self.by_id, changed, &self.forgotten)?;
                (id, true)
            }
        };
        let begun = Begun {
            until: at.now.up + self.max_wait,
            session_id,
            incremental,
        };
        self.begun = Some(begun);
        Ok(begun)
    }
}

/// Reads all that is wanted, in its order, until `most` bytes are together.
fn read_all(
    at: &mut At<'_>,
    wanted: &[Wanted],
    most: usize,
    committed: bool,
) -> Vec<(Wanted, Got, usize)> {
    let mut left = most;
    let mut nothing_yet = true;
    let mut all = Vec::with_capacity(wanted.len());
    for one in wanted {
        let (got, size) = read_one(at, one, left, nothing_yet, committed);
        nothing_yet &= size == 0;
        left = left.saturating_sub(size);
        all.push((one.clone(), got, size));
    }
    all
}

fn read_one(
    at: &mut At<'_>,
    one: &Wanted,
    left: usize,
    at_least_one: bool,
    committed: bool,
) -> (Got, usize) {
    let mut got = Got {
        partition: one.partition,
        code: ErrorCode::NONE,
        high_watermark: -1,
        last_stable: -1,
        aborted: Vec::new(),
        log_start: -1,
        hint: None,
        batches: Vec::new(),
    };
    let mut size = 0;
    let Some(name) = one.topic.name(at.state) else {
        got.code = one.topic.unknown();
        return (got, 0);
    };
    let result = at.part(Some(&name), Some(one.partition), |at| {
        let topics = &at.state.topics;
        let topic = topics.get(&name).ok_or(one.topic.unknown())?;
        let partition = topic
            .partition(one.partition)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        partition.check_leader(at.node, one.leader_epoch)?;
        let log = &partition.log;
        got.high_watermark = log.high_watermark();
        got.last_stable = log.last_stable_offset();
        got.log_start = log.start();
        if one.offset < log.start() || one.offset > log.end() {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        let bound = if committed {
            log.last_stable_offset()
        } else {
            log.high_watermark()
        };
        let most = one.max_bytes.min(left);
        let slice = log.read(one.offset, bound, most, at_least_one);
        if committed && !slice.batches.is_empty() {
            got.aborted = log.aborted(one.offset, slice.end);
        }
        got.batches = slice.batches;
        size = slice.size;
        Ok(())
    });
    if let Err(code) = result {
        got.code = code;
        got.batches.clear();
        got.high_watermark = -1;
        got.last_stable = -1;
        got.aborted.clear();
        got.log_start = -1;
        size = 0;
        got.hint = leaders::hint(at.state, Some(&name), one.partition, code);
    }
    (got, size)
}

/// What goes into the answer, by topic; in a session, that is what has changed.
fn tell(
    at: &mut At<'_>,
    begun: Begun,
    read: Vec<(Wanted, Got, usize)>,
) -> Vec<(TopicRef, Vec<Got>)> {
    let mut told: Vec<(TopicRef, Vec<Got>)> = Vec::new();
    let mut places: HashMap<TopicRef, usize> = HashMap::new();
    for (wanted, got, size) in read {
        let marks = (got.high_watermark, got.log_start);
        let is_error = !got.code.is_none();
        let same = wanted.told == Some(marks) && size == 0 && !is_error;
        if begun.incremental && same {
            continue;
        }
        if let Some(session) = at.state.sessions.get_mut(at.node, begun.session_id) {
            if is_error {
                session.told_error(&wanted.topic, wanted.partition);
            } else {
                session.told(&wanted.topic, wanted.partition, marks, size > 0);
            }
        }
        let place = *places.entry(wanted.topic.clone()).or_insert(told.len());
        match told.get_mut(place) {
            Some((_, parts)) => parts.push(got),
            None => told.push((wanted.topic, vec![got])),
        }
    }
    told
}

fn write(
    at: &At<'_>,
    code: ErrorCode,
    session_id: i32,
    told: &[(TopicRef, Vec<Got>)],
    out: &mut Writer,
) {
    let mut leaders = Vec::new();
    out.throttle();
    if out.version >= 7 {
        out.code(code);
        out.i32(session_id);
    }
    out.array(told, |out, (topic, parts)| {
        topic.write(out);
        out.array(parts, |out, got| {
            out.i32(got.partition);
            out.code(got.code);
            out.i64(got.high_watermark);
            out.i64(got.last_stable);
            if out.version >= 5 {
                out.i64(got.log_start);
            }
            out.array(&got.aborted, |out, one| {
                out.i64(one.producer_id);
                out.i64(one.first);
                out.tags();
            });
            if out.version >= 11 {
                out.i32(-1); // no other replica is better to read from
            }
            out.records(got.batches.clone());
            let hint = got.hint.filter(|_| out.version >= 16);
            leaders.extend(hint.map(|(leader, _)| leader));
            leaders::write_hint(out, 1, hint);
        });
        out.tags();
    });
    leaders::write_endpoints(out, at, leaders);
}
