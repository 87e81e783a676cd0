//! A consumer's settings: defaults, conflicts, typed setters and Kafka's words.

use std::time::Duration;

use super::super::{Assignor, ConsumerOptions, IsolationLevel, OffsetReset};
use super::{client, consumer, ms, refused};

/// The text with which a member of a group is refused.
fn consumer_refused(change: impl FnOnce(&mut ConsumerOptions)) -> String {
    let mut options = ConsumerOptions::default();
    change(&mut options);
    let Err(error) = options.check(&client(&[]), true) else {
        panic!("{options:?} was accepted");
    };
    error.to_string()
}

#[test]
fn consumer_defaults_are_the_documented_ones() {
    let c = consumer(&[]);
    assert_eq!((c.fetch_min_bytes, c.fetch_max_bytes), (1, 52_428_800));
    assert_eq!(c.fetch_max_wait, ms(500));
    assert_eq!(c.partition_fetch_bytes, 1_048_576);
    assert_eq!(c.buffer_memory, 67_108_864);
    assert_eq!(c.max_poll_records, 500);
    assert_eq!(c.offset_reset, OffsetReset::Latest);
    assert_eq!(c.isolation, IsolationLevel::ReadUncommitted);
    assert!(c.check_crcs && c.auto_create_topics && !c.fail_on_missing_topics);
    assert_eq!((c.rack, c.instance_id), (None, None));
    assert_eq!(c.auto_commit, Some(ms(5_000)));
    assert_eq!(c.session_timeout, ms(45_000));
    assert_eq!(c.heartbeat_interval, ms(3_000));
    assert_eq!(c.max_poll_interval, ms(300_000));
    assert_eq!(c.assignors, [Assignor::Range, Assignor::CooperativeSticky]);
    assert_eq!(c.api_timeout, ms(60_000));
    assert_eq!(c.request_timeout, ms(30_000));
    assert_eq!(
        (c.retry_backoff.base, c.retry_backoff.max),
        (ms(100), ms(1_000))
    );
}

#[test]
fn a_consumer_takes_its_clients_timeouts_unless_it_has_its_own() {
    let client = client(&[
        ("request.timeout.ms", "7000"),
        ("retry.backoff.ms", "20"),
        ("retry.backoff.max.ms", "40"),
    ]);
    let mut options = ConsumerOptions::default();
    let theirs = options.check(&client, true).expect("valid settings");
    assert_eq!(theirs.request_timeout, ms(7_000));
    assert_eq!(
        (theirs.retry_backoff.base, theirs.retry_backoff.max),
        (ms(20), ms(40))
    );

    options.set("request.timeout.ms", "900").expect("valid");
    options.set("retry.backoff.ms", "30").expect("valid");
    let own = options.check(&client, true).expect("valid settings");
    assert_eq!(own.request_timeout, ms(900));
    assert_eq!(
        (own.retry_backoff.base, own.retry_backoff.max),
        (ms(30), ms(40))
    );
}

#[test]
fn without_a_group_nothing_is_committed_by_itself() {
    let options = ConsumerOptions {
        auto_commit: Some(true),
        ..ConsumerOptions::default()
    };
    let alone = options.check(&client(&[]), false).expect("valid settings");
    assert_eq!(alone.auto_commit, None);
    assert_eq!(
        consumer(&[("enable.auto.commit", "false")]).auto_commit,
        None
    );
    let member = consumer(&[("auto.commit.interval.ms", "70")]);
    assert_eq!(member.auto_commit, Some(ms(70)));
}

#[test]
fn a_heartbeat_that_comes_too_late_for_the_session_is_refused() {
    assert_eq!(
        refused(&[("heartbeat.interval.ms", "45000")]),
        "setting \"heartbeat.interval.ms\": 45000 is not below session.timeout.ms = 45000: \
         lower it, or raise session.timeout.ms"
    );
    assert!(refused(&[("session.timeout.ms", "2999")]).contains("heartbeat.interval.ms"));
}

#[test]
fn an_answer_that_is_held_back_longer_than_it_is_waited_for_is_refused() {
    assert_eq!(
        refused(&[("fetch.max.wait.ms", "30000")]),
        "setting \"fetch.max.wait.ms\": 30000 is not below request.timeout.ms = 30000: \
         lower it, or raise request.timeout.ms"
    );
    assert!(refused(&[("request.timeout.ms", "500")]).contains("fetch.max.wait.ms"));
}

#[test]
fn a_buffer_below_a_partitions_share_of_an_answer_is_refused() {
    assert_eq!(
        refused(&[
            ("fetch.buffer.memory", "2097152"),
            ("max.partition.fetch.bytes", "2097153")
        ]),
        "setting \"fetch.buffer.memory\": 2097152 is below max.partition.fetch.bytes = 2097153: \
         raise it, or lower max.partition.fetch.bytes"
    );
    // Less is asked for, then.
    consumer(&[("fetch.buffer.memory", "1048576")]);
}

