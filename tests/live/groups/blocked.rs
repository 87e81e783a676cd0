//! Handlers that block every worker of their runtimes for longer than a session, while their connections end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use ottla::{Client, Error};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

use super::{SOON, filled, member, take};
use crate::live::support::{Kafka, Outcome, until};

const RECORDS: i32 = 20;

/// For how long the handlers block: longer than a session of 6 s. `OTTLA_LONG=1` makes it 20 s.
fn time() -> Duration {
    let is_long = std::env::var_os("OTTLA_LONG").is_some_and(|value| value == "1");
    Duration::from_secs(if is_long { 20 } else { 9 })
}

/// A member on a runtime of so many workers, all of which are blocked behind its first record; what it reads.
fn blocks(
    workers: usize,
    servers: &str,
    topic: &'static str,
    blocking: &AtomicUsize,
) -> Result<Vec<i32>, Error> {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let gate = Arc::new(Barrier::new(workers));
    let (blocked, is_blocked) = mpsc::channel();
    let (servers, own_gate) = (servers.to_owned(), gate.clone());
    let reading = runtime.spawn(async move {
        let client = Client::connect(&servers).await?;
        let group = format!("{topic}-{workers}");
        let mut consumer = member(&client, &group, topic).build().await?;
        let mut numbers = take(&mut consumer, 1).await?;
        blocked.send(()).expect("the other thread waits");
        own_gate.wait();
        thread::sleep(time());
        // An error would be of a partition that was lost.
        numbers.extend(take(&mut consumer, RECORDS as usize - 1).await?);
        consumer.close(SOON).await?;
        Ok(numbers)
    });
    is_blocked.recv().expect("a first record");
    for _ in 1..workers {
        let gate = gate.clone();
        runtime.spawn(async move {
            gate.wait();
            thread::sleep(time());
        });
    }
    blocking.fetch_add(1, Ordering::Relaxed);
    runtime.block_on(reading).expect("no panic")
}

pub(super) async fn blocked(kafka: &Kafka) -> Outcome {
    const TOPIC: &str = "group-blocked";
    filled(kafka, TOPIC, 1, 0..RECORDS).await?;
    let blocking = Arc::new(AtomicUsize::new(0));
    let start = |workers| {
        let (servers, blocking) = (kafka.bootstrap(), blocking.clone());
        spawn_blocking(move || blocks(workers, &servers, TOPIC, &blocking))
    };
    let members = [start(1), start(4)];
    until("all are blocked", || blocking.load(Ordering::Relaxed) == 2).await?;
    // Members have to connect anew, which nothing of their applications can help with.
    kafka.proxy.cut();
    for member in members {
        assert_eq!(
            member.await??,
            (0..RECORDS).collect::<Vec<_>>(),
            "each once"
        );
    }
    Ok(())
}
