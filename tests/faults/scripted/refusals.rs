//! What a broker will not take, or not now.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ottla::{Compression, ErrorCode};
use tokio::time::Instant;

use super::stage::{SOON, Stage, first_of, text};
use crate::faults::frames::Request;
use crate::faults::load::{Book, Numbered};
use crate::faults::proxy::Fate;
use crate::faults::world::{Live, Outcome, until, within};

/// Refuses every batch of more than `most` records.
fn refuse_above(most: i32, code: ErrorCode) -> impl FnMut(&Request) -> Fate + Send + 'static {
    move |request| {
        let produced = request.produced().ok().flatten().unwrap_or_default();
        match produced.batches.iter().any(|batch| batch.count > most) {
            true => Fate::Answer(request.refused(code)),
            false => Fate::Pass,
        }
    }
}

pub(super) async fn too_large(live: &Live) -> Outcome {
    let codecs = [
        Compression::None,
        Compression::Lz4(None),
        Compression::Zstd(None),
    ];
    let codes = [
        ErrorCode::MESSAGE_TOO_LARGE,
        ErrorCode::RECORD_LIST_TOO_LARGE,
    ];
    for (compression, code) in codecs.into_iter().zip(codes.into_iter().cycle()) {
        let name = format!("{compression:?} {code}");
        let mut stage = Stage::known(live, "too-large", |builder| {
            builder
                .linger(Duration::from_millis(3))
                .batch_size(16_000)
                .compression(compression)
        })
        .await?;
        live.proxies.rule(refuse_above(20, code));
        for _ in 0..1500 {
            stage.send(0).await?;
        }
        within("flush", SOON, stage.producer.flush()).await??;
        stage.resolve(SOON).await?;
        let metrics = stage.producer.metrics();
        // What passed is remembered: not every batch is refused first.
        assert!(metrics.splits >= 2, "{name}: {} splits", metrics.splits);
        stage
            .all_acked()
            .await
            .map_err(|error| format!("{name}: {}", text(&error)))?;
    }
    Ok(())
}

pub(super) async fn single_too_large(live: &Live) -> Outcome {
    let mut stage = Stage::known(live, "single-too-large", |builder| builder).await?;
    let (rule, _) = first_of(0, 1, |request, _| {
        Fate::Answer(request.refused(ErrorCode::MESSAGE_TOO_LARGE))
    });
    live.proxies.rule(rule);
    stage.send_batches(10).await?;
    stage.resolve(SOON).await?;
    fails_alone(stage, ErrorCode::MESSAGE_TOO_LARGE).await
}

/// One record failed as not written, the others are in the log in order.
pub(super) async fn fails_alone(stage: Stage<'_>, code: ErrorCode) -> Outcome {
    let account = stage.judge()?;
    assert_eq!(
        (account.not_written, account.possibly_written),
        (1, 0),
        "{:?}",
        stage.book.errors
    );
    let name = code.to_string();
    assert!(
        stage.book.errors.keys().any(|error| error.contains(&name)),
        "{:?}",
        stage.book.errors
    );
    stage.end().await
}

pub(super) async fn topic_forbidden(live: &Live) -> Outcome {
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    let mut stage = Stage::known(live, "topic-forbidden", |builder| builder).await?;
    let (rule, _) = first_of(0, 1, move |request, _| Fate::Answer(request.refused(code)));
    live.proxies.rule(rule);
    stage.send_batches(10).await?;
    stage.resolve(SOON).await?;
    fails_alone(stage, code).await
}

pub(super) async fn cluster_forbidden(live: &Live) -> Outcome {
    let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    let mut stage = Stage::known(live, "cluster-forbidden", |builder| builder).await?;
    let (rule, _) = first_of(0, usize::MAX, move |request, _| {
        Fate::Answer(request.refused(code))
    });
    live.proxies.rule(rule);
    let mut refused = None;
    for id in 1..100_000 {
        let record = Numbered::to("cluster-forbidden", 0, id);
        if let Err(error) = stage.book.send(&stage.producer, record).await {
            refused = Some(error);
            break;
        }
        tokio::task::yield_now().await;
    }
    let error = refused.ok_or("a producer that may do nothing goes on taking records")?;
    assert!(
        error.is_fatal() && error.broker_code() == Some(code),
        "{error}"
    );
    stage.resolve(SOON).await?;
    assert_eq!(stage.judge()?.acked, 1);
    live.proxies.pass();
    let again = stage
        .producer
        .enqueue(Numbered::to("cluster-forbidden", 0, 1 << 40).record())
        .await;
    assert!(
        again.is_err_and(|error| error.is_fatal()),
        "a fatal error is for good"
    );
    within("flush", SOON, stage.producer.flush())
        .await?
        .expect_err("it is closed");
    let closing = stage.producer.close(Duration::from_secs(5));
    within("close", SOON, closing).await??;
    live.delete_topic("cluster-forbidden")?;
    Ok(())
}

