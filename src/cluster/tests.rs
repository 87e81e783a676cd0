//! The cluster against scripted brokers on streams in memory.

mod broker;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Cluster, LeaderHint, Purpose, next_role};
use crate::config::ClientSettings;
use crate::error::{Error, ErrorCode};
use crate::net::server::{Memory, address, settings};
use crate::types::{Address, BrokerId};
use broker::World;

const SOON: Duration = Duration::from_secs(5);

fn addresses(names: &[&str]) -> Vec<Address> {
    names.iter().map(|name| address(name)).collect()
}

fn to(names: &[&str]) -> ClientSettings {
    let all = addresses(names);
    settings(&all.iter().collect::<Vec<_>>())
}

async fn connect(memory: &Arc<Memory>, settings: ClientSettings) -> Result<Cluster, Error> {
    Cluster::connect(Arc::new(settings), memory.clone()).await
}

/// Three brokers, a to c with ids 0 to 2, that know of each other, and the topic "t" led by 0.
fn three(memory: &Memory) -> Arc<World> {
    let world = World::new(&addresses(&["a", "b", "c"]));
    world.topic("t", 1, &[0]);
    for name in ["a", "b", "c"] {
        world.serve(memory, &address(name));
    }
    world
}

async fn topic_error(cluster: &Cluster, name: &str, within: Duration) -> Error {
    cluster
        .topic(name, Instant::now() + within)
        .await
        .unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn two_of_three_bootstrap_servers_may_be_down() {
    let memory = Memory::new();
    let _world = three(&memory);
    memory.swallow(&address("silent"));
    let start = Instant::now();
    let cluster = connect(&memory, to(&["refused", "silent", "b"]))
        .await
        .unwrap();
    assert_eq!(cluster.topology().brokers.len(), 3);
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn all_bootstrap_servers_down_is_an_error_that_names_each() {
    let memory = Memory::new();
    memory.swallow(&address("silent"));
    let start = Instant::now();
    let error = connect(&memory, to(&["one", "silent", "two"]))
        .await
        .err()
        .unwrap();
    let Error::Bootstrap { attempts } = &error else {
        panic!("{error}")
    };
    for name in ["one:9092", "silent:9092", "two:9092"] {
        assert!(attempts.contains(name), "{attempts}");
    }
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_bootstrap_server_that_is_no_kafka_is_named_unless_another_works() {
    let memory = Memory::new();
    let mut web = memory.listen(&address("web"));
    tokio::spawn(async move {
        loop {
            web.accept_raw()
                .await
                .raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await;
        }
    });
    let error = connect(&memory, to(&["web", "down"])).await.err().unwrap();
    assert!(matches!(error, Error::NotKafka { .. }), "{error}");
    let _world = three(&memory);
    connect(&memory, to(&["web", "a"])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_found_when_it_exists_or_as_soon_as_it_does() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    let known = cluster.topic("t", Instant::now() + SOON).await.unwrap();
    assert_eq!(known.partitions[0].leader, Some(BrokerId(0)));
    let late = world.clone();
    tokio::spawn(async move {
        sleep(SOON / 2).await;
        late.topic("late", 2, &[1, 2]);
    });
    let start = Instant::now();
    let found = cluster.topic("late", start + SOON).await.unwrap();
    assert_eq!(found.partitions.len(), 2);
    assert!(start.elapsed() < SOON / 2 + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_missing_is_an_error_at_the_deadline() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    let before = world.asked();
    let start = Instant::now();
    let error = topic_error(&cluster, "missing", SOON).await;
    let Error::UnknownTopic { last, .. } = &error else {
        panic!("{error}")
    };
    let last = last.as_ref().and_then(|last| last.broker_code());
    assert_eq!(last, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert_eq!(start.elapsed(), SOON);
    let asked = world.asked() - before;
    assert!((7..=12).contains(&asked), "with backoff: {asked}");
    // Nobody waits any more, and nobody asks any more.
    sleep(Duration::from_secs(200)).await;
    assert!(world.asked() - before <= asked + 1);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_the_broker_refuses_is_an_error_at_once_and_not_for_ever() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    for code in [
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode::INVALID_TOPIC_EXCEPTION,
    ] {
        world.refuse("secret", code);
        let start = Instant::now();
        let error = topic_error(&cluster, "secret", SOON).await;
        assert_eq!(error.broker_code(), Some(code));
        assert!(start.elapsed() < SOON / 10);
    }
    world.topic("secret", 3, &[1]);
    cluster
        .topic("secret", Instant::now() + SOON)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_for_a_refresh_are_served_together() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    let before = world.asked();
    for _ in 0..1000 {
        cluster.request_refresh();
        sleep(Duration::from_millis(1)).await;
    }
    let asked = world.asked() - before;
    assert!((8..=14).contains(&asked), "{asked}");
    sleep(Duration::from_secs(100)).await;
    assert!(world.asked() - before <= asked + 1, "and then no more");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_under_way_does_not_serve_a_later_request() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    cluster.topic("t", Instant::now() + SOON).await.unwrap();
    world.delay(Duration::from_secs(1));
    cluster.request_refresh();
    sleep(Duration::from_millis(500)).await;
    world.topic("t", 1, &[0, 1]);
    cluster.request_refresh();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(cluster.topology().topics["t"].partitions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_refreshed_by_age() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    let _held = cluster.hold(&["t".into()], false);
    cluster.topic("t", Instant::now() + SOON).await.unwrap();
    world.topic("t", 1, &[0, 1]);
    sleep(Duration::from_secs(301)).await;
    assert_eq!(cluster.topology().topics["t"].partitions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_a_leader_is_asked_for_again_until_it_has_one() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    let _held = cluster.hold(&["t".into()], false);
    for (id, is_waited, within) in [(1, false, 36), (2, true, 1)] {
        world.topic("t", id, &[-1]);
        cluster.refresh_topic("t");
        let _waiting = is_waited.then(|| cluster.wait_for("t", false));
        sleep(10 * SOON).await;
        world.topic("t", id, &[2]);
        sleep(Duration::from_secs(within)).await;
        let leader = cluster.topology().topics["t"].partitions[0].leader;
        assert_eq!(leader, Some(BrokerId(2)), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn topics_that_nobody_uses_are_forgotten() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    cluster.topic("t", Instant::now() + SOON).await.unwrap();
    let held = cluster.hold(&["held".into()], false);
    sleep(Duration::from_secs(301)).await;
    assert_eq!(world.last(), ["held"]);
    assert!(!cluster.topology().topics.contains_key("t"));
    drop(held);
    sleep(Duration::from_secs(301)).await;
    assert!(world.last().is_empty());
    cluster.topic("t", Instant::now() + SOON).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_holds_up_a_refresh_only_briefly() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    world.silence(&address("a"));
    world.topic("t", 1, &[1]);
    let start = Instant::now();
    cluster.topic("t", start + SOON).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn when_every_known_broker_is_gone_the_bootstrap_servers_are_asked_again() {
    let memory = Memory::new();
    let world = World::new(&addresses(&["a", "b"]));
    let first = world.serve(&memory, &address("boot"));
    let cluster = connect(&memory, to(&["boot"])).await.unwrap();
    // a and b never lived; the bootstrap name now leads to a cluster that has moved.
    first.abort();
    let moved = World::new(&addresses(&["x"]));
    moved.topic("t", 1, &[0]);
    moved.serve(&memory, &address("boot"));
    moved.serve(&memory, &address("x"));
    cluster.topic("t", Instant::now() + SOON).await.unwrap();
    assert_eq!(cluster.topology().brokers[&BrokerId(0)], address("x"));
    let connection = cluster
        .broker(BrokerId(0), Purpose::Produce(next_role()))
        .await
        .unwrap();
    assert_eq!(connection.address(), &address("x"));
}

#[tokio::test(start_paused = true)]
async fn brokers_that_hang_are_given_up_after_the_trigger() {
    let memory = Memory::new();
    let world = World::new(&addresses(&["a"]));
    let only = world.serve(&memory, &address("a"));
    let boot = world.serve(&memory, &address("boot"));
    let trigger = Duration::from_secs(5);
    let settings = ClientSettings {
        rebootstrap_trigger: trigger,
        ..to(&["boot"])
    };
    let cluster = connect(&memory, settings).await.unwrap();
    only.abort();
    boot.abort();
    memory.swallow(&address("a"));
    let moved = World::new(&addresses(&["x"]));
    moved.topic("t", 1, &[0]);
    moved.serve(&memory, &address("boot"));
    let start = Instant::now();
    cluster.topic("t", start + 4 * trigger).await.unwrap();
    assert!(start.elapsed() < 2 * trigger, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_rebootstrap_the_known_brokers_are_all_there_is() {
    let memory = Memory::new();
    let world = World::new(&addresses(&["a"]));
    world.topic("t", 1, &[0]);
    let _boot = world.serve(&memory, &address("boot"));
    let settings = ClientSettings {
        rebootstrap: false,
        ..to(&["boot"])
    };
    let cluster = connect(&memory, settings).await.unwrap();
    let error = topic_error(&cluster, "t", SOON).await;
    assert!(
        error.to_string().contains("a:9092"),
        "the failure, not the topic: {error}"
    );
    assert!(cluster.any().await.is_err());
    world.serve(&memory, &address("a"));
    cluster.topic("t", Instant::now() + SOON).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broker_may_send_the_client_back_to_the_bootstrap_servers() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["boot", "a"])).await.unwrap();
    let moved = World::new(&addresses(&["x"]));
    moved.topic("new", 1, &[0]);
    moved.serve(&memory, &address("boot"));
    world.send_away();
    cluster.topic("new", Instant::now() + SOON).await.unwrap();
    assert_eq!(cluster.topology().brokers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broker_with_a_new_address_gets_a_new_connection() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    let old = cluster
        .broker(BrokerId(1), Purpose::Produce(next_role()))
        .await
        .unwrap();
    assert_eq!(old.address(), &address("b"));
    world.brokers(&addresses(&["a", "moved", "c"]));
    world.serve(&memory, &address("moved"));
    cluster.request_refresh();
    sleep(Duration::from_secs(1)).await;
    let new = cluster
        .broker(BrokerId(1), Purpose::Produce(next_role()))
        .await
        .unwrap();
    assert_eq!(new.address(), &address("moved"));
    assert!(
        cluster
            .broker(BrokerId(7), Purpose::Produce(next_role()))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_hint_is_seen_at_once() {
    let memory = Memory::new();
    let _world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    cluster.topic("t", Instant::now() + SOON).await.unwrap();
    let mut changes = cluster.changes();
    let hint = |leader, epoch| LeaderHint {
        topic: "t".into(),
        partition: 0,
        leader: BrokerId(leader),
        epoch,
    };
    cluster.leader_hints(&[hint(9, 100)], &[(BrokerId(9), address("c"))]);
    assert!(changes.has_changed().unwrap());
    let leader = changes.borrow_and_update().topics["t"].partitions[0].leader;
    assert_eq!(leader, Some(BrokerId(9)));
    cluster.leader_hints(&[hint(0, 99)], &[]);
    assert!(!changes.has_changed().unwrap());
    assert!(
        cluster
            .broker(BrokerId(9), Purpose::Produce(next_role()))
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_wait() {
    let memory = Memory::new();
    let _world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    let connection = cluster.any().await.unwrap();
    assert!(cluster.controller().await.is_ok());
    let mut changes = cluster.changes();
    let waiting = tokio::spawn({
        let cluster = cluster.clone();
        async move { topic_error(&cluster, "missing", 1000 * SOON).await }
    });
    sleep(SOON).await;
    cluster.close();
    assert!(matches!(waiting.await.unwrap(), Error::Closed { .. }));
    assert!(connection.is_closed());
    while changes.changed().await.is_ok() {}
    assert!(matches!(
        topic_error(&cluster, "t", SOON).await,
        Error::Closed { .. }
    ));
    assert!(matches!(
        cluster.any().await.err().unwrap(),
        Error::Closed { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_dropped_ends_the_task_and_the_connections() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    let connection = cluster.any().await.unwrap();
    drop(cluster.clone());
    assert!(!connection.is_closed());
    drop(cluster);
    assert!(connection.is_closed());
    let asked = world.asked();
    sleep(Duration::from_secs(1000)).await;
    assert_eq!(world.asked(), asked);
}

#[test]
fn a_runtime_shut_down_closes_the_cluster() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let memory = Memory::new();
    let first = runtime();
    let cluster = first.block_on(async {
        let _world = three(&memory);
        connect(&memory, to(&["a"])).await.unwrap()
    });
    drop(first);
    let error = runtime().block_on(topic_error(&cluster, "t", SOON));
    assert!(matches!(error, Error::RuntimeEnded { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("runtime that the client was made on")
    );
    assert!(error.is_fatal() && !error.is_retriable());
}

#[tokio::test(start_paused = true)]
async fn a_missing_topic_is_made_beside_topics_that_are_not_to_be() {
    let memory = Memory::new();
    let world = three(&memory);
    world.make_topics(2);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    for name in ["wanted", "kept"] {
        cluster.add_interest(name, false);
    }
    let mut changes = cluster.changes();
    let asked = changes.wait_for(|topology| topology.topics.contains_key("wanted"));
    let error = asked.await.unwrap().topics["wanted"].error;
    assert_eq!(error, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    let made = cluster.topic("wanted", Instant::now() + SOON).await;
    assert_eq!(made.unwrap().partitions.len(), 2);
    let topology = cluster.topology();
    let error = topology.topics.get("kept").and_then(|topic| topic.error);
    assert_eq!(error, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_topic_can_have_is_not_asked_for() {
    let memory = Memory::new();
    let world = three(&memory);
    let cluster = connect(&memory, to(&["a"])).await.unwrap();
    cluster.add_interest("no such/name", true);
    cluster.topic("t", Instant::now() + SOON).await.unwrap();
    assert_eq!(world.last(), ["t"]);
}
