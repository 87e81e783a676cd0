//! A consumer without a group: what it reads while brokers, logs and answers go wrong.

mod answers;
mod brokers;
mod logs;

use std::time::Duration;

use libtest_mimic::Trial;
use ottla::{
    Client, Consumer, ConsumerBuilder, ConsumerRecord, Error, OffsetReset, TopicPartition,
};
use tokio::time::{Instant, timeout};

use super::checker::Sent;
use super::churn::ledger::{Event, Ledger, Survey};
use super::load::{Book, Numbered, id_of, read_back};
use super::world::{Live, Outcome, World};

/// Longest wait for a record that is there.
const SOON: Duration = Duration::from_secs(30);

pub(crate) fn trials(world: &World) -> Vec<Trial> {
    let mut all = brokers::trials(world);
    all.extend(logs::trials(world));
    all.extend(answers::trials(world));
    all
}

/// Waits for something that the consumer must come to.
async fn soon<F: Future>(what: &str, future: F) -> Outcome<F::Output> {
    super::world::within(what, SOON, future).await
}

fn all_of(topic: &str, partitions: i32) -> Vec<TopicPartition> {
    (0..partitions)
        .map(|number| TopicPartition::new(topic, number))
        .collect()
}

/// A consumer of all of a topic from its beginning, with what it was handed.
struct Reader {
    topic: String,
    consumer: Consumer,
    ledger: Ledger,
    began: Instant,
}

impl Reader {
    async fn new(
        client: &Client,
        topic: &str,
        partitions: i32,
        set: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
    ) -> Outcome<Self> {
        let builder = client
            .standalone_consumer()
            .offset_reset(OffsetReset::Earliest)
            .request_timeout(Duration::from_secs(5))
            .fetch_max_wait(Duration::from_millis(200))
            .assign(all_of(topic, partitions));
        let mut ledger = Ledger::default();
        let member = ledger.join();
        let starts = (0..partitions).map(|number| (number, Some(0))).collect();
        ledger.note(member, Duration::ZERO, Event::Assigned(starts));
        Ok(Self {
            topic: topic.to_owned(),
            consumer: set(builder).build().await?,
            ledger,
            began: Instant::now(),
        })
    }

    fn note(&mut self, event: Event) {
        self.ledger.note(0, self.began.elapsed(), event);
    }

    async fn recv(&mut self) -> Result<ConsumerRecord, Error> {
        self.note(Event::Called);
        let record = self.consumer.recv().await?;
        let record = record.ok_or(Error::Closed {
            what: "the consumer",
        })?;
        self.note(Event::Handed {
            partition: record.partition(),
            offset: record.offset(),
            id: record.value().and_then(|value| id_of(&self.topic, value)),
        });
        Ok(record)
    }

    /// Takes so many records.
    async fn take(&mut self, count: usize) -> Outcome {
        for _ in 0..count {
            soon("a record", self.recv()).await??;
        }
        Ok(())
    }

    /// Takes records until a partition was handed out up to an offset.
    async fn take_to(&mut self, partition: i32, offset: i64) -> Outcome {
        while self.ledger.handed_to(partition) < offset {
            let what = format!("{partition}@{offset}");
            soon(&what, self.recv()).await??;
        }
        Ok(())
    }

    /// Nothing more comes for a while.
    async fn is_idle(&mut self) -> bool {
        timeout(Duration::from_millis(500), self.consumer.recv())
            .await
            .is_err()
    }

    /// Compares what it was handed with the log.
    fn judge(self, live: &Live, sent: &[Sent]) -> Outcome<Survey> {
        let log = read_back(&self.topic, &live.consume_all(&self.topic)?);
        self.ledger.judge(sent, &log).map_err(|violations| {
            let mut text = format!("{} violations:", violations.len());
            for violation in violations.iter().take(20) {
                text += &format!("\n  {violation}");
            }
            text.into()
        })
    }
}

/// Sends numbered records to partition 0, and waits for their acknowledgements.
async fn fill(client: &Client, topic: &str, ids: std::ops::Range<u64>) -> Outcome<Book> {
    let producer = client
        .producer()
        .batch_size(1000)
        .linger(Duration::from_millis(2))
        .build()?;
    let mut book = Book::default();
    for id in ids {
        book.send(&producer, Numbered::to(topic, 0, id)).await?;
    }
    book.resolve(SOON).await?;
    assert!(book.errors.is_empty(), "{:?}", book.errors);
    Ok(book)
}
