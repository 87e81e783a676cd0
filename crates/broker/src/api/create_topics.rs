//! CreateTopics: topics with their partitions and settings.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::topics::{Topic, is_valid_name};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, TopicId, Writer};

/// Kafka has no limit; one request must not take all memory.
pub(super) const MOST_PARTITIONS: i32 = 10_000;

pub(super) struct CreateTopics {
    topics: Vec<NewTopic>,
    validate_only: bool,
}

struct NewTopic {
    name: Name,
    /// -1 for the default, or for that of the assignments.
    partitions: i32,
    /// -1 for the default.
    replication: i16,
    /// Replicas by partition, if the client chose them.
    assignments: Vec<(i32, Vec<i32>)>,
    configs: Vec<(Name, Option<Name>)>,
}

pub(super) fn read(r: &mut Reader) -> Result<CreateTopics, Malformed> {
    let topics = r.array(|r| {
        let name = r.string()?;
        let partitions = r.i32()?;
        let replication = r.i16()?;
        let assignments = r.array(|r| {
            let assignment = (r.i32()?, r.array(Reader::i32)?);
            r.tagged(assignment)
        })?;
        let configs = r.array(|r| {
            let config = (r.string()?, r.nullable_string()?);
            r.tagged(config)
        })?;
        r.tagged(NewTopic {
            name,
            partitions,
            replication,
            assignments,
            configs,
        })
    })?;
    r.i32()?; // how long it may take
    let validate_only = r.bool()?;
    Ok(CreateTopics {
        topics,
        validate_only,
    })
}

/// A topic that was made.
struct Made {
    id: TopicId,
    partitions: i32,
    replication: i16,
}

/// A code with what is wrong.
type Refusal = (ErrorCode, String);

impl Call for CreateTopics {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::topics(self.topics.iter().map(|topic| topic.name.clone()))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.topics, |out, topic| {
            let mut why = None;
            let made = at.part(Some(&topic.name), None, |at| {
                create(at, topic, self.validate_only).map_err(|(code, message)| {
                    why = Some(message);
                    code
                })
            });
            out.string(&topic.name);
            let told = made.as_ref().ok();
            if out.version >= 7 {
                out.topic_id(told.map_or(TopicId::default(), |made| made.id));
            }
            out.code(code(&made));
            out.nullable_string(why.as_deref());
            if out.version >= 5 {
                out.i32(told.map_or(-1, |made| made.partitions));
                out.i16(told.map_or(-1, |made| made.replication));
                write_configs(told.and(at.state.topics.get(&topic.name)), out);
            }
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}

fn create(at: &mut At<'_>, topic: &NewTopic, validate_only: bool) -> Result<Made, Refusal> {
    let refuse = |code, why: String| Err((code, why));
    if at.state.topics.get(&topic.name).is_some() {
        let why = format!("Topic '{}' already exists.", topic.name);
        return refuse(ErrorCode::TOPIC_ALREADY_EXISTS, why);
    }
    if !is_valid_name(&topic.name) {
        let why = format!("'{}' is no name of a topic.", topic.name);
        return refuse(ErrorCode::INVALID_TOPIC_EXCEPTION, why);
    }
    let nodes = at.state.nodes.all().len();
    let (partitions, replication) = numbers(at.state, topic, nodes)?;
    if !at.state.has_room(partitions) {
        let why = "The cluster takes no more partitions.".to_owned();
        return refuse(ErrorCode::POLICY_VIOLATION, why);
    }
    let pairs = topic.configs.iter();
    let pairs = pairs.map(|(name, value)| (&**name, value.as_deref()));
    let configs = match at.state.settings.topic_configs().with(pairs) {
        Ok(configs) => configs,
        Err(why) => return refuse(ErrorCode::INVALID_CONFIG, why),
    };
    let mut id = TopicId::default();
    if !validate_only {
        let name = &topic.name;
        at.state
            .create_topic(name, partitions, Some(replication), configs);
        for (index, replicas) in &topic.assignments {
            at.state.assign_replicas(name, *index, replicas);
        }
        id = at.state.topics.get(name).map_or(id, |topic| topic.id);
    }
    Ok(Made {
        id,
        partitions,
        replication: replication as i16,
    })
}

/// How many partitions and replicas are meant.
fn numbers(state: &State, topic: &NewTopic, nodes: usize) -> Result<(i32, usize), Refusal> {
    if !topic.assignments.is_empty() {
        return assigned(state, topic);
    }
    let partitions = match topic.partitions {
        -1 => state.settings.default_partitions,
        n if (1..=MOST_PARTITIONS).contains(&n) => n,
        n => {
            let why = format!("Number of partitions must be 1 to {MOST_PARTITIONS}, not {n}.");
            return Err((ErrorCode::INVALID_PARTITIONS, why));
        }
    };
    let replication = match topic.replication {
        -1 => state.settings.replication.min(nodes),
        n => match usize::try_from(n) {
            Ok(n) if (1..=nodes).contains(&n) => n,
            _ => {
                let why = format!("Replication factor {n}, but there are {nodes} brokers.");
                return Err((ErrorCode::INVALID_REPLICATION_FACTOR, why));
            }
        },
    };
    Ok((partitions, replication))
}

/// The numbers of an assignment by hand: partitions 0, 1, 2 ..., each with as many replicas that exist.
fn assigned(state: &State, topic: &NewTopic) -> Result<(i32, usize), Refusal> {
    let refuse = |why: &str| Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, why.to_owned()));
    if topic.partitions != -1 || topic.replication != -1 {
        let why = "Numbers and an assignment exclude each other.".to_owned();
        return Err((ErrorCode::INVALID_REQUEST, why));
    }
    let mut indexes: Vec<i32> = topic.assignments.iter().map(|(index, _)| *index).collect();
    indexes.sort_unstable();
    let count = indexes.len() as i32;
    if count > MOST_PARTITIONS || !indexes.iter().copied().eq(0..count) {
        return refuse("Partitions must be numbered from 0, without gaps.");
    }
    let replication = topic.assignments.first().map_or(0, |(_, ids)| ids.len());
    let right = |ids: &[i32]| {
        ids.len() == replication && ids.iter().all(|id| state.nodes.get(*id).is_some())
    };
    if replication == 0 || !topic.assignments.iter().all(|(_, ids)| right(ids)) {
        return refuse("Every partition needs as many replicas, on brokers that exist.");
    }
    Ok((count, replication))
}

/// The new topic's settings.
fn write_configs(topic: Option<&Topic>, out: &mut Writer) {
    let told: Vec<_> = topic
        .iter()
        .flat_map(|topic| topic.configs.tell())
        .collect();
    out.array(told, |out, config| {
        out.string(config.name);
        out.nullable_string(Some(&config.value));
        out.bool(false);
        out.i8(config.source());
        out.bool(false);
        out.tags();
    });
}
