//! A consumer's other half, which notes what is done to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::consumer::membership::{Host, Listening, News};
use crate::consumer::offsets::{Commit, Commits};
use crate::error::Error;
use crate::machine::group::Loss;
use crate::types::{OffsetAndMetadata, TopicName, TopicPartition};

/// A consumer that notes what is done to it.
pub(in crate::consumer) struct Notes {
    log: Mutex<Vec<String>>,
    /// Offsets that the application is done with.
    pub(in crate::consumer) done: Mutex<Commits>,
    /// The application's calls, and whether one is waiting.
    pub(in crate::consumer) calls: Mutex<(u64, bool)>,
    /// Whether the application holds records.
    pub(in crate::consumer) busy: watch::Sender<bool>,
    pub(in crate::consumer) subscription: watch::Sender<Arc<[TopicName]>>,
    /// Whether a call that waits is awaited by anybody.
    pub(in crate::consumer) awaited: watch::Sender<bool>,
    /// Whether the listener returns.
    pub(in crate::consumer) returns: watch::Sender<bool>,
    panics: bool,
    noted: Notify,
}

impl Notes {
    pub(in crate::consumer) fn new() -> Arc<Self> {
        Self::with(false)
    }

    /// With a listener that panics.
    pub(in crate::consumer) fn panicking() -> Arc<Self> {
        Self::with(true)
    }

    fn with(panics: bool) -> Arc<Self> {
        Arc::new(Self {
            log: Mutex::default(),
            done: Mutex::default(),
            calls: Mutex::new((0, true)),
            busy: watch::Sender::new(false),
            subscription: watch::Sender::new(["t".into()].into()),
            awaited: watch::Sender::new(true),
            returns: watch::Sender::new(true),
            panics,
            noted: Notify::new(),
        })
    }

    fn note(&self, text: &str, partitions: &[TopicPartition]) {
        let names: String = partitions
            .iter()
            .map(|p| format!(" {}", p.partition()))
            .collect();
        self.log.lock().unwrap().push(format!("{text}{names}"));
        self.noted.notify_one();
    }

    pub(in crate::consumer) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// Waits until something is noted that begins so; what was noted up to then.
    pub(in crate::consumer) async fn until(&self, text: &str) -> Vec<String> {
        let waiting = async {
            let mut all = Vec::new();
            while !all.iter().any(|line: &String| line.starts_with(text)) {
                all.extend(self.log());
                if !all.iter().any(|line| line.starts_with(text)) {
                    self.noted.notified().await;
                }
            }
            all
        };
        let limit = Duration::from_secs(200);
        tokio::time::timeout(limit, waiting)
            .await
            .unwrap_or_else(|_| panic!("{text:?} was not noted: {:?}", self.log()))
    }

    pub(in crate::consumer) fn do_with(&self, partition: i32, offset: i64) {
        let offset = OffsetAndMetadata::new(offset).into();
        let mut done = self.done.lock().unwrap();
        done.push((TopicPartition::new("t", partition), offset));
    }
}

impl Host for Notes {
    fn subscription(&self) -> watch::Receiver<Arc<[TopicName]>> {
        self.subscription.subscribe()
    }

    fn hold(&self, partitions: &[TopicPartition]) {
        self.note("hold", partitions);
    }

    fn begin(&self, partitions: &[TopicPartition]) {
        self.note("begin", partitions);
    }

    fn withhold(&self, withheld: bool) {
        let text = if withheld { "withhold" } else { "hand out" };
        self.note(text, &[]);
    }

    fn stop(&self, partitions: &[TopicPartition]) {
        self.note("stop", partitions);
    }

    async fn settled(&self, _partitions: &[TopicPartition], until: Instant) -> bool {
        let mut busy = self.busy.subscribe();
        timeout_at(until, busy.wait_for(|busy| !busy)).await.is_ok()
    }

    fn give_up(&self, partitions: &[TopicPartition]) {
        self.note("remove", partitions);
    }

    fn rest(&self) {}

    fn remove(&self, partitions: &[TopicPartition]) {
        self.note("remove", partitions);
    }

    fn committable(&self, partitions: Option<&[TopicPartition]>) -> Commits {
        let mut done = self.done.lock().unwrap().clone();
        done.retain(|(partition, _)| partitions.is_none_or(|of| of.contains(partition)));
        done
    }

    fn committed(&self, offsets: &[(TopicPartition, Commit)]) {
        self.done
            .lock()
            .unwrap()
            .retain(|one| !offsets.contains(one));
        self.note("committed", &[]);
    }

    fn refused(&self, _error: &Error) {}

    fn calls(&self) -> (u64, bool) {
        *self.calls.lock().unwrap()
    }

    fn nudge(&self) {
        let mut calls = self.calls.lock().unwrap();
        if calls.1 && *self.awaited.borrow() {
            calls.0 += 1;
        }
    }

    fn lost(&self, partitions: &[TopicPartition], why: Loss) {
        self.note(&format!("told {why:?}"), partitions);
    }

    fn fail(&self, error: Error) {
        self.note(&format!("fail {error}"), &[]);
    }

    fn end(&self, error: Error) {
        self.note(&format!("end {error}"), &[]);
    }

    fn left(&self) {
        self.note("left", &[]);
    }

    fn tell<'a>(&'a self, news: News, partitions: &'a [TopicPartition]) -> Listening<'a> {
        Box::pin(async move {
            self.note(&format!("{news:?}"), partitions);
            assert!(!self.panics, "the listener panics");
            let mut returns = self.returns.subscribe();
            returns.wait_for(|returns| *returns).await.unwrap();
        })
    }
}
