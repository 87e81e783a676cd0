//! The options that every application has.

use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;

/// Which parts an application works with; each that is not named is embedded.
#[derive(Args, Clone, Debug, Default)]
pub struct Parts {
    /// A real Kafka, as host:port[,host:port...]; without it a broker within this process
    #[arg(long, value_name = "HOSTS")]
    pub bootstrap: Option<String>,

    /// A real database, mysql://... or sqlite:FILE; without it SQLite in memory
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,

    /// Settings, Kafka's by their own names; without it those that come with the application
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Which of the settings' profiles holds, such as local or docker
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,

    /// Kafka's settings in a properties file, as Kafka's own tools take them; above those of the settings
    #[arg(long, value_name = "FILE")]
    pub command_config: Option<PathBuf>,

    /// A setting of Kafka by its own name, above those of any file; may be given more than once
    #[arg(short = 'X', value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// For an option that is a number from `least` to `most`.
#[must_use]
pub fn within<T>(least: u64, most: u64) -> RangedU64ValueParser<T>
where
    T: TryFrom<u64> + Clone + Send + Sync + 'static,
    <T as TryFrom<u64>>::Error: std::error::Error + Send + Sync + 'static,
{
    RangedU64ValueParser::new().range(least..=most)
}
