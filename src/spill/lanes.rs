//! Which way each topic's records go: to the cluster at once, or to disk behind those that are there.
//!
//! ```text
//!            gives up               spills             replayed
//!   Direct ───────────▶ Holding ───────────▶ Spilling ───────────▶ Holding ───▶ Direct
//!                                               ▲  new ones come     │
//!                                               └────────────────────┘
//! ```
//!
//! Whoever was told `Direct` and comes late with its record has the topic given up once more, whichever way it goes then.
//!
//! While a lane is held its records wait, for moments: those that were handed over before are brought to disk, or the last
//! ones from disk are sent, and none may pass them.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use tokio::sync::oneshot;

use tracing::debug;

use super::entry::Kept;
use super::store::size;
use super::verdict::{Fate, of_new};
use crate::error::Result;
use crate::producer::Delivery;
use crate::types::TopicName;

/// Which way a topic's records go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// To the cluster.
    #[default]
    Direct,
    /// Not before the route is another.
    Holding,
    /// To disk.
    Spilling,
}

/// A record that was handed to the producer, and may have to be spilled yet.
pub(crate) struct Pending {
    pub(crate) record: Kept,
    pub(crate) delivery: Delivery,
    pub(crate) accepted: Instant,
    /// Told when it is on disk, or cannot be.
    pub(crate) told: oneshot::Sender<Result<()>>,
}

/// One topic.
#[derive(Default)]
struct Lane {
    route: Route,
    /// In the order of acceptance, by partition.
    pending: HashMap<i32, VecDeque<Pending>>,
    /// Its records are being brought to disk.
    giving_up: bool,
    /// A task sends what is on disk.
    replaying: bool,
    /// Callers who were told to spill and have not yet.
    entering: usize,
}

/// All topics.
pub(crate) struct Lanes {
    lanes: HashMap<TopicName, Lane>,
    second_copies: bool,
    /// Bytes of records that are pending, or over and not yet let go.
    kept: usize,
    /// All lanes are looked through when so many are kept.
    sweep_at: usize,
}

/// So many bytes of records that are over are kept at most.
const SWEEP: usize = 2 << 20;

impl Lanes {
    pub(crate) fn new(second_copies: bool) -> Self {
        Self {
            lanes: HashMap::new(),
            second_copies,
            kept: 0,
            sweep_at: SWEEP,
        }
    }

    fn lane(&mut self, topic: &TopicName) -> &mut Lane {
        self.lanes.entry(topic.clone()).or_default()
    }

    /// Which way the topic's next record goes; whoever is told to spill says with [`entered`](Self::entered) that it has.
    pub(crate) fn enter(&mut self, topic: &str) -> Route {
        let Some(lane) = self.lanes.get_mut(topic) else {
            return Route::Direct;
        };
        if lane.route == Route::Spilling {
            lane.entering += 1;
        }
        lane.route
    }

    /// A record that was to be spilled is with the store's thread.
    pub(crate) fn entered(&mut self, topic: &str) {
        if let Some(lane) = self.lanes.get_mut(topic) {
            lane.entering -= 1;
        }
    }

    /// A record was handed to the producer; true when its topic's records have been brought to disk meanwhile, or are
    /// being brought there.
    pub(crate) fn accepted(&mut self, topic: &TopicName, pending: Pending) -> bool {
        let second_copies = self.second_copies;
        let lane = self.lane(topic);
        let partition = pending.delivery.target().partition();
        let queue = lane.pending.entry(partition).or_default();
        // Those that are over leave as others come: two for each.
        let mut gone = 0;
        for _ in 0..2 {
            gone += queue.pop_front_if_over(second_copies).unwrap_or(0);
        }
        let size = size(&pending.record);
        // Its way may have been another, and be direct again.
        let is_late = lane.route != Route::Direct || pending.state(second_copies) == State::ToSpill;
        queue.push_back(pending);
        self.kept = self.kept.saturating_sub(gone) + size;
        if self.kept >= self.sweep_at {
            self.sweep();
        }
        is_late
    }

    /// Lets the records of all lanes go that are over.
    fn sweep(&mut self) {
        let second_copies = self.second_copies;
        let queues = self
            .lanes
            .values_mut()
            .flat_map(|lane| lane.pending.values_mut());
        for queue in queues {
            while let Some(size) = queue.pop_front_if_over(second_copies) {
                self.kept = self.kept.saturating_sub(size);
            }
        }
        self.sweep_at = self.kept + SWEEP;
    }

