//! A member of the group under test: a client and a runtime of its own, so that it can die like a process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla::{
    Assignor, Client, Consumer, ConsumerHandle, Error, ListenerFuture, LostReason, OffsetReset,
    RebalanceListener, RecordRef, TopicPartition,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::ledger::{Event, Ledger};
use crate::faults::load::id_of;
use crate::faults::world::{Outcome, within};

/// The ledger that all members write to, with what they were told of errors.
pub(super) struct Book {
    pub(super) began: Instant,
    ledger: Mutex<Ledger>,
    pub(super) errors: Mutex<BTreeMap<String, usize>>,
}

impl Book {
    pub(super) fn new(ledger: Ledger) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            ledger: Mutex::new(ledger),
            errors: Mutex::default(),
        })
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, member: usize, event: Event) {
        let mut ledger = self.ledger();
        if !matches!(event, Event::Called | Event::Handed { .. }) {
            tracing::info!(member, ?event, "of the churn");
        }
        ledger.note(member, self.began.elapsed(), event);
    }

    fn told(&self, what: &str, error: &Error) {
        tracing::info!(what, %error, "told");
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        *errors.entry(format!("{what}: {error}")).or_default() += 1;
    }

    /// Takes the ledger for its judgement.
    pub(super) fn close(&self) -> Ledger {
        std::mem::take(&mut self.ledger())
    }
}

/// How a member works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// `poll`, automatic commits.
    Polls,
    /// `recv`, automatic commits.
    Receives,
    /// `poll`, and a commit after each.
    Commits,
    /// `recv`, commits in the background now and then, and at the end by the listener.
    CommitsBehind,
}

impl Habit {
    pub(super) const ALL: [Self; 4] = [
        Self::Polls,
        Self::Receives,
        Self::Commits,
        Self::CommitsBehind,
    ];

    fn is_automatic(self) -> bool {
        matches!(self, Self::Polls | Self::Receives)
    }
}

/// What all members have in common.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) servers: String,
    pub(super) name: String,
    pub(super) topic: &'static str,
    pub(super) assignor: Assignor,
    /// Between two heartbeats: about as long as a rebalance takes.
    pub(super) beat: Duration,
    pub(super) book: Arc<Book>,
}

/// How a member is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Work,
    Close,
    Drop,
}

/// A runtime that may end in another one.
pub(super) struct Home(Option<Runtime>);

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

pub(super) struct Member {
    pub(super) id: usize,
    book: Arc<Book>,
    home: Home,
    orders: watch::Sender<Order>,
    task: JoinHandle<Result<(), Error>>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {}", self.id)
    }
}

impl Member {
    pub(super) fn start(group: &Group, habit: Habit) -> Outcome<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let id = group.book.ledger().join();
        let (orders, ordered) = watch::channel(Order::Work);
        let work = Work {
            id,
            habit,
            group: group.clone(),
        };
        tracing::info!(member = id, ?habit, "a member joins");
        Ok(Self {
            id,
            book: group.book.clone(),
            task: runtime.spawn(work.run(ordered)),
            home: Home(Some(runtime)),
            orders,
        })
    }

    /// Its runtime ends with everything in it: nobody is told.
    pub(super) fn kill(self) {
        self.book.note(self.id, Event::Killed);
        drop(self.home);
    }

    /// It leaves, and tells when it has.
    pub(super) async fn close(self) -> Outcome {
        self.orders.send_replace(Order::Close);
        let what = format!("closing member {}", self.id);
        let ended = within(&what, Duration::from_secs(90), self.task).await;
        ended?.map_err(|panic| format!("member {}: {panic}", self.id))??;
        Ok(())
    }

    /// It is dropped, and leaves in the background, for which its runtime stays.
    pub(super) async fn drop(self) -> Outcome<Home> {
        self.orders.send_replace(Order::Drop);
        let what = format!("dropping member {}", self.id);
        let ended = within(&what, Duration::from_secs(30), self.task).await;
        ended?.map_err(|panic| format!("member {}: {panic}", self.id))??;
        Ok(self.home)
    }
}

struct Work {
    id: usize,
    habit: Habit,
    group: Group,
}

impl Work {
    async fn run(self, mut orders: watch::Receiver<Order>) -> Result<(), Error> {
        // A broker that is down now is no reason not to start.
        let client = loop {
            match Client::connect(&self.group.servers).await {
                Ok(client) => break client,
                Err(error) => self.group.book.told("connect", &error),
            }
        };
        let mut consumer = self.build(&client).await?;
        loop {
            self.note(Event::Called);
            let handed = tokio::select! {
                biased;
                handed = self.turn(&mut consumer) => handed,
                _ = orders.wait_for(|order| *order != Order::Work) => break,
            };
            if let Err(error) = handed {
                self.group.book.told("recv", &error);
            }
            if *orders.borrow() != Order::Work {
                break;
            }
        }
        if *orders.borrow() == Order::Drop {
            self.note(Event::Dropped);
            drop(consumer);
            return Ok(());
        }
        if let Err(error) = consumer.close(Duration::from_secs(60)).await {
            self.note(Event::Uncommitted);
            self.group.book.told("close", &error);
        }
        Ok(())
    }

