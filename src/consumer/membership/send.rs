//! Sends a member's requests, and notices when one waits at a broker that is not the coordinator any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use crate::cluster::{Cluster, Coordinator, Node, Purpose, RoleId};
use crate::error::{Error, ErrorCode};
use crate::machine::group::{Answer, Described, Grounds, Joined, Request};
use crate::net::Connection;
use crate::types::BrokerId;
use crate::wire::{Call, DescribeConfigs, DescribeGroups, JoinGroupAnswer, Resource};

/// The most often a waiting request's coordinator is looked up, and the least often.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(5);

/// How long a broker may take to say why it refuses a member.
const DESCRIBING: Duration = Duration::from_secs(2);

/// What became of a request.
pub(super) enum SendOutcome {
    Answered(Result<Answer, Error>),
    /// Another broker is the coordinator by now.
    Moved,
}

/// The way to the coordinator of one member.
pub(super) struct CoordinatorPath {
    pub(super) cluster: Cluster,
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) consumer: RoleId,
    /// `session.timeout.ms`.
    pub(super) session: Duration,
}

impl CoordinatorPath {
    /// By which connection a request goes: brokers answer a connection's requests one by one, and a join is kept
    /// waiting for the other members, so that what is said meanwhile has to go by another one.
    fn purpose(&self, broker: &Node, request: &Request) -> Purpose {
        let main = Purpose::Group(self.consumer);
        let is_free = || self.cluster.idle_at(&broker.address, main).is_some();
        match request {
            Request::Join(_) | Request::Sync(_) => main,
            Request::Heartbeat(_) | Request::Leave(_) if is_free() => main,
            Request::Heartbeat(_) | Request::Leave(_) => Purpose::Beside(self.consumer),
        }
    }
}

/// Sends one request to the broker that is the coordinator as far as is known.
pub(super) async fn send(
    path: &CoordinatorPath,
    broker: &Node,
    request: &Request,
    timeout: Duration,
) -> SendOutcome {
    let patience = timeout.min((path.session / 3).max(OFTEN));
    let purpose = path.purpose(broker, request);
    let connecting = path.coordinator.connection_to(broker, purpose, patience);
    let connection = match connecting.await {
        Ok(connection) => connection,
        Err(error) => return SendOutcome::Answered(Err(error)),
    };
    let answer = ask(&connection, broker.id, request, timeout);
    let answer = match request {
        Request::Heartbeat(_) | Request::Leave(_) => answer.await,
        Request::Join(_) | Request::Sync(_) => {
            let every = (path.session / 3).clamp(OFTEN, SELDOM);
            tokio::select! {
                answer = answer => answer,
                () = moved(&path.coordinator, broker, every) => return SendOutcome::Moved,
            }
        }
    };
    if answer.is_err() {
        path.coordinator.forget(broker);
    }
    SendOutcome::Answered(answer)
}

/// Waits until another broker is the coordinator.
///
/// One that is frozen, or cut off, would otherwise keep the request for as long as a rebalance may take.
async fn moved(coordinator: &Coordinator, broker: &Node, every: Duration) {
    loop {
        sleep(every).await;
        match coordinator.ask().await {
            Ok(now) if now != *broker => {
                debug!(
                    from = broker.id.0,
                    to = now.id.0,
                    address = %now.address,
                    "the coordinator moved while a request waited"
                );
                return;
            }
            Ok(_) | Err(_) => {}
        }
    }
}

async fn ask(
    connection: &Connection,
    broker: BrokerId,
    request: &Request,
    timeout: Duration,
) -> Result<Answer, Error> {
    async fn call<C: Call>(
        connection: &Connection,
        call: &C,
        timeout: Duration,
    ) -> Result<C::Response, Error> {
        connection.call(call, timeout).await
    }
    Ok(match request {
        Request::Join(join) => {
            let answer = call(connection, join, timeout).await?;
            let code = answer.code;
            let grounds = match code {
                ErrorCode::INCONSISTENT_GROUP_PROTOCOL => described(connection, &join.group).await,
                ErrorCode::INVALID_SESSION_TIMEOUT => sessions(connection, broker).await,
                _ => None,
            };
            Answer::Join(code, joined(answer, grounds))
        }
        Request::Sync(sync) => {
            let answer = call(connection, sync, timeout).await?;
            Answer::Sync(answer.code, answer.assignment)
        }
        Request::Heartbeat(heartbeat) => {
            Answer::Heartbeat(call(connection, heartbeat, timeout).await?.code)
        }
        Request::Leave(leave) => {
            let answer = call(connection, leave, timeout).await?;
            // Whatever the group says to it, the member is none any more.
            debug!(code = %answer.code, members = ?answer.members, "left the group");
            Answer::Leave
        }
    })
}

/// What a group says of itself, if it may be asked.
async fn described(connection: &Connection, group: &Arc<str>) -> Option<Grounds> {
    let call = DescribeGroups {
        groups: vec![group.clone()],
        operations: false,
    };
    let answer = connection.call(&call, DESCRIBING).await.ok()?;
    let told = answer.groups.into_iter().next()?;
    let is_told = told.code == ErrorCode::NONE;
    is_told.then_some(Grounds::Group(Described {
        kind: told.protocol_type,
        assignor: told.protocol,
    }))
}

/// Which sessions a broker takes, if its settings may be asked for.
async fn sessions(connection: &Connection, broker: BrokerId) -> Option<Grounds> {
    let call = DescribeConfigs {
        resources: vec![Resource {
            kind: Resource::BROKER,
            name: broker.0.to_string().into(),
        }],
    };
    let answer = connection.call(&call, DESCRIBING).await.ok()?;
    let told = answer.resources.into_iter().next()?;
    let millis = |name: &str| {
        let config = told.configs.iter().find(|config| &*config.name == name)?;
        config.value.as_ref()?.parse().ok()
    };
    Some(Grounds::Sessions {
        least: millis("group.min.session.timeout.ms")?,
        most: millis("group.max.session.timeout.ms")?,
    })
}

fn joined(answer: JoinGroupAnswer, grounds: Option<Grounds>) -> Joined {
    Joined {
        grounds,
        generation: answer.generation,
        protocol: answer.protocol,
        leader: answer.leader,
        skip_assignment: answer.skip_assignment,
        member_id: answer.member_id,
        members: answer.members,
    }
}
