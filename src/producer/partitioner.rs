//! What an application implements to choose partitions itself.

use crate::record::Record;

/// Chooses the partition of each record that names none. Kafka: `partitioner.class`.
///
/// Called from every thread that sends, for each record: it must be quick and must not block. A panic
/// is caught and fails the one record.
pub trait Partitioner: Send + Sync + 'static {
    /// The partition, below `partitions`; `None` falls back to round robin.
    fn partition(&self, record: &Record<'_>, partitions: u32) -> Option<u32>;
}

impl<F> Partitioner for F
where
    F: Fn(&Record<'_>, u32) -> Option<u32> + Send + Sync + 'static,
{
    fn partition(&self, record: &Record<'_>, partitions: u32) -> Option<u32> {
        self(record, partitions)
    }
}
