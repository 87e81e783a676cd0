//! The thread that has the store: all that waits when it comes round is written and synced together.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use tracing::{error, warn};

use super::aside::{Aside, Reason, SetAside};
use super::entry::Kept;
use super::lock::Lock;
use super::log::{Damage, Read};
use super::settings::SpillSync;
use super::store::{Store, size};
use crate::error::{Error, Result};
use crate::types::TopicName;

/// Records that wait to be written take up to so many bytes; beyond that their senders wait.
const MOST_WAITING: usize = 4 << 20;
/// So many bytes of records are read at once.
const READ_BYTES: usize = 256 << 10;

/// A record to be written, and who is told when it is.
pub(crate) struct Waiting {
    pub(crate) topic: TopicName,
    pub(crate) record: Kept,
    pub(crate) told: oneshot::Sender<Result<()>>,
}

/// What the thread is asked.
enum Command {
    Append(Waiting),
    Read(TopicName, oneshot::Sender<Result<Read>>),
    Rewind(TopicName, u64),
    Done(TopicName, u64),
    Unsent(TopicName, u64),
    SetAside(TopicName, Vec<Kept>, Reason, oneshot::Sender<Result<()>>),
    Close(oneshot::Sender<Result<()>>),
}

#[derive(Default)]
struct Mailbox {
    commands: Mutex<Commands>,
    wake: Condvar,
    /// There is room for more records.
    room: Notify,
    bytes: AtomicU64,
    records: AtomicU64,
    spilled: AtomicU64,
}

#[derive(Default)]
struct Commands {
    waiting: Vec<Command>,
    bytes: usize,
    /// Nothing is taken any more.
    ended: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Commands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let left = {
            let mut commands = self.lock();
            commands.ended = true;
            mem::take(&mut commands.waiting)
        };
        // Whoever waits for one of them is told by that.
        drop(left);
        self.wake.notify_all();
        self.room.notify_waiters();
    }
}

/// The store's thread, as its user sees it. Dropped, it ends the thread once all that it was given is written.
pub(crate) struct Keeper(Arc<Mailbox>);

impl Drop for Keeper {
    fn drop(&mut self) {
        let (told, _) = oneshot::channel();
        self.send(Command::Close(told));
    }
}

/// What the thread needs to know.
pub(crate) struct Settings {
    pub(crate) sync: SpillSync,
    /// Whether it must be certain which records may have been sent.
    pub(crate) notes_sending: bool,
    pub(crate) aside: Aside,
}

impl Keeper {
    /// Starts the thread; `open` runs on it. Tells which topics have records, with the number below which they may have
    /// been sent.
    pub(crate) async fn start(
        settings: Settings,
        open: impl FnOnce() -> Result<(Lock, Store, Vec<(TopicName, Damage)>)> + Send + 'static,
    ) -> Result<(Self, Vec<(TopicName, u64)>)> {
        let mailbox = Arc::new(Mailbox::default());
        let (told, opened) = oneshot::channel();
        let own = Arc::clone(&mailbox);
        let body = move || {
            let (lock, mut store, damage) = match open() {
                Ok(opened) => opened,
                Err(error) => return drop(told.send(Err(error))),
            };
            for (topic, damage) in damage {
                keep_damaged(&mut store, &settings.aside, &topic, damage);
            }
            let waiting = store.waiting();
            let mut thread = Thread {
                mailbox: own,
                store,
                settings,
                unsynced: None,
            };
            thread.publish();
            // Nobody waits for it any more: it ends with its keeper.
            let _ = told.send(Ok(waiting));
            let (told, outcome) = thread.run();
            drop(thread);
            drop(lock);
            let _ = told.send(outcome);
        };
        let keeper = Self(mailbox);
        std::thread::Builder::new()
            .name("ottla-spill".to_owned())
            .spawn(body)
            .map_err(|source| Error::Spill {
                doing: "starting a thread for",
                path: "it".into(),
                source: Arc::new(source),
            })?;
        match opened.await {
            Ok(opened) => Ok((keeper, opened?)),
            Err(_) => Err(closed()),
        }
    }

    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    /// Waits until there is room for more records.
    pub(crate) async fn room(&self) {
        loop {
            let room = self.mailbox().room.notified();
            {
                let commands = self.mailbox().lock();
                if commands.bytes < MOST_WAITING || commands.ended {
                    return;
                }
            }
            room.await;
        }
    }

