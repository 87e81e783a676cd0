//! Sequence numbers: how they advance and where they wrap.

/// The sequence `count` records after `sequence`; after `i32::MAX` comes 0, as the broker counts.
pub(crate) fn advance(sequence: i32, count: u32) -> i32 {
    const SPAN: i64 = i32::MAX as i64 + 1;
    let next = (i64::from(sequence) + i64::from(count)) % SPAN;
    // Below the span, so it always fits.
    i32::try_from(next).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequence_wraps_to_zero_after_the_largest_i32() {
        assert_eq!(advance(i32::MAX, 1), 0);
        assert_eq!(advance(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(advance(i32::MAX - 4, 10), 5);
        assert_eq!(advance(0, 0), 0);
    }

    proptest! {
        #[test]
        fn sequences_of_two_batches_follow_each_other(start in 0..=i32::MAX, a in 1u32..100_000, b in 1u32..100_000) {
            prop_assert_eq!(advance(advance(start, a), b), advance(start, a + b));
            prop_assert!(advance(start, a) >= 0);
        }
    }
}
