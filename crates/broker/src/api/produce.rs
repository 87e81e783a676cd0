//! Produce: one batch a partition, appended once however often it comes.

use std::time::Duration;

use super::leaders;
use super::transactions::told_by_verification;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::batch::{Flaw, NewBatch, Rejected};
use crate::state::head::Head;
use crate::state::log::Appended;
use crate::state::sessions::TopicRef;
use crate::state::transactions::{Identity, Verdict};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

/// From this version on a partition becomes part of a transaction by what is written to it (KIP-890).
const JOINS: i16 = 12;
/// From this version on clients know `TRANSACTION_ABORTABLE`.
const KNOWS_ABORTABLE: i16 = 11;
/// How long, and how often, the end of the last transaction is waited for.
const PATIENCE: Duration = Duration::from_millis(100);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(super) struct Produce {
    acks: i16,
    transactional_id: Option<Name>,
    /// Until when it waits for the markers of the last transaction.
    patience: Option<Duration>,
    topics: Vec<(TopicRef, Vec<Part>)>,
}

struct Part {
    partition: i32,
    /// Taken when it is appended.
    batch: Option<Result<NewBatch, Flaw>>,
    /// It never came to the log, whose start is then not told.
    is_shapeless: bool,
    /// Records that the topic does not take, and why.
    rejected: Vec<(i32, &'static str)>,
}

pub(super) fn read(r: &mut Reader) -> Result<Produce, Malformed> {
    let transactional_id = r.nullable_string()?;
    let acks = r.i16()?;
    r.i32()?; // how long replicas may take
    let topics = r.array(|r| {
        let topic = if r.version >= 13 {
            TopicRef::Id(r.topic_id()?)
        } else {
            TopicRef::Name(r.string()?)
        };
        let parts = r.array(|r| {
            let partition = r.i32()?;
            let batch = match r.records()? {
                None => Err(NOTHING),
                Some(bytes) if bytes.is_empty() => Err(NOTHING),
                // The checksum takes time: here, and not while the cluster is locked.
                Some(bytes) => NewBatch::check(bytes),
            };
            let batch = Some(batch);
            r.tagged(Part {
                partition,
                batch,
                is_shapeless: false,
                rejected: Vec::new(),
            })
        })?;
        r.tagged((topic, parts))
    })?;
    Ok(Produce {
        acks,
        transactional_id,
        patience: None,
        topics,
    })
}

/// No records at all.
const NOTHING: Flaw = Flaw::Shape(ErrorCode::INVALID_RECORD);

/// A partition's part of the answer.
struct Done {
    partition: i32,
    result: Result<Appended, ErrorCode>,
    log_start: i64,
    hint: Option<(NodeId, i32)>,
    rejected: Vec<(i32, &'static str)>,
}

impl Done {
    /// What is told beside the code (KIP-467).
    fn message(&self) -> Option<String> {
        match self.rejected.len() {
            0 => None,
            count => Some(format!("{count} records of the batch were rejected")),
        }
    }
}

impl Call for Produce {
    fn about(&self, state: &State, _node: NodeId) -> About {
        About::partitions(self.topics.iter().flat_map(|(topic, parts)| {
            let name = topic.name(state);
            let each = parts.iter();
            each.filter_map(move |part| Some((name.clone()?, Some(part.partition))))
        }))
        .with_transaction(self.transactional_id.as_ref())
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let acks = self.acks;
        if let Some(until) = self.waits_for_markers(at, out.version) {
            return Step::Wait { until: Some(until) };
        }
        let refused = match acks {
            _ if !self.may_transact(at) => Some(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
            -1..=1 => None,
            _ => Some(ErrorCode::INVALID_REQUIRED_ACKS),
        };
        let how = How {
            acks,
            version: out.version,
            transactional_id: self.transactional_id.clone(),
        };
        let mut answers = Vec::new();
        for (topic, parts) in &mut self.topics {
            let name = topic.name(at.state);
            let done = parts.iter_mut().map(|part| {
                let result = match refused {
                    Some(code) => Err(code),
                    None => append(at, topic, name.as_ref(), part, &how),
                };
                tell(at, name.as_deref(), part, result)
            });
            answers.push((topic.clone(), done.collect::<Vec<_>>()));
        }
        if acks == 0 {
            let mut all = answers.iter().flat_map(|(_, done)| done);
            return if all.any(|done| done.result.is_err()) {
                Step::Close
            } else {
                Step::Silence
            };
        }
        write(at, &answers, out);
        Step::Answer
    }
}

/// How all of the request's batches are appended.
struct How {
    acks: i16,
    version: i16,
    transactional_id: Option<Name>,
}

impl Produce {
    fn heads(&self) -> impl Iterator<Item = &Head> {
        let parts = self.topics.iter().flat_map(|(_, parts)| parts);
        parts.filter_map(|part| match &part.batch {
            Some(Ok(batch)) => Some(&batch.head),
            _ => None,
        })
    }

