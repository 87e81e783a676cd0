//! Brokers that answer Metadata from a world which the test can change.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use hashbrown::{HashMap, HashSet};
use tokio::task::JoinSet;

use crate::error::ErrorCode;
use crate::net::server::{Memory, Peer, Request};
use crate::types::Address;

/// What all brokers of a cluster know.
pub(super) struct World(Mutex<State>);

#[derive(Default)]
struct State {
    /// Ids are places in the list.
    brokers: Vec<Address>,
    topics: HashMap<String, Topic>,
    silent: HashSet<Address>,
    delay: Duration,
    code: i16,
    asked: usize,
    /// Partitions of topics that are made when somebody asks for them.
    makes: Option<usize>,
    last: Vec<String>,
}

#[derive(Clone, Default)]
struct Topic {
    code: i16,
    id: u8,
    leaders: Vec<i32>,
}

impl World {
    pub(super) fn new(brokers: &[Address]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            brokers: brokers.to_vec(),
            ..State::default()
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A topic with a leader for each partition; below zero is none.
    pub(super) fn topic(&self, name: &str, id: u8, leaders: &[i32]) {
        let topic = Topic {
            code: 0,
            id,
            leaders: leaders.to_vec(),
        };
        self.lock().topics.insert(name.into(), topic);
    }

    pub(super) fn refuse(&self, name: &str, code: ErrorCode) {
        let topic = Topic {
            code: code.code(),
            ..Topic::default()
        };
        self.lock().topics.insert(name.into(), topic);
    }

    pub(super) fn brokers(&self, brokers: &[Address]) {
        self.lock().brokers = brokers.to_vec();
    }

    /// The broker there reads requests and answers none.
    pub(super) fn silence(&self, address: &Address) {
        self.lock().silent.insert(address.clone());
    }

    /// Every answer comes so much later than it was true.
    pub(super) fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Every answer is REBOOTSTRAP_REQUIRED from now on.
    pub(super) fn send_away(&self) {
        self.lock().code = ErrorCode::REBOOTSTRAP_REQUIRED.code();
    }

    /// Topics that are asked for are made, unless the request says otherwise, led by broker 0.
    pub(super) fn make_topics(&self, partitions: usize) {
        self.lock().makes = Some(partitions);
    }

    /// How many Metadata requests there were.
    pub(super) fn asked(&self) -> usize {
        self.lock().asked
    }

    /// The topics that the last Metadata request asked for.
    pub(super) fn last(&self) -> Vec<String> {
        self.lock().last.clone()
    }

    /// A broker at an address; aborting it cuts its connections and refuses others.
    pub(super) fn serve(
        self: &Arc<Self>,
        memory: &Memory,
        address: &Address,
    ) -> tokio::task::JoinHandle<()> {
        let (world, address) = (self.clone(), address.clone());
        let mut listener = memory.listen(&address);
        tokio::spawn(async move {
            let mut peers = JoinSet::new();
            loop {
                let peer = listener.accept().await;
                peers.spawn(world.clone().talk(peer, address.clone()));
            }
        })
    }

    async fn talk(self: Arc<Self>, mut peer: Peer, address: Address) {
        while let Ok(request) = peer.request().await {
            if self.lock().silent.contains(&address) {
                continue;
            }
            let body = self.metadata(&request);
            let delay = self.lock().delay;
            tokio::time::sleep(delay).await;
            peer.answer(&request, &body).await;
        }
    }

    fn metadata(&self, request: &Request) -> BytesMut {
        assert_eq!((request.key, request.version), (3, 13));
        let mut state = self.lock();
        let names = names(&request.body);
        // Behind the names: whether to create, whether to tell of rights, no tags.
        let creates = request.body[request.body.len() - 3];
        state.asked += 1;
        state.last.clone_from(&names);
        let mut out = BytesMut::new();
        out.put_i32(0);
        out.put_u8(state.brokers.len() as u8 + 1);
        for (id, address) in state.brokers.iter().enumerate() {
            out.put_i32(id as i32);
            string(&mut out, &address.host);
            out.put_i32(address.port.into());
            out.put_slice(&[0, 0]); // no rack, no tags
        }
        out.put_u8(0); // no cluster id
        out.put_i32(0);
        out.put_u8(names.len() as u8 + 1);
        for name in names {
            let unknown = Topic {
                code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.code(),
                ..Topic::default()
            };
            if let (1, Some(partitions)) = (creates, state.makes) {
                let made = Topic {
                    leaders: vec![0; partitions],
                    ..Topic::default()
                };
                state.topics.entry(name.clone()).or_insert(made);
            }
            let topic = state.topics.get(&name).cloned().unwrap_or(unknown);
            put_topic(&mut out, &name, &topic);
        }
        out.put_i16(state.code);
        out.put_u8(0);
        out
    }
}

fn put_topic(out: &mut BytesMut, name: &str, topic: &Topic) {
    out.put_i16(topic.code);
    string(out, name);
    out.put_slice(&[topic.id; 16]);
    out.put_u8(0);
    out.put_u8(topic.leaders.len() as u8 + 1);
    for (number, leader) in topic.leaders.iter().enumerate() {
        out.put_i16(0);
        out.put_i32(number as i32);
        out.put_i32(*leader);
        out.put_i32(5);
        out.put_slice(&[1, 1, 1, 0]); // no replicas, in sync or offline, no tags
    }
    out.put_i32(0);
    out.put_u8(0);
}

fn string(out: &mut BytesMut, text: &str) {
    out.put_u8(text.len() as u8 + 1);
    out.put_slice(text.as_bytes());
}

/// The topics that a Metadata request asks for.
fn names(body: &[u8]) -> Vec<String> {
    let mut at = 1;
    let mut names = Vec::new();
    for _ in 1..body[0] {
        let len = usize::from(body[at + 16]) - 1;
        let name = &body[at + 17..at + 17 + len];
        names.push(String::from_utf8(name.to_vec()).unwrap());
        at += 18 + len;
    }
    names
}
