//! TxnOffsetCommit: where a group will go on, once a transaction is committed.

use super::committed_topics::CommittedTopics;
use super::transactions::{read_identity, told_by_verification};
use super::{At, Call, Step};
use crate::about::About;
use crate::state::transactions::{Identity, Verdict};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

/// From this version on the group becomes part of the transaction by the commit itself (KIP-890).
const JOINS: i16 = 5;
/// From this version on clients know `TRANSACTION_ABORTABLE`.
const KNOWS_ABORTABLE: i16 = 4;

pub(super) struct TxnOffsetCommit {
    transactional_id: Name,
    group: Name,
    producer: Identity,
    generation: i32,
    member_id: Name,
    instance: Option<Name>,
    topics: CommittedTopics,
}

pub(super) fn read(r: &mut Reader) -> Result<TxnOffsetCommit, Malformed> {
    let transactional_id = r.string()?;
    let group = r.string()?;
    let producer = read_identity(r)?;
    let (generation, member_id, instance) = if r.version >= 3 {
        (r.i32()?, r.string()?, r.nullable_string()?)
    } else {
        (-1, "".into(), None)
    };
    let topics = CommittedTopics::read(r, 2)?;
    Ok(TxnOffsetCommit {
        transactional_id,
        group,
        producer,
        generation,
        member_id,
        instance,
        topics,
    })
}

impl Call for TxnOffsetCommit {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About {
            topics: self.topics.partitions(),
            ..About::group(&self.group).with_transaction(Some(&self.transactional_id))
        }
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        let allowed = self.check(at, out.version);
        out.throttle();
        let id = self.producer.id;
        self.topics
            .answer(at, out, allowed, |at, topic, partition, committed| {
                at.state.in_any_group(&self.group, |group| {
                    group.offsets.commit_later(id, topic, partition, committed)
                })
            });
        Step::Answer
    }
}

impl TxnOffsetCommit {
    fn check(&self, at: &mut At<'_>, version: i16) -> Result<(), ErrorCode> {
        at.authorize_transaction(&self.transactional_id)?;
        at.coordinates(&self.group)?;
        // A test's own error comes before there is anything to undo.
        if let Some(forced) = at.forced_refusal() {
            return Err(forced);
        }
        // As Kafka does: the group is part of the transaction even where its member is refused.
        let enrolled = self.enroll(at, version);
        let busy = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        enrolled.map_err(|code| told_by_verification(code, busy))?;
        let now = at.now.up;
        let known = at.state.in_group(&self.group, |group| {
            let classic = group.classic_mut();
            let instance = self.instance.as_deref();
            classic.check_transactional_commit(&self.member_id, instance, self.generation)?;
            classic.heard_of(&self.member_id, now);
            Ok(())
        });
        match known {
            Some(result) => result?,
            None if !at.state.groups.has_room(&self.group) => {
                return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
            }
            None if self.generation >= 0 => return Err(ErrorCode::ILLEGAL_GENERATION),
            None => {}
        }
        Ok(())
    }

    /// The group is part of the transaction, or becomes it.
    fn enroll(&self, at: &mut At<'_>, version: i16) -> Result<(), ErrorCode> {
        let (id, producer, now) = (&self.transactional_id, self.producer, at.now);
        if version >= JOINS && at.state.bumps_epochs() {
            return at.state.join_transaction(id, producer, now, |transaction| {
                transaction.groups.insert(self.group.clone());
            });
        }
        let found = at.state.verify_transaction(id, producer, |transaction| {
            transaction.groups.contains(&self.group)
        });
        match found? {
            Verdict::Part => Ok(()),
            Verdict::NoPart if version >= KNOWS_ABORTABLE => Err(ErrorCode::TRANSACTION_ABORTABLE),
            Verdict::NoPart => Err(ErrorCode::INVALID_TXN_STATE),
        }
    }
}
