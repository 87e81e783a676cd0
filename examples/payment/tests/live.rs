//! Payments on real Kafka and MariaDB, read back by Java.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod http;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::env;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use ottla_app_testing::{Outcome, Parts, ProducedRecord, Program, Suite, folder, until};
use payment::{
    Options, PaymentConfirmRequest, PaymentConfirmResponse, PaymentMessage, System, TOPIC, TYPE_ID,
};
use reqwest::StatusCode;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use http::pay;

/// Rows of the table.
const COUNT: &str = "SELECT COUNT(*) FROM payment.payment";

fn main() -> ExitCode {
    let mut suite = Suite::from_args();
    suite.test(
        "java_reads_payments_with_their_keys_one_partition_a_ticket_type",
        1,
        java_reads,
    );
    suite.test(
        "payments_survive_a_killed_member_and_a_broker_that_restarts",
        1,
        killed,
    );
    suite.test(
        "while_kafka_is_frozen_no_payment_is_lost_without_a_word",
        1,
        frozen,
    );
    suite.test(
        "what_mariadb_refuses_is_set_aside_and_a_transactions_mark_is_not_waited_for",
        1,
        refused_and_marked,
    );
    suite.run()
}

fn options(line: &str) -> Options {
    Options::parse_from(["payment"].into_iter().chain(line.split_whitespace()))
}

async fn java_reads(parts: Arc<Parts>) -> Outcome {
    let database = parts.database.create("payment")?;
    let bootstrap = parts.kafka.bootstrap();
    let line = format!("--bootstrap {bootstrap} --database {database} --ticket-types 20");
    let options = options(&line);
    let system = System::open(&options).await?;
    let report = system.run(&options, CancellationToken::new()).await?;
    let account = report.account();
    assert!(account.is_right(), "{account}");
    assert_eq!(parts.database.count(COUNT)?, 858);

    // By Java's console consumer: time, partition, offset, headers, key, value.
    let printed = parts.kafka.console_consume(TOPIC, &[])?;
    let mut partitions = BTreeMap::<_, BTreeSet<_>>::new();
    let mut lines = 0;
    for line in printed.lines() {
        let mut columns = line.split('\t');
        let mut next = || {
            columns
                .next()
                .ok_or_else(|| format!("too few columns: {line}"))
        };
        let (_time, partition, _offset) = (next()?, next()?, next()?);
        let (headers, key, value) = (next()?, next()?, next()?);
        assert_eq!(headers, format!("__TypeId__:{TYPE_ID}"));
        let value: Value = serde_json::from_str(value)?;
        assert_eq!(value["request"]["ticketTypeId"].to_string(), key);
        partitions
            .entry(key.to_owned())
            .or_default()
            .insert(partition.to_owned());
        lines += 1;
    }
    assert_eq!((lines, partitions.len()), (858, 20));
    assert!(
        partitions.values().all(|partitions| partitions.len() == 1),
        "{partitions:?}"
    );
    // Where Java itself would have put them.
    let keys: Vec<_> = partitions
        .keys()
        .map(|key| key.clone().into_bytes())
        .collect();
    let expected = parts.kafka.java_partitions(TOPIC, &keys)?;
    for ((key, found), expected) in partitions.iter().zip(expected) {
        assert_eq!(
            found.first(),
            Some(&format!("Partition:{expected}")),
            "{key}"
        );
    }
    Ok(())
}

/// Three members, one of them in a process of its own that is killed; then the broker goes, and comes back.
async fn killed(parts: Arc<Parts>) -> Outcome {
    let payments = env::var("PAYMENTS")
        .ok()
        .and_then(|count| count.parse().ok());
    let payments: u64 = payments.unwrap_or(10_000);
    let database = parts.database.create("payment")?;
    let folder = folder("payment")?;
    let config = folder.path().join("settings.toml");
    let settings = "[kafka]\nretries = 2\nbuffer.memory = 67108864\nmax.block.ms = 5000\n\
         linger.ms = 20\nsession.timeout.ms = 6000\nheartbeat.interval.ms = 1000\n";
    fs::write(&config, settings)?;
    let bootstrap = parts.kafka.bootstrap();
    let line = format!(
        "--bootstrap {bootstrap} --database {database} --config {}",
        config.display()
    );
    let options = options(&format!(
        "{line} --members 2 --ticket-types 50 --payments {payments}"
    ));
    let system = System::open(&options).await?;
    let member = format!("{line} --serve 127.0.0.1:0 --members 1");
    let mut doomed = Program::start(env!("CARGO_BIN_EXE_payment"), member.split_whitespace())?;
    doomed.says("until Ctrl-C")?;
    let run = tokio::spawn(async move { system.run(&options, CancellationToken::new()).await });

    let saved = |count: u64| {
        let enough = || parts.database.count(COUNT).is_ok_and(|rows| rows >= count);
        until(&format!("{count} payments"), || enough().then_some(()))
    };
    saved(payments / 4)?;
    doomed.signal("KILL")?;
    assert_eq!(doomed.end()?.status, None);
    saved(payments / 3)?;
    parts.kafka.stop(1)?;
    parts.kafka.start(1)?;
    let report = run.await??;
    let account = report.account();
    println!("{account}");
    assert!(account.is_right(), "{account}");

    // As others than the program see it: each payment once, in the order of its ticket type.
    let rows = parts
        .database
        .ask("SELECT ticket_type_id, reservation_id FROM payment.payment ORDER BY id")?;
    let mut last = HashMap::new();
    let mut count = 0;
    for row in rows.lines() {
        let (ticket_type, reservation) = row.split_once('\t').ok_or("two columns")?;
        let reservation: u64 = reservation.parse()?;
        let before = last.insert(ticket_type.to_owned(), reservation);
        assert!(before.is_none_or(|before| before < reservation), "{row}");
        count += 1;
    }
    assert_eq!(count, payments - payments / 7);
    Ok(())
}

