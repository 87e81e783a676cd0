//! What each broker's fetch loop is to do next, and what it is woken by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{SubscriptionState, Wakes};
use crate::config::ConsumerSettings;
use crate::machine::fetch::{Asked, Session};
use crate::types::BrokerId;

/// While a fetch waits at its broker for longer, others are made beside it.
pub(in crate::consumer) const LONG_WAIT: Duration = Duration::from_millis(500);

/// What a fetch loop is to do next.
pub(in crate::consumer) enum Plan {
    /// Ask the broker, for so many bytes.
    Fetch { asked: Asked, max_bytes: usize },
    /// A partition has so much buffered that it is left out: better wait a little, and ask for all.
    Full,
    /// Nothing can be fetched now; look again at this time, or when told.
    Wait(Option<Instant>),
    /// The broker leads none of the partitions.
    Unneeded,
}

/// A running fetch loop, and what it waits for: a completed fetch that is used up wakes it only then.
#[derive(Default)]
pub(in crate::consumer) struct NodeFetch {
    pub(in crate::consumer) wake: Arc<Notify>,
    /// It waits until a partition that has as much buffered has less; 0 when it does not.
    full_at: usize,
    /// It waits until so many bytes are freed; 0 when it does not.
    missing: usize,
}

/// What a broker's partitions are like.
#[derive(Default)]
struct Survey {
    led: usize,
    fetchable: Vec<u32>,
    is_full: bool,
    /// Bytes buffered, of partitions that are not paused.
    used: usize,
    /// Bytes buffered of paused ones.
    kept: usize,
    wake: Option<Instant>,
}

impl SubscriptionState {
    /// What the fetch loop of a broker is to do; `hurry` leaves full partitions out rather than wait for room.
    pub(in crate::consumer) fn plan(
        &mut self,
        broker: BrokerId,
        session: &mut Session,
        settings: &ConsumerSettings,
        hurry: bool,
        now: Instant,
    ) -> Plan {
        let (share, full_at) = self.share(settings);
        let survey = self.survey(broker, full_at, now);
        self.wait(broker, 0, 0);
        if survey.led == 0 {
            return Plan::Unneeded;
        }
        if survey.is_full && (survey.fetchable.is_empty() || !hurry) {
            self.wait(broker, full_at, 0);
        }
        if survey.fetchable.is_empty() {
            return Plan::Wait(survey.wake);
        }
        if survey.is_full && !hurry {
            return Plan::Full;
        }
        let needed = full_at;
        let Some(room) = self.room(broker, &survey, share, 0, needed, now) else {
            return Plan::Wait(survey.wake);
        };
        let kept_free = if settings.fetch_max_wait > LONG_WAIT && !hurry {
            full_at.min(room / 2)
        } else {
            0
        };
        self.fetch(&survey, session, room - kept_free, settings)
    }

    /// What to fetch beside a request that waits at the broker: what `main`, its session, does not ask for. Its answer may
    /// have up to `pending` bytes, for which there must be room still; `once` is no session that the broker keeps.
    pub(in crate::consumer) fn plan_beside(
        &mut self,
        broker: BrokerId,
        (main, pending): (&Session, usize),
        once: &mut Session,
        settings: &ConsumerSettings,
        now: Instant,
    ) -> Plan {
        let (share, full_at) = self.share(settings);
        let mut survey = self.survey(broker, full_at, now);
        survey.fetchable.retain(|&at| {
            let partition = self.get(at);
            partition.is_some_and(|partition| !main.covers(at, partition))
        });
        self.wait(broker, if survey.is_full { full_at } else { 0 }, 0);
        if survey.fetchable.is_empty() {
            return Plan::Wait(survey.wake);
        }
        // As much as the request that waits has left, once nothing else is buffered.
        let needed = full_at.min(share / 2).max(1);
        match self.room(broker, &survey, share, pending, needed, now) {
            Some(room) => match self.fetch(&survey, once, room, settings) {
                Plan::Fetch { asked, max_bytes } => Plan::Fetch {
                    asked: asked.once(),
                    max_bytes,
                },
                other => other,
            },
            None => Plan::Wait(survey.wake),
        }
    }

    /// A broker's share of the buffer, and how much of it makes a partition full. Each broker has a share of its own: one
    /// that does not answer takes nothing from the others.
    fn share(&self, settings: &ConsumerSettings) -> (usize, usize) {
        let used = self.unpacked + self.held;
        let memory = settings.buffer_memory.saturating_sub(used);
        let share = memory / self.nodes.len().max(1);
        // Whatever is left: what has nothing buffered is not full.
        (share, settings.partition_fetch_bytes.min(share).max(1))
    }

    /// The bytes that may be asked for, where `pending` of them are already; without room for `needed` the loop waits
    /// until there is.
    fn room(
        &mut self,
        broker: BrokerId,
        survey: &Survey,
        share: usize,
        pending: usize,
        needed: usize,
        now: Instant,
    ) -> Option<usize> {
        let mut used = survey.used;
        let wanted = used + survey.kept + pending + needed;
        if wanted > share {
            if used > 0 {
                self.miss(broker, (wanted - share).min(used));
                return None;
            }
            // Paused partitions must not keep the others from being fetched.
            self.drop_paused(broker, now);
        } else {
            used += survey.kept;
        }
        Some(share.saturating_sub(used + pending).max(1))
    }

