//! What `flush` and `close` tell: how many records failed since the last one.

use crate::error::{Error, Result};

/// How many records failed since the last [`flush`](crate::Producer::flush) or [`close`](crate::Producer::close) of any
/// clone of the producer, however they were handed over.
///
/// For programs that do not look at each [`Delivery`](crate::Delivery): a batch job that ends well only if every record
/// arrived calls `producer.flush().await?.into_result()?`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Flushed {
    failed: u64,
    possibly_written: u64,
    first_error: Option<Error>,
}

impl Flushed {
    /// Records that were accepted and then failed; 0 when all arrived.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Those of them that may be in the log all the same, as [`Error::possibly_written`] tells of each.
    #[must_use]
    pub fn possibly_written(&self) -> u64 {
        self.possibly_written
    }

    /// The error of the record that failed first.
    #[must_use]
    pub fn first_error(&self) -> Option<&Error> {
        self.first_error.as_ref()
    }

    /// The first record's error as the outcome of the whole.
    ///
    /// # Errors
    /// [`Error::Delivery`] of the record that failed first, when any did.
    pub fn into_result(self) -> Result<()> {
        self.first_error.map_or(Ok(()), Err)
    }

    /// Counts records that failed with the same error.
    pub(crate) fn add(&mut self, records: u32, error: &Error) {
        self.failed += u64::from(records);
        if error.possibly_written() {
            self.possibly_written += u64::from(records);
        }
        self.first_error.get_or_insert_with(|| error.clone());
    }
}
