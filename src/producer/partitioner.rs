//! What an application implements to choose partitions itself.

use crate::record::Record;

/// Chooses the partition of each record that names none. Kafka: `partitioner.class`.
///
/// Called from every thread that sends, for each record: it must be quick and must not block. A panic
/// is caught and fails the one record. It may look at all that is in the record:
///
/// ```no_run
/// # async fn example(client: ottla::Client) -> ottla::Result<()> {
/// use ottla::Record;
///
/// // One tenant's records stay together, whatever their keys; in turn where no tenant is named.
/// let by_tenant = |record: &Record<'_>, partitions: u32| {
///     let tenant = record.get_header("tenant")?.value()?;
///     Some(crc32c::crc32c(tenant) % partitions)
/// };
/// let producer = client.producer().partitioner(by_tenant).build()?;
/// # Ok(())
/// # }
/// ```
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
