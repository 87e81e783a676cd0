//! Which topics metadata is asked for, when, and whether the asking may create them.
//!
//! A topic is asked for by itself when it is new, or when something of it is missing: a leader, or the topic. How soon
//! again depends on who waits for it. All topics are asked for by age, and when a broker cannot be reached. Only the
//! first look-up of a topic may create it; topics that nobody uses any more are forgotten.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::config::Backoff;
use crate::error::ErrorCode;
use crate::machine::topology::{Topic, Topology};
use crate::types::{TopicName, after};

/// How long a first look-up that nobody waits for may create its topic: the controller may be busy for a moment.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// A topic that was mentioned just now is about to be used.
const GRACE: Duration = Duration::from_secs(5);
/// The longest delay where somebody would go on with what is missing.
const WANTED: Duration = Duration::from_millis(2500);
/// The longest delay where nobody needs what is missing.
const IDLE: Duration = Duration::from_secs(30);

/// How much a topic matters to somebody; the greatest of all counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Not at all: it may be forgotten.
    #[default]
    None,
    /// It is used, and what is missing of it keeps nobody waiting.
    Idle,
    /// Somebody would go on with what is missing.
    Wanted,
    /// A record, or a call, waits for what is missing.
    Awaited,
}

/// One request for metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) names: Vec<TopicName>,
    /// Whether brokers may create those that are missing.
    pub(crate) creates: bool,
    /// The requests for everything that it serves, when it asks for all topics.
    all: Option<u64>,
}

/// The delays between requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// `retry.backoff.ms`, `retry.backoff.max.ms`.
    pub(crate) retry: Backoff,
    /// `metadata.max.age.ms`.
    pub(crate) max_age: Duration,
}

impl Pace {
    /// How long after the `failures`th answer without it the next may have what is missing.
    fn delay(self, used: Use, failures: u32, jitter: f64) -> Duration {
        let Backoff { base, max } = self.retry;
        let max = match used {
            // With jitter it stays below `retry.backoff.max.ms`.
            Use::Awaited => max * 3 / 4,
            Use::Wanted => max.max(WANTED),
            Use::Idle | Use::None => max.max(IDLE.min(self.max_age)),
        };
        let max = max.max(base);
        Backoff { base, max }.delay(failures, jitter)
    }
}

struct Entry {
    /// Calls that wait for it, and those of them that may create it.
    waiting: u32,
    creating: u32,
    /// Who has asked to keep it.
    held: u32,
    mentioned: Instant,
    /// Until when the look-up that it began with may create it.
    created_until: Option<Instant>,
    /// When to ask for it by itself.
    next: Option<Instant>,
    answered: Option<Instant>,
    answers: u64,
    /// Answers in a row that left something out.
    failures: u32,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            waiting: 0,
            creating: 0,
            held: 0,
            mentioned: now,
            created_until: None,
            next: None,
            answered: None,
            answers: 0,
            failures: 0,
        }
    }

    fn may_create(&self, now: Instant) -> bool {
        self.creating > 0 || self.created_until.is_some_and(|until| until > now)
    }

    /// Asks as soon as the pace allows, or sooner where that is planned already.
    fn hurry(&mut self, now: Instant, pace: Pace) {
        let soonest = self
            .answered
            .map_or(now, |at| after(at, pace.retry.base).max(now));
        self.next = Some(self.next.map_or(soonest, |next| next.min(soonest)));
    }
}

/// The topics of interest.
pub(crate) struct Interest {
    pace: Pace,
    topics: HashMap<TopicName, Entry>,
    /// How often everything was asked for, ever, and how many of these an answer has served.
    requested: u64,
    served: u64,
    /// When everything is asked for by age, and on request at the earliest.
    due: Instant,
    all_not_before: Instant,
    /// Requests in a row that failed, and until when that holds up the next one.
    failures: u32,
    not_before: Instant,
}

impl Interest {
    pub(crate) fn new(pace: Pace, now: Instant) -> Self {
        Self {
            pace,
            topics: HashMap::new(),
            requested: 0,
            served: 0,
            due: after(now, pace.max_age),
            all_not_before: now,
            failures: 0,
            not_before: now,
        }
    }

