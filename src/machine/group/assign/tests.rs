use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::shares::wanted;
use super::*;
use crate::machine::group::protocol::Subscription;
use crate::types::TopicName;

const ALL: [Assignor; 4] = [
    Assignor::Range,
    Assignor::RoundRobin,
    Assignor::Sticky,
    Assignor::CooperativeSticky,
];

fn member(id: &str, topics: &[&str]) -> Subscriber {
    let mut topics: Vec<TopicName> = topics.iter().map(|t| TopicName::from(*t)).collect();
    topics.sort_unstable();
    Subscriber {
        id: id.into(),
        instance_id: None,
        subscription: Subscription {
            topics,
            ..Subscription::default()
        },
    }
}

fn counts(of: &[(&str, u32)]) -> PartitionCounts {
    of.iter().map(|(t, n)| (TopicName::from(*t), *n)).collect()
}

/// "a0 a1 b0" for each member.
fn text(shares: &Shares) -> Vec<String> {
    let one = |share: &Vec<TopicPartition>| {
        let names = share
            .iter()
            .map(|p| format!("{}{}", p.topic(), p.partition()));
        names.collect::<Vec<_>>().join(" ")
    };
    shares.iter().map(one).collect()
}

/// The members as they join next: with what they were given.
fn next(
    assignor: Assignor,
    members: &[Subscriber],
    shares: &Shares,
    generation: i32,
) -> Vec<Subscriber> {
    let one = |(member, share): (&Subscriber, &Vec<TopicPartition>)| {
        let mut member = member.clone();
        let subscription = &mut member.subscription;
        subscription.user_data = assignor.user_data(share, Some(generation));
        if assignor.is_cooperative() {
            subscription.owned = share.clone();
            subscription.generation = Some(generation);
        }
        member
    };
    members.iter().zip(shares).map(one).collect()
}

/// Joins again until nothing is withheld any more; checks that no partition is ever in two hands.
fn settle(
    assignor: Assignor,
    members: &[Subscriber],
    counts: &PartitionCounts,
) -> (Vec<Subscriber>, Shares) {
    let mut members = members.to_vec();
    for generation in 1..5 {
        let shares = assignor.assign(&members, counts);
        if assignor.is_cooperative() {
            never_in_two_hands(&members, &shares);
        }
        members = next(assignor, &members, &shares, generation);
        if shares.iter().map(Vec::len).sum::<usize>() == wanted_total(&members, counts) {
            return (members, shares);
        }
    }
    panic!("{assignor:?} does not come to an end");
}

fn wanted_total(members: &[Subscriber], counts: &PartitionCounts) -> usize {
    wanted(members, counts)
        .iter()
        .map(|(_, n, _)| *n as usize)
        .sum()
}

fn never_in_two_hands(members: &[Subscriber], shares: &Shares) {
    for (new, share) in shares.iter().enumerate() {
        for (old, member) in members.iter().enumerate() {
            let owned = &member.subscription.owned;
            let both = share.iter().find(|p| new != old && owned.contains(p));
            assert_eq!(both, None, "given to {new} while {old} owns it");
        }
    }
}

fn each_once_to_one_who_wants_it(
    members: &[Subscriber],
    counts: &PartitionCounts,
    shares: &Shares,
) {
    let mut seen = BTreeSet::new();
    for (member, share) in members.iter().zip(shares) {
        for partition in share {
            assert!(seen.insert(partition.clone()), "{partition} twice");
            assert!(member.subscription.topics.contains(partition.name()));
            assert!((partition.partition() as u32) < counts[partition.topic()]);
        }
    }
    assert_eq!(seen.len(), wanted_total(members, counts));
}

fn moved(
    before: &[(String, Vec<TopicPartition>)],
    members: &[Subscriber],
    shares: &Shares,
) -> usize {
    let old: BTreeMap<_, _> = before
        .iter()
        .flat_map(|(id, share)| share.iter().map(move |p| (p.clone(), id.as_str())))
        .collect();
    let new = members.iter().zip(shares);
    new.flat_map(|(m, share)| share.iter().map(move |p| (p, &*m.id)))
        .filter(|(p, id)| old.get(*p) != Some(id))
        .count()
}

