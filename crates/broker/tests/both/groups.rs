//! The classic group protocol and committed offsets.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;

use super::talk::{Talk, code, s};

/// A subscription as consumers write it.
fn subscription(topic: &str) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    out.put_i32(1);
    out.put_i16(topic.len() as i16);
    out.put_slice(topic.as_bytes());
    out.put_i32(-1); // user data
    out.put_i32(0); // owned partitions
    out.freeze()
}

pub(crate) fn join(talk: &Talk, id: &str, instance: Option<&str>) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(s("range"))
        .with_metadata(subscription(&talk.name("t")));
    JoinGroupRequest::default()
        .with_group_id(talk.group_id("g"))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(20_000)
        .with_member_id(s(id))
        .with_group_instance_id(instance.map(s))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol])
}

pub(crate) fn sync(talk: &Talk, id: &str, generation: i32, to: &[&str]) -> SyncGroupRequest {
    let assignments = to.iter().enumerate().map(|(at, id)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(s(id))
            .with_assignment(format!("part {at}").into())
    });
    SyncGroupRequest::default()
        .with_group_id(talk.group_id("g"))
        .with_member_id(s(id))
        .with_generation_id(generation)
        .with_protocol_type(Some(s("consumer")))
        .with_protocol_name(Some(s("range")))
        .with_assignments(assignments.collect())
}

/// Without the ids, which are random.
pub(crate) fn note_join(talk: &mut Talk, what: &str, answer: &JoinGroupResponse) {
    let names = (&answer.protocol_type, &answer.protocol_name);
    let leads = answer.leader == answer.member_id;
    let told = (
        code(answer.error_code),
        answer.generation_id,
        names,
        leads,
        answer.skip_assignment,
        answer.members.len(),
    );
    talk.note(what, told);
}

pub(crate) fn note_sync(talk: &mut Talk, what: &str, answer: &SyncGroupResponse) {
    let names = (&answer.protocol_type, &answer.protocol_name);
    talk.note(what, (code(answer.error_code), names, &answer.assignment));
}

/// An id that the coordinator gave out, not joined yet.
pub(crate) async fn new_id(talk: &mut Talk) -> String {
    let request = join(talk, "", None);
    let answer = talk.ask(9, &request).await;
    note_join(talk, "without an id", &answer);
    answer.member_id.to_string()
}

pub(crate) async fn heartbeat(talk: &mut Talk, what: &str, id: &str, generation: i32) {
    let request = HeartbeatRequest::default()
        .with_group_id(talk.group_id("g"))
        .with_member_id(s(id))
        .with_generation_id(generation);
    let answer = talk.ask(4, &request).await;
    talk.note(what, code(answer.error_code));
}

/// A group of one stable member in generation 1.
pub(crate) async fn alone(talk: &mut Talk) -> String {
    let id = new_id(talk).await;
    let request = join(talk, &id, None);
    let answer = talk.ask(9, &request).await;
    note_join(talk, "joined", &answer);
    let request = sync(talk, &id, 1, &[&id]);
    let answer = talk.ask(5, &request).await;
    note_sync(talk, "synced", &answer);
    id
}

pub(crate) async fn a_life(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    talk.coordinator("g").await;
    let one = alone(talk).await;
    heartbeat(talk, "lives", &one, 1).await;
    heartbeat(talk, "a wrong generation", &one, 2).await;
    // A second one comes.
    let two = new_id(talk).await;
    let mut line = talk.another().await;
    line.send(9, &join(talk, &two, None)).await;
    describe_until(talk, "PreparingRebalance").await;
    heartbeat(talk, "is to join again", &one, 1).await;
    let again = join(talk, &one, None);
    let first = talk.ask(9, &again).await;
    let second = line.receive::<JoinGroupRequest>(9).await;
    note_join(talk, "the first again", &first);
    note_join(talk, "the second", &second);
    heartbeat(talk, "before it is synced", &one, 2).await;
    let again = join(talk, &one, None);
    let answer = talk.ask(9, &again).await;
    note_join(talk, "whose answer was lost", &answer);
    line.send(5, &sync(talk, &two, 2, &[])).await;
    let request = sync(talk, &one, 2, &[&one, &two]);
    let first = talk.ask(5, &request).await;
    let second = line.receive::<SyncGroupRequest>(5).await;
    note_sync(talk, "the leader's part", &first);
    note_sync(talk, "the other's part", &second);
    let request = sync(talk, &two, 2, &[]);
    let answer = talk.ask(5, &request).await;
    note_sync(talk, "asked for again", &answer);
    let again = join(talk, &two, None);
    let answer = talk.ask(9, &again).await;
    note_join(talk, "a follower that changes nothing", &answer);
    heartbeat(talk, "which disturbs nobody", &one, 2).await;
}

