//! The cluster that the tests share, the proxies before it, and how a test is run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_cluster::Cluster;
use libtest_mimic::{Failed, Trial};
use ottla::{Client, Producer, ProducerBuilder};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use super::checker::{self, Account};
use super::load::{Book, read_back};
use super::proxies::Proxies;

/// What a test ends with.
pub(crate) type Outcome<T = ()> = Result<T, Failed>;

/// Brokers of the shared cluster.
pub(crate) const NODES: i32 = 3;

/// Longest wait for a cluster to be whole again.
const WHOLE: Duration = Duration::from_secs(60);

/// How long the storms of a test go on: `OTTLA_FAULTS_SECONDS`, or what the test says.
pub(crate) fn duration(default: u64) -> Duration {
    seconds("OTTLA_FAULTS_SECONDS", default)
}

/// A time that a variable of the environment may name.
pub(crate) fn seconds(variable: &str, default: u64) -> Duration {
    let named = std::env::var(variable).ok();
    Duration::from_secs(named.and_then(|text| text.parse().ok()).unwrap_or(default))
}

/// Waits until a condition holds.
pub(crate) async fn until(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> bool,
) -> Outcome<Duration> {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > limit {
            return Err(format!("not within {limit:?}: {what}").into());
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(began.elapsed())
}

/// Waits for something that must not hang.
pub(crate) async fn within<F: Future>(
    what: &str,
    limit: Duration,
    future: F,
) -> Outcome<F::Output> {
    let outcome = tokio::time::timeout(limit, future).await;
    outcome.map_err(|_| format!("HANG: {what} took longer than {limit:?}").into())
}

/// The running cluster with a proxy before each broker.
pub(crate) struct Live {
    cluster: Cluster,
    pub(crate) proxies: Proxies,
}

impl Deref for Live {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Live {
    fn start(wires: &Runtime) -> Outcome<Self> {
        let proxies = wires.block_on(Proxies::start(NODES))?;
        let began = Instant::now();
        let cluster = Cluster::builder()
            .nodes(3)
            .proxies(proxies.addresses())
            .property("group.coordinator.rebalance.protocols", "classic")
            // A broker that was stopped in order comes back without electing everything anew at once.
            .property("leader.imbalance.check.interval.seconds", "5")
            .start()?;
        for (node, proxy) in (1..).zip(proxies.each()) {
            proxy.forward_to(&cluster.behind_proxy(node));
        }
        println!("three brokers were ready after {:.1?}", began.elapsed());
        Ok(Self { cluster, proxies })
    }

    /// Ends every fault, and waits until all replicas of all partitions are in sync.
    pub(crate) fn heal(&self) -> Outcome {
        self.proxies.pass();
        for node in 1..=NODES {
            self.resume(node)?;
        }
        for node in 1..=NODES {
            self.launch_node(node)?;
        }
        self.wait_ready()?;
        self.wait_in_sync(WHOLE)?;
        Ok(())
    }

    /// A topic on all three brokers, two of which must have a record.
    pub(crate) fn topic(&self, name: &str, partitions: i32) -> Outcome {
        self.create_topic(name, partitions, 3, &[("min.insync.replicas", "2")])?;
        Ok(())
    }

    /// A client that goes through the proxies, or one that does not.
    pub(crate) async fn client(&self, through_proxies: bool) -> Outcome<Client> {
        let through_proxies = through_proxies || std::env::var_os("OTTLA_FAULTS_PROXY").is_some();
        let servers = if through_proxies {
            self.proxies.bootstrap()
        } else {
            self.bootstrap()
        };
        let connecting = Client::builder().bootstrap_servers(servers).connect();
        Ok(within("connecting", Duration::from_secs(30), connecting).await??)
    }

    /// A producer behind the proxies that knows `topic`.
    pub(crate) async fn producer(
        &self,
        topic: &str,
        set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Outcome<Producer> {
        let producer = set(self.client(true).await?.producer()).build()?;
        producer.prepare(topic).await?;
        Ok(producer)
    }

    /// Writes down what went through the proxies for some partitions; tells where.
    fn keep_trace(&self, topic: &str, partitions: &BTreeSet<i32>) -> PathBuf {
        let file = evidence(topic, "trace");
        let _ = fs::write(&file, self.proxies.trace.text(partitions));
        file
    }

    /// Fails unless a partition's batches were sent under these epochs, in this order.
    pub(crate) fn epochs_are(&self, topic: &str, partition: i32, expected: &[i16]) -> Outcome {
        let epochs = self.proxies.trace.epochs(partition);
        if epochs == expected {
            return Ok(());
        }
        let file = self.keep_trace(topic, &BTreeSet::from([partition]));
        Err(format!(
            "epochs {epochs:?}, expected {expected:?}; see {}",
            file.display()
        )
        .into())
    }

    /// Compares what the application was told with what Java reads.
    pub(crate) fn judge(&self, topic: &str, book: &Book) -> Outcome<Account> {
        let log = read_back(topic, &self.consume_all(topic)?);
        let violations = match checker::check(book.sent(), &log) {
            Ok(account) => return Ok(account),
            Err(violations) => violations,
        };
        let partitions: BTreeSet<i32> = violations
            .iter()
            .filter_map(|violation| violation.partition())
            .collect();
        let file = self.keep_trace(topic, &partitions);
        let mut text = format!(
            "{} violations on partitions {partitions:?}:",
            violations.len()
        );
        for violation in violations.iter().take(12) {
            text += &format!("\n  {violation}");
        }
        text += &format!("\n  batches of these partitions: {}", file.display());
        Err(text.into())
    }
}

/// A file for what a failure leaves behind.
fn evidence(name: &str, kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{name}.{kind}"))
}

/// Everything that tests share.
#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    /// Runs the clients under test, and nothing else.
    clients: Runtime,
    /// Runs the proxies, which must not wait for a client.
    wires: Runtime,
    live: Mutex<Option<Live>>,
}

impl World {
    pub(crate) fn new() -> std::io::Result<Self> {
        log_to_file();
        Ok(Self(Arc::new(Shared {
            clients: Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?,
            wires: Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?,
            live: Mutex::new(None),
        })))
    }

    /// A test on the shared cluster; one runs at a time. Faults of an earlier one are over.
    pub(crate) fn live<F>(&self, name: &str, test: F) -> Trial
    where
        F: AsyncFnOnce(&Live) -> Outcome + Send + 'static,
    {
        let world = self.clone();
        Trial::test(name, move || {
            let mut slot = world.0.live.lock().unwrap_or_else(PoisonError::into_inner);
            let live = match slot.take() {
                Some(live) => slot.insert(live),
                None => slot.insert(Live::start(&world.0.wires)?),
            };
            live.heal()?;
            live.proxies.reset();
            let began = Instant::now();
            tracing::info!(test = "begins");
            // Not on a worker: what waits for a broker here holds up no client.
            let outcome = world.0.clients.block_on(test(live));
            println!("took {:.1?}", began.elapsed());
            outcome
        })
    }

    /// A test that needs no shared cluster.
    pub(crate) fn alone<F>(&self, name: &str, test: F) -> Trial
    where
        F: AsyncFnOnce(&Runtime) -> Outcome + Send + 'static,
    {
        let world = self.clone();
        Trial::test(name, move || {
            let began = Instant::now();
            let outcome = world.0.clients.block_on(test(&world.0.wires));
            println!("took {:.1?}", began.elapsed());
            outcome
        })
    }

    /// Ends the cluster; keeps its logs when a test has failed.
    pub(crate) fn end(self, failed: bool) {
        let live = self
            .0
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(live) = live.filter(|_| failed) {
            live.keep();
            eprintln!(
                "the brokers' logs and data are kept in {}",
                live.dir().display()
            );
            eprintln!(
                "the client's log is {}",
                evidence("client", "log").display()
            );
        }
    }
}

/// The client's own log: to a file, since it is wanted only when something fails; `RUST_LOG` says how much.
fn log_to_file() {
    let Ok(file) = File::create(evidence("client", "log")) else {
        return;
    };
    let named = std::env::var("RUST_LOG").ok();
    let targets: Option<Targets> = named.and_then(|text| text.parse().ok());
    let targets = targets.unwrap_or_else(|| Targets::new().with_default(tracing::Level::DEBUG));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(Mutex::new(file));
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .try_init();
}
