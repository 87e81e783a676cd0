//! The batches of the open transaction whose fate may not be known yet.

use std::sync::Arc;

use super::batch_result::BatchResult;

/// How many are kept at least before those are left out whose fate is known.
const FEW: usize = 64;

/// The results of a transaction's batches; those that are known by now are left out now and then.
pub(crate) struct Unresolved {
    results: Vec<Arc<BatchResult>>,
    /// With so many, it is looked which of them are known.
    look_at: usize,
}

impl Unresolved {
    pub(crate) fn new() -> Self {
        Self {
            results: Vec::new(),
            look_at: FEW,
        }
    }

    pub(crate) fn add(&mut self, result: &Arc<BatchResult>) {
        if self.results.len() >= self.look_at {
            self.results.retain(|result| !result.is_resolved());
            self.look_at = FEW.max(self.results.len() * 2);
        }
        self.results.push(Arc::clone(result));
    }

    pub(crate) fn take(&mut self) -> Vec<Arc<BatchResult>> {
        std::mem::take(&mut self.results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicPartition;

    #[test]
    fn of_many_batches_only_those_are_kept_whose_fate_is_not_known() {
        let mut unresolved = Unresolved::new();
        let made = |_| Arc::new(BatchResult::new(TopicPartition::new("t", 0)));
        let open: Vec<_> = (0..3).map(made).collect();
        open.iter().for_each(|result| unresolved.add(result));
        for n in 0..10 * FEW {
            let result = made(n);
            unresolved.add(&result);
            result.ack(0, 1, 1, 0, -1);
            assert!(unresolved.results.len() <= 2 * FEW);
        }
        let left = unresolved.take();
        let kept = |result: &Arc<BatchResult>| left.iter().any(|own| Arc::ptr_eq(own, result));
        assert!(open.iter().all(kept));
        assert!(unresolved.take().is_empty());
    }
}
