//! What each broker's fetch loop is to do next, and what it is woken by.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::State;
use crate::config::ConsumerSettings;
use crate::machine::fetch::{Asked, Session};
use crate::types::BrokerId;

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

/// A running fetch loop, and what it waits for: a chunk that is used up wakes it only then.
#[derive(Default)]
pub(in crate::consumer) struct Source {
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

impl State {
    /// What the fetch loop of a broker is to do; `hurry` leaves full partitions out rather than wait for room.
    pub(in crate::consumer) fn plan(
        &mut self,
        broker: BrokerId,
        session: &mut Session,
        settings: &ConsumerSettings,
        hurry: bool,
        now: Instant,
    ) -> Plan {
        // Each broker has a share of its own: one that does not answer takes nothing from the others.
        let memory = settings.buffer_memory.saturating_sub(self.unpacked);
        let share = memory / self.sources.len().max(1);
        // Whatever is left: what has nothing buffered is not full.
        let full_at = settings.partition_fetch_bytes.min(share).max(1);
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
        let mut used = survey.used;
        let needed = used + survey.kept + full_at;
        if needed > share {
            if used > 0 {
                self.wait(broker, 0, (needed - share).min(used));
                return Plan::Wait(survey.wake);
            }
            // Paused partitions must not keep the others from being fetched.
            self.drop_paused(broker, now);
        } else {
            used += survey.kept;
        }
        let room = share.saturating_sub(used).max(1);
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

    /// Notes what the loop waits for.
    fn wait(&mut self, broker: BrokerId, full_at: usize, missing: usize) {
        if let Some(source) = self.sources.get_mut(&broker) {
            source.full_at = full_at;
            source.missing = missing;
        }
    }

    /// A chunk of so many bytes of this partition was used up: wakes its loop if that waits for this.
    pub(in crate::consumer) fn freed(&mut self, index: u32, bytes: usize, now: Instant) {
        let Some(partition) = self.get(index) else {
            return;
        };
        let is_drained = partition.take_drained();
        let left = partition.buffered();
        let source = partition.source(now);
        let Some(source) = source.and_then(|broker| self.sources.get_mut(&broker)) else {
            return;
        };
        let was_full = source.full_at > 0 && left + bytes >= source.full_at;
        let was_missing = source.missing > 0;
        source.missing = source.missing.saturating_sub(bytes);
        if is_drained || was_full && left < source.full_at || was_missing && source.missing == 0 {
            source.wake.notify_one();
        }
    }

    fn survey(&self, broker: BrokerId, full_at: usize, now: Instant) -> Survey {
        let mut survey = Survey::default();
        for (at, place) in self.slab.iter().enumerate() {
            let Some(partition) = place else { continue };
            if partition.source(now) != Some(broker) {
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
                .is_some_and(|p| p.paused && p.buffered() > 0 && p.source(now) == Some(broker));
            if is_paused {
                self.change_at(index, |partition, version| {
                    partition.refetch(version);
                });
            }
        }
    }

    /// Goes back to their leaders with what is fetched from this replica; `false` when there is nothing.
    pub(in crate::consumer) fn leave_replica(&mut self, broker: BrokerId) -> bool {
        let all = self.slab.iter_mut().flatten();
        let mut is_any = false;
        for partition in all {
            is_any |= partition.leave_replica(broker);
        }
        is_any
    }

    /// Wakes the fetch loop of a partition: there is room, or something to fetch. `false` when there is none.
    pub(in crate::consumer) fn wake_source(&mut self, index: u32, now: Instant) -> bool {
        let source = self.get(index).and_then(|partition| partition.source(now));
        let source = source.and_then(|broker| self.sources.get(&broker));
        source.inspect(|source| source.wake.notify_one()).is_some()
    }

    /// Wakes the fetch loop of a partition; tells whether that is missing, or a lookup.
    pub(in crate::consumer) fn is_missing(&mut self, index: u32, now: Instant) -> bool {
        let needs = self.get(index).and_then(|partition| partition.need(now));
        !self.wake_source(index, now) || needs.is_some()
    }

    pub(in crate::consumer) fn wake_sources(&self) {
        let all = self.sources.values();
        all.for_each(|source| source.wake.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::config::Compression;
    use crate::consumer::feed::{batch, consumer, feed};
    use crate::consumer::testing::{consumer_settings, partitions};
    use crate::consumer::{Consumer, Shared};

    const LEADER: BrokerId = BrokerId(0);

    fn chunk(number: i64) -> Vec<u8> {
        batch(number, 1, 1000, Compression::None)
    }

    /// A consumer of two partitions whose first has so many chunks.
    async fn buffered(chunks: i64, settings: ConsumerSettings) -> (Consumer, Arc<Notify>) {
        let consumer = consumer(2, settings).await;
        for number in 0..chunks {
            feed(&consumer, 0, &[chunk(number)]);
        }
        let source = Source::default();
        let wake = source.wake.clone();
        consumer.shared().lock().sources.insert(LEADER, source);
        (consumer, wake)
    }

    fn plan(shared: &Shared) -> Plan {
        let now = Instant::now();
        let session = &mut Session::default();
        let mut state = shared.lock();
        state.plan(LEADER, session, &shared.settings, false, now)
    }

    async fn is_woken(wake: &Notify) -> bool {
        timeout(Duration::ZERO, wake.notified()).await.is_ok()
    }

    /// Takes a record, which is all there is in a chunk, and comes back for the next.
    async fn use_up(consumer: &mut Consumer) {
        consumer.recv().await.unwrap().unwrap();
        assert!(consumer.take_one().unwrap().is_none());
    }

    #[tokio::test]
    async fn a_loop_that_waits_for_a_full_partition_is_woken_when_that_is_not_full_any_more() {
        let size = chunk(0).len();
        let settings = ConsumerSettings {
            partition_fetch_bytes: size * 2,
            ..consumer_settings()
        };
        let (mut consumer, wake) = buffered(4, settings).await;
        use_up(&mut consumer).await;
        assert!(!is_woken(&wake).await, "it is not waiting");
        assert!(matches!(plan(consumer.shared()), Plan::Full));
        use_up(&mut consumer).await;
        assert!(!is_woken(&wake).await, "two are left");
        use_up(&mut consumer).await;
        assert!(is_woken(&wake).await);
        assert!(matches!(plan(consumer.shared()), Plan::Fetch { .. }));
    }

    #[tokio::test]
    async fn a_loop_that_waits_for_room_is_woken_when_there_is_as_much_as_it_needs() {
        let size = chunk(0).len();
        let settings = ConsumerSettings {
            partition_fetch_bytes: size * 5,
            buffer_memory: size * 7,
            ..consumer_settings()
        };
        let (mut consumer, wake) = buffered(4, settings).await;
        assert!(matches!(plan(consumer.shared()), Plan::Wait(None)));
        use_up(&mut consumer).await;
        assert!(!is_woken(&wake).await, "one more is needed");
        use_up(&mut consumer).await;
        assert!(is_woken(&wake).await);
        assert!(matches!(plan(consumer.shared()), Plan::Fetch { .. }));
    }

    #[tokio::test]
    async fn with_no_bytes_of_a_partition_a_batch_is_asked_for_at_a_time() {
        let settings = ConsumerSettings {
            partition_fetch_bytes: 0,
            ..consumer_settings()
        };
        let (mut consumer, wake) = buffered(0, settings).await;
        assert!(matches!(plan(consumer.shared()), Plan::Fetch { .. }));
        for index in [0, 1] {
            feed(&consumer, index, &[chunk(0)]);
        }
        assert!(matches!(plan(consumer.shared()), Plan::Wait(None)));
        use_up(&mut consumer).await;
        assert!(is_woken(&wake).await);
        assert!(matches!(plan(consumer.shared()), Plan::Full));
    }

    #[tokio::test]
    async fn what_is_given_up_makes_room_for_others_at_once() {
        let (consumer, wake) = buffered(1, consumer_settings()).await;
        consumer.shared().stop(&partitions([0]));
        assert!(is_woken(&wake).await);
        consumer.shared().remove(&partitions([0]));
        assert!(is_woken(&wake).await);
    }

    #[tokio::test]
    async fn pausing_disturbs_nobody_but_the_partitions_loop() {
        let (consumer, wake) = buffered(1, consumer_settings()).await;
        let shared = consumer.shared();
        consumer.pause(&partitions([0])[0]).unwrap();
        assert!(is_woken(&wake).await);
        assert!(!is_woken(&shared.work).await);
        consumer.seek_to_end(&partitions([0])[0]).unwrap();
        assert!(is_woken(&shared.work).await);
    }
}
