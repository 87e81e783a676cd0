//! What an application chooses.

use std::time::Duration;

/// When a record counts as spilled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpillSync {
    /// When the disk has it for certain; each record is synced by itself. For few records, and a disk that damages what
    /// was synced before when it loses its power in the middle of a write.
    EachRecord,
    /// When the disk has it for certain; all records that wait are synced together.
    #[default]
    EachBatch,
    /// When the operating system has it, which outlasts the process; the disk has it for certain so much later. A loss of
    /// power in between costs the records of that time.
    Interval(Duration),
}

/// What a record does that finds `buffer.memory` used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FullBuffer {
    /// It waits, up to `max.block.ms`, as with every producer; then its topic's records are spilled.
    #[default]
    Wait,
    /// Its topic's records are spilled at once.
    Spill,
}
