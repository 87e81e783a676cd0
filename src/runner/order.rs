//! Which records wait for one another.

/// Which records' handlers go one after another, in the order of the log; all others go side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Those of one partition: as many handlers as partitions, at most.
    Partition,
    /// Those of one partition that have the same key. One without a key waits for nobody.
    #[default]
    Key,
    /// None.
    None,
}
