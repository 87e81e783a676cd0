//! A proxy before one broker that knows where requests begin and end, and does to them what a test asks.
//!
//! The broker advertises the proxy's address, so everything that a client sends it comes through here.
//! Requests are forwarded one by one, each after a [`Rule`] has decided its [`Fate`]; answers go back in
//! the order of the requests, as a broker sends them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::frames::{Produced, Request};
use super::trace::Trace;

/// What happens to one request.
pub(crate) enum Fate {
    /// It is forwarded, and so is its answer.
    Pass,
    /// So many of its bytes are forwarded, then the connection is cut on both sides.
    Cut(usize),
    /// It is forwarded, and its answer swallowed with every later one of its connection.
    DropAnswers,
    /// It is forwarded, and its answer held back for so long; later answers wait behind it.
    Delay(Duration),
    /// It is forwarded, and its answer replaced by what this makes of it (frames without their length).
    Rewrite(Box<dyn FnOnce(Bytes) -> Bytes + Send>),
    /// It is forwarded, and these bytes, made of its answer's frame with its length, are sent instead.
    Garble(Box<dyn FnOnce(Bytes) -> Bytes + Send>),
    /// It is not forwarded: the proxy answers with this frame (without its length).
    Answer(Bytes),
    /// It is not forwarded and never answered, nor is anything that follows it on its connection.
    Swallow,
}

impl Fate {
    fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Cut(_) => "cut",
            Self::DropAnswers => "answer dropped",
            Self::Delay(_) => "answer delayed",
            Self::Rewrite(_) => "answer rewritten",
            Self::Garble(_) => "answer garbled",
            Self::Answer(_) => "answered by the proxy",
            Self::Swallow => "swallowed",
        }
    }
}

/// Decides each request's fate.
pub(crate) type Rule = Box<dyn FnMut(&Request) -> Fate + Send>;

/// What a proxy has seen.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    /// Connections open now.
    pub(crate) open: AtomicUsize,
    pub(crate) produce_requests: AtomicUsize,
    /// Connections cut by a fate or by [`Proxy::cut`].
    pub(crate) cuts: AtomicUsize,
    /// Answers that came from the broker and went no further.
    pub(crate) dropped_answers: AtomicUsize,
    /// The most Produce requests without an answer that one connection had.
    pub(crate) deepest: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Gate {
    listening: bool,
    frozen: bool,
    /// How often all connections were cut.
    cuts: u64,
}

struct Shared {
    node: i32,
    upstream: Mutex<String>,
    rule: Mutex<Option<Rule>>,
    gate: watch::Sender<Gate>,
    counts: Counts,
    trace: Arc<Trace>,
}

/// One proxy; it ends with its runtime.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens on a free port of the loopback address; forwards nothing yet.
    pub(crate) async fn start(node: i32, trace: Arc<Trace>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            node,
            upstream: Mutex::default(),
            rule: Mutex::default(),
            gate: watch::Sender::new(Gate {
                listening: true,
                frozen: false,
                cuts: 0,
            }),
            counts: Counts::default(),
            trace,
        });
        tokio::spawn(accept(Arc::clone(&shared), listener, address));
        Ok(Self { address, shared })
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn forward_to(&self, upstream: &str) {
        upstream.clone_into(&mut lock(&self.shared.upstream));
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Asks `rule` about each request from now on.
    pub(crate) fn rule(&self, rule: impl FnMut(&Request) -> Fate + Send + 'static) {
        *lock(&self.shared.rule) = Some(Box::new(rule));
    }

    /// Forwards everything, and accepts connections.
    pub(crate) fn pass(&self) {
        *lock(&self.shared.rule) = None;
        self.shared.gate.send_modify(|gate| {
            gate.listening = true;
            gate.frozen = false;
        });
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.shared.gate.send_modify(|gate| gate.cuts += 1);
    }

    /// Whether new connections are refused, as where nobody listens.
    pub(crate) fn refuse(&self, refused: bool) {
        self.shared
            .gate
            .send_modify(|gate| gate.listening = !refused);
    }

    /// Whether no byte goes either way, while connections stay open.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.shared.gate.send_modify(|gate| gate.frozen = frozen);
    }
}