    fn entry(&mut self, name: &str, now: Instant) -> &mut Entry {
        if !self.topics.contains_key(name) {
            let mut entry = Entry::new(now);
            entry.next = Some(now);
            self.topics.insert(name.into(), entry);
        }
        let entry = self
            .topics
            .entry_ref(name)
            .or_insert_with(|| Entry::new(now));
        entry.mentioned = now;
        entry
    }

    /// Somebody is about to use the topic; `is_known` is whether all of it is known now.
    pub(crate) fn mention(&mut self, name: &str, creates: bool, is_known: bool, now: Instant) {
        let pace = self.pace;
        let entry = self.entry(name, now);
        if is_known {
            return;
        }
        if creates {
            entry.created_until = Some(after(now, FIRST_LOOK));
        }
        entry.hurry(now, pace);
    }

    /// Asks for the topic soon: what is known of it is out of date.
    pub(crate) fn refresh(&mut self, name: &str, now: Instant) {
        let pace = self.pace;
        self.entry(name, now).hurry(now, pace);
    }

    /// Keeps the topic until it is released.
    pub(crate) fn hold(&mut self, name: &str, now: Instant) {
        self.entry(name, now).held += 1;
    }

    pub(crate) fn release(&mut self, name: &str) {
        if let Some(entry) = self.topics.get_mut(name) {
            entry.held = entry.held.saturating_sub(1);
        }
    }

    /// A call begins to wait for something of the topic; the number tells the answers from now on from those before.
    pub(crate) fn begin_wait(&mut self, name: &str, creates: bool, now: Instant) -> u64 {
        let pace = self.pace;
        let entry = self.entry(name, now);
        // Those who wait already have the asking under way.
        if entry.waiting == 0 {
            entry.failures = 0;
            entry.hurry(now, pace);
        }
        entry.waiting += 1;
        entry.creating += u32::from(creates);
        entry.answers
    }

    pub(crate) fn end_wait(&mut self, name: &str, creates: bool, now: Instant) {
        if let Some(entry) = self.topics.get_mut(name) {
            entry.waiting = entry.waiting.saturating_sub(1);
            entry.creating = entry.creating.saturating_sub(u32::from(creates));
            entry.mentioned = now;
        }
    }

    /// How many answers there were about the topic.
    pub(crate) fn answers(&self, name: &str) -> u64 {
        self.topics.get(name).map_or(0, |entry| entry.answers)
    }

    /// Asks for everything, by a request that begins after this call.
    pub(crate) fn request_all(&mut self) {
        self.requested += 1;
    }

    /// When there is something to ask.
    pub(crate) fn next(&self) -> Instant {
        let topics = self.topics.values().filter_map(|entry| entry.next).min();
        let asked = (self.requested > self.served).then_some(self.all_not_before);
        let soonest = topics.into_iter().chain(asked).fold(self.due, Instant::min);
        soonest.max(self.not_before)
    }

