//! The cluster's nodes: where they listen, which are alive, which coordinates what.

use std::collections::HashMap;
use std::fmt;

use super::ids::{CoordinatorKind, ListenerId, NodeId};
use crate::wire::Name;

#[derive(Debug)]
pub(crate) struct Nodes {
    all: Vec<Node>,
    /// Where each node's listeners are found.
    addresses: HashMap<(NodeId, ListenerId), Address>,
    /// What was given to another coordinator by hand.
    moved: HashMap<(CoordinatorKind, Name), NodeId>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) alive: bool,
}

/// Where clients find a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: Name,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Nodes {
    /// `count` nodes with ids from 1, as Kafka's quick start numbers them.
    pub(crate) fn new(count: usize) -> Self {
        let node = |n: usize| Node {
            id: n as NodeId,
            alive: true,
        };
        Self {
            all: (1..=count).map(node).collect(),
            addresses: HashMap::new(),
            moved: HashMap::new(),
        }
    }

    pub(crate) fn all(&self) -> &[Node] {
        &self.all
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = &Node> {
        self.all.iter().filter(|node| node.alive)
    }

    pub(crate) fn get(&self, id: NodeId) -> Option<&Node> {
        self.all.iter().find(|node| node.id == id)
    }

    pub(crate) fn is_alive(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(|node| node.alive)
    }

    pub(crate) fn set_address(&mut self, id: NodeId, listener: ListenerId, address: Address) {
        self.addresses.insert((id, listener), address);
    }

    /// Where clients of a listener find a node.
    pub(crate) fn address(&self, id: NodeId, listener: ListenerId) -> Option<&Address> {
        self.addresses.get(&(id, listener))
    }

    pub(crate) fn set_alive(&mut self, id: NodeId, alive: bool) {
        if let Some(node) = self.all.iter_mut().find(|node| node.id == id) {
            node.alive = alive;
        }
    }

    /// The controller: the first that lives, -1 if none does.
    pub(crate) fn controller(&self) -> NodeId {
        self.alive().next().map_or(-1, |node| node.id)
    }

    /// The replicas of the n-th partition: the n-th node and those behind it, in a circle.
    pub(crate) fn replicas(&self, n: usize, replication: usize) -> Vec<NodeId> {
        let ids = self.all.iter().map(|node| node.id);
        let count = replication.clamp(1, self.all.len().max(1));
        let skip = n.checked_rem(self.all.len()).unwrap_or(0);
        ids.cycle().skip(skip).take(count).collect()
    }

    /// The node that coordinates something: fixed by its name while the nodes live, unless it was moved.
    pub(crate) fn coordinator(&self, kind: CoordinatorKind, name: &str) -> Option<NodeId> {
        if let Some(id) = self.moved.get(&(kind, name.into()))
            && self.is_alive(*id)
        {
            return Some(*id);
        }
        // FNV-1a: any spread will do, the same in every run.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The first live node from there on, so that a death moves nothing of other nodes.
        let first = hash.checked_rem(self.all.len() as u64)? as usize;
        let circle = self.all.iter().cycle().skip(first).take(self.all.len());
        let mut alive = circle.filter(|node| node.alive);
        alive.next().map(|node| node.id)
    }

    pub(crate) fn move_coordinator(&mut self, kind: CoordinatorKind, name: Name, to: NodeId) {
        self.moved.insert((kind, name), to);
    }
}