#[test]
fn more_than_fits_into_the_largest_answer_is_refused_or_not_asked_for() {
    let client = client(&[("receive.message.max.bytes", "1048576")]);
    let quiet = ConsumerOptions::default().check(&client, true);
    let quiet = quiet.expect("valid settings");
    assert_eq!(
        (quiet.fetch_max_bytes, quiet.partition_fetch_bytes),
        (917_504, 917_504)
    );
    for name in ["fetch.max.bytes", "max.partition.fetch.bytes"] {
        let mut options = ConsumerOptions::default();
        options.set(name, "917504").expect("valid");
        options.check(&client, true).expect("it fits");
        options.set(name, "917505").expect("valid");
        let error = options.check(&client, true).expect_err("it does not fit");
        assert_eq!(
            error.to_string(),
            format!(
                "setting \"{name}\": 917505 leaves no room in receive.message.max.bytes = 1048576: \
                 lower it to 917504, or raise receive.message.max.bytes"
            )
        );
    }
}

#[test]
fn typed_values_out_of_bounds_are_refused_when_built() {
    type Change = fn(&mut ConsumerOptions);
    let changes: &[(&str, Change)] = &[
        ("fetch.min.bytes", |o| o.fetch_min_bytes = Some(usize::MAX)),
        ("fetch.max.bytes", |o| o.fetch_max_bytes = Some(usize::MAX)),
        ("fetch.max.wait.ms", |o| {
            o.fetch_max_wait = Some(Duration::MAX)
        }),
        ("max.partition.fetch.bytes", |o| {
            o.partition_fetch_bytes = Some(usize::MAX)
        }),
        ("fetch.buffer.memory", |o| o.buffer_memory = Some(0)),
        ("max.poll.records", |o| o.max_poll_records = Some(0)),
        ("client.rack", |o| o.rack = Some("a\nb".to_owned())),
        ("auto.commit.interval.ms", |o| {
            o.auto_commit_interval = Some(Duration::ZERO)
        }),
        ("group.instance.id", |o| o.instance_id = Some(String::new())),
        ("session.timeout.ms", |o| {
            o.session_timeout = Some(Duration::MAX)
        }),
        ("heartbeat.interval.ms", |o| {
            o.heartbeat_interval = Some(Duration::ZERO)
        }),
        ("max.poll.interval.ms", |o| {
            o.max_poll_interval = Some(Duration::ZERO)
        }),
        ("partition.assignment.strategy", |o| {
            o.assignors = Some(Vec::new())
        }),
        ("default.api.timeout.ms", |o| {
            o.api_timeout = Some(Duration::MAX)
        }),
        ("request.timeout.ms", |o| {
            o.request_timeout = Some(Duration::ZERO)
        }),
        ("retry.backoff.ms", |o| {
            o.retry_backoff = Some(Duration::MAX)
        }),
        ("retry.backoff.max.ms", |o| {
            o.retry_backoff_max = Some(Duration::MAX)
        }),
    ];
    for (name, change) in changes {
        let error = consumer_refused(change);
        assert!(error.starts_with(&format!("setting {name:?}: ")), "{error}");
    }
}

#[test]
fn words_and_java_names_mean_what_they_mean_in_kafka() {
    for (text, reset) in [
        ("earliest", OffsetReset::Earliest),
        ("beginning", OffsetReset::Earliest),
        ("latest", OffsetReset::Latest),
        ("largest", OffsetReset::Latest),
        ("none", OffsetReset::None),
        ("error", OffsetReset::None),
    ] {
        assert_eq!(consumer(&[("auto.offset.reset", text)]).offset_reset, reset);
    }
    let committed = consumer(&[("isolation.level", "read_committed")]);
    assert_eq!(committed.isolation, IsolationLevel::ReadCommitted);
    let java = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor, \
                org.apache.kafka.clients.consumer.StickyAssignor,\
                org.apache.kafka.clients.consumer.RangeAssignor,\
                org.apache.kafka.clients.consumer.RoundRobinAssignor";
    let all = [
        Assignor::CooperativeSticky,
        Assignor::Sticky,
        Assignor::Range,
        Assignor::RoundRobin,
    ];
    for text in [java, "cooperative-sticky,sticky,range,sticky,roundrobin"] {
        let c = consumer(&[("partition.assignment.strategy", text)]);
        assert_eq!(c.assignors, all);
    }
    assert_eq!(consumer(&[("client.rack", " ")]).rack, None);
    let named = consumer(&[("client.rack", "r1"), ("group.instance.id", "i1")]);
    assert_eq!(named.rack.as_deref(), Some("r1"));
    assert_eq!(named.instance_id.as_deref(), Some("i1"));
}
