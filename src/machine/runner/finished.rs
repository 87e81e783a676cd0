//! What is finished above a committed offset, as text in the commit's metadata.
//!
//! ```text
//! ottla1: base64( topic id, 16 bytes | committed offset, varint | kind: 0 runs, 1 bits | ... )
//! runs    varints: offsets unfinished, finished, unfinished, ... from the committed offset on
//! bits    a bit an offset from the committed offset on, the lowest first; 1 is finished
//! ```
//!
//! Of the two kinds the one that reaches further within the limit is taken. What does not fit is left out: it is repeated
//! after a restart, and nothing waits for it. Other clients take the text for an application's note.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use crate::batch::{put_varint, take_varint};
use crate::types::TopicId;

/// How the text begins.
const MARK: &str = "ottla1:";
/// No broker sends longer strings.
const MOST_TEXT: usize = 32_767;
const RUNS: u8 = 0;
const BITS: u8 = 1;

/// Finished offsets above a committed one: ranges in order, none empty, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Of which topic.
    pub(crate) topic_id: TopicId,
    ranges: VecDeque<(i64, i64)>,
}

impl Finished {
    pub(crate) fn of(topic_id: TopicId) -> Self {
        Self {
            topic_id,
            ranges: VecDeque::new(),
        }
    }

    /// Adds offsets from `from` up to and without `to`, behind all that were added before.
    pub(crate) fn add(&mut self, from: i64, to: i64) {
        match self.ranges.back_mut() {
            Some((_, end)) if *end >= from => *end = to.max(*end),
            _ => self.ranges.push_back((from, to)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.ranges.iter().copied()
    }

    /// Whether this offset is among them; those below are forgotten.
    pub(crate) fn pass(&mut self, offset: i64) -> bool {
        while self.ranges.front().is_some_and(|(_, end)| *end <= offset) {
            self.ranges.pop_front();
        }
        self.ranges.front().is_some_and(|(from, _)| *from <= offset)
    }

    /// As text of at most `limit` bytes, for a commit of `base`; `None` where there is nothing to tell, or no room for
    /// any of it.
    pub(crate) fn encode(&self, base: i64, limit: usize) -> Option<String> {
        if self.ranges.is_empty() {
            return None;
        }
        // Four letters for three bytes, the last ones without padding.
        let room = limit.checked_sub(MARK.len())? * 3 / 4;
        let mut head = self.topic_id.0.to_vec();
        put_varint(&mut head, u64::try_from(base).ok()?);
        let room = room.checked_sub(head.len() + 1)?;
        let (runs, runs_to) = self.runs(base, room);
        let (bits, bits_to) = self.bits(base, room);
        if runs_to.max(bits_to) <= base {
            return None;
        }
        let takes_runs = runs_to > bits_to || runs_to == bits_to && runs.len() <= bits.len();
        let (kind, body) = if takes_runs {
            (RUNS, runs)
        } else {
            (BITS, bits)
        };
        head.push(kind);
        head.extend(body);
        Some(format!("{MARK}{}", BASE64.encode(head)))
    }

    /// As run lengths, and up to which offset they tell.
    fn runs(&self, base: i64, room: usize) -> (Vec<u8>, i64) {
        let mut bytes = Vec::new();
        let mut told = base;
        for (from, to) in self.ranges() {
            let before = bytes.len();
            put_varint(&mut bytes, from.abs_diff(told));
            put_varint(&mut bytes, to.abs_diff(from));
            if bytes.len() > room {
                bytes.truncate(before);
                break;
            }
            told = to;
        }
        (bytes, told)
    }

    /// As bits, and up to which offset they tell.
    fn bits(&self, base: i64, room: usize) -> (Vec<u8>, i64) {
        let most = i64::try_from(room.saturating_mul(8)).unwrap_or(i64::MAX);
        let end = base.saturating_add(most);
        let mut bytes = Vec::new();
        let mut told = base;
        for (from, to) in self.ranges() {
            for offset in from..to.min(end) {
                let bit = offset.abs_diff(base);
                let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
                if at >= bytes.len() {
                    bytes.resize(at + 1, 0);
                }
                if let Some(byte) = bytes.get_mut(at) {
                    *byte |= 1 << (bit % 8);
                }
                told = offset + 1;
            }
            if to > end {
                break;
            }
        }
        (bytes, told)
    }

    /// What such a text says of a commit of `base`; `None` for every other text.
    pub(crate) fn decode(text: &str, base: i64) -> Option<Self> {
        if text.len() > MOST_TEXT {
            return None;
        }
        let bytes = BASE64.decode(text.strip_prefix(MARK)?).ok()?;
        let (id, mut rest) = bytes.split_first_chunk::<16>()?;
        if i64::try_from(take_varint(&mut rest)?).ok()? != base {
            return None;
        }
        let (kind, rest) = rest.split_first()?;
        let mut finished = Self::of(TopicId(*id));
        match *kind {
            RUNS => finished.add_runs(base, rest)?,
            BITS => finished.add_bits(base, rest)?,
            _ => return None,
        }
        Some(finished)
    }

    fn add_runs(&mut self, base: i64, mut bytes: &[u8]) -> Option<()> {
        let mut at = base;
        while !bytes.is_empty() {
            let from = at.checked_add(i64::try_from(take_varint(&mut bytes)?).ok()?)?;
            let to = from.checked_add(i64::try_from(take_varint(&mut bytes)?).ok()?)?;
            if to == from {
                return None;
            }
            self.add(from, to);
            at = to;
        }
        Some(())
    }

    fn add_bits(&mut self, base: i64, bytes: &[u8]) -> Option<()> {
        let mut offset = base;
        for byte in bytes {
            for bit in 0..8 {
                let next = offset.checked_add(1)?;
                if byte & (1 << bit) != 0 {
                    self.add(offset, next);
                }
                offset = next;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 4096;

    fn of(ranges: &[(i64, i64)]) -> Finished {
        let mut finished = Finished::of(TopicId([7; 16]));
        for (from, to) in ranges {
            finished.add(*from, *to);
        }
        finished
    }

    #[test]
    fn what_is_written_is_read_back() {
        let many: Vec<_> = (0..1000).map(|n| (100 + n * 50, 101 + n * 50)).collect();
        let tables: [&[(i64, i64)]; 5] = [
            &[(101, 102)],
            &[(105, 50_000)],
            &[(101, 103), (104, 105), (900, 901)],
            &[(1_000_000_000, 2_000_000_000)],
            &many,
        ];
        for ranges in tables {
            let finished = of(ranges);
            let text = finished.encode(100, LIMIT).unwrap();
            assert!(text.len() <= LIMIT, "{}", text.len());
            assert_eq!(Finished::decode(&text, 100).unwrap(), finished);
            assert_eq!(Finished::decode(&text, 101), None, "of another offset");
        }
        assert_eq!(of(&[]).encode(100, LIMIT), None);
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_its_end() {
        // Every other offset: 60 kB as bits.
        let ranges: Vec<_> = (0..240_000).map(|n| (n * 2 + 1, n * 2 + 2)).collect();
        let all = of(&ranges);
        let text = all.encode(0, LIMIT).unwrap();
        assert!((LIMIT - 4..=LIMIT).contains(&text.len()));
        let told = Finished::decode(&text, 0).unwrap();
        let told: Vec<_> = told.ranges().collect();
        assert!(told.len() > 12_000, "{}", told.len());
        assert_eq!(told, ranges[..told.len()]);
        for limit in 0..40 {
            let text = all.encode(0, limit);
            assert!(text.is_none_or(|text| text.len() <= limit));
        }
    }

    #[test]
    fn offsets_are_passed_in_order() {
        let mut finished = of(&[(3, 5), (7, 8)]);
        let passed: Vec<_> = (0..10).filter(|n| finished.pass(*n)).collect();
        assert_eq!(passed, [3, 4, 7]);
        assert!(finished.is_empty());
    }

    #[test]
    fn another_clients_text_says_nothing() {
        let good = of(&[(5, 9)]).encode(1, LIMIT).unwrap();
        for text in [
            "",
            "x",
            "ottla1:",
            "ottla1:!!",
            "ottla1:AAAA",
            "ottla2:AAAA",
        ] {
            assert_eq!(Finished::decode(text, 1), None, "{text}");
        }
        for cut in 0..good.len() {
            if let Some(found) = Finished::decode(&good[..cut], 1) {
                assert!(found.is_empty(), "{cut}");
            }
        }
        let long = format!("{MARK}{}", "A".repeat(MOST_TEXT));
        assert_eq!(Finished::decode(&long, 0), None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_no_more_than_no_map(bytes in prop::collection::vec(any::<u8>(), 0..200), base: i64) {
            let text = format!("{MARK}{}", BASE64.encode(&bytes));
            Finished::decode(&text, base);
            let mut like = vec![0; 16];
            put_varint(&mut like, base as u64);
            like.extend(bytes);
            let text = format!("{MARK}{}", BASE64.encode(&like));
            if let Some(found) = Finished::decode(&text, base) {
                prop_assert!(found.ranges().all(|(from, to)| base <= from && from < to));
            }
        }

        #[test]
        fn whatever_is_finished_is_told_up_to_the_limit(
            steps in prop::collection::vec((1..200i64, 1..200i64), 1..300), base in 0..1_000_000i64, limit in 0..LIMIT,
        ) {
            let mut at = base;
            let mut finished = Finished::of(TopicId([1; 16]));
            for (gap, len) in steps {
                finished.add(at + gap, at + gap + len);
                at += gap + len;
            }
            let Some(text) = finished.encode(base, limit) else {
                return Ok(());
            };
            prop_assert!(text.len() <= limit);
            let told = Finished::decode(&text, base).unwrap();
            let mut all = finished.clone();
            for (from, to) in told.ranges() {
                for offset in from..to {
                    prop_assert!(all.pass(offset));
                }
            }
        }
    }
}
