//! Faults of every kind, one after another and at once, in an order that a seed decides.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::rules::{battered, cut_one_in, drop_one_in};
use super::{RECOVERY, Storm};
use crate::faults::world::{Live, NODES, Outcome, duration};

/// The seed of the mix: `OTTLA_FAULTS_SEED`, or a new one each time, printed.
fn seed() -> u64 {
    let named = std::env::var("OTTLA_FAULTS_SEED").ok();
    let seed = named
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..100_000));
    println!("OTTLA_FAULTS_SEED={seed}");
    seed
}

pub(super) async fn mixed(live: &Live) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed());
    let storm = Storm {
        request_timeout: Duration::from_millis(2500),
        ..Storm::new("mixed")
    };
    let partitions = storm.partitions;
    let story = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&story);
    let outcome = storm
        .run(live, async move |live, _| {
            let end = Instant::now() + duration(12);
            while Instant::now() < end {
                let node = random.i32(1..=NODES);
                let proxy = live.proxies.of(node);
                let kind = random.u32(..8);
                log.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((kind, node));
                tracing::info!(kind, node, "a fault of the mix");
                match kind {
                    0 => live.proxies.rule(cut_one_in(20)),
                    1 => live.proxies.rule(drop_one_in(20)),
                    2 => live.proxies.rule(battered()),
                    3 => proxy.cut(),
                    4 => {
                        proxy.refuse(true);
                        proxy.cut();
                        sleep(Duration::from_millis(random.u64(..1500))).await;
                        proxy.refuse(false);
                    }
                    5 => {
                        proxy.freeze(true);
                        sleep(Duration::from_millis(random.u64(..4000))).await;
                        proxy.freeze(false);
                    }
                    6 => {
                        let partition = random.i32(0..partitions);
                        live.move_leader("mixed", partition, node)?;
                    }
                    _ => {
                        live.kill(node)?;
                        sleep(Duration::from_millis(random.u64(..3000))).await;
                        live.start(node)?;
                        live.wait_in_sync(RECOVERY)?;
                    }
                }
                sleep(Duration::from_millis(random.u64(..800))).await;
            }
            Ok(())
        })
        .await;
    println!(
        "faults (kind, broker): {:?}",
        story.lock().unwrap_or_else(PoisonError::into_inner)
    );
    outcome.map(drop)
}
