//! Exactly 100 coupons, whoever applies and whatever breaks; on the embedded broker.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use clap::Parser;
use coupon::{Applied, COUPONS, GROUP, Options, Report, System, TOPIC, run_member};
use ottla_app_testing::{eventually, folder};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Longest time that any of these may take.
const LIMIT: Duration = Duration::from_secs(60);

fn options(line: &str) -> Options {
    Options::parse_from(line.split_whitespace())
}

async fn run(line: &str) -> Result<Report, ottla_app::Failure> {
    let options = options(line);
    let system = System::open(&options).await?;
    let report = timeout(LIMIT, system.run(&options, CancellationToken::new()));
    report.await.expect("in time")
}

fn assert_right(report: &Report) {
    let account = report.account();
    assert!(account.is_right(), "{account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_apply_and_exactly_100_have_a_coupon_again_and_again() -> Outcome {
    for _ in 0..10 {
        let report = run("coupon").await?;
        assert_right(&report);
        assert_eq!(
            (report.coupons, report.users, report.saved.new),
            (100, 100, 100)
        );
        assert_eq!((report.winners, report.applications), (100, 1000));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_apply_and_exactly_100_have_a_coupon() -> Outcome {
    let report = run("coupon --applicants 1000000").await?;
    assert_right(&report);
    assert_eq!((report.coupons, report.drawn), (100, 1_000_000));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_members_share_the_work_and_save_nobody_twice() -> Outcome {
    let report = run("coupon --members 4").await?;
    assert_right(&report);
    assert_eq!((report.coupons, report.partitions), (100, 4));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_applicants_than_coupons_all_get_one() -> Outcome {
    for applicants in [0, 1, 37, 100, 101] {
        let report = run(&format!("coupon --applicants {applicants}")).await?;
        assert_right(&report);
        assert_eq!(report.coupons, COUPONS.min(applicants));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn winners_are_eight_bytes_without_a_key_as_javas_long_serializer_writes_them() -> Outcome {
    let cluster = Cluster::start().await?;
    let report = run(&format!(
        "coupon --bootstrap {}",
        cluster.bootstrap_servers()
    ))
    .await?;
    assert_right(&report);
    let log = cluster.log(TOPIC, 0);
    let users: HashSet<_> = log
        .iter()
        .map(|record| {
            assert!(record.key.is_none() && record.headers.is_empty());
            let value: [u8; 8] = record.value.as_ref().unwrap()[..].try_into().unwrap();
            i64::from_be_bytes(value)
        })
        .collect();
    assert_eq!((log.len(), users.len()), (100, 100));
    assert!(users.iter().all(|user| (1..=1000).contains(user)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_on_the_same_parts_hands_out_nothing_more() -> Outcome {
    let folder = folder("coupon")?;
    let cluster = Cluster::start().await?;
    let database = format!("sqlite:{}/coupons.db", folder.path().display());
    let line = format!(
        "coupon --bootstrap {} --database {database}",
        cluster.bootstrap_servers()
    );
    assert_right(&run(&line).await?);
    // The counter is the process' own and begins anew, so that a second hundred win; the table tells.
    let report = run(&format!("{line} --applicants 100")).await?;
    assert_eq!(report.coupons, report.users);
    // After a reset it is as the first time.
    let report = run(&format!("{line} --reset")).await?;
    assert_right(&report);
    assert_eq!((report.coupons, report.saved.new), (100, 100));
    Ok(())
}

/// As `kill -9` does: the member says no good-bye, and its last record is saved but not committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_killed_half_way_leaves_nothing_out_and_nothing_twice() -> Outcome {
    let cluster = Cluster::builder()
        .min_session_timeout(Duration::from_millis(100))
        .start()
        .await?;
    let folder = folder("coupon")?;
    let config = folder.path().join("settings.toml");
    fs::write(
        &config,
        "[kafka]\nsession.timeout.ms = 600\nheartbeat.interval.ms = 100\n",
    )?;
    let line = format!(
        "coupon --bootstrap {} --config {} --members 0",
        cluster.bootstrap_servers(),
        config.display()
    );
    let options = options(&line);
    let system = System::open(&options).await?;

    // A runtime of its own is what can be ended in the middle of everything.
    let doomed = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let client = doomed.spawn({
        let bootstrap = cluster.bootstrap_servers().to_owned();
        async move {
            let builder = ottla::Client::builder().bootstrap_servers(bootstrap);
            let builder = builder.set("session.timeout.ms", "600")?;
            builder.set("heartbeat.interval.ms", "100")?.connect().await
        }
    });
    doomed.spawn(run_member(
        client.await??,
        system.store().clone(),
        CancellationToken::new(),
    ));
    // The fortieth commit never gets through.
    for user in 5001..=5040 {
        assert!(matches!(
            system.coupons().apply(user).await?,
            Applied::Won(_)
        ));
    }
    system.coupons().producer().flush().await?;
    eventually(LIMIT, async || {
        system.kafka().lag(GROUP, TOPIC).await.unwrap() == 0
    })
    .await;
    let broken = cluster
        .faults()
        .add(Fault::disconnect().on(ApiKey::OffsetCommit).always());
    assert!(matches!(
        system.coupons().apply(5041).await?,
        Applied::Won(_)
    ));
    eventually(LIMIT, async || cluster.faults().hits(broken) > 0).await;
    doomed.shutdown_background();
    cluster.faults().remove(broken);
    assert_eq!(system.store().count().await?, 41);

    let client = system.kafka().client().clone();
    let stop = CancellationToken::new();
    let heir = tokio::spawn(run_member(client, system.store().clone(), stop.clone()));
    let report = timeout(LIMIT, system.run(&options, CancellationToken::new())).await??;
    stop.cancel();
    let saved = heir.await??;
    assert_right(&report);
    assert_eq!((report.coupons, report.users), (100, 100));
    assert_eq!((saved.new, saved.again), (59, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_crashes_half_way_costs_no_coupon_and_makes_no_second_one() -> Outcome {
    let cluster = Cluster::builder()
        .nodes(3)
        .replication_factor(3)
        .topic(TOPIC, 2)
        .start()
        .await?;
    let options = options(&format!(
        "coupon --bootstrap {} --members 2 --applicants 950",
        cluster.bootstrap_servers()
    ));
    let system = System::open(&options).await?;
    for user in 5001..=5050 {
        assert!(matches!(
            system.coupons().apply(user).await?,
            Applied::Won(_)
        ));
    }
    // Records are on their way to it, or have arrived and are not acknowledged.
    cluster
        .node(cluster.leader(TOPIC, 0).unwrap())
        .crash()
        .await;
    let report = timeout(LIMIT, system.run(&options, CancellationToken::new())).await??;
    assert_right(&report);
    assert_eq!((report.coupons, report.users), (100, 100));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_applies_twice_takes_nobody_elses_coupon() -> Outcome {
    let options = options("coupon --applicants 1000");
    let system = System::open(&options).await?;
    // Of the same users as the run's, each with a double click, and one with a click for each coupon.
    let coupons = system.coupons();
    let clicks = (1..=60).flat_map(|user| [user, user]);
    for user in clicks.chain([60; 100]) {
        match coupons.apply(user).await? {
            Applied::Won(won) => coupons.delivered(won).await?,
            Applied::Before => {}
            Applied::TooLate => panic!("user {user} came in time"),
        }
    }
    assert_eq!(coupons.gate().drawn().await?, 60);
    assert!(matches!(coupons.apply(1).await?, Applied::Before));
    let report = timeout(LIMIT, system.run(&options, CancellationToken::new())).await??;
    assert_right(&report);
    assert_eq!((report.coupons, report.users), (100, 100));
    assert_eq!(
        (report.winners, report.had_one, report.drawn),
        (40, 60, 1000)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_failed_costs_no_coupon() -> Outcome {
    let cluster = Cluster::builder().topic(TOPIC, 1).start().await?;
    let line = format!("coupon --bootstrap {}", cluster.bootstrap_servers());
    let options = options(&line);
    let system = System::open(&options).await?;
    let coupons = system.coupons();
    // For good: it is not tried again.
    let refusal = || Fault::error(ErrorCode::INVALID_RECORD).on(ApiKey::Produce);
    let refused = cluster.faults().add(refusal());
    let Applied::Won(won) = coupons.apply(1).await? else {
        panic!("the first one wins");
    };
    assert!(!won.again && coupons.delivered(won).await.is_err());
    assert_eq!(cluster.faults().hits(refused), 1);
    let Applied::Won(won) = coupons.apply(1).await? else {
        panic!("the user has a number");
    };
    assert!(won.again);
    coupons.delivered(won).await?;
    // In the run, applicants who are told of an error apply again by themselves.
    let refused = cluster.faults().add(refusal());
    let report = timeout(LIMIT, system.run(&options, CancellationToken::new())).await??;
    assert_right(&report);
    assert_eq!(cluster.faults().hits(refused), 1);
    assert_eq!((report.coupons, report.users), (100, 100));
    assert_eq!(cluster.log(TOPIC, 0).len(), 100);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_no_user_is_left_out_and_told() -> Outcome {
    let cluster = Cluster::builder().topic(TOPIC, 1).start().await?;
    let client = ottla::Client::connect(cluster.bootstrap_servers()).await?;
    let producer = client.producer().build()?;
    producer
        .send(ottla::Record::to(TOPIC).value("user 7"))
        .await?;
    let report = run(&format!(
        "coupon --bootstrap {}",
        cluster.bootstrap_servers()
    ))
    .await?;
    assert_eq!((report.coupons, report.saved.unreadable), (100, 1));
    assert!(
        report
            .account()
            .to_string()
            .contains("wrong: 1 records are no user's id")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_delivers_and_saves_what_was_accepted() -> Outcome {
    let options = options("coupon --applicants 1000000000");
    let system = System::open(&options).await?;
    let (coupons, interrupt) = (system.coupons().clone(), CancellationToken::new());
    let run = tokio::spawn({
        let interrupt = interrupt.clone();
        async move { system.run(&options, interrupt).await }
    });
    eventually(LIMIT, async || coupons.gate().drawn().await.unwrap() > 50).await;
    interrupt.cancel();
    let report = timeout(LIMIT, run).await???;
    assert_right(&report);
    assert!(report.applications < report.asked);
    assert!(
        report
            .account()
            .to_string()
            .contains("did not apply any more")
    );
    Ok(())
}