    /// Records of transactions need an id, and the right to it.
    fn may_transact(&self, at: &At<'_>) -> bool {
        let mut heads = self.heads();
        !heads.any(Head::is_transactional)
            || self
                .transactional_id
                .as_ref()
                .is_some_and(|id| at.authorize_transaction(id).is_ok())
    }

    /// A client that does not ask before it writes may come before the markers of its last transaction, for which Kafka
    /// waits a little.
    fn waits_for_markers(&mut self, at: &At<'_>, version: i16) -> Option<Duration> {
        let id = self.transactional_id.as_ref()?;
        let first = self.heads().find(|head| head.is_transactional());
        let producer = identity(first?);
        let found = at.state.verify_transaction(id, producer, |_| true);
        let busy = found == Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        if version < JOINS || !at.state.bumps_epochs() || !busy {
            return None;
        }
        let now = at.now.up;
        let until = *self.patience.get_or_insert(now + PATIENCE);
        (now < until).then(|| until.min(now + LOOK_AGAIN))
    }
}

fn identity(head: &Head) -> Identity {
    Identity {
        id: head.producer_id,
        epoch: head.producer_epoch,
    }
}

/// The partition is part of the batch's transaction, or becomes it.
fn enroll(
    at: &mut At<'_>,
    how: &How,
    (topic, index): (&Name, i32),
    batch: &NewBatch,
) -> Result<(), ErrorCode> {
    let id = how.transactional_id.as_ref();
    let id = id.ok_or(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)?;
    let (producer, now) = (identity(&batch.head), at.now);
    let partition = (topic.clone(), index);
    let told = |code| told_by_verification(code, ErrorCode::NOT_ENOUGH_REPLICAS);
    if how.version >= JOINS && at.state.bumps_epochs() {
        let joined = at.state.join_transaction(id, producer, now, |transaction| {
            transaction.partitions.insert(partition);
        });
        return joined.map_err(told);
    }
    let found = at.state.verify_transaction(id, producer, |transaction| {
        transaction.partitions.contains(&partition)
    });
    match found.map_err(told)? {
        Verdict::Part => Ok(()),
        Verdict::NoPart if how.version >= KNOWS_ABORTABLE => Err(ErrorCode::TRANSACTION_ABORTABLE),
        Verdict::NoPart => Err(ErrorCode::INVALID_TXN_STATE),
    }
}

fn append(
    at: &mut At<'_>,
    topic: &TopicRef,
    name: Option<&Name>,
    part: &mut Part,
    how: &How,
) -> Result<Appended, ErrorCode> {
    let name = name.ok_or(topic.unknown())?;
    let batch = part.batch.take().unwrap_or(Err(NOTHING));
    let batch = batch.map_err(|flaw| {
        let (Flaw::Shape(code) | Flaw::Records(code)) = flaw;
        part.is_shapeless = matches!(flaw, Flaw::Shape(_));
        code
    });
    let index = part.partition;
    at.part(Some(name), Some(index), |at| {
        if let Ok(batch) = &batch
            && batch.head.is_transactional()
        {
            let partition = at.state.topics.partition(name, index)?;
            partition.check_leader(at.node, -1)?;
            enroll(at, how, (name, index), batch)?;
        }
        let (node, wall) = (at.node, at.now.wall);
        let State {
            topics,
            nodes,
            waits,
            settings,
            ..
        } = &mut *at.state;
        let bounded = settings.retention_bytes.is_some();
        let topic = topics
            .get_mut(name)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let (partition, configs) = topic
            .partition_mut(index)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        partition.check_leader(node, -1)?;
        let batch = batch?;
        let in_sync = partition.replicas.iter();
        let in_sync = in_sync.filter(|id| nodes.is_alive(**id)).count();
        // Never more than there are replicas, as since Kafka 4.1.
        let needed = configs.min_insync.min(partition.replicas.len());
        if how.acks == -1 && in_sync < needed {
            return Err(ErrorCode::NOT_ENOUGH_REPLICAS);
        }
        let appended = partition
            .log
            .append(batch, partition.epoch, wall, configs)
            .map_err(|Rejected { code, records }| {
                part.rejected = records;
                code
            })?;
        if bounded {
            partition.log.bound(configs);
        }
        waits.changed(name, index);
        Ok(appended)
    })
}

fn tell(
    at: &At<'_>,
    name: Option<&str>,
    part: &mut Part,
    result: Result<Appended, ErrorCode>,
) -> Done {
    let partition = part.partition;
    let found = name.and_then(|name| at.state.topics.partition(name, partition).ok());
    let code = result.err().unwrap_or(ErrorCode::NONE);
    // Kafka tells where the log begins unless it refused before it looked there.
    let unseen = matches!(
        code,
        ErrorCode::INVALID_REQUIRED_ACKS
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::CORRUPT_MESSAGE
    );
    let found = found.filter(|_| !unseen && !part.is_shapeless);
    Done {
        partition,
        result,
        log_start: found.map_or(-1, |partition| partition.log.start()),
        hint: leaders::hint(at.state, name, partition, code),
        rejected: std::mem::take(&mut part.rejected),
    }
}

fn write(at: &At<'_>, answers: &[(TopicRef, Vec<Done>)], out: &mut Writer) {
    let mut leaders = Vec::new();
    out.array(answers, |out, (topic, done)| {
        topic.write(out);
        out.array(done, |out, done| {
            out.i32(done.partition);
            out.code(done.result.err().unwrap_or(ErrorCode::NONE));
            let appended = done.result.ok();
            out.i64(appended.map_or(-1, |a| a.base_offset));
            out.i64(appended.map_or(-1, |a| a.append_time));
            if out.version >= 5 {
                out.i64(done.log_start);
            }
            if out.version >= 8 {
                out.array(&done.rejected, |out, (place, why)| {
                    out.i32(*place);
                    out.nullable_string(Some(why));
                    out.tags();
                });
                out.nullable_string(done.message().as_deref());
            }
            let hint = done.hint.filter(|_| out.version >= 10);
            leaders.extend(hint.map(|(leader, _)| leader));
            leaders::write_hint(out, 0, hint);
        });
        out.tags();
    });
    out.throttle();
    leaders::write_endpoints(out, at, leaders);
}

impl TopicRef {
    /// The name, unless it is the id of no topic.
    pub(super) fn name(&self, state: &State) -> Option<Name> {
        match self {
            Self::Name(name) => Some(name.clone()),
            Self::Id(id) => state.topics.name_of(*id).cloned(),
        }
    }

    /// What is answered when there is no such topic.
    pub(super) fn unknown(&self) -> ErrorCode {
        match self {
            Self::Name(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            Self::Id(_) => ErrorCode::UNKNOWN_TOPIC_ID,
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        match self {
            Self::Name(name) => out.string(name),
            Self::Id(id) => out.topic_id(*id),
        }
    }
}
