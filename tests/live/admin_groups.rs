//! Groups listed, described and deleted, and what they have committed changed.

use std::time::Duration;

use kafka_cluster::Version;
use ottla::{
    Admin, Error, ErrorCode, GroupDescription, GroupKind, GroupState, OffsetAndMetadata,
    TopicPartition,
};
use tokio::time::sleep;

use super::support::{
    JavaMember, Kafka, Outcome, Suite, codes, eventually, example, java_describes, run_example,
    within,
};

const JAVA_GROUP: &str = "admin-java-group";
const JAVA_TOPIC: &str = "admin-java-topic";

pub(crate) fn promises(suite: &mut Suite) {
    let offsets = "admin_groups::what_is_committed_for_a_group_is_what_java_shows";
    suite.shared(offsets, group_offsets);
    let members = "admin_groups::javas_members_are_shown_and_keep_what_is_theirs";
    suite.shared(members, java_members);
    let kinds = "admin_groups::groups_of_the_newer_protocol_and_share_groups_are_described";
    suite.of_examples(Version::V4_3_0, kinds, newer_kinds);
    let many = "admin_groups::many_groups_have_their_own_results_in_order";
    suite.shared(many, many_groups);
}

pub(crate) fn older_brokers(suite: &mut Suite) {
    let oldest = "admin_groups::kafka_2_5_0_has_groups_alike";
    suite.on(Version::V2_5_0, oldest, all);
    let older = "admin_groups::kafka_3_9_1_has_groups_alike";
    suite.on(Version::V3_9_1, older, all);
}

async fn all(kafka: &Kafka) -> Outcome {
    group_offsets(kafka).await?;
    java_members(kafka).await?;
    many_groups(kafka).await
}

async fn newer_kinds(kafka: &Kafka) -> Outcome {
    let (modern, sharing) = ("admin-modern-group", "admin-share-group");
    let topic = kafka.topic("admin-kinds-topic", 2, &[])?;
    let admin = kafka.client().await?.admin();
    let _modern = JavaMember::modern(kafka, modern, topic)?;
    let _sharing = JavaMember::sharing(kafka, sharing, topic)?;
    for (group, kind) in [(modern, GroupKind::Consumer), (sharing, GroupKind::Share)] {
        let described = within(Duration::from_secs(60), group, async {
            loop {
                match admin.describe_group(group).await {
                    Ok(told) if told.state == GroupState::Stable => return Ok(told),
                    Ok(_) => {}
                    Err(error) if error.broker_code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => {}
                    Err(error) => return Err(error),
                }
                sleep(Duration::from_millis(200)).await;
            }
        })
        .await??;
        assert_eq!(described.kind, kind);
        assert_eq!(described.members.len(), 1, "{described:?}");
        let member = &described.members[0];
        assert_eq!(member.topics, Some(vec![topic.into()]));
        assert!(member.assignment.is_some());
        let listed = admin.list_groups().await?;
        let listed = listed.iter().find(|listed| &*listed.group == group);
        assert_eq!(listed.and_then(|listed| listed.kind), Some(kind));
        let mut command = example("groups")?;
        let servers = format!("bootstrap.servers={}", kafka.bootstrap());
        command.args(["-X", &servers, "--group", group]);
        let output = run_example(command).await?;
        assert!(output.status.success(), "{output:?}");
    }
    // What a member has and nothing is committed for.
    eventually("the member's partitions", async || {
        let lag = admin.group_lag(modern).await;
        lag.is_ok_and(|lag| {
            let ends = lag
                .iter()
                .map(|(_, lag)| lag.as_ref().map_or(-1, |lag| lag.end));
            ends.collect::<Vec<_>>() == [0, 0]
        })
    })
    .await
}

async fn group_offsets(kafka: &Kafka) -> Outcome {
    let (group, topic) = ("admin-offsets-group", "admin-offsets-topic");
    let admin = kafka.client().await?.admin();
    kafka.topic(topic, 3, &[])?;
    let at = |partition| TopicPartition::new(topic, partition);
    assert!(admin.list_group_offsets(group).await?.is_empty());
    let noted = OffsetAndMetadata {
        offset: 7,
        leader_epoch: Some(0),
        metadata: Some("noted".into()),
    };
    let offsets = [
        (at(2), noted.clone()),
        (at(0), 1234.into()),
        (at(1), 5.into()),
    ];
    let results = admin.alter_group_offsets(group, offsets).await?;
    assert_eq!(codes(&results), [ErrorCode::NONE; 3]);
    let listed = async || {
        let mut listed = Vec::new();
        for (partition, offset) in admin.list_group_offsets(group).await? {
            listed.push((partition, offset?));
        }
        Ok::<_, Error>(listed)
    };
    let first: OffsetAndMetadata = 1234.into();
    let expected = [
        (at(0), first.clone()),
        (at(1), 5.into()),
        (at(2), noted.clone()),
    ];
    assert_eq!(listed().await?, expected);
    let lag = admin.group_lag(group).await?;
    let lag: Vec<_> = lag
        .iter()
        .map(|(partition, lag)| (partition.partition(), lag.as_ref().unwrap().lag()))
        .collect();
    assert_eq!(lag, [(0, Some(-1234)), (1, Some(-5)), (2, Some(-7))]);
    let shown = java_describes(kafka, group)?;
    for (partition, offset) in [("0", "1234"), ("1", "5"), ("2", "7")] {
        let line = shown
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = line.filter(|words| words.get(2) == Some(&partition));
        let offsets: Vec<_> = found.filter_map(|words| words.get(3).copied()).collect();
        assert_eq!(offsets, [offset], "{shown}");
    }

    // It keeps offsets and has no members.
    let described = admin.describe_groups([group]).await?.remove(0)?;
    assert_eq!(
        (&*described.group, described.state),
        (group, GroupState::Empty)
    );
    assert!(described.members.is_empty() && described.assignor.is_none());
    let listing = admin.list_groups().await?;
    let listing = listing.iter().find(|listing| &*listing.group == group);
    let listing = listing.ok_or("not listed")?;
    let tells = kafka.version() != Version::V2_5_0;
    assert_eq!(listing.state, tells.then_some(GroupState::Empty));
    assert_eq!(listing.kind, tells.then_some(GroupKind::Classic));

    let deleted = admin.delete_group_offsets(group, [at(1)]).await?;
    assert_eq!(codes(&deleted), [ErrorCode::NONE]);
    assert_eq!(listed().await?, [(at(0), first), (at(2), noted)]);
    let absent = "admin-no-group";
    let results = admin.delete_groups([group, absent]).await?;
    let not_found = ErrorCode::GROUP_ID_NOT_FOUND;
    assert_eq!(codes(&results), [ErrorCode::NONE, not_found]);
    assert!(listed().await?.is_empty());
    let results = admin.describe_groups([group, absent]).await?;
    assert_eq!(codes(&results), [not_found; 2]);
    let error = results[1].as_ref().expect_err("no such group").to_string();
    assert!(error.contains(absent), "{error}");
    let refused = admin.delete_group_offsets(absent, [at(0)]).await;
    assert_eq!(refused.err().and_then(|e| e.broker_code()), Some(not_found));
    Ok(())
}

