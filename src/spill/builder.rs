//! Collects a spilling producer's settings and opens its directory.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::aside::{Aside, Listener, SetAside};
use super::disk::Directory;
use super::inner::{Parts, SpillInner};
use super::keeper::{Keeper, Settings};
use super::lock::Lock;
use super::producer::SpillingProducer;
use super::settings::{FullBuffer, SpillSync};
use super::store::{Bounds, Store};
use crate::config::ProducerSettings;
use crate::error::{Error, Result};
use crate::producer::{Producer, ProducerBuilder};

/// Collects a spilling producer's settings; [`open`](Self::open) checks them and starts it.
#[must_use]
pub struct SpillBuilder {
    producer: ProducerBuilder,
    directory: PathBuf,
    max_bytes: u64,
    segment_bytes: u64,
    sync: SpillSync,
    second_copies: bool,
    full_buffer: FullBuffer,
    listener: Option<Arc<Listener>>,
}

impl ProducerBuilder {
    /// A producer that keeps in this directory what it cannot deliver for want of a cluster.
    ///
    /// The directory is made where it is missing, and belongs to one producer at a time. Of the settings so far
    /// `delivery_timeout` says how long a record is tried to be delivered before it is spilled, and `retries` plays no
    /// part; `buffer_memory` is shared out between what goes to the cluster, copies of that, and what comes from disk. See
    /// [the module](crate::spill).
    pub fn spill(self, directory: impl Into<PathBuf>) -> SpillBuilder {
        SpillBuilder {
            producer: self,
            directory: directory.into(),
            max_bytes: 1 << 30,
            segment_bytes: 16 << 20,
            sync: SpillSync::default(),
            second_copies: false,
            full_buffer: FullBuffer::default(),
            listener: None,
        }
    }
}

impl SpillBuilder {
    /// Upper bound of what is on disk; a record that finds no room is given back with
    /// [`Error::SpillFull`](crate::Error::SpillFull).
    ///
    /// Default 1 GiB; at least `segment_bytes`. What is set aside is not counted.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The size at which a file is ended and the next begun; a file goes when all of its records are delivered.
    ///
    /// Default 16 MiB; at least 4096.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// When a record counts as spilled.
    ///
    /// Default [`SpillSync::EachBatch`].
    pub fn sync(mut self, sync: SpillSync) -> Self {
        self.sync = sync;
        self
    }

    /// Whether a record is sent again that may have been written already: one whose answer was never seen, or that a
    /// process before this one was about to send when it ended.
    ///
    /// Default false: such a record is told apart instead. One that was not on disk before is given back with an error that
    /// says [`possibly_written`](crate::Error::possibly_written), one that was is set aside. With `true` nothing is given
    /// up, and a consumer may see a record twice.
    pub fn accept_second_copies(mut self, accepted: bool) -> Self {
        self.second_copies = accepted;
        self
    }

    /// What a record does that finds `buffer.memory` used up.
    ///
    /// Default [`FullBuffer::Wait`].
    pub fn full_buffer(mut self, full: FullBuffer) -> Self {
        self.full_buffer = full;
        self
    }

    /// Is told of what was on disk and is not sent: damaged, refused by the cluster, or perhaps written already.
    ///
    /// It is called on the thread that writes to disk and must not wait. Default: nobody; all of it is in the log
    /// (tracing, as warnings) and in the metrics.
    pub fn on_set_aside(mut self, listener: impl Fn(&SetAside) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Checks the settings, opens the directory, and begins to send what is in it.
    ///
    /// Needs no cluster: see [`connect_lazily`](crate::ClientBuilder::connect_lazily).
    ///
    /// # Errors
    /// [`Error::Config`], naming what is out of bounds; [`Error::SpillLocked`] when the directory is in use;
    /// [`Error::Spill`] when it cannot be read or written. Damage is no error: it is set aside, and the rest goes on.
    pub async fn open(self) -> Result<SpillingProducer> {
        self.check()?;
        let runtime = Handle::try_current().map_err(|_| Error::Closed {
            what: "the tokio runtime (open inside one)",
        })?;
        let (cluster, settings) = self.producer.checked()?;
        let (own, replay) = shared_out(settings);
        let delivery_timeout = own.delivery_timeout;
        let bounds = Bounds {
            all: self.max_bytes,
            segment: self.segment_bytes,
        };
        let aside = Aside::new(self.listener);
        let directory = self.directory;
        let open = move || {
            let lock = Lock::take(&directory)?;
            let disk = Box::new(Directory::new(directory.clone()));
            let (store, damage) = Store::open(disk, directory, bounds)?;
            Ok((lock, store, damage))
        };
        let settings = Settings {
            sync: self.sync,
            notes_sending: !self.second_copies,
            aside: aside.clone(),
        };
        let (keeper, waiting) = Keeper::start(settings, open).await?;
        let inner = SpillInner::new(Parts {
            direct: Producer::start(cluster.clone(), patient(own))?,
            replay: Producer::start(cluster.clone(), patient(replay))?,
            cluster,
            keeper,
            aside,
            delivery_timeout,
            second_copies: self.second_copies,
            full_buffer: self.full_buffer,
            runtime,
        });
        Ok(SpillingProducer::start(Arc::new(inner), waiting))
    }

    fn check(&self) -> Result<()> {
        if self.segment_bytes < 4096 {
            let reason = format!("{} is less than 4096", self.segment_bytes);
            return Err(Error::config("segment_bytes", reason));
        }
        if self.max_bytes < self.segment_bytes {
            let reason = format!(
                "{} is less than segment_bytes = {}",
                self.max_bytes, self.segment_bytes
            );
            return Err(Error::config("max_bytes", reason));
        }
        Ok(())
    }
}

/// The settings of the producer of new records and of that of records from disk, which have `buffer.memory` together,
/// with as much left over as the first one's records take once more.
fn shared_out(settings: ProducerSettings) -> (ProducerSettings, ProducerSettings) {
    let all = settings.buffer_memory;
    let least = settings.max_request_size.max(settings.batch_size).min(all);
    let replayed = (all / 4).max(least);
    let own = (all.saturating_sub(replayed) / 2).max(least);
    let with = |buffer_memory| ProducerSettings {
        buffer_memory,
        ..settings.clone()
    };
    (with(own), with(replayed))
}

/// Never gives up by itself: how long is long enough is decided for a whole topic.
fn patient(settings: ProducerSettings) -> ProducerSettings {
    ProducerSettings {
        delivery_timeout: Duration::from_millis(i32::MAX.unsigned_abs().into()),
        retries: i32::MAX.unsigned_abs(),
        ..settings
    }
}

impl fmt::Debug for SpillBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillBuilder")
            .field("directory", &self.directory)
            .field("max_bytes", &self.max_bytes)
            .field("segment_bytes", &self.segment_bytes)
            .field("sync", &self.sync)
            .field("accept_second_copies", &self.second_copies)
            .field("full_buffer", &self.full_buffer)
            .finish_non_exhaustive()
    }
}
