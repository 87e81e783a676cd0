//! How large a topic's batches may be: less than `batch.size` once a broker has refused one as too large.

use std::time::Instant;

/// The size that batches of one topic are closed at, before their compression.
#[derive(Debug)]
pub(crate) struct Fit {
    /// `batch.size`.
    most: usize,
    size: usize,
    /// When a larger size may be tried again.
    again: Option<Instant>,
}

impl Fit {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            size: most,
            again: None,
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// After the refusal of a batch of several records that had `plain` bytes, and `wire` bytes as it was sent; `limit`
    /// is the topic's own where it is known. What is larger than the size that comes of it is split before it is sent.
    ///
    /// Without a limit it is half of what was refused: if that passes it stays so, if not its own refusal halves again.
    pub(crate) fn refused(
        &mut self,
        plain: usize,
        wire: usize,
        limit: Option<usize>,
        again: Instant,
    ) -> usize {
        let fitting = match limit {
            Some(limit) if limit < wire && plain == wire => limit,
            // Other records are compressed less well.
            Some(limit) if limit < wire => scaled(plain, limit, wire) / 10 * 9,
            _ => plain / 2,
        };
        self.size = self.size.min(fitting).max(1);
        self.again = Some(again);
        self.size
    }

    /// Twice as much as soon as it may be tried: the topic's limit may have been raised since.
    pub(crate) fn grow(&mut self, now: Instant, again: Instant) -> Option<usize> {
        self.again.filter(|again| *again <= now)?;
        self.size = self.size.saturating_mul(2).min(self.most);
        self.again = (self.size < self.most).then_some(again);
        Some(self.size)
    }
}

fn scaled(plain: usize, limit: usize, wire: usize) -> usize {
    let exact = plain as u128 * limit as u128 / wire.max(1) as u128;
    usize::try_from(exact).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const MOST: usize = 3 << 20;

    #[test]
    fn size_is_halved_until_it_passes_and_no_further() {
        let now = Instant::now();
        let mut fit = Fit::new(MOST);
        let mut refusals = 0;
        while fit.size() > 100_000 {
            let size = fit.size();
            fit.refused(size, size, None, now);
            refusals += 1;
        }
        assert_eq!((refusals, fit.size()), (5, MOST >> 5));
        // Those that were on the way meanwhile.
        assert_eq!(fit.refused(MOST, MOST, None, now), MOST >> 5);
    }

    #[test]
    fn known_limit_is_used_at_once_and_to_the_byte_without_compression() {
        let mut fit = Fit::new(MOST);
        let size = fit.refused(MOST, MOST, Some(100_000), Instant::now());
        assert_eq!(size, 100_000);
        let mut fit = Fit::new(MOST);
        let size = fit.refused(1_000_000, 200_000, Some(100_000), Instant::now());
        assert_eq!(size, 450_000);
    }

    #[test]
    fn limit_that_does_not_explain_the_refusal_is_not_believed() {
        let mut fit = Fit::new(MOST);
        assert_eq!(fit.refused(1000, 1000, Some(5000), Instant::now()), 500);
    }

    #[test]
    fn twice_as_much_is_tried_each_time_that_a_while_has_passed() {
        let mut now = Instant::now();
        let while_ = Duration::from_secs(300);
        let mut fit = Fit::new(1000);
        assert_eq!(fit.grow(now, now + while_), None);
        fit.refused(1000, 1000, Some(200), now + while_);
        assert_eq!(fit.grow(now, now + while_), None, "too early");
        for expected in [400, 800, 1000] {
            now += while_;
            assert_eq!(fit.grow(now, now + while_), Some(expected));
            assert_eq!(fit.grow(now, now + while_), None);
        }
        now += while_;
        assert_eq!(fit.grow(now, now + while_), None, "it is as large as ever");
    }

    proptest! {
        #[test]
        fn refusal_never_makes_batches_larger_nor_nothing(
            refusals in proptest::collection::vec((2usize..1 << 22, 2usize..1 << 22, proptest::option::of(0usize..1 << 22)), 1..20),
        ) {
            let mut fit = Fit::new(MOST);
            let mut before = MOST;
            for (plain, wire, limit) in refusals {
                let size = fit.refused(plain, wire, limit, Instant::now());
                prop_assert!(size <= before && size >= 1);
                prop_assert!(size < plain);
                before = size;
            }
        }
    }
}
