//! CreatePartitions: a topic gets more partitions.

use super::create_topics::MOST_PARTITIONS;
use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct CreatePartitions {
    topics: Vec<More>,
    validate_only: bool,
}

struct More {
    name: Name,
    /// How many there are to be altogether.
    count: i32,
    /// The replicas of each new one, if the client chose them.
    assignments: Option<Vec<Vec<i32>>>,
}

pub(super) fn read(r: &mut Reader) -> Result<CreatePartitions, Malformed> {
    let topics = r.array(|r| {
        let name = r.string()?;
        let count = r.i32()?;
        let assignments = r.nullable_array(|r| {
            let replicas = r.array(Reader::i32)?;
            r.tagged(replicas)
        })?;
        r.tagged(More {
            name,
            count,
            assignments,
        })
    })?;
    r.i32()?; // how long it may take
    let validate_only = r.bool()?;
    Ok(CreatePartitions {
        topics,
        validate_only,
    })
}

impl Call for CreatePartitions {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About::topics(self.topics.iter().map(|topic| topic.name.clone()))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.topics, |out, topic| {
            let mut why = None;
            let done = at.part(Some(&topic.name), None, |at| {
                add(at.state, topic, self.validate_only).map_err(|(code, message)| {
                    why = Some(message);
                    code
                })
            });
            out.string(&topic.name);
            out.code(code(&done));
            out.nullable_string(why.as_deref());
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}

fn add(state: &mut State, more: &More, validate_only: bool) -> Result<(), (ErrorCode, String)> {
    let Some(topic) = state.topics.get(&more.name) else {
        let why = "This server does not host this topic-partition.".to_owned();
        return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, why));
    };
    let before = topic.partitions.len() as i32;
    let first = topic.partitions.first();
    let replication = first.map_or(1, |partition| partition.replicas.len());
    if more.count <= before || more.count > MOST_PARTITIONS {
        let why = format!(
            "The topic {} currently has {before} partition(s); {} would not be an increase, or too many.",
            more.name, more.count
        );
        return Err((ErrorCode::INVALID_PARTITIONS, why));
    }
    let added = more.count - before;
    if let Some(assignments) = &more.assignments {
        let right = |ids: &Vec<i32>| {
            ids.len() == replication && ids.iter().all(|id| state.nodes.get(*id).is_some())
        };
        if assignments.len() != added as usize || !assignments.iter().all(right) {
            let why = format!("{added} new partitions need {replication} existing replicas each.");
            return Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, why));
        }
    }
    if !state.has_room(added) {
        let why = "The cluster takes no more partitions.".to_owned();
        return Err((ErrorCode::POLICY_VIOLATION, why));
    }
    if validate_only {
        return Ok(());
    }
    state.add_partitions(&more.name, added, replication);
    for (index, replicas) in (before..).zip(more.assignments.iter().flatten()) {
        state.assign_replicas(&more.name, index, replicas);
    }
    Ok(())
}