/// Accepts connections for as long as the gate lets it listen.
async fn accept(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut gate = shared.gate.subscribe();
    let mut listener = Some(listener);
    let number = AtomicU64::new(0);
    loop {
        if !gate.borrow_and_update().listening {
            listener = None;
            let _ = gate.wait_for(|gate| gate.listening).await;
        }
        let Some(open) = &listener else {
            // The port may be an outgoing connection's for a moment.
            match TcpListener::bind(address).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((client, _)) = accepted {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(serve(Arc::clone(&shared), client, number));
                }
            }
            _ = gate.changed() => {}
        }
    }
}

/// Counts a connection for as long as it is open.
struct Open<'a>(&'a Counts);

impl<'a> Open<'a> {
    fn new(counts: &'a Counts) -> Self {
        counts.connections.fetch_add(1, Ordering::Relaxed);
        counts.open.fetch_add(1, Ordering::Relaxed);
        Self(counts)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(shared: Arc<Shared>, mut client: TcpStream, number: u64) {
    let mut gate = shared.gate.subscribe();
    let born = gate.borrow().cuts;
    let upstream = lock(&shared.upstream).clone();
    let Ok(mut broker) = TcpStream::connect(&upstream).await else {
        return;
    };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let _open = Open::new(&shared.counts);
    let relay = Relay {
        shared: &shared,
        number,
        pending: VecDeque::new(),
        hole: false,
        mute: false,
        unanswered: 0,
    };
    let cut = tokio::select! {
        ended = relay.run(&mut client, &mut broker) => ended.is_err_and(|error| error.kind() == CUT),
        _ = gate.wait_for(|gate| gate.cuts != born) => true,
    };
    shared.trace.ended(shared.node, number);
    if cut {
        shared.counts.cuts.fetch_add(1, Ordering::Relaxed);
        // Every other one ends by a reset, which also throws away what is under way.
        if number.is_multiple_of(2) {
            let _ = client.set_zero_linger();
        }
    }
}

/// How long the proxy takes for an answer of its own: like a broker's, it finds more requests on the way.
const OWN_ANSWER: Duration = Duration::from_millis(20);

/// How a fate ends its connection.
const CUT: io::ErrorKind = io::ErrorKind::ConnectionAborted;

/// An answer that is due, in the order of the requests.
struct Pending {
    /// What is to be sent, its length included; `None` until the broker has answered.
    answer: Option<Bytes>,
    fate: Fate,
    not_before: Option<Instant>,
    produced: Option<Produced>,
}

struct Relay<'a> {
    shared: &'a Shared,
    number: u64,
    pending: VecDeque<Pending>,
    /// A request was swallowed: nothing is forwarded any more.
    hole: bool,
    /// An answer was dropped: none is passed on any more.
    mute: bool,
    /// Produce requests whose answer has not gone to the client.
    unanswered: usize,
}

impl Relay<'_> {
    async fn run(mut self, client: &mut TcpStream, broker: &mut TcpStream) -> io::Result<()> {
        let mut gate = self.shared.gate.subscribe();
        let (mut from_client, mut to_client) = client.split();
        let (mut from_broker, mut to_broker) = broker.split();
        let (mut requests, mut answers) = (BytesMut::new(), BytesMut::new());
        loop {
            if gate.borrow_and_update().frozen {
                let _ = gate.wait_for(|gate| !gate.frozen).await;
            }
            while let Some(frame) = next_frame(&mut requests) {
                self.request(frame, &mut to_broker).await?;
            }
            while let Some(frame) = next_frame(&mut answers) {
                self.answer(frame)?;
            }
            let next = self.hand_out(&mut to_client).await?;
            let timer = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = from_client.read_buf(&mut requests) => if read? == 0 { return Ok(()) },
                read = from_broker.read_buf(&mut answers) => if read? == 0 { return Ok(()) },
                () = timer => {}
                _ = gate.changed() => {}
            }
        }
    }

    async fn request(
        &mut self,
        frame: Bytes,
        to_broker: &mut (impl AsyncWriteExt + Unpin),
    ) -> io::Result<()> {
        if self.hole {
            return Ok(());
        }
        let request = Request::parse(self.shared.node, self.number, frame)?;
        let fate = match &mut *lock(&self.shared.rule) {
            Some(rule) => rule(&request),
            None => Fate::Pass,
        };
        let produced = request.produced()?;
        if let Some(produced) = &produced {
            self.shared
                .counts
                .produce_requests
                .fetch_add(1, Ordering::Relaxed);
            self.shared.trace.sent(&request, produced, fate.name());
        }
        let whole = with_length(&request.frame);
        let mut pending = Pending {
            answer: None,
            fate,
            not_before: None,
            produced,
        };
        match &mut pending.fate {
            Fate::Cut(bytes) => {
                to_broker
                    .write_all(whole.get(..*bytes).unwrap_or(&whole))
                    .await?;
                to_broker.flush().await?;
                return Err(CUT.into());
            }
            Fate::Swallow => {
                self.hole = true;
                return Ok(());
            }
            Fate::Answer(answer) => {
                if let Some(produced) = &pending.produced {
                    self.shared.trace.answered(
                        self.shared.node,
                        self.number,
                        produced,
                        answer,
                        false,
                    );
                }
                pending.not_before = Some(Instant::now() + OWN_ANSWER);
                pending.answer = Some(with_length(answer));
            }
            _ => to_broker.write_all(&whole).await?,
        }
        if pending
            .produced
            .as_ref()
            .is_none_or(|produced| produced.acks != 0)
        {
            if pending.produced.is_some() {
                self.unanswered += 1;
                self.shared
                    .counts
                    .deepest
                    .fetch_max(self.unanswered, Ordering::Relaxed);
            }
            self.pending.push_back(pending);
        }
        Ok(())
    }

    fn answer(&mut self, frame: Bytes) -> io::Result<()> {
        let Some(pending) = self
            .pending
            .iter_mut()
            .find(|pending| pending.answer.is_none())
        else {
            return Err(io::Error::other("an answer that nobody asked for"));
        };
        let mut garble = None;
        let frame = match std::mem::replace(&mut pending.fate, Fate::Pass) {
            Fate::Garble(change) => {
                garble = Some(change);
                frame
            }
            Fate::Rewrite(rewrite) => rewrite(frame),
            Fate::Delay(wait) => {
                pending.not_before = Some(Instant::now() + wait);
                frame
            }
            Fate::DropAnswers => {
                self.mute = true;
                frame
            }
            _ => frame,
        };
        if let Some(produced) = &pending.produced {
            self.shared
                .trace
                .answered(self.shared.node, self.number, produced, &frame, self.mute);
        }
        pending.answer = Some(match garble {
            Some(garble) => garble(with_length(&frame)),
            None => with_length(&frame),
        });
        if self.mute {
            self.shared
                .counts
                .dropped_answers
                .fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends the answers that are due; tells when the next one is.
    async fn hand_out(
        &mut self,
        to_client: &mut (impl AsyncWriteExt + Unpin),
    ) -> io::Result<Option<Instant>> {
        while let Some(pending) = self.pending.front() {
            if pending.answer.is_none() {
                break;
            }
            if let Some(at) = pending.not_before.filter(|at| *at > Instant::now()) {
                return Ok(Some(at));
            }
            let Some(Pending {
                answer: Some(answer),
                produced,
                ..
            }) = self.pending.pop_front()
            else {
                break;
            };
            if self.mute {
                continue;
            }
            self.unanswered -= usize::from(produced.is_some());
            to_client.write_all(&answer).await?;
        }
        Ok(None)
    }
}

/// A frame as it goes over the wire.
pub(crate) fn with_length(frame: &[u8]) -> Bytes {
    let mut whole = BytesMut::with_capacity(4 + frame.len());
    whole.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    whole.extend_from_slice(frame);
    whole.freeze()
}

/// Cuts off a whole frame, without its length.
fn next_frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(*buffer.first_chunk::<4>()?) as usize;
    if buffer.len() < 4 + length {
        return None;
    }
    buffer.advance(4);
    Some(buffer.split_to(length).freeze())
}
