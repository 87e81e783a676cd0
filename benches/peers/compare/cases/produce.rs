//! The cases that produce.

use super::{CLIENTS, Case, EVERY, bar, goal, latency, memory};
use crate::bars::{Against, Bar, Metric, Target};
use crate::programs::{Client, Mode};
use peers::work::Work;

fn two_million() -> Work {
    Work {
        records: 2_000_000,
        ..Work::default()
    }
}

pub(super) fn produce() -> Case {
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
                "CPU a record at most 0.25 x franz-go's",
                Metric::Cpu,
                "franz-go",
                Target::AtMost(0.25),
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
            goal("CPU a record, times the floor's", 4.0),
            memory("ottla", &work),
        ],
        variants: vec![("", work)],
    }
}

pub(super) fn produce_keyed_lz4() -> Case {
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

pub(super) fn sync() -> Case {
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
        bars: latency(
            [
                "synchronous send, p50 no worse than the best full client's",
                "synchronous send, p99 no worse than the best full client's",
                "synchronous send, p50 at most 1.1 x rskafka's",
                "synchronous send, p99 at most 1.1 x rskafka's",
            ],
            1.0,
        ),
    }
}

pub(super) fn three_nodes() -> Case {
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
pub(super) fn partitions() -> Case {
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
