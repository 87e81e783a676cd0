//! Storms in which requests and answers are lost, late, or come to nothing.

use std::time::Duration;

use ottla::Compression;
use tokio::time::{Instant, sleep};

use super::rules::{battered, cut_one_in, drop_one_in};
use super::{RECOVERY, Storm};
use crate::faults::load::Keys;
use crate::faults::proxies::Totals;
use crate::faults::proxy::Fate;
use crate::faults::world::{Live, NODES, Outcome, duration, until};

/// Without a fault nothing is sent twice; answers are slow, so that five requests are in flight.
pub(super) async fn calm(live: &Live) -> Outcome {
    let storm = Storm::new("calm");
    let survey = storm
        .run(live, async |live, load| {
            live.proxies.rule(|request| match request.is_produce() {
                true => Fate::Delay(Duration::from_millis(15)),
                false => Fate::Pass,
            });
            sleep(duration(4)).await;
            load.advance_all(100, RECOVERY).await?;
            Ok(())
        })
        .await?;
    assert_eq!(survey.retries, 0, "a retry without a fault");
    assert!(
        live.proxies.trace.restarted().is_empty(),
        "{:?}",
        live.proxies.trace.restarted()
    );
    assert_eq!(
        survey.seen.deepest, 5,
        "the load does not fill five requests in flight"
    );
    Ok(())
}

pub(super) async fn cut_requests(live: &Live) -> Outcome {
    let survey = Storm::new("cut-requests")
        .run(live, async |live, load| {
            live.proxies.rule(cut_one_in(25));
            sleep(duration(5)).await;
            let enough = || live.proxies.totals().cuts >= 20;
            until("20 connections are cut", RECOVERY, enough).await?;
            load.advance_all(50, RECOVERY).await?;
            Ok(())
        })
        .await?;
    assert!(
        survey.retries > 0,
        "nothing was sent again: {:?}",
        survey.seen
    );
    Ok(())
}

/// Takes step after step for so long, and until there were faults enough: how many a second depends on the machine.
async fn keep_on(
    live: &Live,
    lasts: Duration,
    enough: impl Fn() -> bool,
    mut step: impl AsyncFnMut() -> Outcome,
) -> Outcome {
    let start = Instant::now();
    while start.elapsed() < lasts || !enough() {
        if start.elapsed() > lasts + RECOVERY {
            return Err(format!("too few faults: {:?}", live.proxies.totals()).into());
        }
        step().await?;
    }
    Ok(())
}

/// Cuts connections whose answers are being dropped, once some were; leaves some to the client's own timeout.
async fn cut_mute_connections(
    live: &Live,
    lasts: Duration,
    enough: impl Fn(&Totals) -> bool,
) -> Outcome {
    let mut random = fastrand::Rng::new();
    let enough = || enough(&live.proxies.totals());
    keep_on(live, lasts, enough, async || {
        let before = live.proxies.totals().dropped_answers;
        let more = random.usize(1..=4);
        let dropped = || live.proxies.totals().dropped_answers >= before + more;
        until("answers are dropped", Duration::from_secs(10), dropped).await?;
        if random.u32(..8) > 0 {
            live.proxies.of(random.i32(1..=NODES)).cut();
        }
        Ok(())
    })
    .await
}

pub(super) async fn dropped_answers(live: &Live) -> Outcome {
    let storm = Storm {
        request_timeout: Duration::from_millis(1500),
        ..Storm::new("dropped-answers")
    };
    let survey = storm
        .run(live, async |live, load| {
            live.proxies.rule(drop_one_in(30));
            let enough = |seen: &Totals| seen.dropped_answers >= 20;
            cut_mute_connections(live, duration(4), enough).await?;
            live.proxies.pass();
            load.advance_all(50, RECOVERY).await?;
            Ok(())
        })
        .await?;
    assert!(
        survey.retries > 0,
        "nothing was sent again: {:?}",
        survey.seen
    );
    Ok(())
}

async fn batter(storm: Storm, live: &Live) -> Outcome {
    let storm = Storm {
        request_timeout: Duration::from_millis(1500),
        ..storm
    };
    storm
        .run(live, async |live, load| {
            live.proxies.rule(battered());
            let enough = |seen: &Totals| seen.cuts >= 10 && seen.dropped_answers >= 10;
            cut_mute_connections(live, duration(4), enough).await?;
            live.proxies.pass();
            load.advance_all(50, RECOVERY).await?;
            Ok(())
        })
        .await?;
    Ok(())
}

pub(super) async fn compressed(live: &Live) -> Outcome {
    batter(
        Storm {
            compression: Compression::Lz4(None),
            ..Storm::new("lz4")
        },
        live,
    )
    .await
}

pub(super) async fn two_partitions(live: &Live) -> Outcome {
    batter(
        Storm {
            partitions: 2,
            keys: Keys::All(200),
            ..Storm::new("two-partitions")
        },
        live,
    )
    .await
}

/// Brokers that fall silent, refuse and hang up for about as long as the client waits.
async fn harass(live: &Live, lasts: Duration, enough: impl Fn() -> bool) -> Outcome {
    let mut random = fastrand::Rng::new();
    keep_on(live, lasts, enough, async || {
        let proxy = live.proxies.of(random.i32(1..=NODES));
        match random.u32(..4) {
            0 => proxy.cut(),
            1 => proxy.freeze(true),
            2 => proxy.refuse(true),
            _ => live.proxies.rule(battered()),
        }
        sleep(Duration::from_millis(random.u64(50..1200))).await;
        live.proxies.pass();
        Ok(())
    })
    .await
}

pub(super) async fn impatient(live: &Live) -> Outcome {
    let storm = Storm {
        request_timeout: Duration::from_millis(400),
        delivery_timeout: Duration::from_millis(700),
        may_fail: true,
        ..Storm::new("impatient")
    };
    storm
        .run(live, async |live, load| {
            let enough = || matches!(load.progress.failed(), (1.., 1..));
            harass(live, duration(5), enough).await
        })
        .await?;
    Ok(())
}

pub(super) async fn few_retries(live: &Live) -> Outcome {
    let storm = Storm {
        request_timeout: Duration::from_millis(400),
        retries: 1,
        may_fail: true,
        ..Storm::new("few-retries")
    };
    storm
        .run(live, async |live, load| {
            let enough = || load.progress.failed().0 > 0;
            harass(live, duration(5), enough).await
        })
        .await?;
    Ok(())
}