/// The group's description once it is stable with so many members.
async fn stable(admin: &Admin, members: usize) -> Result<GroupDescription, Error> {
    loop {
        match admin.describe_groups([JAVA_GROUP]).await?.remove(0) {
            Ok(group) if group.state == GroupState::Stable && group.members.len() == members => {
                return Ok(group);
            }
            Err(error) if error.broker_code() != Some(ErrorCode::GROUP_ID_NOT_FOUND) => {
                return Err(error);
            }
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn java_members(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    kafka.topic(JAVA_TOPIC, 3, &[])?;
    let member = || JavaMember::start(kafka, JAVA_GROUP, JAVA_TOPIC);
    let _members = (member()?, member()?);
    let limit = Duration::from_secs(60);
    let group = within(limit, "two members", stable(&admin, 2)).await??;
    assert_eq!(
        (&*group.protocol_type, group.assignor.as_deref()),
        ("consumer", Some("range"))
    );
    let mut all = Vec::new();
    for member in &group.members {
        assert!(member.member_id.contains(&*member.client_id), "{member:?}");
        assert_eq!((&*member.host, &member.instance_id), ("/127.0.0.1", &None));
        assert_eq!(member.topics.as_deref(), Some(&[JAVA_TOPIC.into()][..]));
        let assignment = member.assignment.clone().ok_or("not read")?;
        assert!((1..=2).contains(&assignment.len()), "{assignment:?}");
        all.extend(assignment);
    }
    all.sort();
    let at = |partition| TopicPartition::new(JAVA_TOPIC, partition);
    assert_eq!(all, [at(0), at(1), at(2)]);

    let results = admin
        .alter_group_offsets(JAVA_GROUP, [(at(0), 1.into())])
        .await?;
    assert_eq!(codes(&results), [ErrorCode::UNKNOWN_MEMBER_ID]);
    let results = admin.delete_group_offsets(JAVA_GROUP, [at(0)]).await?;
    assert_eq!(codes(&results), [ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC]);
    let results = admin.delete_groups([JAVA_GROUP]).await?;
    assert_eq!(codes(&results), [ErrorCode::NON_EMPTY_GROUP]);
    let listing = admin.list_groups().await?;
    let listing = listing.iter().find(|listing| &*listing.group == JAVA_GROUP);
    assert_eq!(
        listing.map(|listing| &*listing.protocol_type),
        Some("consumer")
    );
    Ok(())
}

async fn many_groups(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    kafka.topic("admin-many-topic", 1, &[])?;
    // More than are asked about at the same time.
    let names: Vec<_> = (0..150)
        .map(|number| format!("admin-many-{number:03}"))
        .collect();
    let exists = |number: usize| number % 3 != 1;
    for (number, name) in names
        .iter()
        .enumerate()
        .filter(|(number, _)| exists(*number))
    {
        let offset = OffsetAndMetadata::new(i64::try_from(number)?);
        let offsets = [(TopicPartition::new("admin-many-topic", 0), offset)];
        admin.alter_group_offsets(name, offsets).await?.remove(0)?;
    }
    let expected: Vec<_> = (0..names.len())
        .map(|number| match exists(number) {
            true => ErrorCode::NONE,
            false => ErrorCode::GROUP_ID_NOT_FOUND,
        })
        .collect();
    let described = admin.describe_groups(&names).await?;
    assert_eq!(codes(&described), expected);
    for (name, group) in names.iter().zip(described) {
        match group {
            Ok(group) => assert_eq!(&*group.group, name),
            Err(error) => assert!(error.to_string().contains(name), "{error}"),
        }
    }
    let listed = admin.list_groups().await?;
    assert!(listed.is_sorted_by(|a, b| a.group < b.group));
    let listed: Vec<_> = listed.iter().map(|listing| &*listing.group).collect();
    for (number, name) in names.iter().enumerate() {
        assert_eq!(listed.contains(&name.as_str()), exists(number), "{name}");
    }
    let deleted = admin.delete_groups(&names).await?;
    assert_eq!(codes(&deleted), expected);
    Ok(())
}
