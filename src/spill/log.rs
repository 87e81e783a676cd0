//! One topic's records on disk: appended at one end, read and done with at the other.
//!
//! A segment ends where the next one begins: what stands in it behind that was never told as safe. After a restart, and
//! after a write that failed, a new one is begun, so that nothing is ever appended behind bytes that may be damaged.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use super::disk::Disk;
use super::entry::{self, Kept};
use super::position::{self, Places, Position};
use super::segment::{self, Segment, Stored};
use crate::record::Record;
use crate::types::TopicName;

/// Where the position is, in the topic's folder.
const POSITION: &str = "position";

/// Bytes that are no records any more, and what that cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The file that they were found in, below the store's directory.
    pub(crate) file: String,
    pub(crate) at: u64,
    pub(crate) bytes: Bytes,
    /// Records that had been told as safe and are lost; `None` where nothing tells how many: the last write may just not
    /// have come to its end.
    pub(crate) records: Option<u64>,
}

/// Records that were read, and what was found damaged before them.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(super) batches: Vec<Stored>,
    /// Records below that number are done with: they are not wanted, though their batch has them.
    pub(crate) from: u64,
    /// The number behind the last of them.
    pub(crate) end: u64,
    pub(crate) damage: Vec<Damage>,
}

/// A segment on disk.
#[derive(Clone, Copy, Debug)]
struct File {
    segment: Segment,
    len: u64,
}

/// Where reading goes on.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    number: u64,
    /// The base of the segment that is being read, and how far it is.
    base: u64,
    at: u64,
}

/// One topic's records.
pub(crate) struct TopicLog {
    topic: TopicName,
    folder: String,
    files: VecDeque<File>,
    /// Whether records may be appended to the last file.
    open: bool,
    /// It has records that do not outlast a loss of power yet.
    unsynced: bool,
    /// The next record's number.
    end: u64,
    places: Places,
    cursor: Cursor,
    segment_bytes: u64,
}

/// Where a log's end was.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: u64,
    len: u64,
    base: Option<u64>,
    unsynced: bool,
}

impl TopicLog {
    /// Opens the log in the topic's folder; what its last write left unfinished is cut off and told.
    pub(crate) fn open(
        disk: &mut dyn Disk,
        topic: TopicName,
        folder: String,
        segment_bytes: u64,
    ) -> io::Result<(Self, Vec<Damage>)> {
        let files = disk.files(&folder)?;
        let has_position = files.iter().any(|(name, _)| name == POSITION);
        let mut segments: Vec<_> = files
            .into_iter()
            .filter_map(|(name, len)| {
                let segment = Segment::parse(&name)?;
                Some(File { segment, len })
            })
            .collect();
        // What was begun twice was left empty the first time.
        segments.sort_by_key(|file| (file.segment.base, std::cmp::Reverse(file.len)));
        segments.dedup_by_key(|file| file.segment.base);
        let mut log = Self {
            topic,
            folder,
            files: segments.into(),
            open: false,
            unsynced: false,
            end: 0,
            places: Places::default(),
            cursor: Cursor::default(),
            segment_bytes,
        };
        let mut damage = Vec::new();
        if has_position {
            damage.extend(log.read_position(disk)?);
        }
        damage.extend(log.find_end(disk)?);
        let base = log.files.front().map_or(log.end, |file| file.segment.base);
        let done = log.places.position.done.clamp(base, log.end.max(base));
        let unsent = log.places.position.unsent.clamp(done, log.end.max(done));
        log.places.position = Position { done, unsent };
        log.cursor.number = done;
        Ok((log, damage))
    }

    fn read_position(&mut self, disk: &mut dyn Disk) -> io::Result<Option<Damage>> {
        let file = format!("{}/{POSITION}", self.folder);
        let bytes = disk.read(&file, 0, position::FILE_LEN)?;
        if let Some(places) = Places::read(&bytes) {
            self.places = places;
            return Ok(None);
        }
        // A file that was only just made says nothing yet; without a segment there is nothing to say.
        let is_new = bytes.iter().all(|byte| *byte == 0) || self.files.is_empty();
        if !is_new {
            // All may have been sent.
            self.places.position.unsent = u64::MAX;
        }
        Ok((!is_new).then(|| Damage {
            file,
            at: 0,
            bytes: bytes.into(),
            records: Some(0),
        }))
    }