    fn fetch(
        &self,
        survey: &Survey,
        session: &mut Session,
        room: usize,
        settings: &ConsumerSettings,
    ) -> Plan {
        let most = settings.partition_fetch_bytes;
        let useful = survey.fetchable.len().saturating_mul(most);
        let partitions = survey.fetchable.iter().filter_map(|&at| {
            let partition = self.slab.get(at as usize)?.as_ref()?;
            Some((at, partition))
        });
        Plan::Fetch {
            asked: session.ask(partitions, i32::try_from(most).unwrap_or(i32::MAX)),
            max_bytes: settings.fetch_max_bytes.min(room).min(useful),
        }
    }

    /// Notes that the loop waits until so many bytes are freed.
    fn miss(&mut self, broker: BrokerId, bytes: usize) {
        if let Some(node) = self.nodes.get_mut(&broker) {
            node.missing = bytes;
        }
    }

    /// Notes what the loop waits for.
    fn wait(&mut self, broker: BrokerId, full_at: usize, missing: usize) {
        if let Some(node) = self.nodes.get_mut(&broker) {
            node.full_at = full_at;
            node.missing = missing;
        }
    }

    /// A completed fetch of so many bytes of this partition was used up, which its loop may wait for.
    pub(super) fn freed(&mut self, index: u32, bytes: usize, now: Instant) -> Wakes {
        let Some(partition) = self.get(index) else {
            return Wakes::default();
        };
        let is_drained = partition.take_drained();
        let left = partition.buffered();
        let node = partition.fetch_node(now);
        let Some(node) = node.and_then(|broker| self.nodes.get_mut(&broker)) else {
            return Wakes::default();
        };
        let was_full = node.full_at > 0 && left + bytes >= node.full_at;
        let was_missing = node.missing > 0;
        node.missing = node.missing.saturating_sub(bytes);
        if is_drained || was_full && left < node.full_at || was_missing && node.missing == 0 {
            return node.wakes();
        }
        Wakes::default()
    }

    fn survey(&self, broker: BrokerId, full_at: usize, now: Instant) -> Survey {
        let mut survey = Survey::default();
        for (at, place) in self.slab.iter().enumerate() {
            let Some(partition) = place else { continue };
            if partition.fetch_node(now) != Some(broker) {
                continue;
            }
            survey.led += 1;
            if partition.paused {
                survey.kept += partition.buffered();
                continue;
            }
            survey.used += partition.buffered();
            if partition.is_fetchable(now) {
                if partition.buffered() < full_at {
                    survey.fetchable.push(at as u32);
                } else {
                    survey.is_full = true;
                }
            } else if partition.is_waiting(now) && partition.is_fetching() {
                let at = partition.not_before();
                survey.wake = survey.wake.into_iter().chain(at).min();
            }
        }
        survey
    }

    fn drop_paused(&mut self, broker: BrokerId, now: Instant) {
        for index in 0..self.slab.len() as u32 {
            let is_paused = self
                .get(index)
                .is_some_and(|p| p.paused && p.buffered() > 0 && p.fetch_node(now) == Some(broker));
            if is_paused {
                self.void_at(index, |partition, version| {
                    partition.refetch(version);
                });
            }
        }
    }

    /// Goes back to their leaders with what is fetched from this replica.
    pub(in crate::consumer) fn leave_replica(&mut self, broker: BrokerId) -> Wakes {
        let all = self.slab.iter_mut().flatten();
        let mut is_any = false;
        for partition in all {
            is_any |= partition.leave_replica(broker);
        }
        Wakes {
            keeper: is_any,
            ..Wakes::default()
        }
    }

    /// The fetch loop of a broker has ended: what was fetched there, from a replica whose time is up, needs its leader's.
    pub(in crate::consumer) fn ended(&mut self, broker: BrokerId) -> Wakes {
        self.nodes.remove(&broker);
        Wakes::keeper()
    }

    /// The fetch loop of a partition, for which there may be room, or something to fetch; the keeper of positions, if that
    /// is missing, or a lookup.
    pub(in crate::consumer) fn look_after(&mut self, index: u32) -> Wakes {
        let now = Instant::now();
        let Some(partition) = self.get(index) else {
            return Wakes::keeper();
        };
        let needs = partition.need(now).is_some();
        let node = partition.fetch_node(now);
        let node = node.and_then(|broker| self.nodes.get(&broker));
        Wakes {
            keeper: needs || node.is_none(),
            ..node.map(NodeFetch::wakes).unwrap_or_default()
        }
    }

    /// So many bytes are in use by records that were handed out.
    pub(in crate::consumer) fn set_held(&mut self, bytes: usize) -> Wakes {
        let is_less = bytes < self.held;
        self.held = bytes;
        if is_less {
            self.short_of_room()
        } else {
            Wakes::default()
        }
    }

    /// Those fetch loops that wait for room.
    fn short_of_room(&self) -> Wakes {
        let all = self.nodes.values();
        let short = all.filter(|node| node.missing > 0);
        Wakes {
            fetchers: short.map(|node| node.wake.clone()).collect(),
            ..Wakes::default()
        }
    }

    /// All fetch loops.
    pub(super) fn fetchers(&self) -> Wakes {
        let all = self.nodes.values();
        Wakes {
            fetchers: all.map(|node| node.wake.clone()).collect(),
            ..Wakes::default()
        }
    }
}

impl NodeFetch {
    /// This loop.
    pub(in crate::consumer) fn wakes(&self) -> Wakes {
        Wakes {
            fetchers: vec![self.wake.clone()],
            ..Wakes::default()
        }
    }
}

#[cfg(test)]
mod tests;
