//! Batches sent again: their order, their sequences, and what is said of those that are given up.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla::ErrorCode;

use super::stage::{SOON, Stage, first_of, text};
use crate::faults::checker::Told;
use crate::faults::load::Book;
use crate::faults::proxy::Fate;
use crate::faults::world::{Live, Outcome, until, within};

/// Retriable refusals: the same batch, the same sequence, in its place.
pub(super) async fn refused(live: &Live) -> Outcome {
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

/// A broker that knows no sequence of the producer takes any as the first (as Kafka does): so a partition's
/// first batch must not be overtaken by those behind it, however many may be in flight.
pub(super) async fn first_refused(live: &Live) -> Outcome {
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
pub(super) async fn first_of_new_topic_refused(live: &Live) -> Outcome {
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

/// The same again: answers from the old topic, that come late, prove nothing of the new one's log.
pub(super) async fn late_answers_of_old_topic(live: &Live) -> Outcome {
    let topic = "late-answers";
    let mut stage = Stage::known(live, topic, |builder| builder).await?;
    live.topic("late-answers-2", 1)?;
    let (rule, seen) = first_of(0, 3, |_, _| Fate::Delay(Duration::from_secs(3)));
    live.proxies.rule(rule);
    stage.send_batches(3).await?;
    until("three are on the way", SOON, || {
        seen.load(Ordering::Relaxed) == 3
    })
    .await?;
    live.delete_topic(topic)?;
    live.topic(topic, 1)?;
    within("a refresh", SOON, stage.producer.prepare("late-answers-2")).await??;
    let mut old = std::mem::take(&mut stage.book);
    let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let (rule, _) = first_of(0, 1, move |request, _| Fate::Answer(request.refused(code)));
    live.proxies.rule(rule);
    stage.send_batches(10).await?;
    stage.resolve(SOON).await?;
    old.resolve(SOON).await?;
    live.delete_topic("late-answers-2")?;
    stage.all_acked().await
}

/// The records are in the log, and the answer does not say so.
pub(super) async fn unknown_outcome(live: &Live) -> Outcome {
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
pub(super) async fn honest_failure(live: &Live) -> Outcome {
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
pub(super) async fn restarted(live: &Live) -> Outcome {
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
pub(super) async fn stale_identity(live: &Live) -> Outcome {
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

pub(super) async fn duplicate(live: &Live) -> Outcome {
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

/// A broker that was restarted remembers each producer's last batch alone: what comes again of those before it is out
/// of order to it. Under a new epoch they would be in the log twice.
pub(super) async fn forgotten(live: &Live) -> Outcome {
    let mut stage = Stage::known(live, "forgotten", |builder| builder).await?;
    let mut seen = BTreeSet::new();
    live.proxies.rule(move |request| {
        let Ok(Some(produced)) = request.produced() else {
            return Fate::Pass;
        };
        let Some(sequence) = produced.batches.first().map(|batch| batch.sequence) else {
            return Fate::Pass;
        };
        if seen.insert(sequence) {
            return request.rewrite_each(|told| {
                told.error_code = ErrorCode::REQUEST_TIMED_OUT.code();
                told.base_offset = -1;
            });
        }
        match seen.last() == Some(&sequence) {
            true => Fate::Pass,
            false => Fate::Answer(request.refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)),
        }
    });
    stage.send_batches(20).await?;
    stage.resolve(SOON).await?;
    assert!(stage.book.count(|told| told == Told::Acked(None)) > 0);
    assert!(
        stage
            .book
            .count(|told| matches!(told, Told::Acked(Some(_))))
            > 1
    );
    stage.all_acked().await
}
