//! The transactions of one producer, one after the other, and which call to their coordinator comes next.
//!
//! ```text
//!                  answered               begin                       commit
//! Initializing ─────────────▶ Ready ──────────────▶ InTransaction ──────────────▶ Committing
//!      ▲                      ▲   ▲                  │        │                    │     │
//!      │ a sequence was       │   │       abort,     │        │ a record or        │     │ a record or call failed, before
//!      │ spent for nothing    │   │       dropped    │        │ call failed        │     │ EndTxn was sent
//!      │                      │   │                  │        ▼                    │     ▼
//!      │                      │   │                  │   AbortableError ────▶ Aborting ◀─┘
//!      │                      │   └──────────────────┼──── EndTxn answered ──────────┼────┘
//!      │                      │                      └──────────────────────────────▶┤
//!      └──────────────────────┴───────── EndTxn answered, or nothing to end ─────────┘
//!
//!      any ─── fenced, or refused for good ───▶ Fatal
//! ```
//!
//! - One call is on the way at a time. One whose answer is lost may have been done: it is made again, exactly as it was,
//!   until it is answered, before any other. So an EndTxn that may have committed is followed by nothing but itself, and a
//!   transaction that the coordinator may know of is ended. Of a transaction that has failed, partitions and groups that are
//!   refused for now are left: it is ended with whatever is part of it.
//! - EndTxn is asked for only when the fate of every record is known.
//! - A transaction of which the coordinator can know nothing ends without a call.
//! - The first protocol enrolls each partition and group by a call of its own before anything is written there; the second
//!   (KIP-890) by what is written, and every end bumps the epoch. Which one is spoken changes between transactions only.

mod manager;
mod requests;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use manager::{Began, Enrolment, Next, Told, TransactionManager};
pub(crate) use requests::{GroupOffsets, Outcome, Protocol, TxnRequest};
pub(crate) use verdict::{TxnCall, TxnVerdict, verdict};
