//! The classic group protocol, as its members see it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;

use super::{Waiting, World, s, topic, versions};
use crate::state::CoordinatorKind;
use crate::wire::ErrorCode;

type Join = JoinGroupRequest;
type Sync = SyncGroupRequest;

fn group() -> GroupId {
    GroupId(s("g"))
}

/// A subscription to topic `t`, as a consumer writes it.
fn subscription() -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(&[0, 0, 0, 0, 0, 1, 0, 1]);
    out.put_slice(b"t\0\0\0\0");
    out.freeze()
}

fn join(version: i16, id: &str, instance: Option<&str>) -> Join {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(s("range"))
        .with_metadata(subscription());
    let mut request = Join::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_member_id(s(id))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol]);
    if version >= 1 {
        request.rebalance_timeout_ms = 30_000;
    }
    if version >= 5 {
        request.group_instance_id = instance.map(s);
    }
    request
}

fn sync(version: i16, id: &str, generation: i32, assignments: &[(&str, &str)]) -> Sync {
    let assignments = assignments.iter().map(|(id, bytes)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(s(id))
            .with_assignment(bytes.to_string().into())
    });
    let mut request = Sync::default()
        .with_group_id(group())
        .with_member_id(s(id))
        .with_generation_id(generation)
        .with_assignments(assignments.collect());
    if version >= 5 {
        request.protocol_type = Some(s("consumer"));
        request.protocol_name = Some(s("range"));
    }
    request
}

fn heartbeat(world: &mut World, id: &str, generation: i32) -> ErrorCode {
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(s(id))
        .with_generation_id(generation);
    ErrorCode::new(world.ask(4, &request).error_code)
}

/// A member's id, once it was given one.
fn new_id(world: &mut World, connection: u64) -> String {
    let answer = world.begin(connection, 9, &join(9, "", None)).ok().unwrap();
    assert_eq!(
        ErrorCode::new(answer.error_code),
        ErrorCode::MEMBER_ID_REQUIRED
    );
    answer.member_id.to_string()
}

/// A group of one stable member; its id.
fn one_member(world: &mut World) -> String {
    let id = new_id(world, 1);
    let answer = world.begin(1, 9, &join(9, &id, None)).ok().unwrap();
    assert_eq!((answer.error_code, answer.generation_id), (0, 1));
    assert_eq!((&*answer.leader, &*answer.member_id), (&*id, &*id));
    assert_eq!(answer.members.len(), 1);
    let answer = world.ask(5, &sync(5, &id, 1, &[(&id, "all")]));
    assert_eq!(
        (answer.error_code, &answer.assignment[..]),
        (0, &b"all"[..])
    );
    id
}

/// Two stable members in generation 2, the first of them its leader.
fn two_members(world: &mut World) -> (String, String) {
    let one = one_member(world);
    let two = new_id(world, 2);
    let second = world.begin(2, 9, &join(9, &two, None)).unwrap_err();
    assert_eq!(heartbeat(world, &one, 1), ErrorCode::REBALANCE_IN_PROGRESS);
    let first = world.begin(1, 9, &join(9, &one, None)).ok().unwrap();
    assert!(world.is_woken(&second));
    let second = world.go_on::<Join>(second).ok().unwrap();
    assert_eq!((first.generation_id, second.generation_id), (2, 2));
    assert_eq!((first.members.len(), second.members.len()), (2, 0));
    assert_eq!(&*second.leader, &*one);
    let waits = world.begin(2, 5, &sync(5, &two, 2, &[])).unwrap_err();
    let assignments = [(&*one, "half"), (&*two, "other half")];
    let first = world.ask(5, &sync(5, &one, 2, &assignments));
    assert_eq!(&first.assignment[..], b"half");
    assert!(world.is_woken(&waits));
    let second = world.go_on::<Sync>(waits).ok().unwrap();
    assert_eq!(&second.assignment[..], b"other half");
    (one, two)
}

#[test]
fn a_member_alone_leads_in_every_version() {
    for version in versions::<Join>() {
        let mut world = World::new();
        let mut answer = world
            .begin(1, version, &join(version, "", None))
            .ok()
            .unwrap();
        if version >= 4 {
            assert_eq!(
                ErrorCode::new(answer.error_code),
                ErrorCode::MEMBER_ID_REQUIRED
            );
            let request = join(version, &answer.member_id, None);
            answer = world.begin(1, version, &request).ok().unwrap();
        }
        assert_eq!((answer.error_code, answer.generation_id), (0, 1));
        assert_eq!(answer.leader, answer.member_id);
        assert_eq!(answer.members[0].metadata, subscription());
        assert!(answer.member_id.starts_with("someone-"));
        for version in versions::<Sync>() {
            let id = answer.member_id.to_string();
            let told = world.ask(version, &sync(version, &id, 1, &[(&id, "all")]));
            assert_eq!(&told.assignment[..], b"all");
        }
    }
}

