//! Several members and a coordinator as Kafka's brokers are, in a time of its own; requests get lost, the coordinator
//! moves, members die and applications dawdle.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::coordinator::{Group, GroupState};
use super::faults::fault;
use super::*;

/// Nobody's time moves in smaller steps.
pub(super) const TICK: Duration = Duration::from_millis(10);

pub(super) struct Node {
    pub(super) member: Classic,
    /// What the application has.
    has: BTreeSet<TopicPartition>,
    /// Of that, what it is handed nothing of any more.
    stopped: BTreeSet<TopicPartition>,
    /// It is handed nothing at all for now.
    is_withheld: bool,
    work: Option<(Instant, Action)>,
    /// How long its next work takes.
    pub(super) dawdles: Option<Duration>,
    counts_wanted: bool,
    /// Until then nothing that it sends arrives.
    cut_until: Instant,
    /// Meanwhile it is refused at once, always.
    is_refused: bool,
    pub(super) is_dead: bool,
    has_left: bool,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) group: Group,
    pub(super) nodes: Vec<Node>,
    counts: PartitionCounts,
    answers: Vec<(Instant, usize, CallId, Result<Answer, Error>)>,
    found: Vec<(Instant, usize)>,
    /// Until then requests are lost.
    is_down_until: Instant,
    /// Until then heartbeats are answered late, by up to so long.
    pub(super) beats_late: (Instant, Duration),
    /// Until then joins are answered late, by up to so long.
    pub(super) joins_late: (Instant, Duration),
    random: u64,
    is_cooperative: bool,
}

