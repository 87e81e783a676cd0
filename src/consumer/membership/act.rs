//! Does what a member decides.

use std::time::Duration;

use tracing::{info, warn};

use super::aside::Reply;
use super::send::{CoordinatorPath, SendOutcome, send};
use super::{Counting, Driver, Host, Input, orphaned};
use crate::cluster::{Node, Purpose};
use crate::error::Error;
use crate::machine::group::{Action, CallId, Event, Loss, Request};
use crate::types::TopicPartition;

/// What to do with the application's partitions.
enum Handover {
    Assign(Vec<TopicPartition>),
    Revoke(Vec<TopicPartition>, tokio::time::Instant),
    Lose(Vec<TopicPartition>, Loss),
}

impl<H: Host> Driver<H> {
    pub(super) fn act(&mut self, action: Action) {
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
                let before = self.counting.take();
                self.counting = Some(Counting::new(cluster, topics, creates, before));
                self.count();
            }
            Action::Withhold => {
                self.hands.host.withhold(true);
                let (group, limit) = (self.hands.offsets.group(), self.settings.session_timeout);
                warn!(%group, session_timeout = ?limit, "no answer of the coordinator: nothing is handed out until it answers");
            }
            Action::HandOut => {
                info!(group = %self.hands.offsets.group(), "the coordinator answers: records are handed out again");
                self.hands.host.withhold(false);
            }
            Action::Stop(partitions) => self.hands.host.stop(&partitions),
            Action::Revoke { partitions, until } => {
                self.work(Handover::Revoke(partitions, until.into()));
            }
            Action::Assign(partitions) => self.work(Handover::Assign(partitions)),
            Action::Lose { partitions, why } => self.work(Handover::Lose(partitions, why)),
            Action::Rest => self.hands.host.rest(),
            Action::Fail(error) => self.hands.host.fail(error),
            Action::End(error) => self.hands.host.end(error),
            Action::Unreadable { member_id, reason } => {
                warn!(%member_id, %reason, "a member's metadata cannot be read: it is given nothing");
            }
            Action::Left => self.has_left = true,
        }
    }

    fn find(&mut self) {
        let coordinator = self.coordinator.clone();
        if let Some(not_any_more) = self.broker.take() {
            coordinator.forget(&not_any_more);
        }
        self.aside(async move {
            match coordinator.get().await {
                Ok(broker) => Input::Found(broker),
                Err(error) => Input::Event(Event::NotFound(error)),
            }
        });
    }

    fn send(&mut self, call: CallId, request: Request, timeout: Duration) {
        let path = CoordinatorPath {
            cluster: self.hands.offsets.cluster().clone(),
            coordinator: self.coordinator.clone(),
            consumer: self.hands.offsets.consumer(),
            session: self.settings.session_timeout,
        };
        let broker = self.broker.clone();
        self.aside(async move {
            let Some(broker) = broker else {
                let error = Error::Disconnected {
                    address: "the coordinator".into(),
                    reason: "it is not known".into(),
                };
                return Input::Event(Event::Answer(call, Err(error)));
            };
            match send(&path, &broker, &request, timeout).await {
                SendOutcome::Answered(answer) => Input::Event(Event::Answer(call, answer)),
                SendOutcome::Moved => Input::Event(Event::Moved),
            }
        });
    }

    /// Opens the connection of commits while the member joins by another one.
    pub(super) fn prepare(&mut self, broker: Node) {
        let offsets = self.hands.offsets.clone();
        let preparing = async move {
            let purpose = Purpose::Offsets(offsets.consumer());
            // Whoever needs it tries again, and tells.
            let _ = offsets.cluster().at(&broker.address, purpose).await;
        };
        self.tasks.spawn_on(preparing, &self.application);
    }

    fn work(&mut self, work: Handover) {
        // At once, whatever the application's runtime is busy with.
        match &work {
            Handover::Assign(_) => {}
            Handover::Revoke(partitions, _) => self.hands.host.stop(partitions),
            Handover::Lose(partitions, why) => {
                self.hands.host.stop(partitions);
                self.hands.offsets.forget_background(partitions);
                self.hands.host.lost(partitions, *why);
            }
        }
        self.idle.works(tokio::time::Instant::now());
        let otherwise = match &work {
            Handover::Revoke(..) => Input::Revoked(Some(orphaned())),
            Handover::Assign(_) | Handover::Lose(..) => Input::Done,
        };
        let reply = Reply::new(&self.inbox, otherwise);
        let hands = self.hands.clone();
        let working = async move {
            let group = hands.offsets.group();
            match work {
                Handover::Assign(partitions) => {
                    info!(%group, ?partitions, "partitions assigned");
                    hands.assign(&partitions).await;
                    reply.send(Input::Done);
                }
                Handover::Revoke(partitions, until) => {
                    info!(%group, ?partitions, "partitions revoked");
                    let failure = hands.revoke(&partitions, until).await;
                    reply.send(Input::Revoked(failure));
                }
                Handover::Lose(partitions, why) => {
                    warn!(%group, ?partitions, ?why, "partitions lost");
                    hands.lose(&partitions, why).await;
                    reply.send(Input::Done);
                }
            }
        };
        self.tasks.spawn_on(working, &self.application);
    }
}
