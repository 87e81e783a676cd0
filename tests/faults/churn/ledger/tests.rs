//! The judge finds what is planted, and nothing else.

use super::*;

const AT: Duration = Duration::ZERO;

/// A group of one partition, and the log of what was sent to it.
struct Group(Ledger, i64);

impl Group {
    fn of(records: i64) -> Self {
        Self(Ledger::default(), records)
    }

    fn join(&mut self, start: i64) -> usize {
        let member = self.0.join();
        self.note(member, Event::Assigned(vec![(0, Some(start))]));
        member
    }

    fn note(&mut self, member: usize, event: Event) {
        self.0.note(member, AT, event);
    }

    /// One call, which is handed these.
    fn hand(&mut self, member: usize, offsets: impl IntoIterator<Item = i64>) {
        self.note(member, Event::Called);
        for offset in offsets {
            let id = u64::try_from(offset).ok();
            self.note(
                member,
                Event::Handed {
                    partition: 0,
                    offset,
                    id,
                },
            );
        }
    }

    fn revoke(&mut self, member: usize) {
        self.note(member, Event::Called);
        self.note(member, Event::Revoked(vec![0]));
    }

    fn judge(self) -> Result<Survey, Vec<Violation>> {
        let ids = 0..u64::try_from(self.1).unwrap();
        let sent: Vec<_> = ids.map(sent).collect();
        let log: Vec<_> = (0..self.1).map(read).collect();
        self.0.judge(&sent, &log)
    }

    fn violations(self) -> Vec<Violation> {
        self.judge().expect_err("the fault was not found")
    }
}

fn sent(id: u64) -> Sent {
    Sent {
        id,
        partition: Some(0),
        told: Told::Acked(i64::try_from(id).ok()),
    }
}

fn read(offset: i64) -> Read {
    Read {
        id: u64::try_from(offset).ok(),
        partition: 0,
        offset,
    }
}

pub(crate) fn a_group_that_hands_over_properly_passes() {
    let mut group = Group::of(9);
    let first = group.join(0);
    group.hand(first, 0..4);
    group.0.committed(0, 4);
    group.revoke(first);
    let second = group.join(4);
    group.hand(second, 4..9);
    group.0.committed(0, 9);
    let survey = group.judge().unwrap();
    assert_eq!(
        (survey.handed, survey.repeated, survey.tenures),
        (9, 0, 2),
        "{survey:?}"
    );
}

pub(crate) fn a_commit_one_too_far_is_found() {
    let mut group = Group::of(4);
    let member = group.join(0);
    group.hand(member, 0..3);
    group.0.committed(0, 4);
    group.hand(member, 3..4);
    let expected = Violation::CommittedTooFar {
        partition: 0,
        offset: 4,
        handed: 3,
    };
    assert_eq!(group.violations(), [expected]);
}

pub(crate) fn a_position_skipped_is_found_though_the_record_comes_later() {
    // In the middle of what a member has.
    let mut group = Group::of(4);
    let member = group.join(0);
    group.hand(member, [0, 1, 3]);
    group.note(member, Event::Killed);
    let second = group.join(2);
    group.hand(second, 2..4);
    let skipped = |member, expected, offset| Violation::Moved {
        member,
        partition: 0,
        expected,
        offset,
    };
    assert_eq!(group.violations(), [skipped(0, 2, 3)]);
    // Between two members.
    let mut group = Group::of(4);
    let first = group.join(0);
    group.hand(first, 0..2);
    group.revoke(first);
    let second = group.join(2);
    group.hand(second, 3..4);
    let violations = group.violations();
    assert_eq!(violations[0], skipped(1, 2, 3));
    assert_eq!(
        violations[1..],
        [Violation::Missed(read(2)), Violation::Lost(sent(2))]
    );
}

pub(crate) fn going_back_is_found() {
    let mut group = Group::of(4);
    let member = group.join(0);
    group.hand(member, [0, 1, 2, 1, 2, 3]);
    let violations = group.violations();
    let back = Violation::Moved {
        member: 0,
        partition: 0,
        expected: 3,
        offset: 1,
    };
    assert_eq!(violations[0], back);
    // Behind what the group had committed.
    let mut group = Group::of(4);
    let first = group.join(0);
    group.hand(first, 0..3);
    group.note(first, Event::Killed);
    let second = group.join(2);
    group.hand(second, 1..4);
    let back = Violation::Moved {
        member: 1,
        partition: 0,
        expected: 2,
        offset: 1,
    };
    assert_eq!(group.violations(), [back]);
}

pub(crate) fn a_record_twice_needs_a_kill_or_a_loss() {
    let repeat = |excuse: Option<Event>| {
        let mut group = Group::of(4);
        let first = group.join(0);
        group.hand(first, 0..2);
        group.hand(first, 2..3);
        match excuse {
            Some(event) => group.note(first, event),
            None => group.revoke(first),
        }
        let second = group.join(2);
        group.hand(second, 2..4);
        group.judge()
    };
    for excuse in [
        Event::Killed,
        Event::Lost(vec![0]),
        Event::Dropped,
        Event::Uncommitted,
    ] {
        assert_eq!(repeat(Some(excuse)).unwrap().repeated, 1);
    }
    let repeated = Violation::Repeated {
        partition: 0,
        from: 2,
        to: 3,
        first: 0,
        second: 1,
    };
    assert_eq!(repeat(None).unwrap_err(), [repeated]);
}

