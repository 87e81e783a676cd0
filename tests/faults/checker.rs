//! The judge: what the application was told about each record, against what Java's consumer read. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// What the application was told about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is in the log; at this offset, where the broker said which.
    Acked(Option<i64>),
    /// It failed, and may be in the log all the same.
    PossiblyWritten,
    /// It failed, and is not in the log: also a record that was never accepted.
    NotWritten,
}

/// A record that the application handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: u64,
    /// `None` for a record that was refused before it had a partition.
    pub(crate) partition: Option<i32>,
    pub(crate) told: Told,
}

/// A record in the log; `id` is `None` when its bytes are not those of any record sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) id: Option<u64>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// An acknowledged record is not in the log.
    Lost(Sent),
    /// A record is in the log more than once: here again.
    Twice(Sent, Read),
    /// An acknowledged record is not where the application was told.
    WrongPlace(Sent, Read),
    /// A record that certainly had not been written is in the log.
    FalseFailure(Sent, Read),
    /// A record in the log that nobody sent, or with bytes of another.
    Foreign(Read),
    /// An acknowledged record stands before one of the same partition that was accepted earlier.
    OutOfOrder(Read, u64),
}

impl Violation {
    /// Where to look for its cause.
    pub(crate) fn partition(self) -> Option<i32> {
        match self {
            Self::Lost(sent) => sent.partition,
            Self::Twice(_, read)
            | Self::WrongPlace(_, read)
            | Self::FalseFailure(_, read)
            | Self::Foreign(read)
            | Self::OutOfOrder(read, _) => Some(read.partition),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(sent) => write!(f, "LOST: {sent} is not in the log"),
            Self::Twice(sent, read) => write!(f, "TWICE: {sent} is in the log again {read}"),
            Self::WrongPlace(sent, read) => write!(f, "WRONG PLACE: {sent} is {read}"),
            Self::FalseFailure(sent, read) => write!(f, "FALSE FAILURE: {sent} is {read}"),
            Self::Foreign(read) => write!(f, "FOREIGN: {read} is a record that nobody sent"),
            Self::OutOfOrder(read, earlier) => {
                write!(
                    f,
                    "OUT OF ORDER: record {earlier}, accepted earlier, follows the one {read}"
                )
            }
        }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}", self.id)?;
        if let Some(partition) = self.partition {
            write!(f, " for partition {partition}")?;
        }
        match self.told {
            Told::Acked(Some(offset)) => write!(f, ", acknowledged at offset {offset},"),
            Told::Acked(None) => write!(f, ", acknowledged without an offset,"),
            Told::PossiblyWritten => write!(f, ", failed and possibly written,"),
            Told::NotWritten => write!(f, ", failed and certainly not written,"),
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at offset {} of partition {}",
            self.offset, self.partition
        )?;
        match self.id {
            Some(id) => write!(f, " (record {id})"),
            None => write!(f, " (not the bytes of any record)"),
        }
    }
}

/// What a check that found nothing wrong saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) acked: usize,
    pub(crate) possibly_written: usize,
    pub(crate) not_written: usize,
    /// Of those possibly written, how many are in the log.
    pub(crate) written_all_the_same: usize,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acked,
            possibly_written,
            not_written,
            written_all_the_same,
        } = self;
        write!(f, "{acked} acked")?;
        if possibly_written + not_written > 0 {
            write!(
                f,
                ", {not_written} not written, {possibly_written} possibly written"
            )?;
            write!(f, " ({written_all_the_same} of them were)")?;
        }
        Ok(())
    }
}