    /// Begins to bring the topic's records to disk; false when somebody does already.
    pub(crate) fn begin_giving_up(&mut self, topic: &TopicName) -> bool {
        let lane = self.lane(topic);
        if lane.giving_up {
            return false;
        }
        lane.giving_up = true;
        lane.route = Route::Holding;
        true
    }

    /// Handles to the topic's records that have not been acknowledged.
    pub(crate) fn unresolved(&mut self, topic: &TopicName) -> Vec<Delivery> {
        let pending = self.lane(topic).pending.values().flatten();
        let open = pending.filter(|pending| !pending.delivery.is_done());
        open.map(|pending| pending.delivery.again()).collect()
    }

    /// Takes the topic's records, in the order of acceptance for each partition.
    pub(crate) fn take(&mut self, topic: &TopicName) -> Vec<Pending> {
        let queues = std::mem::take(&mut self.lane(topic).pending);
        let pending: Vec<_> = queues.into_values().flatten().collect();
        let sizes = pending.iter().map(|pending| size(&pending.record));
        self.kept = self.kept.saturating_sub(sizes.sum());
        pending
    }

    /// The topic's records are with the store's thread; whether a task must be started that sends them. `None`, and
    /// nothing changes, where one was accepted meanwhile.
    pub(crate) fn spilling(&mut self, topic: &TopicName) -> Option<bool> {
        let second_copies = self.second_copies;
        let lane = self.lane(topic);
        let mut pending = lane.pending.values().flatten();
        if pending.any(|pending| pending.state(second_copies) != State::Over) {
            return None;
        }
        lane.giving_up = false;
        lane.route = Route::Spilling;
        Some(!std::mem::replace(&mut lane.replaying, true))
    }

    /// All that was read from disk was sent: holds what comes, to see whether that was all.
    pub(crate) fn hold(&mut self, topic: &TopicName) {
        self.turn(topic, Route::Holding);
    }

    /// There was more, and more than moments take.
    pub(crate) fn release(&mut self, topic: &TopicName) {
        self.turn(topic, Route::Spilling);
    }

    /// Another way, unless records are being brought to disk, behind which all others go.
    fn turn(&mut self, topic: &TopicName, route: Route) {
        let lane = self.lane(topic);
        if !lane.giving_up {
            lane.route = route;
        }
    }

    /// Whether those who were told to spill all have.
    pub(crate) fn is_entered(&mut self, topic: &TopicName) -> bool {
        let lane = self.lane(topic);
        lane.entering == 0 && !lane.giving_up
    }

    /// Nothing is on disk any more; false when that is no longer so.
    pub(crate) fn direct(&mut self, topic: &TopicName) -> bool {
        let lane = self.lane(topic);
        let is_empty = lane.route == Route::Holding && !lane.giving_up;
        if is_empty {
            lane.route = Route::Direct;
            lane.replaying = false;
        }
        is_empty
    }

    /// What is on disk is not sent any more; what comes goes there all the same.
    pub(crate) fn replay_ended(&mut self, topic: &TopicName) {
        self.lane(topic).replaying = false;
        self.turn(topic, Route::Spilling);
    }

    /// Whether what is on disk is being sent, of any topic.
    pub(crate) fn is_replaying(&self) -> bool {
        self.lanes.values().any(|lane| lane.replaying)
    }

    /// Topics whose oldest record was accepted before that time and is not acknowledged; and when the next one was.
    pub(crate) fn overdue(&mut self, before: Instant) -> (Vec<TopicName>, Option<Instant>) {
        self.sweep();
        let (mut overdue, mut next) = (Vec::new(), None::<Instant>);
        for (topic, lane) in &mut self.lanes {
            let mut is_overdue = false;
            for queue in lane.pending.values_mut() {
                let Some(front) = queue.front() else { continue };
                if front.accepted <= before {
                    is_overdue = true;
                } else {
                    next = Some(next.map_or(front.accepted, |next| next.min(front.accepted)));
                }
            }
            lane.pending.retain(|_, queue| !queue.is_empty());
            if is_overdue && !lane.giving_up {
                overdue.push(topic.clone());
            }
        }
        (overdue, next)
    }

    /// Lets all records go about which nothing is left to be done; topics that have others, which are in memory alone.
    pub(crate) fn unsettled(&mut self) -> Vec<TopicName> {
        let second_copies = self.second_copies;
        let (mut gone, mut left) = (0, Vec::new());
        for (topic, lane) in &mut self.lanes {
            for queue in lane.pending.values_mut() {
                queue.retain(|pending| {
                    let is_over = pending.state(second_copies) == State::Over;
                    gone += if is_over { size(&pending.record) } else { 0 };
                    !is_over
                });
            }
            lane.pending.retain(|_, queue| !queue.is_empty());
            if !lane.pending.is_empty() || lane.giving_up {
                left.push(topic.clone());
            }
        }
        self.kept = self.kept.saturating_sub(gone);
        left
    }