pub(crate) fn one_that_is_dropped_repeats_its_last_call_at_most() {
    let mut group = Group::of(4);
    let first = group.join(0);
    group.hand(first, 0..2);
    group.hand(first, 2..3);
    group.note(first, Event::Dropped);
    let second = group.join(1);
    group.hand(second, 1..4);
    let violations = group.violations();
    assert!(
        matches!(violations[..], [Violation::Repeated { from: 1, .. }]),
        "{violations:?}"
    );
}

pub(crate) fn a_record_lost_is_found() {
    let mut group = Group::of(4);
    let member = group.join(0);
    group.hand(member, 0..3);
    assert_eq!(
        group.violations(),
        [Violation::Missed(read(3)), Violation::Lost(sent(3))]
    );
}

pub(crate) fn a_record_with_other_bytes_is_found() {
    let mut group = Group::of(1);
    let member = group.join(0);
    group.note(member, Event::Called);
    let event = Event::Handed {
        partition: 0,
        offset: 0,
        id: Some(7),
    };
    group.note(member, event);
    assert_eq!(
        group.violations(),
        [
            Violation::Altered(read(0), Some(7)),
            Violation::Lost(sent(0))
        ]
    );
}

pub(crate) fn a_stale_record_is_found() {
    let stale = |member, offset| Violation::Stale {
        member,
        partition: 0,
        offset,
    };
    let mut group = Group::of(3);
    let first = group.join(0);
    group.hand(first, 0..1);
    group.revoke(first);
    let second = group.join(1);
    group.hand(second, 1..3);
    group.hand(first, 1..2);
    assert_eq!(group.violations(), [stale(0, 1)]);
    // What a call under way brings may be noted just after the loss; the next call brings nothing.
    let mut group = Group::of(3);
    let first = group.join(0);
    group.hand(first, 0..1);
    group.note(first, Event::Lost(vec![0]));
    let late = Event::Handed {
        partition: 0,
        offset: 1,
        id: Some(1),
    };
    group.note(first, late);
    let second = group.join(0);
    group.hand(second, 0..3);
    group.hand(first, 2..3);
    assert_eq!(group.violations(), [stale(0, 2)]);
}

pub(crate) fn two_owners_at_once_are_found_unless_one_lost_it() {
    let shared = |ends: Option<Event>| {
        let mut group = Group::of(2);
        let first = group.join(0);
        group.hand(first, 0..1);
        let second = group.join(1);
        group.hand(second, 1..2);
        if let Some(event) = ends {
            group.note(first, event);
        }
        group.judge()
    };
    for end in [Event::Lost(vec![0]), Event::Killed, Event::Dropped] {
        assert!(shared(Some(end)).is_ok());
    }
    let found = Violation::Shared {
        partition: 0,
        first: 0,
        second: 1,
    };
    assert_eq!(shared(None).unwrap_err(), [found]);
    assert_eq!(shared(Some(Event::Revoked(vec![0]))).unwrap_err(), [found]);
}

pub(crate) fn a_partition_that_stays_and_is_interrupted_is_found() {
    let ms = Duration::from_millis;
    let group = |pause: u64| {
        let mut ledger = Ledger::steady(ms(400));
        let member = ledger.join();
        ledger.note(member, AT, Event::Assigned(vec![(0, Some(0))]));
        for (offset, at) in [(0, 0), (1, 100), (2, 100 + pause)] {
            // The third one could be read before the second one was handed out.
            ledger.seen(0, offset, ms(u64::try_from(offset).unwrap() * 50));
            let event = Event::Handed {
                partition: 0,
                offset,
                id: u64::try_from(offset).ok(),
            };
            ledger.note(member, ms(at), event);
        }
        ledger
    };
    let log: Vec<_> = (0..3).map(read).collect();
    assert_eq!(group(300).judge(&[], &log).unwrap().silence, ms(300));
    // A record that nobody could read earlier is no interruption.
    let mut late = group(0);
    late.seen(0, 3, ms(900));
    let event = Event::Handed {
        partition: 0,
        offset: 3,
        id: Some(3),
    };
    late.note(0, ms(950), event);
    assert_eq!(late.judge(&[], &log).unwrap().silence, ms(50));
    assert_eq!(
        group(500).judge(&[], &log).unwrap_err(),
        [Violation::Interrupted {
            member: 0,
            partition: 0,
            silence: ms(500)
        }]
    );
    // As an eager assignor does it.
    let mut ledger = group(300);
    ledger.note(0, ms(500), Event::Revoked(vec![0]));
    ledger.note(0, ms(900), Event::Assigned(vec![(0, Some(3))]));
    let member = 0;
    assert_eq!(
        ledger.judge(&[], &log).unwrap_err(),
        [Violation::TakenForNothing {
            member,
            partition: 0
        }]
    );
}
