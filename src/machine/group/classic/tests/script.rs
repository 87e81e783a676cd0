//! One member, led step by step.

use super::*;

pub(super) struct Script {
    pub(super) member: Classic,
    pub(super) now: Instant,
    /// The last request of each kind.
    pub(super) calls: std::collections::HashMap<&'static str, (CallId, Request, Duration)>,
}

impl Script {
    pub(super) fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self {
            member: Classic::new(settings, now),
            now,
            calls: Default::default(),
        }
    }

    /// A member that has joined generation 1 as `m1`, and was given these partitions of `t`.
    pub(super) fn stable(settings: Settings, given: &str) -> Self {
        let mut script = Self::new(settings);
        assert_eq!(script.subscribe("t"), "find");
        assert_eq!(script.event(Event::Found), "join as '' with");
        assert_eq!(script.joined(1, "m1", "other"), "sync 1");
        let assigned = script.synced(given);
        if !given.is_empty() {
            assert_eq!(assigned, format!("assign {given}"));
            assert_eq!(script.done(), "");
        }
        script
    }

    pub(super) fn event(&mut self, event: Event) -> String {
        let actions = self.member.handle(event, self.now, 0.5);
        let told: Vec<_> = actions
            .into_iter()
            .filter(|action| !matches!(action, Action::Rest))
            .map(|action| self.tell(action))
            .collect();
        told.join(", ")
    }

    fn tell(&mut self, action: Action) -> String {
        match action {
            Action::Find => "find".into(),
            Action::Send {
                call,
                request,
                timeout,
            } => {
                let (kind, text) = match &request {
                    Request::Join(join) => {
                        let (_, metadata) = &join.protocols[0];
                        let owned = Subscription::decode(metadata.clone()).unwrap().owned;
                        let text = format!("join as '{}' with{}", join.member_id, names(&owned));
                        ("join", text)
                    }
                    Request::Sync(sync) => ("sync", format!("sync {}", sync.generation)),
                    Request::Heartbeat(beat) => ("beat", format!("beat {}", beat.generation)),
                    Request::Leave(leave) => ("leave", format!("leave {}", leave.members[0].0)),
                };
                self.calls.insert(kind, (call, request, timeout));
                text
            }
            Action::Count(topics) => format!("count {}", topics.join(" ")),
            Action::Withhold => "withhold".into(),
            Action::HandOut => "hand out".into(),
            Action::Stop(partitions) => format!("stop{}", names(&partitions)),
            Action::Revoke { partitions, .. } => format!("revoke{}", names(&partitions)),
            Action::Assign(partitions) => format!("assign{}", names(&partitions)),
            Action::Lose { partitions, why } => format!("lose{} {why:?}", names(&partitions)),
            Action::Fail(error) => match error.broker_code() {
                Some(code) => format!("fail {code}"),
                None => format!("fail {error}"),
            },
            Action::End(error) => match error.broker_code() {
                Some(code) => format!("end {code}"),
                None => format!("end {error}"),
            },
            Action::Unreadable { member_id, .. } => format!("unreadable {member_id}"),
            Action::Rest => "rest".into(),
            Action::Left => "left".into(),
        }
    }

    pub(super) fn subscribe(&mut self, topics: &str) -> String {
        let topics = topics.split_whitespace().map(TopicName::from);
        self.event(Event::Subscribe(topics.collect()))
    }

    pub(super) fn call(&self, kind: &str) -> CallId {
        self.calls[kind].0
    }

    pub(super) fn answer(&mut self, kind: &str, answer: Answer) -> String {
        self.event(Event::Answer(self.call(kind), Ok(answer)))
    }

    pub(super) fn fails(&mut self, kind: &str) -> String {
        let error = Error::Disconnected {
            address: "b:1".into(),
            reason: "reset".into(),
        };
        self.event(Event::Answer(self.call(kind), Err(error)))
    }

    pub(super) fn joined(&mut self, generation: i32, id: &str, leader: &str) -> String {
        let joined = Joined {
            generation,
            protocol: Some(self.member.settings.assignors[0].name().into()),
            leader: leader.into(),
            member_id: id.into(),
            ..Joined::default()
        };
        self.answer("join", Answer::Join(ErrorCode::NONE, joined))
    }

    pub(super) fn refused(&mut self, kind: &'static str, code: ErrorCode) -> String {
        let answer = match kind {
            "join" => Answer::Join(code, Joined::default()),
            "sync" => Answer::Sync(code, Default::default()),
            "beat" => Answer::Heartbeat(code),
            _ => Answer::Leave,
        };
        self.answer(kind, answer)
    }

    pub(super) fn synced(&mut self, given: &str) -> String {
        let partitions = partitions(given);
        let bytes = Assignment { partitions }.encode();
        self.answer("sync", Answer::Sync(ErrorCode::NONE, bytes))
    }

    pub(super) fn done(&mut self) -> String {
        self.event(Event::Done)
    }

    /// Lets the time pass until the member wants to be woken; what it does then.
    pub(super) fn wake(&mut self) -> String {
        let at = self.member.wake_at().expect("nothing to wake for");
        assert!(at >= self.now);
        self.now = at;
        self.event(Event::Wake)
    }

    /// Lets a heartbeat be sent and answered.
    pub(super) fn beat(&mut self, code: ErrorCode) -> String {
        let sent = self.wake();
        assert!(sent.starts_with("beat"), "{sent}");
        self.refused("beat", code)
    }

    pub(super) fn generation(&self) -> Option<i32> {
        match self.member.standing() {
            MemberStanding::Member(identity) | MemberStanding::Joining(identity) => {
                Some(identity.generation)
            }
            _ => None,
        }
    }
}