impl World {
    fn new(partitions: u32, is_cooperative: bool, seed: u64) -> Self {
        let now = Instant::now();
        Self {
            now,
            group: Group::default(),
            nodes: Vec::new(),
            counts: [("t".into(), partitions), ("u".into(), 2)].into(),
            answers: Vec::new(),
            found: Vec::new(),
            is_down_until: now,
            beats_late: (now, Duration::ZERO),
            joins_late: (now, Duration::ZERO),
            random: seed | 1,
            is_cooperative,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    pub(super) fn add(&mut self) {
        let assignors = if self.is_cooperative {
            vec![Assignor::CooperativeSticky]
        } else {
            vec![Assignor::Sticky, Assignor::RoundRobin]
        };
        self.nodes.push(Node {
            member: Classic::new(settings(&assignors), self.now),
            has: BTreeSet::new(),
            stopped: BTreeSet::new(),
            is_withheld: false,
            work: None,
            dawdles: None,
            counts_wanted: false,
            cut_until: self.now,
            is_refused: false,
            is_dead: false,
            has_left: false,
        });
        let node = self.nodes.len() - 1;
        self.tell(node, Event::Subscribe(["t".into()].into()));
    }

    pub(super) fn tell(&mut self, node: usize, event: Event) {
        let jitter = self.random(1000) as f64 / 1000.0;
        for action in self.nodes[node].member.handle(event, self.now, jitter) {
            self.act(node, action);
        }
    }

    fn act(&mut self, node: usize, action: Action) {
        let soon = self.now + TICK * (1 + self.random(3) as u32);
        match action {
            Action::Find => self.found.push((soon, node)),
            Action::Rest => {}
            Action::Withhold => self.nodes[node].is_withheld = true,
            Action::HandOut => self.nodes[node].is_withheld = false,
            Action::Stop(partitions) => self.nodes[node].stopped.extend(partitions),
            Action::Send {
                call,
                request,
                timeout,
            } => self.send(node, call, request, timeout),
            Action::Count(_) => {
                self.nodes[node].counts_wanted = true;
                let counts = self.counts.clone();
                self.tell(node, Event::Counts(counts));
            }
            Action::Revoke { .. } | Action::Assign(_) | Action::Lose { .. } => {
                let takes = TICK * (1 + self.random(300) as u32);
                let takes = self.nodes[node].dawdles.take().unwrap_or(takes);
                if let Action::Revoke { partitions, .. } | Action::Lose { partitions, .. } = &action
                {
                    self.nodes[node].stopped.extend(partitions.iter().cloned());
                }
                let work = &mut self.nodes[node].work;
                assert!(work.is_none(), "two works at a time");
                *work = Some((self.now + takes, action));
            }
            Action::Fail(error) => {
                assert!(matches!(error, Error::PollInterval { .. }), "{error}");
            }
            Action::End(error) => panic!("{error}"),
            Action::Unreadable { .. } => panic!("garbage"),
            Action::Left => self.nodes[node].has_left = true,
        }
    }

    pub(super) fn answer(&mut self, node: usize, call: CallId, answer: Answer) {
        let mut late = TICK * (1 + self.random(3) as u32);
        let (until, most) = self.joins_late;
        if self.now < until && matches!(answer, Answer::Join(..)) {
            late += TICK * self.random(most.as_millis() as u64 / 10) as u32;
        }
        self.answers.push((self.now + late, node, call, Ok(answer)));
    }

    fn send(&mut self, node: usize, call: CallId, request: Request, timeout: Duration) {
        let is_cut = self.now < self.nodes[node].cut_until;
        if self.now < self.is_down_until || is_cut {
            let error = Error::Disconnected {
                address: "b:1".into(),
                reason: "reset".into(),
            };
            // Refused at once, or without an answer until the time is up.
            let is_refused = is_cut && self.nodes[node].is_refused;
            let at = if is_refused || self.random(2) == 0 {
                self.now + TICK
            } else {
                self.now + timeout
            };
            self.answers.push((at, node, call, Err(error)));
            return;
        }
        match request {
            Request::Join(join) => self.join(node, call, join),
            Request::Sync(sync) => self.sync(node, call, sync),
            Request::Heartbeat(beat) => {
                let session_end = self.now + ms(10_000);
                let code = match self.group.members.get_mut(&beat.member_id) {
                    None => ErrorCode::UNKNOWN_MEMBER_ID,
                    Some(_) if beat.generation != self.group.generation => {
                        ErrorCode::ILLEGAL_GENERATION
                    }
                    Some(member) => {
                        member.session_end = Some(session_end);
                        match self.group.state {
                            GroupState::Preparing => ErrorCode::REBALANCE_IN_PROGRESS,
                            GroupState::Stable | GroupState::Completing => ErrorCode::NONE,
                        }
                    }
                };
                let (until, most) = self.beats_late;
                let late = if self.now < until {
                    TICK * self.random(most.as_millis() as u64 / 10) as u32
                } else {
                    TICK
                };
                let answer = Ok(Answer::Heartbeat(code));
                self.answers.push((self.now + late, node, call, answer));
            }
            Request::Leave(leave) => {
                for (id, _) in leave.members {
                    self.remove(&id);
                }
                self.answer(node, call, Answer::Leave);
            }
        }
    }

    fn run_node(&mut self, node: usize) {
        if self.nodes[node].member.state.is_held()
            && let Some(until) = self
                .group
                .put_out
                .get_mut(&self.nodes[node].member.member_id)
        {
            *until = self.now + ms(10_000);
        }
        if let Some((at, action)) = self.nodes[node].work.take_if(|(at, _)| *at <= self.now) {
            debug_assert!(at <= self.now);
            let has = &mut self.nodes[node].has;
            match action {
                Action::Assign(new) => has.extend(new),
                Action::Revoke { partitions, .. } | Action::Lose { partitions, .. } => {
                    has.retain(|p| !partitions.contains(p));
                }
                _ => unreachable!(),
            }
            let Node { has, stopped, .. } = &mut self.nodes[node];
            stopped.retain(|p| has.contains(p));
            self.tell(node, Event::Done);
        }
        if self.nodes[node]
            .member
            .wake_at()
            .is_some_and(|at| at <= self.now)
        {
            self.tell(node, Event::Wake);
        }
    }

    /// No two are handed records of the same partition.
    ///
    /// A member that the coordinator puts out of a rebalance, for joining too late, learns of it with its next heartbeat
    /// or by the answer to its join: before that only the others know. It never takes longer than a session, or the
    /// request that waits.
    fn check(&self) {
        let mut owners: BTreeMap<&TopicPartition, Vec<usize>> = BTreeMap::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let put_out = self.group.put_out.get(&node.member.member_id);
            let knows_not = put_out.is_some_and(|until| self.now < *until);
            if node.is_dead || node.is_withheld || knows_not {
                continue;
            }
            for partition in node.has.difference(&node.stopped) {
                owners.entry(partition).or_default().push(number);
            }
        }
        for (partition, owners) in owners {
            assert_eq!(owners.len(), 1, "{partition} belongs to {owners:?}");
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += TICK;
            let now = self.now;
            let is_up = now >= self.is_down_until;
            let found: Vec<_> = self.found.extract_if(.., |(at, _)| *at <= now).collect();
            for (_, node) in found {
                if !self.nodes[node].is_dead {
                    let error = Error::broker(ErrorCode::COORDINATOR_NOT_AVAILABLE, None, "x");
                    // Another broker may tell who it is, which does not mean that it is to be reached.
                    let is_cut = self.nodes[node].cut_until > now;
                    let event = if is_up && !(is_cut && self.random(2) == 0) {
                        Event::Found
                    } else {
                        Event::NotFound(error)
                    };
                    self.tell(node, event);
                }
            }
            let due: Vec<_> = self.answers.extract_if(.., |(at, ..)| *at <= now).collect();
            for (_, node, call, answer) in due {
                if !self.nodes[node].is_dead {
                    self.tell(node, Event::Answer(call, answer));
                }
            }
            if is_up {
                self.run_group();
            }
            for node in 0..self.nodes.len() {
                if !self.nodes[node].is_dead {
                    self.run_node(node);
                }
            }
            self.check();
        }
    }

    /// The connections to the coordinator end, with all that waits on them; it is back after that time.
    pub(super) fn fail(&mut self, time: Duration) {
        self.is_down_until = self.now + time;
        let mut broken = Vec::new();
        for member in self.group.members.values_mut() {
            broken.extend(member.joining.take());
            broken.extend(member.syncing.take());
            // The new coordinator gives everybody a new session.
            member.session_end = Some(self.is_down_until + ms(10_000));
        }
        for (node, call) in broken {
            let error = Error::Disconnected {
                address: "b:1".into(),
                reason: "reset".into(),
            };
            self.answers.push((self.now + TICK, node, call, Err(error)));
        }
    }

    /// One member's connections end, with what waits on them, and none is to be had for that time.
    pub(super) fn cut(&mut self, node: usize, time: Duration, is_refused: bool) {
        self.nodes[node].cut_until = self.now + time;
        self.nodes[node].is_refused = is_refused;
        let mut broken: Vec<_> = self
            .answers
            .extract_if(.., |(_, to, ..)| *to == node)
            .map(|(_, _, call, _)| call)
            .collect();
        let id = self.nodes[node].member.member_id.clone();
        if let Some(member) = self.group.members.get(&id) {
            let waiting = member.joining.iter().chain(&member.syncing);
            broken.extend(waiting.map(|(_, call)| *call));
        }
        for call in broken {
            let error = Error::Disconnected {
                address: "b:1".into(),
                reason: "reset".into(),
            };
            self.answers.push((self.now + TICK, node, call, Err(error)));
        }
    }

    /// Whatever waits, waits in vain, and its members notice after that time.
    pub(super) fn move_away(&mut self, time: Duration) {
        let mut waiting = BTreeSet::new();
        for member in self.group.members.values_mut() {
            waiting.extend(member.joining.take().map(|(node, _)| node));
            waiting.extend(member.syncing.take().map(|(node, _)| node));
            member.session_end = Some(self.now + time + ms(10_000));
        }
        self.run(time);
        for node in waiting {
            if !self.nodes[node].is_dead {
                self.tell(node, Event::Moved);
            }
        }
    }

    pub(super) fn grow(&mut self) {
        for count in self.counts.values_mut() {
            *count += 1;
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].counts_wanted && !self.nodes[node].is_dead {
                let counts = self.counts.clone();
                self.tell(node, Event::Counts(counts));
            }
        }
    }