#[test]
fn range_and_round_robin_give_javas_results() {
    let lines = include_str!("java.txt").lines().skip(1);
    for line in lines {
        let [name, topics, members, expected] =
            <[&str; 4]>::try_from(line.split(" | ").collect::<Vec<_>>()).unwrap();
        let topics: PartitionCounts = topics
            .split(' ')
            .map(|t| (t[..1].into(), t[1..].parse().unwrap()))
            .collect();
        let one = |(number, text): (usize, &str)| {
            let (wants, instance) = text.split_once('/').unzip();
            let wants = wants
                .unwrap_or(text)
                .split("")
                .filter(|t| !t.is_empty() && *t != "-");
            let mut member = member(&format!("m{number}"), &wants.collect::<Vec<_>>());
            member.instance_id = instance.map(Into::into);
            member
        };
        let members: Vec<_> = members.split(' ').enumerate().map(one).collect();
        let assignor = ALL.into_iter().find(|a| a.name() == name).unwrap();
        let shares = text(&assignor.assign(&members, &topics));
        let shares: Vec<_> = shares.iter().map(|s| s.replace(' ', "")).collect();
        let expected: Vec<_> = expected.split(' ').map(|s| s.replace('-', "")).collect();
        assert_eq!(shares, expected, "{line}");
    }
}

#[test]
fn range_gives_the_runs_of_its_documentation() {
    let two = [member("c1", &["t0", "t1"]), member("c0", &["t0", "t1"])];
    let shares = Assignor::Range.assign(&two, &counts(&[("t0", 3), ("t1", 3)]));
    assert_eq!(text(&shares), ["t02 t12", "t00 t01 t10 t11"]);

    let shares = Assignor::Range.assign(&two, &counts(&[("t0", 1)]));
    assert_eq!(text(&shares), ["", "t00"]);
}

#[test]
fn range_of_different_subscriptions_counts_each_topics_own_members() {
    let three = [
        member("a", &["t1"]),
        member("b", &["t1", "t2"]),
        member("c", &["t1"]),
    ];
    let shares = Assignor::Range.assign(&three, &counts(&[("t1", 3), ("t2", 2)]));
    assert_eq!(text(&shares), ["t10", "t11 t20 t21", "t12"]);
}

#[test]
fn range_takes_static_members_first_by_instance_id() {
    let mut members = vec![
        member("a", &["t"]),
        member("b", &["t"]),
        member("c", &["t"]),
    ];
    members[2].instance_id = Some("i1".into());
    members[1].instance_id = Some("i2".into());
    for assignor in [Assignor::Range, Assignor::RoundRobin] {
        let shares = assignor.assign(&members, &counts(&[("t", 3)]));
        assert_eq!(text(&shares), ["t2", "t1", "t0"], "{assignor:?}");
    }
}

#[test]
fn range_gives_the_same_partition_of_topics_of_one_size_to_one_member() {
    let members = [member("a", &["x", "y"]), member("b", &["x", "y"])];
    let shares = Assignor::Range.assign(&members, &counts(&[("x", 5), ("y", 5)]));
    for share in &shares {
        let of = |topic| share.iter().filter(move |p| p.topic() == topic);
        let numbers = |topic| of(topic).map(TopicPartition::partition).collect::<Vec<_>>();
        assert_eq!(numbers("x"), numbers("y"));
    }
}

#[test]
fn round_robin_gives_the_turns_of_its_documentation() {
    let two = [member("c0", &["t0", "t1"]), member("c1", &["t0", "t1"])];
    let shares = Assignor::RoundRobin.assign(&two, &counts(&[("t0", 3), ("t1", 3)]));
    assert_eq!(text(&shares), ["t00 t02 t11", "t01 t10 t12"]);

    let three = [
        member("c0", &["t0"]),
        member("c1", &["t0", "t1"]),
        member("c2", &["t0", "t1", "t2"]),
    ];
    let topics = counts(&[("t0", 1), ("t1", 2), ("t2", 3)]);
    let shares = Assignor::RoundRobin.assign(&three, &topics);
    assert_eq!(text(&shares), ["t00", "t10", "t11 t20 t21 t22"]);
}

#[test]
fn topics_that_are_unknown_or_that_nobody_wants_are_left_out() {
    let members = [member("a", &["known", "unknown"])];
    let topics = counts(&[("known", 1), ("other", 4)]);
    for assignor in ALL {
        assert_eq!(text(&assignor.assign(&members, &topics)), ["known0"]);
        assert_eq!(text(&assignor.assign(&[], &topics)), Vec::<String>::new());
    }
}