    /// Finds the end of the last segment's records, and cuts off what is behind it.
    fn find_end(&mut self, disk: &mut dyn Disk) -> io::Result<Option<Damage>> {
        self.end = self.places.position.done;
        let Some(file) = self.files.back().copied() else {
            return Ok(None);
        };
        self.end = self.end.max(file.segment.base);
        let name = self.path(file.segment);
        let mark = file.segment.mark(&self.topic);
        let whole = usize::try_from(file.len).unwrap_or(usize::MAX);
        let bytes = Bytes::from(disk.read(&name, 0, whole)?);
        let (mut at, mut last) = (0, 0);
        // Damage in the middle is found again, and told, when the records behind it are read.
        loop {
            let rest = bytes.slice(at..);
            if let Some(stored) = segment::first(&rest, mark) {
                self.end = self.end.max(stored.end);
                at += stored.size;
                last = at;
            } else if let Some((behind, _)) = segment::find(&rest, mark, self.end) {
                at += behind;
            } else {
                break;
            }
        }
        let tail = bytes.slice(last..);
        if tail.is_empty() {
            return Ok(None);
        }
        disk.cut(&name, last as u64)?;
        if let Some(file) = self.files.back_mut() {
            file.len = last as u64;
        }
        Ok(Some(Damage {
            file: name,
            at: last as u64,
            bytes: tail,
            records: None,
        }))
    }

    fn path(&self, segment: Segment) -> String {
        format!("{}/{}", self.folder, segment.file_name())
    }

