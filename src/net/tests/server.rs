//! Scripted servers on streams in memory: a connector whose addresses are refused until someone listens.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::HashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

use crate::config::{Backoff, ClientSettings};
use crate::error::Error;
use crate::net::attempt::Dialler;
use crate::net::history::DialHistory;
use crate::net::{Connecting, Connection, Connector, Endpoint, Resolving, Transport};
use crate::types::Address;
use crate::wire::{ALL, ApiKey};

/// What a test's servers speak, unless it says otherwise.
pub(crate) const RANGES: &[(i16, i16, i16)] = &[
    (0, 0, 13),
    (3, 0, 13),
    (18, 0, 4),
    (19, 0, 7),
    (20, 0, 6),
    (22, 0, 5),
];

pub(crate) fn settings(bootstrap: &[&Address]) -> ClientSettings {
    ClientSettings {
        bootstrap: bootstrap.iter().copied().cloned().collect(),
        client_id: "test".into(),
        request_timeout: Duration::from_secs(30),
        retry_backoff: Backoff {
            base: Duration::from_millis(100),
            max: Duration::from_secs(1),
        },
        reconnect_backoff: Backoff {
            base: Duration::from_millis(50),
            max: Duration::from_secs(1),
        },
        metadata_max_age: Duration::from_secs(300),
        connections_max_idle: Some(Duration::from_secs(540)),
        connect_timeout: Duration::from_secs(10),
        send_buffer: None,
        receive_buffer: None,
        rebootstrap: true,
        rebootstrap_trigger: Duration::from_secs(300),
        max_response_bytes: 100 << 20,
        login: None,
        tls: None,
    }
}

pub(crate) fn address(name: &str) -> Address {
    Address::new(name, 9092)
}

/// The network: who listens where.
#[derive(Default)]
pub(crate) struct Memory {
    listeners: Mutex<HashMap<Address, Place>>,
    dialled: Mutex<Vec<Address>>,
    /// Addresses of hosts that have several.
    names: Mutex<HashMap<String, Vec<SocketAddr>>>,
}

enum Place {
    Listening(mpsc::UnboundedSender<DuplexStream>, usize),
    Silent,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn listen(&self, address: &Address) -> Listener {
        self.listen_with(address, 1 << 20)
    }

    /// `capacity` is what a stream holds in each direction before it blocks.
    pub(crate) fn listen_with(&self, address: &Address, capacity: usize) -> Listener {
        let (sender, incoming) = mpsc::unbounded_channel();
        let place = Place::Listening(sender, capacity);
        self.listeners
            .lock()
            .unwrap()
            .insert(address.clone(), place);
        Listener { incoming }
    }

    /// Connecting to the address never ends by itself.
    pub(crate) fn swallow(&self, address: &Address) {
        let mut listeners = self.listeners.lock().unwrap();
        listeners.insert(address.clone(), Place::Silent);
    }

    /// The host's name stands for these addresses, in this order.
    pub(crate) fn name(&self, host: &str, addresses: &[SocketAddr]) {
        let mut names = self.names.lock().unwrap();
        names.insert(host.to_owned(), addresses.to_vec());
    }

    /// How often the address was dialled.
    pub(crate) fn dials(&self, address: &Address) -> usize {
        let dialled = self.dialled.lock().unwrap();
        dialled.iter().filter(|a| *a == address).count()
    }
}

impl Connector for Memory {
    fn resolve(&self, host: &str, _: u16) -> Resolving {
        let names = self.names.lock().unwrap();
        let addresses = names.get(host).cloned().unwrap_or_default();
        Box::pin(std::future::ready(Ok(addresses)))
    }

