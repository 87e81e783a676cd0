//! Logins that the broker takes for a few seconds are made again under load (KIP-368), unseen by the application.

use std::collections::HashSet;
use std::time::Duration;

use kafka_cluster::Version;
use ottla::{Client, NewTopic, OffsetReset, Record};
use tokio::time::{Instant, sleep};

use super::logins::{Secured, unsecured_token};
use super::support::{Outcome, Suite};

/// How long the broker takes a login; of each, 85 to 95 %.
const SESSION: &str = "5000";
/// Some sessions.
const LOAD: Duration = Duration::from_secs(25);

pub(crate) fn promises(suite: &mut Suite) {
    suite.alone(
        "sessions::short_ones_are_renewed_under_load_and_nothing_is_lost_or_sent_twice",
        renewed,
    );
}

async fn renewed() -> Outcome {
    let property = ("listener.name.proxied.connections.max.reauth.ms", SESSION);
    let secured = Secured::start(Version::V4_3_0, &[property])?;
    secured.add_scram_user()?;
    let tokens = || async { unsecured_token(Duration::from_secs(60)) };
    let plain = secured.named("PLAIN", "alice", "alice-secret").await?;
    let scram = secured
        .named("SCRAM-SHA-512", "alice", "alice-secret")
        .await?;
    let bearer = secured.bearer(tokens).await?;
    for (client, topic) in [(&plain, "plain"), (&scram, "scram"), (&bearer, "bearer")] {
        let topic = NewTopic::new(topic).partitions(2);
        client.admin().create_topics([topic]).await?;
    }
    let halfway = async {
        // By then every connection is there: the last ones are for commits.
        sleep(LOAD / 2).await;
        secured.proxy.opened()
    };
    let (plain, scram, bearer, halfway) = tokio::join!(
        load(&plain, "plain"),
        load(&scram, "scram"),
        load(&bearer, "bearer"),
        halfway
    );
    let opened = secured.proxy.opened();
    println!(
        "{} {} {} records; {opened} connections",
        plain?, scram?, bearer?
    );
    assert_eq!(
        opened, halfway,
        "a connection was replaced, and not logged in again"
    );
    for topic in ["plain", "scram", "bearer"] {
        let read = secured.cluster.consume_all(topic)?;
        let values: HashSet<_> = read.iter().map(|record| record.value.clone()).collect();
        assert_eq!(values.len(), read.len(), "{topic}: sent twice");
    }
    Ok(())
}

/// Sends and reads for a while; every record is acknowledged, and read once.
async fn load(client: &Client, topic: &str) -> Result<usize, libtest_mimic::Failed> {
    let producer = client.producer().build()?;
    let mut consumer = client
        .consumer(format!("group-{topic}"))
        .offset_reset(OffsetReset::Earliest)
        .subscribe([topic])
        .build()
        .await?;
    let end = Instant::now() + LOAD;
    let sending = async {
        let mut sent = 0usize;
        while Instant::now() < end {
            let mut deliveries = Vec::new();
            for _ in 0..50 {
                let value = format!("{topic} {sent}");
                deliveries.push(producer.enqueue(Record::to(topic).value(&value)).await?);
                sent += 1;
            }
            for delivery in deliveries {
                delivery.await?;
            }
        }
        Ok::<_, ottla::Error>(sent)
    };
    let mut read = HashSet::new();
    let mut handed_out = 0usize;
    let mut sending = std::pin::pin!(sending);
    let mut sent = None;
    while sent.is_none_or(|sent| handed_out < sent) {
        tokio::select! {
            done = &mut sending, if sent.is_none() => sent = Some(done?),
            record = consumer.recv() => {
                let record = record?.ok_or("the consumer ended")?;
                read.insert(record.value().unwrap_or_default().to_vec());
                handed_out += 1;
            }
        }
    }
    assert_eq!(read.len(), handed_out, "{topic}: read twice");
    consumer.close(Duration::from_secs(20)).await?;
    producer.close(Duration::from_secs(20)).await?;
    Ok(handed_out)
}
