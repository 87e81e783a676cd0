//! Our members and Java's share a group under every assignor, whoever leads it, and go on from each other's offsets.

use std::time::Duration;

use kafka_cluster::Version;
use ottla::{Assignor, Error, GroupState, TopicPartition};
use tokio::time::sleep;

use super::support::{
    Case, Group, Kafka, Ours, Outcome, PARTITIONS, REBALANCED, Suite, java_describes_with, until,
    within,
};

const COOPERATIVE: Case = Case {
    name: "cooperative",
    ours: &[Assignor::CooperativeSticky],
    javas: &[Assignor::CooperativeSticky],
};

pub(crate) fn older_brokers(suite: &mut Suite) {
    let oldest = "java_groups::kafka_2_5_0_has_mixed_groups";
    suite.on(Version::V2_5_0, oldest, async |kafka: &Kafka| {
        mixed(kafka, COOPERATIVE).await
    });
    let older = "java_groups::kafka_3_9_1_has_mixed_groups";
    suite.on(Version::V3_9_1, older, async |kafka: &Kafka| {
        mixed(kafka, COOPERATIVE).await
    });
}

pub(crate) fn promises(suite: &mut Suite) {
    const DEFAULT: &[Assignor] = &[Assignor::Range, Assignor::CooperativeSticky];
    let case = |name, ours, javas| Case { name, ours, javas };
    let alike = |name, assignors| case(name, assignors, assignors);
    for (promise, case) in [
        (
            "java_groups::members_of_both_share_by_range",
            alike("range", &[Assignor::Range]),
        ),
        (
            "java_groups::members_of_both_share_by_round_robin",
            alike("round-robin", &[Assignor::RoundRobin]),
        ),
        (
            "java_groups::members_of_both_share_by_sticky",
            alike("sticky", &[Assignor::Sticky]),
        ),
        (
            "java_groups::members_of_both_share_by_cooperative_sticky",
            COOPERATIVE,
        ),
        (
            "java_groups::members_of_both_share_by_default",
            alike("default", DEFAULT),
        ),
        (
            "java_groups::ours_may_be_the_last_to_become_cooperative",
            case("ours-last", DEFAULT, COOPERATIVE.javas),
        ),
        (
            "java_groups::javas_may_be_the_last_to_become_cooperative",
            case("javas-last", COOPERATIVE.ours, DEFAULT),
        ),
    ] {
        suite.shared(promise, async move |kafka: &Kafka| mixed(kafka, case).await);
    }
    let other = "java_groups::our_leader_shares_out_what_only_java_wants";
    suite.shared(other, other_topics);
}

async fn mixed(kafka: &Kafka, case: Case) -> Outcome {
    let mut group = Group::new(kafka, case, PARTITIONS as i32).await?;
    // The first member of a group leads it.
    group.java_joins()?;
    group.balanced(1).await?;
    let (first, second) = group
        .while_sending(async |group| {
            let first = group.ours_joins("ours-1").await?;
            group.balanced(2).await?;
            let second = group.ours_joins("ours-2").await?;
            let members = group.balanced(3).await?;
            group
                .shows(&members, &[("ours-1", &first), ("ours-2", &second)])
                .await?;
            Ok((first, second))
        })
        .await?;
    let java_repeats = case.javas == COOPERATIVE.javas;
    group.each_once("Java leads", java_repeats).await?;
    group.calm("Java leads").await?;
    assert!(!group.ours.lock().unwrap().is_empty());
    assert!(
        group
            .java
            .as_ref()
            .is_some_and(|java| !java.lines().is_empty())
    );
    assert_java_shows(&group, &[("ours-1", &first), ("ours-2", &second)])?;

    group
        .while_sending(async |group| {
            group.java_leaves()?;
            group.balanced(2).await
        })
        .await?;
    group.each_once("Java has left", false).await?;
    group
        .while_sending(async |group| {
            group.java_joins()?;
            let members = group.balanced(3).await?;
            group
                .shows(&members, &[("ours-1", &first), ("ours-2", &second)])
                .await
        })
        .await?;
    group.each_once("one of ours leads", false).await?;
    group.calm("one of ours leads").await?;

    take_turns(&mut group, first, second).await
}

