//! One connection: its requests one after the other, as Kafka handles them.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};

use super::frames;
use super::shared::{Mode, Shared};
use crate::api::{self, At, Call, Client, Step};
use crate::state::{ConnectionId, NodeId};
use crate::wire::{Frame, Header, Malformed, Reader};

/// Serves a client until it leaves, sends what is no request, or the node goes down.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    node: NodeId,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    host: String,
) {
    let Some(mode) = shared.mode(node).map(watch::Sender::subscribe) else {
        return;
    };
    let (id, waker) = shared.connected();
    let mut down = mode.clone();
    let mut connection = Connection {
        shared,
        node,
        id,
        waker,
        mode,
        host: format!("/{host}"),
        stream,
    };
    let ended = tokio::select! {
        _ = down.wait_for(|mode| *mode == Mode::Down) => Ok(()),
        ended = connection.run() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(node, host = connection.host, %error, "connection closed");
    }
    connection.shared.disconnected(id);
}

struct Connection<S> {
    shared: Arc<Shared>,
    node: NodeId,
    id: ConnectionId,
    waker: Arc<Notify>,
    mode: watch::Receiver<Mode>,
    /// As Kafka names it: a slash and the address.
    host: String,
    stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(&mut self) -> io::Result<()> {
        let most = self.shared.max_request_bytes;
        while let Some(frame) = frames::read(&mut self.stream, most).await? {
            self.thawed().await;
            let (header, call) = read(frame)
                .map_err(|Malformed(why)| io::Error::new(io::ErrorKind::InvalidData, why))?;
            let Some(answer) = self.answer(&header, call).await else {
                return Ok(());
            };
            self.thawed().await;
            if let Some(answer) = answer {
                let length = answer.len();
                frames::write(&mut self.stream, answer, length).await?;
            }
        }
        Ok(())
    }

    /// While the node is frozen nothing happens.
    async fn thawed(&mut self) {
        // The sender lives as long as the cluster; without it, this connection is about to end.
        let _ = self.mode.wait_for(|mode| *mode == Mode::Running).await;
    }

    /// The answer, if one is wanted; the outer `None` closes the connection.
    async fn answer(&self, header: &Header, mut call: Box<dyn Call>) -> Option<Option<Frame>> {
        loop {
            let mut out = api::writer(header);
            let step = self.shared.with(|state, now| {
                let mut at = At {
                    state,
                    now,
                    node: self.node,
                    connection: self.id,
                    client: Client {
                        id: header.client_id.as_deref().unwrap_or_default(),
                        host: &self.host,
                    },
                    forced: None,
                };
                call.step(&mut at, &mut out)
            });
            match step {
                Step::Answer => return Some(Some(out.finish())),
                Step::Silence => return Some(None),
                Step::Close => return None,
                Step::Wait { until: None } => self.waker.notified().await,
                Step::Wait { until: Some(up) } => tokio::select! {
                    () = self.waker.notified() => {}
                    () = tokio::time::sleep_until(self.shared.at(up)) => {}
                },
            }
        }
    }
}

fn read(frame: BytesMut) -> Result<(Header, Box<dyn Call>), Malformed> {
    let mut reader = Reader::new(frame);
    let header = Header::read(&mut reader)?;
    let call = api::read(&header, &mut reader)?;
    Ok((header, call))
}
