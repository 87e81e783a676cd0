//! The producer without its tasks, for this repository's benchmarks; no stable API.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a benchmark that cannot go on has nothing better to do than to panic"
)]

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::Delivery;
use super::accumulator::BrokerQueue;
use super::accumulator::broker_queue::Listed;
use super::answer::{self, Flying};
use super::inner::ProducerInner;
use super::sender;
use crate::cluster::Cluster;
use crate::config::ClientBuilder;
use crate::machine::produce::{Body, Take};
use crate::machine::topology::{Partition, Topic};
use crate::net::TcpConnector;
use crate::record::Record;
use crate::types::{BrokerId, ProducerId, TopicId};

/// The broker that leads every partition.
const LEADER: BrokerId = BrokerId(0);
const IDENTITY: ProducerId = ProducerId { id: 1, epoch: 0 };

/// A producer whose tasks never run and whose sockets stay idle: whoever calls it does the sender's work too.
pub struct Batching {
    inner: Arc<ProducerInner>,
    /// One caller at a time is the sender.
    sending: Mutex<()>,
    /// The memory in use when the sender last looked.
    seen: AtomicUsize,
    /// Tasks are started on it and never run: nobody blocks on it any more.
    _runtime: Runtime,
}

impl Batching {
    /// A producer of one topic, with Kafka's names for what differs from the defaults.
    #[must_use]
    pub fn new(topic: &str, partitions: usize, properties: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        runtime.spawn(serve(listener));
        let (client, options, _) = ClientBuilder::new()
            .bootstrap_servers(&address)
            .properties(properties.iter().copied())
            .and_then(ClientBuilder::build_settings)
            .expect("valid settings");
        let settings = options.check(&client).expect("valid settings");
        let connector = Arc::new(TcpConnector::with(&client));
        let cluster = runtime
            .block_on(Cluster::connect(Arc::new(client), connector))
            .expect("the server answers");
        let inner = Arc::new(ProducerInner::new(
            cluster,
            settings,
            runtime.handle().clone(),
            sender::start,
        ));
        let partition = Partition {
            leader: Some(LEADER),
            leader_epoch: 0,
            replicas: vec![LEADER],
            isr: vec![LEADER],
            offline: Vec::new(),
        };
        inner.adopt(&Topic {
            name: topic.into(),
            id: TopicId::ZERO,
            internal: false,
            partitions: vec![partition; partitions],
            error: None,
        });
        Self {
            inner,
            sending: Mutex::default(),
            seen: AtomicUsize::new(0),
            _runtime: runtime,
        }
    }

    /// Accepts a record as `enqueue` does, and sends what that made ready.
    #[inline]
    pub fn enqueue(&self, record: &Record<'_>) -> Delivery {
        let Ok(delivery) = self.inner.accept(record, None) else {
            panic!("a record was refused");
        };
        // A batch was opened or has grown, so the one before it may be ready.
        let used = self.used();
        if used != self.seen.load(Ordering::Relaxed) {
            self.send_due(used);
        }
        delivery
    }

    /// Sends everything, the open batches too.
    pub fn flush(&self) {
        for queue in self.inner.accumulator.all_queues() {
            let changed = queue.change(|locked, _| locked.queue.close());
            self.inner.carry_out(&queue, changed);
        }
        self.send_due(self.used());
    }

    /// Bytes of batches that are not acknowledged.
    #[must_use]
    #[inline]
    pub fn used(&self) -> usize {
        self.inner.accumulator.pool.used()
    }

    /// What the sender and the answers do: take, seal, resolve, give the memory back.
    #[cold]
    fn send_due(&self, used: usize) {
        self.seen.store(used, Ordering::Relaxed);
        let Ok(_sending) = self.sending.try_lock() else {
            return;
        };
        for broker in self.inner.accumulator.broker_queues() {
            while broker.has_due(Instant::now().into_std(), false) {
                self.send(&broker);
            }
        }
        self.seen.store(self.used(), Ordering::Relaxed);
    }

    fn send(&self, broker: &BrokerQueue) {
        let request = broker.next_request();
        let mut sweep = broker.sweep(Instant::now().into_std(), false);
        let flying: Vec<_> = std::iter::from_fn(|| broker.next_due(&mut sweep))
            .filter_map(|listed| self.take(listed, request))
            .collect();
        if !flying.is_empty() {
            broker.sending();
            answer::written(&self.inner, broker, flying);
        }
    }

    fn take(&self, listed: Listed, request: u64) -> Option<Flying> {
        let Listed { queue, timer } = listed;
        let changed = queue.change(|locked, _| {
            locked.unlist(timer);
            if locked.taken_before(request) {
                return None;
            }
            let now = Instant::now().into_std();
            match locked
                .queue
                .take(LEADER, TopicId::ZERO, now, false, IDENTITY, Some)
            {
                Take::Send(taken) => Some(taken),
                Take::Nothing => None,
                Take::Compress(_) | Take::Split(..) | Take::GivenUp(_) => {
                    panic!("nothing is compressed or refused here")
                }
            }
        });
        let taken = self.inner.carry_out(&queue, changed);
        let mut taken = taken?;
        let stamp = taken.batch.stamp?;
        let Body::Unsealed(closed) = taken.batch.body else {
            panic!("a batch is sent once");
        };
        let bytes = closed.seal(stamp.producer, stamp.base_sequence);
        taken.batch.body = Body::Sealed(bytes, stamp.producer, stamp.base_sequence);
        Some(Flying {
            queue,
            topic_id: TopicId::ZERO,
            flight: taken.flight,
            batch: taken.batch,
        })
    }
}

impl fmt::Debug for Batching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batching").finish_non_exhaustive()
    }
}

/// A server that tells its versions and that it is the whole cluster, to who connects and no more.
async fn serve(listener: TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    loop {
        let mut request = vec![0; stream.read_u32().await? as usize];
        stream.read_exact(&mut request).await?;
        let mut request = &*request;
        let (key, _version, id) = (request.get_i16(), request.get_i16(), request.get_i32());
        let mut body = BytesMut::new();
        body.put_i32(id);
        match key {
            // ApiVersions 4: no error, keys with their ranges, no throttle.
            18 => {
                body.put_i16(0);
                body.put_u8(3);
                for (key, least, most) in [(18, 0, 4), (3, 9, 13)] {
                    body.put_i16(key);
                    body.put_i16(least);
                    body.put_i16(most);
                    body.put_u8(0);
                }
                body.put_i32(0);
                body.put_u8(0);
            }
            // Metadata 13: one broker, which is the controller, and no topics.
            _ => {
                body.put_u8(0);
                body.put_i32(0);
                body.put_u8(2);
                body.put_i32(LEADER.0);
                body.put_slice(b"\x0a127.0.0.1");
                body.put_i32(1);
                body.put_slice(&[0, 0]);
                body.put_u8(0);
                body.put_i32(LEADER.0);
                body.put_u8(1);
                body.put_i16(0);
                body.put_u8(0);
            }
        }
        stream.write_u32(body.len() as u32).await?;
        stream.write_all(&body).await?;
    }
}