    fn send(&self, command: Command) {
        let mut commands = self.mailbox().lock();
        if commands.ended {
            return;
        }
        if let Command::Append(waiting) = &command {
            commands.bytes += size(&waiting.record);
        }
        commands.waiting.push(command);
        drop(commands);
        self.mailbox().wake.notify_one();
    }

    pub(crate) fn append(&self, waiting: Waiting) {
        self.send(Command::Append(waiting));
    }

    /// Reads some of a topic's records, behind what was read before and was appended before the call.
    pub(crate) async fn read(&self, topic: &TopicName) -> Result<Read> {
        let (told, read) = oneshot::channel();
        self.send(Command::Read(topic.clone(), told));
        read.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Reads on with the record of that number.
    pub(crate) fn rewind(&self, topic: &TopicName, number: u64) {
        self.send(Command::Rewind(topic.clone(), number));
    }

    /// Notes that records below that number are done with.
    pub(crate) fn done(&self, topic: &TopicName, number: u64) {
        self.send(Command::Done(topic.clone(), number));
    }

    /// Notes that records from that number on were read and not sent.
    pub(crate) fn unsent(&self, topic: &TopicName, number: u64) {
        self.send(Command::Unsent(topic.clone(), number));
    }

    /// Keeps records that are not sent, and tells of them; of none that could not be kept.
    pub(crate) async fn set_aside(
        &self,
        topic: &TopicName,
        records: Vec<Kept>,
        reason: Reason,
    ) -> Result<()> {
        let (told, kept) = oneshot::channel();
        self.send(Command::SetAside(topic.clone(), records, reason, told));
        kept.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Ends the thread when all that it was given before is written; the directory is free then.
    pub(crate) async fn close(&self) -> Result<()> {
        let (told, ended) = oneshot::channel();
        self.send(Command::Close(told));
        ended.await.unwrap_or(Ok(()))
    }

    /// Records that were spilled, records that are not done with, and the bytes on disk.
    pub(crate) fn figures(&self) -> [u64; 3] {
        let mailbox = self.mailbox();
        [&mailbox.spilled, &mailbox.records, &mailbox.bytes]
            .map(|figure| figure.load(Ordering::Relaxed))
    }
}

fn closed() -> Error {
    Error::Closed {
        what: "the spill's store",
    }
}

struct Thread {
    mailbox: Arc<Mailbox>,
    store: Store,
    settings: Settings,
    /// Since when something that was told as safe has not been synced.
    unsynced: Option<Instant>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.mailbox.end();
    }
}

type Closing = (oneshot::Sender<Result<()>>, Result<()>);

impl Thread {
    /// Works until it is closed.
    fn run(&mut self) -> Closing {
        loop {
            let commands = self.next();
            let mut appends: BTreeMap<TopicName, Vec<Waiting>> = BTreeMap::new();
            let mut others = Vec::new();
            let mut freed = 0;
            for command in commands {
                match command {
                    Command::Append(waiting) => {
                        freed += size(&waiting.record);
                        let topic = appends.entry(waiting.topic.clone()).or_default();
                        topic.push(waiting);
                    }
                    other => others.push(other),
                }
            }
            for (topic, waiting) in appends {
                self.append(&topic, waiting);
            }
            if freed > 0 {
                self.mailbox.lock().bytes -= freed;
                self.mailbox.room.notify_waiters();
            }
            self.sync_when_due();
            for command in others {
                if let Command::Close(told) = command {
                    return (told, self.store.sync());
                }
                self.carry_out(command);
            }
            self.publish();
        }
    }

