//! OffsetFetch: where groups go on.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::groups::{Committed, Group};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct OffsetFetch {
    /// One before version 8.
    groups: Vec<Question>,
    /// Offsets that a transaction will change are not told, but that they will change.
    stable: bool,
}

struct Question {
    group: Name,
    /// `None` for all that was committed.
    topics: Option<Vec<(Name, Vec<i32>)>>,
}

pub(super) fn read(r: &mut Reader) -> Result<OffsetFetch, Malformed> {
    let groups = if r.version <= 7 {
        let group = r.string()?;
        let topics = r.nullable_array(read_topic)?;
        vec![Question { group, topics }]
    } else {
        r.array(|r| {
            let group = r.string()?;
            if r.version >= 9 {
                r.nullable_string()?; // the member's id and epoch, in the newer protocol
                r.i32()?;
            }
            let topics = r.nullable_array(read_topic)?;
            r.tagged(Question { group, topics })
        })?
    };
    let stable = r.version >= 7 && r.bool()?;
    Ok(OffsetFetch { groups, stable })
}

fn read_topic(r: &mut Reader) -> Result<(Name, Vec<i32>), Malformed> {
    let topic = (r.string()?, r.array(Reader::i32)?);
    r.tagged(topic)
}

/// Partitions by topic.
type Answer = Vec<(Name, Vec<(i32, Found)>)>;
/// `None` where nothing was committed.
type Found = Result<Option<Committed>, ErrorCode>;

impl Call for OffsetFetch {
    fn about(&self, state: &State, _node: NodeId) -> About {
        let mut about = About::groups(self.groups.iter().map(|asked| asked.group.clone()));
        for asked in &self.groups {
            match &asked.topics {
                Some(topics) => about.topics.extend(topics.iter().flat_map(|(name, parts)| {
                    let parts = parts.iter();
                    parts.map(move |partition| (name.clone(), Some(*partition)))
                })),
                None => about.topics.extend(committed(state, &asked.group)),
            }
        }
        about
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        if out.version >= 3 {
            out.throttle();
        }
        if out.version >= 8 {
            out.array(&self.groups, |out, question| {
                let answer = find(at, question, self.stable);
                out.string(&question.group);
                write(&answer, out);
                out.code(code(&answer));
                out.tags();
            });
        } else if let Some(question) = self.groups.first() {
            let answer = find(at, question, self.stable);
            // The oldest version has no place for an error but beside each offset.
            let answer = if out.version == 1 && answer.is_err() {
                write_errors(question, code(&answer), out);
                return Step::Answer;
            } else {
                answer
            };
            write(&answer, out);
            if out.version >= 2 {
                out.code(code(&answer));
            }
        }
        out.tags();
        Step::Answer
    }
}

fn find(at: &mut At<'_>, question: &Question, stable: bool) -> Result<Answer, ErrorCode> {
    at.group_part(&question.group, |at| {
        at.is_coordinator(&question.group)?;
        let group = at.state.groups.get(&question.group);
        Ok(match &question.topics {
            Some(topics) => topics
                .iter()
                .map(|(name, partitions)| {
                    let allowed = at.authorize_topic(name);
                    let found = |p: &i32| {
                        let committed = group.and_then(|g| g.offsets.get(name, *p));
                        let told = match allowed {
                            Ok(()) => unless_unstable(group, stable, name, *p, committed.cloned()),
                            Err(code) => Err(code),
                        };
                        (*p, told)
                    };
                    (name.clone(), partitions.iter().map(found).collect())
                })
                .collect(),
            None => {
                let mut all = group.map(|group| all(group, stable)).unwrap_or_default();
                all.retain(|(name, _)| at.authorize_topic(name).is_ok());
                all
            }
        })
    })
}

fn unless_unstable(
    group: Option<&Group>,
    stable: bool,
    topic: &Name,
    partition: i32,
    found: Option<Committed>,
) -> Found {
    if stable && group.is_some_and(|group| group.offsets.is_unstable(topic, partition)) {
        Err(ErrorCode::UNSTABLE_OFFSET_COMMIT)
    } else {
        Ok(found)
    }
}

fn all(group: &Group, stable: bool) -> Answer {
    let mut all: Answer = Vec::new();
    for (name, partition, committed) in group.offsets.iter() {
        let found = Some(committed.clone());
        let one = unless_unstable(Some(group), stable, name, partition, found);
        let one = (partition, one);
        match all.last_mut() {
            Some((last, partitions)) if last == name => partitions.push(one),
            _ => all.push((name.clone(), vec![one])),
        }
    }
    all
}

fn write(answer: &Result<Answer, ErrorCode>, out: &mut Writer) {
    let topics = answer.as_deref().unwrap_or_default();
    out.array(topics, |out, (name, partitions)| {
        out.string(name);
        out.array(partitions, |out, (partition, found)| {
            let committed = found.as_ref().ok().and_then(Option::as_ref);
            write_one(*partition, committed, code(found), out);
        });
        out.tags();
    });
}

fn write_errors(question: &Question, code: ErrorCode, out: &mut Writer) {
    let topics = question.topics.as_deref().unwrap_or_default();
    out.array(topics, |out, (name, partitions)| {
        out.string(name);
        out.array(partitions, |out, partition| {
            write_one(*partition, None, code, out);
        });
    });
}

fn write_one(partition: i32, committed: Option<&Committed>, code: ErrorCode, out: &mut Writer) {
    out.i32(partition);
    out.i64(committed.map_or(-1, |committed| committed.offset));
    if out.version >= 5 {
        out.i32(committed.map_or(-1, |committed| committed.leader_epoch));
    }
    let metadata = committed.map(|committed| &*committed.metadata);
    out.nullable_string(Some(metadata.unwrap_or_default()));
    out.code(code);
    out.tags();
}

/// Where the group has committed anything.
fn committed(state: &State, group: &str) -> Vec<(Name, Option<i32>)> {
    let offsets = state.groups.get(group).map(|group| group.offsets.iter());
    let each = offsets.into_iter().flatten();
    each.map(|(topic, partition, _)| (topic.clone(), Some(partition)))
        .collect()
}
