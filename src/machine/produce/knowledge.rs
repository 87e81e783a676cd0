//! What is known of a batch: whether the broker has it.
//!
//! ```text
//!   NotWritten ── an attempt may have written it ─▶ MaybeWritten ◀── sent again, to another leader ── Doubted
//!       │                                             │    └──── found out of order at the head ────────▲ │
//!       │ a later one is acknowledged                 │ a later one is acknowledged                       │
//!       ▼                                             ▼                                                   │
//!   PassedOver ── an attempt may have written it ─▶ Written ◀──────── a later one is acknowledged ────────┘
//! ```
//!
//! Only a batch that has a sequence learns of later ones.

/// What is known of a batch that has not been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// It was never sent, or each attempt was certainly refused.
    NotWritten,
    /// The same, and a batch after it was acknowledged: by a broker that had forgotten the producer.
    PassedOver,
    /// An attempt's outcome is unknown: the broker may have it.
    MaybeWritten,
    /// The same, and in this term of its queue the leader found it out of order. As long as that term lasts it is not
    /// sent again, but waits for what the leader says of the batches after it.
    Doubted { term: u64 },
    /// An attempt may have written it, and a batch after it was acknowledged: so one did.
    Written,
}

impl Knowledge {
    /// Whether the broker may have it.
    pub(crate) fn may_be_written(self) -> bool {
        match self {
            Self::NotWritten | Self::PassedOver => false,
            Self::MaybeWritten | Self::Doubted { .. } | Self::Written => true,
        }
    }

    /// Whether it is doubted in this term.
    pub(crate) fn is_doubted_in(self, term: u64) -> bool {
        self == Self::Doubted { term }
    }

    /// After an attempt that may have written it.
    pub(crate) fn after_attempt(self) -> Self {
        match self {
            Self::NotWritten => Self::MaybeWritten,
            Self::PassedOver => Self::Written,
            Self::MaybeWritten | Self::Doubted { .. } | Self::Written => self,
        }
    }

    /// After the acknowledgement of a later batch.
    pub(crate) fn after_later_ack(self) -> Self {
        match self {
            Self::NotWritten | Self::PassedOver => Self::PassedOver,
            Self::MaybeWritten | Self::Doubted { .. } | Self::Written => Self::Written,
        }
    }

    /// Sent again: another leader is asked of what the last one had doubts about.
    pub(crate) fn after_sending(self) -> Self {
        match self {
            Self::Doubted { .. } => Self::MaybeWritten,
            known => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_takes_what_is_known_where_the_diagram_says() {
        use Knowledge as K;
        let doubted = K::Doubted { term: 3 };
        let table = [
            // Before, may be written, after an attempt, after a later acknowledgement, after it was sent.
            (
                K::NotWritten,
                false,
                K::MaybeWritten,
                K::PassedOver,
                K::NotWritten,
            ),
            (
                K::PassedOver,
                false,
                K::Written,
                K::PassedOver,
                K::PassedOver,
            ),
            (
                K::MaybeWritten,
                true,
                K::MaybeWritten,
                K::Written,
                K::MaybeWritten,
            ),
            (doubted, true, doubted, K::Written, K::MaybeWritten),
            (K::Written, true, K::Written, K::Written, K::Written),
        ];
        for (before, may_be, attempt, later, sent) in table {
            assert_eq!(before.may_be_written(), may_be, "{before:?}");
            assert_eq!(before.after_attempt(), attempt, "{before:?}");
            assert_eq!(before.after_later_ack(), later, "{before:?}");
            assert_eq!(before.after_sending(), sent, "{before:?}");
            assert_eq!(before.is_doubted_in(3), before == doubted);
            assert!(!before.is_doubted_in(2));
        }
    }
}
