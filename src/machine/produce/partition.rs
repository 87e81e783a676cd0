//! Which partition a record goes to: Java's hash of the key, or the next one for records without.

/// Murmur2 with Java's seed: the hash that every Java client partitions by.
pub(crate) fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Java's `int` arithmetic; a key longer than 4 GiB cannot be sent.
    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (i, byte) in tail.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * i);
    }
    if !tail.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key, as Java's default partitioner chooses it; `partitions` is above 0.
pub(crate) fn of_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// The partition after `current` for records without a key (KIP-480, KIP-794).
///
/// `backlog` tells each partition's sealed batches, `None` where it has no leader. The next one in
/// turn among those with the shortest backlog is taken, so that load is even over partitions of equal
/// speed and moves away from slow ones; when no partition has a leader, simply the next one.
pub(crate) fn next_sticky(
    current: u32,
    partitions: u32,
    backlog: impl Fn(u32) -> Option<u32>,
) -> u32 {
    let partitions = partitions.max(1);
    let turn = |step: u32| (current.wrapping_add(step)) % partitions;
    let mut best: Option<(u32, u32)> = None;
    for step in 1..=partitions {
        let candidate = turn(step);
        if let Some(waiting) = backlog(candidate) {
            if best.is_none_or(|(_, least)| waiting < least) {
                best = Some((candidate, waiting));
            }
            if waiting == 0 {
                break;
            }
        }
    }
    best.map_or_else(|| turn(1), |(candidate, _)| candidate)
}

/// The partition whose turn it is among those that have a leader; simply the next one when none has.
///
/// `turn` takes a turn each time it is called: the turns of partitions without a leader are passed over, not given to
/// their neighbours.
pub(crate) fn round_robin(
    mut turn: impl FnMut() -> u32,
    partitions: u32,
    has_leader: impl Fn(u32) -> bool,
) -> u32 {
    let partitions = partitions.max(1);
    let mut next = || turn() % partitions;
    let first = next();
    if has_leader(first) {
        return first;
    }
    let mut others = (1..partitions).map(|_| next());
    let led = others.find(|other| has_leader(*other));
    // A turn more than there are partitions: another one is first the next time.
    led.unwrap_or_else(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_hashes_of_javas_test() {
        let vectors: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (
                b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key) as i32, hash, "{key:?}");
        }
    }

    #[test]
    fn sticky_takes_each_partition_in_turn_when_none_is_behind() {
        let mut current = 5;
        let mut taken = Vec::new();
        for _ in 0..6 {
            current = next_sticky(current, 6, |_| Some(0));
            taken.push(current);
        }
        assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn sticky_avoids_partitions_that_are_behind_or_without_a_leader() {
        let backlog = [Some(3), Some(1), None, Some(2)];
        for current in 0..4 {
            assert_eq!(next_sticky(current, 4, |p| backlog[p as usize]), 1);
        }
    }

    #[test]
    fn round_robin_passes_over_partitions_without_a_leader_and_stays_even() {
        let mut turn = 4..;
        let mut taken = [0; 5];
        for _ in 0..90 {
            let next = || turn.next().unwrap();
            let chosen = round_robin(next, 5, |partition| partition != 1 && partition != 2);
            taken[chosen as usize] += 1;
        }
        assert_eq!(taken, [30, 0, 0, 30, 30]);
    }

    #[test]
    fn round_robin_goes_on_when_no_partition_has_a_leader() {
        let mut turn = 0..;
        let mut taken = [0; 3];
        for _ in 0..30 {
            taken[round_robin(|| turn.next().unwrap(), 3, |_| false) as usize] += 1;
        }
        assert_eq!(taken, [10, 10, 10]);
    }

    #[test]
    fn sticky_still_moves_when_no_partition_has_a_leader() {
        assert_eq!(next_sticky(0, 3, |_| None), 1);
        assert_eq!(next_sticky(0, 1, |_| None), 0);
    }
}
