//! What went through the proxies, batch by batch: the evidence when a promise is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use ottla::ErrorCode;

use super::frames::{Batch, Produced, Request, read_answer};

/// Events kept; a soak drops its oldest half.
const KEPT: usize = 400_000;

/// The batches seen, in order.
#[derive(Default)]
pub(crate) struct Trace(Mutex<Vec<Event>>);

struct Event {
    at: Instant,
    node: i32,
    connection: u64,
    batch: Batch,
    what: What,
}

enum What {
    Sent(&'static str),
    Answered {
        code: i16,
        offset: i64,
        dropped: bool,
    },
    Unmentioned,
    Ended,
}

impl Trace {
    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, events: impl Iterator<Item = Event>) {
        let mut all = self.lock();
        all.extend(events);
        if all.len() > KEPT {
            all.drain(..KEPT / 2);
        }
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn sent(&self, request: &Request, produced: &Produced, fate: &'static str) {
        let at = Instant::now();
        self.push(produced.batches.iter().map(|batch| Event {
            at,
            node: request.node,
            connection: request.connection,
            batch: batch.clone(),
            what: What::Sent(fate),
        }));
    }

    pub(crate) fn answered(
        &self,
        node: i32,
        connection: u64,
        produced: &Produced,
        frame: &Bytes,
        dropped: bool,
    ) {
        let at = Instant::now();
        // A frame that a test has garbled tells nothing.
        let all = read_answer(produced.version, frame).unwrap_or_default();
        self.push(produced.batches.iter().map(|batch| {
            let own = all
                .iter()
                .find(|told| told.partition == batch.partition && told.topic == batch.topic);
            let what = own.map_or(What::Unmentioned, |told| What::Answered {
                code: told.code,
                offset: told.offset,
                dropped,
            });
            Event {
                at,
                node,
                connection,
                batch: batch.clone(),
                what,
            }
        }));
    }

    /// Requests that held a partition more than once, which no broker understands.
    pub(crate) fn partitions_twice_in_a_request(&self) -> usize {
        let events = self.lock();
        let mut twice = 0;
        let sent = events
            .iter()
            .filter(|event| matches!(event.what, What::Sent(_)));
        let mut last: Option<(Instant, i32, u64)> = None;
        let mut seen = BTreeSet::new();
        for event in sent {
            // Batches of one request have one time.
            let request = (event.at, event.node, event.connection);
            if last.replace(request) != Some(request) {
                seen.clear();
            }
            twice += usize::from(!seen.insert((event.batch.topic.clone(), event.batch.partition)));
        }
        twice
    }

    /// A connection has ended: nothing that was sent on it will be answered.
    pub(crate) fn ended(&self, node: i32, connection: u64) {
        let batch = Batch {
            topic: String::new(),
            partition: -1,
            producer: -1,
            epoch: -1,
            sequence: -1,
            count: 0,
        };
        let event = Event {
            at: Instant::now(),
            node,
            connection,
            batch,
            what: What::Ended,
        };
        self.push(std::iter::once(event));
    }

    /// How often a partition's batch went to one broker while another still owed an answer for it.
    pub(crate) fn overlaps(&self) -> usize {
        let events = self.lock();
        let mut owed: Vec<(i32, u64, &Batch)> = Vec::new();
        let mut overlaps = 0;
        for Event {
            node,
            connection,
            batch,
            what,
            ..
        } in events.iter()
        {
            match what {
                What::Sent(_) => {
                    let elsewhere = |(other, _, one): &(i32, u64, &Batch)| {
                        other != node && one.partition == batch.partition
                    };
                    overlaps += usize::from(owed.iter().any(elsewhere));
                    owed.push((*node, *connection, batch));
                }
                What::Answered { .. } | What::Unmentioned => {
                    let own = (*node, *connection, batch);
                    owed.retain(|one| *one != own);
                }
                What::Ended => owed.retain(|one| (one.0, one.1) != (*node, *connection)),
            }
        }
        overlaps
    }

    /// The epochs that a partition's batches were sent under, in order.
    pub(crate) fn epochs(&self, partition: i32) -> Vec<i16> {
        let events = self.lock();
        let sent = events
            .iter()
            .filter(|event| matches!(event.what, What::Sent(_)));
        let own = sent.filter(|event| event.batch.partition == partition);
        let mut epochs: Vec<i16> = own.map(|event| event.batch.epoch).collect();
        epochs.dedup();
        epochs
    }

    /// The partitions whose epoch has changed.
    pub(crate) fn restarted(&self) -> BTreeMap<i32, Vec<i16>> {
        let partitions: BTreeSet<i32> = self
            .lock()
            .iter()
            .map(|event| event.batch.partition)
            .collect();
        let all = partitions
            .into_iter()
            .map(|partition| (partition, self.epochs(partition)));
        all.filter(|(_, epochs)| epochs.len() > 1).collect()
    }

    /// Answers by their code.
    pub(crate) fn codes(&self) -> BTreeMap<ErrorCode, usize> {
        let mut all = BTreeMap::new();
        for event in self.lock().iter() {
            if let What::Answered { code, .. } = event.what {
                *all.entry(ErrorCode::new(code)).or_default() += 1;
            }
        }
        all
    }

    /// What happened on the given partitions, as text.
    pub(crate) fn text(&self, partitions: &BTreeSet<i32>) -> String {
        let events = self.lock();
        let mut text = String::new();
        let Some(began) = events.first().map(|event| event.at) else {
            return text;
        };
        let wanted = |event: &&Event| {
            partitions.contains(&event.batch.partition) || matches!(event.what, What::Ended)
        };
        for event in events.iter().filter(wanted) {
            let Event {
                at,
                node,
                connection,
                batch,
                what,
            } = event;
            let ms = at.duration_since(began).as_secs_f64() * 1e3;
            if let What::Ended = what {
                let _ = writeln!(
                    text,
                    "{ms:10.2} ms broker {node} connection {connection:3} ends"
                );
                continue;
            }
            let Batch {
                partition,
                producer,
                epoch,
                sequence,
                count,
                ..
            } = batch;
            let _ = write!(
                text,
                "{ms:10.2} ms broker {node} connection {connection:3} partition {partition:2} producer {producer}/{epoch} \
                 sequence {sequence:6} +{count:3} "
            );
            let _ = match what {
                What::Sent(fate) => writeln!(text, "-> {fate}"),
                What::Answered {
                    code,
                    offset,
                    dropped,
                } => {
                    let code = ErrorCode::new(*code);
                    writeln!(
                        text,
                        "<- {code} offset {offset}{}",
                        if *dropped { " (dropped)" } else { "" }
                    )
                }
                What::Unmentioned => writeln!(text, "<- not mentioned in the answer"),
                What::Ended => Ok(()),
            };
        }
        text
    }
}
