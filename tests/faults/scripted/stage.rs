//! A topic, a producer, and rules for its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ottla::{Producer, ProducerBuilder};
use tokio::time::Instant;

use crate::faults::checker::{Account, Told};
use crate::faults::frames::Request;
use crate::faults::load::{Book, Numbered};
use crate::faults::proxy::Fate;
use crate::faults::world::{Live, Outcome};

/// Longest wait for anything that takes no time of its own.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// One topic, and a producer behind the proxies.
pub(super) struct Stage<'a> {
    pub(super) live: &'a Live,
    pub(super) topic: String,
    pub(super) producer: Producer,
    pub(super) book: Book,
}

impl<'a> Stage<'a> {
    pub(super) async fn new(
        live: &'a Live,
        topic: &str,
        partitions: i32,
        set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Outcome<Self> {
        live.proxies.pass();
        live.proxies.reset();
        live.topic(topic, partitions)?;
        // Each record is a batch, unless the test says otherwise.
        let producer = live
            .producer(topic, |builder| {
                set(builder.linger(Duration::ZERO).batch_size(0))
            })
            .await?;
        Ok(Self {
            live,
            topic: topic.to_owned(),
            producer,
            book: Book::default(),
        })
    }

    /// As `new`, with a record in partition 0: connections are open, and the broker knows the producer.
    pub(super) async fn known(
        live: &'a Live,
        topic: &str,
        set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Outcome<Self> {
        let mut stage = Self::new(live, topic, 1, set).await?;
        stage.send_until_acked(1).await?;
        live.proxies.trace.clear();
        Ok(stage)
    }

    pub(super) async fn send(&mut self, partition: i32) -> Outcome {
        let record = Numbered::to(&self.topic, partition, self.book.sent().len() as u64);
        self.book.send(&self.producer, record).await?;
        Ok(())
    }

    /// Sends records to partition 0, each of which is a batch: five of them are in flight at once.
    pub(super) async fn send_batches(&mut self, count: usize) -> Outcome {
        for _ in 0..count {
            self.send(0).await?;
        }
        Ok(())
    }

    /// Sends records to partition 0, one after the other, until so many have been acknowledged.
    pub(super) async fn send_until_acked(&mut self, count: usize) -> Outcome {
        let acked = |stage: &Self| stage.book.count(|told| matches!(told, Told::Acked(_)));
        let (before, end) = (acked(self), Instant::now() + SOON);
        while acked(self) < before + count {
            if Instant::now() > end {
                return Err(format!("not acknowledged: {:?}", self.book.errors).into());
            }
            self.send(0).await?;
            self.resolve(SOON).await?;
        }
        Ok(())
    }

    pub(super) async fn resolve(&mut self, limit: Duration) -> Outcome {
        self.book.resolve(limit).await
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.book.sent().iter().map(|sent| sent.told).collect()
    }

    pub(super) fn judge(&self) -> Outcome<Account> {
        self.live.judge(&self.topic, &self.book)
    }

    /// Everything was acknowledged, is where it should be, and no epoch was spent on that.
    pub(super) async fn all_acked(self) -> Outcome {
        self.all_acked_under(&[0]).await
    }

    /// As `all_acked`, after these epochs of partition 0.
    pub(super) async fn all_acked_under(mut self, epochs: &[i16]) -> Outcome {
        self.resolve(SOON).await?;
        let account = self.judge()?;
        assert_eq!(
            account.acked,
            self.book.sent().len(),
            "{:?}",
            self.book.errors
        );
        self.live.epochs_are(&self.topic, 0, epochs)?;
        self.end().await
    }

    pub(super) async fn end(self) -> Outcome {
        self.live.proxies.pass();
        self.producer.close(Duration::from_secs(10)).await?;
        self.live.delete_topic(&self.topic)?;
        Ok(())
    }
}

/// Applies `script` to the first `count` Produce requests that have a batch for `partition`.
pub(super) fn first_of(
    partition: i32,
    count: usize,
    mut script: impl FnMut(&Request, usize) -> Fate + Send + 'static,
) -> (
    impl FnMut(&Request) -> Fate + Send + 'static,
    Arc<AtomicUsize>,
) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let rule = move |request: &Request| {
        if !request.is_produce() || !request.has_partition(partition) {
            return Fate::Pass;
        }
        let number = counter.fetch_add(1, Ordering::Relaxed);
        if number < count {
            script(request, number)
        } else {
            Fate::Pass
        }
    };
    (rule, seen)
}

/// Why a step failed.
pub(super) fn text(error: &libtest_mimic::Failed) -> String {
    error.message().unwrap_or("failed").to_owned()
}
