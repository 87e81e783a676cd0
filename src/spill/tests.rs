//! The store on a disk that fails, tears and rots on purpose.

mod faults;
mod rot;

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::entry::Kept;
use super::log::Damage;
use super::memory::MemoryDisk;
use super::store::{Bounds, Store};
use crate::record::{Header, Record};
use crate::types::TopicName;

const BOUNDS: Bounds = Bounds {
    all: 1 << 20,
    segment: 4096,
};

fn open(disk: &MemoryDisk) -> (Store, Vec<Damage>) {
    let opened = Store::open(Box::new(disk.clone()), PathBuf::from("store"), BOUNDS);
    let (store, damage) = opened.unwrap();
    (
        store,
        damage.into_iter().map(|(_, damage)| damage).collect(),
    )
}

fn topic() -> TopicName {
    "t".into()
}

/// A record that tells its number.
fn numbered(number: u64) -> Kept {
    let value = format!("value of record {number}");
    let record = Record::to("t").key(number.to_string()).value(value);
    Arc::new(record.timestamp_millis(1000 + number as i64))
}

/// Appends them, each in a batch of its own.
fn append(store: &mut Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let (stored, error) = store.append(&topic(), &[numbered(number)], true);
        assert!(stored == 1 && error.is_none(), "{number}: {error:?}");
    }
}

/// All that is there, with its numbers, and what is told as damaged.
fn read_all(store: &mut Store) -> (Vec<(u64, Record<'static>)>, Vec<Damage>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    loop {
        let mut read = store.read("t", 512, true).unwrap();
        damage.append(&mut read.damage);
        if read.end == read.from {
            return (records, damage);
        }
        for (number, record) in read.records("t") {
            records.push((
                number,
                record
                    .expect("a whole batch has whole records")
                    .into_owned(),
            ));
        }
    }
}

/// The same, of records that tell their numbers: which are there.
fn numbers(store: &mut Store) -> (Vec<u64>, Vec<Damage>) {
    let (records, damage) = read_all(store);
    let numbers = records.into_iter().map(|(number, record)| {
        assert_eq!(record, *numbered(number));
        number
    });
    (numbers.collect(), damage)
}

fn any_record() -> impl Strategy<Value = Record<'static>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..60);
    let header = ("[a-z]{0,6}", proptest::option::of(bytes()));
    let header = header.prop_map(|(name, value)| match value {
        Some(value) => Header::new(name, value),
        None => Header::null(name),
    });
    (
        proptest::option::of(bytes()),
        proptest::option::of(bytes()),
        proptest::collection::vec(header, 0..3),
        proptest::option::of(any::<i32>()),
        any::<i64>(),
    )
        .prop_map(|(key, value, headers, partition, time)| {
            let record = Record::to("t").key_or_null(key).value_or_null(value);
            let record = record.headers(headers).timestamp_millis(time);
            match partition {
                Some(partition) => record.partition(partition),
                None => record,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_was_spilled_is_read_back_as_it_was_and_in_order(
        groups in proptest::collection::vec(proptest::collection::vec(any_record(), 1..20), 1..12),
        restarts in any::<u16>(),
    ) {
        let disk = MemoryDisk::default();
        let (mut store, _) = open(&disk);
        let mut spilled = Vec::new();
        for (at, group) in groups.into_iter().enumerate() {
            if restarts & 1 << at != 0 {
                store = open(&disk).0;
            }
            let kept: Vec<_> = group.iter().cloned().map(Kept::new).collect();
            let (stored, error) = store.append(&topic(), &kept, true);
            prop_assert!(error.is_none());
            prop_assert_eq!(stored, kept.len());
            spilled.extend(group);
        }
        let (records, damage) = read_all(&mut store);
        prop_assert!(damage.is_empty());
        let (numbers, records): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        prop_assert!(numbers.into_iter().eq(0..spilled.len() as u64));
        prop_assert_eq!(records, spilled);
    }
}

#[test]
fn what_is_delivered_is_not_read_again_and_leaves_the_disk() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    append(&mut store, 0..300);
    let before = store.bytes();
    assert!(disk.names().len() > 3, "several segments");
    store.done("t", 250).unwrap();
    assert!(store.bytes() < before / 2);
    let (mut again, damage) = open(&disk);
    assert!(damage.is_empty());
    assert_eq!(again.waiting(), [(topic(), 250)]);
    assert!(numbers(&mut again).0.into_iter().eq(250..300));
    again.done("t", 300).unwrap();
    assert_eq!((again.bytes(), again.records()), (0, 0));
    let (mut empty, _) = open(&disk);
    assert!(empty.waiting().is_empty());
    append(&mut empty, 300..302);
    assert_eq!(numbers(&mut empty).0, [300, 301]);
}

#[test]
fn what_was_about_to_be_sent_is_known_after_a_crash() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    append(&mut store, 0..40);
    let read = store.read("t", 512, true).unwrap();
    assert!(read.end > 0 && read.end < 40);
    store.done("t", 1).unwrap();
    assert_eq!(open(&disk.crashed()).0.waiting(), [(topic(), read.end)]);
}

#[test]
fn a_store_that_is_full_says_so_and_takes_records_again_when_some_are_delivered() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    let large: Vec<_> = (0..40)
        .map(|_| Kept::new(Record::to("t").value(vec![7; 30_000])))
        .collect();
    let (stored, error) = store.append(&topic(), &large, true);
    assert!(stored > 30 && stored < 40, "{stored}");
    assert!(matches!(error, Some(crate::Error::SpillFull { limit, .. }) if limit == BOUNDS.all));
    assert!(store.bytes() <= BOUNDS.all);
    assert_eq!(store.append(&topic(), &large[..10], true).0, 0);
    store.done("t", stored as u64).unwrap();
    assert_eq!(store.append(&topic(), &large[..10], true).0, 10);
}

#[test]
fn topics_do_not_mix() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    let other = TopicName::from("other");
    let record = Kept::new(Record::to("other").value("v"));
    append(&mut store, 0..3);
    assert_eq!(store.append(&other, &[record], true).0, 1);
    store.done("other", 1).unwrap();
    let (mut store, _) = open(&disk);
    assert_eq!(store.waiting().len(), 1);
    assert_eq!(numbers(&mut store).0, [0, 1, 2]);
    // A segment under another topic's name is damage, not that topic's records.
    disk.rename_folder("topics/t", "topics/wrong");
    let (mut store, damage) = open(&disk);
    assert_eq!(damage.len(), 1);
    assert_eq!(store.read("wrong", 512, true).unwrap().end, 0);
}
