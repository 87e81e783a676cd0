//! Brokers that are silent, gone, or somewhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_cluster::Cluster;
use libtest_mimic::Trial;
use ottla::{Client, Error, ProducerBuilder};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::checker;
use super::load::{Book, Keys, Load, Numbered, Plan, read_back};
use super::proxies::Proxies;
use super::proxy::Fate;
use super::silence::Silence;
use super::world::{Live, NODES, Outcome, World, until, within};

pub(crate) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live(
            "outages::a_silent_broker_holds_up_no_other",
            one_silent_broker,
        ),
        world.live(
            "outages::a_silent_broker_holds_up_no_new_producer",
            new_producer,
        ),
        world.live(
            "outages::a_broker_that_is_gone_is_soon_left_alone",
            left_alone,
        ),
        world.live(
            "outages::records_accepted_in_an_outage_are_delivered_after_it",
            all_gone,
        ),
        world.live(
            "outages::one_or_two_of_three_bootstrap_servers_may_be_down",
            bootstrap,
        ),
        world.live(
            "outages::a_server_that_sends_away_is_left_for_the_bootstrap_servers",
            sent_away,
        ),
        world.alone(
            "outages::a_cluster_that_moved_is_found_by_its_bootstrap_address",
            moved,
        ),
    ]
}

fn settings(builder: ProducerBuilder) -> ProducerBuilder {
    builder
        .linger(Duration::from_millis(2))
        .batch_size(4096)
        .request_timeout(Duration::from_secs(5))
        .delivery_timeout(Duration::from_secs(90))
}

async fn one_silent_broker(live: &Live) -> Outcome {
    let topic = "one-silent-broker";
    let Silence {
        producer,
        load,
        broker: silent,
        others,
    } = Silence::prepare(live, topic, settings).await?;
    live.pause(silent)?;
    // 500 records a second for each: they go on as if nothing had happened, from the first moment on.
    for _ in 0..4 {
        let took = load
            .advance(others.iter().copied(), 500, Duration::from_secs(4))
            .await?;
        println!("with broker {silent} paused, the others took {took:.1?} for 500 records each");
    }
    live.resume(silent)?;
    load.advance_all(50, Duration::from_secs(30)).await?;
    let book = load.finish(&producer, Duration::from_secs(30)).await?;
    let account = live.judge(topic, &book)?;
    println!("{account}");
    assert_eq!(account.acked, book.sent().len(), "{:?}", book.errors);
    live.delete_topic(topic)?;
    Ok(())
}

/// A client that is already there asks some broker for its next producer's id: not for long one that is silent.
async fn new_producer(live: &Live) -> Outcome {
    const PARTITIONS: i32 = 6;
    let topic = "new-producer";
    live.create_topic(topic, PARTITIONS, 1, &[("min.insync.replicas", "1")])?;
    let client = live.client(true).await?;
    let first = settings(client.producer()).build()?;
    first.prepare(topic).await?;
    // The broker that the client talks to falls silent.
    let open = |node: i32| live.proxies.of(node).counts().open.load(Ordering::Relaxed);
    let silent = (1..=NODES)
        .find(|node| open(*node) > 0)
        .ok_or("no connection is open")?;
    live.proxies.of(silent).freeze(true);
    let producer = settings(client.producer()).build()?;
    producer.prepare(topic).await?;
    let mut book = Book::default();
    let began = Instant::now();
    for (id, partition) in (0..).zip(0..PARTITIONS) {
        if live.leader_of(topic, partition)? != silent {
            book.send(&producer, Numbered::to(topic, partition, id))
                .await?;
        }
    }
    book.resolve(Duration::from_secs(60)).await?;
    let took = began.elapsed();
    println!("broker {silent} is silent; the others' records took {took:.1?}");
    assert_eq!(
        live.judge(topic, &book)?.acked,
        book.sent().len(),
        "{:?}",
        book.errors
    );
    assert!(
        took < Duration::from_secs(8),
        "a silent broker held up all others for {took:.1?}"
    );
    live.delete_topic(topic)?;
    Ok(())
}

