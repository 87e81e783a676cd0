//! Nodes on real ports: refused, cut off, crashed and back, always at the same address.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use ottla_broker::{Cluster, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for what should come at once.
const SOON: Duration = Duration::from_secs(10);

async fn is_refused(address: &str) -> bool {
    TcpStream::connect(address).await.is_err()
}

/// Whether the node answers ApiVersions.
async fn answers(stream: &mut TcpStream) -> bool {
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    stream.write_all(&request).await.unwrap();
    let answer = async {
        let length = stream.read_u32().await? as usize;
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await
    };
    timeout(SOON, answer).await.unwrap().is_ok()
}

async fn is_cut_off(stream: &mut TcpStream) -> bool {
    let read = timeout(SOON, stream.read(&mut [0])).await.unwrap();
    read.map_or(true, |read| read == 0)
}

#[tokio::test]
async fn a_node_that_refuses_connections_keeps_those_it_has() {
    let cluster = Cluster::start().await.unwrap();
    let node = cluster.node(1);
    assert_eq!(node.address(), cluster.bootstrap_servers());
    let mut before = TcpStream::connect(node.address()).await.unwrap();
    assert!(answers(&mut before).await);
    node.refuse_connections().await;
    assert!(is_refused(&node.address()).await);
    assert!(answers(&mut before).await);
    node.accept_connections().await.unwrap();
    let mut after = TcpStream::connect(node.address()).await.unwrap();
    assert!(answers(&mut after).await);
}

#[tokio::test]
async fn a_crashed_node_is_back_at_its_address() {
    let cluster = Cluster::start().await.unwrap();
    let node = cluster.node(1);
    for _ in 0..3 {
        let mut before = TcpStream::connect(node.address()).await.unwrap();
        assert!(answers(&mut before).await);
        node.crash().await;
        assert!(is_cut_off(&mut before).await);
        assert!(is_refused(&node.address()).await);
        node.restart().await.unwrap();
        let mut after = TcpStream::connect(node.address()).await.unwrap();
        assert!(answers(&mut after).await);
    }
    // A restart of a node that runs is a crash, too.
    let mut before = TcpStream::connect(node.address()).await.unwrap();
    assert!(answers(&mut before).await);
    node.restart().await.unwrap();
    assert!(is_cut_off(&mut before).await);
}

#[tokio::test]
async fn clients_that_are_cut_off_may_come_back() {
    let cluster = Cluster::start().await.unwrap();
    let node = cluster.node(1);
    let mut before = TcpStream::connect(node.address()).await.unwrap();
    assert!(answers(&mut before).await);
    node.disconnect_clients();
    assert!(is_cut_off(&mut before).await);
    let mut after = TcpStream::connect(node.address()).await.unwrap();
    assert!(answers(&mut after).await);
}

#[tokio::test]
async fn a_dropped_cluster_leaves_nothing_behind() {
    let cluster = Cluster::builder().nodes(2).start().await.unwrap();
    let addresses = cluster.bootstrap_servers().to_owned();
    let first = addresses.split(',').next().unwrap();
    let mut stream = TcpStream::connect(first).await.unwrap();
    assert!(answers(&mut stream).await);
    drop(cluster);
    assert!(is_cut_off(&mut stream).await);
    for address in addresses.split(',') {
        while !is_refused(address).await {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_closed_cluster_has_given_its_ports_back() {
    let mut cluster = Cluster::builder().nodes(3).start().await.unwrap();
    for _ in 0..20 {
        let first = cluster.node(1).address();
        let port: u16 = first.rsplit(':').next().unwrap().parse().unwrap();
        let mut stream = TcpStream::connect(&first).await.unwrap();
        assert!(answers(&mut stream).await);
        let addresses = cluster.bootstrap_servers().to_owned();
        cluster.close().await;
        // At once, and without a wait for what is to come.
        let read = stream.read(&mut [0]).await;
        assert!(read.map_or(true, |read| read == 0));
        for address in addresses.split(',') {
            assert!(is_refused(address).await);
        }
        let again = Cluster::builder().first_port(port).start().await;
        assert_eq!(again.as_ref().unwrap().bootstrap_servers(), first);
        again.unwrap().close().await;
        cluster = Cluster::builder().nodes(3).start().await.unwrap();
    }
}

#[tokio::test]
async fn nodes_listen_where_they_are_told_and_say_what_they_are_told() {
    let everywhere: std::net::IpAddr = "0.0.0.0".parse().unwrap();
    let elsewhere: std::net::IpAddr = "127.0.0.7".parse().unwrap();
    for (builder, advertised, reached) in [
        (Cluster::builder(), "127.0.0.1", "127.0.0.1"),
        (
            Cluster::builder().bind(everywhere),
            "127.0.0.1",
            "127.0.0.9",
        ),
        (Cluster::builder().bind(elsewhere), "127.0.0.7", "127.0.0.7"),
        (
            Cluster::builder().bind(everywhere).advertised_host("kafka"),
            "kafka",
            "127.0.0.1",
        ),
        (
            Cluster::builder().advertised_host("::1"),
            "[::1]",
            "127.0.0.1",
        ),
    ] {
        let cluster = builder.start().await.unwrap();
        let told = cluster.node(1).address();
        assert_eq!(told, cluster.bootstrap_servers());
        let (host, port) = told.rsplit_once(':').unwrap();
        assert_eq!(host, advertised);
        let mut stream = TcpStream::connect(format!("{reached}:{port}")).await;
        assert!(answers(stream.as_mut().unwrap()).await);
        // Also after a restart.
        cluster.node(1).restart().await.unwrap();
        let mut stream = TcpStream::connect(format!("{reached}:{port}")).await;
        assert!(answers(stream.as_mut().unwrap()).await);
        cluster.close().await;
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let cluster = Cluster::builder().nodes(2).topic("t", 1).start().await;
    let cluster = cluster.unwrap();
    for error in [
        cluster.move_leader("t", 0, 3).unwrap_err(),
        cluster.move_leader("t", 1, 1).unwrap_err(),
        cluster.move_leader("none", 0, 1).unwrap_err(),
        cluster.move_coordinator("g", 3).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Invalid(_)));
    }
    let port = cluster.node(1).address();
    let port = port.rsplit(':').next().unwrap().parse().unwrap();
    let taken = Cluster::builder().first_port(port).start().await;
    assert!(matches!(taken, Err(Error::Listen { address, .. }) if address.port() == port));
    for builder in [
        Cluster::builder().nodes(0),
        Cluster::builder().nodes(101),
        Cluster::builder().nodes(2).replication_factor(3),
        Cluster::builder().topic("a b", 1),
        Cluster::builder().topic("t", 0),
        Cluster::builder().default_partitions(0),
        Cluster::builder().nodes(3).first_port(65_534),
        Cluster::builder().advertised_host(""),
        Cluster::builder().advertised_host("kafka:9092"),
        Cluster::builder().advertised_host("0.0.0.0"),
        Cluster::builder().advertised_host("http://kafka"),
        Cluster::builder().retention_check_interval(Duration::ZERO),
    ] {
        assert!(matches!(builder.start().await, Err(Error::Invalid(_))));
    }
}
