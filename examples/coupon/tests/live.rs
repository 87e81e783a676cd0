//! Exactly 100 coupons on real Kafka, Redis and MariaDB, read back by Java.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use coupon::{Applied, Options, Report, System, TOPIC};
use ottla_app_testing::{Outcome, Parts, Program, Suite, folder, until};
use tokio_util::sync::CancellationToken;

/// Rows of the table.
const COUNT: &str = "SELECT COUNT(*) FROM coupon_example.coupon";

/// Different users in it.
const USERS: &str = "SELECT COUNT(DISTINCT user_id) FROM coupon_example.coupon";

fn main() -> ExitCode {
    let mut suite = Suite::from_args();
    suite.test(
        "java_reads_100_longs_of_the_100_users_in_the_table",
        1,
        java_reads,
    );
    suite.test(
        "a_million_apply_at_redis_and_100_have_a_coupon",
        1,
        a_million,
    );
    suite.test("a_member_killed_half_way_is_replaced", 1, killed_member);
    suite.test("a_broker_killed_half_way_costs_no_coupon", 3, killed_broker);
    suite.run()
}

/// The command line of a program with all real parts.
fn line(parts: &Parts) -> Result<String, String> {
    let database = parts.database.create("coupon_example")?;
    Ok(format!(
        "--bootstrap {} --redis {} --database {database}",
        parts.kafka.bootstrap(),
        parts.redis.url()
    ))
}

fn options(line: &str) -> Options {
    Options::parse_from(["coupon"].into_iter().chain(line.split_whitespace()))
}

async fn run(line: &str) -> Result<Report, ottla_app::Failure> {
    let options = options(line);
    let system = System::open(&options).await?;
    system.run(&options, CancellationToken::new()).await
}

fn assert_exactly_100(parts: &Parts, report: &Report) -> Outcome {
    let account = report.account();
    assert!(account.is_right(), "{account}");
    // As others than the program see it.
    assert_eq!(parts.database.count(COUNT)?, 100);
    assert_eq!(parts.database.count(USERS)?, 100);
    Ok(())
}

async fn java_reads(parts: Arc<Parts>) -> Outcome {
    let line = line(&parts)?;
    let report = run(&line).await?;
    assert_exactly_100(&parts, &report)?;
    assert_eq!(parts.redis.ask("GET coupon_count")?, "$4\r\n1000");
    // Again, on what is there: nobody gets a coupon any more.
    let again = run(&line).await?;
    assert_exactly_100(&parts, &again)?;
    assert_eq!((again.winners, again.saved.new), (0, 0));

    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let bootstrap = parts.kafka.bootstrap();
    let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", TOPIC];
    arguments.extend([
        "--from-beginning",
        "--max-messages",
        "100",
        "--timeout-ms",
        "20000",
    ]);
    let deserializer = "org.apache.kafka.common.serialization.LongDeserializer";
    arguments.extend(["--value-deserializer", deserializer]);
    let output = parts.kafka.tool(class, &arguments)?;
    let longs = String::from_utf8(output.stdout)?;
    let parsed: Result<Vec<i64>, _> = longs.lines().map(str::parse).collect();
    let longs = parsed.map_err(|error| format!("{error}: {longs}"))?;
    let users = parts
        .database
        .ask("SELECT user_id FROM coupon_example.coupon")?;
    let users: HashSet<i64> = users.lines().map(str::parse).collect::<Result<_, _>>()?;
    assert_eq!((longs.len(), users.len()), (100, 100));
    let offsets = parts.kafka.offsets(TOPIC)?;
    let there: i64 = offsets.iter().map(|partition| partition.end).sum();
    assert_eq!(there, 100, "the topic has records that were not read");
    assert_eq!(longs.into_iter().collect::<HashSet<_>>(), users);
    Ok(())
}

async fn a_million(parts: Arc<Parts>) -> Outcome {
    let line = line(&parts)?;
    let report = run(&format!("{line} --applicants 1000000 --members 3")).await?;
    assert_exactly_100(&parts, &report)?;
    assert_eq!(report.drawn, 1_000_000);
    Ok(())
}

/// `kill -9` of a consumer's process while it saves; another one takes over when its session has ended.
async fn killed_member(parts: Arc<Parts>) -> Outcome {
    let line = line(&parts)?;
    let folder = folder("coupon")?;
    let config = folder.path().join("settings.toml");
    fs::write(
        &config,
        "[kafka]\nsession.timeout.ms = 6000\nheartbeat.interval.ms = 1000\n",
    )?;
    let line = format!("{line} --config {}", config.display());
    // Makes topic and table.
    let options = options(&format!("{line} --members 0"));
    let system = System::open(&options).await?;
    // A save takes a while, so that there is a half-way.
    let trigger = "CREATE TRIGGER coupon_example.slow BEFORE INSERT ON coupon_example.coupon \
         FOR EACH ROW DO SLEEP(0.05)";
    parts.database.ask(trigger)?;
    let member = || {
        let line = format!("{line} --serve --applicants 0");
        Program::start(env!("CARGO_BIN_EXE_coupon"), line.split_whitespace())
    };
    let doomed = member()?;
    let run = tokio::spawn(async move { system.run(&options, CancellationToken::new()).await });
    let half = || parts.database.count(COUNT).is_ok_and(|rows| rows >= 40);
    until("40 coupons", || half().then_some(()))?;
    doomed.signal("KILL")?;
    assert_eq!(doomed.end()?.status, None);
    assert!(parts.database.count(COUNT)? < 100, "it was killed too late");

    let mut heir = member()?;
    heir.says("until Ctrl-C")?;
    let report = run.await??;
    assert_exactly_100(&parts, &report)?;
    heir.signal("INT")?;
    let ended = heir.end()?;
    assert_eq!(ended.status, Some(0), "{ended:?}");
    Ok(())
}

/// `kill -9` of the broker that leads the topic, between two halves of the coupons.
async fn killed_broker(parts: Arc<Parts>) -> Outcome {
    parts
        .kafka
        .create_topic(TOPIC, 1, 3, &[("min.insync.replicas", "2")])?;
    let line = line(&parts)?;
    let options = options(&format!("{line} --applicants 999950"));
    let system = System::open(&options).await?;
    for user in 0..50 {
        // Nobody else has these numbers.
        let applied = system.coupons().apply(2_000_000 + user).await?;
        assert!(matches!(applied, Applied::Won(_)));
    }
    parts.kafka.kill(parts.kafka.leader_of(TOPIC, 0)?)?;
    let report = system.run(&options, CancellationToken::new()).await?;
    assert_exactly_100(&parts, &report)?;
    assert_eq!(report.drawn, 1_000_000);
    Ok(())
}
