//! Brokers that are silent, slow, killed or restarted, and leaders that move.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use libtest_mimic::Trial;
use tokio::time::{Instant, sleep};

use super::Reader;
use crate::faults::load::{Keys, Load, Plan};
use crate::faults::proxy::Fate;
use crate::faults::silence::Silence;
use crate::faults::world::{Live, NODES, Outcome, World, duration};

pub(super) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live("reading::a_silent_broker_holds_up_no_other", silent),
        world.live("reading::leaders_move_to_and_fro", moving),
        world.live(
            "reading::brokers_are_killed_paused_and_restarted",
            restarted,
        ),
    ]
}

fn settings(builder: ottla::ProducerBuilder) -> ottla::ProducerBuilder {
    builder
        .linger(Duration::from_millis(2))
        .batch_size(4096)
        .request_timeout(Duration::from_secs(4))
}

/// How a consumer kept up for a while.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Records a second.
    rate: f64,
    /// From the record's own time to the application.
    median: Duration,
    p99: Duration,
}

/// How fast records of some partitions come; what comes of others is not counted.
async fn pace(reader: &mut Reader, of: &[i32], lasts: Duration) -> Outcome<Pace> {
    let began = Instant::now();
    let mut late: Vec<Duration> = Vec::new();
    while began.elapsed() < lasts {
        let record = super::soon("a record", reader.recv()).await??;
        if of.contains(&record.partition()) {
            let now = std::time::UNIX_EPOCH.elapsed()?;
            let sent = Duration::from_millis(u64::try_from(record.timestamp_millis())?);
            late.push(now.saturating_sub(sent));
        }
    }
    if late.is_empty() {
        return Err(format!("nothing came of partitions {of:?} in {lasts:?}").into());
    }
    late.sort();
    let at = |share: f64| late[(late.len() as f64 * share) as usize];
    Ok(Pace {
        rate: late.len() as f64 / began.elapsed().as_secs_f64(),
        median: at(0.5),
        p99: at(0.99),
    })
}

async fn silent(live: &Live) -> Outcome {
    const WHILE: Duration = Duration::from_secs(4);
    let topic = "reading-silent";
    let Silence {
        producer,
        load,
        broker: silent,
        others,
    } = Silence::prepare(live, topic, settings).await?;
    let client = live.client(true).await?;
    let mut reader = Reader::new(&client, topic, Silence::PARTITIONS, |builder| builder).await?;
    for partition in 0..Silence::PARTITIONS {
        reader.take_to(partition, 50).await?;
    }
    pace(&mut reader, &others, Duration::from_secs(2)).await?;
    let before = pace(&mut reader, &others, WHILE).await?;
    live.pause(silent)?;
    let paused = pace(&mut reader, &others, WHILE).await;
    live.resume(silent)?;
    let paused = paused?;
    let seen = load.progress.acked()[0];
    reader.take_to(0, i64::try_from(seen)?).await?;
    live.proxies
        .of(silent)
        .rule(|request| match request.is(ApiKey::Fetch) {
            true => Fate::Delay(Duration::from_millis(700)),
            false => Fate::Pass,
        });
    let slow = pace(&mut reader, &others, WHILE).await?;
    live.proxies.pass();
    let ends = load.finish(&producer, Duration::from_secs(30)).await?;
    for (partition, end) in (0..).zip(counts(ends.sent(), Silence::PARTITIONS)) {
        reader.take_to(partition, end).await?;
    }
    println!(
        "the other brokers' partitions: before {before:.1?}; one broker paused {paused:.1?}; one broker slow {slow:.1?}"
    );
    reader.judge(live, ends.sent())?;
    for (what, during) in [("paused", paused), ("slow", slow)] {
        let is_as_fast = during.rate > before.rate * 0.75
            && during.median < before.median * 2 + Duration::from_millis(20)
            && during.p99 < before.p99 * 2 + Duration::from_millis(250);
        if !is_as_fast {
            let text = format!("a {what} broker slows the others: {before:?}, then {during:?}");
            return Err(text.into());
        }
    }
    live.delete_topic(topic)?;
    Ok(())
}

/// How many records each partition has, when none failed.
fn counts(sent: &[crate::faults::checker::Sent], partitions: i32) -> Vec<i64> {
    let mut counts: BTreeMap<i32, i64> = (0..partitions).map(|number| (number, 0)).collect();
    for partition in sent.iter().filter_map(|sent| sent.partition) {
        *counts.entry(partition).or_default() += 1;
    }
    counts.into_values().collect()
}

/// Reads a load while something happens to the brokers.
async fn read_through<F>(live: &Live, topic: &str, faults: F) -> Outcome
where
    F: AsyncFnOnce(&Live, &Load) -> Outcome,
{
    const PARTITIONS: i32 = 6;
    live.topic(topic, PARTITIONS)?;
    let producer = settings(live.client(false).await?.producer()).build()?;
    let plan = Plan {
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        rate: 2000,
        keys: Keys::Partitions(PARTITIONS as u64),
    };
    let load = Load::start(producer.clone(), plan);
    load.advance_all(20, Duration::from_secs(20)).await?;
    let client = live.client(false).await?;
    let mut reader = Reader::new(&client, topic, PARTITIONS, |builder| builder).await?;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let reading = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        let mut last = Instant::now();
        loop {
            tokio::select! {
                record = reader.recv() => {
                    record?;
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
                _ = stopped.wait_for(|stopped| *stopped) => return Ok::<_, ottla::Error>((reader, longest)),
            }
        }
    });
    let done = faults(live, &load).await;
    live.heal()?;
    done?;
    load.advance_all(20, Duration::from_secs(45)).await?;
    let book = load.finish(&producer, Duration::from_secs(60)).await?;
    stop.send_replace(true);
    let (mut reader, longest) = super::soon("the reader", reading).await???;
    for (partition, end) in (0..).zip(counts(book.sent(), PARTITIONS)) {
        reader.take_to(partition, end).await?;
    }
    let survey = reader.judge(live, book.sent())?;
    println!(
        "{topic}: {} records, nothing at all for {longest:.1?}",
        survey.handed
    );
    assert_eq!(survey.repeated, 0, "records came twice");
    live.delete_topic(topic)?;
    Ok(())
}

async fn moving(live: &Live) -> Outcome {
    let topic = "reading-moving";
    read_through(live, topic, async |live, load| {
        let end = Instant::now() + duration(6);
        while Instant::now() < end {
            let partition = fastrand::i32(0..6);
            let to = live.leader_of(topic, partition)? % NODES + 1;
            live.move_leader(topic, partition, to)?;
            load.advance([partition], 20, Duration::from_secs(45))
                .await?;
        }
        Ok(())
    })
    .await
}

async fn restarted(live: &Live) -> Outcome {
    const WHOLE: Duration = Duration::from_secs(60);
    read_through(live, "reading-restarted", async |live, load| {
        live.kill(1)?;
        load.advance_all(50, WHOLE).await?;
        live.start(1)?;
        live.wait_in_sync(WHOLE)?;
        live.stop(2)?;
        load.advance_all(50, WHOLE).await?;
        live.start(2)?;
        live.wait_in_sync(WHOLE)?;
        // Longer than the cluster waits for it: its partitions have other leaders when it is back.
        live.pause(3)?;
        load.advance_all(50, WHOLE).await?;
        sleep(Duration::from_secs(1)).await;
        live.resume(3)?;
        live.wait_in_sync(WHOLE)?;
        Ok(())
    })
    .await
}
