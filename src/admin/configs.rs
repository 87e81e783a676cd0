//! Reading and changing the settings of topics and brokers.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use tokio::time::Instant;

use super::{Admin, refusal, retry_all};
use crate::cluster::{Purpose, each, unanswered, unless_nobody_answered};
use crate::error::{Error, Result};
use crate::net::Connection;
use crate::types::BrokerId;
use crate::wire::{
    AlteredConfig, ConfigChange, DescribeConfigs, DescribedConfig, IncrementalAlterConfigs,
    Resource,
};

/// What has settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigResource {
    /// The topic of this name.
    Topic(Arc<str>),
    /// The broker of this id, which is itself asked.
    Broker(i32),
    /// What all brokers have that have no value of their own.
    BrokerDefaults,
}

impl ConfigResource {
    /// The topic `name`.
    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self::Topic(name.into())
    }

    fn wire(&self) -> Resource {
        let (kind, name) = match self {
            Self::Topic(name) => (Resource::TOPIC, Arc::clone(name)),
            Self::Broker(id) => (Resource::BROKER, id.to_string().into()),
            Self::BrokerDefaults => (Resource::BROKER, "".into()),
        };
        Resource { kind, name }
    }

    /// The one broker that can be asked; `None` for any.
    fn target(&self) -> Option<BrokerId> {
        match self {
            Self::Broker(id) => Some(BrokerId(*id)),
            Self::Topic(_) | Self::BrokerDefaults => None,
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::BrokerDefaults => f.write_str("all brokers"),
        }
    }
}

/// One setting of a topic or broker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Its Kafka name, such as `retention.ms`.
    pub name: Arc<str>,
    /// Its value; `None` where there is none, and where it is sensitive.
    pub value: Option<Arc<str>>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it can only be changed in the broker's own file.
    pub read_only: bool,
    /// Whether it is a secret, such as a password.
    pub sensitive: bool,
}

impl ConfigEntry {
    /// Whether nobody has set it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }

    fn of(config: &DescribedConfig) -> Self {
        Self {
            name: Arc::clone(&config.name),
            value: config.value.clone(),
            source: ConfigSource::of(config.source),
            read_only: config.read_only,
            sensitive: config.sensitive,
        }
    }
}

/// Where a setting's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigSource {
    /// It was set for this topic.
    Topic,
    /// It was set for this broker while it ran.
    Broker,
    /// It was set for all brokers while they ran.
    BrokerDefaults,
    /// It is in the broker's file.
    File,
    /// Nobody has set it.
    Default,
    /// Something else, which this version of the library does not know.
    Other,
}

impl ConfigSource {
    fn of(number: i8) -> Self {
        match number {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::BrokerDefaults,
            4 => Self::File,
            5 => Self::Default,
            _ => Self::Other,
        }
    }
}

/// Changes to some settings of a topic or broker; the others stay as they are.
///
/// ```
/// use ottla::{ConfigChanges, ConfigResource};
///
/// let changes = ConfigChanges::of(ConfigResource::topic("events"))
///     .set("retention.ms", "3600000")
///     .append("cleanup.policy", "compact")
///     .reset("max.message.bytes");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ConfigChanges {
    resource: ConfigResource,
    changes: Vec<AlteredConfig>,
}

impl ConfigChanges {
    /// No change yet.
    pub fn of(resource: ConfigResource) -> Self {
        Self {
            resource,
            changes: Vec::new(),
        }
    }

    /// Sets a setting.
    pub fn set(self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.change(name.into(), ConfigChange::Set, Some(value.into()))
    }

    /// Makes a setting have its default again.
    pub fn reset(self, name: impl Into<Arc<str>>) -> Self {
        self.change(name.into(), ConfigChange::Delete, None)
    }

    /// Adds values, separated by commas, to a setting that is a list; brokers of Kafka 2.5 refuse while nobody has
    /// set it.
    pub fn append(self, name: impl Into<Arc<str>>, values: impl Into<Arc<str>>) -> Self {
        self.change(name.into(), ConfigChange::Append, Some(values.into()))
    }

    /// Removes values, separated by commas, from a setting that is a list.
    pub fn subtract(self, name: impl Into<Arc<str>>, values: impl Into<Arc<str>>) -> Self {
        self.change(name.into(), ConfigChange::Subtract, Some(values.into()))
    }

    fn change(mut self, name: Arc<str>, change: ConfigChange, value: Option<Arc<str>>) -> Self {
        self.changes.push(AlteredConfig {
            name,
            change,
            value,
        });
        self
    }
}

