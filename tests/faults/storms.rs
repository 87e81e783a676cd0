//! Faults under a steady load: after each, every acknowledged record once, at its offset, in order.

mod brokers;
mod mix;
mod requests;
mod rules;

use std::time::Duration;

use libtest_mimic::Trial;
use ottla::{Compression, ErrorCode, ProducerBuilder};
use tokio::time::Instant;

use super::checker::Told;
use super::load::{Keys, Load, Plan};
use super::proxies::Totals;
use super::world::{Live, Outcome, World, until};

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
        world.live("storms::no_fault_no_retry", requests::calm),
        world.live(
            "storms::connections_are_cut_in_the_middle_of_requests",
            requests::cut_requests,
        ),
        world.live("storms::answers_are_dropped", requests::dropped_answers),
        world.live(
            "storms::lz4_and_connections_and_answers_are_lost",
            requests::compressed,
        ),
        world.live(
            "storms::keys_of_two_partitions_and_connections_and_answers_are_lost",
            requests::two_partitions,
        ),
        world.live(
            "storms::what_times_out_in_a_storm_fails_honestly",
            requests::impatient,
        ),
        world.live(
            "storms::what_has_no_retries_left_fails_honestly",
            requests::few_retries,
        ),
        world.live("storms::leaders_move_to_and_fro", brokers::moving_leaders),
        world.live(
            "storms::the_leader_is_killed_and_comes_back",
            brokers::killed_leaders,
        ),
        world.live(
            "storms::a_broker_is_paused_for_15_seconds",
            brokers::paused_broker,
        ),
        world.live(
            "storms::all_brokers_are_restarted_one_after_another",
            brokers::rolling_restart,
        ),
        world.live("storms::a_mix_of_everything", mix::mixed),
    ]
}
