//! Runners that come, go, and are cut off, while their handlers fail and panic at random.
//!
//! `OTTLA_CHAOS_RECORDS` says how many records there are, and so how long it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla::runner::{HandlerError, Runner};
use ottla::{Client, ConsumerRecord};
use tokio::time::{sleep, timeout};

use super::{cluster, ends, fill, runner};
use crate::all_of;

const PARTITIONS: i32 = 6;
const KEYS: usize = 400;

/// What handlers have finished, and what was wrong with it.
#[derive(Default)]
struct Ledger {
    places: BTreeSet<(i32, i64)>,
    /// The number that each key is at.
    next: BTreeMap<Vec<u8>, u64>,
    repeated: usize,
    wrong: Vec<String>,
}

impl Ledger {
    fn finish(&mut self, record: &ConsumerRecord) {
        let is_new = self.places.insert((record.partition(), record.offset()));
        if !is_new {
            self.repeated += 1;
            return;
        }
        let number: u64 = record.value_as::<&str>().unwrap().parse().unwrap();
        let key = record.key().unwrap().to_vec();
        let next = self.next.entry(key.clone()).or_default();
        if *next != number {
            self.wrong
                .push(format!("{key:?}: {number} came when {next} was to come"));
        }
        *next = number + 1;
    }

    /// Everything before a committed offset is finished.
    fn check(&mut self, partition: i32, committed: i64) {
        let finished = self
            .places
            .range((partition, 0)..(partition, committed))
            .count();
        if finished as i64 != committed {
            self.wrong.push(format!(
                "{committed} is committed of {partition}, and {finished} are finished"
            ));
        }
    }
}

async fn start(client: &Client, ledger: &Arc<Mutex<Ledger>>) -> Runner {
    let ledger = ledger.clone();
    runner(client)
        .max_attempts(u32::MAX)
        .max_unfinished(500)
        .start(move |record: ConsumerRecord, _| {
            let ledger = ledger.clone();
            async move {
                if fastrand::u32(..10) == 0 {
                    sleep(Duration::from_millis(fastrand::u64(..8))).await;
                }
                match fastrand::u32(..100) {
                    // A panic without the words in the log.
                    0 => std::panic::resume_unwind(Box::new("at random")),
                    1..4 => Err("at random".into()),
                    _ => {
                        ledger.lock().unwrap().finish(&record);
                        Ok::<_, HandlerError>(())
                    }
                }
            }
        })
        .await
        .unwrap()
}

/// Reads what is committed, again and again, and checks it.
async fn watch(client: Client, ledger: Arc<Mutex<Ledger>>) {
    let reader = client.consumer("g").build().await.unwrap();
    loop {
        // What is finished by the time that a commit is read was finished when it was made, or later.
        let committed = reader.committed(all_of("t", PARTITIONS)).await.unwrap();
        for (partition, found) in (0..).zip(committed) {
            let committed = found.map_or(0, |found| found.offset);
            ledger.lock().unwrap().check(partition, committed);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_and_goes_each_record_is_handled_in_order_and_none_is_passed() {
    let records = std::env::var("OTTLA_CHAOS_RECORDS").map_or(20_000, |text| text.parse().unwrap());
    let (cluster, client) = cluster(PARTITIONS).await;
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    let filling = tokio::spawn({
        let client = client.clone();
        async move { fill(&client, records, KEYS).await }
    });
    let watching = tokio::spawn(watch(client.clone(), ledger.clone()));
    let mut running = Vec::new();
    let work = async {
        while ledger.lock().unwrap().places.len() < records {
            while running.len() < 3 {
                running.push(start(&client, &ledger).await);
            }
            sleep(Duration::from_millis(fastrand::u64(50..300))).await;
            let gone = running.swap_remove(fastrand::usize(..running.len()));
            match fastrand::u32(..3) {
                0 => drop(gone),
                1 => drop(
                    gone.shutdown(Duration::from_millis(fastrand::u64(..20)))
                        .await,
                ),
                _ => drop(gone.shutdown(Duration::from_secs(20)).await),
            }
        }
    };
    let limit = Duration::from_secs(120) + Duration::from_millis(records as u64);
    let is_done = timeout(limit, work).await.is_ok();
    let (seen, wrong) = {
        let ledger = ledger.lock().unwrap();
        (ledger.places.len(), ledger.wrong.clone())
    };
    let shown: Vec<_> = running.iter().map(|runner| runner.metrics()).collect();
    assert!(
        is_done,
        "{seen} of {records} are handled; {wrong:?}; {shown:#?}"
    );
    filling.await.unwrap();
    // What had been handled and not committed is handled again, and then nothing is left.
    running.push(start(&client, &ledger).await);
    let reader = client.consumer("g").build().await.unwrap();
    let ends = ends(&cluster, PARTITIONS);
    let all_committed = async {
        loop {
            let committed = reader.committed(all_of("t", PARTITIONS)).await.unwrap();
            let committed = committed.into_iter();
            let offsets: Vec<_> = committed
                .map(|found| found.map(|found| found.offset))
                .collect();
            if offsets == ends {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let is_committed = timeout(limit, all_committed).await.is_ok();
    let shown: Vec<_> = running.iter().map(|runner| runner.metrics()).collect();
    assert!(is_committed, "{shown:#?}");
    watching.abort();
    for runner in running {
        let account = runner.shutdown(Duration::from_secs(20)).await;
        assert_eq!(account.left, 0, "{account:?}");
    }
    let ledger = ledger.lock().unwrap();
    assert_eq!(ledger.wrong, [] as [String; 0]);
    println!("{records} records, {} of them repeated", ledger.repeated);
}
