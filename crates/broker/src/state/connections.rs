//! The connections that there are: each one's node, listener and client.

use std::collections::HashMap;

use super::ids::{ConnectionId, ListenerId, NodeId};
use super::login::Login;
use crate::wire::Name;

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The node that it leads to.
    pub(crate) node: NodeId,
    /// Where it came in, which says by which addresses its client finds the nodes.
    pub(crate) listener: ListenerId,
    /// Where its client is, as Kafka names it: a slash and the address.
    pub(crate) host: Name,
    pub(crate) login: Login,
}

/// All connections of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    all: HashMap<ConnectionId, Connection>,
}

impl Connections {
    pub(crate) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        self.all.insert(id, connection);
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) {
        self.all.remove(&id);
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.all.get(&id)
    }

    pub(crate) fn login(&mut self, id: ConnectionId) -> Option<&mut Login> {
        self.all
            .get_mut(&id)
            .map(|connection| &mut connection.login)
    }

    /// All logins of all nodes.
    pub(crate) fn logins(&mut self) -> impl Iterator<Item = &mut Login> {
        self.all
            .values_mut()
            .map(|connection| &mut connection.login)
    }

    pub(crate) fn has(&self, id: ConnectionId) -> bool {
        self.all.contains_key(&id)
    }
}