/// Checks what was `sent`, in the order in which it was accepted, against the whole `log`.
pub(crate) fn check(sent: &[Sent], log: &[Read]) -> Result<Account, Vec<Violation>> {
    let by_id: HashMap<u64, &Sent> = sent.iter().map(|sent| (sent.id, sent)).collect();
    assert_eq!(by_id.len(), sent.len(), "each record has an id of its own");
    let mut violations = Vec::new();
    let mut seen: HashSet<u64> = HashSet::new();
    for read in log {
        let Some(&&known) = read.id.and_then(|id| by_id.get(&id)) else {
            violations.push(Violation::Foreign(*read));
            continue;
        };
        if !seen.insert(known.id) {
            violations.push(Violation::Twice(known, *read));
            continue;
        }
        let astray = known
            .partition
            .is_some_and(|partition| partition != read.partition);
        match known.told {
            Told::NotWritten => violations.push(Violation::FalseFailure(known, *read)),
            Told::Acked(offset) if astray || offset.is_some_and(|at| at != read.offset) => {
                violations.push(Violation::WrongPlace(known, *read));
            }
            Told::PossiblyWritten if astray => violations.push(Violation::WrongPlace(known, *read)),
            Told::Acked(_) | Told::PossiblyWritten => {}
        }
    }
    let acked = sent
        .iter()
        .filter(|sent| matches!(sent.told, Told::Acked(_)));
    violations.extend(
        acked
            .filter(|sent| !seen.contains(&sent.id))
            .map(|sent| Violation::Lost(*sent)),
    );
    violations.extend(misplaced(sent, log));
    if !violations.is_empty() {
        return Err(violations);
    }
    let count = |told: fn(Told) -> bool| sent.iter().filter(|sent| told(sent.told)).count();
    let possibly = sent
        .iter()
        .filter(|sent| sent.told == Told::PossiblyWritten);
    Ok(Account {
        acked: count(|told| matches!(told, Told::Acked(_))),
        possibly_written: count(|told| told == Told::PossiblyWritten),
        not_written: count(|told| told == Told::NotWritten),
        written_all_the_same: possibly.filter(|sent| seen.contains(&sent.id)).count(),
    })
}

/// Acknowledged records behind one that was accepted later, each partition in the order of its offsets.
fn misplaced(sent: &[Sent], log: &[Read]) -> Vec<Violation> {
    let accepted: HashMap<u64, usize> = sent
        .iter()
        .enumerate()
        .filter(|(_, sent)| matches!(sent.told, Told::Acked(_)))
        .map(|(place, sent)| (sent.id, place))
        .collect();
    let mut partitions: BTreeMap<i32, Vec<Read>> = BTreeMap::new();
    for read in log {
        partitions.entry(read.partition).or_default().push(*read);
    }
    let mut violations = Vec::new();
    for reads in partitions.values_mut() {
        reads.sort_by_key(|read| read.offset);
        let mut latest: Option<(usize, Read)> = None;
        for read in reads.iter() {
            let Some((id, &place)) = read.id.and_then(|id| Some((id, accepted.get(&id)?))) else {
                continue;
            };
            match latest {
                Some((highest, before)) if place < highest => {
                    violations.push(Violation::OutOfOrder(before, id));
                }
                _ => latest = Some((place, *read)),
            }
        }
    }
    violations
}

/// The checker is of use only if each planted fault makes it fail.
pub(crate) mod tests {
    use super::*;

    const PARTITIONS: u64 = 3;

    /// 60 records in three partitions, each acknowledged, and the log that this promises.
    fn honest() -> (Vec<Sent>, Vec<Read>) {
        let place = |id: u64| ((id % PARTITIONS) as i32, (id / PARTITIONS) as i64);
        let sent = (0..60).map(|id| {
            let (partition, offset) = place(id);
            Sent {
                id,
                partition: Some(partition),
                told: Told::Acked(Some(offset)),
            }
        });
        let log = (0..60).map(|id| {
            let (partition, offset) = place(id);
            Read {
                id: Some(id),
                partition,
                offset,
            }
        });
        (sent.collect(), log.collect())
    }

    /// Takes `count` records of partition 0 out of the log from `offset` on, as if their batch was dropped.
    fn drop_batch(log: &mut Vec<Read>, offset: i64, count: i64) {
        log.retain(|read| read.partition != 0 || !(offset..offset + count).contains(&read.offset));
        for read in log
            .iter_mut()
            .filter(|read| read.partition == 0 && read.offset >= offset)
        {
            read.offset -= count;
        }
    }

    fn violations(sent: &[Sent], log: &[Read]) -> Vec<Violation> {
        check(sent, log).expect_err("the planted fault was not found")
    }

    pub(crate) fn an_honest_log_passes_in_whatever_order_it_was_read() {
        let (mut sent, mut log) = honest();
        log.reverse();
        let account = check(&sent, &log).expect("nothing is wrong");
        assert_eq!(
            account,
            Account {
                acked: 60,
                ..Account::default()
            }
        );
        sent[5].told = Told::Acked(None);
        sent[6].told = Told::PossiblyWritten;
        sent.push(Sent {
            id: 60,
            partition: None,
            told: Told::NotWritten,
        });
        sent.push(Sent {
            id: 61,
            partition: Some(0),
            told: Told::PossiblyWritten,
        });
        let account = check(&sent, &log).expect("nothing is wrong");
        let expected = Account {
            acked: 59,
            possibly_written: 2,
            not_written: 1,
            written_all_the_same: 1,
        };
        assert_eq!(account, expected);
    }

