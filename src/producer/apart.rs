//! Values that have a cache line of their own.

use std::ops::Deref;

/// Keeps what is written often off the cache lines of what every record reads.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
