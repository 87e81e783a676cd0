//! One broker's side of the accumulator: the queues that it leads, the way to it, and whose turn it is to send.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::partition_queue::PartitionQueue;
use super::ready_list::ReadyList;
pub(crate) use super::ready_list::{Listed, Sweep};
use crate::error::Error;
use crate::net::Connection;
use crate::types::BrokerId;

/// Nobody sends.
const FREE: u8 = 0;
/// Somebody sends.
const TAKEN: u8 = 1;
/// Somebody sends, and the sender's task waits for its turn.
const WANTED: u8 = 2;

/// One broker's side of the accumulator: the queues that it leads, as far as its sender has to look at them.
pub(crate) struct BrokerQueue {
    pub(crate) id: BrokerId,
    list: Mutex<ReadyList>,
    wake: Notify,
    /// Whether somebody takes batches and writes requests: their order on the wire is that of their sequences.
    turn: AtomicU8,
    /// Requests without an answer yet.
    in_flight: AtomicUsize,
    max_in_flight: usize,
    requests: AtomicU64,
    route: Mutex<Route>,
}

/// The way to the broker, as the sender's task knows it, for whoever sends.
#[derive(Default)]
struct Route {
    connection: Option<Connection>,
    /// Why nothing can be sent, since the last time that something could.
    trouble: Option<Arc<Error>>,
}

/// The right to send, until it is dropped.
pub(crate) struct Turn<'a>(&'a BrokerQueue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.0.turn.swap(FREE, Ordering::AcqRel) == WANTED {
            self.0.wake.notify_one();
        }
    }
}

impl BrokerQueue {
    pub(crate) fn new(id: BrokerId, max_in_flight: usize) -> Self {
        Self {
            id,
            list: Mutex::default(),
            wake: Notify::new(),
            turn: AtomicU8::new(FREE),
            in_flight: AtomicUsize::new(0),
            max_in_flight,
            requests: AtomicU64::new(0),
            route: Mutex::default(),
        }
    }