/// For longer than delivery.timeout.ms: each payment is in the table or told, and one that is told to be nowhere in Kafka
/// is nowhere.
async fn frozen(parts: Arc<Parts>) -> Outcome {
    let database = parts.database.create("payment")?;
    let folder = folder("payment")?;
    let config = folder.path().join("settings.toml");
    let settings = "[kafka]\nretries = 2\nmax.block.ms = 5000\nlinger.ms = 20\n\
         request.timeout.ms = 1000\ndelivery.timeout.ms = 3000\n";
    fs::write(&config, settings)?;
    let bootstrap = parts.kafka.bootstrap();
    let line = format!(
        "--serve 127.0.0.1:0 --bootstrap {bootstrap} --database {database} --config {}",
        config.display()
    );
    let mut program = Program::start(env!("CARGO_BIN_EXE_payment"), line.split_whitespace())?;
    let said = program.says("until Ctrl-C")?;
    let mut words = said.split_whitespace();
    let server = words.find(|word| word.starts_with("http://"));
    let url = format!("{}/payments/confirm", server.ok_or(said.clone())?);
    let (status, _) = pay(&format!("{url}?sync=true"), "before").await?;
    assert_eq!(status, StatusCode::OK);

    parts.kafka.pause(1)?;
    for number in 0..20 {
        let (status, _) = pay(&url, &format!("pay-{number}.")).await?;
        assert_eq!(status, StatusCode::OK);
    }
    let (status, answer) = pay(&format!("{url}?sync=true"), "waiting").await?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    for number in 0..20 {
        program.says(&format!("pay-{number}."))?;
    }
    parts.kafka.resume(1)?;
    parts.kafka.wait_ready()?;
    let (status, answer) = pay(&format!("{url}?sync=true"), "after").await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let saved = "SELECT payment_key FROM payment.payment";
    until("the last payment in the table", || {
        parts
            .database
            .ask(saved)
            .ok()?
            .contains("after")
            .then_some(())
    })?;
    program.signal("INT")?;
    let ended = program.end()?;
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let wrong = "wrong: 21 approved payments were not delivered";
    assert!(ended.printed.contains(wrong), "{ended:?}");

    let table = parts.database.ask(saved)?;
    for number in 0..20 {
        let key = format!("pay-{number}.");
        let told = ended.said.lines().find(|line| line.contains(&key));
        let told = told.ok_or_else(|| format!("{key}: without a word"))?;
        if told.contains("possibly_written=false") {
            assert!(!table.contains(&key), "{key} is in the table all the same");
        }
    }
    Ok(())
}

/// A record of Java's with a payment of this key.
fn paid(key: &str, method: &str) -> Result<ProducedRecord, serde_json::Error> {
    let request = PaymentConfirmRequest {
        payment_key: key.to_owned(),
        order_id: "o".to_owned(),
        amount: 1,
        reservation_id: 7,
        ticket_type_id: 4,
        user_id: 3,
    };
    let response = PaymentConfirmResponse {
        payment_key: key.to_owned(),
        order_id: "o".to_owned(),
        status: "DONE".to_owned(),
        total_amount: 1,
        method: method.to_owned(),
        approved_at: "2026-11-21T00:00:00Z".to_owned(),
    };
    let value = serde_json::to_vec(&PaymentMessage::new(request, response))?;
    Ok(ProducedRecord {
        key: Some(b"4".to_vec()),
        value: Some(value),
        ..ProducedRecord::default()
    })
}

/// The topic ends with a transaction's mark, behind which no commit comes.
async fn refused_and_marked(parts: Arc<Parts>) -> Outcome {
    let database = parts.database.create("payment")?;
    let bootstrap = parts.kafka.bootstrap();
    let line = format!("--bootstrap {bootstrap} --database {database} --payments 0 --members 1");
    let options = options(&line);
    let system = System::open(&options).await?;
    let long = "x".repeat(256);
    let records = [
        ("b", "card"),
        ("b ", "card"),
        ("c", long.as_str()),
        ("d", "card"),
    ];
    let records: Result<Vec<_>, _> = records
        .iter()
        .map(|(key, method)| paid(key, method))
        .collect();
    let java = parts
        .kafka
        .java_producer(&[("transactional.id", "payments")])?;
    java.begin()?;
    java.send(TOPIC, &records?)?;
    java.commit()?;
    let report = system.run(&options, CancellationToken::new()).await?;
    assert_eq!((report.work.new, report.work.unfit), (3, 1));
    assert_eq!(report.lag, Some(0));
    // A blank at the end makes another key.
    let keys = "SELECT COUNT(*) FROM payment.payment WHERE payment_key IN ('b', 'b ')";
    assert_eq!(parts.database.count(keys)?, 2);
    let aside = "SELECT COUNT(*) FROM payment.set_aside WHERE reason LIKE '%too long%'";
    assert_eq!(parts.database.count(aside)?, 1);
    Ok(())
}
