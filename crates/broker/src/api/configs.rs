//! DescribeConfigs and IncrementalAlterConfigs: what topics are set to; brokers tell a few settings and keep them.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::configs::{Told, TopicConfigs};
use crate::state::topics::is_valid_name;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// A topic or broker.
struct Resource {
    kind: i8,
    name: Name,
}

impl Resource {
    fn topic(&self) -> Option<&str> {
        (self.kind == TOPIC).then_some(&*self.name)
    }
}

/// A code with what is wrong.
type Refusal = (ErrorCode, String);

pub(super) struct DescribeConfigs {
    /// With the settings asked for; `None` for all.
    resources: Vec<(Resource, Option<Vec<Name>>)>,
    synonyms: bool,
}

pub(super) fn read_describe(r: &mut Reader) -> Result<DescribeConfigs, Malformed> {
    let resources = r.array(|r| {
        let resource = Resource {
            kind: r.i8()?,
            name: r.string()?,
        };
        let keys = r.nullable_array(Reader::string)?;
        r.tagged((resource, keys))
    })?;
    let synonyms = r.bool()?;
    if r.version >= 3 {
        r.bool()?; // nothing is documented here
    }
    Ok(DescribeConfigs {
        resources,
        synonyms,
    })
}

impl Call for DescribeConfigs {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        let topics = self.resources.iter().filter(|(of, _)| of.kind == TOPIC);
        About::topics(topics.map(|(of, _)| of.name.clone()))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.resources, |out, (resource, keys)| {
            let mut why = None;
            let told = at.part(Some(&resource.name), None, |at| {
                at.authorize_configs(resource.topic())?;
                describe(at.state, resource).map_err(|(code, message)| {
                    why = Some(message);
                    code
                })
            });
            out.code(code(&told));
            out.nullable_string(why.as_deref());
            out.i8(resource.kind);
            out.string(&resource.name);
            let mut told = told.unwrap_or_default();
            if let Some(keys) = keys.as_ref().filter(|keys| !keys.is_empty()) {
                told.retain(|one| keys.iter().any(|key| **key == *one.name));
            }
            out.array(told, |out, one| {
                write_config(&one, resource.kind, self.synonyms, out);
            });
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}

fn describe(state: &State, resource: &Resource) -> Result<Vec<Told>, Refusal> {
    match resource.kind {
        TOPIC => {
            let topic = state.topics.get(&resource.name);
            let topic = topic.ok_or_else(|| unknown_topic(&resource.name))?;
            Ok(topic.configs.tell().collect())
        }
        BROKER => {
            let id = resource.name.parse::<i32>().ok();
            let known = id.is_some_and(|id| state.nodes.get(id).is_some());
            if !known && !resource.name.is_empty() {
                let why = format!(
                    "Broker id must be one of the cluster's, not {}",
                    resource.name
                );
                return Err((ErrorCode::INVALID_REQUEST, why));
            }
            Ok(broker(state))
        }
        kind => {
            let why = format!("Resource type {kind} has no settings here");
            Err((ErrorCode::INVALID_REQUEST, why))
        }
    }
}

fn unknown_topic(name: &str) -> Refusal {
    if is_valid_name(name) {
        let why = "This server does not host this topic-partition.".to_owned();
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, why)
    } else {
        let why = format!("'{name}' is no name of a topic.");
        (ErrorCode::INVALID_TOPIC_EXCEPTION, why)
    }
}

/// A broker's settings that differ from one cluster to the next.
fn broker(state: &State) -> Vec<Told> {
    let settings = &state.settings;
    let told = |name, value: String, default, kind| Told {
        is_set: value != default,
        name,
        value,
        default,
        kind,
    };
    vec![
        told(
            "auto.create.topics.enable",
            settings.auto_create_topics.to_string(),
            "true",
            1,
        ),
        told(
            "default.replication.factor",
            settings.replication.to_string(),
            "1",
            3,
        ),
        told(
            "num.partitions",
            settings.default_partitions.to_string(),
            "1",
            3,
        ),
        told(
            "socket.request.max.bytes",
            settings.max_request_bytes.to_string(),
            "104857600",
            3,
        ),
    ]
}

