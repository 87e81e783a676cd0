//! All topics' records on disk, within one bound.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::Disk;
use super::entry::{self, Kept};
use super::log::{Damage, Read, TopicLog};
use super::segment::{self, Segment};
use crate::error::{Error, Result};
use crate::record::Record;
use crate::types::{TopicName, is_legal_name};

/// A folder for each topic is below this one.
const TOPICS: &str = "topics";
/// What is not sent is kept below this one.
const SET_ASIDE: &str = "set-aside";
/// What a record's route and a batch's header add to its own size.
const OVERHEAD: usize = 128;

/// How large the store and its parts may become, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) all: u64,
    pub(crate) segment: u64,
}

/// All topics' records on disk.
pub(crate) struct Store {
    disk: Box<dyn Disk>,
    root: PathBuf,
    logs: BTreeMap<TopicName, TopicLog>,
    bounds: Bounds,
}

/// How many of the first records are on disk, and why the others are not.
pub(crate) type Stored = (usize, Option<Error>);

impl Store {
    /// Opens what is in the directory, which nobody else may use.
    pub(crate) fn open(
        mut disk: Box<dyn Disk>,
        root: PathBuf,
        bounds: Bounds,
    ) -> Result<(Self, Vec<(TopicName, Damage)>)> {
        let mut damage = Vec::new();
        let mut logs = BTreeMap::new();
        let names = disk.folders(TOPICS);
        let names = names.map_err(|error| told(&root, "reading", TOPICS, error))?;
        for name in names.into_iter().filter(|name| is_legal_name(name)) {
            let topic = TopicName::from(name.as_str());
            let folder = format!("{TOPICS}/{name}");
            let opened = TopicLog::open(&mut *disk, topic.clone(), folder, bounds.segment);
            let (log, found) = opened.map_err(|error| told(&root, "reading", &name, error))?;
            damage.extend(found.into_iter().map(|found| (topic.clone(), found)));
            logs.insert(topic, log);
        }
        let store = Self {
            disk,
            root,
            logs,
            bounds,
        };
        Ok((store, damage))
    }

    /// Topics that have records, with the number below which they may have been sent.
    pub(crate) fn waiting(&self) -> Vec<(TopicName, u64)> {
        let waiting = self.logs.values();
        let waiting = waiting.filter(|log| log.end() > log.position().done);
        let waiting = waiting.map(|log| (log.topic().clone(), log.position().unsent));
        waiting.collect()
    }

    /// Bytes on disk, without what was set aside.
    pub(crate) fn bytes(&self) -> u64 {
        self.logs.values().map(TopicLog::bytes).sum()
    }

    /// Records that are not yet done with.
    pub(crate) fn records(&self) -> u64 {
        let each = self.logs.values();
        each.map(|log| log.end() - log.position().done).sum()
    }

    /// Writes as many of the records as there is room for, and lets them outlast a loss of power if `sync` says so.
    pub(crate) fn append(&mut self, topic: &TopicName, records: &[Kept], sync: bool) -> Stored {
        let used = self.bytes();
        let mut room = self.bounds.all.saturating_sub(used);
        let mut full = None;
        let fits = records.iter().take_while(|record| {
            let size = size(record);
            let left = room.checked_sub(size as u64);
            room = left.unwrap_or(0);
            if left.is_none() {
                full = Some(Error::SpillFull {
                    size,
                    used,
                    limit: self.bounds.all,
                });
            }
            left.is_some()
        });
        let fits = fits.count();
        let records = records.get(..fits).unwrap_or_default();
        if records.is_empty() {
            return (0, full);
        }
        let segment = self.bounds.segment;
        let log = match self.logs.get_mut(topic) {
            Some(log) => log,
            None => {
                let folder = format!("{TOPICS}/{topic}");
                match TopicLog::open(&mut *self.disk, topic.clone(), folder, segment) {
                    Ok((log, _)) => self.logs.entry(topic.clone()).or_insert(log),
                    Err(error) => return (0, Some(told(&self.root, "opening", topic, error))),
                }
            }
        };
        match log.append(&mut *self.disk, records, sync) {
            Ok(()) => (fits, full),
            Err(error) => (0, Some(told(&self.root, "writing", topic, error))),
        }
    }

