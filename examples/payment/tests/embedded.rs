//! Every approved payment in the table once, in order for each ticket type, whatever breaks; on the embedded broker.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "http/post.rs"]
mod post;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use clap::Parser;
use ottla_app::Database;
use ottla_app_testing::{eventually, folder};
use ottla_broker::{ApiKey, Cluster, Fault};
use payment::{
    GROUP, Options, PARTITIONS, PaymentMessage, Report, StandIn, System, TOPIC, TYPE_ID, run_member,
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use post::post;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Longest time that any of these may take.
const LIMIT: Duration = Duration::from_secs(60);

fn options(line: &str) -> Options {
    Options::parse_from(["payment"].into_iter().chain(line.split_whitespace()))
}

async fn run(line: &str) -> Result<Report, ottla_app::Failure> {
    let options = options(line);
    let system = System::open(&options).await?;
    end(system, &options).await
}

async fn end(system: System, options: &Options) -> Result<Report, ottla_app::Failure> {
    let report = timeout(LIMIT, system.run(options, CancellationToken::new()));
    report.await.expect("in time")
}

fn assert_right(report: &Report) {
    let account = report.account();
    assert!(account.is_right(), "{account}");
}

fn request(key: &str, ticket_type: i64) -> Value {
    json!({
        "paymentKey": key, "orderId": "o-1", "amount": 50_000, "reservationId": 7,
        "ticketTypeId": ticket_type, "userId": 3,
    })
}

fn log(cluster: &Cluster) -> Vec<(i32, ottla_broker::LogRecord)> {
    let partitions = (0..PARTITIONS).map(|partition| (partition, cluster.log(TOPIC, partition)));
    let records = partitions.flat_map(|(at, log)| log.into_iter().map(move |record| (at, record)));
    records.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_payments_are_saved_once_in_order_and_one_partition_a_ticket_type() -> Outcome {
    for line in ["", "--sync --members 1", "--ticket-types 50 --members 4"] {
        let report = run(line).await?;
        assert_right(&report);
        assert_eq!((report.counts.approved, report.counts.declined), (858, 142));
        assert_eq!((report.saved.len(), report.counts.delivered), (858, 858));
        let mut partitions = BTreeMap::<_, BTreeSet<_>>::new();
        for saved in &report.saved {
            let partition = partitions.entry(saved.ticket_type_id).or_default();
            partition.insert(saved.topic_partition);
        }
        assert!(partitions.values().all(|partitions| partitions.len() == 1));
        assert!(partitions.values().flatten().collect::<BTreeSet<_>>().len() > 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_payment_is_json_with_its_ticket_type_as_key_and_its_java_class() -> Outcome {
    let cluster = Cluster::builder().auto_create_topics(false).start().await?;
    let options = options(&format!(
        "--bootstrap {} --payments 0",
        cluster.bootstrap_servers()
    ));
    let system = System::open(&options).await?;
    assert_eq!(
        cluster.topics().first().unwrap(),
        &(TOPIC.to_owned(), PARTITIONS)
    );
    let url = format!("{}/payments/confirm?sync=true", system.url());

    let (status, answer) = post(&url, &request("k-1", 42)).await?;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["paymentKey"], "k-1");
    assert_eq!(
        (&answer["status"], &answer["totalAmount"]),
        (&json!("DONE"), &json!(50_000))
    );
    let (status, answer) = post(&url, &request("decline-1", 42)).await?;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(answer["code"], "REJECT_CARD_PAYMENT");

    // The declined one was not sent.
    let log = log(&cluster);
    let [(partition, record)] = &log[..] else {
        panic!("{log:?}");
    };
    assert_eq!(record.key.as_deref(), Some(&b"42"[..]));
    let header = (
        "__TypeId__".to_owned(),
        Some(TYPE_ID.as_bytes().to_vec().into()),
    );
    assert_eq!(record.headers, [header]);
    let sent: Value = serde_json::from_slice(record.value.as_ref().unwrap())?;
    assert_eq!(sent["reservationId"], 7);
    assert_eq!(sent["request"], request("k-1", 42));
    assert_eq!(sent["response"]["method"], "\u{ce74}\u{b4dc}");
    let approved_at = sent["response"]["approvedAt"].as_str().unwrap();
    assert!(
        approved_at.ends_with('Z') && approved_at.contains('T'),
        "{approved_at}"
    );

    eventually(LIMIT, async || {
        system.store().ending_in("k-1").await.unwrap().len() == 1
    })
    .await;
    let saved = system.store().ending_in("k-1").await?;
    assert_eq!(saved[0].topic_partition, i64::from(*partition));
    assert_right(&end(system, &options).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_400_with_each_field_named_and_nothing_is_done() -> Outcome {
    let options = options("--payments 0");
    let system = System::open(&options).await?;
    let url = format!("{}/payments/confirm", system.url());
    let mut wrong = request("k-1", 1);
    wrong["amount"] = json!("much");
    wrong.as_object_mut().unwrap().remove("userId");
    let (status, answer) = post(&url, &wrong).await?;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let fields: Vec<_> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["field"])
        .collect();
    assert_eq!(fields, ["amount", "userId"]);
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("amount: expected a whole number")
    );
    let (status, answer) = post(&format!("{url}?snyc=true"), &request("k-1", 1)).await?;
    assert_eq!(
        (status, &answer["errors"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("snyc"))
    );
    let (status, answer) = post(&url, &json!("nonsense")).await?;
    assert_eq!(
        (status, &answer["errors"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("body"))
    );

    let report = end(system, &options).await?;
    assert_right(&report);
    assert_eq!(report.counts, payment::Totals::default());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_does_not_stop_his_approved_payment() -> Outcome {
    let cluster = Cluster::start().await?;
    let options = options(&format!(
        "--bootstrap {} --payments 0",
        cluster.bootstrap_servers()
    ));
    let system = System::open(&options).await?;
    let url = format!("{}/payments/confirm", system.url());
    let impatient = Client::builder()
        .no_proxy()
        .timeout(Duration::from_millis(60));
    let call = impatient
        .build()?
        .post(&url)
        .json(&request("slow-1", 5))
        .send();
    assert!(call.await.unwrap_err().is_timeout());
    eventually(LIMIT, async || log(&cluster).len() == 1).await;
    let report = end(system, &options).await?;
    assert_right(&report);
    assert_eq!((report.counts.delivered, report.work.new), (1, 1));
    Ok(())
}

/// As `kill -9` does: the member says no good-bye, and what it saved last is not committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_killed_half_way_leaves_nothing_out_and_nothing_twice() -> Outcome {
    let cluster = Cluster::builder()
        .min_session_timeout(Duration::from_millis(100))
        .start()
        .await?;
    let folder = folder("payment")?;
    let config = folder.path().join("settings.toml");
    fs::write(
        &config,
        "[kafka]\nsession.timeout.ms = 600\nheartbeat.interval.ms = 100\n",
    )?;
    let options = options(&format!(
        "--bootstrap {} --config {} --members 0 --payments 2000",
        cluster.bootstrap_servers(),
        config.display()
    ));
    let system = System::open(&options).await?;
    let store = system.store().clone();
    let member = |bootstrap: &str| {
        let builder = ottla::Client::builder().bootstrap_servers(bootstrap);
        let builder = builder.set("session.timeout.ms", "600").unwrap();
        let builder = builder.set("heartbeat.interval.ms", "100").unwrap();
        let store = store.clone();
        async move { run_member(builder.connect().await?, store, CancellationToken::new()).await }
    };
    // A runtime of its own is what can be ended in the middle of everything.
    let doomed = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    doomed.spawn(member(cluster.bootstrap_servers()));
    let heir = tokio::spawn(member(cluster.bootstrap_servers()));
    eventually(LIMIT, async || {
        cluster
            .groups()
            .iter()
            .any(|group| group.members.len() == 2)
    })
    .await;
    let run = tokio::spawn(async move { end(system, &options).await });
    eventually(LIMIT, async || {
        store.ending_in("").await.unwrap().len() > 200
    })
    .await;
    // From now on it saves and cannot commit.
    let fault = Fault::disconnect().on(ApiKey::OffsetCommit).always();
    let broken = cluster.faults().add(fault);
    eventually(LIMIT, async || cluster.faults().hits(broken) > 3).await;
    doomed.shutdown_background();
    cluster.faults().remove(broken);

    let report = run.await??;
    assert_right(&report);
    assert_eq!(report.saved.len(), 1715);
    assert!(cluster.groups().iter().any(|group| group.name == GROUP));
    heir.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_crashes_and_comes_back_costs_no_payment() -> Outcome {
    let cluster = Cluster::start().await?;
    let options = options(&format!(
        "--bootstrap {} --payments 3000",
        cluster.bootstrap_servers()
    ));
    let system = System::open(&options).await?;
    let run = tokio::spawn(async move { end(system, &options).await });
    eventually(LIMIT, async || log(&cluster).len() > 500).await;
    cluster.node(1).crash().await;
    sleep(Duration::from_millis(300)).await;
    cluster.node(1).restart().await?;
    let report = run.await??;
    assert_right(&report);
    assert_eq!(report.saved.len(), 2572);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_no_payment_is_left_out_and_told() -> Outcome {
    let cluster = Cluster::builder().topic(TOPIC, PARTITIONS).start().await?;
    let client = ottla::Client::connect(cluster.bootstrap_servers()).await?;
    let producer = client.producer().build()?;
    producer
        .send(ottla::Record::to(TOPIC).key("1").value("no payment"))
        .await?;
    let line = format!("--bootstrap {} --payments 100", cluster.bootstrap_servers());
    let report = run(&line).await?;
    assert_eq!((report.work.unreadable, report.saved.len()), (1, 86));
    assert!(!report.account().is_right());
    Ok(())
}

/// How many rows a table has.
async fn count(database: &str, table: &str) -> Result<i64, Box<dyn std::error::Error>> {
    let database = Database::open(Some(database)).await?;
    let select = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    let count = sqlx::query_scalar(select)
        .fetch_one(database.pool())
        .await?;
    database.pool().close().await;
    Ok(count)
}

/// As `kill -9` does, after the gateway has approved and before Kafka has acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_payment_outlives_a_process_that_dies_before_it_is_sent() -> Outcome {
    let cluster = Cluster::builder().topic(TOPIC, PARTITIONS).start().await?;
    let (gateway, folder) = (StandIn::start().await?, folder("payment")?);
    let database = format!("sqlite:{}/payments.db", folder.path().display());
    let line = format!(
        "--bootstrap {} --gateway {} --database {database} --payments 0",
        cluster.bootstrap_servers(),
        gateway.url()
    );
    let unsent = Fault::disconnect().on(ApiKey::Produce).always();
    let unsent = cluster.faults().add(unsent);
    let doomed = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // A member of it would have to be missed first.
    let first = options(&format!("{line} --members 0"));
    let first = doomed.spawn(async move { System::open(&first).await });
    let first = first.await??;
    let url = format!("{}/payments/confirm", first.url());
    for number in 1..=3 {
        let (status, _) = post(&url, &request(&format!("k-{number}"), 42)).await?;
        assert_eq!(status, StatusCode::OK);
    }
    // It was told, too, that another one is declined, and of one it was told nothing.
    let (status, _) = post(&url, &request("decline-1", 42)).await?;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    let (status, _) = post(&url, &request("lost-1", 42)).await?;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    doomed.shutdown_background();
    drop(first);
    cluster.faults().remove(unsent);
    assert_eq!(log(&cluster), []);
    assert_eq!(count(&database, "payment_intent").await?, 4);

    let options = options(&line);
    let system = System::open(&options).await?;
    eventually(LIMIT, async || {
        system.store().ending_in("-1").await.unwrap().len() == 2
    })
    .await;
    let report = end(system, &options).await?;
    assert_right(&report);
    assert_eq!((report.counts.taken_up, report.counts.delivered), (4, 4));
    assert_eq!((report.open, report.work.new), (0, 4));
    let sent = log(&cluster);
    let keys = sent.iter().map(|(_, record)| {
        let message: PaymentMessage =
            serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        message.request.payment_key
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["k-1", "k-2", "k-3", "lost-1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_charged_is_never_taken_for_declined() -> Outcome {
    let gateway = StandIn::start().await?;
    let options = options(&format!("--gateway {} --payments 0", gateway.url()));
    let system = System::open(&options).await?;
    let url = format!("{}/payments/confirm?sync=true", system.url());
    // The gateway approves, and its answer gets lost; asked again for the same payment, it says the same.
    let (status, answer) = post(&url, &request("lost-1", 5)).await?;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{answer}");
    assert_eq!(answer["code"], "GATEWAY_UNKNOWN");
    let (status, answer) = post(&url, &request("lost-1", 5)).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    // Somebody else has asked before, and the gateway answers 400 ALREADY_PROCESSED_PAYMENT.
    let direct = format!("{}/v1/payments/confirm", gateway.url());
    let body = json!({"paymentKey": "k-2", "orderId": "o-1", "amount": 50_000});
    assert_eq!(post(&direct, &body).await?.0, StatusCode::OK);
    let (status, answer) = post(&direct, &body).await?;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["code"], "ALREADY_PROCESSED_PAYMENT");
    let (status, answer) = post(&url, &request("k-2", 5)).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["status"], "DONE");
    let report = end(system, &options).await?;
    assert_right(&report);
    assert_eq!((report.counts.delivered, report.work.new), (2, 2));
    assert_eq!((report.counts.declined, report.open), (0, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_table_does_not_take_is_set_aside_and_the_others_go_on() -> Outcome {
    let cluster = Cluster::builder().topic(TOPIC, PARTITIONS).start().await?;
    let folder = folder("payment")?;
    let database = format!("sqlite:{}/payments.db", folder.path().display());
    let client = ottla::Client::connect(cluster.bootstrap_servers()).await?;
    let producer = client.producer().build()?;
    let long = "x".repeat(256);
    for (key, method) in [("a-1", "card"), ("a-2", long.as_str()), ("a-3", "card")] {
        let response = payment::PaymentConfirmResponse {
            payment_key: key.to_owned(),
            order_id: "o-1".to_owned(),
            status: "DONE".to_owned(),
            total_amount: 1,
            method: method.to_owned(),
            approved_at: "2026-11-21T00:00:00Z".to_owned(),
        };
        let message = PaymentMessage::new(serde_json::from_value(request(key, 1))?, response);
        let value = serde_json::to_string(&message)?;
        producer
            .send(ottla::Record::to(TOPIC).key("1").value(value))
            .await?;
    }
    producer
        .send(ottla::Record::to(TOPIC).key("1").value("no payment"))
        .await?;
    let line = format!(
        "--bootstrap {} --database {database} --payments 7 --ticket-types 1",
        cluster.bootstrap_servers()
    );
    let report = run(&line).await?;
    assert_eq!((report.work.unfit, report.work.unreadable), (1, 1));
    assert_eq!(report.work.new, 2 + 6);
    let account = report.account().to_string();
    assert!(
        account.contains("wrong: 1 payments do not fit the table: see set_aside"),
        "{account}"
    );
    assert_eq!(count(&database, "set_aside").await?, 2);
    // And it does not come again.
    let report = run(&line).await?;
    assert_right(&report);
    assert_eq!(count(&database, "payment").await?, 2 + 6 + 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_comes_whole_does_not_hold_up_the_end() -> Outcome {
    let options = options("--payments 0");
    let system = System::open(&options).await?;
    let address = system.url().trim_start_matches("http://").to_owned();
    let head = "POST /payments/confirm HTTP/1.1\r\nHost: x\r\n";
    let mut half_a_head = TcpStream::connect(&address).await?;
    half_a_head.write_all(head.as_bytes()).await?;
    let mut half_a_body = TcpStream::connect(&address).await?;
    let whole_head =
        format!("{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{");
    half_a_body.write_all(whole_head.as_bytes()).await?;
    let url = format!("{}/payments/confirm", system.url());
    // One that came whole, and takes its time, is answered.
    let slow = tokio::spawn(async move { post(&url, &request("slow-1", 1)).await });
    eventually(LIMIT, async || system.open_payments().await.unwrap() == 1).await;
    let report = timeout(Duration::from_secs(8), end(system, &options)).await??;
    assert_right(&report);
    assert_eq!(slow.await??.0, StatusCode::OK);
    assert_eq!(report.counts.delivered, 1);
    Ok(())
}

#[test]
fn a_message_is_what_a_java_service_expects() -> Outcome {
    let request: payment::PaymentConfirmRequest = serde_json::from_value(request("k", 1))?;
    let response = payment::PaymentConfirmResponse {
        payment_key: "k".to_owned(),
        order_id: "o-1".to_owned(),
        status: "DONE".to_owned(),
        total_amount: 50_000,
        method: "card".to_owned(),
        approved_at: "2026-11-21T00:00:00Z".to_owned(),
    };
    let message = PaymentMessage::new(request, response);
    let request =
        r#""request":{"paymentKey":"k","orderId":"o-1","amount":50000,"reservationId":7,"#;
    let who = r#""ticketTypeId":1,"userId":3},"#;
    let response =
        r#""response":{"paymentKey":"k","orderId":"o-1","status":"DONE","totalAmount":50000,"#;
    let how = r#""method":"card","approvedAt":"2026-11-21T00:00:00Z"}}"#;
    let expected = format!(r#"{{"reservationId":7,{request}{who}{response}{how}"#);
    assert_eq!(serde_json::to_string(&message)?, expected);
    Ok(())
}
