//! DeleteTopics: topics go, with their records and the offsets committed for them.

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::sessions::TopicRef;
use crate::state::{NodeId, State};
use crate::wire::{Malformed, Reader, TopicId, Writer};

pub(super) struct DeleteTopics {
    topics: Vec<TopicRef>,
}

pub(super) fn read(r: &mut Reader) -> Result<DeleteTopics, Malformed> {
    let topics = if r.version >= 6 {
        r.array(|r| {
            let topic = match (r.nullable_string()?, r.topic_id()?) {
                (Some(name), _) => TopicRef::Name(name),
                (None, id) => TopicRef::Id(id),
            };
            r.tagged(topic)
        })?
    } else {
        r.array(|r| Ok(TopicRef::Name(r.string()?)))?
    };
    r.i32()?; // how long it may take
    Ok(DeleteTopics { topics })
}

impl Call for DeleteTopics {
    fn about(&self, state: &State, _node: NodeId) -> About {
        About::topics(self.topics.iter().filter_map(|topic| topic.name(state)))
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.topics, |out, topic| {
            let name = topic.name(at.state);
            let known = name.as_ref().and_then(|name| at.state.topics.get(name));
            let id = known.map(|topic| topic.id);
            let deleted = at.part(name.as_deref(), None, |at| {
                let name = name.as_ref().ok_or(topic.unknown())?;
                at.state.delete_topic(name)
            });
            if out.version >= 6 {
                out.nullable_string(name.as_deref());
                out.topic_id(match topic {
                    TopicRef::Id(id) => *id,
                    TopicRef::Name(_) => id.unwrap_or(TopicId::default()),
                });
            } else {
                out.string(name.as_deref().unwrap_or_default());
            }
            out.code(code(&deleted));
            if out.version >= 5 {
                out.nullable_string(None);
            }
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}
