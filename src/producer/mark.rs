//! What a record's handle keeps beside its index, in one word: the record's time until it waits, then where its waker is.

/// Set once the time is with the batch's result, and the rest tells where the waker is.
const WITH_RESULT: u32 = 1 << 31;

/// No waker is registered.
pub(super) const UNREGISTERED: u32 = WITH_RESULT - 1;

/// The record's time as milliseconds after its batch's first, or a waker's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u32);

impl Mark {
    /// Of a record whose time is with the result, and whose handle does not wait.
    pub(super) const KEPT: Self = Self(WITH_RESULT | UNREGISTERED);

    /// Of a record with this time in a batch whose first has that one; `None` where it does not fit.
    #[inline]
    pub(super) fn between(first: i64, time: i64) -> Option<Self> {
        let after = u32::try_from(time.wrapping_sub(first)).ok()?;
        (after < WITH_RESULT).then_some(Self(after))
    }

    /// The record's time, where the batch's first has this one; `None` where the result tells.
    #[inline]
    pub(super) fn time(self, first: i64) -> Option<i64> {
        (self.0 & WITH_RESULT == 0).then(|| first.wrapping_add(i64::from(self.0)))
    }

    /// Of a handle whose waker is there; its record's time is with the result.
    pub(super) fn waits_at(place: u32) -> Self {
        Self(WITH_RESULT | place)
    }

    /// Where the waker is, or [`UNREGISTERED`].
    pub(super) fn waker_at(self) -> u32 {
        match self.0 & WITH_RESULT {
            0 => UNREGISTERED,
            _ => self.0 & UNREGISTERED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_a_time_or_a_place() {
        assert_eq!(Mark::between(5, 5), Some(Mark(0)));
        let mark = Mark::between(1_000, 1_007).unwrap();
        assert_eq!(mark.time(1_000), Some(1_007));
        assert_eq!(mark.waker_at(), UNREGISTERED);
        let mark = Mark::waits_at(3);
        assert_eq!((mark.time(1_000), mark.waker_at()), (None, 3));
        assert_eq!(Mark::waits_at(UNREGISTERED), Mark::KEPT);
    }

    #[test]
    fn a_time_that_is_marked_is_told_and_any_other_is_not_marked() {
        let last = i64::from(WITH_RESULT) - 1;
        for (first, time) in [
            (0, last),
            (-1, 0),
            (i64::MAX, i64::MIN),
            (i64::MIN, i64::MIN),
        ] {
            let told = Mark::between(first, time).and_then(|mark| mark.time(first));
            assert_eq!(told, Some(time), "{first}");
        }
        for (first, time) in [(5, 4), (0, last + 1), (-1, i64::MAX), (i64::MIN, i64::MAX)] {
            assert_eq!(Mark::between(first, time), None, "{first} {time}");
        }
    }
}