/// Waits until the group says that it is in this state.
pub(crate) async fn describe_until(talk: &mut Talk, state: &str) {
    let request = DescribeGroupsRequest::default().with_groups(vec![talk.group_id("g")]);
    while &*talk.ask(5, &request).await.groups[0].group_state != state {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

pub(crate) async fn refused_members(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    talk.coordinator("g").await;
    heartbeat(talk, "no such group", "x", 1).await;
    let request = sync(talk, "x", 1, &[]);
    let answer = talk.ask(5, &request).await;
    note_sync(talk, "sync, no such group", &answer);
    let mut stranger = join(talk, "x", None);
    let answer = talk.ask(9, &stranger).await;
    note_join(talk, "join, no such group", &answer);
    let id = alone(talk).await;
    let answer = talk.ask(9, &stranger).await;
    note_join(talk, "join, no such member", &answer);
    heartbeat(talk, "no such member", "x", 1).await;
    for (what, timeout) in [("too short", 5_999), ("too long", 1_800_001)] {
        let mut request = join(talk, "", None);
        request.session_timeout_ms = timeout;
        let answer = talk.ask(9, &request).await;
        note_join(talk, what, &answer);
    }
    stranger.member_id = s("");
    stranger.protocols[0].name = s("other");
    let answer = talk.ask(9, &stranger).await;
    note_join(talk, "another protocol", &answer);
    stranger.protocol_type = s("other");
    let answer = talk.ask(9, &stranger).await;
    note_join(talk, "another type", &answer);
    stranger.protocols.clear();
    let answer = talk.ask(9, &stranger).await;
    note_join(talk, "no protocol", &answer);
    let mut nameless = join(talk, "", None);
    nameless.group_id = GroupId(s(""));
    let answer = talk.ask(9, &nameless).await;
    note_join(talk, "no name", &answer);
    for (what, id, generation, name) in [
        ("sync, no such member", "x", 1, "range"),
        ("sync, a wrong generation", &id, 2, "range"),
        ("sync, another protocol", &id, 1, "other"),
    ] {
        let mut request = sync(talk, id, generation, &[]);
        request.protocol_name = Some(s(name));
        let answer = talk.ask(5, &request).await;
        note_sync(talk, what, &answer);
    }
}

pub(crate) async fn static_members(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    talk.coordinator("g").await;
    let request = join(talk, "", Some("i"));
    let first = talk.ask(9, &request).await;
    note_join(talk, "joins at once", &first);
    let old = first.member_id.to_string();
    let request = sync(talk, &old, 1, &[&old]);
    let answer = talk.ask(5, &request).await;
    note_sync(talk, "synced", &answer);
    for version in [8, 9] {
        let request = join(talk, "", Some("i"));
        let back = talk.ask(version, &request).await;
        note_join(talk, &format!("is back, version {version}"), &back);
        let request = sync(talk, &back.member_id, 1, &[]);
        let answer = talk.ask(5, &request).await;
        note_sync(talk, "and has its part", &answer);
    }
    for (what, id) in [("the old id", &*old), ("a stranger", "x")] {
        let request = HeartbeatRequest::default()
            .with_group_id(talk.group_id("g"))
            .with_member_id(s(id))
            .with_group_instance_id(Some(s("i")))
            .with_generation_id(1);
        let answer = talk.ask(4, &request).await;
        talk.note(what, code(answer.error_code));
        let request = join(talk, id, Some("i"));
        let answer = talk.ask(9, &request).await;
        note_join(talk, what, &answer);
    }
    let mut request = join(talk, "x", Some("j"));
    let answer = talk.ask(9, &request).await;
    note_join(talk, "an unknown instance with an id", &answer);
    request.member_id = s("");
    for (what, id, instance) in [
        ("no such instance", "", "k"),
        ("the instance by another id", "x", "i"),
        ("the instance", "", "i"),
        ("the instance again", "", "i"),
    ] {
        let member = MemberIdentity::default()
            .with_member_id(s(id))
            .with_group_instance_id(Some(s(instance)));
        let request = LeaveGroupRequest::default()
            .with_group_id(talk.group_id("g"))
            .with_members(vec![member]);
        let answer = talk.ask(5, &request).await;
        let codes: Vec<_> = answer.members.iter().map(|m| code(m.error_code)).collect();
        talk.note(what, (code(answer.error_code), codes));
    }
}

/// Commits for topic `t`; the partitions' codes.
async fn commit(
    talk: &mut Talk,
    what: &str,
    id: &str,
    generation: i32,
    partitions: &[(i32, &str)],
) {
    use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    let partitions = partitions.iter().map(|(partition, note)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(42)
            .with_committed_leader_epoch(3)
            .with_committed_metadata(Some(s(note)))
    });
    let of = OffsetCommitRequestTopic::default()
        .with_name(talk.topic_name("t"))
        .with_partitions(partitions.collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(talk.group_id("g"))
        .with_member_id(s(id))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![of]);
    let answer = talk.ask(8, &request).await;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let mut codes: Vec<_> = partitions
        .map(|one| (one.partition_index, code(one.error_code)))
        .collect();
    codes.sort();
    talk.note(what, codes);
}

async fn committed(talk: &mut Talk, what: &str, version: i16, all: bool) {
    use offset_fetch_request::OffsetFetchRequestTopic;
    let of = OffsetFetchRequestTopic::default()
        .with_name(talk.topic_name("t"))
        .with_partition_indexes(vec![0, 1, 7]);
    let request = OffsetFetchRequest::default()
        .with_group_id(talk.group_id("g"))
        .with_topics((!all).then(|| vec![of]));
    let answer = talk.ask(version, &request).await;
    let topics = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let mut told: Vec<_> = topics
        .map(|one| {
            let place = (one.committed_offset, one.committed_leader_epoch);
            (
                one.partition_index,
                place,
                one.metadata.clone(),
                code(one.error_code),
            )
        })
        .collect();
    told.sort();
    talk.note(what, (code(answer.error_code), told));
}

pub(crate) async fn offsets(talk: &mut Talk) {
    talk.topic("t", 2, &[]).await;
    talk.coordinator("g").await;
    committed(talk, "no such group", 7, false).await;
    commit(talk, "a member of no group", "x", 1, &[(0, "")]).await;
    let long = "x".repeat(5000);
    commit(talk, "alone", "", -1, &[(0, "note"), (7, ""), (1, &long)]).await;
    for version in 1..=7 {
        committed(talk, &format!("version {version}"), version, false).await;
    }
    committed(talk, "all", 7, true).await;
    let id = alone(talk).await;
    commit(talk, "a member", &id, 1, &[(0, "")]).await;
    commit(talk, "a wrong generation", &id, 0, &[(0, "")]).await;
    commit(talk, "a stranger", "x", 1, &[(0, "")]).await;
    commit(talk, "from outside", "", -1, &[(0, "")]).await;
    committed(talk, "after all that", 7, false).await;
}

pub(crate) async fn administered(talk: &mut Talk) {
    use offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    talk.topic("t", 1, &[]).await;
    talk.coordinator("g").await;
    let partition = OffsetDeleteRequestPartition::default();
    let of = OffsetDeleteRequestTopic::default()
        .with_name(talk.topic_name("t"))
        .with_partitions(vec![partition]);
    let forget = OffsetDeleteRequest::default()
        .with_group_id(talk.group_id("g"))
        .with_topics(vec![of]);
    let describe = |version: i16| {
        let _ = version;
        DescribeGroupsRequest::default()
    };
    for round in ["no group", "offsets alone", "a member"] {
        match round {
            "offsets alone" => commit(talk, "committed", "", -1, &[(0, "")]).await,
            "a member" => drop(alone(talk).await),
            _ => {}
        }
        for version in [0, 5, 6] {
            let request = describe(version).with_groups(vec![talk.group_id("g")]);
            let answer = talk.ask(version, &request).await;
            let one = &answer.groups[0];
            let names = (&one.group_state, &one.protocol_type, &one.protocol_data);
            let members: Vec<_> = one
                .members
                .iter()
                .map(|m| (&m.client_id, &m.client_host, &m.member_assignment))
                .collect();
            talk.note(round, (code(one.error_code), names, members));
        }
        for version in [0, 4, 5] {
            let answer = talk.ask(version, &ListGroupsRequest::default()).await;
            let ours = answer
                .groups
                .iter()
                .find(|one| one.group_id == talk.group_id("g"));
            let told = ours.map(|one| (&one.protocol_type, &one.group_state, &one.group_type));
            let told = format!("{told:?}");
            talk.note("listed", told);
        }
        let answer = talk.ask(0, &forget).await;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<_> = partitions.map(|one| code(one.error_code)).collect();
        talk.note("forget", (code(answer.error_code), codes));
        let delete = DeleteGroupsRequest::default().with_groups_names(vec![talk.group_id("g")]);
        let answer = talk.ask(2, &delete).await;
        talk.note("delete", code(answer.results[0].error_code));
    }
}
