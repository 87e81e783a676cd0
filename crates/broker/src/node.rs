//! What can be done to one node: crash, freeze, restart, refuse.

use std::net::SocketAddr;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::io::listener;
use crate::io::shared::Mode;
use crate::state::{ListenerId, NodeId};

/// One node of a [`Cluster`], to break and mend it.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) id: NodeId,
}

impl Cluster {
    /// One node, to crash, freeze or restart it.
    ///
    /// # Panics
    ///
    /// Without a node of that id: ids are 1 to the number of nodes.
    #[must_use]
    pub fn node(&self, id: i32) -> Node<'_> {
        assert!(self.shared().status(id).is_some(), "there is no node {id}");
        Node { cluster: self, id }
    }
}

impl Node<'_> {
    /// Its id, from 1.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Where clients find it, `127.0.0.1:40001`; by the first listener, if it has several.
    #[must_use]
    pub fn address(&self) -> String {
        self.cluster.shared().with(|state, _| {
            let address = state.nodes.address(self.id, ListenerId::default());
            address.map(ToString::to_string).unwrap_or_default()
        })
    }

    /// Ends it as `kill -9` would: its port is closed and its connections are cut off, with what was in flight on them.
    ///
    /// Its partitions go to their next replica that lives, at once and with a new leader epoch; those without another
    /// replica have no leader until [`restart`](Node::restart). No record is lost, whatever the replicas.
    pub async fn crash(&self) {
        self.cluster.shared().set_mode(self.id, Mode::Down, true);
        self.cluster.stop_listening(self.id).await;
        let id = self.id;
        self.cluster
            .shared()
            .with(|state, now| state.node_died(id, now));
    }

    /// Starts it again on its old port, after a crash or (as a crash and a start) while it runs.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] when another process has taken the port meanwhile.
    pub async fn restart(&self) -> Result<(), Error> {
        self.crash().await;
        self.cluster
            .shared()
            .set_mode(self.id, Mode::Running, false);
        self.accept_connections().await?;
        let id = self.id;
        self.cluster
            .shared()
            .with(|state, now| state.node_started(id, now));
        Ok(())
    }

    /// Stops it as `kill -STOP` would: it takes connections and bytes, and does and answers nothing.
    ///
    /// It keeps its partitions; [`Cluster::move_leader`] takes them away.
    pub fn freeze(&self) {
        self.set_if_up(Mode::Frozen);
    }

    /// Goes on where [`freeze`](Node::freeze) stopped it.
    pub fn thaw(&self) {
        self.set_if_up(Mode::Running);
    }

    /// Cuts off all of its connections; new ones are taken.
    pub fn disconnect_clients(&self) {
        if let Some(mode) = self.cluster.shared().mode(self.id) {
            self.cluster.shared().set_mode(self.id, mode, true);
        }
    }

    /// Closes its port: new connections are refused, those that there are live on.
    pub async fn refuse_connections(&self) {
        self.cluster.stop_listening(self.id).await;
    }

    /// Listens again after [`refuse_connections`](Node::refuse_connections).
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] when another process has taken the port meanwhile.
    pub async fn accept_connections(&self) -> Result<(), Error> {
        let id = self.id;
        let addresses: Vec<_> = self.cluster.shared().with(|state, _| {
            let bind = state.settings.bind;
            let all = (0..state.settings.listeners().len()).map(ListenerId);
            let ports = all.filter_map(|listener| {
                let port = state.nodes.address(id, listener)?.port;
                Some((listener, SocketAddr::new(bind, port)))
            });
            ports.collect()
        });
        for (of, address) in addresses {
            if self.cluster.has_ports() && !self.cluster.is_listening((id, of)) {
                let listener = listener::bind(address).await?;
                self.cluster.serve((id, of), listener);
            }
        }
        Ok(())
    }

    fn set_if_up(&self, mode: Mode) {
        let shared = self.cluster.shared();
        if shared.mode(self.id).is_some_and(|now| now != Mode::Down) {
            shared.set_mode(self.id, mode, false);
        }
    }
}
