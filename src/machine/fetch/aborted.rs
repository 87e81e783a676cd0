//! Which batches of a fetched record set belong to aborted transactions (KIP-98).

use hashbrown::HashSet;

use crate::batch::{BatchHeader, ControlType};
use crate::wire::AbortedTransaction;

/// Follows the batches of one answer, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Aborted {
    /// Those that are not reached yet, the earliest last.
    ahead: Vec<AbortedTransaction>,
    /// Producers whose transaction here was aborted.
    open: HashSet<i64>,
}

impl Aborted {
    /// Brokers need not send them in order, and may send one twice.
    pub(super) fn new(mut transactions: Vec<AbortedTransaction>) -> Self {
        transactions.sort_unstable_by_key(|t| std::cmp::Reverse(t.first_offset));
        Self {
            ahead: transactions,
            open: HashSet::new(),
        }
    }

    /// Whether the next batch is to be left out; must see every batch that is not a control batch.
    pub(super) fn leaves_out(&mut self, batch: &BatchHeader) -> bool {
        self.reach(batch.last_offset());
        batch.is_transactional() && self.open.contains(&batch.producer_id)
    }

    /// A control batch: an abort marker ends its producer's aborted transaction.
    pub(super) fn control(&mut self, batch: &BatchHeader, control: ControlType) {
        self.reach(batch.last_offset());
        if control == ControlType::Abort {
            self.open.remove(&batch.producer_id);
        }
    }

    fn reach(&mut self, offset: i64) {
        while let Some(next) = self.ahead.pop_if(|next| next.first_offset <= offset) {
            self.open.insert(next.producer_id);
        }
    }
}