/// A broker may be gone for days: once its partitions have other leaders, nothing is asked because of it.
async fn left_alone(live: &Live) -> Outcome {
    const PARTITIONS: i32 = 6;
    const WHILE: Duration = Duration::from_secs(3);
    let topic = "left-alone";
    live.topic(topic, PARTITIONS)?;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    live.proxies.rule(move |request| {
        count.fetch_add(usize::from(request.is_metadata()), Ordering::Relaxed);
        Fate::Pass
    });
    let producer = settings(live.client(true).await?.producer()).build()?;
    let plan = Plan {
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        rate: 1000,
        keys: Keys::Partitions(PARTITIONS as u64),
    };
    let load = Load::start(producer.clone(), plan);
    load.advance_all(20, Duration::from_secs(20)).await?;
    live.kill(live.leader_of(topic, 0)?)?;
    load.advance_all(500, Duration::from_secs(30)).await?;
    let before = asked.load(Ordering::Relaxed);
    tokio::time::sleep(WHILE).await;
    let asked = asked.load(Ordering::Relaxed) - before;
    load.advance_all(20, Duration::from_secs(20)).await?;
    let book = load.finish(&producer, Duration::from_secs(30)).await?;
    live.heal()?;
    assert_eq!(
        live.judge(topic, &book)?.acked,
        book.sent().len(),
        "{:?}",
        book.errors
    );
    println!("{asked} Metadata requests in {WHILE:?}");
    assert!(
        asked <= 6,
        "{asked} Metadata requests in {WHILE:?} for a broker that leads nothing"
    );
    live.delete_topic(topic)?;
    Ok(())
}

async fn all_gone(live: &Live) -> Outcome {
    const PARTITIONS: i32 = 6;
    let topic = "all-gone";
    live.topic(topic, PARTITIONS)?;
    let producer = settings(live.client(false).await?.producer()).build()?;
    let plan = Plan {
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        rate: 1000,
        keys: Keys::Half(100),
    };
    let load = Load::start(producer.clone(), plan);
    load.advance_all(20, Duration::from_secs(20)).await?;
    for node in 1..=NODES {
        live.kill(node)?;
    }
    let accepted = || load.progress.accepted.load(Ordering::Relaxed);
    let before = accepted();
    until(
        "records are accepted without a broker",
        Duration::from_secs(10),
        || accepted() > before + 2000,
    )
    .await?;
    let acked: u64 = load.progress.acked().iter().sum();
    assert!(
        acked < before + 100,
        "{acked} records acknowledged by brokers that were gone"
    );
    live.heal()?;
    let back = load.advance_all(20, Duration::from_secs(30)).await?;
    let book = load.finish(&producer, Duration::from_secs(60)).await?;
    let account = live.judge(topic, &book)?;
    println!("{account}; went on {back:.1?} after the brokers were back");
    assert_eq!(account.acked, book.sent().len(), "{:?}", book.errors);
    live.delete_topic(topic)?;
    Ok(())
}

/// An address where nobody listens.
async fn nobody() -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.to_string())
}

async fn bootstrap(live: &Live) -> Outcome {
    let topic = "bootstrap";
    live.topic(topic, 1)?;
    let (refused, other) = (nobody().await?, nobody().await?);
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let silent = silent.local_addr()?.to_string();
    let good = live.address(1);
    let lists = [
        [&good, &refused, &other],
        [&refused, &good, &other],
        [&refused, &other, &good],
        [&silent, &refused, &good],
        [&silent, &silent, &good],
    ];
    let mut book = Book::default();
    for (id, list) in (0..).zip(lists) {
        let servers = list.map(String::as_str).join(",");
        let began = Instant::now();
        let connecting = Client::connect(&servers);
        let client = within("connecting", Duration::from_secs(8), connecting).await??;
        println!("{servers}: connected after {:.1?}", began.elapsed());
        let producer = client.producer().linger(Duration::ZERO).build()?;
        book.send(&producer, Numbered::to(topic, 0, id)).await?;
        book.resolve(Duration::from_secs(10)).await?;
    }
    assert_eq!(live.judge(topic, &book)?.acked, lists.len());
    // All of them: an error that names each, and no hang.
    let servers = [refused.as_str(), other.as_str()].join(",");
    let connecting = Client::connect(&servers);
    match within("failing", Duration::from_secs(15), connecting).await? {
        Err(Error::Bootstrap { attempts }) => {
            assert!(
                attempts.contains(&refused) && attempts.contains(&other),
                "{attempts}"
            );
        }
        other => return Err(format!("{other:?}").into()),
    }
    live.delete_topic(topic)?;
    Ok(())
}

