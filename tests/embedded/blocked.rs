//! Members whose application blocks every thread of its runtime, or calls no more.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ottla::{Client, Consumer, ConsumerBuilder, Error, LostReason, OffsetReset, Record};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault, GroupView};
use tokio::runtime::{Builder, Runtime};

const RECORDS: i64 = 20;
const SESSION: Duration = Duration::from_millis(600);
/// Longest wait for what should come at once.
const SOON: Duration = Duration::from_secs(20);

fn runtime(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(workers).enable_all();
    builder.build().unwrap()
}

/// A cluster whose runtime nobody blocks, with records in the one partition of `t`.
struct Brokers {
    runtime: Runtime,
    cluster: Cluster,
}

impl Brokers {
    fn start() -> Self {
        let runtime = runtime(1);
        let cluster = Cluster::builder()
            .nodes(2)
            .replication_factor(2)
            .min_session_timeout(Duration::from_millis(10))
            .topic("t", 1);
        let cluster = runtime.block_on(cluster.start()).unwrap();
        runtime.block_on(async {
            let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
            let producer = client.producer().build().unwrap();
            for number in 0..RECORDS {
                let value = number.to_string();
                let record = Record::to("t").value(&value);
                drop(producer.enqueue(record).await.unwrap());
            }
            producer.close(SOON).await.unwrap();
        });
        Self { runtime, cluster }
    }

    fn group(&self) -> GroupView {
        let mut groups = self.cluster.groups();
        assert_eq!(groups.len(), 1);
        groups.remove(0)
    }

    fn restart_coordinator(&self) {
        let coordinator = self.cluster.coordinator("g").unwrap();
        let node = self.cluster.node(coordinator);
        self.runtime.block_on(async {
            node.crash().await;
            node.restart().await.unwrap();
        });
    }

    fn until(&self, what: &str, is_so: impl Fn(&GroupView) -> bool) {
        let began = Instant::now();
        while !is_so(&self.group()) {
            assert!(began.elapsed() < SOON, "{what}: {:?}", self.group());
            sleep(Duration::from_millis(5));
        }
    }
}

/// An application on a runtime of so many workers, which a handler can block altogether.
struct Application {
    runtime: Runtime,
    gate: Arc<Barrier>,
    workers: usize,
}

impl Application {
    fn new(workers: usize) -> Self {
        Self {
            runtime: runtime(workers),
            gate: Arc::new(Barrier::new(workers)),
            workers,
        }
    }

    /// Blocks the workers beside the one that the handler blocks, which must wait at the gate too.
    fn block_others(&self, time: Duration) {
        for _ in 1..self.workers {
            let gate = self.gate.clone();
            self.runtime.spawn(async move {
                gate.wait();
                sleep(time);
            });
        }
    }
}

async fn member(
    servers: &str,
    settings: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
) -> Consumer {
    let client = Client::connect(servers).await.unwrap();
    let builder = client
        .consumer("g")
        .offset_reset(OffsetReset::Earliest)
        .session_timeout(SESSION)
        .heartbeat_interval(SESSION / 6)
        .auto_commit(false)
        .subscribe(["t"]);
    settings(builder).build().await.unwrap()
}

async fn offset(consumer: &mut Consumer) -> Result<i64, Error> {
    let received = tokio::time::timeout(SOON, consumer.recv()).await;
    Ok(received.expect("in time")?.expect("not stopped").offset())
}

fn soon<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(SOON).unwrap()
}