    pub(super) fn pick(&mut self, which: usize) -> Option<usize> {
        let alive = |n: &usize| !self.nodes[*n].is_dead && !self.nodes[*n].member.is_closed();
        let all: Vec<_> = (0..self.nodes.len()).filter(alive).collect();
        (!all.is_empty()).then(|| all[which % all.len()])
    }

    /// Long after the last fault: everything is somebody's, evenly, and everybody is at rest.
    fn is_settled(&self) {
        let alive: Vec<_> = self
            .nodes
            .iter()
            .filter(|n| !n.is_dead && !n.member.is_closed())
            .collect();
        let wanted: BTreeSet<_> = alive
            .iter()
            .flat_map(|n| n.member.subscription.iter())
            .collect();
        let total: usize = wanted
            .iter()
            .map(|topic| self.counts[*topic] as usize)
            .sum();
        let is_one = |one: &&Node| one.member.subscription == alive[0].member.subscription;
        let is_even = alive.iter().copied().all(|node| is_one(&node));
        let mut seen = BTreeSet::new();
        for node in &alive {
            assert!(matches!(node.member.state, MemberState::Stable(_)));
            assert_eq!(node.member.state.generation(), Some(self.group.generation));
            assert!(node.stopped.is_empty() && !node.is_withheld);
            for partition in &node.has {
                assert!(seen.insert(partition), "{partition} twice");
                assert!(node.member.subscription.contains(partition.name()));
            }
            let fair = total / alive.len();
            assert!(
                !is_even || (fair..=fair + 1).contains(&node.has.len()),
                "{:?}",
                node.has
            );
        }
        assert!(
            alive.is_empty() || seen.len() == total,
            "{seen:?} of {total}"
        );
        for node in self.nodes.iter().filter(|n| !n.is_dead) {
            assert_eq!(node.has_left, node.member.is_closed());
        }
    }
}

#[test]
fn partitions_that_stay_are_never_interrupted_in_a_cooperative_group() {
    let mut world = World::new(9, true, 7);
    world.add();
    world.add();
    world.run(ms(30_000));
    world.is_settled();
    let before: Vec<_> = world.nodes.iter().map(|n| n.has.clone()).collect();
    world.add();
    for _ in 0..3_000 {
        world.run(TICK);
        for (node, before) in world.nodes.iter().zip(&before) {
            // Of 9, the two give up three together, and never more than those.
            assert!(
                node.has.len() >= 3 && node.has.is_subset(before),
                "{:?}",
                node.has
            );
        }
    }
    world.is_settled();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 }))]

    #[test]
    fn whatever_happens_the_group_comes_to_rest_with_every_partition_in_one_hand(
        faults in proptest::collection::vec((fault(), 0u64..8_000), 1..12),
        partitions in 1u32..12, is_cooperative: bool, seed: u64,
    ) {
        let mut world = World::new(partitions, is_cooperative, seed);
        world.add();
        for (fault, pause) in &faults {
            world.apply(fault);
            world.run(ms(*pause));
        }
        world.run(ms(200_000));
        world.is_settled();
    }
}
