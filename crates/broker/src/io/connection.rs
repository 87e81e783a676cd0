//! One connection: its requests one after the other, as Kafka handles them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{Notify, watch};

use super::frames;
use super::shared::{Mode, Shared, Status};
use crate::api::{self, At, Call, Step};
use crate::plan::{End, Plan};
use crate::state::{Connection, ConnectionId, ListenerId, Login, NodeId};
use crate::wire::{Frame, Header, Malformed, Name, Reader};

/// Serves a client until it leaves, sends what is no request, or the node goes down.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    (node, listener): (NodeId, ListenerId),
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    host: String,
) {
    let Some(mode) = shared.status(node).map(watch::Sender::subscribe) else {
        return;
    };
    let before = *mode.borrow();
    if before.mode == Mode::Down {
        return;
    }
    let login = if shared.asks_for_login(listener) {
        Login::Expected
    } else {
        Login::Open
    };
    let host: Name = format!("/{host}").into();
    let (id, waker) = shared.connected(Connection {
        node,
        listener,
        host: host.clone(),
        login,
    });
    let mut down = mode.clone();
    let mut served = Served {
        shared,
        node,
        id,
        waker,
        mode,
        stream,
        ahead: None,
    };
    let ended = tokio::select! {
        _ = down.wait_for(|now| now.incarnation != before.incarnation) => Ok(()),
        ended = served.run() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(node, %host, %error, "connection closed");
    }
    served.shared.disconnected(id);
}

struct Served<S> {
    shared: Arc<Shared>,
    node: NodeId,
    id: ConnectionId,
    waker: Arc<Notify>,
    mode: watch::Receiver<Status>,
    stream: S,
    /// The first byte of the next request, read while the last one waited.
    ahead: Option<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Served<S> {
    async fn run(&mut self) -> io::Result<()> {
        let most = self.shared.max_request_bytes;
        let longest = |key, version| Header::longest(key, version, most);
        loop {
            let ahead = self.ahead.take();
            let Some(frame) = frames::read(&mut self.stream, ahead, longest).await? else {
                return Ok(());
            };
            self.thawed().await;
            let invalid = |Malformed(why)| io::Error::new(io::ErrorKind::InvalidData, why);
            let mut reader = Reader::new(frame);
            let header = Header::read(&mut reader).map_err(invalid)?;
            let (id, key) = (self.id, header.key);
            if !self.shared.with(|state, now| state.admits(id, key, now)) {
                tracing::debug!(node = self.node, %key, "not admitted without a login");
                return Ok(());
            }
            let call = api::read(&header, &mut reader).map_err(invalid)?;
            let plan = self.plan(&header, &*call);
            if !plan.delay.is_zero() {
                tokio::time::sleep(plan.delay).await;
            }
            if plan.end == End::Before {
                return Ok(());
            }
            let Some((answer, last)) = self.answer(&header, call, &plan).await else {
                return Ok(());
            };
            self.thawed().await;
            if plan.end == End::After {
                return Ok(());
            }
            let cut = plan.end == End::Cut;
            if let Some(answer) = answer {
                let length = if cut { answer.len() / 2 } else { answer.len() };
                frames::write(&mut self.stream, answer, length).await?;
            }
            if cut || last {
                return Ok(());
            }
            if !plan.throttle.is_zero() {
                tokio::time::sleep(plan.throttle).await;
            }
        }
    }

    /// What goes wrong with the request on purpose.
    fn plan(&self, header: &Header, call: &dyn Call) -> Plan {
        self.shared.with(|state, _| {
            let about = call.about(state, self.node);
            state.arrived(self.id, header, &about)
        })
    }

    /// While the node is frozen nothing happens.
    async fn thawed(&mut self) {
        // The sender lives as long as the cluster; without it, this connection is about to end.
        let _ = self.mode.wait_for(|now| now.mode == Mode::Running).await;
    }

    /// The answer, if one is wanted, and whether it is the last; the outer `None` closes the connection.
    async fn answer(
        &mut self,
        header: &Header,
        mut call: Box<dyn Call>,
        plan: &Plan,
    ) -> Option<(Option<Frame>, bool)> {
        let throttle = i32::try_from(plan.throttle.as_millis()).unwrap_or(i32::MAX);
        loop {
            let mut out = api::writer(header);
            out.set_throttle(throttle);
            let step = self.shared.with(|state, now| {
                match At::new(state, now, self.id, header, &plan.forced) {
                    Some(mut at) => call.step(&mut at, &mut out),
                    None => Step::Close,
                }
            });
            match step {
                Step::Answer | Step::Last if out.is_full() => return None,
                Step::Answer => return Some((Some(out.finish()), false)),
                Step::Last => return Some((Some(out.finish()), true)),
                Step::Silence => return Some((None, false)),
                Step::Close => return None,
                Step::Wait { until } => {
                    if !self.wait(until).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Until there is reason to look again; false when the client has left, whose request then waits for nothing.
    async fn wait(&mut self, until: Option<Duration>) -> bool {
        let deadline = until.map(|up| self.shared.at(up));
        let deadline = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let mut byte = [0];
        tokio::select! {
            () = self.waker.notified() => true,
            () = deadline => true,
            read = self.stream.read(&mut byte), if self.ahead.is_none() => {
                let [byte] = byte;
                self.ahead = Some(byte);
                matches!(read, Ok(1))
            }
        }
    }
}
