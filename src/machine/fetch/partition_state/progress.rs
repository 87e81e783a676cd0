//! How far the application is in a partition.

use crate::machine::fetch::position::{NOWHERE, Position};

/// Behind which records were handed out, are done with, and are committed.
#[derive(Debug)]
pub(super) struct Progress {
    /// Behind the last record handed out.
    pub(super) handed: Position,
    /// Behind the last record that the application is done with.
    pub(super) done: Position,
    /// The last offsets that nothing which could be handed out was at: the first, and the position behind them.
    unseen: Option<(i64, Position)>,
    /// As committed last, by this consumer or whoever had the partition before.
    pub(super) committed: Option<i64>,
}

impl Progress {
    pub(super) const NONE: Self = Self {
        handed: NOWHERE,
        done: NOWHERE,
        unseen: None,
        committed: None,
    };

    pub(super) fn move_to(&mut self, position: Position) {
        (self.handed, self.done) = (position, position);
        self.unseen = None;
    }

    /// There is nothing to hand out before `position`, from where was handed out up to.
    pub(super) fn pass(&mut self, (offset, leader_epoch): (i64, i32)) {
        let from = self.handed.offset;
        if offset <= from {
            return;
        }
        self.handed = Position {
            offset,
            leader_epoch,
        };
        let first = match self.unseen {
            Some((first, end)) if end.offset == from => first,
            _ => from,
        };
        self.unseen = Some((first, self.handed));
    }

    /// The position behind a record and what follows it that nobody is handed, as far as that was seen; `offset` is
    /// the one behind the record itself.
    pub(super) fn behind(&self, offset: i64) -> Option<Position> {
        let (first, end) = self.unseen?;
        (first == offset).then_some(end)
    }

    /// Records before this were handed out.
    #[inline]
    pub(super) fn hand_out(&mut self, (offset, leader_epoch): (i64, i32)) {
        if offset > self.handed.offset {
            self.handed = Position {
                offset,
                leader_epoch,
            };
        }
    }
}
