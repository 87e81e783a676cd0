//! Opens byte streams to servers: the seam where proxies, TLS, and tests' streams in memory go in.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, split};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::config::ClientSettings;
use crate::types::Address;

pub(super) type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// An open byte stream in both directions, as a [`Connector`] hands it over.
///
/// Reads and writes itself too, so that one connector can be layered over another's stream, as TLS over TCP.
pub struct Transport {
    pub(super) reader: ReadHalf,
    pub(super) writer: WriteHalf,
}

impl Transport {
    /// A stream that is one value, such as a TLS session or a stream in memory.
    ///
    /// Both directions then share a lock. A stream that has halves of its own is better given by
    /// [`from_halves`](Self::from_halves).
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (reader, writer) = split(stream);
        Self::from_halves(reader, writer)
    }

    /// A stream of two halves, of which one reads and the other writes.
    pub fn from_halves(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
        }
    }
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self::from_halves(reader, writer)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// One place to connect to: a server by its name, and where the name was resolved, one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Arc<str>,
    port: u16,
    address: Option<SocketAddr>,
}

impl Endpoint {
    pub(super) fn new(server: &Address, address: Option<SocketAddr>) -> Self {
        Self {
            host: server.host.clone(),
            port: server.port,
            address,
        }
    }

    /// The server's host, as written in `bootstrap.servers` or told by the cluster; what a TLS certificate is for.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The server's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The one of the addresses from [`Connector::resolve`] that is to be tried now; `None` where that gave none.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// The future of [`Connector::resolve`].
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// The future of [`Connector::connect`].
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Transport>> + Send>>;

/// Opens the byte streams of a client, in place of plain TCP: by a proxy, to an embedded broker in memory, or with an
/// encryption of one's own. Given to [`ClientBuilder::connector`](crate::ClientBuilder::connector).
///
/// Connecting ends with `socket.connection.setup.timeout.ms`; a future that is dropped must leave nothing behind. The
/// client keeps the streams, closes those that are idle, and opens them again with backoff. It tries the addresses of a
/// server one after the other, and one counts as good only when a broker has answered on its stream.
///
/// ```no_run
/// use ottla::{Client, Connecting, Connector, Endpoint, Transport};
///
/// /// Reaches every broker by one tunnel.
/// struct Tunnel;
///
/// impl Connector for Tunnel {
///     fn connect(&self, endpoint: &Endpoint) -> Connecting {
///         let wanted = format!("CONNECT {}:{}\n", endpoint.host(), endpoint.port());
///         Box::pin(async move {
///             use tokio::io::AsyncWriteExt;
///             let mut stream = tokio::net::TcpStream::connect("tunnel:1080").await?;
///             stream.write_all(wanted.as_bytes()).await?;
///             Ok(Transport::from(stream))
///         })
///     }
/// }
///
/// # async fn example() -> ottla::Result<()> {
/// let client = Client::builder()
///     .bootstrap_servers("kafka:9092")
///     .connector(Tunnel)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub trait Connector: Send + Sync + 'static {
    /// The addresses of a server, in the order in which to try them.
    ///
    /// None, as by default, leaves the name to [`connect`](Self::connect), which is then tried once.
    ///
    /// # Errors
    /// Why the name has no address.
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let _ = (host, port);
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Opens a stream to one place.
    ///
    /// # Errors
    /// Why there is none: the next address is tried, or this one again after a while.
    fn connect(&self, endpoint: &Endpoint) -> Connecting;
}

/// Plain TCP, which a client uses by itself: made for connectors that are layered over it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector {
    send_buffer: Option<u32>,
    receive_buffer: Option<u32>,
}

impl TcpConnector {
    /// Sockets whose buffers are left to the operating system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(settings: &ClientSettings) -> Self {
        Self {
            send_buffer: settings.send_buffer,
            receive_buffer: settings.receive_buffer,
        }
    }
}

impl Connector for TcpConnector {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let host = host.to_owned();
        Box::pin(async move {
            let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
            if addresses.is_empty() {
                let kind = io::ErrorKind::NotFound;
                return Err(io::Error::new(kind, "the host has no address"));
            }
            Ok(addresses)
        })
    }

    fn connect(&self, endpoint: &Endpoint) -> Connecting {
        let (endpoint, this) = (endpoint.clone(), *self);
        Box::pin(async move {
            if let Some(address) = endpoint.address {
                return Ok(this.open(address).await?.into());
            }
            let addresses = this.resolve(endpoint.host(), endpoint.port()).await?;
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in addresses {
                match this.open(address).await {
                    Ok(stream) => return Ok(stream.into()),
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}

impl TcpConnector {
    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_nodelay(true)?;
        socket.set_keepalive(true)?;
        // The receive buffer decides the TCP window's scale, which is fixed when connecting.
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect(address).await
    }
}

/// The error of an attempt that took longer than it may.
pub(super) fn timed_out(what: &str, limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{what} within {limit:.1?}"),
    )
}
