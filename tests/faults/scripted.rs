//! Answers that a real broker gives seldom, put in place by the proxy; the log stays a real broker's.
//!
//! An answer that says "not written" is given by the proxy without forwarding the request; one that
//! leaves that open takes the place of the broker's own, so that the records are in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use libtest_mimic::Trial;
use ottla::{Compression, ErrorCode, Producer, ProducerBuilder};
use tokio::time::Instant;

use super::checker::{Account, Told};
use super::frames::Request;
use super::load::{Book, Numbered};
use super::proxy::Fate;
use super::world::{Live, Outcome, World, until, within};

pub(crate) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live("scripted::refused_batches_are_sent_again_in_order", refused),
        world.live(
            "scripted::a_first_batch_refused_is_not_overtaken",
            first_refused,
        ),
        world.live(
            "scripted::a_first_batch_of_a_topic_created_again_is_not_overtaken",
            first_of_new_topic_refused,
        ),
        world.live(
            "scripted::unknown_outcomes_are_settled_by_sending_again",
            unknown_outcome,
        ),
        world.live(
            "scripted::a_record_that_may_be_written_never_fails_as_not_written",
            honest_failure,
        ),
        world.live(
            "scripted::sequences_restart_from_the_head_under_a_new_epoch",
            restarted,
        ),
        world.live("scripted::an_epoch_never_goes_back", stale_identity),
        world.live(
            "scripted::a_duplicate_is_an_acknowledgement_without_an_offset",
            duplicate,
        ),
        world.live("scripted::a_batch_too_large_is_split_in_order", too_large),
        world.live("scripted::a_record_too_large_fails_alone", single_too_large),
        world.live(
            "scripted::a_topic_not_authorized_fails_the_batch_alone",
            topic_forbidden,
        ),
        world.live(
            "scripted::a_cluster_not_authorized_is_fatal",
            cluster_forbidden,
        ),
        world.live(
            "scripted::a_topic_briefly_absent_loses_nothing",
            absent_topic,
        ),
        world.live(
            "scripted::a_throttled_broker_is_left_alone_and_no_other",
            throttled,
        ),
        world.live(
            "scripted::a_throttle_longer_than_the_request_timeout_costs_nothing",
            long_throttle,
        ),
        world.live(
            "scripted::a_delivery_timeout_in_the_queue_is_definite",
            queued_timeout,
        ),
        world.live(
            "scripted::a_delivery_timeout_in_flight_is_not_definite",
            flying_timeout,
        ),
        world.live(
            "scripted::a_buffer_is_not_reused_while_its_bytes_are_on_the_way",
            reused_buffer,
        ),
        world.live("scripted::a_swallowed_request_is_sent_again", swallowed),
        world.live(
            "scripted::a_garbled_answer_costs_the_connection_and_no_record",
            garbled,
        ),
        world.live(
            "scripted::refused_records_fail_and_the_others_of_their_batch_do_not",
            bad_records,
        ),
    ]
}

/// Longest wait for anything that takes no time of its own.
const SOON: Duration = Duration::from_secs(20);

/// One topic, and a producer behind the proxies.
struct Stage<'a> {
    live: &'a Live,
    topic: String,
    producer: Producer,
    book: Book,
}