    /// Lets all that was written outlast a loss of power.
    pub(crate) fn sync(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        for log in self.logs.values_mut() {
            if let Err(error) = log.sync(&mut *self.disk) {
                outcome = Err(told(&self.root, "syncing", log.topic(), error));
            }
        }
        outcome
    }

    /// Reads about so many bytes of a topic's records, behind what was read before, and notes that they will be sent:
    /// for certain, if `sync` says so.
    pub(crate) fn read(&mut self, topic: &str, most: usize, sync: bool) -> Result<Read> {
        let Some(log) = self.logs.get_mut(topic) else {
            return Ok(Read::default());
        };
        let next = log.next();
        let read = log.read(&mut *self.disk, most).and_then(|read| {
            log.sending(&mut *self.disk, read.end, sync)?;
            Ok(read)
        });
        read.map_err(|error| {
            // What was not handed out is read again, and nothing that was.
            log.rewind(next);
            told(&self.root, "reading", topic, error)
        })
    }

    /// Reads on with the record of that number.
    pub(crate) fn rewind(&mut self, topic: &str, number: u64) {
        if let Some(log) = self.logs.get_mut(topic) {
            log.rewind(number);
        }
    }

    /// Notes that a topic's records below that number are done with.
    pub(crate) fn done(&mut self, topic: &str, number: u64) -> Result<()> {
        let Some(log) = self.logs.get_mut(topic) else {
            return Ok(());
        };
        let noted = log.done(&mut *self.disk, number);
        noted.map_err(|error| told(&self.root, "writing", topic, error))
    }

    /// Notes that a topic's records from that number on were read and not sent.
    pub(crate) fn unsent(&mut self, topic: &str, number: u64) -> Result<()> {
        let Some(log) = self.logs.get_mut(topic) else {
            return Ok(());
        };
        let noted = log.unsent(&mut *self.disk, number);
        noted.map_err(|error| told(&self.root, "writing", topic, error))
    }

    /// Keeps damaged bytes; tells where.
    pub(crate) fn keep_damaged(&mut self, topic: &str, damage: &Damage) -> Result<PathBuf> {
        let name = format!("{:020}-{:08x}.damaged", damage.at, fastrand::u32(..));
        self.keep(topic, &name, |disk, file| {
            disk.write(file, 0, &damage.bytes)
        })
    }

    /// Keeps records that are not sent; tells where.
    pub(crate) fn keep_records(&mut self, topic: &str, records: &[Kept]) -> Result<PathBuf> {
        let segment = Segment {
            base: 0,
            nonce: fastrand::u32(..),
        };
        self.keep(topic, &segment.file_name(), |disk, file| {
            let bytes = segment::encode(topic, segment, segment.base, records);
            disk.write(file, 0, &bytes)
        })
    }

    fn keep(
        &mut self,
        topic: &str,
        name: &str,
        write: impl FnOnce(&mut dyn Disk, &str) -> io::Result<()>,
    ) -> Result<PathBuf> {
        let folder = format!("{SET_ASIDE}/{topic}");
        let file = format!("{folder}/{name}");
        let disk = &mut *self.disk;
        let kept = disk
            .make_folder(&folder)
            .and_then(|()| write(disk, &file))
            .and_then(|()| disk.sync(&file))
            .and_then(|()| disk.sync_folder(&folder));
        match kept {
            Ok(()) => Ok(self.root.join(file)),
            Err(error) => {
                // A part of it is no use, and takes room.
                let _ = disk.remove(&file);
                Err(told(&self.root, "writing", &file, error))
            }
        }
    }
}

/// No less than a record takes on disk.
pub(crate) fn size(record: &Record<'_>) -> usize {
    OVERHEAD + entry::bound(record)
}

pub(super) fn told(
    root: &std::path::Path,
    doing: &'static str,
    what: &str,
    error: io::Error,
) -> Error {
    Error::Spill {
        doing,
        path: root.join(what).display().to_string().into(),
        source: Arc::new(error),
    }
}
