//! A topic's files as any bytes, and as what we wrote with damage: what the fuzz target calls.

#![allow(
    clippy::indexing_slicing,
    reason = "a panic here is a finding, as it is in a test"
)]

use std::path::PathBuf;
use std::sync::Arc;

use super::entry::Kept;
use super::memory::MemoryDisk;
use super::store::{Bounds, Store};
use crate::record::Record;

const TOPIC: &str = "t";
const SEGMENTS: [&str; 2] = [
    "topics/t/00000000000000000000-00000001.batches",
    "topics/t/00000000000000000009-00000002.batches",
];
const RECORDS: u64 = 12;

fn open(disk: &MemoryDisk) -> Store {
    let bounds = Bounds {
        all: 1 << 20,
        segment: 4096,
    };
    let opened = Store::open(Box::new(disk.clone()), PathBuf::new(), bounds);
    opened.expect("a disk that does not fail").0
}

fn numbered(number: u64) -> Kept {
    let record = Record::to(TOPIC).key(number.to_string()).header("h", "v");
    Arc::new(record.value(vec![7; 40]).timestamp_millis(5))
}

/// Reads all that is there: numbers rise, and every one below the end is read or told as lost.
fn read_all(disk: &MemoryDisk, mut each: impl FnMut(u64, &Record<'_>)) {
    let mut store = open(disk);
    let mut next = 0;
    loop {
        let read = store
            .read(TOPIC, 256, true)
            .expect("a disk that does not fail");
        assert!(read.from >= next, "numbers rise");
        let lost: u64 = read.damage.iter().filter_map(|damage| damage.records).sum();
        let mut count = 0;
        for (number, record) in read.records(TOPIC) {
            assert!((next..read.end).contains(&number), "numbers rise");
            next = number + 1;
            count += 1;
            if let Some(record) = record {
                each(number, &record);
            }
        }
        assert!(lost + count >= read.end - read.from, "what is lost is told");
        if read.end == read.from {
            return;
        }
        next = read.end;
    }
}

/// Any bytes as a topic's files; then what we wrote, damaged as the bytes say.
pub(crate) fn files(data: &[u8]) {
    let disk = MemoryDisk::default();
    let (first, second) = data.split_at(data.len() / 2);
    disk.put(SEGMENTS[0], first.to_vec());
    disk.put(SEGMENTS[1], second.to_vec());
    disk.put("topics/t/position", data.to_vec());
    read_all(&disk, |_, _| {});

    let disk = MemoryDisk::default();
    for half in [0..RECORDS / 2, RECORDS / 2..RECORDS] {
        let mut store = open(&disk);
        for number in half {
            let (stored, _) = store.append(&TOPIC.into(), &[numbered(number)], true);
            assert_eq!(stored, 1);
        }
    }
    let names = disk.names();
    for edit in data.chunks_exact(4) {
        let [which, high, low, bits] = *edit else {
            continue;
        };
        let name = &names[usize::from(which & 0x7f) % names.len()];
        let mut bytes = disk.bytes(name);
        if bytes.is_empty() {
            continue;
        }
        let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
        if which & 0x80 == 0 {
            bytes[at] ^= bits;
        } else {
            bytes.truncate(at);
        }
        disk.put(name, bytes);
    }
    read_all(&disk, |number, record| {
        assert_eq!(*record, *numbered(number), "nothing false is read");
    });
}