#[test]
fn a_second_member_makes_the_group_share() {
    let mut world = World::new();
    let (one, two) = two_members(&mut world);
    assert_eq!(heartbeat(&mut world, &one, 2), ErrorCode::NONE);
    assert_eq!(heartbeat(&mut world, &two, 2), ErrorCode::NONE);
    assert_eq!(
        heartbeat(&mut world, &two, 1),
        ErrorCode::ILLEGAL_GENERATION
    );
    assert_eq!(
        heartbeat(&mut world, "nobody", 2),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
}

#[test]
fn a_silent_member_is_out_when_its_session_ends() {
    let mut world = World::new();
    let (one, two) = two_members(&mut world);
    world.pass(Duration::from_secs(9));
    assert_eq!(heartbeat(&mut world, &one, 2), ErrorCode::NONE);
    world.pass(Duration::from_secs(1));
    assert_eq!(
        heartbeat(&mut world, &one, 2),
        ErrorCode::REBALANCE_IN_PROGRESS
    );
    assert_eq!(heartbeat(&mut world, &two, 2), ErrorCode::UNKNOWN_MEMBER_ID);
    let answer = world.begin(1, 9, &join(9, &one, None)).ok().unwrap();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
}

#[test]
fn who_leaves_is_out_at_once_in_every_version() {
    for version in versions::<LeaveGroupRequest>() {
        let mut world = World::new();
        let (one, two) = two_members(&mut world);
        let mut request = LeaveGroupRequest::default().with_group_id(group());
        if version <= 2 {
            request.member_id = s(&two);
        } else {
            let member = MemberIdentity::default().with_member_id(s(&two));
            request.members = vec![member];
        }
        let answer = world.ask(version, &request);
        assert_eq!(answer.error_code, 0);
        let again = world.ask(version, &request);
        let code = match version {
            0..=2 => again.error_code,
            _ => again.members[0].error_code,
        };
        assert_eq!(ErrorCode::new(code), ErrorCode::UNKNOWN_MEMBER_ID);
        assert_eq!(
            heartbeat(&mut world, &one, 2),
            ErrorCode::REBALANCE_IN_PROGRESS
        );
    }
}

#[test]
fn a_rebalance_goes_on_without_who_does_not_come() {
    let mut world = World::new();
    let (one, two) = two_members(&mut world);
    let waits = world.begin(1, 9, &join(9, &one, None)).unwrap_err();
    // It lives, but does not join.
    for _ in 0..6 {
        world.pass(Duration::from_secs(5));
        heartbeat(&mut world, &two, 2);
    }
    assert!(world.is_woken(&waits));
    let answer = world.go_on::<Join>(waits).ok().unwrap();
    assert_eq!((answer.generation_id, answer.members.len()), (3, 1));
    assert_eq!(heartbeat(&mut world, &two, 2), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn an_id_that_is_not_used_does_not_hold_the_others_up_for_ever() {
    let mut world = World::new();
    let one = new_id(&mut world, 1);
    new_id(&mut world, 2);
    let waits = world.begin(1, 9, &join(9, &one, None)).unwrap_err();
    world.pass(Duration::from_secs(10));
    assert!(world.is_woken(&waits));
    assert_eq!(world.go_on::<Join>(waits).ok().unwrap().members.len(), 1);
}

#[test]
fn a_new_group_waits_for_more_members_if_it_is_told_to() {
    let mut world = World::with(|settings| {
        settings.initial_rebalance_delay = Duration::from_secs(3);
    });
    let one = new_id(&mut world, 1);
    let first = world.begin(1, 9, &join(9, &one, None)).unwrap_err();
    world.pass(Duration::from_secs(2));
    let two = new_id(&mut world, 2);
    let second = world.begin(2, 9, &join(9, &two, None)).unwrap_err();
    world.pass(Duration::from_secs(2));
    let first = world.go_on::<Join>(first).unwrap_err();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.go_on::<Join>(first).ok().unwrap().generation_id, 1);
    assert_eq!(world.go_on::<Join>(second).ok().unwrap().generation_id, 1);
}

#[test]
fn protocols_that_nobody_shares_are_refused() {
    let mut world = World::new();
    one_member(&mut world);
    let mut request = join(9, "", None);
    request.protocols[0].name = s("other");
    let answer = world.ask(9, &request);
    let code = ErrorCode::new(answer.error_code);
    assert_eq!(code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let mut request = join(9, "", None);
    request.session_timeout_ms = 10;
    let code = ErrorCode::new(world.ask(9, &request).error_code);
    assert_eq!(code, ErrorCode::INVALID_SESSION_TIMEOUT);
    let mut request = join(9, "", None);
    request.group_id = GroupId(s(""));
    let code = ErrorCode::new(world.ask(9, &request).error_code);
    assert_eq!(code, ErrorCode::INVALID_GROUP_ID);
}

#[test]
fn a_static_member_that_is_back_takes_its_place_and_fences_the_old() {
    let mut world = World::new();
    let old = world
        .begin(1, 9, &join(9, "", Some("i")))
        .ok()
        .unwrap()
        .member_id;
    world.ask(5, &sync(5, &old, 1, &[(&old, "all")]));
    let back = world.begin(2, 9, &join(9, "", Some("i"))).ok().unwrap();
    assert_eq!((back.generation_id, back.skip_assignment), (1, true));
    assert_ne!(back.member_id, old);
    let told = world.ask(5, &sync(5, &back.member_id, 1, &[]));
    assert_eq!(&told.assignment[..], b"all");
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(old)
        .with_group_instance_id(Some(s("i")))
        .with_generation_id(1);
    let code = ErrorCode::new(world.ask(4, &request).error_code);
    assert_eq!(code, ErrorCode::FENCED_INSTANCE_ID);
}

#[test]
fn a_moved_coordinator_ends_the_waiting() {
    let mut world = World::with(|settings| settings.nodes = 2);
    let now = world.moment();
    let kind = CoordinatorKind::Group;
    world.state.move_coordinator(kind, "g", 1, now).unwrap();
    let one = one_member(&mut world);
    let two = new_id(&mut world, 2);
    let waits: Waiting = world.begin(2, 9, &join(9, &two, None)).unwrap_err();
    world.state.move_coordinator(kind, "g", 2, now).unwrap();
    assert!(world.is_woken(&waits));
    let answer = world.go_on::<Join>(waits).ok().unwrap();
    assert_eq!(
        ErrorCode::new(answer.error_code),
        ErrorCode::NOT_COORDINATOR
    );
    assert_eq!(heartbeat(&mut world, &one, 1), ErrorCode::NOT_COORDINATOR);
}

fn commit(version: i16, id: &str, generation: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(s("note")));
    let of = OffsetCommitRequestTopic::default()
        .with_name(topic("t"))
        .with_partitions(vec![partition]);
    let _ = version;
    OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(s(id))
        .with_topics(vec![of])
}

fn committed(world: &mut World, version: i16) -> (i64, String) {
    let mut request = OffsetFetchRequest::default();
    if version <= 7 {
        let of = OffsetFetchRequestTopic::default()
            .with_name(topic("t"))
            .with_partition_indexes(vec![0]);
        request = request.with_group_id(group()).with_topics(Some(vec![of]));
        let answer = world.ask(version, &request);
        assert_eq!(answer.error_code, 0);
        let one = &answer.topics[0].partitions[0];
        return (
            one.committed_offset,
            one.metadata.clone().unwrap().to_string(),
        );
    }
    let of = OffsetFetchRequestTopics::default()
        .with_name(topic("t"))
        .with_partition_indexes(vec![0]);
    let of = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_topics(Some(vec![of]));
    let answer = world.ask(version, &request.with_groups(vec![of]));
    let one = &answer.groups[0].topics[0].partitions[0];
    (
        one.committed_offset,
        one.metadata.clone().unwrap().to_string(),
    )
}

#[test]
fn committed_offsets_are_told_in_every_version() {
    for version in versions::<OffsetCommitRequest>() {
        let mut world = World::new();
        let answer = world.ask(version, &commit(version, "", -1, 42));
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        for version in versions::<OffsetFetchRequest>() {
            assert_eq!(committed(&mut world, version), (42, "note".to_owned()));
        }
    }
    for version in versions::<OffsetFetchRequest>() {
        assert_eq!(committed(&mut World::new(), version), (-1, String::new()));
    }
}

#[test]
fn only_members_of_the_generation_commit() {
    let mut world = World::new();
    let code = |world: &mut World, id: &str, generation| {
        let answer = world.ask(9, &commit(9, id, generation, 1));
        ErrorCode::new(answer.topics[0].partitions[0].error_code)
    };
    assert_eq!(code(&mut world, "x", 1), ErrorCode::ILLEGAL_GENERATION);
    let (one, two) = two_members(&mut world);
    assert_eq!(code(&mut world, &one, 2), ErrorCode::NONE);
    assert_eq!(code(&mut world, &two, 1), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(code(&mut world, "x", 2), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(code(&mut world, "", -1), ErrorCode::UNKNOWN_MEMBER_ID);
    // In a rebalance the old generation may still commit, until the new one waits for its assignment.
    let waits = world.begin(1, 9, &join(9, &one, None)).unwrap_err();
    assert_eq!(code(&mut world, &two, 2), ErrorCode::NONE);
    world.begin(2, 9, &join(9, &two, None)).ok().unwrap();
    world.go_on::<Join>(waits).ok().unwrap();
    assert_eq!(code(&mut world, &two, 3), ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn groups_are_listed_described_and_deleted() {
    let mut world = World::new();
    let (one, two) = two_members(&mut world);
    for version in versions::<ListGroupsRequest>() {
        let answer = world.ask(version, &ListGroupsRequest::default());
        assert_eq!(answer.groups.len(), 1);
        assert_eq!(&*answer.groups[0].protocol_type, "consumer");
        let state = if version >= 4 { "Stable" } else { "" };
        assert_eq!(&*answer.groups[0].group_state, state);
    }
    let empty = ListGroupsRequest::default().with_states_filter(vec![s("Empty")]);
    assert!(world.ask(4, &empty).groups.is_empty());
    for version in versions::<DescribeGroupsRequest>() {
        let groups = vec![group(), GroupId(s("none"))];
        let request = DescribeGroupsRequest::default().with_groups(groups);
        let answer = world.ask(version, &request);
        let (known, unknown) = (&answer.groups[0], &answer.groups[1]);
        assert_eq!(
            (&*known.group_state, &*known.protocol_data),
            ("Stable", "range")
        );
        let ids: Vec<_> = known
            .members
            .iter()
            .map(|m| m.member_id.to_string())
            .collect();
        assert!(ids.contains(&one) && ids.contains(&two));
        assert_eq!(&*known.members[0].client_host, "/127.0.0.1");
        assert_eq!(known.members[0].member_metadata, subscription());
        assert_eq!(&*unknown.group_state, "Dead");
        let code = if version >= 6 {
            ErrorCode::GROUP_ID_NOT_FOUND
        } else {
            ErrorCode::NONE
        };
        assert_eq!(ErrorCode::new(unknown.error_code), code);
    }
    for version in versions::<DeleteGroupsRequest>() {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
        let code = |world: &mut World| {
            let answer = world.ask(version, &request);
            ErrorCode::new(answer.results[0].error_code)
        };
        assert_eq!(code(&mut world), ErrorCode::NON_EMPTY_GROUP);
        let mut world = World::new();
        assert_eq!(code(&mut world), ErrorCode::GROUP_ID_NOT_FOUND);
        world.ask(9, &commit(9, "", -1, 42));
        assert_eq!(code(&mut world), ErrorCode::NONE);
        assert_eq!(committed(&mut world, 9).0, -1);
    }
}

#[test]
fn offsets_are_deleted_unless_members_read_the_topic() {
    use kafka_protocol::messages::offset_delete_request::*;
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let of = OffsetDeleteRequestTopic::default()
        .with_name(topic("t"))
        .with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default()
        .with_group_id(group())
        .with_topics(vec![of]);
    let mut world = World::new();
    let code = world.ask(0, &request).error_code;
    assert_eq!(ErrorCode::new(code), ErrorCode::GROUP_ID_NOT_FOUND);
    world.ask(9, &commit(9, "", -1, 42));
    assert_eq!(world.ask(0, &request).topics[0].partitions[0].error_code, 0);
    let mut world = World::new();
    one_member(&mut world);
    let code = world.ask(0, &request).topics[0].partitions[0].error_code;
    assert_eq!(ErrorCode::new(code), ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
}

#[test]
fn coordinators_are_found_in_every_version() {
    for version in versions::<FindCoordinatorRequest>() {
        let mut world = World::new();
        let mut request = FindCoordinatorRequest::default();
        if version <= 3 {
            request.key = s("g");
            let answer = world.ask(version, &request);
            assert_eq!(
                (answer.error_code, answer.node_id.0, answer.port),
                (0, 1, 9093)
            );
        } else {
            request.coordinator_keys = vec![s("g"), s("h")];
            let answer = world.ask(version, &request);
            assert_eq!(answer.coordinators.len(), 2);
            let one = &answer.coordinators[1];
            assert_eq!((&*one.key, one.node_id.0, one.port), ("h", 1, 9093));
        }
    }
}
