//! A topic's settings under Kafka's names: those that do something, and those that are labels.

use std::collections::BTreeMap;

use crate::wire::Name;

/// A setting's name, Kafka's default, and what a value must be.
struct Known {
    name: &'static str,
    default: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    /// A whole number of at least this, of 64 bits.
    Long(i64),
    /// The same of 32 bits.
    Int(i32),
    /// A whole number of 32 bits within one of these ranges.
    Within(&'static [(i32, i32)]),
    /// From 0 to 1.
    Ratio,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Several of these, with commas between.
    AnyOf(&'static [&'static str]),
    /// Partitions with replicas, `0:1,1:2`, or `*` for all.
    Replicas,
}

const CODECS: &[&str] = &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];
const TIMES: &[&str] = &["CreateTime", "LogAppendTime"];
const FOR_EVER: &str = "9223372036854775807";

/// All that Kafka knows. What is not acted on is kept and told, as what has no sense without files and replicas.
const KNOWN: &[Known] = &[
    known(
        "cleanup.policy",
        "delete",
        Kind::AnyOf(&["delete", "compact"]),
    ),
    known(
        "compression.gzip.level",
        "-1",
        Kind::Within(&[(-1, -1), (1, 9)]),
    ),
    known("compression.lz4.level", "9", Kind::Within(&[(1, 17)])),
    known("compression.type", "producer", Kind::OneOf(CODECS)),
    known(
        "compression.zstd.level",
        "3",
        Kind::Within(&[(-131_072, 22)]),
    ),
    known("delete.retention.ms", "86400000", Kind::Long(0)),
    known("file.delete.delay.ms", "60000", Kind::Long(0)),
    known("flush.messages", FOR_EVER, Kind::Long(1)),
    known("flush.ms", FOR_EVER, Kind::Long(0)),
    known(
        "follower.replication.throttled.replicas",
        "",
        Kind::Replicas,
    ),
    known("index.interval.bytes", "4096", Kind::Int(0)),
    known("leader.replication.throttled.replicas", "", Kind::Replicas),
    known("local.retention.bytes", "-2", Kind::Long(-2)),
    known("local.retention.ms", "-2", Kind::Long(-2)),
    known("max.compaction.lag.ms", FOR_EVER, Kind::Long(1)),
    known("max.message.bytes", "1048588", Kind::Int(0)),
    known("message.timestamp.after.max.ms", "3600000", Kind::Long(0)),
    known("message.timestamp.before.max.ms", FOR_EVER, Kind::Long(0)),
    known("message.timestamp.type", "CreateTime", Kind::OneOf(TIMES)),
    known("min.cleanable.dirty.ratio", "0.5", Kind::Ratio),
    known("min.compaction.lag.ms", "0", Kind::Long(0)),
    known("min.insync.replicas", "1", Kind::Int(1)),
    known("preallocate", "false", Kind::Bool),
    known("remote.log.copy.disable", "false", Kind::Bool),
    known("remote.log.delete.on.disable", "false", Kind::Bool),
    known("remote.storage.enable", "false", Kind::Bool),
    known("retention.bytes", "-1", Kind::Long(i64::MIN)),
    known("retention.ms", "604800000", Kind::Long(-1)),
    known("segment.bytes", "1073741824", Kind::Int(1_048_576)),
    known("segment.index.bytes", "10485760", Kind::Int(4)),
    known("segment.jitter.ms", "0", Kind::Long(0)),
    known("segment.ms", "604800000", Kind::Long(1)),
    known("unclean.leader.election.enable", "false", Kind::Bool),
];

const fn known(name: &'static str, default: &'static str, kind: Kind) -> Known {
    Known {
        name,
        default,
        kind,
    }
}

impl Known {
    fn takes(&self, value: &str) -> bool {
        let mut list = value.split(',').map(str::trim);
        match self.kind {
            Kind::Bool => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Kind::Long(least) => value.parse::<i64>().is_ok_and(|n| n >= least),
            Kind::Int(least) => value.parse::<i32>().is_ok_and(|n| n >= least),
            Kind::Within(ranges) => value.parse::<i32>().is_ok_and(|n| {
                let mut ranges = ranges.iter();
                ranges.any(|(low, high)| (*low..=*high).contains(&n))
            }),
            Kind::Ratio => value.parse().is_ok_and(|n: f64| (0.0..=1.0).contains(&n)),
            Kind::OneOf(of) => of.contains(&value),
            Kind::AnyOf(of) => list.all(|one| of.contains(&one)),
            Kind::Replicas => value.is_empty() || value == "*" || list.all(is_replica),
        }
    }

    /// Kafka's number of the type, as DescribeConfigs tells it.
    fn kind_code(&self) -> i8 {
        match self.kind {
            Kind::Bool => 1,
            Kind::OneOf(_) => 2,
            Kind::Int(_) | Kind::Within(_) => 3,
            Kind::Long(_) => 5,
            Kind::Ratio => 6,
            Kind::AnyOf(_) | Kind::Replicas => 7,
        }
    }
}

