//! The cases that fetch.

use super::{Case, bar, best, goal, latency, memory};
use crate::bars::{Against, Bar, Metric, Target};
use crate::programs::{Client, Mode};
use peers::work::Work;

const CLIENTS: &[Client] = &[
    Client::Ottla,
    Client::OttlaRecv,
    Client::Rdkafka,
    Client::Krafka,
    Client::Kacrab,
    Client::Rskafka,
    Client::FranzGo,
    Client::Java,
    Client::Floor,
];

/// Without krafka, which had not finished after a minute: its round waits for the slowest broker. `--clients` brings it back.
const CLIENTS_OF_THREE: &[Client] = &[
    Client::Ottla,
    Client::OttlaRecv,
    Client::Rdkafka,
    Client::Kacrab,
    Client::Rskafka,
    Client::FranzGo,
    Client::Java,
];

fn three_million() -> Work {
    Work {
        records: 3_000_000,
        ..Work::default()
    }
}

/// The bars of fetching small records.
fn ratios(work: &Work) -> Vec<Bar> {
    let recv = Bar {
        ours: "ottla-recv",
        ..bar(
            "one record at a time: CPU a record at most 0.5 x franz-go's",
            Metric::Cpu,
            "franz-go",
            Target::AtMost(0.5),
        )
    };
    vec![
        bar(
            "CPU a record at most 0.30 x franz-go's",
            Metric::Cpu,
            "franz-go",
            Target::AtMost(0.30),
        ),
        bar(
            "records/s at least 1.3 x franz-go's",
            Metric::Rate,
            "franz-go",
            Target::AtLeast(1.3),
        ),
        recv,
        memory("ottla", work),
        memory("ottla-recv", work),
    ]
}

pub(super) fn fetch() -> Case {
    let work = three_million();
    let mut bars = ratios(&work);
    bars.push(goal("CPU a record, times the floor's", 2.5));
    Case {
        name: "fetch",
        title: "one node, 6 partitions, 3 M x 100 B from the beginning to the end, \
                buffer 64 MiB",
        nodes: 1,
        mode: Mode::Fetch,
        clients: CLIENTS,
        bars,
        variants: vec![("", work)],
    }
}

pub(super) fn fetch_lz4() -> Case {
    let work = Work {
        records: 1_000_000,
        size: 1000,
        compression: "lz4".into(),
        ..Work::default()
    };
    Case {
        name: "fetch-lz4",
        title: "one node, 6 partitions, 1 M x 1 kB in lz4, else as fetch",
        nodes: 1,
        mode: Mode::Fetch,
        clients: CLIENTS,
        bars: vec![
            best(
                "CPU a record at most 0.8 x the best peer's (lz4)",
                Metric::Cpu,
                0.8,
            ),
            memory("ottla", &work),
            memory("ottla-recv", &work),
        ],
        variants: vec![("", work)],
    }
}

pub(super) fn fetch_three_nodes() -> Case {
    let work = Work {
        partitions: 12,
        replication: 3,
        ..three_million()
    };
    Case {
        name: "fetch-three-nodes",
        title: "three nodes, 12 partitions, replication 3, else as fetch",
        nodes: 3,
        mode: Mode::Fetch,
        clients: CLIENTS_OF_THREE,
        bars: ratios(&work),
        variants: vec![("", work)],
    }
}

pub(super) fn fetch_partitions() -> Case {
    let work = Work {
        spread: true,
        partitions: 10,
        ..three_million()
    };
    let many = Work {
        partitions: 1000,
        busy: 10,
        ..work.clone()
    };
    Case {
        name: "fetch-partitions",
        title: "one node, 1000 partitions of which 10 have records beside 10 alone, else as fetch",
        nodes: 1,
        mode: Mode::Fetch,
        clients: &[Client::Ottla],
        bars: vec![
            Bar {
                text: "CPU a record with 990 idle partitions at most 1.5 x that without them",
                ours: "ottla, 10 of 1000 partitions",
                metric: Metric::Cpu,
                against: Against::Entry("ottla, 10 partitions"),
                target: Target::AtMost(1.5),
            },
            memory("ottla, 10 of 1000 partitions", &many),
        ],
        variants: vec![(", 10 partitions", work), (", 10 of 1000 partitions", many)],
    }
}

/// The application takes nothing for long enough that the buffer fills to its brim.
pub(super) fn fetch_backlog() -> Case {
    let work = Work {
        hold_ms: 3000,
        ..fetch_lz4().variants.remove(0).1
    };
    Case {
        name: "fetch-backlog",
        title: "as fetch-lz4, but for three seconds after the first records nothing is taken: the \
                buffer is full",
        nodes: 1,
        mode: Mode::Fetch,
        clients: &[Client::Ottla, Client::OttlaRecv],
        bars: vec![memory("ottla", &work), memory("ottla-recv", &work)],
        variants: vec![("", work)],
    }
}

pub(super) fn end_to_end() -> Case {
    Case {
        name: "end-to-end",
        title: "one node, 1 partition, linger 0, 100 B: from a record sent to the same record handed \
                out by the client's own consumer, one at a time, 2 ms apart",
        nodes: 1,
        mode: Mode::EndToEnd,
        clients: CLIENTS,
        bars: latency(
            [
                "from sent to handed out, p50 at most 1.05 x the best full client's",
                "from sent to handed out, p99 at most 1.05 x the best full client's",
                "from sent to handed out, p50 at most 1.1 x rskafka's",
                "from sent to handed out, p99 at most 1.1 x rskafka's",
            ],
            1.05,
        ),
        variants: vec![(
            "",
            Work {
                partitions: 1,
                records: 3_000,
                linger_ms: 0,
                ..Work::default()
            },
        )],
    }
}

pub(super) fn group_start() -> Case {
    Case {
        name: "group-start",
        title: "one node, 6 partitions: consumers one after another, each alone in a new group, from \
                before it connects to its first record",
        nodes: 1,
        mode: Mode::GroupStart,
        clients: CLIENTS,
        bars: vec![best(
            "from build to the first record no slower than the fastest peer (p50)",
            Metric::P50,
            1.0,
        )],
        variants: vec![(
            "",
            Work {
                records: 30,
                ..Work::default()
            },
        )],
    }
}
