//! Membership in a group: a driver around a [`Member`], which decides, on the thread of all memberships.
//!
//! What takes time and belongs to the application, its listener above all, is done on the application's own runtime.

mod act;
mod aside;
mod contain;
mod count;
mod host;
mod idle;
mod send;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::offsets::{Manner, Offsets};
use crate::cluster::{Coordinator, Home, Node};
use crate::config::ConsumerSettings;
use crate::error::{Error, Result};
use crate::machine::group::{Classic, Event, Member, Settings};
use crate::timer::wait_until;
use crate::types::{TopicName, after};
use count::Counting;
use idle::{Idle, Liveness};
use work::Hands;

pub(super) use host::{Host, Listening, News};

/// The application's runtime has ended before its consumer.
fn orphaned() -> Error {
    Error::RuntimeEnded { what: "consumer" }
}

/// The membership of one consumer; dropped, it leaves the group in the background.
pub(super) struct Membership {
    inbox: mpsc::UnboundedSender<Input>,
    /// The end: how the last commit went.
    left: watch::Receiver<Option<Result<()>>>,
}

/// What the driver is told.
enum Input {
    Event(Event),
    /// The coordinator.
    Found(Node),
    /// Partitions are assigned, or lost.
    Done,
    /// Partitions are revoked; why their offsets were not committed.
    Revoked(Option<Error>),
    /// The application's runtime has ended.
    Orphaned,
}

impl Membership {
    /// Starts on the application's runtime; the member joins when there is something subscribed to.
    pub(super) fn spawn<H: Host>(
        host: Arc<H>,
        offsets: Offsets,
        settings: &Arc<ConsumerSettings>,
        home: &Home,
    ) -> Self {
        let (inbox, inputs) = mpsc::unbounded_channel();
        let (end, left) = watch::channel(None);
        let now = Instant::now();
        let driver = Driver {
            member: Box::new(Classic::new(
                member_settings(settings, &offsets),
                now.into_std(),
            )),
            coordinator: Arc::new(offsets.coordinator().for_members()),
            hands: Hands {
                commits: settings.auto_commit.is_some(),
                host,
                offsets,
            },
            settings: settings.clone(),
            inbox: inbox.clone(),
            application: Handle::current(),
            tasks: JoinSet::new(),
            broker: None,
            counting: None,
            idle: Idle::new(settings.max_poll_interval, now),
            commit_failure: None,
            is_orphaned: false,
            has_left: false,
        };
        home.spawn(driver.run(inputs, end));
        Self { inbox, left }
    }

    /// Gives everything up, commits, and leaves the group.
    ///
    /// # Errors
    /// Why the last offsets were not committed.
    pub(super) async fn leave(&self) -> Result<()> {
        let _ = self.inbox.send(Input::Event(Event::Leave));
        let mut left = self.left.clone();
        match left.wait_for(Option::is_some).await {
            Ok(left) => left.clone().unwrap_or(Ok(())),
            Err(_) => Err(orphaned()),
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // One that has left does not listen any more.
        let _ = self.inbox.send(Input::Event(Event::Leave));
    }
}

fn member_settings(settings: &ConsumerSettings, offsets: &Offsets) -> Settings {
    Settings {
        group: offsets.group().clone(),
        instance_id: settings.instance_id.clone(),
        rack: settings.rack.clone(),
        assignors: settings.assignors.clone(),
        session_timeout: settings.session_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        rebalance_timeout: settings.max_poll_interval,
        request_timeout: settings.request_timeout,
        backoff: settings.retry_backoff,
    }
}

/// The least time for one automatic commit.
const LEAST_COMMIT: Duration = Duration::from_secs(1);

struct Driver<H> {
    member: Box<dyn Member>,
    hands: Hands<H>,
    /// As it is looked for from here.
    coordinator: Arc<Coordinator>,
    settings: Arc<ConsumerSettings>,
    inbox: mpsc::UnboundedSender<Input>,
    /// The application's runtime.
    application: Handle,
    /// On either runtime.
    tasks: JoinSet<()>,
    /// The coordinator, as the member knows it.
    broker: Option<Node>,
    counting: Option<Counting>,
    idle: Idle,
    /// Since the consumer is being closed.
    commit_failure: Option<Error>,
    is_orphaned: bool,
    has_left: bool,
}

impl<H: Host> Driver<H> {
    async fn run(
        mut self,
        mut inputs: mpsc::UnboundedReceiver<Input>,
        end: watch::Sender<Option<Result<()>>>,
    ) {
        let mut refusals = self.hands.offsets.refusals();
        let mut subscription = self.hands.host.subscription();
        let mut topology = self.hands.offsets.cluster().changes();
        self.watch_application();
        let topics = subscription.borrow_and_update().clone();
        self.subscribe(topics);
        while !self.has_left {
            let wake = self.member.wake_at();
            let counted = self.counting.as_ref().and_then(Counting::deadline);
            let glance = Some(self.idle.look_at);
            tokio::select! {
                Some(input) = inputs.recv() => self.on_input(input),
                Some(refusal) = refusals.recv() => self.handle(Event::Refused {
                    generation: refusal.generation,
                    code: refusal.code,
                }),
                () = wait_until(wake) => self.handle(Event::Wake),
                Ok(()) = subscription.changed() => {
                    let topics = subscription.borrow_and_update().clone();
                    self.subscribe(topics);
                }
                Ok(()) = topology.changed() => self.count(),
                () = wait_until(counted) => self.count(),
                () = wait_until(glance) => self.look(),
                Some(_) = self.tasks.join_next() => {}
            }
        }
        let failure = self.part().await;
        // Nothing may be connected to behind the connections' end, which comes now.
        self.tasks.shutdown().await;
        self.hands.host.left();
        end.send_replace(Some(failure.map_or(Ok(()), Err)));
    }

