//! The records of a batch that is too large to be decompressed at once, some at a time.

use bytes::Bytes;

use super::compress::{Broken, Stream};
use super::header::{BatchHeader, Codec};
use super::records::{Records, Start};
use super::spare::{Output, Spares};
use crate::wire::Malformed;

/// So many bytes of records are handed on at a time, or one record that is larger.
const PART: usize = 1 << 20;

/// Why records cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Malformed(Malformed),
    /// They are good, but so many bytes must be in memory at once.
    TooLarge {
        size: usize,
        /// The one record that is so large, where it is known.
        offset: Option<i64>,
    },
}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Broken> for Unreadable {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Malformed(malformed) => Self::Malformed(malformed),
            Broken::TooLarge(size) => Self::TooLarge { size, offset: None },
        }
    }
}

/// A batch that is being decompressed.
pub(crate) struct Unpacking {
    header: BatchHeader,
    codec: Codec,
    stream: Stream,
    /// The beginning of a record whose rest is not decompressed yet.
    carried: Vec<u8>,
    /// Records still to come.
    left: usize,
    limit: usize,
    spares: Spares,
    failed: Option<Unreadable>,
    has_ended: bool,
}

impl std::fmt::Debug for Unpacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacking")
            .field("header", &self.header)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Unpacking {
    pub(super) fn new(
        header: &BatchHeader,
        codec: Codec,
        packed: Bytes,
        limit: usize,
        spares: &Spares,
    ) -> Option<Self> {
        // Places in what is handed on are of 32 bits.
        let limit = limit.min(1 << 30);
        Some(Self {
            header: *header,
            codec,
            stream: Stream::new(codec, packed, limit)?,
            carried: Vec::new(),
            left: usize::try_from(header.count).unwrap_or_default(),
            limit,
            spares: spares.clone(),
            failed: None,
            has_ended: false,
        })
    }

    /// The next records, those before `position` among them or not; `None` behind the last one.
    ///
    /// What can be read before an error is handed on before it.
    pub(crate) fn next(&mut self, position: i64) -> Option<Result<Records, Unreadable>> {
        if let Some(failed) = self.failed.take() {
            return Some(Err(self.ended_by(failed)));
        }
        if self.left == 0 {
            return self.end().map(Err);
        }
        let mut out = self.spares.take();
        out.push(&self.carried);
        self.carried.clear();
        let Found { count, len } = self.gather(&mut out, position);
        if count > 0 {
            self.carried
                .extend_from_slice(out.written().get(len..).unwrap_or_default());
            out.truncate(len);
            self.left -= count;
            return Some(
                match Records::part(&self.header, self.spares.lend(out), count) {
                    Ok(records) => Ok(records),
                    Err(malformed) => Err(self.ended_by(malformed.into())),
                },
            );
        }
        drop(self.spares.lend(out));
        self.left = 0;
        self.has_ended = true;
        self.failed.take().map(Err)
    }

    /// Nothing comes behind an error.
    fn ended_by(&mut self, failed: Unreadable) -> Unreadable {
        self.failed = None;
        self.carried.clear();
        self.left = 0;
        self.has_ended = true;
        failed
    }

    /// Reads on until there is a part to hand on; what fails is kept in `failed`.
    fn gather(&mut self, out: &mut Output, position: i64) -> Found {
        let mut found = Found { count: 0, len: 0 };
        loop {
            let ahead = found.look(out.written(), self.left);
            if found.count == self.left || found.len >= PART {
                return found;
            }
            match ahead {
                Ahead::More => {}
                Ahead::Bad(malformed) => {
                    self.failed = Some(self.located(&malformed).into());
                    return found;
                }
                Ahead::Record(size) if size > self.limit => {
                    // What is in front of it is handed on by itself.
                    if found.count > 0 {
                        return found;
                    }
                    if let Err(failed) = self.pass(out, size, position) {
                        self.failed = Some(failed);
                        return found;
                    }
                    continue;
                }
                Ahead::Record(_) => {}
            }
            match self.stream.read(out) {
                Ok(0) => {
                    self.failed = Some(self.cut());
                    return found;
                }
                Ok(_) => {}
                Err(broken) => {
                    self.failed = Some(self.in_codec(broken));
                    return found;
                }
            }
        }
    }

    /// Passes over a record that is larger than the limit, at the front of `out`, if it is not wanted.
    fn pass(&mut self, out: &mut Output, size: usize, position: i64) -> Result<(), Unreadable> {
        let offset = loop {
            match Start::of(out.written()) {
                Ok(Some(start)) => {
                    break self.header.base_offset.saturating_add(start.offset_delta);
                }
                Ok(None) => {}
                Err(malformed) => return Err(self.located(&malformed).into()),
            }
            if self
                .stream
                .read(out)
                .map_err(|broken| self.in_codec(broken))?
                == 0
            {
                return Err(self.cut());
            }
        };
        if offset >= position {
            let offset = Some(offset);
            return Err(Unreadable::TooLarge { size, offset });
        }
        let mut rest = size;
        while out.len() < rest {
            rest -= out.len();
            out.truncate(0);
            if self
                .stream
                .read(out)
                .map_err(|broken| self.in_codec(broken))?
                == 0
            {
                return Err(self.cut());
            }
        }
        out.skip(rest);
        self.left -= 1;
        Ok(())
    }

    /// Behind the last record nothing may follow.
    fn end(&mut self) -> Option<Unreadable> {
        if std::mem::replace(&mut self.has_ended, true) {
            return None;
        }
        self.stream.complete();
        let mut out = self.spares.take();
        let read = self.stream.read(&mut out);
        drop(self.spares.lend(out));
        match read {
            Ok(0) if self.carried.is_empty() => None,
            Ok(_) => Some(
                self.located(&Malformed::new("bytes behind its last record"))
                    .into(),
            ),
            Err(broken) => Some(self.in_codec(broken)),
        }
    }

    #[cold]
    fn cut(&self) -> Unreadable {
        self.located(&Malformed::new("its records end too early"))
            .into()
    }

    fn in_codec(&self, broken: Broken) -> Unreadable {
        match broken {
            Broken::Malformed(malformed) => {
                let text = format!("{:?}: {malformed}", self.codec);
                self.located(&Malformed::new(text)).into()
            }
            too_large => too_large.into(),
        }
    }

    fn located(&self, malformed: &Malformed) -> Malformed {
        let at = self.header.base_offset;
        Malformed::new(format!("batch at offset {at}: {malformed}"))
    }
}

/// Whole records at the front of what is decompressed.
struct Found {
    count: usize,
    /// Their bytes.
    len: usize,
}

/// What follows them.
enum Ahead {
    /// Too little to tell.
    More,
    /// The beginning of a record of so many bytes, its length's own included.
    Record(usize),
    Bad(Malformed),
}

impl Found {
    /// Counts further whole records, up to `most` in all.
    fn look(&mut self, bytes: &[u8], most: usize) -> Ahead {
        while self.count < most {
            let rest = bytes.get(self.len..).unwrap_or_default();
            match Start::size(rest) {
                Ok(Some(size)) if size <= rest.len() => {
                    self.len += size;
                    self.count += 1;
                }
                Ok(Some(size)) => return Ahead::Record(size),
                Ok(None) => return Ahead::More,
                Err(malformed) => return Ahead::Bad(malformed),
            }
        }
        Ahead::More
    }
}
