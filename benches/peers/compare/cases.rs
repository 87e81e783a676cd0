//! The cases: what is measured, through which clients, and which bars it has to reach.

mod fetch;
mod produce;

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
    Client::Kacrab,
    Client::Rskafka,
    Client::FranzGo,
    Client::Java,
    Client::Floor,
];
const CLIENTS: &[Client] = &[
    Client::Ottla,
    Client::Rdkafka,
    Client::Krafka,
    Client::Kacrab,
    Client::Rskafka,
    Client::FranzGo,
    Client::Java,
];

fn all() -> Vec<Case> {
    vec![
        produce::produce(),
        produce::produce_keyed_lz4(),
        produce::sync(),
        produce::three_nodes(),
        produce::partitions(),
        fetch::fetch(),
        fetch::fetch_lz4(),
        fetch::fetch_three_nodes(),
        fetch::fetch_partitions(),
        fetch::fetch_backlog(),
        fetch::end_to_end(),
        fetch::group_start(),
    ]
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

/// How many times the floor's CPU ottla may take at its best.
fn goal(text: &'static str, times: f64) -> Bar {
    bar(text, Metric::Cpu, "floor", Target::Goal(times))
}

/// How long one record takes: against the best full client, which numbers its batches, and against rskafka, which has
/// nothing of that to do.
fn latency(texts: [&'static str; 4], most: f64) -> Vec<Bar> {
    let [p50, p99, bare_p50, bare_p99] = texts;
    let full = |text, metric| Bar {
        against: Against::BestIdempotent,
        ..best(text, metric, most)
    };
    let bare = |text, metric| bar(text, metric, "rskafka", Target::AtMost(1.1));
    vec![
        full(p50, Metric::P50),
        full(p99, Metric::P99),
        bare(bare_p50, Metric::P50),
        bare(bare_p99, Metric::P99),
    ]
}

/// Against the smallest figure that any peer has.
fn best(text: &'static str, metric: Metric, most: f64) -> Bar {
    Bar {
        text,
        ours: "ottla",
        metric,
        against: Against::BestPeer,
        target: Target::AtMost(most),
    }
}
