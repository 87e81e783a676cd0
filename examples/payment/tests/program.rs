//! The program as people run it: its account, what it says of wrong options, Ctrl-C, and a Kafka that goes away.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod http;

use std::fs;

use ottla_app_testing::{Ended, Program, folder};
use ottla_broker::Cluster;
use reqwest::StatusCode;

use http::pay;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn start(line: &str) -> std::io::Result<Program> {
    Program::start(env!("CARGO_BIN_EXE_payment"), line.split_whitespace())
}

fn run(line: &str) -> Result<Ended, Box<dyn std::error::Error>> {
    Ok(start(line)?.end()?)
}

/// The address in "open at http://... until Ctrl-C".
fn address(said: &str) -> String {
    let mut words = said.split_whitespace();
    let found = words.find(|word| word.starts_with("http://"));
    found.unwrap_or(said).to_owned()
}

#[test]
fn without_options_it_makes_a_thousand_payments_and_compares() -> Outcome {
    let ended = run("")?;
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.printed.contains("\nall is well: "), "{ended:?}");
    for line in ["approved", "declined", "ticket type 10", "partition "] {
        assert!(ended.printed.contains(line), "{line}: {ended:?}");
    }
    assert_eq!(ended.said, "");
    Ok(())
}

#[test]
fn a_wrong_option_is_named_and_nothing_is_begun() -> Outcome {
    let folder = folder("payment")?;
    let mistyped = folder.path().join("mistyped.toml");
    fs::write(&mistyped, "[profile.docker.kafka]\nlinger.mns = 20\n")?;
    for (line, told) in [
        ("--payments many", "--payments"),
        ("--ticket-types 0", "--ticket-types"),
        ("--members 101", "--members"),
        ("--serve nowhere", "--serve"),
        ("--gateway nonsense", "--gateway"),
        ("--redis redis://x", "--redis"),
        ("--profile nowhere", "--profile nowhere"),
        ("--bootstrap nowhere", "--bootstrap"),
        (
            &format!("--config {}", mistyped.display()),
            r#"profile docker: unknown setting "linger.mns": did you mean "linger.ms"?"#,
        ),
    ] {
        let database = folder.path().join("payments.db");
        let ended = run(&format!("{line} --database sqlite:{}", database.display()))?;
        assert_eq!(ended.status, Some(2), "{line}: {ended:?}");
        assert!(ended.said.contains(told), "{line}: {ended:?}");
        assert!(!database.exists(), "{line} has begun something");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_until_it_is_interrupted_and_then_accounts() -> Outcome {
    let mut program = start("--serve 127.0.0.1:0")?;
    let url = address(&program.says("until Ctrl-C")?);
    let (status, _) = pay(&format!("{url}/payments/confirm"), "k-1").await?;
    assert_eq!(status, StatusCode::OK);
    // A port that is taken is told by the option.
    let taken = run(&format!("--serve {}", url.trim_start_matches("http://")))?;
    assert_eq!(taken.status, Some(1), "{taken:?}");
    assert!(taken.said.contains("--serve 127.0.0.1:"), "{taken:?}");

    program.signal("INT")?;
    let ended = program.end()?;
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.printed.contains("delivered"), "{ended:?}");
    assert!(ended.printed.contains("saved"), "{ended:?}");
    Ok(())
}

/// Longer than delivery.timeout.ms: who waits is told, and of who does not the log has the whole message.
#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_no_payment_is_lost_without_a_word() -> Outcome {
    let cluster = Cluster::start().await?;
    let folder = folder("payment")?;
    let config = folder.path().join("settings.toml");
    // The pause before the next connection is shorter than what a payment waits once Kafka is back.
    let settings = "[kafka]\nretries = 2\nmax.block.ms = 5000\nlinger.ms = 20\n\
         request.timeout.ms = 600\ndelivery.timeout.ms = 1000\nreconnect.backoff.max.ms = 100\n";
    fs::write(&config, settings)?;
    let mut program = start(&format!(
        "--serve 127.0.0.1:0 --bootstrap {} --config {}",
        cluster.bootstrap_servers(),
        config.display()
    ))?;
    let url = address(&program.says("until Ctrl-C")?) + "/payments/confirm";
    let (status, _) = pay(&format!("{url}?sync=true"), "before").await?;
    assert_eq!(status, StatusCode::OK);

    cluster.node(1).crash().await;
    let (status, _) = pay(&url, "in-background").await?;
    assert_eq!(status, StatusCode::OK);
    let (status, answer) = pay(&format!("{url}?sync=true"), "waiting").await?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["code"], "NOT_DELIVERED");
    assert_eq!(answer["payment"]["paymentKey"], "waiting");
    assert!(answer["possiblyWritten"].is_boolean(), "{answer}");
    let said = program.says("in-background")?;
    // The whole message, from which the payment can be sent again.
    for part in [
        "was not delivered",
        r#""reservationId":7"#,
        r#""ticketTypeId":4"#,
        r#""status":"DONE""#,
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    program.says("waiting")?;

    cluster.node(1).restart().await?;
    let (status, _) = pay(&format!("{url}?sync=true"), "after").await?;
    assert_eq!(status, StatusCode::OK);
    program.signal("INT")?;
    let ended = program.end()?;
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let wrong = "wrong: 2 approved payments were not delivered";
    assert!(ended.printed.contains(wrong), "{ended:?}");
    Ok(())
}