    /// Waits for something to do.
    fn next(&self) -> Vec<Command> {
        let mut commands = self.mailbox.lock();
        loop {
            if !commands.waiting.is_empty() {
                return mem::take(&mut commands.waiting);
            }
            let wake = &self.mailbox.wake;
            commands = match self.due() {
                None => wake.wait(commands).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Vec::new();
                    }
                    let waited = wake.wait_timeout(commands, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn due(&self) -> Option<Instant> {
        match self.settings.sync {
            SpillSync::Interval(interval) => self.unsynced?.checked_add(interval),
            SpillSync::EachRecord | SpillSync::EachBatch => None,
        }
    }

    fn sync_when_due(&mut self) {
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.unsynced = None;
            if let Err(error) = self.store.sync() {
                error!(%error, "records that were told as spilled may not outlast a loss of power");
            }
        }
    }

    fn append(&mut self, topic: &TopicName, mut waiting: Vec<Waiting>) {
        let syncs = !matches!(self.settings.sync, SpillSync::Interval(_));
        let most = match self.settings.sync {
            SpillSync::EachRecord => 1,
            SpillSync::EachBatch | SpillSync::Interval(_) => usize::MAX,
        };
        while !waiting.is_empty() {
            let rest = waiting.split_off(most.min(waiting.len()));
            let group = mem::replace(&mut waiting, rest);
            let (told, records): (Vec<_>, Vec<_>) = group
                .into_iter()
                .map(|waiting| (waiting.told, waiting.record))
                .unzip();
            let (stored, error) = self.store.append(topic, &records, syncs);
            if !syncs && stored > 0 {
                self.unsynced.get_or_insert_with(Instant::now);
            }
            // Before anyone is told: who asks then shall find them counted.
            let counted = &self.mailbox.spilled;
            counted.fetch_add(stored as u64, Ordering::Relaxed);
            self.publish();
            for (at, told) in told.into_iter().enumerate() {
                let outcome = match &error {
                    Some(error) if at >= stored => Err(error.clone()),
                    _ => Ok(()),
                };
                if let Err(Err(error)) = told.send(outcome) {
                    error!(%topic, %error, "a record that nobody waits for was not spilled and is lost");
                }
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Read(topic, told) => {
                let mut read = self
                    .store
                    .read(&topic, READ_BYTES, self.settings.notes_sending);
                if let Ok(read) = &mut read {
                    for damage in mem::take(&mut read.damage) {
                        keep_damaged(&mut self.store, &self.settings.aside, &topic, damage);
                    }
                }
                let _ = told.send(read);
            }
            Command::Rewind(topic, number) => self.store.rewind(&topic, number),
            Command::Done(topic, number) => {
                if let Err(error) = self.store.done(&topic, number) {
                    warn!(%topic, %error, "what was delivered stays on disk and may be sent again");
                }
            }
            Command::Unsent(topic, number) => {
                if let Err(error) = self.store.unsent(&topic, number) {
                    warn!(%topic, %error, "what was not sent counts as if it had been");
                }
            }
            Command::SetAside(topic, records, reason, told) => {
                let kept = self.store.keep_records(&topic, &records).map(|file| {
                    self.settings.aside.tell(SetAside {
                        topic,
                        records: Some(records.len() as u64),
                        reason,
                        file: Some(file),
                    });
                });
                let _ = told.send(kept);
            }
            Command::Append(_) | Command::Close(_) => {}
        }
    }

    fn publish(&self) {
        let (bytes, records) = (self.store.bytes(), self.store.records());
        self.mailbox.bytes.store(bytes, Ordering::Relaxed);
        self.mailbox.records.store(records, Ordering::Relaxed);
    }
}

fn keep_damaged(store: &mut Store, aside: &Aside, topic: &TopicName, damage: Damage) {
    let kept = store.keep_damaged(topic, &damage);
    let kept = kept
        .map_err(|error| warn!(%topic, %error, "damaged bytes that are set aside were not kept"));
    aside.tell(SetAside {
        topic: topic.clone(),
        records: damage.records,
        reason: Reason::Damaged {
            file: damage.file.into(),
            at: damage.at,
            bytes: damage.bytes.len() as u64,
        },
        file: kept.ok(),
    });
}
