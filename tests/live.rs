//! What ottla promises, tried on real Apache Kafka and read back by Java's own clients.
//!
//! Left out without `OTTLA_LIVE=1`; with it a missing Java is a failure.
//! `OTTLA_LIVE=1 cargo test --test live -- NAME` runs the promises whose name has `NAME` in it.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod live {
    pub(crate) mod acknowledgements;
    pub(crate) mod admin;
    pub(crate) mod admin_cluster;
    pub(crate) mod admin_groups;
    pub(crate) mod admin_security;
    pub(crate) mod admin_transactions;
    pub(crate) mod buffer;
    pub(crate) mod closing;
    pub(crate) mod consuming;
    pub(crate) mod example_consume;
    pub(crate) mod example_groups;
    pub(crate) mod groups;
    pub(crate) mod java_compacted;
    pub(crate) mod java_groups;
    pub(crate) mod java_records;
    pub(crate) mod java_topics;
    pub(crate) mod java_transactions;
    pub(crate) mod lifetime;
    pub(crate) mod listeners;
    pub(crate) mod logins;
    mod made_anew;
    pub(crate) mod partitioning;
    pub(crate) mod round_trip;
    pub(crate) mod runner;
    pub(crate) mod sessions;
    pub(crate) mod size;
    pub(crate) mod subscribing;
    pub(crate) mod support;
    pub(crate) mod timeouts;
    pub(crate) mod tls;
    pub(crate) mod topics;
    pub(crate) mod transactions;
    pub(crate) mod waiting;
}

use std::process::ExitCode;

use live::support::{Env, Suite};

/// More than there are cores: most tests wait for a broker most of the time.
const THREADS: usize = 6;

fn main() -> ExitCode {
    let mut run = kafka_cluster::suite::Suite::from_args(&[]);
    run.arguments.test_threads.get_or_insert(THREADS);
    live::support::install_trace();
    let env = Env::default();
    let mut suite = Suite::new(&env, !run.is_live());
    // Those that take longest, or the one cluster that can be paused, come first.
    live::round_trip::older_brokers(&mut suite);
    live::java_records::older_brokers(&mut suite);
    live::java_transactions::older_brokers(&mut suite);
    live::transactions::older_brokers(&mut suite);
    live::java_compacted::older_brokers(&mut suite);
    live::java_groups::older_brokers(&mut suite);
    live::groups::older_brokers(&mut suite);
    live::admin_groups::older_brokers(&mut suite);
    live::admin_cluster::older_brokers(&mut suite);
    live::example_groups::older_brokers(&mut suite);
    live::listeners::promises(&mut suite);
    live::logins::promises(&mut suite);
    live::tls::promises(&mut suite);
    live::admin_security::promises(&mut suite);
    live::sessions::promises(&mut suite);
    live::buffer::promises(&mut suite);
    live::timeouts::promises(&mut suite);
    live::closing::promises(&mut suite);
    live::runner::promises(&mut suite);
    live::groups::promises(&mut suite);
    live::java_records::promises(&mut suite);
    live::java_transactions::promises(&mut suite);
    live::transactions::promises(&mut suite);
    live::java_compacted::promises(&mut suite);
    live::java_groups::promises(&mut suite);
    live::java_topics::promises(&mut suite);
    live::consuming::promises(&mut suite);
    live::waiting::promises(&mut suite);
    live::subscribing::promises(&mut suite);
    live::lifetime::promises(&mut suite);
    live::round_trip::promises(&mut suite);
    live::partitioning::promises(&mut suite);
    live::size::promises(&mut suite);
    live::acknowledgements::promises(&mut suite);
    live::topics::promises(&mut suite);
    live::admin::promises(&mut suite);
    live::admin_cluster::promises(&mut suite);
    live::admin_groups::promises(&mut suite);
    live::admin_transactions::promises(&mut suite);
    live::example_consume::promises(&mut suite);
    live::example_groups::promises(&mut suite);
    let conclusion = run.run(suite.trials());
    // Here, and not by the end of the process, so that the brokers end and their files go.
    env.end(conclusion.has_failed());
    conclusion.exit_code()
}
