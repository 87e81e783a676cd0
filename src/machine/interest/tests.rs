use hashbrown::HashMap;
use std::sync::Arc;

use super::*;
use crate::machine::topology::Partition;
use crate::types::{BrokerId, TopicId};

const PACE: Pace = Pace {
    retry: Backoff {
        base: Duration::from_millis(100),
        max: Duration::from_secs(1),
    },
    max_age: Duration::from_secs(300),
};

/// Topics with a leader for each partition, or an error.
#[derive(Default)]
struct World {
    topics: HashMap<TopicName, Arc<Topic>>,
}

impl World {
    fn put(&mut self, name: &str, leaders: &[Option<i32>], error: Option<ErrorCode>) {
        let partition = |leader: &Option<i32>| Partition {
            leader: leader.map(BrokerId),
            leader_epoch: 0,
            replicas: Vec::new(),
            isr: Vec::new(),
            offline: Vec::new(),
        };
        let topic = Topic {
            name: name.into(),
            id: TopicId::ZERO,
            internal: false,
            partitions: leaders.iter().map(partition).collect(),
            error,
        };
        self.topics.insert(name.into(), Arc::new(topic));
    }

    fn topology(&self) -> Topology {
        Topology {
            topics: self.topics.clone(),
            ..Topology::default()
        }
    }
}

/// Interest with a clock of its own, asked as the task does.
struct Script {
    interest: Interest,
    world: World,
    start: Instant,
    now: Instant,
    used: HashMap<TopicName, Use>,
    asks: Vec<(Duration, Ask)>,
}

impl Script {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            interest: Interest::new(PACE, start),
            world: World::default(),
            start,
            now: start,
            used: HashMap::new(),
            asks: Vec::new(),
        }
    }

    fn uses(&self, names: Vec<TopicName>) -> Vec<(TopicName, Use)> {
        let used = |name: TopicName| {
            let used = self.used.get(&name).copied().unwrap_or_default();
            (name, used)
        };
        names.into_iter().map(used).collect()
    }

    /// Lets so much time pass; every request is answered at once.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.interest.next() <= end {
            self.now = self.now.max(self.interest.next());
            if self.interest.is_all_due(self.now) {
                let all = self.uses(self.interest.all());
                self.interest.forget(&all, self.now);
            }
            let Some(ask) = self.interest.take(self.now) else {
                continue;
            };
            self.interest.answered(&ask, self.now, 0.5);
            let uses = self.uses(ask.names.clone());
            self.interest.forget(&uses, self.now);
            let topology = self.world.topology();
            self.interest.schedule(&uses, &topology, self.now, || 1.0);
            self.asks.push((self.now - self.start, ask));
        }
        self.now = end;
    }

    fn mention(&mut self, name: &str, creates: bool) {
        self.interest.mention(name, creates, false, self.now);
    }

    fn names(&self) -> Vec<Vec<&str>> {
        self.asks
            .iter()
            .map(|(_, ask)| {
                let mut names: Vec<&str> = ask.names.iter().map(|name| &**name).collect();
                names.sort_unstable();
                names
            })
            .collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn new_topics_are_asked_for_at_once_together_and_without_the_others() {
    let mut script = Script::new();
    for name in ["a", "b", "c"] {
        script.world.put(name, &[Some(1)], None);
        script.used.insert(name.into(), Use::Idle);
    }
    script.mention("a", true);
    script.mention("b", true);
    script.pass(Duration::ZERO);
    script.mention("c", true);
    script.pass(SECOND);
    assert_eq!(script.names(), [vec!["a", "b"], vec!["c"]]);
    assert!(script.asks.iter().all(|(_, ask)| ask.creates));
    // By age all of them are asked for, and none of them made.
    script.pass(300 * SECOND);
    assert_eq!(script.names()[2..], [vec!["a", "b", "c"]]);
    assert!(!script.asks[2].1.creates);
}

#[test]
fn what_is_not_to_be_made_is_never_in_a_request_that_makes_topics() {
    let mut script = Script::new();
    script.mention("kept", false);
    script.mention("made", true);
    script.pass(Duration::ZERO);
    let creates: Vec<_> = script.asks.iter().map(|(_, ask)| ask.creates).collect();
    assert_eq!(script.names(), [vec!["made"], vec!["kept"]]);
    assert_eq!(creates, [true, false]);
}

#[test]
fn no_refresh_makes_a_topic_that_was_there_before() {
    let mut script = Script::new();
    script.world.put("t", &[Some(1)], None);
    script.used.insert("t".into(), Use::Wanted);
    script.mention("t", true);
    script.pass(Duration::ZERO);
    // Deleted, at once and while it is used.
    script.world.topics.clear();
    script.interest.refresh("t", script.now);
    script.interest.request_all();
    script.pass(1000 * SECOND);
    assert!(script.asks.len() > 3);
    assert!(script.asks[1..].iter().all(|(_, ask)| !ask.creates));
}

#[test]
fn a_first_look_up_may_make_its_topic_for_a_few_seconds_and_a_waiting_one_for_as_long_as_it_waits()
{
    let mut script = Script::new();
    script.used.insert("mentioned".into(), Use::Wanted);
    script.mention("mentioned", true);
    script.interest.begin_wait("waited", true, script.now);
    script.pass(60 * SECOND);
    for (at, ask) in &script.asks {
        let is_first = *at < FIRST_LOOK;
        for name in &ask.names {
            assert_eq!(
                ask.creates,
                is_first || &**name == "waited",
                "{name} {at:?}"
            );
        }
    }
    script.interest.end_wait("waited", true, script.now);
    let before = script.asks.len();
    script.pass(400 * SECOND);
    assert!(script.asks[before..].iter().all(|(_, ask)| !ask.creates));
}

#[test]
fn a_partition_without_a_leader_costs_little_while_nobody_needs_it_and_is_found_soon_when_somebody_does()
 {
    let mut script = Script::new();
    for number in 0..1000 {
        let name: TopicName = format!("topic-{number}").into();
        script.world.put(&name, &[Some(1)], None);
        script.used.insert(name.clone(), Use::Idle);
        script.mention(&name, false);
    }
    script.world.put("topic-7", &[Some(1), None], None);
    script.pass(Duration::ZERO);
    for minute in 0..4 {
        let before = script.asks.len();
        script.pass(60 * SECOND);
        let asked = script.asks.len() - before;
        assert!((1..=12).contains(&asked), "{asked} in minute {minute}");
        let names: usize = script.names()[before..].iter().map(Vec::len).sum();
        assert_eq!(names, asked, "and only for this one");
    }
    // A record for it: asked for at once, and again in less than a second each time.
    script.used.insert("topic-7".into(), Use::Awaited);
    let began = script.now - script.start;
    script.interest.refresh("topic-7", script.now);
    script.pass(20 * SECOND);
    let times = script.asks.iter().map(|(at, _)| *at);
    let times: Vec<_> = times.filter(|at| *at >= began).collect();
    assert_eq!(times[0], began);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] < SECOND));
    assert!((20..=40).contains(&times.len()), "{times:?}");
}