/// A partition with the id of a broker, `0:1`.
fn is_replica(text: &str) -> bool {
    let numbers = text.split_once(':');
    numbers.is_some_and(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok())
}

/// The settings of one topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicConfigs {
    set: BTreeMap<Name, Name>,
    pub(crate) max_message_bytes: usize,
    pub(crate) log_append_time: bool,
    pub(crate) min_insync: usize,
    pub(crate) retention_bytes: i64,
    pub(crate) retention_ms: i64,
    pub(crate) timestamp_after_max: i64,
    pub(crate) timestamp_before_max: i64,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_ms: i64,
    compacts: bool,
    deletes: bool,
}

/// One setting as DescribeConfigs tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) default: &'static str,
    pub(crate) is_set: bool,
    pub(crate) kind: i8,
}

impl Told {
    /// Kafka's number of where a topic's value is from.
    pub(crate) fn source(&self) -> i8 {
        if self.is_set { 1 } else { 5 }
    }
}

impl Default for TopicConfigs {
    fn default() -> Self {
        let mut configs = Self {
            set: BTreeMap::new(),
            max_message_bytes: 0,
            log_append_time: false,
            min_insync: 1,
            retention_bytes: -1,
            retention_ms: -1,
            timestamp_after_max: i64::MAX,
            timestamp_before_max: i64::MAX,
            segment_bytes: u64::MAX,
            segment_ms: i64::MAX,
            compacts: false,
            deletes: true,
        };
        configs.refresh();
        configs
    }
}

impl TopicConfigs {
    /// With these settings; the error says what is wrong with which.
    pub(crate) fn with<'a>(
        mut self,
        pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, String> {
        for (name, value) in pairs {
            let value = value.ok_or_else(|| format!("Null value not supported for {name}"))?;
            self.set(name, value)?;
        }
        Ok(self)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let found = find(name)?;
        if !found.takes(value) {
            return Err(format!("Invalid value {value} for configuration {name}"));
        }
        self.set.insert(name.into(), value.into());
        self.refresh();
        Ok(())
    }

    /// Back to the default; an unknown name is there already.
    pub(crate) fn unset(&mut self, name: &str) {
        self.set.remove(name);
        self.refresh();
    }

    /// What the name is set to, or its default.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        if let Some(value) = self.set.get(name) {
            return Some(value);
        }
        find(name).ok().map(|known| known.default)
    }

    /// Whether retention deletes anything; a compacted topic keeps all (compaction is a label here).
    pub(crate) fn deletes(&self) -> bool {
        self.deletes
    }

    /// Whether every record needs a key.
    pub(crate) fn compacts(&self) -> bool {
        self.compacts
    }

    pub(crate) fn tell(&self) -> impl Iterator<Item = Told> + '_ {
        KNOWN.iter().map(|known| Told {
            name: known.name,
            value: self.get(known.name).unwrap_or_default().to_owned(),
            default: known.default,
            is_set: self.set.contains_key(known.name),
            kind: known.kind_code(),
        })
    }

    fn refresh(&mut self) {
        let long = |name: &str| self.get(name).and_then(|text| text.parse::<i64>().ok());
        let max_message_bytes = long("max.message.bytes").unwrap_or(0);
        let min_insync = long("min.insync.replicas").unwrap_or(1);
        let retention_bytes = long("retention.bytes").unwrap_or(-1);
        let retention_ms = long("retention.ms").unwrap_or(-1);
        let after_max = long("message.timestamp.after.max.ms").unwrap_or(i64::MAX);
        let before_max = long("message.timestamp.before.max.ms").unwrap_or(i64::MAX);
        let segment_bytes = long("segment.bytes").and_then(|bytes| u64::try_from(bytes).ok());
        let segment_ms = long("segment.ms").unwrap_or(i64::MAX);
        self.max_message_bytes = usize::try_from(max_message_bytes).unwrap_or(usize::MAX);
        self.min_insync = usize::try_from(min_insync).unwrap_or(usize::MAX);
        self.retention_bytes = retention_bytes;
        self.retention_ms = retention_ms;
        // Halved so that adding it to a time cannot overflow.
        self.timestamp_after_max = after_max.min(i64::MAX / 2);
        self.timestamp_before_max = before_max.min(i64::MAX / 2);
        self.segment_bytes = segment_bytes.unwrap_or(u64::MAX);
        self.segment_ms = segment_ms;
        self.log_append_time = self.get("message.timestamp.type") == Some("LogAppendTime");
        let policy = self.get("cleanup.policy").unwrap_or_default();
        (self.deletes, self.compacts) = (policy.contains("delete"), policy.contains("compact"));
    }
}

fn find(name: &str) -> Result<&'static Known, String> {
    KNOWN
        .iter()
        .find(|known| known.name == name)
        .ok_or_else(|| format!("Unknown topic config name: {name}"))
}
