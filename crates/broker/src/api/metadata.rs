//! Metadata: the nodes, and the topics with their leaders; makes topics when they are first asked for.

use super::leaders;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::sessions::TopicRef;
use crate::state::topics::{Partition, Topic, is_valid_name};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Reader, TopicId, Writer};

/// Where a client asked not to be told what it may do (KIP-430).
const NOT_ASKED: i32 = i32::MIN;

pub(super) struct Metadata {
    /// `None` for all.
    topics: Option<Vec<TopicRef>>,
    create: bool,
}

pub(super) fn read(r: &mut Reader) -> Result<Metadata, Malformed> {
    let topics = r.nullable_array(|r| {
        let id = if r.version >= 10 {
            r.topic_id()?
        } else {
            TopicId::default()
        };
        let name = if r.version >= 10 {
            r.nullable_string()?
        } else {
            Some(r.string()?)
        };
        r.tagged(match name {
            Some(name) => TopicRef::Name(name),
            None => TopicRef::Id(id),
        })
    })?;
    // The oldest version has no null for "all".
    let topics = topics.filter(|topics| r.version > 0 || !topics.is_empty());
    let create = if r.version >= 4 { r.bool()? } else { true };
    if (8..=10).contains(&r.version) {
        r.bool()?;
    }
    if r.version >= 8 {
        r.bool()?;
    }
    Ok(Metadata { topics, create })
}

impl Call for Metadata {
    fn about(&self, state: &State, _node: NodeId) -> About {
        match &self.topics {
            Some(topics) => About::topics(topics.iter().filter_map(|topic| topic.name(state))),
            None => About::topics(state.topics.iter().map(|(name, _)| name.clone())),
        }
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let whole = at.forced_whole();
        let topics: Vec<_> = match &self.topics {
            Some(topics) => topics
                .iter()
                .map(|topic| (topic.clone(), find(at, topic, self.create)))
                .collect(),
            None => {
                let names = at.state.topics.iter();
                let mut names: Vec<_> = names.map(|(name, _)| name.clone()).collect();
                names.retain(|name| at.authorize_topic(name).is_ok());
                let each = names.into_iter().map(|name| {
                    let found = at.part(Some(&name), None, |_| Ok(()));
                    (TopicRef::Name(name), found)
                });
                each.collect()
            }
        };
        if out.version >= 3 {
            out.throttle();
        }
        write_nodes(at, out);
        out.array(topics, |out, (topic, found)| {
            write_topic(at.state, &topic, found, out);
        });
        if (8..=10).contains(&out.version) {
            out.i32(NOT_ASKED);
        }
        if out.version >= 13 {
            out.code(whole.unwrap_or(ErrorCode::NONE));
        }
        out.tags();
        Step::Answer
    }
}

/// Whether the topic is there, made just now if need be.
fn find(at: &mut At<'_>, topic: &TopicRef, create: bool) -> Result<(), ErrorCode> {
    let name = topic.name(at.state).ok_or(topic.unknown())?;
    if matches!(topic, TopicRef::Id(_)) && at.authorize_topic(&name).is_err() {
        return Err(topic.unknown());
    }
    at.part(Some(&name), None, |at| {
        if at.state.topics.get(&name).is_some() {
            return Ok(());
        }
        if !is_valid_name(&name) {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        if !create || !at.state.settings.auto_create_topics {
            return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        }
        at.authorize_creation(&name)?;
        let partitions = at.state.settings.default_partitions;
        if !at.state.has_room(partitions) {
            return Err(ErrorCode::POLICY_VIOLATION);
        }
        let configs = at.state.settings.topic_configs();
        at.state.create_topic(&name, partitions, None, configs);
        Ok(())
    })
}

fn write_nodes(at: &At<'_>, out: &mut Writer) {
    let alive: Vec<_> = at.state.nodes.alive().collect();
    out.array(alive, |out, node| {
        out.i32(node.id);
        leaders::write_address(out, at, node.id);
        if out.version >= 1 {
            out.nullable_string(None);
        }
        out.tags();
    });
    if out.version >= 2 {
        out.nullable_string(Some(&at.state.cluster_id));
    }
    if out.version >= 1 {
        out.i32(at.state.nodes.controller());
    }
}

fn write_topic(state: &State, asked: &TopicRef, found: Result<(), ErrorCode>, out: &mut Writer) {
    let name = asked.name(state);
    let topic = name.as_ref().and_then(|name| state.topics.get(name));
    let topic = topic.filter(|_| found.is_ok());
    out.code(found.err().unwrap_or(ErrorCode::NONE));
    if out.version >= 12 {
        out.nullable_string(name.as_deref());
    } else {
        out.string(name.as_deref().unwrap_or_default());
    }
    if out.version >= 10 {
        let asked_id = match asked {
            TopicRef::Id(id) => *id,
            TopicRef::Name(_) => TopicId::default(),
        };
        out.topic_id(topic.map_or(asked_id, |topic| topic.id));
    }
    if out.version >= 1 {
        out.bool(false);
    }
    let partitions = topic.map(|topic: &Topic| topic.partitions.as_slice());
    let partitions = partitions.unwrap_or_default();
    out.array(partitions.iter().enumerate(), |out, (index, partition)| {
        write_partition(state, index as i32, partition, out);
    });
    if out.version >= 8 {
        out.i32(NOT_ASKED);
    }
    out.tags();
}

fn write_partition(state: &State, index: i32, partition: &Partition, out: &mut Writer) {
    let (alive, gone): (Vec<i32>, Vec<i32>) = partition
        .replicas
        .iter()
        .partition(|id| state.nodes.is_alive(**id));
    out.code(match partition.leader {
        Some(_) => ErrorCode::NONE,
        None => ErrorCode::LEADER_NOT_AVAILABLE,
    });
    out.i32(index);
    out.i32(partition.leader.unwrap_or(-1));
    if out.version >= 7 {
        out.i32(partition.epoch);
    }
    out.array(&partition.replicas, |out, id| out.i32(*id));
    out.array(alive, Writer::i32);
    if out.version >= 5 {
        out.array(gone, Writer::i32);
    }
    out.tags();
}
