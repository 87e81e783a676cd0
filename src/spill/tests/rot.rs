//! Bytes that were cut off, flipped or invented: what was told as spilled is read back in order, or told as damaged.

use proptest::prelude::*;

use super::super::memory::MemoryDisk;
use super::{append, numbers, open, read_all};

/// A store with records in three segments, and the segments' names.
fn filled() -> (MemoryDisk, Vec<String>) {
    let disk = MemoryDisk::default();
    for part in 0..3 {
        let (mut store, _) = open(&disk);
        append(&mut store, part * 6..(part + 1) * 6);
    }
    let names = disk.names();
    assert_eq!(names.len(), 3);
    (disk, names)
}

const RECORDS: u64 = 18;

#[test]
fn a_file_that_is_cut_at_any_byte_costs_what_is_behind_the_cut_and_tells_of_it() {
    let (disk, names) = filled();
    for (at, name) in names.iter().enumerate() {
        let whole = disk.bytes(name);
        for len in 0..whole.len() {
            let disk = disk.copied();
            disk.put(name, whole[..len].to_vec());
            let (mut store, mut damage) = open(&disk);
            let (read, found) = numbers(&mut store);
            damage.extend(found);
            let (first, end) = (at as u64 * 6, (at as u64 + 1) * 6);
            let left: Vec<_> = read
                .iter()
                .filter(|n| (first..end).contains(n))
                .copied()
                .collect();
            assert!(left.iter().copied().eq(first..first + left.len() as u64));
            let lost = 6 - left.len() as u64;
            assert!(lost > 0, "{len}");
            assert_eq!(
                read.len() as u64 + lost,
                RECORDS,
                "the other segments are whole"
            );
            let told: u64 = damage.iter().filter_map(|damage| damage.records).sum();
            if at < 2 {
                // Where the next segment begins tells how many there were.
                assert_eq!(told, lost, "{len}");
            } else {
                // Nothing but a cut between two batches is like an end.
                let is_between = damage.is_empty() || damage.iter().any(|d| d.records.is_none());
                assert!(told == 0 && is_between, "{len}");
            }
            // What comes next is behind all that.
            append(
                &mut store,
                end.max(read.last().map_or(0, |last| last + 1))..20,
            );
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_one_batch_and_tells_of_it() {
    let (disk, names) = filled();
    for name in &names {
        let whole = disk.bytes(name);
        for at in 0..whole.len() {
            let mut rotten = whole.clone();
            rotten[at] ^= 1 << (at % 8);
            let disk = disk.copied();
            disk.put(name, rotten);
            let (mut store, mut damage) = open(&disk);
            let (read, found) = numbers(&mut store);
            damage.extend(found);
            assert!(read.is_sorted());
            let lost = RECORDS - read.len() as u64;
            assert!(lost <= 1, "{name} {at}: {lost}");
            let told: u64 = damage.iter().filter_map(|damage| damage.records).sum();
            let untold = damage
                .iter()
                .filter(|damage| damage.records.is_none())
                .count();
            assert_eq!(told + untold as u64, lost, "{name} {at}: {damage:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic_and_are_no_records(
        segment in proptest::collection::vec(any::<u8>(), 0..600),
        position in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let disk = MemoryDisk::default();
        disk.put("topics/t/00000000000000000000-00000001.batches", segment.clone());
        disk.put("topics/t/00000000000000000040-00000002.batches", segment);
        disk.put("topics/t/position", position);
        let (mut store, _) = open(&disk);
        let (records, damage) = read_all(&mut store);
        prop_assert!(records.is_empty());
        prop_assert_eq!(damage.iter().filter_map(|damage| damage.records).sum::<u64>(), 40);
    }

    /// Several places at once, in files of several batches: whatever is read is what was spilled.
    #[test]
    fn much_damage_costs_much_and_nothing_false_is_read(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let (disk, names) = filled();
        for (index, bits) in flips {
            let name = &names[index.index(names.len())];
            let mut bytes = disk.bytes(name);
            let at = index.index(bytes.len());
            bytes[at] ^= bits;
            disk.put(name, bytes);
        }
        let (mut store, _) = open(&disk);
        let (read, _) = numbers(&mut store);
        prop_assert!(read.is_sorted_by(|a, b| a < b));
        append(&mut store, 18..19);
    }

    #[test]
    fn a_batch_in_a_records_value_is_never_taken_for_one(at in 0_usize..61, bits in 1_u8..) {
        let (disk, names) = filled();
        let inner = disk.bytes(&names[0]);
        let disk = MemoryDisk::default();
        let (mut store, _) = open(&disk);
        let outer = super::super::entry::Kept::new(crate::Record::to("t").value(inner).timestamp_millis(1));
        store.append(&super::topic(), &[outer], true);
        append(&mut store, 1..2);
        let name = disk.names().remove(0);
        let mut bytes = disk.bytes(&name);
        bytes[at] ^= bits;
        disk.put(&name, bytes);
        let (mut store, _) = open(&disk);
        let (records, _) = read_all(&mut store);
        let numbers: Vec<_> = records.iter().map(|(number, _)| *number).collect();
        // The leader's epoch is below no checksum, and means nothing here.
        prop_assert_eq!(numbers, if (12..16).contains(&at) { vec![0, 1] } else { vec![1] });
    }
}
