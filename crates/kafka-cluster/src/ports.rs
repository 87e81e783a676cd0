//! Loopback ports that no other cluster takes while a node is down.

use std::{
    collections::hash_map::RandomState,
    fs::{self, File, OpenOptions},
    hash::BuildHasher,
    net::TcpListener,
    ops::Range,
};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Context, Error};

/// The ports of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// Clients' port of each node.
    pub(crate) client: Vec<u16>,
    /// Controller's port of each node.
    pub(crate) controller: Vec<u16>,
    /// The port of each node for clients that come through a proxy.
    pub(crate) proxied: Vec<u16>,
    /// The port of each node, for each further listener.
    pub(crate) extra: Vec<Vec<u16>>,
    /// ZooKeeper's port.
    pub(crate) zookeeper: u16,
    /// Other processes of this crate see these locks and keep off the ports, also while nothing
    /// listens there.
    locks: Vec<File>,
}

impl Ports {
    /// Free ports below the range that the system gives to outgoing connections.
    pub(crate) fn free(nodes: usize, listeners: usize) -> Result<Self, Error> {
        let range = range();
        let span = u64::from(range.end - range.start).max(1);
        // Clusters that start at once should not all try the same ports.
        let offset = RandomState::new().hash_one(std::process::id()) % span;
        let wanted = nodes * (3 + listeners) + 1;
        let mut locks = Vec::with_capacity(wanted);
        let mut found = Vec::with_capacity(wanted);
        for step in 0..span {
            let port = range.start + u16::try_from((offset + step) % span).unwrap_or(0);
            if let Some(lock) = reserve(port)? {
                locks.push(lock);
                found.push(port);
            }
            if found.len() == wanted {
                break;
            }
        }
        if found.len() < wanted {
            return Err(Error::Invalid(format!(
                "no {wanted} free ports in {range:?}"
            )));
        }
        let mut found = found.into_iter();
        Ok(Self {
            client: found.by_ref().take(nodes).collect(),
            controller: found.by_ref().take(nodes).collect(),
            proxied: found.by_ref().take(nodes).collect(),
            extra: (0..listeners)
                .map(|_| found.by_ref().take(nodes).collect())
                .collect(),
            zookeeper: found.next().unwrap_or_default(),
            locks,
        })
    }

    /// Node `n` at `base + 10 * (n - 1)`, its controller one above, ZooKeeper at `base + 5`, up to four more listeners above
    /// that.
    pub(crate) fn fixed(base: u16, nodes: usize, listeners: usize) -> Result<Self, Error> {
        if listeners > 4 {
            let text = "there is no room for more than four listeners beside a fixed port";
            return Err(Error::Invalid(text.to_owned()));
        }
        let at = |offset: u16| -> Result<Vec<u16>, Error> {
            (0..nodes)
                .map(|node| u16::try_from(usize::from(base) + usize::from(offset) + 10 * node))
                .collect::<Result<_, _>>()
                .map_err(|_| {
                    Error::Invalid(format!("port {base} leaves no room for {nodes} nodes"))
                })
        };
        let zookeeper = at(5)?.first().copied().unwrap_or_default();
        Ok(Self {
            client: at(0)?,
            controller: at(1)?,
            proxied: at(2)?,
            extra: (6..).take(listeners).map(at).collect::<Result<_, _>>()?,
            zookeeper,
            locks: Vec::new(),
        })
    }

    /// Says which port is in use, before a broker says it in a stack trace.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let nodes = [&self.client[..], &self.controller, &self.proxied].concat();
        nodes
            .into_iter()
            .chain(self.extra.iter().flatten().copied())
            .chain([self.zookeeper])
            .try_for_each(|port| {
                TcpListener::bind(("127.0.0.1", port))
                    .map(drop)
                    .map_err(|error| Error::Invalid(format!("port {port} cannot be used: {error}")))
            })
    }

    /// Whether these were chosen by [`Ports::free`], and may be chosen again.
    pub(crate) fn are_chosen(&self) -> bool {
        !self.locks.is_empty()
    }
}

/// Locks a port among the processes of this crate; `None` when it is in use.
fn reserve(port: u16) -> Result<Option<File>, Error> {
    let dir = std::env::temp_dir().join("kafka-cluster-ports");
    fs::create_dir_all(&dir).context(|| format!("creating {}", dir.display()))?;
    let path = dir.join(port.to_string());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    // Another user's lock file: that user's port.
    let Ok(file) = file else { return Ok(None) };
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    Ok((locked && TcpListener::bind(("127.0.0.1", port)).is_ok()).then_some(file))
}

/// An outgoing connection must not sit on a port whose broker is being restarted, so the ephemeral
/// range is left out.
fn range() -> Range<u16> {
    let ephemeral = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| {
            let mut words = text.split_whitespace().map(str::parse::<u16>);
            Some((words.next()?.ok()?, words.next()?.ok()?))
        });
    match ephemeral {
        Some((low, _)) if low > 12_000 => 10_000..low,
        Some((_, high)) if high < 64_000 => high + 1..u16::MAX,
        Some(_) => 10_000..32_768,
        None => 10_000..49_152,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_never_share_a_port() {
        let one = Ports::free(3, 2).unwrap();
        let two = Ports::free(3, 2).unwrap();
        let all = |ports: &Ports| {
            let mut all = [&ports.client[..], &ports.controller, &ports.proxied].concat();
            all.extend(ports.extra.iter().flatten());
            all.push(ports.zookeeper);
            all
        };
        assert!(all(&one).iter().all(|port| !all(&two).contains(port)));
    }

    #[test]
    fn fixed_ports_are_ten_apart() {
        let ports = Ports::fixed(9092, 3, 1).unwrap();
        assert_eq!(ports.extra, [[9098, 9108, 9118]]);
        assert_eq!(ports.client, [9092, 9102, 9112]);
        assert_eq!(ports.zookeeper, 9097);
        assert!(Ports::fixed(65_530, 3, 0).is_err());
    }
}
