//! Faults under a steady load: after each, every acknowledged record once, at its offset, in order.

mod mix;

use std::time::Duration;

use libtest_mimic::Trial;
use ottla::{Compression, ErrorCode, ProducerBuilder};
use tokio::time::{Instant, sleep};

use super::checker::Told;
use super::load::{Keys, Load, Plan};
use super::proxies::Totals;
use super::proxy::Fate;
use super::world::{Live, NODES, Outcome, World, duration, until};

/// Longest wait for a load to go on after a fault has ended.
const RECOVERY: Duration = Duration::from_secs(45);

/// One test's setting.
#[derive(Clone)]
struct Storm {
    topic: &'static str,
    partitions: i32,
    keys: Keys,
    through_proxies: bool,
    compression: Compression,
    /// After which a silent broker's requests are sent again.
    request_timeout: Duration,
    delivery_timeout: Duration,
    retries: u32,
    /// Whether there is too little time, or too few retries, for every record to arrive.
    may_fail: bool,
}

/// What is left to look at when the checker has found nothing wrong.
struct Survey {
    /// Batches sent again since the faults began.
    retries: u64,
    seen: Totals,
}

impl Storm {
    fn new(topic: &'static str) -> Self {
        Self {
            topic,
            partitions: 9,
            keys: Keys::Half(500),
            through_proxies: true,
            compression: Compression::None,
            request_timeout: Duration::from_secs(4),
            delivery_timeout: Duration::from_secs(120),
            retries: u32::MAX >> 1,
            may_fail: false,
        }
    }

    fn direct(self) -> Self {
        Self {
            through_proxies: false,
            ..self
        }
    }

    /// Small batches and a short linger, so that there is always a request on the way.
    fn settings(&self, builder: ProducerBuilder) -> ProducerBuilder {
        builder
            .linger(Duration::from_millis(2))
            .batch_size(4096)
            .compression(self.compression)
            .request_timeout(self.request_timeout)
            .delivery_timeout(self.delivery_timeout)
            .retries(self.retries)
    }

    /// Runs a load while `faults` happen, then lets it recover, and judges.
    async fn run<F>(self, live: &Live, faults: F) -> Outcome<Survey>
    where
        F: AsyncFnOnce(&Live, &Load) -> Outcome,
    {
        live.topic(self.topic, self.partitions)?;
        let client = live.client(self.through_proxies).await?;
        let producer = self.settings(client.producer()).build()?;
        let plan = Plan {
            topic: self.topic.to_owned(),
            partitions: self.partitions,
            rate: 5000,
            keys: self.keys,
        };
        let began = Instant::now();
        let load = Load::start(producer.clone(), plan);
        load.advance_all(50, Duration::from_secs(20)).await?;
        let retries = producer.metrics().retries;
        let stormed = faults(live, &load).await;
        live.heal()?;
        stormed?;
        let recovery = load.advance_all(50, RECOVERY).await?;
        let book = load.finish(&producer, Duration::from_secs(60)).await?;
        // Every byte was given back when its record had its outcome, or its bytes had left.
        until("memory comes back", Duration::from_secs(20), || {
            producer.metrics().buffer_used == 0
        })
        .await?;
        let (lasted, metrics, seen) = (began.elapsed(), producer.metrics(), live.proxies.totals());
        let retries = metrics.retries - retries;
        producer.close(Duration::from_secs(10)).await?;
        let account = live.judge(self.topic, &book);
        println!(
            "{}: {} in {lasted:.1?}; {retries} retries, longest delivery {:.1?}, recovered in {recovery:.1?}; {seen:?} {:?} {:?}",
            self.topic,
            account
                .as_ref()
                .map_or_else(|_| "BROKEN".to_owned(), ToString::to_string),
            metrics.delivery_latency.max,
            live.proxies.trace.codes(),
            live.proxies.trace.restarted(),
        );
        let account = account?;
        // Nothing may fail where there was time enough to try again.
        if !self.may_fail && account.acked != book.count(|_| true) {
            return Err(format!("records failed: {:?}", book.errors).into());
        }
        let twice = live.proxies.trace.partitions_twice_in_a_request();
        if twice > 0 {
            return Err(format!("{twice} times a request held a partition twice").into());
        }
        // A restarted broker remembers a producer's last batch alone; where the ones before it are, nobody tells.
        let out_of_order = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
        let may_be_forgotten =
            !self.through_proxies || live.proxies.trace.codes().contains_key(&out_of_order);
        let untold = book.count(|told| told == Told::Acked(None));
        assert!(
            may_be_forgotten || untold == 0,
            "{untold} offsets were not told"
        );
        live.delete_topic(self.topic)?;
        Ok(Survey { retries, seen })
    }
}

