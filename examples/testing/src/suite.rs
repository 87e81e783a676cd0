//! Live tests: shown as ignored where a part is missing, unless `OTTLA_LIVE=1` makes that a failure.

use std::ops::AsyncFn;
use std::process::ExitCode;
use std::sync::Arc;

use kafka_cluster::Cluster;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::child::is_there;
use crate::{MariaDb, Redis};

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
    arguments: Arguments,
    ignored: bool,
    trials: Vec<Trial>,
}

impl Suite {
    /// A suite for this command line.
    #[must_use]
    pub fn from_args() -> Self {
        let mut arguments = Arguments::from_args();
        arguments.test_threads = Some(1);
        let missing = missing();
        if let Some(missing) = &missing {
            eprintln!("live tests are ignored: {missing}");
        }
        let must = std::env::var_os("OTTLA_LIVE").is_some_and(|value| value == "1");
        Self {
            arguments,
            ignored: missing.is_some() && !must,
            trials: Vec::new(),
        }
    }

    /// Adds a test with a Kafka of so many nodes.
    pub fn test<F>(&mut self, name: &str, nodes: usize, test: F)
    where
        F: AsyncFn(Arc<Parts>) -> Outcome + Send + 'static,
    {
        let trial = Trial::test(name, move || {
            let parts = Arc::new(Parts::start(nodes)?);
            let runtime = Builder::new_multi_thread().enable_all().build()?;
            let kept = Arc::clone(&parts);
            let outcome = runtime.block_on(async { timeout(LIMIT, Box::pin(test(parts))).await });
            // What a test leaves behind ends before its parts do.
            drop(runtime);
            drop(kept);
            outcome.unwrap_or_else(|_| Err(format!("not over after {LIMIT:?}").into()))
        });
        self.trials.push(trial.with_ignored_flag(self.ignored));
    }

    /// Runs them.
    #[must_use]
    pub fn run(self) -> ExitCode {
        libtest_mimic::run(&self.arguments, self.trials).exit_code()
    }
}

impl Parts {
    fn start(nodes: usize) -> Result<Self, Failed> {
        let kafka = Cluster::builder().nodes(nodes).heap("384m").start()?;
        Ok(Self {
            kafka,
            redis: Redis::start()?,
            database: MariaDb::start()?,
        })
    }
}

fn missing() -> Option<String> {
    let programs = ["redis-server", "mariadbd", "mariadb-install-db", "mariadb"];
    let absent = programs.into_iter().find(|program| !is_there(program));
    let absent = absent.map(|program| format!("{program} is not installed"));
    absent.or_else(|| kafka_cluster::available().err())
}
