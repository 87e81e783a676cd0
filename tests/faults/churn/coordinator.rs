//! The group's coordinator dies, or freezes: another broker takes over, and the group goes on.

use std::time::Duration;

use ottla::Assignor;

use super::ledger::Ledger;
use super::{Crowd, PARTITIONS, Scene};
use crate::faults::world::{Live, Outcome, until};

/// Partitions of the topic with the groups' offsets, as the cluster sets it.
const OFFSETS_PARTITIONS: i32 = 8;

/// The partition that has a group's offsets: by Java's hash of its name.
fn partition_of(group: &str) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    (hash & i32::MAX) % OFFSETS_PARTITIONS
}

pub(super) async fn left(live: &Live) -> Outcome {
    const WHOLE: Duration = Duration::from_secs(60);
    let topic = "churn-coordinator";
    let assignor = Assignor::CooperativeSticky;
    let scene = Scene::set(live, topic, assignor, 1000, Ledger::default()).await?;
    let book = scene.group.book.clone();
    let mut crowd = Crowd::new(scene.group.clone());
    // Each commits in another way.
    for _ in 0..4 {
        crowd.join()?;
    }
    let handed = || -> Vec<i64> {
        let ledger = book.ledger();
        (0..PARTITIONS).map(|p| ledger.handed_to(p)).collect()
    };
    let until_committed = async |what: &str| {
        // All that was handed out by now, and then some.
        let goals: Vec<i64> = handed().into_iter().map(|offset| offset + 20).collect();
        until(what, WHOLE, || {
            let ledger = book.ledger();
            (0..)
                .zip(&goals)
                .all(|(p, goal)| ledger.committed_to(p) >= *goal)
        })
        .await
    };
    until_committed("the group commits").await?;
    for freezes in [false, true] {
        let coordinator = live.leader_of("__consumer_offsets", partition_of(&scene.group.name))?;
        if freezes {
            live.pause(coordinator)?;
        } else {
            live.kill(coordinator)?;
        }
        let took = until_committed("the group goes on without its coordinator").await?;
        println!(
            "coordinator {coordinator}, frozen {freezes}: all committed again after {took:.1?}"
        );
        live.heal()?;
        until_committed("the group goes on with all brokers").await?;
    }
    let survey = scene.end(live, crowd).await?;
    println!("{survey:?}");
    Ok(())
}
