//! Opens byte streams to servers: the seam where TLS goes in, and where tests plug streams in memory.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::config::ClientSettings;
use crate::types::Address;

/// Both halves of an open byte stream.
pub(crate) struct Transport {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// The future of an opened stream.
pub(crate) type Connecting = Pin<Box<dyn Future<Output = io::Result<Transport>> + Send>>;

/// Opens a byte stream to an address.
pub(crate) trait Connector: Send + Sync {
    fn connect(&self, address: &Address) -> Connecting;
}

/// Plain TCP: all addresses of a host in turn, within one limit.
pub(crate) struct TcpConnector {
    limit: Duration,
    send_buffer: Option<u32>,
    receive_buffer: Option<u32>,
}

impl TcpConnector {
    pub(crate) fn new(settings: &ClientSettings) -> Self {
        Self {
            limit: settings.connect_timeout,
            send_buffer: settings.send_buffer,
            receive_buffer: settings.receive_buffer,
        }
    }
}

impl Connector for TcpConnector {
    fn connect(&self, address: &Address) -> Connecting {
        let (host, port) = (address.host.clone(), address.port);
        let (limit, send, receive) = (self.limit, self.send_buffer, self.receive_buffer);
        Box::pin(async move {
            let end = Instant::now() + limit;
            let resolved = timeout(limit, lookup_host((&*host, port)))
                .await
                .map_err(|_| timed_out("the host's name was not resolved", limit))??;
            let addresses: Vec<SocketAddr> = resolved.collect();
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            for (i, &ip) in addresses.iter().enumerate() {
                // A fair share for each, so that one unreachable address leaves time for the rest.
                let left = addresses.len().saturating_sub(i).max(1) as u32;
                let share = end.saturating_duration_since(Instant::now()) / left;
                match timeout(share, open(ip, send, receive)).await {
                    Ok(Ok(stream)) => {
                        let (reader, writer) = stream.into_split();
                        return Ok(Transport {
                            reader: Box::new(reader),
                            writer: Box::new(writer),
                        });
                    }
                    Ok(Err(error)) => last = error,
                    Err(_) => last = timed_out("no connection", share),
                }
            }
            Err(last)
        })
    }
}

async fn open(ip: SocketAddr, send: Option<u32>, receive: Option<u32>) -> io::Result<TcpStream> {
    let socket = if ip.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    // The receive buffer decides the TCP window's scale, which is fixed when connecting.
    if let Some(bytes) = send {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(ip).await
}

/// The error of an attempt that took longer than it may.
pub(super) fn timed_out(what: &str, limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{what} within {limit:.1?}"),
    )
}
