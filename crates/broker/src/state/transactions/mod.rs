//! Transactions, by their transactional ids. One id's phases:
//!
//! ```text
//!             first partition          EndTxn            markers written
//!   Empty ─────────────────▶ Ongoing ─────────▶ Prepare… ─────────────────▶ Complete…
//!     ▲                         │  timeout, or      ▲                          │  │
//!     │                         │  InitProducerId   │                          │  └─▶ Ongoing
//!     │                         └─(PrepareAbort, ───┘                          │
//!     │                            epoch bumped)                               │
//!     └──────────────────────────── InitProducerId ────────────────────────────┘
//! ```

mod end;
mod init;
mod transaction;

use std::collections::BTreeMap;

pub(crate) use transaction::{Identity, Phase, Transaction, Verdict};

use crate::wire::Name;

/// More than any test or development needs.
const MOST_TRANSACTIONS: usize = 100_000;

/// All transactional ids that were ever used.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    by_id: BTreeMap<Name, Transaction>,
}

impl Transactions {
    pub(crate) fn get(&self, id: &str) -> Option<&Transaction> {
        self.by_id.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Transaction> {
        self.by_id.get_mut(id)
    }

    pub(super) fn insert(&mut self, id: Name, transaction: Transaction) {
        self.by_id.insert(id, transaction);
    }

    pub(super) fn has_room(&self) -> bool {
        self.by_id.len() < MOST_TRANSACTIONS
    }

    /// In the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Transaction)> {
        self.by_id.iter()
    }
}