/// As while a topic's creation, or a controller's change, has not reached every broker.
pub(super) async fn absent_topic(live: &Live) -> Outcome {
    let mut stage = Stage::known(live, "absent-topic", |builder| builder).await?;
    live.proxies.trace.clear();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    live.proxies.rule(move |request| {
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        if request.is_metadata() {
            count.fetch_add(1, Ordering::Relaxed);
            return request.rewrite_metadata(move |answer| {
                for topic in &mut answer.topics {
                    topic.error_code = unknown.code();
                    topic.partitions.clear();
                }
            });
        }
        match request.is_produce() {
            true => Fate::Answer(request.refused(unknown)),
            false => Fate::Pass,
        }
    });
    stage.send_batches(20).await?;
    let seen = || asked.load(Ordering::Relaxed) >= 4;
    until("the topic is asked for again and again", SOON, seen).await?;
    stage.send(0).await?;
    live.proxies.pass();
    stage.resolve(SOON).await?;
    stage.all_acked().await
}

/// KIP-219: the broker answers at once, says for how long it wants to be left alone, and mutes the connection.
pub(super) async fn throttled(live: &Live) -> Outcome {
    const THROTTLE: Duration = Duration::from_millis(1500);
    let mut stage = Stage::new(live, "throttled", 2, |builder| builder).await?;
    live.move_leader("throttled", 0, 1)?;
    live.move_leader("throttled", 1, 2)?;
    stage.producer = live
        .producer("throttled", |builder| builder.linger(Duration::ZERO))
        .await?;
    stage.send(0).await?;
    stage.send(1).await?;
    stage.resolve(SOON).await?;
    let (rule, _) = first_of(0, 1, |request, _| {
        request.rewrite(|answer| answer.throttle_time_ms = THROTTLE.as_millis() as i32)
    });
    live.proxies.of(1).rule(rule);
    stage.send(0).await?;
    stage.resolve(SOON).await?;
    let began = Instant::now();
    let muted = stage
        .producer
        .enqueue(Numbered::to("throttled", 0, 1000).record())
        .await?;
    for id in 1001..1050 {
        let record = Numbered::to("throttled", 1, id);
        let sending = stage.producer.send(record.record());
        within("another broker's record", THROTTLE / 2, sending).await??;
    }
    assert!(!muted.is_done(), "the broker was not left alone");
    within("the muted record", SOON, muted).await??;
    let waited = began.elapsed();
    assert!(
        (THROTTLE * 9 / 10..THROTTLE * 2).contains(&waited),
        "{waited:?}"
    );
    let throttled = stage
        .producer
        .metrics()
        .brokers
        .get(&1)
        .map(|broker| broker.throttled);
    assert_eq!(throttled, Some(THROTTLE));
    stage.end().await
}

/// What had been sent when the broker muted the connection is answered after the throttle, not lost.
pub(super) async fn long_throttle(live: &Live) -> Outcome {
    const THROTTLE: Duration = Duration::from_millis(2500);
    let mut stage = Stage::known(live, "long-throttle", |builder| {
        builder
            .request_timeout(Duration::from_millis(1000))
            .delivery_timeout(SOON)
    })
    .await?;
    let sent_again = |stage: &Stage<'_>| stage.producer.metrics().retries;
    let (connections, retries) = (live.proxies.totals().connections, sent_again(&stage));
    let mut muted_until = None;
    live.proxies.rule(move |request| {
        if !request.is_produce() {
            return Fate::Pass;
        }
        let Some(until) = muted_until else {
            muted_until = Some(Instant::now() + THROTTLE);
            return request.rewrite(|answer| answer.throttle_time_ms = THROTTLE.as_millis() as i32);
        };
        Fate::Delay(until - Instant::now())
    });
    stage.send_batches(5).await?;
    stage.resolve(SOON).await?;
    assert_eq!(
        sent_again(&stage),
        retries,
        "what had been sent was given up"
    );
    assert_eq!(
        live.proxies.totals().connections,
        connections,
        "the connection was given up"
    );
    stage.all_acked().await
}

/// A compacted topic takes no record without a key; the broker names those it objects to (KIP-467).
pub(super) async fn bad_records(live: &Live) -> Outcome {
    let topic = "bad-records";
    let config = [("cleanup.policy", "compact"), ("min.insync.replicas", "2")];
    live.create_topic(topic, 1, 3, &config)?;
    let producer = live
        .producer(topic, |builder| {
            builder.linger(Duration::from_millis(5)).batch_size(4096)
        })
        .await?;
    let mut book = Book::default();
    for id in 0..2000 {
        let key = (id % 17 != 3).then_some(id);
        book.send(
            &producer,
            Numbered {
                id,
                topic,
                key,
                partition: None,
            },
        )
        .await?;
    }
    within("flush", SOON, producer.flush()).await??;
    book.resolve(SOON).await?;
    let account = live.judge(topic, &book)?;
    println!("{account}; {} splits", producer.metrics().splits);
    let keyless = (0..2000).filter(|id| id % 17 == 3).count();
    assert_eq!(
        (account.not_written, account.possibly_written),
        (keyless, 0),
        "{:?}",
        book.errors
    );
    live.delete_topic(topic)?;
    Ok(())
}