impl<'a> Stage<'a> {
    async fn new(
        live: &'a Live,
        topic: &str,
        partitions: i32,
        set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Outcome<Self> {
        live.proxies.pass();
        live.proxies.reset();
        live.topic(topic, partitions)?;
        // Each record is a batch, unless the test says otherwise.
        let producer = live
            .producer(topic, |builder| {
                set(builder.linger(Duration::ZERO).batch_size(0))
            })
            .await?;
        Ok(Self {
            live,
            topic: topic.to_owned(),
            producer,
            book: Book::default(),
        })
    }

    /// As `new`, with a record in partition 0: connections are open, and the broker knows the producer.
    async fn known(
        live: &'a Live,
        topic: &str,
        set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Outcome<Self> {
        let mut stage = Self::new(live, topic, 1, set).await?;
        stage.send_until_acked(1).await?;
        live.proxies.trace.clear();
        Ok(stage)
    }

    async fn send(&mut self, partition: i32) -> Outcome {
        let record = Numbered::to(&self.topic, partition, self.book.sent().len() as u64);
        self.book.send(&self.producer, record).await?;
        Ok(())
    }

    /// Sends records to partition 0, each of which is a batch: five of them are in flight at once.
    async fn send_batches(&mut self, count: usize) -> Outcome {
        for _ in 0..count {
            self.send(0).await?;
        }
        Ok(())
    }

    /// Sends records to partition 0, one after the other, until so many have been acknowledged.
    async fn send_until_acked(&mut self, count: usize) -> Outcome {
        let acked = |stage: &Self| stage.book.count(|told| matches!(told, Told::Acked(_)));
        let (before, end) = (acked(self), Instant::now() + SOON);
        while acked(self) < before + count {
            if Instant::now() > end {
                return Err(format!("not acknowledged: {:?}", self.book.errors).into());
            }
            self.send(0).await?;
            self.resolve(SOON).await?;
        }
        Ok(())
    }

    async fn resolve(&mut self, limit: Duration) -> Outcome {
        self.book.resolve(limit).await
    }

    fn told(&self) -> Vec<Told> {
        self.book.sent().iter().map(|sent| sent.told).collect()
    }

    fn judge(&self) -> Outcome<Account> {
        self.live.judge(&self.topic, &self.book)
    }

    /// Everything was acknowledged, is where it should be, and no epoch was spent on that.
    async fn all_acked(self) -> Outcome {
        self.all_acked_under(&[0]).await
    }

    /// As `all_acked`, after these epochs of partition 0.
    async fn all_acked_under(mut self, epochs: &[i16]) -> Outcome {
        self.resolve(SOON).await?;
        let account = self.judge()?;
        assert_eq!(
            account.acked,
            self.book.sent().len(),
            "{:?}",
            self.book.errors
        );
        self.live.epochs_are(&self.topic, 0, epochs)?;
        self.end().await
    }

    async fn end(self) -> Outcome {
        self.live.proxies.pass();
        self.producer.close(Duration::from_secs(10)).await?;
        self.live.delete_topic(&self.topic)?;
        Ok(())
    }
}

/// Applies `script` to the first `count` Produce requests that have a batch for `partition`.
fn first_of(
    partition: i32,
    count: usize,
    mut script: impl FnMut(&Request, usize) -> Fate + Send + 'static,
) -> (
    impl FnMut(&Request) -> Fate + Send + 'static,
    Arc<AtomicUsize>,
) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let rule = move |request: &Request| {
        if !request.is_produce() || !request.has_partition(partition) {
            return Fate::Pass;
        }
        let number = counter.fetch_add(1, Ordering::Relaxed);
        if number < count {
            script(request, number)
        } else {
            Fate::Pass
        }
    };
    (rule, seen)
}

/// Retriable refusals: the same batch, the same sequence, in its place.
async fn refused(live: &Live) -> Outcome {
    let codes = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::NETWORK_EXCEPTION,
    ];
    let mut stage = Stage::known(live, "refused", |builder| builder).await?;
    for code in codes {
        // What follows the refused batch reaches the broker, which finds it out of order.
        let (rule, seen) = first_of(0, 1, move |request, _| Fate::Answer(request.refused(code)));
        live.proxies.rule(rule);
        stage.send_batches(20).await?;
        stage.resolve(SOON).await?;
        let seen = seen.load(Ordering::Relaxed);
        assert!(seen > 20, "{code}: never sent again");
    }
    stage.all_acked().await
}

fn text(error: &libtest_mimic::Failed) -> String {
    error.message().unwrap_or("failed").to_owned()
}

/// A broker that knows no sequence of the producer takes any as the first (as Kafka does): so a partition's
/// first batch must not be overtaken by those behind it, however many may be in flight.
async fn first_refused(live: &Live) -> Outcome {
    for code in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::NOT_ENOUGH_REPLICAS,
    ] {
        let mut stage = Stage::new(live, "first-refused", 1, |builder| builder).await?;
        let (rule, _) = first_of(0, 1, move |request, _| Fate::Answer(request.refused(code)));
        live.proxies.rule(rule);
        stage.send_batches(10).await?;
        stage
            .all_acked()
            .await
            .map_err(|error| format!("{code}: {}", text(&error)))?;
    }
    Ok(())
}

/// The same of a topic that was deleted and created again: its log is a new one.
async fn first_of_new_topic_refused(live: &Live) -> Outcome {
    let topic = "again-refused";
    let mut stage = Stage::known(live, topic, |builder| builder).await?;
    live.topic("again-refused-2", 1)?;
    live.delete_topic(topic)?;
    live.topic(topic, 1)?;
    // A refresh tells of the new topic before a record goes to the old one.
    within("a refresh", SOON, stage.producer.prepare("again-refused-2")).await??;
    stage.book = Book::default();
    let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let (rule, _) = first_of(0, 1, move |request, _| Fate::Answer(request.refused(code)));
    live.proxies.rule(rule);
    stage.send_batches(10).await?;
    stage.resolve(SOON).await?;
    live.delete_topic("again-refused-2")?;
    stage.all_acked().await
}