impl Admin {
    /// Reads every setting of topics and brokers, defaults included; each has its own result, in order. Kafka:
    /// `DescribeConfigs`.
    ///
    /// # Errors
    /// When no broker could be asked. A resource's own result has the broker's error, such as
    /// `UNKNOWN_TOPIC_OR_PARTITION`, or why its broker could not be asked.
    pub async fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
    ) -> Result<Vec<Result<Vec<ConfigEntry>>>> {
        let resources: Vec<_> = resources.into_iter().collect();
        let targets = resources.iter().map(ConfigResource::target).collect();
        let (admin, deadline) = (self.clone(), self.calls.deadline());
        ask_by_target(targets, move |target, places| {
            let (admin, resources) = (admin.clone(), pick(&resources, &places));
            async move { admin.describe_at(deadline, target, resources).await }
        })
        .await
    }

    async fn describe_at(
        &self,
        deadline: Instant,
        target: Option<BrokerId>,
        resources: Vec<ConfigResource>,
    ) -> Result<Vec<Result<Vec<ConfigEntry>>>> {
        let call = &DescribeConfigs {
            resources: resources.iter().map(ConfigResource::wire).collect(),
        };
        let answer = self
            .calls
            .retry_until(deadline, "describe configs", || async move {
                let connection = self.target(target).await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let codes = answer.resources.iter().map(|told| told.code);
                retry_all(codes, "describing settings")?;
                Ok(answer)
            })
            .await?;
        let result = |resource: &ConfigResource| {
            let context = || format!("describing the settings of {resource}");
            let wire = resource.wire();
            let told = answer.resources.iter().find(|told| told.resource == wire);
            let told = told.ok_or_else(|| unanswered(context()))?;
            refusal(told.code, told.message.as_ref(), context)?;
            let mut entries: Vec<_> = told.configs.iter().map(ConfigEntry::of).collect();
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        };
        Ok(resources.iter().map(result).collect())
    }

    /// Changes some settings of topics and brokers; each topic or broker has its own result, in order, and all or
    /// none of its changes. Kafka: `IncrementalAlterConfigs`.
    ///
    /// # Errors
    /// When no broker could be asked. A resource's own result has the broker's error, such as `INVALID_CONFIG`, or
    /// why its broker could not be asked.
    pub async fn alter_configs(
        &self,
        changes: impl IntoIterator<Item = ConfigChanges>,
    ) -> Result<Vec<Result<()>>> {
        let changes: Vec<_> = changes.into_iter().collect();
        let targets = changes.iter().map(|one| one.resource.target()).collect();
        let (admin, deadline) = (self.clone(), self.calls.deadline());
        ask_by_target(targets, move |target, places| {
            let (admin, changes) = (admin.clone(), pick(&changes, &places));
            async move { admin.alter_at(deadline, target, changes).await }
        })
        .await
    }

    async fn alter_at(
        &self,
        deadline: Instant,
        target: Option<BrokerId>,
        changes: Vec<ConfigChanges>,
    ) -> Result<Vec<Result<()>>> {
        let resources = changes.iter();
        let resources = resources.map(|one| (one.resource.wire(), one.changes.clone()));
        let call = &IncrementalAlterConfigs {
            resources: resources.collect(),
        };
        let answer = self
            .calls
            .retry_until(deadline, "alter configs", || async move {
                let connection = self.target(target).await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let codes = answer.resources.iter().map(|told| told.code);
                retry_all(codes, "changing settings")?;
                Ok(answer)
            })
            .await?;
        let result = |one: &ConfigChanges| {
            let context = || format!("changing the settings of {}", one.resource);
            let wire = one.resource.wire();
            let told = answer.resources.iter().find(|told| told.resource == wire);
            let told = told.ok_or_else(|| unanswered(context()))?;
            refusal(told.code, told.message.as_ref(), context)
        };
        Ok(changes.iter().map(result).collect())
    }

    async fn target(&self, target: Option<BrokerId>) -> Result<Connection> {
        match target {
            Some(id) => self.calls.cluster.broker(id, Purpose::Control).await,
            None => self.calls.cluster.any().await,
        }
    }
}

fn pick<T: Clone>(all: &[T], places: &[usize]) -> Vec<T> {
    let picked = places.iter().filter_map(|place| all.get(*place));
    picked.cloned().collect()
}

/// Asks each broker that has to be asked about its own items; `targets` has each item's, and `ask` gets their places.
async fn ask_by_target<R, F>(
    targets: Vec<Option<BrokerId>>,
    ask: impl Fn(Option<BrokerId>, Vec<usize>) -> F,
) -> Result<Vec<Result<R>>>
where
    F: Future<Output = Result<Vec<Result<R>>>> + Send + 'static,
    R: Send + 'static,
{
    let count = targets.len();
    let mut places: HashMap<_, Vec<usize>> = HashMap::new();
    for (place, target) in targets.into_iter().enumerate() {
        places.entry(target).or_default().push(place);
    }
    let groups: Vec<_> = places.into_iter().collect();
    let answers = each(groups.clone(), |(target, places)| ask(target, places)).await;
    let unasked = || Err(Error::RuntimeEnded { what: "client" });
    let mut outcomes: Vec<Result<R>> = (0..count).map(|_| unasked()).collect();
    for ((_, places), answer) in groups.into_iter().zip(answers) {
        let told: Vec<Result<R>> = match answer {
            Ok(told) => told,
            Err(error) => places.iter().map(|_| Err(error.clone())).collect(),
        };
        for (place, told) in places.into_iter().zip(told) {
            if let Some(outcome) = outcomes.get_mut(place) {
                *outcome = told;
            }
        }
    }
    unless_nobody_answered(outcomes)
}
