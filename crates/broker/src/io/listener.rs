//! A node's listener: takes connections until it is told to refuse them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::connection;
use super::shared::Shared;
use crate::error::Error;
use crate::state::{ListenerId, NodeId};

/// Listens; port 0 takes a free one.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| Error::Listen { address, source })
}

/// Serves whoever connects. Ending this task closes the port; connections live on.
pub(crate) async fn run(shared: Arc<Shared>, place: (NodeId, ListenerId), listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // An answer is written whole: nothing is gained by holding it back.
                let _ = stream.set_nodelay(true);
                let host = peer.ip().to_string();
                tokio::spawn(connection::serve(shared.clone(), place, stream, host));
            }
            Err(error) => {
                // Out of file descriptors, most likely: it passes when others close.
                tracing::warn!(node = place.0, %error, "cannot take a connection");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}