/// The records are in the log, and the answer does not say so.
async fn unknown_outcome(live: &Live) -> Outcome {
    let codes = [
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode::NETWORK_EXCEPTION,
        // From a broker that ceased to lead while the batch was being replicated.
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ];
    let mut stage = Stage::known(live, "unknown-outcome", |builder| builder).await?;
    for code in codes {
        let (rule, seen) = first_of(0, 3, move |request, _| {
            request.rewrite_each(move |told| {
                told.error_code = code.code();
                told.base_offset = -1;
            })
        });
        live.proxies.rule(rule);
        stage.send_batches(20).await?;
        stage.resolve(SOON).await?;
        let seen = seen.load(Ordering::Relaxed);
        assert!(seen > 20, "{code}: never sent again");
    }
    stage.all_acked().await
}

/// Kafka's DelayedProduce answers NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION or KAFKA_STORAGE_ERROR also for
/// a batch that is in the log, when the partition moves away while its followers are being waited for.
async fn honest_failure(live: &Live) -> Outcome {
    const LIMIT: Duration = Duration::from_millis(1000);
    let codes = [
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::KAFKA_STORAGE_ERROR,
    ];
    let mut stage = Stage::known(live, "honest-failure", |builder| {
        builder.request_timeout(LIMIT).delivery_timeout(LIMIT)
    })
    .await?;
    let mut wrong = Vec::new();
    for code in codes {
        // Written the first time; refused, without a word about that, each time after.
        let (rule, _) = first_of(0, usize::MAX, move |request, number| match number {
            0 => request.rewrite_each(move |told| told.error_code = code.code()),
            _ => Fate::Answer(request.refused(ErrorCode::NOT_ENOUGH_REPLICAS)),
        });
        live.proxies.rule(rule);
        stage.send(0).await?;
        stage.resolve(SOON).await?;
        if stage.told().last() != Some(&Told::PossiblyWritten) {
            wrong.push((code, stage.told().last().copied()));
        }
        live.proxies.pass();
        stage.send_until_acked(1).await?;
    }
    stage
        .judge()
        .map_err(|error| format!("{wrong:?}: {}", text(&error)))?;
    assert!(wrong.is_empty(), "{wrong:?}");
    stage.end().await
}

/// Codes after which only a new epoch is sure to be accepted (KIP-360).
async fn restarted(live: &Live) -> Outcome {
    let codes = [
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode::UNKNOWN_PRODUCER_ID,
        ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::PRODUCER_FENCED,
    ];
    let mut stage = Stage::known(live, "restarted", |builder| builder).await?;
    for code in codes {
        let (rule, _) = first_of(0, 1, move |request, _| Fate::Answer(request.refused(code)));
        live.proxies.rule(rule);
        stage.send_batches(20).await?;
        stage.resolve(SOON).await?;
    }
    stage.all_acked_under(&[0, 1, 2, 3, 4]).await
}

/// A sender that waited for its connection must not stamp with the identity of before the wait.
///
/// Partition 0's broker has seen epoch 1; under epoch 0 it would refuse, and after that the sequences of epoch
/// 1 would begin at 0 a second time: taken for a duplicate, a record would be acknowledged and never written.
async fn stale_identity(live: &Live) -> Outcome {
    let mut stage = Stage::new(live, "stale-identity", 2, |builder| builder).await?;
    live.create_topic("stale-identity-2", 1, 3, &[])?;
    let (here, there) = (1, 2);
    live.move_leader(&stage.topic, 0, here)?;
    live.move_leader(&stage.topic, 1, there)?;
    live.proxies.trace.clear();
    let client = live.client(true).await?;
    stage.producer = client
        .producer()
        .linger(Duration::ZERO)
        .batch_size(0)
        .build()?;
    stage.send(0).await?;
    stage.resolve(SOON).await?;
    // The sender of the other broker learns the identity, epoch 0, and waits for its connection.
    let other = live.proxies.of(there);
    let connections = || other.counts().connections.load(Ordering::Relaxed);
    let before = connections();
    other.freeze(true);
    other.cut();
    stage.send(1).await?;
    until("the other sender connects", SOON, || connections() > before).await?;
    // Meanwhile the epoch is bumped for partition 0.
    let (rule, _) = first_of(0, 1, |request, _| {
        Fate::Answer(request.refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER))
    });
    live.proxies.of(here).rule(rule);
    for acked in 2..5 {
        stage.send(0).await?;
        let done = || stage.producer.metrics().records == acked;
        until("a record of epoch 1 is acknowledged", SOON, done).await?;
    }
    live.epochs_are(&stage.topic, 0, &[0, 1])?;
    // Its leader becomes the broker whose sender still waits; a refresh tells, no answer does.
    live.move_leader(&stage.topic, 0, there)?;
    within(
        "a refresh",
        SOON,
        stage.producer.prepare("stale-identity-2"),
    )
    .await??;
    for _ in 0..3 {
        stage.send(0).await?;
    }
    other.freeze(false);
    stage.resolve(SOON).await?;
    live.delete_topic("stale-identity-2")?;
    stage.all_acked_under(&[0, 1]).await?;
    Ok(())
}