    pub(crate) fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// The next record's number.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn position(&self) -> Position {
        self.places.position
    }

    /// The end, to come back to.
    fn mark(&self) -> Mark {
        let last = self.files.back().filter(|_| self.open);
        Mark {
            end: self.end,
            len: last.map_or(0, |file| file.len),
            base: last.map(|file| file.segment.base),
            unsynced: self.unsynced,
        }
    }

    /// Writes records, and lets them outlast a loss of power if `sync` says so; after an error the log is as it was.
    pub(crate) fn append(
        &mut self,
        disk: &mut dyn Disk,
        records: &[Kept],
        sync: bool,
    ) -> io::Result<()> {
        let before = self.mark();
        let mut appended = self.try_append(disk, records);
        if appended.is_ok() && sync {
            appended = self.sync(disk);
        }
        if appended.is_err() {
            self.undo(disk, before);
        }
        appended
    }

    fn try_append(&mut self, disk: &mut dyn Disk, records: &[Kept]) -> io::Result<()> {
        let is_full = |file: &File| file.len >= self.segment_bytes;
        if !self.open || self.files.back().is_none_or(is_full) {
            self.sync(disk)?;
            self.begin_segment(disk)?;
        }
        let Some(file) = self.files.back().copied() else {
            return Ok(());
        };
        let bytes = segment::encode(&self.topic, file.segment, self.end, records);
        self.unsynced = true;
        disk.write(&self.path(file.segment), file.len, &bytes)?;
        self.end += records.len() as u64;
        if let Some(file) = self.files.back_mut() {
            file.len += bytes.len() as u64;
        }
        Ok(())
    }

    fn begin_segment(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        if self.files.is_empty() {
            disk.make_folder(&self.folder)?;
        }
        let segment = Segment {
            base: self.end,
            nonce: fastrand::u32(..),
        };
        // What was written there and not told as safe.
        while let Some(file) = self.files.back().copied()
            && file.segment.base == segment.base
        {
            disk.remove(&self.path(file.segment))?;
            self.files.pop_back();
        }
        disk.write(&self.path(segment), 0, &[])?;
        self.files.push_back(File { segment, len: 0 });
        self.open = true;
        disk.sync_folder(&self.folder)
    }

    /// Returns when all that was written outlasts a loss of power.
    pub(crate) fn sync(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        if let Some(file) = self.files.back().filter(|_| self.unsynced) {
            disk.sync(&self.path(file.segment))?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// Takes back what was written since, which may be on disk all the same: nothing is appended behind it.
    fn undo(&mut self, disk: &mut dyn Disk, mark: Mark) {
        self.end = mark.end;
        self.open = false;
        // What was told before is synced all the same when its time comes.
        self.unsynced = mark.unsynced;
        let Some(last) = self.files.back_mut() else {
            return;
        };
        // Where cutting fails, the next segment's beginning says the same.
        if mark.base == Some(last.segment.base) {
            last.len = mark.len;
            let (segment, len) = (last.segment, last.len);
            let _ = disk.cut(&self.path(segment), len);
        } else if last.segment.base == mark.end {
            let segment = last.segment;
            if disk.remove(&self.path(segment)).is_ok() {
                self.files.pop_back();
            } else if let Some(last) = self.files.back_mut() {
                last.len = 0;
            }
        }
    }

    /// The record that is read next.
    pub(crate) fn next(&self) -> u64 {
        self.cursor.number
    }

    /// Reads on with the record of that number.
    pub(crate) fn rewind(&mut self, number: u64) {
        self.cursor = Cursor {
            number: number.max(self.places.position.done),
            ..Cursor::default()
        };
    }

    /// Reads about so many bytes of records, none where all are read.
    pub(crate) fn read(&mut self, disk: &mut dyn Disk, most: usize) -> io::Result<Read> {
        let mut read = Read {
            from: self.cursor.number,
            end: self.cursor.number,
            ..Read::default()
        };
        while read.batches.is_empty() && self.cursor.number < self.end {
            let step = self.read_some(disk, most, &mut read);
            read.end = self.cursor.number;
            step?;
        }
        Ok(read)
    }

    /// One step of it: some batches, or past some damage, or to the next segment.
    fn read_some(&mut self, disk: &mut dyn Disk, most: usize, read: &mut Read) -> io::Result<()> {
        let behind = self
            .files
            .partition_point(|file| file.segment.base <= self.cursor.number);
        let end = self
            .files
            .get(behind)
            .map_or(self.end, |next| next.segment.base);
        let Some(file) = behind
            .checked_sub(1)
            .and_then(|at| self.files.get(at))
            .copied()
        else {
            // Records that have gone with their file.
            self.cursor.number = end;
            return Ok(());
        };
        let (segment, name) = (file.segment, self.path(file.segment));
        if self.cursor.base != segment.base || self.cursor.at > file.len {
            self.cursor.base = segment.base;
            self.cursor.at = 0;
        }
        let left = usize::try_from(file.len - self.cursor.at).unwrap_or(usize::MAX);
        let mut bytes = Bytes::from(disk.read(&name, self.cursor.at, most.min(left))?);
        let wanted = segment::len(&bytes);
        if wanted > bytes.len() && wanted <= left {
            bytes = disk.read(&name, self.cursor.at, wanted)?.into();
        }
        let mark = segment.mark(&self.topic);
        let mut taken = 0;
        while let Some(stored) = segment::first(&bytes.slice(taken..), mark)
            && stored.first <= self.cursor.number
            && stored.end <= end
        {
            taken += stored.size;
            if stored.end > self.cursor.number {
                self.cursor.number = stored.end;
                read.batches.push(stored);
            }
        }
        self.cursor.at += taken as u64;
        if taken > 0 {
            return Ok(());
        }
        let rest = Bytes::from(disk.read(&name, self.cursor.at, left)?);
        let number = self.cursor.number;
        let (bytes, next) = match segment::find(&rest, mark, number) {
            Some((at, stored)) if stored.end <= end => (rest.slice(..at), stored.first),
            _ => (rest, end),
        };
        let damage = Damage {
            file: name,
            at: self.cursor.at,
            records: Some(next - number),
            bytes,
        };
        self.cursor.at += damage.bytes.len() as u64;
        self.cursor.number = next;
        // Else the bytes are of a write that failed, and nothing in them was told as safe.
        if next > number {
            read.damage.push(damage);
        }
        Ok(())
    }

    /// Notes that records below that number are done with, and removes what holds no others.
    pub(crate) fn done(&mut self, disk: &mut dyn Disk, number: u64) -> io::Result<()> {
        let position = self.position();
        let done = number.clamp(position.done, self.end);
        self.set(
            disk,
            Position {
                done,
                unsent: position.unsent.max(done),
            },
            false,
        )?;
        loop {
            let next = self.files.get(1).map_or(self.end, |next| next.segment.base);
            let Some(file) = self.files.front().filter(|_| next <= done).copied() else {
                return Ok(());
            };
            disk.remove(&self.path(file.segment))?;
            self.files.pop_front();
            self.open &= !self.files.is_empty();
        }
    }

    /// Notes that records below that number are about to be sent.
    pub(crate) fn sending(
        &mut self,
        disk: &mut dyn Disk,
        number: u64,
        sync: bool,
    ) -> io::Result<()> {
        let position = self.position();
        if number <= position.unsent {
            return Ok(());
        }
        self.set(
            disk,
            Position {
                unsent: number,
                ..position
            },
            sync,
        )
    }

    /// Notes that records from that number on were not sent after all.
    pub(crate) fn unsent(&mut self, disk: &mut dyn Disk, number: u64) -> io::Result<()> {
        let position = self.position();
        let unsent = number.clamp(position.done, position.unsent);
        self.set(disk, Position { unsent, ..position }, false)
    }

    /// After an error the position is as it was, and the next one is written over the one that failed.
    fn set(&mut self, disk: &mut dyn Disk, position: Position, sync: bool) -> io::Result<()> {
        if position == self.places.position {
            return Ok(());
        }
        let file = format!("{}/{POSITION}", self.folder);
        let mut places = self.places;
        let (at, bytes) = places.write(position);
        disk.write(&file, at, &bytes)?;
        if self.places.is_new() {
            disk.sync_folder(&self.folder)?;
        }
        if sync {
            disk.sync(&file)?;
        }
        self.places = places;
        Ok(())
    }
}

impl Read {
    /// The records, in order, with their numbers; `None` for one that cannot be read after all.
    pub(crate) fn records<'a>(
        &'a self,
        topic: &'a str,
    ) -> impl Iterator<Item = (u64, Option<Record<'a>>)> {
        let each = self.batches.iter().flat_map(move |stored| {
            let mut records = stored.records.clone();
            (stored.first..stored.end).map(move |number| {
                let slot = records.next_slot().and_then(Result::ok);
                let read = |slot| entry::read(topic, &slot, stored.records.bytes());
                (number, slot.and_then(read))
            })
        });
        each.filter(|(number, _)| *number >= self.from)
    }
}
