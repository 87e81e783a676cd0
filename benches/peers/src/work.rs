//! One piece of work: the options that every client takes under the same names, and the payloads,
//! the same for all.

use clap::{Args, Parser};

/// How many different payloads there are; record `i` carries number `i % PAYLOADS`.
pub const PAYLOADS: u64 = 4096;

/// How many different keys there are.
const KEYS: u64 = 1000;

#[derive(Args, Clone, Debug, PartialEq)]
pub struct Work {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub brokers: String,
    #[arg(long, default_value = "bench")]
    pub topic: String,
    #[arg(long, default_value_t = 6)]
    pub partitions: i32,
    #[arg(long, default_value_t = 1)]
    pub replication: i32,
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none")]
    pub compression: String,
    #[arg(long, default_value_t = 5)]
    pub linger_ms: u64,
    #[arg(long, default_value_t = 131_072)]
    pub batch_size: usize,
    #[arg(long, default_value_t = 64 << 20)]
    pub buffer: usize,
    /// Give each record one of 1000 keys (murmur2 partitioning)
    #[arg(long)]
    pub keyed: bool,
    /// Name each record's partition, all of them in turn, so that every partition's batches fill at
    /// the same rate
    #[arg(long)]
    pub spread: bool,
    /// Without idempotence (default: with)
    #[arg(long)]
    pub no_idempotence: bool,
    /// Of the partitions, how many the named ones of --spread are: at equal distances; 0 is all
    #[arg(long, default_value_t = 0)]
    pub busy: i32,
    /// Fetch record by record where the client can also hand out batches
    #[arg(long)]
    pub recv: bool,
    /// Wait this long after the first records before fetching on, so that all that the client fetches ahead comes in
    #[arg(long, default_value_t = 0)]
    pub hold_ms: u64,
}

/// What the command line gives when it names nothing.
impl Default for Work {
    fn default() -> Self {
        Options::parse_from(["work"]).work
    }
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    work: Work,
}

impl Work {
    /// The key of record `i`, when records have keys.
    pub fn key(&self, i: u64) -> Option<[u8; 8]> {
        self.keyed.then(|| (i % KEYS).to_be_bytes())
    }

    /// The partition of record `i`, when the work names it.
    pub fn partition(&self, i: u64) -> Option<i32> {
        // Fibonacci hashing, by its upper bits: partitions take equal shares to a record or two,
        // but neighbours in time are not neighbours in memory.
        let hash = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let busy = match self.busy {
            0 => self.partitions,
            busy => busy,
        };
        self.spread
            .then(|| ((hash * busy as u64) >> 32) as i32 * (self.partitions / busy))
    }

    /// The same work as command line options.
    pub fn to_args(&self) -> Vec<String> {
        let mut args: Vec<String> = Vec::new();
        let valued: [(&str, String); 12] = [
            ("--brokers", self.brokers.clone()),
            ("--topic", self.topic.clone()),
            ("--partitions", self.partitions.to_string()),
            ("--replication", self.replication.to_string()),
            ("--records", self.records.to_string()),
            ("--size", self.size.to_string()),
            ("--compression", self.compression.clone()),
            ("--linger-ms", self.linger_ms.to_string()),
            ("--batch-size", self.batch_size.to_string()),
            ("--buffer", self.buffer.to_string()),
            ("--busy", self.busy.to_string()),
            ("--hold-ms", self.hold_ms.to_string()),
        ];
        for (name, value) in valued {
            args.extend([name.to_string(), value]);
        }
        let flags = [
            ("--keyed", self.keyed),
            ("--spread", self.spread),
            ("--no-idempotence", self.no_idempotence),
            ("--recv", self.recv),
        ];
        args.extend(
            flags
                .iter()
                .filter(|(_, on)| *on)
                .map(|(name, _)| name.to_string()),
        );
        args
    }
}

/// Payload number `n`: JSON-like text that compresses about threefold.
pub fn payload(n: u64, size: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while text.len() < size {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        text += &format!(
            "{{\"id\":{n},\"ticketTypeId\":{},\"status\":\"DONE\"}}",
            x % 100_000
        );
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn work_survives_the_command_line() {
        let plain = Work::default();
        let other = Work {
            brokers: "a:1,b:2".into(),
            topic: "t".into(),
            partitions: 12,
            replication: 3,
            records: 7,
            size: 8,
            compression: "lz4".into(),
            linger_ms: 0,
            batch_size: 9,
            buffer: 10,
            keyed: true,
            spread: true,
            no_idempotence: true,
            busy: 3,
            recv: true,
            hold_ms: 11,
        };
        for work in [plain, other] {
            let args = ["work".to_string()].into_iter().chain(work.to_args());
            assert_eq!(Options::parse_from(args).work, work);
        }
    }

    #[test]
    fn spread_work_gives_every_partition_its_share() {
        let work = Work {
            spread: true,
            partitions: 1000,
            ..Work::default()
        };
        let mut shares = vec![0_u32; 1000];
        for partition in (0..2_000_000).filter_map(|i| work.partition(i)) {
            shares[partition as usize] += 1;
        }
        let (least, most) = (shares.iter().min(), shares.iter().max());
        assert!(
            least >= Some(&1998) && most <= Some(&2002),
            "from {least:?} to {most:?}"
        );
    }

    #[test]
    fn work_for_some_partitions_leaves_the_others_empty() {
        let work = Work {
            spread: true,
            partitions: 1000,
            busy: 10,
            ..Work::default()
        };
        let used: BTreeSet<i32> = (0..1000).filter_map(|i| work.partition(i)).collect();
        let expected: BTreeSet<i32> = (0..10).map(|n| n * 100).collect();
        assert_eq!(used, expected);
    }
}
