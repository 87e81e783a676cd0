//! Storms in which brokers go and come back, and partitions move between them.

use std::time::Duration;

use ottla::ErrorCode;
use tokio::time::{Instant, sleep};

use super::{RECOVERY, Storm};
use crate::faults::proxy::Fate;
use crate::faults::world::{Live, NODES, Outcome, duration};

pub(super) async fn moving_leaders(live: &Live) -> Outcome {
    let storm = Storm::new("moving-leaders");
    let partitions = storm.partitions;
    storm
        .run(live, async |live, load| {
            live.proxies.rule(|request| match request.is_produce() {
                true => Fate::Delay(Duration::from_millis(15)),
                false => Fate::Pass,
            });
            let end = Instant::now() + duration(5);
            let mut random = fastrand::Rng::new();
            while Instant::now() < end {
                let partition = random.i32(0..partitions);
                let to = live.leader_of("moving-leaders", partition)? % NODES + 1;
                live.move_leader("moving-leaders", partition, to)?;
                load.advance([partition], 20, RECOVERY).await?;
            }
            Ok(())
        })
        .await?;
    let trace = &live.proxies.trace;
    let moved = trace
        .codes()
        .contains_key(&ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert!(moved, "no old leader was asked");
    assert_eq!(
        trace.overlaps(),
        0,
        "a new leader was used before the old one had answered"
    );
    Ok(())
}

pub(super) async fn killed_leaders(live: &Live) -> Outcome {
    let survey = Storm::new("killed-leaders")
        .direct()
        .run(live, async |live, load| {
            let end = Instant::now() + duration(1);
            let mut partition = 0;
            while Instant::now() < end {
                let leader = live.leader_of("killed-leaders", partition)?;
                live.kill(leader)?;
                let took = load.advance_all(50, RECOVERY).await?;
                println!("killed broker {leader}; all partitions went on after {took:.1?}");
                live.start(leader)?;
                live.wait_in_sync(RECOVERY)?;
                partition += 1;
            }
            Ok(())
        })
        .await?;
    assert!(survey.retries > 0, "no request was lost with its broker");
    Ok(())
}

pub(super) async fn paused_broker(live: &Live) -> Outcome {
    let survey = Storm::new("paused-broker")
        .direct()
        .run(live, async |live, load| {
            let leader = live.leader_of("paused-broker", 0)?;
            live.pause(leader)?;
            let paused = Instant::now();
            // After 5 s the cluster gives its partitions to the others, after 4 s the client gives its
            // requests up: nothing has to wait for the broker to come back.
            let took = load.advance_all(50, Duration::from_secs(15)).await?;
            println!("paused broker {leader}; all partitions went on after {took:.1?}");
            sleep(duration(15).saturating_sub(paused.elapsed())).await;
            live.resume(leader)?;
            load.advance_all(50, RECOVERY).await?;
            Ok(())
        })
        .await?;
    assert!(survey.retries > 0, "no request was lost with its broker");
    Ok(())
}

pub(super) async fn rolling_restart(live: &Live) -> Outcome {
    Storm::new("rolling-restart")
        .direct()
        .run(live, async |live, load| {
            for node in 1..=NODES {
                live.stop(node)?;
                load.advance_all(20, RECOVERY).await?;
                live.start(node)?;
                live.wait_in_sync(RECOVERY)?;
                load.advance_all(20, RECOVERY).await?;
            }
            Ok(())
        })
        .await?;
    Ok(())
}
