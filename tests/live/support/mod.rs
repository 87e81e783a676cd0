//! The clusters that tests share, and how a test is run.

mod codes;
mod example;
mod honest;
mod java;
mod message;
mod mixed;
mod proxy;
mod reading;
mod trace;
mod wait;

use std::ops::{AsyncFn, Deref};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use kafka_cluster::{Cluster, Version};
use libtest_mimic::{Failed, Trial};
use ottla::Client;
use tokio::runtime::{Builder, Runtime};

pub(crate) use codes::codes;
pub(crate) use example::{Running, example, printed, run_example};
pub(crate) use honest::assert_all_honest;
pub(crate) use java::{JavaMember, java_describes, java_describes_with};
pub(crate) use message::{Message, assert_java_reads, deliver, header, random_bytes};
pub(crate) use mixed::{Case, Group, Ours, PARTITIONS, REBALANCED};
pub(crate) use proxy::Proxy;
pub(crate) use reading::{By, SOON, all_of, assert_in_order, by_place, read_to, told};
pub(crate) use trace::install as install_trace;
pub(crate) use wait::{eventually, has_stopped, in_flight, now_millis, poll_once, until, within};

/// What a test ends with.
pub(crate) type Outcome = Result<(), Failed>;

/// Longest time that one test may take; none comes near it unless something hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// A running cluster of one node, with a proxy before it for those who want to see its connections.
pub(crate) struct Kafka {
    cluster: Cluster,
    pub(crate) proxy: Proxy,
}

impl Deref for Kafka {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Kafka {
    /// One node, with settings that make tests short.
    fn start(version: Version) -> Result<Self, Failed> {
        let proxy = Proxy::start()?;
        let cluster = Cluster::builder()
            .version(version)
            .proxies([proxy.address()])
            // Tests are of small records; two such clusters run beside those of older versions.
            .heap("384m")
            // Two windows of one second instead of eleven: a broker throttles at once or not at all.
            .property("quota.window.num", "2")
            // A compacted topic is looked at five times a second instead of every fifteen.
            .property("log.cleaner.backoff.ms", "200")
            .start()?;
        proxy.forward_to(&cluster.behind_proxy(1));
        Ok(Self { cluster, proxy })
    }

    /// A client with default settings.
    pub(crate) async fn client(&self) -> Result<Client, ottla::Error> {
        Client::connect(&self.bootstrap()).await
    }

    /// A new topic that takes records: a broker knows of a topic before it has made the logs, and refuses meanwhile.
    pub(crate) fn topic<'a>(
        &self,
        name: &'a str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<&'a str, Failed> {
        self.create_topic(name, partitions, 1, configs)?;
        // Answered by the logs themselves.
        assert!(
            self.offsets(name)?
                .iter()
                .all(|partition| partition.end == 0)
        );
        Ok(name)
    }

    /// Freezes the one broker, and waits until it has.
    pub(crate) async fn freeze(&self) -> Outcome {
        self.pause(1)?;
        // On a busy machine it works on for a while after it was told to stop.
        until("the broker stops", || has_stopped(self.dir())).await
    }

    /// Lets the broker go on, and waits until it leads its partitions again.
    pub(crate) fn thaw(&self) -> Outcome {
        self.resume(1)?;
        Ok(self.wait_ready()?)
    }
}

/// The clusters that tests share; each starts when it is first asked for.
#[derive(Clone, Default)]
pub(crate) struct Env {
    clusters: Arc<Clusters>,
}

#[derive(Default)]
struct Clusters {
    /// One of each version, oldest first, for all tests at the same time: nobody disturbs it.
    shared: [OnceLock<Result<Kafka, String>>; Version::ALL.len()],
    /// For one test at a time: it may be paused.
    exclusive: Mutex<Option<Kafka>>,
}

impl Env {
    /// Ends the clusters; keeps their logs when a test has failed.
    pub(crate) fn end(self, failed: bool) {
        let Some(clusters) = Arc::into_inner(self.clusters) else {
            return eprintln!("a test outlives its end, and so does its cluster");
        };
        let exclusive = clusters.exclusive.into_inner();
        let exclusive = exclusive.unwrap_or_else(PoisonError::into_inner);
        let shared = clusters.shared.into_iter();
        let shared = shared.filter_map(|slot| slot.into_inner()?.ok());
        for kafka in shared.chain(exclusive).filter(|_| failed) {
            kafka.keep();
            let dir = kafka.dir().display();
            eprintln!("the brokers' logs and data are kept in {dir}");
        }
    }
}

/// Collects tests.
pub(crate) struct Suite {
    env: Env,
    ignored: bool,
    trials: Vec<Trial>,
}

impl Suite {
    pub(crate) fn new(env: &Env, ignored: bool) -> Self {
        Self {
            env: env.clone(),
            ignored,
            trials: Vec::new(),
        }
    }