    pub(crate) fn a_sequence_reused_is_found() {
        // The broker appended a batch a second time, so that all behind it moved.
        let (sent, mut log) = honest();
        for read in log
            .iter_mut()
            .filter(|read| read.partition == 0 && read.offset >= 5)
        {
            read.offset += 1;
        }
        log.push(Read {
            id: Some(12),
            partition: 0,
            offset: 5,
        });
        let found = violations(&sent, &log);
        assert!(
            found
                .iter()
                .any(|one| matches!(one, Violation::Twice(sent, _) if sent.id == 12))
        );
        // Or, taken for a duplicate, other records were never written though acknowledged.
        let (mut sent, mut log) = honest();
        log.retain(|read| read.id != Some(57));
        sent[57].told = Told::Acked(Some(3));
        assert_eq!(violations(&sent, &log), [Violation::Lost(sent[57])]);
    }

    pub(crate) fn a_record_twice_is_found_even_if_only_possibly_written() {
        for told in [
            Told::Acked(Some(19)),
            Told::Acked(None),
            Told::PossiblyWritten,
        ] {
            let (mut sent, mut log) = honest();
            sent[57].told = told;
            let again = Read {
                id: Some(57),
                partition: 0,
                offset: 20,
            };
            log.push(again);
            assert_eq!(violations(&sent, &log), [Violation::Twice(sent[57], again)]);
        }
    }

    pub(crate) fn a_dropped_batch_is_found() {
        let (sent, mut log) = honest();
        drop_batch(&mut log, 17, 3);
        let found = violations(&sent, &log);
        assert_eq!(found, [51, 54, 57].map(|id| Violation::Lost(sent[id])));
        let (sent, mut log) = honest();
        drop_batch(&mut log, 5, 3);
        let found = violations(&sent, &log);
        assert_eq!(
            found
                .iter()
                .filter(|one| matches!(one, Violation::Lost(_)))
                .count(),
            3
        );
        assert!(
            found
                .iter()
                .any(|one| matches!(one, Violation::WrongPlace(..)))
        );
    }

    pub(crate) fn an_offset_off_by_one_is_found() {
        for wrong in [-1, 1] {
            let (mut sent, log) = honest();
            sent[30].told = Told::Acked(Some(10 + wrong));
            assert_eq!(
                violations(&sent, &log),
                [Violation::WrongPlace(sent[30], log[30])]
            );
        }
    }

    pub(crate) fn a_record_in_another_partition_is_found() {
        for told in [Told::Acked(None), Told::PossiblyWritten] {
            let (mut sent, mut log) = honest();
            sent[59].told = told;
            log[59] = Read {
                id: Some(59),
                partition: 0,
                offset: 20,
            };
            assert_eq!(
                violations(&sent, &log),
                [Violation::WrongPlace(sent[59], log[59])]
            );
        }
    }

    pub(crate) fn two_swapped_records_are_found() {
        let (mut sent, mut log) = honest();
        (log[30].id, log[33].id) = (Some(33), Some(30));
        assert!(violations(&sent, &log).contains(&Violation::OutOfOrder(log[30], 30)));
        // Even if the application was told where they are, or not at all.
        for told in [[Some(11), Some(10)], [None, None]] {
            (sent[30].told, sent[33].told) = (Told::Acked(told[0]), Told::Acked(told[1]));
            assert_eq!(
                violations(&sent, &log),
                [Violation::OutOfOrder(log[30], 30)]
            );
        }
        // What was only possibly written has no place in that order.
        sent[30].told = Told::PossiblyWritten;
        check(&sent, &log).expect("nothing is wrong");
    }

    pub(crate) fn a_definite_failure_that_is_in_the_log_is_found() {
        let (mut sent, log) = honest();
        sent[30].told = Told::NotWritten;
        assert_eq!(
            violations(&sent, &log),
            [Violation::FalseFailure(sent[30], log[30])]
        );
        sent[30].partition = None;
        assert_eq!(
            violations(&sent, &log),
            [Violation::FalseFailure(sent[30], log[30])]
        );
    }

    pub(crate) fn a_record_that_nobody_sent_is_found() {
        for id in [None, Some(1000)] {
            let (sent, mut log) = honest();
            let foreign = Read {
                id,
                partition: 2,
                offset: 20,
            };
            log.push(foreign);
            assert_eq!(violations(&sent, &log), [Violation::Foreign(foreign)]);
        }
    }
}
