//! A steady load of numbered records, and what the application was told about each.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kafka_cluster::ConsumedRecord;
use ottla::{Delivery, Error, Producer, Record, RecordMetadata, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::checker::{Read, Sent, Told};
use super::world::Outcome;

/// Bytes of each value.
const VALUE: usize = 100;

/// Which records have keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// Every other one, of so many.
    Half(u64),
    /// All, of so many.
    All(u64),
    /// None; partition 0, then 1, and so on, of so many.
    Partitions(u64),
}

/// The value of a record: its number, its topic, and bytes that depend on both.
fn value(topic: &str, id: u64) -> String {
    let mut text = format!("{id:020}|{topic}|");
    let mut state = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < VALUE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let _ = write!(text, "{:x}", state & 0xffff);
    }
    text.truncate(VALUE);
    text
}

/// The number of a record, if these are its bytes to the last one.
pub(crate) fn id_of(topic: &str, bytes: &[u8]) -> Option<u64> {
    let id = std::str::from_utf8(bytes.get(..20)?).ok()?.parse().ok()?;
    (value(topic, id).as_bytes() == bytes).then_some(id)
}

/// What Java read, for the checker.
pub(crate) fn read_back(topic: &str, records: &[ConsumedRecord]) -> Vec<Read> {
    let read = |record: &ConsumedRecord| Read {
        id: record
            .value
            .as_deref()
            .and_then(|value| id_of(topic, value)),
        partition: record.partition,
        offset: record.offset,
    };
    records.iter().map(read).collect()
}

/// What an outcome tells about a record that was accepted.
pub(crate) fn told(outcome: &Result<RecordMetadata>) -> Told {
    match outcome {
        Ok(metadata) => Told::Acked(metadata.offset()),
        Err(error) if error.possibly_written() => Told::PossiblyWritten,
        Err(_) => Told::NotWritten,
    }
}

/// The records of one application in order of acceptance; several loads may follow each other.
#[derive(Default)]
pub(crate) struct Book {
    sent: Vec<Sent>,
    open: BTreeMap<i32, VecDeque<(usize, Delivery)>>,
    /// Different errors, with how many records each was told for.
    pub(crate) errors: BTreeMap<String, usize>,
}

impl Book {
    /// Hands a record over, and notes what comes of it.
    pub(crate) async fn send(&mut self, producer: &Producer, record: Numbered<'_>) -> Result<()> {
        let outcome = producer.enqueue(record.record()).await;
        self.note(&record, outcome)
    }

    fn note(&mut self, record: &Numbered<'_>, outcome: Result<Delivery>) -> Result<()> {
        let place = self.sent.len();
        let partition = outcome
            .as_ref()
            .ok()
            .map(|delivery| delivery.target().partition());
        // Until more is known.
        let told = if partition.is_some() {
            Told::PossiblyWritten
        } else {
            Told::NotWritten
        };
        self.sent.push(Sent {
            id: record.id,
            partition,
            told,
        });
        let delivery = outcome?;
        self.open
            .entry(delivery.target().partition())
            .or_default()
            .push_back((place, delivery));
        Ok(())
    }

    fn settle(&mut self, place: usize, outcome: &Result<RecordMetadata>) {
        let told = told(outcome);
        if let Some(sent) = self.sent.get_mut(place) {
            sent.told = match outcome {
                Ok(metadata) if Some(metadata.partition()) != sent.partition => {
                    panic!("told of another partition than the delivery's target: {metadata:?}")
                }
                _ => told,
            };
        }
        if let Err(error) = outcome {
            *self.errors.entry(error.to_string()).or_default() += 1;
        }
    }

    /// Takes note of what is known by now.
    pub(crate) fn harvest(&mut self, progress: Option<&Progress>) {
        for (partition, mut open) in std::mem::take(&mut self.open) {
            while let Some((place, delivery)) = open.pop_front() {
                match delivery.try_done() {
                    Ok(outcome) => {
                        if let Some(progress) = progress {
                            progress.settled(partition, told(&outcome));
                        }
                        self.settle(place, &outcome);
                    }
                    Err(delivery) => {
                        open.push_front((place, delivery));
                        break;
                    }
                }
            }
            self.open.insert(partition, open);
        }
    }

