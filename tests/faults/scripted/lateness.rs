//! Answers that come too late, never, or as no answer at all.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;

use super::stage::{SOON, Stage, first_of};
use crate::faults::checker::Told;
use crate::faults::proxy::Fate;
use crate::faults::world::{Live, Outcome};

pub(super) async fn queued_timeout(live: &Live) -> Outcome {
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
pub(super) async fn flying_timeout(live: &Live) -> Outcome {
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
pub(super) async fn reused_buffer(live: &Live) -> Outcome {
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

pub(super) async fn swallowed(live: &Live) -> Outcome {
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

pub(super) async fn garbled(live: &Live) -> Outcome {
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
