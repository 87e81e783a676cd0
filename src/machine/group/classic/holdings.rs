//! The partitions that a member has, and what is being done with them: one thing at a time.
//!
//! ```text
//!            asked for                 lost meanwhile
//!   AtRest ────────────▶ Working(work) ───────────────▶ Lost(why, Some(work))
//!     ▲  ▲      done          │                           │ done
//!     │  └────────────────────┘                           ▼
//!     └──────────────────────────────────────────────── Lost(why, None): to be taken away at once
//! ```
//!
//! `owned` changes only when the work that was asked for is done.

use crate::machine::group::member::Loss;
use crate::types::TopicPartition;

#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// Sorted.
    owned: Vec<TopicPartition>,
    doing: Doing,
}

/// What is being done with the application's partitions.
#[derive(Debug)]
pub(super) enum Work {
    Revoke(Vec<TopicPartition>),
    Assign(Vec<TopicPartition>),
    Lose(Vec<TopicPartition>),
}

#[derive(Debug, Default)]
enum Doing {
    #[default]
    AtRest,
    Working(Work),
    /// All that is owned must be taken away without notice, behind what is being done.
    Lost(Loss, Option<Work>),
}

/// What is to be done before anything else.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Due {
    Nothing,
    /// To wait for what is being done.
    Wait,
    /// To take these away.
    Lose(Vec<TopicPartition>, Loss),
}

impl Holdings {
    pub(super) fn owned(&self) -> &[TopicPartition] {
        &self.owned
    }

    pub(super) fn are_at_rest(&self) -> bool {
        matches!(self.doing, Doing::AtRest)
    }

    #[cfg(debug_assertions)]
    pub(super) fn are_lost(&self) -> bool {
        matches!(self.doing, Doing::Lost(..))
    }

    pub(super) fn begin(&mut self, work: Work) {
        debug_assert!(self.are_at_rest(), "two works at a time: {work:?}");
        self.doing = Doing::Working(work);
    }

    /// All is lost; what is to be handed out no more while something else is being done.
    #[must_use]
    pub(super) fn lose(&mut self, why: Loss) -> Vec<TopicPartition> {
        let work = match std::mem::take(&mut self.doing) {
            Doing::AtRest => None,
            Doing::Working(work) => Some(work),
            Doing::Lost(_, work) => work,
        };
        let mut stopped = Vec::new();
        if let Some(work) = &work {
            stopped.clone_from(&self.owned);
            if let Work::Assign(coming) = work {
                stopped.extend_from_slice(coming);
            }
        }
        self.doing = Doing::Lost(why, work);
        stopped
    }

    pub(super) fn due(&mut self) -> Due {
        match &self.doing {
            Doing::AtRest => Due::Nothing,
            Doing::Working(_) | Doing::Lost(_, Some(_)) => Due::Wait,
            Doing::Lost(why, None) => {
                let (why, lost) = (*why, self.owned.clone());
                if lost.is_empty() {
                    self.doing = Doing::AtRest;
                    return Due::Nothing;
                }
                self.doing = Doing::Working(Work::Lose(lost.clone()));
                Due::Lose(lost, why)
            }
        }
    }

    /// The work is done.
    pub(super) fn done(&mut self) {
        let work = match std::mem::take(&mut self.doing) {
            Doing::AtRest => return,
            Doing::Working(work) => work,
            Doing::Lost(why, work) => {
                self.doing = Doing::Lost(why, None);
                let Some(work) = work else { return };
                work
            }
        };
        match work {
            Work::Assign(partitions) => {
                self.owned.extend(partitions);
                self.owned.sort_unstable();
            }
            Work::Revoke(partitions) | Work::Lose(partitions) => {
                self.owned.retain(|p| partitions.binary_search(p).is_err());
            }
        }
    }

    /// Whether nothing is left undone that could have been done at once.
    #[cfg(debug_assertions)]
    pub(super) fn check(&self) {
        assert!(!matches!(self.doing, Doing::Lost(_, None)), "{self:?}");
        assert!(self.owned.is_sorted(), "{self:?}");
    }
}

/// Those of `all`, without `those`, which are sorted.
pub(super) fn without(all: &[TopicPartition], those: &[TopicPartition]) -> Vec<TopicPartition> {
    let left = all.iter().filter(|p| those.binary_search(p).is_err());
    left.cloned().collect()
}
