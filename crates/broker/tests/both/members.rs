//! Members that go, and what the others are told.

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::*;

use super::groups::{alone, describe_until, heartbeat, join, new_id, note_join, note_sync, sync};
use super::talk::{Talk, code, s};

async fn leave(talk: &mut Talk, what: &str, id: &str) {
    let member = MemberIdentity::default().with_member_id(s(id));
    let request = LeaveGroupRequest::default()
        .with_group_id(talk.group_id("g"))
        .with_members(vec![member]);
    let answer = talk.ask(4, &request).await;
    let codes: Vec<_> = answer.members.iter().map(|m| code(m.error_code)).collect();
    talk.note(what, (code(answer.error_code), codes));
    let old = LeaveGroupRequest::default()
        .with_group_id(talk.group_id("g"))
        .with_member_id(s(id));
    let answer = talk.ask(2, &old).await;
    talk.note("and again, in an old version", code(answer.error_code));
}

pub(crate) async fn leave_and_come(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    talk.coordinator("g").await;
    leave(talk, "no such group", "x").await;
    let one = alone(talk).await;
    leave(talk, "no such member", "x").await;
    // A second one joins, and the leader goes before it has assigned.
    let two = new_id(talk).await;
    let mut line = talk.another().await;
    line.send(9, &join(talk, &two, None)).await;
    describe_until(talk, "PreparingRebalance").await;
    let again = join(talk, &one, None);
    let first = talk.ask(9, &again).await;
    let second = line.receive::<JoinGroupRequest>(9).await;
    note_join(talk, "the leader", &first);
    note_join(talk, "the follower", &second);
    line.send(5, &sync(talk, &two, 2, &[])).await;
    leave(talk, "the leader goes", &one).await;
    let answer = line.receive::<SyncGroupRequest>(5).await;
    note_sync(talk, "the follower is told", &answer);
    heartbeat(talk, "and by its heartbeat", &two, 2).await;
    let again = join(talk, &two, None);
    let answer = talk.ask(9, &again).await;
    note_join(talk, "and leads", &answer);
    // An id that never joined goes, too.
    let three = new_id(talk).await;
    leave(talk, "an id that has not joined", &three).await;
    let request = sync(talk, &two, 3, &[&two]);
    let answer = talk.ask(5, &request).await;
    note_sync(talk, "has all of it", &answer);
    leave(talk, "the last one goes", &two).await;
    heartbeat(talk, "nobody is left", &two, 3).await;
    describe_until(talk, "Empty").await;
    // The leader of a stable group that joins again asks for a new assignment.
    let id = {
        let id = new_id(talk).await;
        let request = join(talk, &id, None);
        let answer = talk.ask(9, &request).await;
        note_join(talk, "a new beginning", &answer);
        id
    };
    let request = sync(talk, &id, 5, &[&id]);
    let answer = talk.ask(5, &request).await;
    note_sync(talk, "a new beginning", &answer);
    let request = join(talk, &id, None);
    let answer = talk.ask(9, &request).await;
    note_join(talk, "a leader that joins again", &answer);
}