    /// Waits for every outcome that is still open.
    pub(crate) async fn resolve(&mut self, limit: Duration) -> Outcome {
        let end = Instant::now() + limit;
        let mut hung: BTreeMap<i32, usize> = BTreeMap::new();
        for (partition, open) in std::mem::take(&mut self.open) {
            for (place, delivery) in open {
                match timeout_at(end, delivery).await {
                    Ok(outcome) => self.settle(place, &outcome),
                    Err(_) => *hung.entry(partition).or_default() += 1,
                }
            }
        }
        if hung.is_empty() {
            return Ok(());
        }
        Err(format!("HANG: outcomes unknown after {limit:?}, by partition: {hung:?}").into())
    }

    /// Takes over what another book has, all of which is settled.
    pub(crate) fn merge(&mut self, later: Self) {
        self.sent.extend(later.sent);
    }

    pub(crate) fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// How many records were told of in a way.
    pub(crate) fn count(&self, which: impl Fn(Told) -> bool) -> usize {
        self.sent.iter().filter(|sent| which(sent.told)).count()
    }
}

/// A record to send.
#[derive(Clone, Copy)]
pub(crate) struct Numbered<'a> {
    pub(crate) id: u64,
    pub(crate) topic: &'a str,
    pub(crate) key: Option<u64>,
    pub(crate) partition: Option<i32>,
}

impl<'a> Numbered<'a> {
    /// A record for a certain partition.
    pub(crate) fn to(topic: &'a str, partition: i32, id: u64) -> Self {
        Self {
            id,
            topic,
            key: None,
            partition: Some(partition),
        }
    }

    pub(crate) fn record(&self) -> Record<'a> {
        let mut record = Record::to(self.topic).value(value(self.topic, self.id));
        if let Some(key) = self.key {
            record = record.key(format!("key-{key}"));
        }
        match self.partition {
            Some(partition) => record.partition(partition),
            None => record,
        }
    }
}

/// How far a load has come, for those who wait for it.
pub(crate) struct Progress {
    pub(crate) accepted: AtomicU64,
    acked: Vec<AtomicU64>,
    possibly_written: AtomicU64,
    not_written: AtomicU64,
}

impl Progress {
    fn settled(&self, partition: i32, told: Told) {
        let acked = usize::try_from(partition)
            .ok()
            .and_then(|index| self.acked.get(index));
        let count = match (told, acked) {
            (Told::Acked(_), Some(acked)) => acked,
            (Told::PossiblyWritten, _) => &self.possibly_written,
            (Told::Acked(_) | Told::NotWritten, _) => &self.not_written,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that failed: how many of them possibly written, how many not.
    pub(crate) fn failed(&self) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&self.possibly_written), count(&self.not_written))
    }

    /// Records acknowledged of each partition.
    pub(crate) fn acked(&self) -> Vec<u64> {
        self.acked
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect()
    }
}

/// What a load sends.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) topic: String,
    pub(crate) partitions: i32,
    /// Records a second.
    pub(crate) rate: u32,
    pub(crate) keys: Keys,
}

impl Plan {
    fn record(&self, id: u64) -> Numbered<'_> {
        let (key, partition) = match self.keys {
            Keys::Half(keys) => (id.is_multiple_of(2).then_some((id / 2) % keys), None),
            Keys::All(keys) => (Some(id % keys), None),
            Keys::Partitions(count) => (None, i32::try_from(id % count).ok()),
        };
        Numbered {
            id,
            topic: &self.topic,
            key,
            partition,
        }
    }
}

/// A load under way.
pub(crate) struct Load {
    pub(crate) progress: Arc<Progress>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Book>,
}

impl Load {
    pub(crate) fn start(producer: Producer, plan: Plan) -> Self {
        let progress = Arc::new(Progress {
            accepted: AtomicU64::new(0),
            acked: (0..plan.partitions).map(|_| AtomicU64::new(0)).collect(),
            possibly_written: AtomicU64::new(0),
            not_written: AtomicU64::new(0),
        });
        let stop = watch::Sender::new(false);
        let task = tokio::spawn(run(producer, plan, Arc::clone(&progress), stop.subscribe()));
        Self {
            progress,
            stop,
            task,
        }
    }

