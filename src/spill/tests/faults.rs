//! Disks that are full, broken or read-only: what was told as spilled is there, what was not is not, and nothing panics.

use std::io;

use proptest::prelude::*;

use super::super::memory::{Fault, MemoryDisk};
use super::{append, numbered, numbers, open, topic};
use crate::Error;

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0_usize..400).prop_map(Fault::Short),
        Just(Fault::Fails(io::ErrorKind::StorageFull)),
        Just(Fault::Fails(io::ErrorKind::Other)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whichever calls fail, and whether the process goes on, ends, or loses its power.
    #[test]
    fn exactly_what_was_told_as_spilled_is_read_back(
        faults in proptest::collection::vec((0_usize..60, any_fault()), 0..6),
        end in 0_u8..3,
    ) {
        let disk = MemoryDisk::default();
        let (mut store, _) = open(&disk);
        for (after, fault) in faults {
            disk.fail(after, fault);
        }
        let mut told = Vec::new();
        for value in 0..30 {
            let (stored, error) = store.append(&topic(), &[numbered(value)], true);
            prop_assert_eq!(stored == 1, error.is_none());
            if stored == 1 {
                told.push(numbered(value).get_value().map(<[u8]>::to_vec));
            }
        }
        disk.heal();
        let mut store = match end {
            0 => store,
            1 => open(&disk.copied()).0,
            _ => open(&disk.crashed()).0,
        };
        let (records, damage) = super::read_all(&mut store);
        let lost: u64 = damage.iter().filter_map(|damage| damage.records).sum();
        prop_assert_eq!(lost, 0);
        let read: Vec<_> = records.iter().map(|(_, record)| record.get_value().map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(&read[..told.len()], &told[..]);
        // Besides, at most the one that failed last, where the disk would not take it back either.
        prop_assert!(read.len() <= told.len() + 1);
    }
}

#[test]
fn a_read_only_disk_is_an_error_for_each_record_and_what_is_there_is_read() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    append(&mut store, 0..5);
    disk.read_only(true);
    for _ in 0..3 {
        let (stored, error) = store.append(&topic(), &[numbered(5)], true);
        assert_eq!(stored, 0);
        let error = error.unwrap();
        assert!(matches!(&error, Error::Spill { .. }), "{error}");
        assert!(!error.possibly_written());
    }
    // That it is being sent cannot be noted, and so it is not.
    assert!(store.read("t", 512, true).is_err());
    disk.read_only(false);
    append(&mut store, 5..7);
    assert!(numbers(&mut store).0.into_iter().eq(0..7));
}

#[test]
fn a_position_that_cannot_be_written_sends_again_and_loses_nothing() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    append(&mut store, 0..20);
    store.done("t", 5).unwrap();
    disk.fail(0, Fault::Short(7));
    assert!(store.done("t", 10).is_err());
    let (mut store, damage) = open(&disk);
    assert!(damage.is_empty());
    assert!(numbers(&mut store).0.into_iter().eq(5..20));
}

#[test]
fn what_was_read_before_a_failed_read_is_not_read_again() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    append(&mut store, 0..20);
    let first = store.read("t", 512, true).unwrap();
    assert!(first.end > 0 && first.end < 20);
    disk.unreadable(true);
    for _ in 0..3 {
        assert!(store.read("t", 512, true).is_err());
    }
    disk.unreadable(false);
    // That it is being sent cannot be noted.
    disk.fail(0, Fault::Fails(io::ErrorKind::Other));
    assert!(store.read("t", 512, true).is_err());
    assert!(numbers(&mut store).0.into_iter().eq(first.end..20));
}

#[test]
fn a_position_that_was_not_written_is_written_with_the_next_read() {
    // The write fails, or the sync behind it; the folder is synced between them.
    for after in 0..3 {
        let disk = MemoryDisk::default();
        let (mut store, _) = open(&disk);
        append(&mut store, 0..20);
        disk.fail(after, Fault::Fails(io::ErrorKind::Other));
        assert!(store.read("t", 512, true).is_err(), "{after}");
        let read = store.read("t", 512, true).unwrap();
        assert_eq!(open(&disk.crashed()).0.waiting(), [(topic(), read.end)]);
    }
}

#[test]
fn a_position_that_fails_twice_leaves_the_one_before_it_whole() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    append(&mut store, 0..20);
    store.done("t", 4).unwrap();
    store.done("t", 5).unwrap();
    for done in [10, 11] {
        // Behind the turn and the number, and before the CRC.
        disk.fail(0, Fault::Short(20));
        assert!(store.done("t", done).is_err());
    }
    let (mut again, damage) = open(&disk);
    assert!(damage.is_empty(), "{damage:?}");
    assert!(numbers(&mut again).0.into_iter().eq(5..20));
}

#[test]
fn what_was_told_before_a_failed_write_is_synced_when_its_time_comes() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    assert_eq!(store.append(&topic(), &[numbered(0)], false).0, 1);
    disk.fail(0, Fault::Short(7));
    assert_eq!(store.append(&topic(), &[numbered(1)], false).0, 0);
    store.sync().unwrap();
    assert_eq!(numbers(&mut open(&disk.crashed()).0).0, [0]);
    // The same when the next one begins a file behind it.
    assert_eq!(store.append(&topic(), &[numbered(1)], false).0, 1);
    disk.fail(0, Fault::Short(7));
    assert_eq!(store.append(&topic(), &[numbered(2)], false).0, 0);
    assert_eq!(store.append(&topic(), &[numbered(2)], false).0, 1);
    store.sync().unwrap();
    assert_eq!(numbers(&mut open(&disk.crashed()).0).0, [0, 1, 2]);
}
