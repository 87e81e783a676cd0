//! The library logs in here as it does to Kafka.

use std::time::Duration;

use ottla::{Client, ClientBuilder, Record};
use ottla_broker::{Acl, AclOperation, ApiKey, Cluster, ErrorCode, Fault};
use tokio::time::timeout;

/// Longest wait for what should come at once.
const SOON: Duration = Duration::from_secs(20);

async fn cluster() -> Cluster {
    let builder = Cluster::builder().topic("t", 1).user("alice", "secret");
    builder.start().await.unwrap()
}

fn client(cluster: &Cluster, mechanism: &str, user: &str, password: &str) -> ClientBuilder {
    let mut builder = Client::builder().bootstrap_servers(cluster.bootstrap_servers());
    for (name, value) in [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ] {
        builder = builder.set(name, value).unwrap();
    }
    builder
}

async fn send(client: &Client) {
    let producer = client.producer().build().unwrap();
    let record = Record::to("t").value("v");
    timeout(SOON, producer.send(record)).await.unwrap().unwrap();
    producer.close(SOON).await.unwrap();
}

#[tokio::test]
async fn every_mechanism_lets_the_right_password_in() {
    let cluster = cluster().await;
    for client in [
        client(&cluster, "PLAIN", "alice", "secret"),
        client(&cluster, "SCRAM-SHA-256", "alice", "secret"),
        client(&cluster, "SCRAM-SHA-512", "alice", "secret"),
    ] {
        send(&client.connect().await.unwrap()).await;
    }
    assert_eq!(cluster.log("t", 0).len(), 3);
}

#[tokio::test]
async fn a_wrong_password_is_told_at_once() {
    let cluster = cluster().await;
    for client in [
        client(&cluster, "PLAIN", "alice", "wrong"),
        client(&cluster, "SCRAM-SHA-256", "alice", "wrong"),
        client(&cluster, "SCRAM-SHA-512", "bob", "secret"),
    ] {
        let error = timeout(SOON, client.connect()).await.unwrap().unwrap_err();
        assert!(
            error.to_string().contains("refused the credentials"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_login_that_fails_once_on_purpose_succeeds_the_next_time() {
    let cluster = cluster().await;
    let client = client(&cluster, "PLAIN", "alice", "secret");
    let client = client.connect().await.unwrap();
    let fault = Fault::disconnect().on(ApiKey::SaslAuthenticate);
    let fault = cluster.faults().add(fault);
    cluster.node(1).disconnect_clients();
    send(&client).await;
    assert_eq!(cluster.faults().hits(fault), 1);
}

#[tokio::test]
async fn an_expired_session_costs_no_record() {
    let cluster = cluster().await;
    let client = client(&cluster, "SCRAM-SHA-256", "alice", "secret");
    let client = client.connect().await.unwrap();
    let producer = client.producer().build().unwrap();
    for sent in 1..=3 {
        let record = Record::to("t").value("v");
        timeout(SOON, producer.send(record)).await.unwrap().unwrap();
        assert_eq!(cluster.log("t", 0).len(), sent);
        cluster.expire_sessions();
    }
}

#[tokio::test]
async fn a_topic_that_may_not_be_written_to_is_told() {
    let cluster = cluster().await;
    cluster.allow(Acl::topic("alice", AclOperation::Describe, "t"));
    cluster.allow(Acl::cluster("alice", AclOperation::IdempotentWrite));
    let client = client(&cluster, "PLAIN", "alice", "secret");
    let client = client.connect().await.unwrap();
    let producer = client.producer().build().unwrap();
    let record = || Record::to("t").value("v");
    let sent = timeout(SOON, producer.send(record())).await.unwrap();
    let error = sent.unwrap_err().to_string();
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    assert!(error.contains(code.name().unwrap()), "{error}");
    cluster.allow(Acl::topic("alice", AclOperation::Write, "t"));
    timeout(SOON, producer.send(record()))
        .await
        .unwrap()
        .unwrap();
}