#[test]
fn sticky_balances_what_round_robin_cannot() {
    let three = [
        member("c0", &["t0"]),
        member("c1", &["t0", "t1"]),
        member("c2", &["t0", "t1", "t2"]),
    ];
    let topics = counts(&[("t0", 1), ("t1", 2), ("t2", 3)]);
    let shares = Assignor::Sticky.assign(&three, &topics);
    assert_eq!(text(&shares), ["t00", "t10 t11", "t20 t21 t22"]);
}

#[test]
fn sticky_hands_partitions_on_along_a_chain_of_members() {
    // b and c have too much together, and a can relieve c only by way of b.
    let mut members = [
        member("a", &["x"]),
        member("b", &["x", "y"]),
        member("c", &["y"]),
    ];
    let of = |topic: &str, n| {
        (0..n)
            .map(|p| TopicPartition::new(topic, p))
            .collect::<Vec<_>>()
    };
    members[1].subscription.user_data = Assignor::Sticky.user_data(&of("x", 2), Some(1));
    members[2].subscription.user_data = Assignor::Sticky.user_data(&of("y", 4), Some(1));
    let shares = Assignor::Sticky.assign(&members, &counts(&[("x", 2), ("y", 4)]));
    assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn the_claim_of_the_latest_generation_is_believed() {
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    let both = [TopicPartition::new("t", 0)];
    for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
        for (generations, expected) in [([5, 6], ["t1", "t0"]), ([6, 5], ["t0", "t1"])] {
            for (member, generation) in members.iter_mut().zip(generations) {
                let shares = vec![both.to_vec()];
                *member =
                    next(assignor, std::slice::from_ref(member), &shares, generation).remove(0);
            }
            let shares = assignor.assign(&members, &counts(&[("t", 2)]));
            assert_eq!(text(&shares), expected, "{assignor:?} {generations:?}");
        }
    }
}

#[test]
fn a_partition_that_two_claim_in_one_generation_is_first_taken_from_both() {
    let owned = vec![TopicPartition::new("t", 0)];
    let members = [member("a", &["t"]), member("b", &["t"])];
    let assignor = Assignor::CooperativeSticky;
    let claiming = next(assignor, &members, &vec![owned.clone(), owned], 3);
    let topics = counts(&[("t", 1)]);
    let shares = assignor.assign(&claiming, &topics);
    assert_eq!(text(&shares), ["", ""]);
    let shares = assignor.assign(&next(assignor, &members, &shares, 4), &topics);
    assert_eq!(text(&shares), ["t0", ""]);
}

#[test]
fn cooperative_waits_for_a_member_that_wants_the_topic_no_longer() {
    let mut owner = member("a", &["other"]);
    owner.subscription.owned = vec![TopicPartition::new("t", 0)];
    let members = [owner, member("b", &["t"])];
    let topics = counts(&[("t", 1), ("other", 1)]);
    let shares = Assignor::CooperativeSticky.assign(&members, &topics);
    assert_eq!(text(&shares), ["other0", ""]);
}

#[test]
fn a_thousand_partitions_among_a_hundred_members_take_no_time() {
    let names: Vec<String> = (0..100).map(|n| format!("t{n:02}")).collect();
    let topics: PartitionCounts = names.iter().map(|n| (n.as_str().into(), 10)).collect();
    for different in [false, true] {
        let one = |n: usize| {
            let wants = |t: &usize| !different || t % 7 != n % 7;
            let own: Vec<_> = (0..100).filter(wants).map(|t| names[t].as_str()).collect();
            member(&format!("m{n:02}"), &own)
        };
        let members: Vec<_> = (0..100).map(one).collect();
        for assignor in ALL {
            let began = Instant::now();
            let (_, shares) = settle(assignor, &members, &topics);
            // One alone has everything, and the others come.
            let everything = vec![shares.concat()];
            let mut all = next(assignor, &members[..1], &everything, 1);
            all.extend_from_slice(&members[1..]);
            let (_, shares) = settle(assignor, &all, &topics);
            each_once_to_one_who_wants_it(&members, &topics, &shares);
            // Generous: a debug build on a busy machine.
            let took = began.elapsed();
            assert!(took < Duration::from_secs(2), "{assignor:?}: {took:?}");
        }
    }
}

fn some_counts() -> impl Strategy<Value = PartitionCounts> {
    proptest::collection::btree_map("[a-f]", 0u32..9, 1..6)
        .prop_map(|all| all.iter().map(|(t, n)| (t.as_str().into(), *n)).collect())
}