/// Our members leave to Java's, which goes on from their offsets, and one of ours from those of Java's.
async fn take_turns(group: &mut Group<'_>, first: Ours, second: Ours) -> Outcome {
    group
        .while_sending(async |group| {
            first.leave().await?;
            second.leave().await?;
            group.balanced(1).await
        })
        .await?;
    group
        .each_once("Java goes on from our offsets", false)
        .await?;
    group.java_leaves()?;
    let last = group
        .while_sending(async |group| {
            let last = group.ours_joins("ours-3").await?;
            group.balanced(1).await?;
            Ok(last)
        })
        .await?;
    group
        .each_once("one of ours goes on from Java's", false)
        .await?;
    last.leave().await
}

/// What Java's tool prints of the members.
fn assert_java_shows(group: &Group<'_>, ours: &[(&str, &Ours)]) -> Outcome {
    let options = ["--members", "--verbose"];
    let text = java_describes_with(group.kafka, &group.name, &options)?;
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<_>| words.first() == Some(&group.name.as_str()))
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    for (client_id, ours) in ours {
        let line = lines.iter().find(|words| words.contains(client_id));
        let line = line.ok_or_else(|| format!("{client_id} is not in {text}"))?;
        // GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS, and somewhere behind them the assignment.
        assert!(line[1].starts_with(client_id), "{text}");
        assert_eq!(line[2..5], ["/127.0.0.1", client_id, "2"], "{text}");
        let mut numbers: Vec<_> = ours
            .handle
            .assignment()
            .iter()
            .map(TopicPartition::partition)
            .collect();
        numbers.sort();
        let [low, high] = numbers[..] else {
            return Err(format!("{client_id} has {numbers:?}").into());
        };
        let assignment = line[5..].concat();
        // Older ones print `TOPIC(0,1)`, and 3.9.1 forgets the topic's name, Java's member's as well.
        let older = format!("({low},{high})");
        let newer = format!("{}:{low},{high}", group.name);
        assert!(
            assignment.contains(&older) || assignment.contains(&newer),
            "{low} and {high} in {text}"
        );
    }
    Ok(())
}

/// Also a topic that the leader itself does not read, and its partitions that are added.
async fn other_topics(kafka: &Kafka) -> Outcome {
    let case = Case {
        name: "others",
        ..COOPERATIVE
    };
    let other = "java-group-others-other";
    kafka.topic(other, 2, &[])?;
    let mut group = Group::new(kafka, case, 3).await?;
    let ours = group.ours_joins("ours-1").await?;
    until("all of one topic", || ours.handle.assignment().len() == 3).await?;
    group.java_joins_for(other)?;
    for partitions in [2, 5] {
        if partitions > 2 {
            kafka.grow_topic(other, partitions)?;
        }
        let wanted: Vec<_> = (0..partitions)
            .map(|partition| TopicPartition::new(other, partition))
            .collect();
        let has_them = async {
            loop {
                let described = group
                    .admin
                    .describe_groups([&group.name])
                    .await?
                    .remove(0)?;
                let members = described.members.iter();
                let mut javas = members.filter(|member| &*member.client_id == "javas");
                let mut has = javas.next().and_then(|java| java.assignment.clone());
                has.iter_mut().for_each(|has| has.sort());
                if described.state == GroupState::Stable && has.as_ref() == Some(&wanted) {
                    return Ok::<_, Error>(());
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let what = format!("{partitions} partitions as Java's");
        within(REBALANCED, &what, has_them).await??;
        assert_eq!(ours.handle.assignment().len(), 3);
    }
    group.java_leaves()?;
    ours.leave().await
}