    /// The request to be made now. What may be created is asked for by itself: a request creates all of its topics that
    /// are missing, or none.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Ask> {
        if self.next() > now {
            return None;
        }
        let first = self.names(|entry| entry.is_due(now) && entry.may_create(now));
        let ask = if !first.is_empty() {
            Ask {
                names: first,
                creates: true,
                all: None,
            }
        } else if self.is_all_due(now) {
            Ask {
                names: self.names(|_| true),
                creates: false,
                all: Some(self.requested),
            }
        } else {
            Ask {
                names: self.names(|entry| entry.is_due(now)),
                creates: false,
                all: None,
            }
        };
        for name in &ask.names {
            if let Some(entry) = self.topics.get_mut(name) {
                entry.next = None;
            }
        }
        Some(ask)
    }

    fn names(&self, is_asked: impl Fn(&Entry) -> bool) -> Vec<TopicName> {
        let asked = self.topics.iter().filter(|(_, entry)| is_asked(entry));
        asked.map(|(name, _)| name.clone()).collect()
    }

    /// The request failed: the same is asked again, later and later.
    pub(crate) fn failed(&mut self, ask: &Ask, now: Instant, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = after(now, self.pace.retry.delay(self.failures, jitter));
        for name in &ask.names {
            if let Some(entry) = self.topics.get_mut(name) {
                entry.next.get_or_insert(now);
                if ask.creates && entry.created_until.is_some() {
                    // No broker has heard of it yet.
                    entry.created_until = Some(after(now, FIRST_LOOK));
                }
            }
        }
    }

    /// The answer is here; `schedule` is next.
    pub(crate) fn answered(&mut self, ask: &Ask, now: Instant, jitter: f64) {
        self.failures = 0;
        self.not_before = now;
        if let Some(serving) = ask.all {
            self.served = serving;
            self.due = after(now, self.pace.max_age);
            self.all_not_before = after(now, self.pace.retry.delay(1, jitter));
        }
        for name in &ask.names {
            if let Some(entry) = self.topics.get_mut(name) {
                entry.answers += 1;
                entry.answered = Some(now);
            }
        }
    }

    /// Whether everything is asked for next.
    pub(crate) fn is_all_due(&self, now: Instant) -> bool {
        self.not_before <= now
            && (self.due <= now || self.requested > self.served && self.all_not_before <= now)
    }

    /// Forgets those of the topics that nobody uses; returns which.
    pub(crate) fn forget(
        &mut self,
        looked_at: &[(TopicName, Use)],
        now: Instant,
    ) -> Vec<TopicName> {
        let mut forgotten = Vec::new();
        for (name, used) in looked_at {
            let entry = self.topics.get(name);
            let is_unused = |entry: &Entry| {
                entry.used(*used) == Use::None && after(entry.mentioned, GRACE) <= now
            };
            if entry.is_some_and(is_unused) {
                self.topics.remove(name);
                forgotten.push(name.clone());
            }
        }
        forgotten
    }

    /// Plans when to ask again for what an answer about these has left out.
    pub(crate) fn schedule(
        &mut self,
        asked: &[(TopicName, Use)],
        topology: &Topology,
        now: Instant,
        jitter: impl Fn() -> f64,
    ) {
        for (name, used) in asked {
            let Some(entry) = self.topics.get_mut(name) else {
                continue;
            };
            let used = entry.used(*used);
            let topic = topology.topics.get(name).map(AsRef::as_ref);
            let lack = lack(topic);
            if lack == Lack::Nothing || lack == Lack::Leader {
                entry.created_until = None;
            }
            let again = match (lack, used) {
                // Whoever waits for more than there is, such as a partition to be added.
                (Lack::Nothing, Use::Awaited) => true,
                (Lack::Nothing, _) => false,
                (Lack::Leader, _) => true,
                // What is made while it is first looked up is there soon.
                (Lack::Topic, Use::None | Use::Idle) => false,
                (Lack::Topic | Lack::Refused, Use::Awaited | Use::Wanted) => true,
                (Lack::Refused, _) => false,
            };
            if !again {
                entry.failures = 0;
                continue;
            }
            entry.failures = entry.failures.saturating_add(1);
            let next = after(now, self.pace.delay(used, entry.failures, jitter()));
            entry.next = Some(entry.next.map_or(next, |sooner| sooner.min(next)));
        }
    }

    /// Every topic of interest.
    pub(crate) fn all(&self) -> Vec<TopicName> {
        self.names(|_| true)
    }
}

impl Entry {
    fn used(&self, by_others: Use) -> Use {
        match (self.waiting, self.held) {
            (0, 0) => by_others,
            (0, _) => by_others.max(Use::Wanted),
            _ => Use::Awaited,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }
}

/// What an answer has left out of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Nothing,
    Leader,
    Topic,
    Refused,
}

fn lack(topic: Option<&Topic>) -> Lack {
    let Some(topic) = topic else {
        return Lack::Topic;
    };
    match topic.error {
        None if topic.partitions.is_empty() => Lack::Topic,
        None if topic.partitions.iter().any(|p| p.leader.is_none()) => Lack::Leader,
        None => Lack::Nothing,
        Some(ErrorCode::LEADER_NOT_AVAILABLE) => Lack::Leader,
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => Lack::Topic,
        Some(_) => Lack::Refused,
    }
}

#[cfg(test)]
mod tests;