fn some_members(most: usize) -> impl Strategy<Value = Vec<Subscriber>> {
    let topics = proptest::collection::btree_set("[a-f]", 0..6);
    proptest::collection::btree_map("[k-z]{2}", (topics, any::<bool>()), 1..most).prop_map(|all| {
        let one = |(id, (topics, is_static)): (String, (BTreeSet<String>, bool))| {
            let topics: Vec<_> = topics.iter().map(String::as_str).collect();
            let mut member = member(&id, &topics);
            member.instance_id = is_static.then(|| format!("i{id}").into());
            member
        };
        all.into_iter().map(one).collect()
    })
}

/// No single hand-over, and no chain of them, would even the loads out.
fn is_balanced(members: &[Subscriber], shares: &Shares) -> bool {
    (0..members.len()).all(|from| {
        let mut reached = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(giver) = open.pop() {
            for (taker, member) in members.iter().enumerate() {
                let topics = &member.subscription.topics;
                if shares[giver].iter().any(|p| topics.contains(p.name())) && reached.insert(taker)
                {
                    open.push(taker);
                }
            }
        }
        reached
            .iter()
            .all(|to| shares[*to].len() + 2 > shares[from].len())
    })
}

proptest! {
    #[test]
    fn every_partition_goes_to_exactly_one_member_that_wants_it(
        members in some_members(12), topics in some_counts(),
    ) {
        for assignor in ALL {
            let (_, shares) = settle(assignor, &members, &topics);
            each_once_to_one_who_wants_it(&members, &topics, &shares);
        }
    }

    #[test]
    fn sticky_assignments_are_as_balanced_as_can_be(
        members in some_members(8), others in some_members(8), topics in some_counts(),
    ) {
        for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
            let (before, shares) = settle(assignor, &members, &topics);
            prop_assert!(is_balanced(&members, &shares), "{:?}", shares);
            // Some go, some come, some change what they want.
            let rest = before.into_iter().step_by(2).filter(|m| others.iter().all(|o| o.id != m.id));
            let changed: Vec<_> = rest.chain(others.clone()).collect();
            let (_, shares) = settle(assignor, &changed, &topics);
            prop_assert!(is_balanced(&changed, &shares), "{:?}", shares);
            each_once_to_one_who_wants_it(&changed, &topics, &shares);
        }
    }

    #[test]
    fn nothing_moves_when_nothing_changed(members in some_members(10), topics in some_counts()) {
        for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
            let (again, shares) = settle(assignor, &members, &topics);
            prop_assert_eq!(assignor.assign(&again, &topics), shares);
        }
    }

    #[test]
    fn a_member_that_comes_or_goes_moves_as_little_as_can_be(
        topics in some_counts(), size in 1usize..9, gone in 0usize..9,
    ) {
        let names: Vec<&str> = topics.keys().map(|t| &**t).collect();
        let members: Vec<_> = (0..size).map(|n| member(&format!("m{n}"), &names)).collect();
        let total = wanted_total(&members, &topics);
        for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
            let (before, shares) = settle(assignor, &members, &topics);
            let had: Vec<_> = before.iter().map(|m| m.id.to_string()).zip(shares.clone()).collect();

            let mut more = before.clone();
            more.push(member("new", &names));
            let (more, new_shares) = settle(assignor, &more, &topics);
            prop_assert_eq!(moved(&had, &more, &new_shares), total / (size + 1));

            let mut fewer = before.clone();
            let lost = fewer.remove(gone % size);
            if !fewer.is_empty() {
                let (fewer, new_shares) = settle(assignor, &fewer, &topics);
                let its = had.iter().find(|(id, _)| **id == *lost.id).unwrap().1.len();
                prop_assert_eq!(moved(&had, &fewer, &new_shares), its);
            }
        }
    }

    #[test]
    fn any_user_data_and_claims_are_survived(
        members in some_members(6), topics in some_counts(),
        data in proptest::collection::vec(any::<u8>(), 0..40), wild in any::<i32>(),
    ) {
        let mut members = members;
        for member in &mut members {
            member.subscription.user_data = Bytes::from(data.clone());
            member.subscription.owned = vec![TopicPartition::new("a", wild), TopicPartition::new("zz", 0)];
        }
        for assignor in ALL {
            assignor.assign(&members, &topics);
        }
    }
}