async fn duplicate(live: &Live) -> Outcome {
    let mut stage = Stage::known(live, "duplicate", |builder| builder).await?;
    let (rule, _) = first_of(0, 1, |request, _| {
        request.rewrite_each(|told| {
            told.error_code = ErrorCode::DUPLICATE_SEQUENCE_NUMBER.code();
            told.base_offset = -1;
        })
    });
    live.proxies.rule(rule);
    stage.send_batches(10).await?;
    stage.resolve(SOON).await?;
    assert_eq!(stage.book.count(|told| told == Told::Acked(None)), 1);
    stage.all_acked().await
}

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

async fn too_large(live: &Live) -> Outcome {
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
        assert!(metrics.splits >= 10, "{name}: {} splits", metrics.splits);
        stage
            .all_acked()
            .await
            .map_err(|error| format!("{name}: {}", text(&error)))?;
    }
    Ok(())
}

async fn single_too_large(live: &Live) -> Outcome {
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
async fn fails_alone(stage: Stage<'_>, code: ErrorCode) -> Outcome {
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

async fn topic_forbidden(live: &Live) -> Outcome {
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    let mut stage = Stage::known(live, "topic-forbidden", |builder| builder).await?;
    let (rule, _) = first_of(0, 1, move |request, _| Fate::Answer(request.refused(code)));
    live.proxies.rule(rule);
    stage.send_batches(10).await?;
    stage.resolve(SOON).await?;
    fails_alone(stage, code).await
}

async fn cluster_forbidden(live: &Live) -> Outcome {
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
async fn absent_topic(live: &Live) -> Outcome {
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
async fn throttled(live: &Live) -> Outcome {
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
async fn long_throttle(live: &Live) -> Outcome {
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

async fn queued_timeout(live: &Live) -> Outcome {
    const LIMIT: Duration = Duration::from_millis(1200);
    let mut stage = Stage::new(live, "queued-timeout", 1, |builder| {
        builder
            .request_timeout(Duration::from_millis(1000))
            .delivery_timeout(LIMIT)
    })
    .await?;
    // The topic is known, and no connection for its records was ever open.
    live.proxies.each().for_each(|proxy| {
        proxy.refuse(true);
        proxy.cut();
    });
    let began = Instant::now();
    for _ in 0..10 {
        stage.send(0).await?;
    }
    stage.resolve(SOON).await?;
    let took = began.elapsed();
    assert!(
        (LIMIT..LIMIT + Duration::from_secs(1)).contains(&took),
        "{took:?}"
    );
    assert!(
        stage.told().iter().all(|told| *told == Told::NotWritten),
        "{:?}",
        stage.told()
    );
    let named = |error: &String| error.contains("delivery.timeout.ms");
    assert!(
        stage.book.errors.keys().all(named),
        "{:?}",
        stage.book.errors
    );
    live.proxies.pass();
    stage.send_until_acked(10).await?;
    stage.judge()?;
    // No sequence was spent on what was never sent.
    live.epochs_are(&stage.topic, 0, &[0])?;
    stage.end().await
}

/// The request is on its way when the time is up, and reaches the broker after that.
async fn flying_timeout(live: &Live) -> Outcome {
    const LIMIT: Duration = Duration::from_millis(1000);
    let mut stage = Stage::known(live, "flying-timeout", |builder| {
        builder.request_timeout(LIMIT).delivery_timeout(LIMIT)
    })
    .await?;
    for _ in 0..2 {
        let before = stage.book.sent().len();
        let leader = live.leader_of(&stage.topic, 0)?;
        live.proxies.of(leader).freeze(true);
        stage.send_batches(5).await?;
        stage.resolve(SOON).await?;
        let fates = stage.told().split_off(before);
        assert!(fates.contains(&Told::PossiblyWritten), "{fates:?}");
        // What was on the way arrives now, beside what is sent now.
        live.proxies.of(leader).freeze(false);
        stage.send_until_acked(20).await?;
    }
    let account = stage.judge()?;
    println!("{account}");
    stage.end().await
}

/// KAFKA-19012: a batch that timed out while the socket took no more bytes was written later, when its memory
/// already held records of another topic.
async fn reused_buffer(live: &Live) -> Outcome {
    const LIMIT: Duration = Duration::from_millis(1000);
    let mut stage = Stage::new(live, "reused-buffer", 3, |builder| builder).await?;
    for partition in 0..3 {
        live.move_leader("reused-buffer", partition, partition + 1)?;
    }
    stage.producer = live
        .producer("reused-buffer", |builder| {
            let builder = builder
                .linger(Duration::from_millis(1))
                .batch_size(64 << 10);
            builder
                .request_timeout(LIMIT)
                .delivery_timeout(LIMIT + Duration::from_millis(1))
        })
        .await?;
    stage.send(0).await?;
    stage.send(1).await?;
    stage.resolve(SOON).await?;
    // Broker 1 takes nothing: more is handed over than the sockets on the way hold.
    live.proxies.of(1).freeze(true);
    for _ in 0..4 {
        for _ in 0..40_000 {
            stage.send(0).await?;
        }
        // The memory of what timed out goes to these.
        for _ in 0..10_000 {
            stage.send(1).await?;
            stage.send(2).await?;
        }
        tokio::task::yield_now().await;
    }
    stage.resolve(SOON).await?;
    live.proxies.of(1).freeze(false);
    for _ in 0..2000 {
        for partition in 0..3 {
            stage.send(partition).await?;
        }
    }
    stage.resolve(SOON).await?;
    let account = stage.judge()?;
    println!("{account}");
    assert!(
        account.possibly_written > 0,
        "nothing was on the way when its time was up"
    );
    stage.end().await
}

async fn swallowed(live: &Live) -> Outcome {
    let mut stage = Stage::known(live, "swallowed", |builder| {
        builder
            .request_timeout(Duration::from_millis(700))
            .delivery_timeout(SOON)
    })
    .await?;
    live.proxies.trace.clear();
    let (rule, _) = first_of(0, 2, |_, number| match number {
        // The first one is swallowed before the broker sees it; of the second attempt the answers are.
        0 => Fate::Swallow,
        _ => Fate::DropAnswers,
    });
    live.proxies.rule(rule);
    stage.send_batches(10).await?;
    stage.resolve(SOON).await?;
    stage.all_acked().await
}

/// A frame with another length than it claims, or of another request.
fn garble(kind: usize, whole: Bytes) -> Bytes {
    let frame = whole.slice(4..);
    let mut out = BytesMut::new();
    match kind {
        // The wrong correlation id.
        0 => {
            out.put_slice(&whole[..4]);
            out.put_i32(0x7654_3210);
            out.put_slice(&frame[4..]);
        }
        // Bytes behind the end.
        1 => {
            out.put_u32(frame.len() as u32 + 3);
            out.put_slice(&frame);
            out.put_slice(b"abc");
        }
        // The end is missing.
        2 => {
            out.put_u32(frame.len() as u32 - 5);
            out.put_slice(&frame[..frame.len() - 5]);
        }
        // Lengths that no answer has.
        3 => {
            out.put_i32(-1);
            out.put_slice(&frame);
        }
        4 => {
            out.put_i32(i32::MAX);
            out.put_slice(&frame);
        }
        // Too short for a correlation id.
        _ => {
            out.put_u32(2);
            out.put_u16(0);
        }
    }
    out.freeze()
}

async fn garbled(live: &Live) -> Outcome {
    let mut stage = Stage::known(live, "garbled", |builder| {
        builder
            .request_timeout(Duration::from_secs(10))
            .delivery_timeout(SOON)
    })
    .await?;
    for kind in 0..6 {
        let (before, connections) = (stage.producer.metrics(), live.proxies.totals().connections);
        let (rule, _) = first_of(0, 2, move |_, _| {
            Fate::Garble(Box::new(move |whole| garble(kind, whole)))
        });
        live.proxies.rule(rule);
        let began = Instant::now();
        stage.send_batches(10).await?;
        stage.resolve(SOON).await?;
        let after = stage.producer.metrics();
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "kind {kind}: found only by its timeout"
        );
        assert!(
            after.retries > before.retries,
            "kind {kind}: not sent again"
        );
        assert_eq!(after.splits, 0, "kind {kind}: taken for a batch too large");
        let opened = live.proxies.totals().connections - connections;
        assert!(opened > 0, "kind {kind}: the connection was kept");
    }
    stage.all_acked().await
}

/// A compacted topic takes no record without a key; the broker names those it objects to (KIP-467).
async fn bad_records(live: &Live) -> Outcome {
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