    /// How many topics' records go to disk.
    pub(crate) fn spilling_topics(&self) -> usize {
        let lanes = self.lanes.values();
        lanes.filter(|lane| lane.route != Route::Direct).count()
    }
}

/// A partition's records, in the order of acceptance.
trait Queue {
    /// Lets the first one go if nothing is left to be done about it; its size.
    fn pop_front_if_over(&mut self, second_copies: bool) -> Option<usize>;
}

impl Queue for VecDeque<Pending> {
    fn pop_front_if_over(&mut self, second_copies: bool) -> Option<usize> {
        let front = self.front()?;
        if front.state(second_copies) != State::Over {
            return None;
        }
        let size = size(&front.record);
        self.pop_front();
        Some(size)
    }
}

impl Pending {
    /// What has become of it.
    pub(crate) fn state(&self, second_copies: bool) -> State {
        match self.delivery.failure() {
            None => State::Open,
            Some(None) => State::Over,
            Some(Some(error)) => match of_new(&error, second_copies) {
                Fate::Spill => State::ToSpill,
                Fate::GiveBack => {
                    if self.told.is_closed() {
                        let topic = self.record.topic();
                        debug!(topic, %error, "a record was given back, or nobody waited for it");
                    }
                    State::Over
                }
            },
        }
    }
}

/// What has become of a record that was handed to the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing yet.
    Open,
    /// It is in the log, or its caller has it back.
    Over,
    /// It failed, and is to be spilled.
    ToSpill,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::record::Record;
    use crate::types::TopicPartition;

    fn topic() -> TopicName {
        "t".into()
    }

    /// A record that was accepted, and how to end it.
    fn accepted() -> (Pending, impl FnOnce(Result<()>)) {
        let (delivery, end) = Delivery::planted(TopicPartition::new("t", 0));
        let pending = Pending {
            record: Kept::new(Record::to("t").value("v")),
            delivery,
            accepted: Instant::now(),
            told: oneshot::channel().0,
        };
        (pending, end)
    }

    fn overdue() -> Error {
        Error::DeliveryTimeout {
            timeout: std::time::Duration::from_secs(1),
            last: None,
        }
    }

    #[test]
    fn new_records_wait_while_others_are_brought_to_disk_whatever_the_way_was() {
        let mut lanes = Lanes::new(false);
        assert_eq!(lanes.spilling(&topic()), Some(true));
        assert_eq!(lanes.enter("t"), Route::Spilling);
        lanes.entered("t");
        assert!(lanes.begin_giving_up(&topic()));
        assert!(!lanes.begin_giving_up(&topic()));
        assert_eq!(lanes.enter("t"), Route::Holding);
        // Nor does the task that sends what is on disk let them by.
        for turn in [Lanes::release, Lanes::hold, Lanes::replay_ended] {
            turn(&mut lanes, &topic());
            assert!(!lanes.direct(&topic()));
            assert_eq!(lanes.enter("t"), Route::Holding);
        }
        assert_eq!(lanes.spilling(&topic()), Some(true), "it ended");
        assert_eq!(lanes.enter("t"), Route::Spilling);
    }

    #[test]
    fn the_way_to_disk_is_open_when_all_that_was_accepted_has_gone_it() {
        let mut lanes = Lanes::new(false);
        assert!(lanes.begin_giving_up(&topic()));
        assert!(lanes.take(&topic()).is_empty());
        // Accepted before, and late with telling so.
        let (late, end) = accepted();
        assert!(lanes.accepted(&topic(), late));
        assert_eq!(lanes.spilling(&topic()), None, "it is open yet");
        end(Err(overdue()));
        assert_eq!(lanes.spilling(&topic()), None, "it is to be spilled");
        assert_eq!(lanes.enter("t"), Route::Holding);
        assert_eq!(lanes.take(&topic()).len(), 1);
        let (arrived, end) = accepted();
        lanes.accepted(&topic(), arrived);
        end(Ok(()));
        assert_eq!(lanes.spilling(&topic()), Some(true));
    }

    #[test]
    fn a_record_that_comes_late_is_noticed_though_the_way_is_direct_again() {
        let mut lanes = Lanes::new(false);
        let (late, end) = accepted();
        end(Err(overdue()));
        assert!(lanes.accepted(&topic(), late));
        let (in_time, _) = accepted();
        assert!(!lanes.accepted(&topic(), in_time));
    }
}
