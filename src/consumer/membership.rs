//! Membership in a group: the tasks around a [`Member`], which decides.

mod contain;
mod count;
mod host;
mod send;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::offsets::{Manner, Offsets};
use crate::cluster::Purpose;
use crate::config::ConsumerSettings;
use crate::error::{Error, Result};
use crate::machine::group::{
    Action, CallId, Classic, Event, Loss, Member, Request, Settings, Turn,
};
use crate::types::{BrokerId, TopicName, TopicPartition, after};
use count::Counting;
use send::{Sent, send};
use work::Hands;

pub(super) use host::{Host, Listening, News};

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
    Found(BrokerId),
    /// Partitions are revoked; why their offsets were not committed.
    Revoked(Option<Error>),
}

impl Membership {
    /// Starts; the member joins when there is something subscribed to.
    pub(super) fn spawn<H: Host>(
        host: Arc<H>,
        offsets: Offsets,
        settings: &Arc<ConsumerSettings>,
    ) -> Self {
        let (inbox, inputs) = mpsc::unbounded_channel();
        let (end, left) = watch::channel(None);
        let now = Instant::now();
        let driver = Driver {
            member: Box::new(Classic::new(
                member_settings(settings, &offsets),
                now.into_std(),
            )),
            hands: Hands {
                commits: settings.auto_commit.is_some(),
                host,
                offsets,
            },
            settings: settings.clone(),
            inbox: inbox.clone(),
            tasks: JoinSet::new(),
            broker: None,
            counting: None,
            idle: Idle {
                calls: 0,
                since: now,
                look_at: now,
            },
            commit_failure: None,
            has_left: false,
        };
        tokio::spawn(driver.run(inputs, end));
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
            Err(_) => Err(Error::RuntimeEnded { what: "consumer" }),
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

/// Since when the application has not called.
struct Idle {
    calls: u64,
    since: Instant,
    /// When to look again.
    look_at: Instant,
}

/// What to do with the application's partitions.
enum Work {
    Assign(Vec<TopicPartition>),
    Revoke(Vec<TopicPartition>, Instant),
    Lose(Vec<TopicPartition>, Loss),
}

/// How often it is looked whether an application that was given up is back.
const RETURN_GLANCE: Duration = Duration::from_millis(20);

/// The least time for one automatic commit.
const LEAST_COMMIT: Duration = Duration::from_secs(1);

struct Driver<H> {
    member: Box<dyn Member>,
    hands: Hands<H>,
    settings: Arc<ConsumerSettings>,
    inbox: mpsc::UnboundedSender<Input>,
    tasks: JoinSet<()>,
    /// The coordinator, as the member knows it.
    broker: Option<BrokerId>,
    counting: Option<Counting>,
    idle: Idle,
    commit_failure: Option<Error>,
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
        if let Some(every) = self.settings.auto_commit {
            self.tasks.spawn(auto_commit(self.hands.clone(), every));
        }
        let topics = subscription.borrow_and_update().clone();
        self.subscribe(topics);
        while !self.has_left {
            let wake = self.member.wake_at().map(Instant::from_std);
            let counted = self.counting.as_ref().and_then(Counting::deadline);
            let glance = Some(self.idle.look_at);
            tokio::select! {
                Some(input) = inputs.recv() => self.take(input),
                Some(refusal) = refusals.recv() => self.handle(Event::Refused {
                    generation: refusal.generation,
                    code: refusal.code,
                }),
                () = until(wake) => self.handle(Event::Wake),
                Ok(()) = subscription.changed() => {
                    let topics = subscription.borrow_and_update().clone();
                    self.subscribe(topics);
                }
                Ok(()) = topology.changed() => self.count(),
                () = until(counted) => self.count(),
                () = until(glance) => self.look(),
                Some(_) = self.tasks.join_next() => {}
            }
        }
        let until = after(Instant::now().into_std(), self.settings.api_timeout).into();
        let failure = match self.commit_failure.take() {
            Some(failure) => Some(failure),
            // Of partitions that were chosen by hand: there was nothing to revoke.
            None => self.hands.commit(None, until).await,
        };
        self.hands.offsets.background_done(until).await;
        // Nothing may be connected to behind the connections' end, which comes now.
        self.tasks.shutdown().await;
        self.hands.host.left();
        end.send_replace(Some(failure.map_or(Ok(()), Err)));
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.handle(event),
            Input::Found(broker) => {
                self.broker = Some(broker);
                self.prepare(broker);
                self.handle(Event::Found);
            }
            Input::Revoked(failure) => {
                self.commit_failure = failure;
                self.handle(Event::Done);
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

    /// Opens the connection of commits and heartbeats while the member joins by another one.
    fn prepare(&mut self, broker: BrokerId) {
        let offsets = self.hands.offsets.clone();
        self.tasks.spawn(async move {
            let purpose = Purpose::Offsets(offsets.consumer());
            // Whoever needs it tries again, and tells.
            let _ = offsets.cluster().broker(broker, purpose).await;
        });
    }

    fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        let mut turn = Turn {
            now: Instant::now().into_std(),
            jitter: fastrand::f64(),
            actions: &mut actions,
        };
        let was_paused = self.member.is_paused();
        self.member.handle(event, &mut turn);
        // Before anything is done by which the application could come to commit.
        self.hands.offsets.stand(self.member.standing());
        if !was_paused && self.member.is_paused() {
            (self.idle.calls, _) = self.hands.host.calls();
            self.idle.look_at = Instant::now() + RETURN_GLANCE;
        }
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Find => self.find(),
            Action::Send {
                call,
                request,
                timeout,
            } => self.send(call, request, timeout),
            Action::Count(topics) => {
                let creates = self.settings.auto_create_topics;
                let cluster = self.hands.offsets.cluster();
                self.counting = Some(Counting::new(cluster, topics, creates));
                self.count();
            }
            Action::Revoke { partitions, until } => {
                self.work(Work::Revoke(partitions, until.into()))
            }
            Action::Assign(partitions) => {
                // Of a rebalance that is over.
                self.commit_failure = None;
                self.work(Work::Assign(partitions));
            }
            Action::Lose { partitions, why } => self.work(Work::Lose(partitions, why)),
            Action::Fail(error) => self.hands.host.fail(error),
            Action::End(error) => self.hands.host.end(error),
            Action::Unreadable { member_id, reason } => {
                warn!(%member_id, %reason, "a member's metadata cannot be read: it is given nothing");
            }
            Action::Left => self.has_left = true,
        }
    }

    fn find(&mut self) {
        let offsets = self.hands.offsets.clone();
        if let Some(not_any_more) = self.broker.take() {
            offsets.coordinator().forget(not_any_more);
        }
        self.spawn(async move {
            match offsets.coordinator().get().await {
                Ok(broker) => Input::Found(broker),
                Err(error) => Input::Event(Event::NotFound(error)),
            }
        });
    }

    fn send(&mut self, call: CallId, request: Request, timeout: Duration) {
        let (offsets, broker) = (self.hands.offsets.clone(), self.broker);
        let session = self.settings.session_timeout;
        self.spawn(async move {
            let Some(broker) = broker else {
                let error = Error::Disconnected {
                    address: "the coordinator".into(),
                    reason: "it is not known".into(),
                };
                return Input::Event(Event::Answer(call, Err(error)));
            };
            match send(&offsets, broker, &request, timeout, session).await {
                Sent::Answered(answer) => Input::Event(Event::Answer(call, answer)),
                Sent::Moved => Input::Event(Event::Moved),
            }
        });
    }

    fn work(&mut self, work: Work) {
        let (hands, group) = (self.hands.clone(), self.hands.offsets.group().clone());
        self.spawn(async move {
            match work {
                Work::Assign(partitions) => {
                    info!(%group, ?partitions, "partitions assigned");
                    hands.assign(&partitions).await;
                }
                Work::Revoke(partitions, until) => {
                    info!(%group, ?partitions, "partitions revoked");
                    return Input::Revoked(hands.revoke(&partitions, until).await);
                }
                Work::Lose(partitions, why) => {
                    warn!(%group, ?partitions, ?why, "partitions lost");
                    hands.lose(&partitions, why).await;
                }
            }
            Input::Event(Event::Done)
        });
    }

    /// Does something aside, and is told of its outcome.
    fn spawn(&mut self, task: impl Future<Output = Input> + Send + 'static) {
        let inbox = self.inbox.clone();
        self.tasks.spawn(async move {
            // Nobody listens any more once the member has left.
            let _ = inbox.send(task.await);
        });
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
        let now = Instant::now();
        let limit = self.settings.max_poll_interval;
        let often = if self.member.is_paused() {
            RETURN_GLANCE
        } else {
            (limit / 20).clamp(Duration::from_millis(10), Duration::from_secs(1))
        };
        self.idle.look_at = now + often;
        let (calls, is_waiting) = self.hands.host.calls();
        if is_waiting || calls != self.idle.calls {
            self.idle.calls = calls;
            self.idle.since = now;
            if self.member.is_paused() {
                self.handle(Event::Polled);
            }
        } else if now.duration_since(self.idle.since) >= limit {
            self.idle.since = now;
            self.handle(Event::PollExpired(limit));
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
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
        match outcome.result {
            Ok(()) => {}
            Err(error) if error.is_retriable() => debug!(%error, "offsets not committed this time"),
            Err(error) => warn!(%error, "offsets not committed"),
        }
    }
}
