//! The order of commits: one request at a time, and one that is tried again never takes a later one back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::commits::Commits;
use crate::types::TopicPartition;

/// Whose turn it is, and what was committed since the oldest commit began that is still being made.
#[derive(Default)]
pub(super) struct Turns {
    turn: tokio::sync::Mutex<()>,
    order: Mutex<Order>,
}

#[derive(Default)]
struct Order {
    /// The number of the commit that began last.
    last: u64,
    /// How many are being made, those that wait to be tried again too.
    under_way: usize,
    /// The number of the last commit of each partition, as far as one of those could take it back.
    made: HashMap<TopicPartition, u64>,
}

/// The right to send a commit: nobody else does meanwhile.
pub(in crate::consumer) struct CommitTurn<'a> {
    _guard: tokio::sync::MutexGuard<'a, ()>,
}

/// A commit that is being made; it began in its turn.
pub(super) struct UnderWay<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Turns {
    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn take(&self) -> CommitTurn<'_> {
        CommitTurn {
            _guard: self.turn.lock().await,
        }
    }

    /// A commit begins: it is later than all that began before.
    pub(super) fn begin(&self, _turn: &CommitTurn<'_>) -> UnderWay<'_> {
        let mut order = self.order();
        order.last += 1;
        order.under_way += 1;
        UnderWay {
            turns: self,
            number: order.last,
        }
    }
}

impl UnderWay<'_> {
    /// Leaves out what a later commit has made needless.
    pub(super) fn leave_out_overtaken(&self, commits: &mut Commits) {
        let order = self.turns.order();
        let number = |partition: &TopicPartition| order.made.get(partition).copied().unwrap_or(0);
        commits.retain(|(partition, _)| number(partition) <= self.number);
    }

    /// The partition's offset was committed.
    pub(super) fn made(&self, partition: &TopicPartition) {
        self.turns
            .order()
            .made
            .insert(partition.clone(), self.number);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut order = self.turns.order();
        order.under_way -= 1;
        if order.under_way == 0 {
            order.made.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::testing::partitions;
    use crate::types::OffsetAndMetadata;

    #[tokio::test]
    async fn what_a_later_commit_has_made_is_left_out_and_forgotten_when_no_commit_is_left() {
        let turns = Turns::default();
        let [p, q] = [0, 1].map(|n| partitions([n])[0].clone());
        let first = turns.begin(&turns.take().await);
        let second = turns.begin(&turns.take().await);
        second.made(&p);
        let left = |under_way: &UnderWay<'_>| {
            let offset = || OffsetAndMetadata::new(1).into();
            let mut commits = vec![(p.clone(), offset()), (q.clone(), offset())];
            under_way.leave_out_overtaken(&mut commits);
            commits.len()
        };
        assert_eq!((left(&first), left(&second)), (1, 2));
        drop(second);
        assert_eq!(left(&first), 1);
        drop(first);
        assert!(turns.order().made.is_empty());
    }
}
