//! The numbers that must not repeat, all from one seed, so that a run whose seed is given can be repeated.

use std::hash::{BuildHasher, RandomState};

use crate::wire::TopicId;

/// SplitMix64: small, fast, and good enough for ids.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that no other run has.
    pub(crate) fn entropy() -> u64 {
        // The keys of the standard library's hash maps are drawn by the system.
        RandomState::new().hash_one(std::process::id())
    }

    /// Where producer ids begin: those of one run are not met in another, as Kafka's are not after a restart.
    pub(crate) fn first_producer_id(&mut self) -> i64 {
        // Blocks of ten thousand, so many that two runs hardly share one, and few enough to count up from.
        (self.below(1 << 40) * 10_000) as i64
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, not including, `limit`; 0 if that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    /// A number from 0 up to, not including, 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Never the zero id, which means none.
    pub(crate) fn topic_id(&mut self) -> TopicId {
        let mut id = [0; 16];
        let (high, low) = id.split_at_mut(8);
        high.copy_from_slice(&(self.next() | 1).to_be_bytes());
        low.copy_from_slice(&self.next().to_be_bytes());
        id
    }

    /// The usual form of a member's id: a random UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0x0fff,
            0x8000 | (b >> 48) & 0x3fff,
            b & 0xffff_ffff_ffff
        )
    }

    /// 22 letters, digits, `-` and `_`, as Kafka's cluster ids are.
    pub(crate) fn base64_id(&mut self) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let letter = |n: u64| {
            LETTERS
                .get(n as usize)
                .map_or('A', |byte| char::from(*byte))
        };
        (0..22).map(|_| letter(self.below(64))).collect()
    }
}