pub(crate) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live("storms::no_fault_no_retry", calm),
        world.live(
            "storms::connections_are_cut_in_the_middle_of_requests",
            cut_requests,
        ),
        world.live("storms::answers_are_dropped", dropped_answers),
        world.live(
            "storms::lz4_and_connections_and_answers_are_lost",
            compressed,
        ),
        world.live(
            "storms::keys_of_two_partitions_and_connections_and_answers_are_lost",
            two_partitions,
        ),
        world.live(
            "storms::what_times_out_in_a_storm_fails_honestly",
            impatient,
        ),
        world.live(
            "storms::what_has_no_retries_left_fails_honestly",
            few_retries,
        ),
        world.live("storms::leaders_move_to_and_fro", moving_leaders),
        world.live(
            "storms::the_leader_is_killed_and_comes_back",
            killed_leaders,
        ),
        world.live("storms::a_broker_is_paused_for_15_seconds", paused_broker),
        world.live(
            "storms::all_brokers_are_restarted_one_after_another",
            rolling_restart,
        ),
        world.live("storms::a_mix_of_everything", mix::mixed),
    ]
}

/// Without a fault nothing is sent twice; answers are slow, so that five requests are in flight.
async fn calm(live: &Live) -> Outcome {
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

/// A rule that cuts one in so many Produce requests after some of its bytes, and now and then another request.
fn cut_one_in(count: u64) -> impl FnMut(&super::frames::Request) -> Fate + Send + 'static {
    let mut random = fastrand::Rng::new();
    move |request| {
        let count = if request.is_produce() { count } else { 10 };
        match random.u64(..count) {
            0 => Fate::Cut(random.usize(..=request.len())),
            _ => Fate::Pass,
        }
    }
}

async fn cut_requests(live: &Live) -> Outcome {
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

/// Swallows the answers of one in so many Produce requests.
fn drop_one_in(count: u64) -> impl FnMut(&super::frames::Request) -> Fate + Send + 'static {
    let mut random = fastrand::Rng::new();
    move |request| match request.is_produce() && random.u64(..count) == 0 {
        true => Fate::DropAnswers,
        false => Fate::Pass,
    }
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

async fn dropped_answers(live: &Live) -> Outcome {
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

/// Cuts, dropped answers and slow answers together.
fn battered() -> impl FnMut(&super::frames::Request) -> Fate + Send + 'static {
    let (mut cut, mut dropped) = (cut_one_in(40), drop_one_in(40));
    let mut random = fastrand::Rng::new();
    move |request| match cut(request) {
        Fate::Pass => match dropped(request) {
            Fate::Pass if random.u32(..4) == 0 => {
                Fate::Delay(Duration::from_millis(random.u64(..30)))
            }
            fate => fate,
        },
        fate => fate,
    }
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

async fn compressed(live: &Live) -> Outcome {
    batter(
        Storm {
            compression: Compression::Lz4(None),
            ..Storm::new("lz4")
        },
        live,
    )
    .await
}

async fn two_partitions(live: &Live) -> Outcome {
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

async fn impatient(live: &Live) -> Outcome {
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

async fn few_retries(live: &Live) -> Outcome {
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

async fn moving_leaders(live: &Live) -> Outcome {
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

async fn killed_leaders(live: &Live) -> Outcome {
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

async fn paused_broker(live: &Live) -> Outcome {
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

async fn rolling_restart(live: &Live) -> Outcome {
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