#[test]
fn waiting_for_a_missing_topic_backs_off_and_does_not_hold_up_another() {
    let mut script = Script::new();
    script.interest.begin_wait("missing", true, script.now);
    script.pass(60 * SECOND);
    let asked = script.asks.len();
    assert!((60..=90).contains(&asked), "{asked}");
    script.world.put("there", &[Some(1)], None);
    script.interest.begin_wait("there", true, script.now);
    script.pass(Duration::ZERO);
    assert_eq!(script.names()[asked..], [vec!["there"]]);
}

#[test]
fn what_nobody_uses_is_forgotten_and_what_is_used_is_not() {
    let mut script = Script::new();
    for number in 0..5000 {
        let name = format!("missing-{number}");
        script.interest.begin_wait(&name, true, script.now);
        script.pass(Duration::ZERO);
        script.interest.end_wait(&name, true, script.now);
    }
    for (name, used) in [
        ("used", Use::Idle),
        ("wanted", Use::Wanted),
        ("left", Use::None),
    ] {
        script.world.put(name, &[Some(1)], None);
        script.used.insert(name.into(), used);
        script.mention(name, false);
    }
    script.interest.hold("held", script.now);
    script.pass(GRACE);
    let before = script.asks.len();
    script.interest.request_all();
    script.pass(10 * SECOND);
    assert_eq!(script.names()[before], ["held", "used", "wanted"]);
    script.interest.release("held");
    script.used.remove("used");
    script.pass(300 * SECOND);
    assert_eq!(*script.names().last().unwrap(), ["wanted"]);
}

#[test]
fn a_failed_request_is_made_again_later_and_later_and_nothing_before() {
    let mut script = Script::new();
    script.used.insert("t".into(), Use::Wanted);
    script.world.put("t", &[Some(1)], None);
    script.mention("t", true);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let ask = script.interest.take(script.now).unwrap();
        assert!(ask.creates && ask.names.len() == 1);
        script.interest.failed(&ask, script.now, 0.5);
        script.interest.request_all();
        let next = script.interest.next();
        waits.push((next - script.now).as_millis());
        assert!(script.interest.take(script.now).is_none());
        script.now = next;
    }
    assert_eq!(waits, [100, 200, 400, 800, 1000, 1000, 1000, 1000]);
    // A request for everything that was made meanwhile is served too.
    script.pass(SECOND);
    assert_eq!(script.asks.len(), 2);
    assert_eq!(script.interest.failures, 0);
}

#[test]
fn a_request_for_everything_is_served_by_one_that_begins_later() {
    let mut script = Script::new();
    script.interest.request_all();
    let ask = script.interest.take(script.now).unwrap();
    script.interest.request_all();
    script.interest.answered(&ask, script.now, 0.5);
    let next = script.interest.next();
    assert_eq!(next - script.now, Duration::from_millis(100));
    assert!(script.interest.take(next).is_some());
}