    pub(crate) fn trials(self) -> Vec<Trial> {
        self.trials
    }

    fn add(&mut self, name: &str, test: impl FnOnce(&Clusters) -> Outcome + Send + 'static) {
        let clusters = Arc::clone(&self.env.clusters);
        let trial = Trial::test(name, move || test(&clusters));
        self.trials.push(trial.with_ignored_flag(self.ignored));
    }

    /// A test that leaves the cluster as it is for others, who use it at the same time.
    pub(crate) fn shared<F>(&mut self, name: &str, test: F)
    where
        F: AsyncFn(&Kafka) -> Outcome + Send + 'static,
    {
        self.on(Version::V4_3_0, name, test);
    }

    /// As `shared`, on a cluster of another version.
    pub(crate) fn on<F>(&mut self, version: Version, name: &str, test: F)
    where
        F: AsyncFn(&Kafka) -> Outcome + Send + 'static,
    {
        self.add(name, move |clusters| run(test(clusters.shared(version)?)));
    }

    /// As `on`, for a test that runs the examples: they are built before its time begins.
    pub(crate) fn of_examples<F>(&mut self, version: Version, name: &str, test: F)
    where
        F: AsyncFn(&Kafka) -> Outcome + Send + 'static,
    {
        self.add(name, move |clusters| {
            example::built()?;
            run(test(clusters.shared(version)?))
        });
    }

    /// As `shared`, for a test with runtimes of its own.
    pub(crate) fn blocking<F>(&mut self, name: &str, test: F)
    where
        F: FnOnce(&Kafka) -> Outcome + Send + 'static,
    {
        self.add(name, move |clusters| {
            test(clusters.shared(Version::V4_3_0)?)
        });
    }

    /// A test that pauses its cluster, and has it for itself meanwhile.
    pub(crate) fn exclusive<F>(&mut self, name: &str, test: F)
    where
        F: AsyncFn(&Kafka) -> Outcome + Send + 'static,
    {
        self.add(name, move |clusters| {
            let mut slot = clusters
                .exclusive
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let kafka = match slot.take() {
                Some(kafka) => kafka,
                None => Kafka::start(Version::V4_3_0)?,
            };
            let thawed = Thawed(slot.insert(kafka));
            run(test(thawed.0))
        });
    }

    /// A test with a cluster of its own.
    pub(crate) fn alone<F>(&mut self, name: &str, test: F)
    where
        F: AsyncFn() -> Outcome + Send + 'static,
    {
        self.add(name, move |_| run(test()));
    }
}

impl Clusters {
    /// The version's cluster, started for the first who asks.
    fn shared(&self, version: Version) -> Result<&Kafka, Failed> {
        let place = Version::ALL.iter().position(|known| *known == version);
        let slot = &self.shared[place.ok_or("an unknown version")?];
        let started = slot.get_or_init(|| {
            Kafka::start(version).map_err(|e| e.message().unwrap_or_default().to_owned())
        });
        Ok(started.as_ref()?)
    }
}

/// Lets the broker go on for the next test, whatever became of this one.
struct Thawed<'a>(&'a Kafka);

impl Drop for Thawed<'_> {
    fn drop(&mut self) {
        if let Err(failed) = self.0.thaw() {
            eprintln!("after a test: {}", failed.message().unwrap_or_default());
        }
    }
}

/// Runs a test, for at most so long.
fn run(test: impl Future<Output = Outcome>) -> Outcome {
    let runtime = runtime()?;
    let outcome = runtime.block_on(async { tokio::time::timeout(LIMIT, Box::pin(test)).await });
    // Tasks that a test leaves behind are its producers', which end with the runtime.
    runtime.shutdown_timeout(Duration::from_secs(5));
    outcome.unwrap_or_else(|_| Err(format!("the test hangs: not over after {LIMIT:?}").into()))
}

/// A runtime with workers of its own: a test may ask Java for something, which blocks, while they go on.
pub(crate) fn runtime() -> Result<Runtime, Failed> {
    Ok(Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}