    async fn build(&self, client: &Client) -> Result<Consumer, Error> {
        client
            .consumer(self.group.name.as_str())
            .assignors([self.group.assignor])
            .offset_reset(OffsetReset::Earliest)
            .auto_commit(self.habit.is_automatic())
            .auto_commit_interval(Duration::from_millis(300))
            .session_timeout(Duration::from_secs(6))
            .heartbeat_interval(self.group.beat)
            .max_poll_interval(Duration::from_secs(30))
            .request_timeout(Duration::from_secs(5))
            .api_timeout(Duration::from_secs(30))
            .fetch_max_wait(Duration::from_millis(200))
            .listener(Ears {
                id: self.id,
                commits: !self.habit.is_automatic(),
                book: self.group.book.clone(),
            })
            .subscribe([self.group.topic])
            .build()
            .await
    }

    fn note(&self, event: Event) {
        self.group.book.note(self.id, event);
    }

    fn handed(&self, record: RecordRef<'_>) {
        self.note(Event::Handed {
            partition: record.partition(),
            offset: record.offset(),
            id: record
                .value()
                .and_then(|value| id_of(self.group.topic, value)),
        });
    }

    /// One call, and the work on what it brings.
    async fn turn(&self, consumer: &mut Consumer) -> Result<(), Error> {
        if matches!(self.habit, Habit::Polls | Habit::Commits) {
            let Some(records) = consumer.poll().await? else {
                return Ok(());
            };
            records.iter().for_each(|record| self.handed(record));
            if self.habit == Habit::Commits {
                if let Err(error) = consumer.commit_positions().await {
                    self.group.book.told("commit", &error);
                }
            } else if fastrand::u32(..4) == 0 {
                sleep(Duration::from_millis(fastrand::u64(..20))).await;
            }
            return Ok(());
        }
        let Some(record) = consumer.recv().await? else {
            return Ok(());
        };
        self.handed(record.as_ref());
        if self.habit == Habit::CommitsBehind && record.offset() % 10 == 0 {
            match consumer.commit_in_background(&record) {
                Ok(()) | Err(Error::NotAssigned { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Notes what the member is told; commits what it gives up, unless that is done for it.
struct Ears {
    id: usize,
    commits: bool,
    book: Arc<Book>,
}

fn numbers(partitions: &[TopicPartition]) -> Vec<i32> {
    partitions.iter().map(TopicPartition::partition).collect()
}

impl RebalanceListener for Ears {
    fn assigned<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> ListenerFuture<'a> {
        Box::pin(async move {
            let starts = match consumer.committed(partitions.to_vec()).await {
                Ok(found) => {
                    let offset = |one: Option<ottla::OffsetAndMetadata>| {
                        Some(one.map_or(0, |one| one.offset))
                    };
                    found.into_iter().map(offset).collect()
                }
                Err(error) => {
                    self.book.told("committed", &error);
                    vec![None; partitions.len()]
                }
            };
            let partitions = numbers(partitions).into_iter().zip(starts).collect();
            self.book.note(self.id, Event::Assigned(partitions));
        })
    }

    fn revoked<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> ListenerFuture<'a> {
        Box::pin(async move {
            let mut failed = false;
            if self.commits {
                let position = |one: &TopicPartition| {
                    let offset = consumer.position(one).ok().flatten()?;
                    Some((one.clone(), offset.into()))
                };
                let offsets: Vec<_> = partitions.iter().filter_map(position).collect();
                tracing::info!(member = self.id, ?offsets, "commits what is given up");
                if let Err(error) = consumer.commit_offsets(offsets).await {
                    self.book.told("commit of what is given up", &error);
                    failed = true;
                }
            }
            self.book.note(self.id, Event::Revoked(numbers(partitions)));
            if failed {
                self.book.note(self.id, Event::Uncommitted);
            }
        })
    }

    fn lost<'a>(
        &'a self,
        _: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
        reason: LostReason,
    ) -> ListenerFuture<'a> {
        Box::pin(async move {
            tracing::info!(member = self.id, %reason, "partitions lost");
            self.book.note(self.id, Event::Lost(numbers(partitions)));
        })
    }
}
