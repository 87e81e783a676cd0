//! Live tests: left out without `OTTLA_LIVE=1`; with it a missing part is a failure, before anything is started.

use std::ops::AsyncFn;
use std::process::ExitCode;
use std::sync::Arc;

use kafka_cluster::{Cluster, suite};
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::{MariaDb, Redis, mariadb, redis};

/// What a test ends with.
pub type Outcome = Result<(), Failed>;

/// Longest time of one test, its parts' start included.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(900);

/// The real parts of one test.
pub struct Parts {
    /// Kafka 4.3.
    pub kafka: Cluster,
    /// Redis.
    pub redis: Redis,
    /// MariaDB.
    pub database: MariaDb,
}

/// Tests, one after another: each has parts of its own, and may break them.
pub struct Suite {
    suite: suite::Suite,
    trials: Vec<Trial>,
}

impl Suite {
    /// A suite for this command line.
    #[must_use]
    pub fn from_args() -> Self {
        let programs = [
            redis::SERVER,
            mariadb::INSTALL,
            mariadb::SERVER,
            mariadb::CLIENT,
        ];
        let mut suite = suite::Suite::from_args(&programs);
        suite.arguments.test_threads = Some(1);
        Self {
            suite,
            trials: Vec::new(),
        }
    }

    /// Adds a test with a Kafka of so many nodes.
    pub fn test<F>(&mut self, name: &str, nodes: usize, test: F)
    where
        F: AsyncFn(Arc<Parts>) -> Outcome + Send + 'static,
    {
        let trial = self.suite.live(name, move || {
            let parts = Arc::new(Parts::start(nodes)?);
            let runtime = Builder::new_multi_thread().enable_all().build()?;
            let kept = Arc::clone(&parts);
            let outcome = runtime.block_on(async { timeout(LIMIT, Box::pin(test(parts))).await });
            // What a test leaves behind ends before its parts do.
            drop(runtime);
            drop(kept);
            outcome.unwrap_or_else(|_| Err(format!("not over after {LIMIT:?}").into()))
        });
        self.trials.push(trial);
    }

    /// Runs them.
    #[must_use]
    pub fn run(self) -> ExitCode {
        self.suite.run(self.trials).exit_code()
    }
}

impl Parts {
    fn start(nodes: usize) -> Result<Self, Failed> {
        let (redis, database) = (Redis::start()?, MariaDb::start()?);
        let kafka = Cluster::builder().nodes(nodes).heap("384m").start()?;
        Ok(Self {
            kafka,
            redis,
            database,
        })
    }
}