    /// Commits what is left to be committed, on the application's runtime; why that failed.
    async fn part(&mut self) -> Option<Error> {
        let until = after(Instant::now().into_std(), self.settings.api_timeout).into();
        let (hands, failure) = (self.hands.clone(), self.commit_failure.take());
        let parting = self.application.spawn(async move {
            let failure = match failure {
                Some(failure) => Some(failure),
                // Of partitions that were chosen by hand: there was nothing to revoke.
                None => hands.commit(None, until).await,
            };
            hands.offsets.background_done(until).await;
            failure
        });
        let failure = parting.await.unwrap_or_else(|_| Some(orphaned()));
        if self.is_orphaned {
            return Some(orphaned());
        }
        failure
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Event(event) => {
                if matches!(event, Event::Leave) {
                    // What was not committed in earlier rebalances was told then.
                    self.commit_failure = None;
                    self.idle.ends(Instant::now());
                }
                self.handle(event);
            }
            Input::Found(broker) => {
                self.broker = Some(broker.clone());
                self.prepare(broker);
                self.handle(Event::Found);
            }
            Input::Done => {
                self.idle.worked();
                self.handle(Event::Done);
            }
            Input::Revoked(failure) => {
                self.idle.worked();
                self.commit_failure = failure;
                self.handle(Event::Done);
            }
            Input::Orphaned => {
                self.is_orphaned = true;
                self.on_input(Input::Event(Event::Leave));
            }
        }
    }

    /// The topics are looked up while the member joins: whoever leads the group is to know their partitions at once.
    fn subscribe(&mut self, topics: Arc<[TopicName]>) {
        let cluster = self.hands.offsets.cluster();
        for topic in topics.iter() {
            cluster.add_interest(topic, self.settings.auto_create_topics);
        }
        self.handle(Event::Subscribe(topics));
    }

    fn handle(&mut self, event: Event) {
        let was_paused = self.member.is_paused();
        let now = Instant::now().into_std();
        let actions = self.member.handle(event, now, fastrand::f64());
        // Before anything is done by which the application could come to commit.
        self.hands.offsets.stand(self.member.standing());
        if !was_paused && self.member.is_paused() {
            let (calls, _) = self.hands.host.calls();
            self.idle.paused(calls, Instant::now());
        }
        for action in actions {
            self.act(action);
        }
    }

    fn count(&mut self) {
        let cluster = self.hands.offsets.cluster();
        let counts = self.counting.as_mut().and_then(|c| c.answer(cluster));
        if let Some(counts) = counts {
            self.handle(Event::Counts(counts));
        }
    }

    /// Looks whether the application still calls.
    fn look(&mut self) {
        let calls = self.hands.host.calls();
        let is_paused = self.member.is_paused();
        match self.idle.look(Instant::now(), calls, is_paused) {
            Liveness::Nothing => {}
            Liveness::Back => self.handle(Event::Polled),
            Liveness::Unsure => self.hands.host.nudge(),
            Liveness::Gone => self.handle(Event::PollExpired(self.settings.max_poll_interval)),
        }
    }
}

/// Commits what the application is done with, again and again.
async fn auto_commit<H: Host>(hands: Hands<H>, every: Duration) {
    loop {
        sleep(every).await;
        let turn = hands.offsets.turn().await;
        let began = hands.offsets.standing();
        let done = hands.host.committable(None);
        if done.is_empty() {
            continue;
        }
        // One that takes longer goes on with what is done by then.
        let until = Instant::now() + every.max(LEAST_COMMIT);
        let committing = hands
            .offsets
            .commit_in(turn, began, &done, until, Manner::Regular);
        let outcome = committing.await;
        hands.committed(&outcome.committed);
        if let Err(error) = &outcome.result {
            hands.host.refused(error);
        }
        match outcome.result {
            Ok(()) => {}
            Err(error) if error.is_retriable() => debug!(%error, "offsets not committed this time"),
            Err(error) => warn!(%error, "offsets not committed"),
        }
    }
}
