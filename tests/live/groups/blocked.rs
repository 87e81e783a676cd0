//! Handlers that block every worker of their runtimes for longer than a session, while connections end and brokers do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use kafka_cluster::Cluster;
use ottla::{Admin, Client, ConsumerBuilder, Error};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use super::{SESSION, SOON, fill, filled, member, take};
use crate::live::support::{Kafka, Outcome, eventually, until};

const RECORDS: i32 = 20;

/// For how long the handlers block at least: longer than a session. `OTTLA_LONG=1` makes it 20 s.
fn time() -> Duration {
    let is_long = std::env::var_os("OTTLA_LONG").is_some_and(|value| value == "1");
    Duration::from_secs(if is_long { 20 } else { 9 })
}

/// What blocks handlers, until it is dropped.
#[derive(Default)]
struct Gate {
    closed: Arc<Closed>,
    /// How many handlers have every worker of their runtimes blocked.
    blocking: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Closed {
    is_open: Mutex<bool>,
    opens: Condvar,
}

impl Closed {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks the thread.
    fn wait(&self) {
        let waited = self.opens.wait_while(self.lock(), |is_open| !*is_open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        *self.closed.lock() = true;
        self.closed.opens.notify_all();
    }
}

/// A member of a group of its own, on a runtime of so many workers.
struct Blocked {
    workers: usize,
    servers: String,
    group: String,
    topic: &'static str,
    closed: Arc<Closed>,
    blocking: Arc<AtomicUsize>,
}

/// What a member has seen.
struct Seen {
    numbers: Vec<i32>,
    /// The first error, if there was any.
    error: Option<Error>,
    /// Generations of its group.
    generations: u64,
}

impl Gate {
    /// Starts a member that blocks all its workers behind its first record.
    fn block(
        &self,
        workers: usize,
        servers: String,
        group: String,
        topic: &'static str,
        settings: fn(ConsumerBuilder) -> ConsumerBuilder,
    ) -> JoinHandle<Result<Seen, Error>> {
        let blocked = Blocked {
            workers,
            servers,
            group,
            topic,
            closed: self.closed.clone(),
            blocking: self.blocking.clone(),
        };
        spawn_blocking(move || blocked.run(settings))
    }

    async fn are_blocked(&self, count: usize) -> Outcome {
        let blocking = || self.blocking.load(Ordering::Relaxed);
        until("all are blocked", || blocking() == count).await
    }
}

impl Blocked {
    fn runtime(&self) -> Runtime {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(self.workers).enable_all().build();
        runtime.expect("a runtime")
    }