    fn connect(&self, endpoint: &Endpoint) -> Connecting {
        let address = match endpoint.address() {
            Some(at) => Address::new(at.ip().to_string(), at.port()),
            None => Address::new(endpoint.host(), endpoint.port()),
        };
        self.dialled.lock().unwrap().push(address.clone());
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let result = match self.listeners.lock().unwrap().get(&address) {
            Some(Place::Listening(sender, capacity)) => {
                let (ours, theirs) = duplex(*capacity);
                sender.send(theirs).map_err(|_| refused()).map(|()| ours)
            }
            Some(Place::Silent) => return Box::pin(std::future::pending()),
            None => Err(refused()),
        };
        Box::pin(async move { Ok(Transport::new(result?)) })
    }
}

/// A connection to a server, as the pool opens it.
pub(crate) async fn dial(
    connector: Arc<dyn Connector>,
    server: &Address,
    settings: Arc<ClientSettings>,
) -> Result<Connection, Error> {
    let dialler = Dialler {
        connector,
        server: server.clone(),
        settings,
        history: Arc::new(DialHistory::default()),
    };
    dialler.dial().await
}

/// Where connections arrive; dropping it refuses later ones.
pub(crate) struct Listener {
    incoming: mpsc::UnboundedReceiver<DuplexStream>,
}

impl Listener {
    /// The next connection, before its first byte.
    pub(crate) async fn accept_raw(&mut self) -> Peer {
        let stream = self.incoming.recv().await.expect("the connector lives");
        Peer { stream }
    }

    /// The next connection, once it has asked for the versions.
    pub(crate) async fn accept(&mut self) -> Peer {
        let mut peer = self.accept_raw().await;
        let asked = peer.request().await.unwrap();
        assert_eq!(asked.key, ApiKey::ApiVersions.code());
        peer.answer(&asked, &api_versions(asked.version, 0, RANGES))
            .await;
        peer
    }
}

/// A request as a server reads it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) id: i32,
    pub(crate) body: Bytes,
}

impl Request {
    /// Reads a frame without its length.
    pub(crate) fn parse(frame: Vec<u8>) -> Self {
        let at = |i: usize| i16::from_be_bytes([frame[i], frame[i + 1]]);
        let (key, version) = (at(0), at(2));
        let id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let client_id = at(8) as usize;
        let body = 10 + client_id + usize::from(is_flexible(key, version));
        Self {
            key,
            version,
            id,
            body: Bytes::from(frame).slice(body..),
        }
    }
}

/// The server's end of a connection.
pub(crate) struct Peer {
    stream: DuplexStream,
}

impl Peer {
    /// The next request; an error at the end of the stream.
    pub(crate) async fn request(&mut self) -> io::Result<Request> {
        let len = self.stream.read_u32().await? as usize;
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame).await?;
        Ok(Request::parse(frame))
    }

    pub(crate) async fn answer(&mut self, request: &Request, body: &[u8]) {
        self.raw(&answer(request, body)).await;
    }

    /// Writes bytes as they are; a client that has hung up is not an error.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads so many bytes.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }
}

fn is_flexible(key: i16, version: i16) -> bool {
    ALL.into_iter()
        .any(|k| k.code() == key && version >= k.flexible_from())
}

/// An answer's whole frame.
pub(crate) fn answer(request: &Request, body: &[u8]) -> Vec<u8> {
    let tags =
        is_flexible(request.key, request.version) && request.key != ApiKey::ApiVersions.code();
    let mut frame = BytesMut::new();
    frame.put_i32((4 + usize::from(tags) + body.len()) as i32);
    frame.put_i32(request.id);
    if tags {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    frame.to_vec()
}

/// An ApiVersions answer's body in the layout of `version`.
pub(crate) fn api_versions(version: i16, code: i16, ranges: &[(i16, i16, i16)]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_i16(code);
    if version >= 3 {
        body.put_u8(ranges.len() as u8 + 1);
    } else {
        body.put_i32(ranges.len() as i32);
    }
    for (key, min, max) in ranges {
        body.put_i16(*key);
        body.put_i16(*min);
        body.put_i16(*max);
        if version >= 3 {
            body.put_u8(0);
        }
    }
    if version >= 1 {
        body.put_i32(0);
    }
    if version >= 3 {
        body.put_u8(0);
    }
    body.freeze()
}