fn write_config(told: &Told, resource: i8, synonyms: bool, out: &mut Writer) {
    // A broker's are static: set when it was started.
    let source = match resource {
        BROKER if told.is_set => 4,
        _ => told.source(),
    };
    out.string(told.name);
    out.nullable_string(Some(&told.value));
    out.bool(resource == BROKER);
    out.i8(source);
    out.bool(false);
    let mut values = Vec::new();
    if synonyms && told.is_set {
        values.push((&*told.value, source));
    }
    if synonyms {
        values.push((told.default, 5));
    }
    out.array(values, |out, (value, source)| {
        out.string(told.name);
        out.nullable_string(Some(value));
        out.i8(source);
        out.tags();
    });
    if out.version >= 3 {
        out.i8(told.kind);
        out.nullable_string(None);
    }
    out.tags();
}

pub(super) struct IncrementalAlterConfigs {
    resources: Vec<(Resource, Vec<Change>)>,
    validate_only: bool,
}

struct Change {
    name: Name,
    operation: i8,
    value: Option<Name>,
}

pub(super) fn read_alter(r: &mut Reader) -> Result<IncrementalAlterConfigs, Malformed> {
    let resources = r.array(|r| {
        let resource = Resource {
            kind: r.i8()?,
            name: r.string()?,
        };
        let changes = r.array(|r| {
            let change = Change {
                name: r.string()?,
                operation: r.i8()?,
                value: r.nullable_string()?,
            };
            r.tagged(change)
        })?;
        r.tagged((resource, changes))
    })?;
    let validate_only = r.bool()?;
    Ok(IncrementalAlterConfigs {
        resources,
        validate_only,
    })
}

impl Call for IncrementalAlterConfigs {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        let topics = self.resources.iter().filter(|(of, _)| of.kind == TOPIC);
        About::topics(topics.map(|(of, _)| of.name.clone()))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.resources, |out, (resource, changes)| {
            let mut why = None;
            let done = at.part(Some(&resource.name), None, |at| {
                at.authorize_configs(resource.topic())?;
                alter(at.state, resource, changes, self.validate_only).map_err(|(code, message)| {
                    why = Some(message);
                    code
                })
            });
            out.code(code(&done));
            out.nullable_string(why.as_deref());
            out.i8(resource.kind);
            out.string(&resource.name);
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}

fn alter(
    state: &mut State,
    resource: &Resource,
    changes: &[Change],
    validate_only: bool,
) -> Result<(), Refusal> {
    if resource.kind != TOPIC {
        let why = "Only topics can be changed here".to_owned();
        return Err((ErrorCode::INVALID_REQUEST, why));
    }
    let topic = state.topics.get_mut(&resource.name);
    let topic = topic.ok_or_else(|| unknown_topic(&resource.name))?;
    // All of it or nothing.
    let mut configs = topic.configs.clone();
    for change in changes {
        apply(&mut configs, change)?;
    }
    if !validate_only {
        topic.configs = configs;
    }
    Ok(())
}

fn apply(configs: &mut TopicConfigs, change: &Change) -> Result<(), Refusal> {
    let name = &change.name;
    let invalid = |why| (ErrorCode::INVALID_CONFIG, why);
    if change.operation == 1 {
        configs.unset(name);
        return Ok(());
    }
    let Some(value) = change.value.as_deref() else {
        let why = format!("Null value not supported for : {name}");
        return Err((ErrorCode::INVALID_REQUEST, why));
    };
    if change.operation == 0 {
        return configs.set(name, value).map_err(invalid);
    }
    if **name != *"cleanup.policy" {
        let why = format!("Config value append is not allowed for config key: {name}");
        return Err(invalid(why));
    }
    let before = configs.get(name).unwrap_or_default();
    let mut list: Vec<&str> = before.split(',').filter(|one| *one != value).collect();
    if change.operation == 2 {
        list.push(value);
    }
    let list = list.join(",");
    configs.set(name, &list).map_err(invalid)
}