/// REBOOTSTRAP_REQUIRED in a Metadata answer (KIP-1102).
async fn sent_away(live: &Live) -> Outcome {
    const REBOOTSTRAP_REQUIRED: i16 = 129;
    let topic = "sent-away";
    live.topic(topic, 3)?;
    let client = Client::builder()
        .bootstrap_servers(live.proxies.bootstrap())
        .metadata_max_age(Duration::from_millis(300))
        .connect();
    let client = within("connecting", Duration::from_secs(10), client).await??;
    let producer = settings(client.producer()).build()?;
    producer.prepare(topic).await?;
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    live.proxies.rule(move |request| {
        if !request.is_metadata() || request.version < 13 || count.load(Ordering::Relaxed) >= 3 {
            return Fate::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        request.rewrite_metadata(|answer| answer.error_code = REBOOTSTRAP_REQUIRED)
    });
    let plan = Plan {
        topic: topic.to_owned(),
        partitions: 3,
        rate: 1000,
        keys: Keys::Half(50),
    };
    let load = Load::start(producer.clone(), plan);
    let seen = || told.load(Ordering::Relaxed) >= 3;
    until("the client is sent away", Duration::from_secs(10), seen).await?;
    load.advance_all(50, Duration::from_secs(20)).await?;
    let book = load.finish(&producer, Duration::from_secs(30)).await?;
    let account = live.judge(topic, &book)?;
    assert_eq!(account.acked, book.sent().len(), "{:?}", book.errors);
    live.delete_topic(topic)?;
    Ok(())
}

/// A directory that goes with the test.
struct Dir(std::path::PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Every known broker is gone for good, and the same cluster lives on under other ports (KIP-899).
async fn moved(wires: &Runtime) -> Outcome {
    let topic = "moved";
    let dir = Dir(std::env::temp_dir().join(format!("ottla-faults-moved-{}", std::process::id())));
    let start = || Cluster::builder().dir(&dir.0).start();
    let cluster = start()?;
    let front = wires.spawn(Proxies::start(1)).await??;
    front.of(1).forward_to(&cluster.address(1));
    cluster.create_topic(topic, 3, 1, &[])?;
    let client = Client::connect(&front.bootstrap()).await?;
    let producer = settings(client.producer()).build()?;
    let plan = Plan {
        topic: topic.to_owned(),
        partitions: 3,
        rate: 1000,
        keys: Keys::Half(50),
    };
    let load = Load::start(producer.clone(), plan);
    load.advance_all(50, Duration::from_secs(20)).await?;
    let old = cluster.address(1);
    cluster.kill(1)?;
    front.of(1).cut();
    drop(cluster);
    let cluster = start()?;
    assert_ne!(cluster.address(1), old, "the broker has not moved");
    front.of(1).forward_to(&cluster.address(1));
    let found = load.advance_all(50, Duration::from_secs(30)).await?;
    println!("found again after {found:.1?}");
    let book = load.finish(&producer, Duration::from_secs(30)).await?;
    let log = read_back(topic, &cluster.consume_all(topic)?);
    match checker::check(book.sent(), &log) {
        Ok(account) => assert_eq!(account.acked, book.sent().len(), "{:?}", book.errors),
        Err(violations) => {
            let first: Vec<_> = violations
                .iter()
                .take(10)
                .map(ToString::to_string)
                .collect();
            return Err(format!("{} violations: {first:#?}", violations.len()).into());
        }
    }
    Ok(())
}
