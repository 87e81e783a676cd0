//! The whole run: parts, applicants, members, and the comparison in the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_app::{Database, Done, Failure, Kafka, Members, Progress, Settings, say};
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::member::{self, GROUP};
use crate::options::Options;
use crate::report::Report;
use crate::service::{Applied, Coupons, TOPIC, Won};
use crate::store::Store;

/// The settings that come with the application.
const SETTINGS: &str = include_str!("../settings.toml");

/// How long the last records may take in the end; each has its own `delivery.timeout.ms` before.
const CLOSE: Duration = Duration::from_secs(10);

/// Everything that the run works with.
pub struct System {
    kafka: Kafka,
    coupons: Arc<Coupons>,
    store: Store,
    partitions: usize,
}

impl System {
    /// Connects to the parts, embedded where none are named, and makes topic and table when they are missing.
    ///
    /// # Errors
    /// Wrong options and settings, before anything is connected to; then a part that does not answer.
    pub async fn open(options: &Options) -> Result<Self, Failure> {
        let settings = Settings::load(&options.parts, SETTINGS)?;
        let redis = options.redis.as_deref().or(settings.redis.as_deref());
        let gate = Gate::open(redis).await?;
        let database = Database::open(settings.database.as_deref()).await?;
        let kafka = Kafka::open(&settings).await?;
        let coupons = Arc::new(Coupons::new(gate, kafka.client())?);
        let partitions = i32::try_from(options.members.max(1)).unwrap_or(i32::MAX);
        let partitions = kafka.topic(TOPIC, partitions).await?;
        let store = Store::open(database).await?;
        if options.reset {
            // Winners that were sent and not saved belong to what is forgotten, too.
            kafka.skip_to_end(GROUP, TOPIC).await?;
            coupons.gate().reset().await?;
            store.reset().await?;
        }
        Ok(Self {
            kafka,
            coupons,
            store,
            partitions,
        })
    }

    /// Takes applications.
    #[must_use]
    pub fn coupons(&self) -> &Arc<Coupons> {
        &self.coupons
    }

    /// The table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The cluster.
    #[must_use]
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Lets everybody apply, waits until the winners are saved, and compares.
    ///
    /// # Errors
    /// When a part fails; what was applied for until then is delivered as far as can be.
    pub async fn run(
        self,
        options: &Options,
        interrupt: CancellationToken,
    ) -> Result<Report, Failure> {
        let drawn_before = self.coupons.gate().drawn().await?;
        let mut members = Members::start(options.members, |stop| {
            member::run(self.kafka.client().clone(), self.store.clone(), stop)
        });
        let started = Instant::now();
        let applied = apply_all(&self.coupons, options, &interrupt).await?;
        let took = started.elapsed();
        members.work_until(self.wait(options, &interrupt)).await?;
        let saved = members.stop().await?;
        self.coupons.producer().close(CLOSE).await?;
        self.report(options, drawn_before, applied, saved, took)
            .await
    }

    /// Until the winners are saved; with `--serve`, also for Ctrl-C before that.
    async fn wait(&self, options: &Options, interrupt: &CancellationToken) -> Result<(), Failure> {
        if options.serve {
            say("saving coupons until Ctrl-C");
            interrupt.cancelled().await;
        }
        if options.applicants == 0 {
            // What others sent meanwhile is theirs to wait for.
            return Ok(());
        }
        self.kafka
            .caught_up(GROUP, TOPIC, "coupons", interrupt)
            .await
    }

    async fn report(
        &self,
        options: &Options,
        drawn_before: u64,
        applied: Tally,
        saved: Done,
        took: Duration,
    ) -> Result<Report, Failure> {
        let users = self.store.users().await?;
        Ok(Report {
            gate: self.coupons.gate().place(),
            kafka: self.kafka.place().to_owned(),
            database: self.store.place().to_owned(),
            partitions: self.partitions,
            members: options.members,
            asked: options.applicants,
            applications: applied.applications,
            drawn_before,
            drawn: self.coupons.gate().drawn().await?,
            undelivered: applied.undelivered,
            missing: applied.winners.difference(&users).count() as u64,
            winners: applied.winners.len() as u64,
            resent: applied.resent,
            had_one: applied.had_one,
            saved,
            coupons: self.store.count().await?,
            users: users.len() as u64,
            lag: self.kafka.last_lag(GROUP, TOPIC).await,
            took,
        })
    }
}

/// What became of the applications.
#[derive(Default)]
struct Tally {
    applications: u64,
    /// Whose coupons are in the topic.
    winners: HashSet<i64>,
    /// Those among them who had won before.
    resent: u64,
    /// Those who had won before, and were not sent again.
    had_one: u64,
    /// Winners whose record may not have arrived.
    undelivered: Vec<String>,
}

/// Applicants 1, 2, 3 ..., so many at a time, until all have applied or `interrupt`; then waits for the deliveries.
async fn apply_all(
    coupons: &Arc<Coupons>,
    options: &Options,
    interrupt: &CancellationToken,
) -> Result<Tally, Failure> {
    let next = Arc::new(AtomicU64::new(1));
    let progress = Arc::new(Progress::new(options.applicants, "applications"));
    let mut workers = JoinSet::new();
    for _ in 0..options.workers {
        let (coupons, next) = (Arc::clone(coupons), Arc::clone(&next));
        let (progress, interrupt) = (Arc::clone(&progress), interrupt.clone());
        let applicants = options.applicants;
        workers.spawn(async move {
            let mut work = Work::default();
            while !interrupt.is_cancelled() {
                let user = next.fetch_add(1, Ordering::Relaxed);
                if user > applicants {
                    break;
                }
                work.apply(&coupons, user.cast_signed()).await;
                // Those who come too late wait for nothing, and must not keep others from their turn.
                consume_budget().await;
                progress.step();
                if work.failure.is_some() {
                    // The others would only fail in the same way.
                    interrupt.cancel();
                }
            }
            work
        });
    }
    let mut tally = Tally::default();
    let mut failure = None;
    while let Some(work) = workers.join_next().await {
        let work = work.map_err(Failure::of("a worker"))?;
        tally.applications += work.applications;
        tally.had_one += work.had_one;
        for (user, won) in work.won {
            tally.resent += u64::from(won.again);
            match deliver(coupons, user, won).await {
                Ok(()) => {
                    tally.winners.insert(user);
                }
                Err(failure) => tally.undelivered.push(format!("user {user}: {failure}")),
            }
        }
        failure = failure.or(work.failure);
    }
    failure.map_or(Ok(tally), Err)
}

/// Waits until a winner is in the topic; who is told of an error applies again, as people do.
async fn deliver(coupons: &Coupons, user: i64, won: Won) -> Result<(), Failure> {
    let Err(failure) = coupons.delivered(won).await else {
        return Ok(());
    };
    tracing::warn!(%failure, user, "not delivered: applying again");
    match coupons.apply(user).await? {
        Applied::Won(won) => coupons.delivered(won).await,
        Applied::Before => Ok(()),
        Applied::TooLate => Err(failure),
    }
}

/// One worker's applications.
#[derive(Default)]
struct Work {
    applications: u64,
    had_one: u64,
    won: Vec<(i64, Won)>,
    failure: Option<Failure>,
}

impl Work {
    async fn apply(&mut self, coupons: &Coupons, user: i64) {
        match coupons.apply(user).await {
            Ok(applied) => {
                self.applications += 1;
                match applied {
                    Applied::Won(won) => self.won.push((user, won)),
                    Applied::Before => self.had_one += 1,
                    Applied::TooLate => {}
                }
            }
            Err(failure) => self.failure = Some(failure),
        }
    }
}
