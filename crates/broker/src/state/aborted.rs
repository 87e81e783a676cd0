//! The aborted transactions of a partition: what `read_committed` readers are told to leave out.

/// One that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    /// Of its first record.
    pub(crate) first: i64,
    /// Of its marker.
    pub(crate) marker: i64,
}

/// All of a log, in the order of their markers.
#[derive(Debug, Default)]
pub(super) struct AbortedIndex(Vec<Aborted>);

impl AbortedIndex {
    pub(super) fn push(&mut self, aborted: Aborted) {
        self.0.push(aborted);
    }

    /// Those that have records from `from` on and before `to`.
    pub(super) fn between(&self, from: i64, to: i64) -> Vec<Aborted> {
        let later = self.0.partition_point(|one| one.marker < from);
        let later = self.0.get(later..).unwrap_or_default();
        let met = later.iter().filter(|one| one.first < to);
        met.copied().collect()
    }

    /// Those whose marker is gone matter to nobody.
    pub(super) fn forget_before(&mut self, start: i64) {
        let gone = self.0.partition_point(|one| one.marker < start);
        self.0.drain(..gone);
    }
}
