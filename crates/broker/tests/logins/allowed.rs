//! What is not allowed is refused, with the code that Kafka has for it.

use kafka_protocol::messages::*;
use ottla_broker::{Acl, AclOperation, Cluster, ErrorCode};

use super::wire::{Line, code};

#[tokio::test(start_paused = true)]
async fn each_call_is_refused_what_its_user_may_not_do() {
    use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let builder = Cluster::builder().topic("t", 1).topic("hidden", 1);
    let builder = builder.user("alice", "secret");
    let cluster = builder.allow(Acl::all("root")).start_in_memory().unwrap();
    let mut line = Line::to(&cluster);
    line.login("alice", "secret").await;
    let name = |text: &str| TopicName(text.to_owned().into());

    let part = ListOffsetsPartition::default().with_timestamp(-1);
    let topic = ListOffsetsTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![part]);
    let offsets = ListOffsetsRequest::default().with_topics(vec![topic]);
    let heartbeat = HeartbeatRequest::default().with_group_id(GroupId("g".to_owned().into()));
    let producer = InitProducerIdRequest::default().with_transactional_id(None);
    let find = FindCoordinatorRequest::default().with_key("g".to_owned().into());
    let all = MetadataRequest::default().with_topics(None);
    let mut codes = Vec::new();
    for acl in [
        None,
        Some(Acl::topic("alice", AclOperation::Write, "t*")),
        Some(Acl::group("alice", AclOperation::Read, "g")),
    ] {
        if let Some(acl) = acl {
            cluster.allow(acl);
        }
        let told = line.ask(6, &offsets).await.unwrap();
        let beat = line.ask(4, &heartbeat).await.unwrap();
        let made = line.ask(4, &producer).await.unwrap();
        let found = line.ask(3, &find).await.unwrap();
        let told_all = line.ask(12, &all).await.unwrap();
        let names: Vec<_> = told_all.topics.iter().map(|one| one.name.clone()).collect();
        let visible = names.len();
        codes.push([
            code(told.topics[0].partitions[0].error_code),
            code(beat.error_code),
            code(made.error_code),
            code(found.error_code),
            ErrorCode::new(visible as i16),
        ]);
    }
    let none = ErrorCode::NONE;
    let group = ErrorCode::GROUP_AUTHORIZATION_FAILED;
    let unknown = ErrorCode::UNKNOWN_MEMBER_ID;
    let refused = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    let cluster_wide = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    let visible = ErrorCode::new;
    let expected = [
        [refused, group, cluster_wide, group, visible(0)],
        [none, group, none, group, visible(1)],
        [none, unknown, none, none, visible(1)],
    ];
    assert_eq!(codes, expected);
    assert!(cluster.revoke(&Acl::topic("alice", AclOperation::Write, "t*")));
    let told = line.ask(6, &offsets).await.unwrap();
    assert_eq!(code(told.topics[0].partitions[0].error_code), refused);
}