/// A handler that blocks all workers for several sessions while the coordinator dies and comes back.
fn stays(workers: usize) {
    let brokers = Brokers::start();
    let application = Application::new(workers);
    let (blocks, is_blocking) = mpsc::channel();
    let (reads, all_read) = mpsc::channel();
    let (closes, may_close) = tokio::sync::oneshot::channel();
    let servers = brokers.cluster.bootstrap_servers().to_owned();
    let gate = application.gate.clone();
    let blocked = SESSION * 5;
    application.runtime.spawn(async move {
        let mut consumer = member(&servers, |builder| builder).await;
        let mut offsets = vec![offset(&mut consumer).await];
        blocks.send(()).unwrap();
        gate.wait();
        sleep(blocked);
        while offsets.len() < RECORDS as usize {
            offsets.push(offset(&mut consumer).await);
        }
        let committed = consumer.commit_positions().await;
        reads.send((offsets, committed)).unwrap();
        may_close.await.unwrap();
        consumer.close(SOON).await.unwrap();
    });
    soon(&is_blocking);
    application.block_others(blocked);
    let before = brokers.group();
    sleep(SESSION);
    brokers.restart_coordinator();
    let (offsets, committed) = soon(&all_read);
    let offsets: Vec<_> = offsets.into_iter().map(Result::unwrap).collect();
    assert_eq!(offsets, (0..RECORDS).collect::<Vec<_>>(), "each once");
    committed.unwrap();
    let after = brokers.group();
    assert_eq!(after.members, before.members);
    assert_eq!(after.generation, before.generation, "nobody joined again");
    assert_eq!(after.offsets, [("t".to_owned(), 0, RECORDS)]);
    closes.send(()).unwrap();
    brokers.until("it leaves", |group| group.members.is_empty());
}

#[test]
fn a_handler_that_blocks_the_only_worker_keeps_its_group_also_when_the_coordinator_restarts() {
    stays(1);
}

#[test]
fn a_handler_beside_which_every_worker_is_blocked_keeps_its_group() {
    stays(4);
}

#[test]
fn a_handler_that_blocks_for_longer_than_max_poll_interval_is_out_and_told_before_it_gets_a_record()
{
    let brokers = Brokers::start();
    let application = Application::new(1);
    let (blocks, is_blocking) = mpsc::channel();
    let (goes_on, go_on) = mpsc::channel();
    let (reads, read) = mpsc::channel();
    let servers = brokers.cluster.bootstrap_servers().to_owned();
    application.runtime.spawn(async move {
        let limit = Duration::from_millis(900);
        let mut consumer = member(&servers, |builder| builder.max_poll_interval(limit)).await;
        offset(&mut consumer).await.unwrap();
        blocks.send(()).unwrap();
        go_on.recv().unwrap();
        let told = offset(&mut consumer).await;
        let again = offset(&mut consumer).await;
        reads.send((told, again)).unwrap();
    });
    soon(&is_blocking);
    brokers.until("it is out", |group| group.members.is_empty());
    goes_on.send(()).unwrap();
    let (told, again) = soon(&read);
    assert!(matches!(told, Err(Error::PollInterval { .. })), "{told:?}");
    assert_eq!(
        again.unwrap(),
        0,
        "from what was committed, as a member again"
    );
}

#[test]
fn partitions_that_are_lost_while_every_worker_is_blocked_are_told_before_another_record() {
    let brokers = Brokers::start();
    let application = Application::new(1);
    let (blocks, is_blocking) = mpsc::channel();
    let (goes_on, go_on) = mpsc::channel();
    let (reads, read) = mpsc::channel();
    let servers = brokers.cluster.bootstrap_servers().to_owned();
    application.runtime.spawn(async move {
        let mut consumer = member(&servers, |builder| builder).await;
        offset(&mut consumer).await.unwrap();
        blocks.send(()).unwrap();
        go_on.recv().unwrap();
        let told = offset(&mut consumer).await;
        let again = offset(&mut consumer).await;
        reads.send((told, again)).unwrap();
    });
    soon(&is_blocking);
    let forgotten = Fault::error(ErrorCode::UNKNOWN_MEMBER_ID).on(ApiKey::Heartbeat);
    let forgotten = brokers.cluster.faults().add(forgotten);
    // It joins anew at once: what it had before is lost by then.
    let generation = brokers.group().generation;
    brokers.until("it is back", |group| group.generation > generation);
    assert_eq!(brokers.cluster.faults().hits(forgotten), 1);
    goes_on.send(()).unwrap();
    let (told, again) = soon(&read);
    match told {
        Err(Error::PartitionsLost { partitions, reason }) => {
            assert_eq!(partitions.len(), 1);
            assert_eq!(reason, LostReason::Expired);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(again.unwrap(), 0, "from what was committed");
}
