//! What is not sent: kept in a file of its own, and told.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

use crate::error::Error;

/// What was on disk and is not sent, told to [`SpillBuilder::on_set_aside`](crate::spill::SpillBuilder::on_set_aside).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SetAside {
    /// The topic.
    pub topic: Arc<str>,
    /// How many records; `None` where nothing tells, in the last bytes of a store whose process ended while it wrote:
    /// then nothing in them was told as spilled, unless it is the disk that damaged them.
    pub records: Option<u64>,
    /// Why they are not sent.
    pub reason: Reason,
    /// Where they, or the damaged bytes, are kept; `None` for bytes that the disk did not take. Records stay where they are
    /// until it does.
    pub file: Option<PathBuf>,
}

/// Why something that was on disk is not sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes are not what was written.
    Damaged {
        /// The file below the directory.
        file: Arc<str>,
        /// Where in it the damage begins.
        at: u64,
        /// How long it is.
        bytes: u64,
    },
    /// The record may have been written already, and a second copy is not accepted.
    PossiblyWritten,
    /// The cluster refuses the record itself, and will again.
    Refused(Error),
}

impl Reason {
    /// Whether records that are set aside for the one and the other go into one file.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::PossiblyWritten, Self::PossiblyWritten) => true,
            (Self::Refused(one), Self::Refused(other)) => one.to_string() == other.to_string(),
            _ => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { file, at, bytes } => {
                write!(f, "{bytes} bytes at {at} of {file} are damaged")
            }
            Self::PossiblyWritten => {
                f.write_str("it may be in the log already, and a second copy is not accepted")
            }
            Self::Refused(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// Who is told of what was set aside.
pub(crate) type Listener = dyn Fn(&SetAside) + Send + Sync;

/// Tells of what was set aside, and counts it.
#[derive(Clone, Default)]
pub(crate) struct Aside {
    pub(crate) listener: Option<Arc<Listener>>,
    records: Arc<AtomicU64>,
}

impl Aside {
    pub(crate) fn new(listener: Option<Arc<Listener>>) -> Self {
        Self {
            listener,
            ..Self::default()
        }
    }

    pub(crate) fn tell(&self, set_aside: SetAside) {
        let SetAside {
            topic,
            records,
            reason,
            file,
        } = &set_aside;
        warn!(%topic, ?records, %reason, ?file, "spilled records are set aside");
        self.records
            .fetch_add(records.unwrap_or_default(), Ordering::Relaxed);
        if let Some(listener) = &self.listener {
            // Whoever panics has been told: the thread that writes to disk goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| listener(&set_aside)));
        }
    }

    /// Records that were set aside.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_panics_is_called_again_and_costs_nothing_else() {
        let heard = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&heard);
        let aside = Aside::new(Some(Arc::new(move |set_aside: &SetAside| {
            counted.fetch_add(set_aside.records.unwrap_or_default(), Ordering::Relaxed);
            panic!("planted");
        })));
        for records in [2, 3] {
            aside.tell(SetAside {
                topic: "t".into(),
                records: Some(records),
                reason: Reason::PossiblyWritten,
                file: None,
            });
        }
        assert_eq!((aside.records(), heard.load(Ordering::Relaxed)), (5, 5));
    }
}