    /// Waits until each of `partitions` has had `more` acknowledgements; tells how long that took.
    pub(crate) async fn advance(
        &self,
        partitions: impl IntoIterator<Item = i32>,
        more: u64,
        limit: Duration,
    ) -> Outcome<Duration> {
        let began = Instant::now();
        let before = self.progress.acked();
        let wanted: Vec<usize> = partitions
            .into_iter()
            .filter_map(|one| usize::try_from(one).ok())
            .collect();
        loop {
            let now = self.progress.acked();
            let behind =
                |at: &usize| now.get(*at) < before.get(*at).map(|count| count + more).as_ref();
            let late: Vec<usize> = wanted.iter().copied().filter(behind).collect();
            if late.is_empty() {
                return Ok(began.elapsed());
            }
            if began.elapsed() > limit {
                return Err(format!(
                    "HANG: partitions {late:?} had no {more} acknowledgements within {limit:?}: {before:?} -> {now:?}"
                )
                .into());
            }
            if self.task.is_finished() {
                return Err("the load has ended before its time".into());
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// As `advance`, of all partitions.
    pub(crate) async fn advance_all(&self, more: u64, limit: Duration) -> Outcome<Duration> {
        let count = i32::try_from(self.progress.acked().len()).unwrap_or(0);
        self.advance(0..count, more, limit).await
    }

    /// Sends no more, and waits until every record accepted has had its outcome.
    pub(crate) async fn finish(self, producer: &Producer, limit: Duration) -> Outcome<Book> {
        self.stop.send_replace(true);
        let mut book = timeout(Duration::from_secs(10), self.task)
            .await
            .map_err(|_| "HANG: the load did not stop")?
            .map_err(|panic| format!("the load ended badly: {panic}"))?;
        let flushed = timeout(limit, producer.flush()).await;
        let resolved = book.resolve(Duration::from_secs(5)).await;
        flushed.map_err(|_| format!("HANG: flush took longer than {limit:?}; {resolved:?}"))??;
        resolved?;
        Ok(book)
    }
}

async fn run(
    producer: Producer,
    plan: Plan,
    progress: Arc<Progress>,
    mut stop: watch::Receiver<bool>,
) -> Book {
    let mut book = Book::default();
    let mut id = 0;
    let mut began = Instant::now();
    let mut due_before = 0;
    loop {
        let due = due_before + (began.elapsed().as_secs_f64() * f64::from(plan.rate)) as u64;
        // After a stall the load goes on as before: no flood makes up for what was not sent.
        let due = due.min(id + u64::from(plan.rate / 20).max(1));
        while id < due {
            let record = plan.record(id);
            let outcome = tokio::select! {
                biased;
                outcome = producer.enqueue(record.record()) => outcome,
                _ = stop.wait_for(|stop| *stop) => return book,
            };
            progress
                .accepted
                .fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
            if let Err(error) = book.note(&record, outcome) {
                *book.errors.entry(error.to_string()).or_default() += 1;
                progress.not_written.fetch_add(1, Ordering::Relaxed);
                if error.is_fatal() || matches!(error, Error::Closed { .. }) {
                    return book;
                }
            }
            id += 1;
        }
        if began.elapsed() > Duration::from_millis(200) {
            (began, due_before) = (Instant::now(), id);
        }
        book.harvest(Some(&progress));
        if *stop.borrow() {
            return book;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// The values that the checker knows records by.
pub(crate) mod tests {
    use super::*;

    pub(crate) fn a_value_is_known_by_every_byte() {
        let text = value("topic", 77);
        assert_eq!(
            (text.len(), id_of("topic", text.as_bytes())),
            (VALUE, Some(77))
        );
        assert_eq!(id_of("other", text.as_bytes()), None);
        let mut bytes = text.into_bytes();
        *bytes.last_mut().expect("it has bytes") ^= 1;
        assert_eq!(id_of("topic", &bytes), None);
        assert_eq!(id_of("topic", b"short"), None);
    }
}
