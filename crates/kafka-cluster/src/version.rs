//! The Kafka versions that can be started.

use std::{fmt, str::FromStr};

use crate::Error;

/// A Kafka version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Version {
    /// 2.5.0, with ZooKeeper: the oldest that is still supported by the client.
    V2_5_0,
    /// 3.9.1, KRaft: the last of the 3.x line.
    V3_9_1,
    /// 4.3.0, KRaft.
    #[default]
    V4_3_0,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [Self::V2_5_0, Self::V3_9_1, Self::V4_3_0];

    /// The version as Maven Central writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2_5_0 => "2.5.0",
            Self::V3_9_1 => "3.9.1",
            Self::V4_3_0 => "4.3.0",
        }
    }

    /// Whether the brokers need ZooKeeper beside them.
    pub fn uses_zookeeper(self) -> bool {
        self == Self::V2_5_0
    }

    /// Group, artifact and version of what Maven is asked for.
    pub(crate) fn artifacts(self) -> Vec<(&'static str, &'static str, &'static str)> {
        let version = self.as_str();
        if self.uses_zookeeper() {
            return vec![
                ("org.apache.kafka", "kafka_2.12", version),
                ("org.slf4j", "slf4j-simple", "1.7.30"),
            ];
        }
        let mut artifacts = vec![
            ("org.apache.kafka", "kafka_2.13", version),
            ("org.apache.kafka", "kafka-tools", version),
        ];
        // 3.x brings its own logging binding.
        if self == Self::V4_3_0 {
            artifacts.push(("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"));
        }
        artifacts
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| {
                Error::Invalid(format!(
                    "unknown Kafka version {text:?}; known are 2.5.0, 3.9.1 and 4.3.0"
                ))
            })
    }
}
