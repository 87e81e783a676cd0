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
    /// A whole number of at least this, of 64 bits.
    Long(i64),
    /// The same of 32 bits.
    Int(i64),
    /// One of these, or several with commas between.
    OneOf(&'static [&'static str], bool),
}

const KNOWN: &[Known] = &[
    known(
        "cleanup.policy",
        "delete",
        Kind::OneOf(&["delete", "compact"], true),
    ),
    known(
        "compression.type",
        "producer",
        Kind::OneOf(
            &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
            false,
        ),
    ),
    known("delete.retention.ms", "86400000", Kind::Long(0)),
    known("max.message.bytes", "1048588", Kind::Int(0)),
    known("message.timestamp.after.max.ms", "3600000", Kind::Long(0)),
    known(
        "message.timestamp.type",
        "CreateTime",
        Kind::OneOf(&["CreateTime", "LogAppendTime"], false),
    ),
    known("min.insync.replicas", "1", Kind::Int(1)),
    known("retention.bytes", "-1", Kind::Long(-1)),
    known("retention.ms", "604800000", Kind::Long(-1)),
    known("segment.bytes", "1073741824", Kind::Int(1_048_576)),
    known("segment.ms", "604800000", Kind::Long(1)),
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
        match self.kind {
            Kind::Long(least) => value.parse::<i64>().is_ok_and(|n| n >= least),
            Kind::Int(least) => value.parse::<i32>().is_ok_and(|n| i64::from(n) >= least),
            Kind::OneOf(of, true) => value.split(',').all(|one| of.contains(&one.trim())),
            Kind::OneOf(of, false) => of.contains(&value),
        }
    }

    /// Kafka's number of the type, as DescribeConfigs tells it.
    fn kind_code(&self) -> i8 {
        match self.kind {
            Kind::Int(_) => 3,
            Kind::Long(_) => 5,
            Kind::OneOf(_, true) => 7,
            Kind::OneOf(_, false) => 2,
        }
    }
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
        self.max_message_bytes = usize::try_from(max_message_bytes).unwrap_or(usize::MAX);
        self.min_insync = usize::try_from(min_insync).unwrap_or(usize::MAX);
        self.retention_bytes = retention_bytes;
        self.retention_ms = retention_ms;
        // Halved so that adding it to a time cannot overflow.
        self.timestamp_after_max = after_max.min(i64::MAX / 2);
        self.log_append_time = self.get("message.timestamp.type") == Some("LogAppendTime");
        let policy = self.get("cleanup.policy").unwrap_or_default();
        self.deletes = policy.contains("delete");
    }
}

fn find(name: &str) -> Result<&'static Known, String> {
    KNOWN
        .iter()
        .find(|known| known.name == name)
        .ok_or_else(|| format!("Unknown topic config name: {name}"))
}