    /// The right to send, unless somebody has it.
    pub(crate) fn try_turn(&self) -> Option<Turn<'_>> {
        let taken = self
            .turn
            .compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Acquire);
        // Not made before it is had: dropping it would give the turn of another detached.
        taken.is_ok().then(|| Turn(self))
    }

    /// The same for the sender's task, which is woken once who has it is done.
    pub(crate) fn turn(&self) -> Option<Turn<'_>> {
        loop {
            if let Some(turn) = self.try_turn() {
                return Some(turn);
            }
            let asked =
                self.turn
                    .compare_exchange(TAKEN, WANTED, Ordering::AcqRel, Ordering::Acquire);
            if matches!(asked, Ok(_) | Err(WANTED)) {
                return None;
            }
        }
    }

    fn list(&self) -> MutexGuard<'_, ReadyList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a queue that is ready.
    pub(crate) fn list_now(&self, queue: Arc<PartitionQueue>) {
        self.list().now(queue);
        self.wake.notify_one();
    }

    /// Lists a queue without a word to the sender, for the caller to send from; not behind others,
    /// nor while the broker wants to be left alone.
    pub(crate) fn list_alone(&self, now: Instant, queue: &Arc<PartitionQueue>) -> bool {
        let mut list = self.list();
        let alone = list.is_none_ready() && list.muted_until(now).is_none();
        if alone {
            list.now(Arc::clone(queue));
        }
        alone
    }

    /// Wakes the sender when something was left on the list.
    pub(crate) fn wake_for_rest(&self) {
        if !self.list().is_none_ready() {
            self.wake.notify_one();
        }
    }

    /// Lists a queue that will be ready.
    pub(crate) fn list_at(&self, at: Instant, queue: Arc<PartitionQueue>) {
        let soonest = self.list().at(at, queue);
        if soonest {
            self.wake.notify_one();
        }
    }

    /// Lists a queue whose open batch lingers until `at`.
    pub(crate) fn list_lingering(&self, at: Instant, queue: Arc<PartitionQueue>) {
        let soonest = self.list().lingering(at, queue);
        if soonest {
            self.wake.notify_one();
        }
    }

    /// Lets the sender look at what lingers: somebody waits for memory. While a request is on the way its answer does.
    pub(crate) fn rush(&self) {
        if self.in_flight() == 0 {
            self.wake.notify_one();
        }
    }

    /// Whether nothing is on the way: when somebody waits for memory, batches are sent before they have lingered. While
    /// something is, they grow.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight() == 0
    }

    /// Begins to look at the queues that are due: those listed as ready, those whose time has come, and if `rush` those
    /// that linger. What is listed meanwhile is for the next sweep.
    pub(crate) fn sweep(&self, now: Instant, rush: bool) -> Sweep {
        self.list().sweep(now, rush)
    }

    /// The sweep's next queue.
    pub(crate) fn next_due(&self, sweep: &mut Sweep) -> Option<Listed> {
        self.list().next_due(sweep)
    }

    /// Puts back what was taken but not used, before everything else.
    pub(crate) fn put_back(&self, unused: Listed) {
        self.list().put_back(unused);
    }

    /// Whether there is a queue to look at now.
    pub(crate) fn has_due(&self, now: Instant, rush: bool) -> bool {
        self.list().has_due(now, rush)
    }

    /// When to look again without being woken.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.list().next_time()
    }

    pub(crate) fn mute(&self, until: Instant) {
        self.list().mute(until);
    }

    pub(crate) fn muted_until(&self, now: Instant) -> Option<Instant> {
        self.list().muted_until(now)
    }

    /// A number for the next request, above 0 and different from all before.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn route(&self) -> MutexGuard<'_, Route> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the connection that requests are written to, `None` when the sender has ended.
    pub(crate) fn note_connection(&self, connection: Option<Connection>) {
        self.route().connection = connection;
    }

    pub(crate) fn note_trouble(&self, error: Option<Arc<Error>>) {
        self.route().trouble = error;
    }

    pub(crate) fn trouble(&self) -> Option<Arc<Error>> {
        self.route().trouble.clone()
    }

    /// The connection, while it is open.
    pub(crate) fn connection(&self) -> Option<Connection> {
        let route = self.route();
        route.connection.clone().filter(|c| !c.is_closed())
    }

    /// The connection, when there was no trouble with sending since the sender last looked.
    pub(crate) fn smooth_connection(&self) -> Option<Connection> {
        let smooth = self.route().trouble.is_none();
        smooth.then(|| self.connection()).flatten()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn sending(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether another request may go out before one is answered.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight() < self.max_in_flight
    }

    /// A request was answered, or never will be; `rush` tells that somebody waits for memory.
    pub(crate) fn landed(&self, rush: bool) {
        let before = self.in_flight.fetch_sub(1, Ordering::AcqRel);
        // Only a sender that may not send waits for this, or one that lets batches grow as long as something is sent.
        if before >= self.max_in_flight || (rush && before == 1) {
            self.wake.notify_one();
        }
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn is_woken(broker: &BrokerQueue) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(pin!(broker.woken()).poll(&mut context), Poll::Ready(()))
    }

    #[test]
    fn one_at_a_time_has_the_turn() {
        let broker = BrokerQueue::new(BrokerId(1), 5);
        let turn = broker.try_turn();
        assert!(turn.is_some());
        assert!(broker.try_turn().is_none() && broker.turn().is_none());
        assert!(broker.try_turn().is_none() && broker.turn().is_none());
        drop(turn);
        assert!(broker.try_turn().is_some() && broker.turn().is_some());
    }

    #[test]
    fn sender_that_asked_for_the_turn_is_woken_when_it_is_free() {
        let broker = BrokerQueue::new(BrokerId(1), 5);
        drop(broker.try_turn());
        assert!(!is_woken(&broker), "nobody asked");
        let turn = broker.try_turn();
        assert!(broker.turn().is_none());
        assert!(!is_woken(&broker), "it is not free yet");
        drop(turn);
        assert!(is_woken(&broker));
        assert!(broker.turn().is_some());
        assert!(!is_woken(&broker), "nobody asked again");
    }

    fn queues(count: usize) -> Vec<Arc<PartitionQueue>> {
        let limits = crate::machine::produce::Limits {
            batch_size: 1,
            linger: std::time::Duration::ZERO,
            delivery_timeout: std::time::Duration::ZERO,
            retries: 0,
            compressed: false,
            idempotent: false,
            transactional: false,
        };
        let topic = super::super::testing::topic(count);
        super::super::topics::TopicQueues::new(&topic, None, limits).queues
    }

    fn swept(broker: &BrokerQueue, now: Instant, rush: bool) -> Vec<i32> {
        let mut sweep = broker.sweep(now, rush);
        let due = std::iter::from_fn(|| broker.next_due(&mut sweep));
        due.map(|listed| listed.queue.target.partition()).collect()
    }

    #[test]
    fn what_lingers_is_due_in_its_time_or_when_somebody_waits_for_memory_and_backoffs_are_not() {
        let (broker, queues, now) = (BrokerQueue::new(BrokerId(1), 5), queues(4), Instant::now());
        let at = |ms| now + std::time::Duration::from_millis(ms);
        broker.list_lingering(at(3), Arc::clone(&queues[0]));
        broker.list_lingering(at(1), Arc::clone(&queues[1]));
        broker.list_lingering(at(2), Arc::clone(&queues[2]));
        broker.list_at(at(2), Arc::clone(&queues[3]));
        assert_eq!(broker.next_time(), Some(at(1)));
        assert!(!broker.has_due(now, false) && broker.has_due(now, true));
        assert_eq!(swept(&broker, at(1), false), [1]);
        assert_eq!(swept(&broker, at(1), true), [2, 0]);
        assert!(!broker.has_due(at(1), true), "no backoff ends earlier");
        assert_eq!(swept(&broker, at(2), false), [3]);
    }

    #[test]
    fn sweep_sees_only_what_was_listed_when_it_began() {
        let (broker, queues, now) = (BrokerQueue::new(BrokerId(1), 5), queues(3), Instant::now());
        broker.list_now(Arc::clone(&queues[0]));
        let mut sweep = broker.sweep(now, true);
        broker.list_now(Arc::clone(&queues[1]));
        broker.list_lingering(now, Arc::clone(&queues[2]));
        assert!(broker.next_due(&mut sweep).is_some());
        assert!(broker.next_due(&mut sweep).is_none());
        assert_eq!(swept(&broker, now, false), [1, 2]);
    }

    #[test]
    fn answer_wakes_the_sender_for_what_lingers_when_nothing_else_is_on_the_way() {
        let broker = BrokerQueue::new(BrokerId(1), 5);
        broker.sending();
        broker.sending();
        broker.landed(true);
        broker.rush();
        assert!(!is_woken(&broker), "batches grow meanwhile");
        broker.landed(true);
        assert!(is_woken(&broker) && broker.is_idle());
        broker.rush();
        assert!(is_woken(&broker));
    }

    #[test]
    fn answer_wakes_the_sender_when_no_more_could_be_in_flight() {
        let broker = BrokerQueue::new(BrokerId(1), 2);
        broker.sending();
        broker.landed(false);
        assert!(!is_woken(&broker));
        broker.sending();
        broker.sending();
        assert!(!broker.has_room());
        broker.landed(false);
        assert!(is_woken(&broker) && broker.has_room());
    }
}