    /// Reads one record, blocks all workers, and reads the rest.
    fn run(self, settings: fn(ConsumerBuilder) -> ConsumerBuilder) -> Result<Seen, Error> {
        let runtime = self.runtime();
        let barrier = Arc::new(Barrier::new(self.workers));
        let (blocks, is_blocked) = mpsc::channel();
        let (closed, own_barrier) = (self.closed.clone(), barrier.clone());
        let reading = runtime.spawn(async move {
            let client = Client::connect(&self.servers).await?;
            let builder = settings(member(&client, &self.group, self.topic));
            let mut consumer = builder.build().await?;
            let mut seen = Seen {
                numbers: take(&mut consumer, 1).await?,
                error: None,
                generations: 0,
            };
            blocks.send(()).expect("the other thread waits");
            own_barrier.wait();
            closed.wait();
            while seen.numbers.last() != Some(&(RECORDS - 1)) {
                match take(&mut consumer, 1).await {
                    Ok(one) => seen.numbers.extend(one),
                    Err(error) if seen.error.is_none() => seen.error = Some(error),
                    Err(error) => return Err(error),
                }
            }
            seen.generations = consumer.metrics().rebalances;
            consumer.close(SOON).await?;
            Ok(seen)
        });
        is_blocked.recv().expect("a first record");
        for _ in 1..self.workers {
            let (closed, barrier) = (self.closed.clone(), barrier.clone());
            runtime.spawn(async move {
                barrier.wait();
                closed.wait();
            });
        }
        self.blocking.fetch_add(1, Ordering::Relaxed);
        runtime.block_on(reading).expect("no panic")
    }
}

impl Seen {
    /// Each record once, as a member of one generation.
    fn assert_undisturbed(&self) {
        assert!(self.error.is_none(), "{:?}", self.error);
        assert_eq!(self.numbers, (0..RECORDS).collect::<Vec<_>>(), "each once");
        assert_eq!(self.generations, 1, "it did not have to join again");
    }
}

fn as_it_is(builder: ConsumerBuilder) -> ConsumerBuilder {
    builder
}

pub(super) async fn blocked(kafka: &Kafka) -> Outcome {
    const TOPIC: &str = "group-blocked";
    filled(kafka, TOPIC, 1, 0..RECORDS).await?;
    let gate = Gate::default();
    let start = |workers| {
        let group = format!("{TOPIC}-{workers}");
        gate.block(workers, kafka.bootstrap(), group, TOPIC, as_it_is)
    };
    let members = [start(1), start(4)];
    gate.are_blocked(members.len()).await?;
    // Members have to connect anew, which nothing of their applications can help with.
    kafka.proxy.cut();
    sleep(time()).await;
    drop(gate);
    for member in members {
        member.await??.assert_undisturbed();
    }
    Ok(())
}

/// The ids of a group's members.
async fn ids(admin: &Admin, group: &str) -> Result<Vec<Arc<str>>, Error> {
    let group = admin.describe_group(group).await?;
    Ok(group.members.into_iter().map(|one| one.member_id).collect())
}

pub(super) async fn restarted() -> Outcome {
    const TOPIC: &str = "group-restarted";
    const LATE: &str = "group-restarted-late";
    let cluster = Cluster::builder().heap("384m").start()?;
    cluster.create_topic(TOPIC, 1, 1, &[])?;
    let client = Client::connect(&cluster.bootstrap()).await?;
    fill(&client, TOPIC, 1, 0..RECORDS).await?;
    let admin = client.admin();
    let gate = Gate::default();
    let start = |workers, group: &str, settings| {
        gate.block(workers, cluster.bootstrap(), group.into(), TOPIC, settings)
    };
    let groups = [1, 2, 4].map(|workers| (workers, format!("{TOPIC}-{workers}")));
    let members = groups
        .each_ref()
        .map(|(workers, group)| start(*workers, group, as_it_is));
    let late = start(1, LATE, |builder| builder.max_poll_interval(SESSION));
    gate.are_blocked(members.len() + 1).await?;
    let began = Instant::now();
    let mut before = Vec::new();
    for (_, group) in &groups {
        before.push(ids(&admin, group).await?);
    }
    cluster.kill(1)?;
    // Nobody's session would last.
    sleep(SESSION + Duration::from_secs(1)).await;
    cluster.start(1)?;
    // Those of before would be over by now for whoever did not come back to the coordinator.
    let kept = Instant::now() + SESSION + Duration::from_secs(1);
    sleep_until(kept.max(began + time())).await;
    for ((_, group), before) in groups.iter().zip(before) {
        assert_eq!(before.len(), 1, "{group}");
        assert_eq!(ids(&admin, group).await?, before, "{group}");
    }
    eventually("who did not call for too long is out", async || {
        ids(&admin, LATE).await.is_ok_and(|ids| ids.is_empty())
    })
    .await?;
    drop(gate);
    for member in members {
        member.await??.assert_undisturbed();
    }
    let late = late.await??;
    assert!(
        matches!(late.error, Some(Error::PollInterval { .. })),
        "{:?}",
        late.error
    );
    let again = [0].into_iter().chain(0..RECORDS).collect::<Vec<_>>();
    assert_eq!(late.numbers, again, "from what was committed");
    Ok(())
}
