//! The cases: what is measured, through which clients, and which bars it has to reach.

use crate::bars::{Against, Bar, Metric, Target};
use crate::programs::{Client, Mode};
use anyhow::{Context, ensure};
use peers::work::Work;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) nodes: usize,
    pub(crate) mode: Mode,
    clients: &'static [Client],
    /// The same work in several sizes, each with what it adds to a client's label.
    variants: Vec<(&'static str, Work)>,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Entry {
    pub(crate) label: String,
    pub(crate) client: Client,
    pub(crate) work: Work,
}

impl Case {
    /// One entry for each client that can do the work, in each variant.
    pub(crate) fn entries(&self, only: Option<&[Client]>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for client in only.unwrap_or(self.clients) {
            for (suffix, work) in &self.variants {
                if client.can(self.mode, work) {
                    let label = format!("{}{suffix}", client.name());
                    entries.push(Entry {
                        label,
                        client: *client,
                        work: work.clone(),
                    });
                }
            }
        }
        entries
    }
}

/// The cases named, or all of them that the running brokers allow.
pub(crate) fn chosen(names: &[String], bootstrap: Option<&str>) -> anyhow::Result<Vec<Case>> {
    let mut all = all();
    if names.is_empty() {
        if let Some(hosts) = bootstrap {
            let nodes = hosts.split(',').count();
            all.retain(|case| case.nodes == nodes);
            ensure!(
                !all.is_empty(),
                "no case is for {nodes} brokers: give --bootstrap one or three"
            );
        }
        return Ok(all);
    }
    let mut chosen = Vec::new();
    for name in names {
        let known = all
            .iter()
            .map(|case| case.name)
            .collect::<Vec<_>>()
            .join(", ");
        let index = all.iter().position(|case| case.name == name);
        let index =
            index.with_context(|| format!("no case {name}, or named twice; left are {known}"))?;
        chosen.push(all.remove(index));
    }
    Ok(chosen)
}

const EVERY: &[Client] = &[
    Client::Ottla,
    Client::Rdkafka,
    Client::Krafka,
    Client::Rskafka,
    Client::FranzGo,
    Client::Java,
    Client::Floor,
];
const CLIENTS: &[Client] = &[
    Client::Ottla,
    Client::Rdkafka,
    Client::Krafka,
    Client::Rskafka,
    Client::FranzGo,
    Client::Java,
];

fn all() -> Vec<Case> {
    vec![
        produce(),
        produce_keyed_lz4(),
        sync(),
        three_nodes(),
        partitions(),
    ]
}

fn two_million() -> Work {
    Work {
        records: 2_000_000,
        ..Work::default()
    }
}

/// Peak memory: the buffer and 32 MB.
fn memory(ours: &'static str, work: &Work) -> Bar {
    let limit = (work.buffer as f64 + 32e6) / f64::from(1 << 20);
    Bar {
        text: "peak memory at most buffer + 32 MB",
        ours,
        metric: Metric::Peak,
        against: Against::Limit(limit),
        target: Target::AtMost(1.0),
    }
}

fn bar(text: &'static str, metric: Metric, peer: &'static str, target: Target) -> Bar {
    Bar {
        text,
        ours: "ottla",
        metric,
        against: Against::Entry(peer),
        target,
    }
}

fn produce() -> Case {
    let work = two_million();
    Case {
        name: "produce",
        title: "one node, 6 partitions, 2 M x 100 B, acks=all, idempotent, \
                batch 128 KiB, linger 5 ms, buffer 64 MiB",
        nodes: 1,
        mode: Mode::Produce,
        clients: EVERY,
        bars: vec![
            bar(
                "CPU a record at most 0.20 x franz-go's",
                Metric::Cpu,
                "franz-go",
                Target::AtMost(0.20),
            ),
            bar(
                "records/s at least 1.7 x franz-go's",
                Metric::Rate,
                "franz-go",
                Target::AtLeast(1.7),
            ),
            bar(
                "records/s at least 3.5 x rdkafka's",
                Metric::Rate,
                "rdkafka",
                Target::AtLeast(3.5),
            ),
            bar(
                "records/s at least 0.75 x the floor's",
                Metric::Rate,
                "floor",
                Target::AtLeast(0.75),
            ),
            memory("ottla", &work),
        ],
        variants: vec![("", work)],
    }
}

fn produce_keyed_lz4() -> Case {
    let work = Work {
        keyed: true,
        compression: "lz4".into(),
        ..two_million()
    };
    Case {
        name: "produce-keyed-lz4",
        title: "as produce, each record with one of 1000 keys, lz4",
        nodes: 1,
        mode: Mode::Produce,
        clients: EVERY,
        bars: vec![
            bar(
                "CPU a record at most 0.45 x franz-go's (keys, lz4)",
                Metric::Cpu,
                "franz-go",
                Target::AtMost(0.45),
            ),
            memory("ottla", &work),
        ],
        variants: vec![("", work)],
    }
}

fn sync() -> Case {
    let best = |text, metric| Bar {
        text,
        ours: "ottla",
        metric,
        against: Against::BestPeer,
        target: Target::AtMost(1.0),
    };
    Case {
        name: "sync",
        title: "one node, linger 0, acks=all, idempotent, 100 B, each record acknowledged \
                before the next is sent",
        nodes: 1,
        mode: Mode::Latency,
        clients: EVERY,
        variants: vec![(
            "",
            Work {
                records: 20_000,
                linger_ms: 0,
                ..Work::default()
            },
        )],
        bars: vec![
            best(
                "synchronous send, p50 no worse than the best peer's",
                Metric::P50,
            ),
            best(
                "synchronous send, p99 no worse than the best peer's",
                Metric::P99,
            ),
        ],
    }
}

fn three_nodes() -> Case {
    let work = Work {
        partitions: 12,
        replication: 3,
        records: 1_000_000,
        ..Work::default()
    };
    Case {
        name: "three-nodes",
        title: "three nodes, 12 partitions, replication 3, 1 M x 100 B, else as produce",
        nodes: 3,
        mode: Mode::Produce,
        clients: CLIENTS,
        bars: vec![
            bar(
                "records/s at least 1.1 x franz-go's",
                Metric::Rate,
                "franz-go",
                Target::AtLeast(1.1),
            ),
            memory("ottla", &work),
        ],
        variants: vec![("", work)],
    }
}

/// Equal batch fill: partitions take equal shares, and batches are small enough, and linger long
/// enough, that even a thousand open ones fill up (16 MiB of the buffer's 64) before anything but a
/// full batch has a reason to go out.
fn partitions() -> Case {
    let work = Work {
        spread: true,
        batch_size: 16_384,
        linger_ms: 2_000,
        ..two_million()
    };
    let many = Work {
        partitions: 1000,
        ..work.clone()
    };
    Case {
        name: "partitions",
        title: "one node, 1000 partitions beside 6 at equal batch fill: 2 M x 100 B in turn to \
                every partition, batch 16 KiB, linger 2 s, else as produce",
        nodes: 1,
        mode: Mode::Produce,
        clients: &[Client::Ottla],
        bars: vec![
            Bar {
                text: "CPU a record with 1000 partitions at most 1.5 x that with 6",
                ours: "ottla, 1000 partitions",
                metric: Metric::Cpu,
                against: Against::Entry("ottla, 6 partitions"),
                target: Target::AtMost(1.5),
            },
            memory("ottla, 1000 partitions", &many),
        ],
        variants: vec![(", 6 partitions", work), (", 1000 partitions", many)],
    }
}
