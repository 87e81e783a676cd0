//! A runner on real Kafka: what Java's tools see of it, and what brokers do with what it commits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_cluster::Cluster;
use ottla::runner::{HandlerError, Order, Runner, RunnerBuilder};
use ottla::{Client, ConsumerRecord, Error, NewTopic, OffsetReset, Record, TopicPartition};
use tokio::sync::watch;

use super::support::{Kafka, Outcome, SOON, Suite, all_of, eventually, java_describes, until};

pub(crate) fn promises(suite: &mut Suite) {
    suite.alone(
        "runner::a_broker_that_takes_no_metadata_stalls_nothing",
        no_metadata,
    );
    suite.shared(
        "runner::members_share_a_topic_and_java_sees_their_offsets_and_dead_letters",
        members,
    );
    suite.shared("runner::a_map_of_ten_kilobytes_stalls_nothing", large_map);
    suite.shared("runner::a_topic_made_anew_starts_clean", made_anew);
}

/// How often each record was handled.
type Handled = Arc<Mutex<BTreeMap<(i32, i64), usize>>>;

fn runner(client: &Client, topic: &str) -> RunnerBuilder {
    let consumer = client
        .consumer(topic)
        .subscribe([topic])
        .offset_reset(OffsetReset::Earliest)
        .heartbeat_interval(Duration::from_millis(200));
    Runner::builder(consumer).backoff(Duration::from_millis(5), Duration::from_millis(50))
}

async fn fill(client: &Client, topic: &str, records: usize) -> Outcome {
    let producer = client.producer().build()?;
    for number in 0..records {
        let (key, value) = ((number % 100).to_string(), number.to_string());
        let record = Record::to(topic).key(&key).value(&value);
        drop(producer.enqueue(record).await?);
    }
    assert_eq!(producer.flush().await?.failed(), 0);
    Ok(())
}

fn note(handled: &Handled, record: &ConsumerRecord) {
    let place = (record.partition(), record.offset());
    *handled.lock().unwrap().entry(place).or_default() += 1;
}

async fn members(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("runner-members", 6, &[])?;
    let letters = kafka.topic("runner-members-dlt", 1, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    fill(&client, topic, 3000).await?;
    let handled = Handled::default();
    let start = async || {
        let handled = handled.clone();
        let builder = runner(&client, topic)
            .dead_letters(&producer)
            .max_attempts(2);
        let handler = move |record: ConsumerRecord, _| {
            let handled = handled.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                note(&handled, &record);
                match record.value_as::<&str>()? {
                    "1234" => Err("no such ticket".into()),
                    _ => Ok::<_, HandlerError>(()),
                }
            }
        };
        builder.start(handler).await
    };
    let one = start().await?;
    until("it has begun", || one.metrics().handled > 50).await?;
    let other = start().await?;
    until("the other has begun", || other.metrics().handled > 50).await?;
    let first = one.shutdown(SOON).await;
    until("all are handled", || handled.lock().unwrap().len() == 3000).await?;
    let last = other.shutdown(SOON).await;
    assert!(
        first.error.is_none() && last.error.is_none(),
        "{first:?} {last:?}"
    );
    assert_eq!(first.handled + last.handled, 2999);
    assert_eq!(first.dead_letters + last.dead_letters, 1);
    let again = handled
        .lock()
        .unwrap()
        .values()
        .filter(|times| **times > 1)
        .count();
    assert_eq!(again, 1, "none is handled twice but the one that failed");

    let told = java_describes(kafka, topic)?;
    let lags: Vec<_> = told
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.get(1) == Some(&topic))
        .map(|words| words.get(5).map(ToString::to_string))
        .collect();
    assert_eq!(lags, vec![Some("0".to_owned()); 6], "{told}");
    let letters = kafka.consume_all(letters)?;
    let [letter] = &*letters else {
        return Err(format!("{} dead letters", letters.len()).into());
    };
    assert_eq!(letter.value.as_deref(), Some(&b"1234"[..]));
    let headers: BTreeMap<_, _> = letter.headers.iter().cloned().collect();
    let header = |name: &str| headers[name].clone().unwrap();
    assert_eq!(header("kafka_dlt-original-topic"), topic.as_bytes());
    assert_eq!(header("kafka_dlt-exception-message"), b"no such ticket");
    assert_eq!(header("kafka_dlt-original-offset").len(), 8);
    Ok(())
}

/// Handles all records but every third, which wait until they may.
async fn with_stuck(
    client: &Client,
    topic: &str,
    may: &watch::Receiver<bool>,
    handled: &Handled,
) -> Result<Runner, Error> {
    let (may, handled) = (may.clone(), handled.clone());
    runner(client, topic)
        .order(Order::None)
        .max_handlers(50_000)
        .max_queued(100_000)
        .max_unfinished(1_000_000)
        .start(move |record: ConsumerRecord, context| {
            let (mut may, handled) = (may.clone(), handled.clone());
            async move {
                if record.offset() % 3 == 0 {
                    tokio::select! {
                        done = may.wait_for(|may| *may) => drop(done?),
                        () = context.cancelled() => return Err("another has it".into()),
                    }
                }
                note(&handled, &record);
                Ok::<_, HandlerError>(())
            }
        })
        .await
}

async fn large_map(kafka: &Kafka) -> Outcome {
    const RECORDS: usize = 90_000;
    let topic = kafka.topic("runner-large-map", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, RECORDS).await?;
    let (release, may) = watch::channel(false);
    let handled = Handled::default();
    let one = with_stuck(&client, topic, &may, &handled).await?;
    let two_thirds = || handled.lock().unwrap().len() == RECORDS / 3 * 2;
    until("all that may are handled", two_thirds).await?;
    let account = one.shutdown(Duration::ZERO).await;
    assert_eq!((account.handled, account.left), (60_000, 30_000));
    let error = account.error;
    assert!(error.is_none(), "{error:?}");

    let reader = client.consumer(topic).build().await?;
    let committed = reader
        .committed(all_of(topic, 1))
        .await?
        .remove(0)
        .ok_or("nothing")?;
    assert_eq!(committed.offset, 0);
    let told = committed.metadata.ok_or("no metadata")?.len();
    assert!(told <= 4096 && told > 4000, "{told}");
    // The map has room for some 24,000 offsets: the rest is repeated, and nothing waits.
    release.send(true)?;
    let again = with_stuck(&client, topic, &may, &handled).await?;
    until("all are handled", || {
        handled.lock().unwrap().len() == RECORDS
    })
    .await?;
    until("all are finished", || again.metrics().oldest.is_none()).await?;
    let account = again.shutdown(SOON).await;
    assert_eq!(account.left, 0);
    let repeated = account.handled as usize - RECORDS / 3;
    assert!(repeated < RECORDS / 3 * 2 - 15_000, "{repeated}");
    let committed = reader
        .committed(all_of(topic, 1))
        .await?
        .remove(0)
        .ok_or("nothing")?;
    assert_eq!(
        (committed.offset, committed.metadata),
        (RECORDS as i64, None)
    );
    Ok(())
}

async fn made_anew(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("runner-made-anew", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 10).await?;
    let (release, may) = watch::channel(false);
    let handled = Handled::default();
    let running = with_stuck(&client, topic, &may, &handled).await?;
    until("six are handled", || handled.lock().unwrap().len() == 6).await?;
    let admin = client.admin();
    admin.delete_topics([topic]).await?.remove(0)?;
    let anew = || NewTopic::new(topic).partitions(1).replication(1);
    eventually("the topic made anew", async || {
        let made = admin.create_topics([anew()]).await;
        made.is_ok_and(|made| made[0].is_ok())
    })
    .await?;
    handled.lock().unwrap().clear();
    let other = kafka.client().await?;
    fill(&other, topic, 5).await?;
    let may_be = [1, 2, 4].map(|offset| ((0, offset), 1));
    let are_handled = || {
        handled
            .lock()
            .unwrap()
            .iter()
            .map(|(k, v)| (*k, *v))
            .eq(may_be)
    };
    until("the new ones are handled, each once", are_handled).await?;
    release.send(true)?;
    let partition = TopicPartition::new(topic, 0);
    until("all are finished", || running.metrics().in_flight == 0).await?;
    let account = running.shutdown(SOON).await;
    assert!(account.error.is_none(), "{account:?}");
    let reader = other.consumer(topic).build().await?;
    let found = reader.committed([partition]).await?;
    assert_eq!(found[0].as_ref().map(|found| found.offset), Some(5));
    Ok(())
}

async fn no_metadata() -> Outcome {
    let cluster = Cluster::builder()
        .heap("384m")
        .property("offset.metadata.max.bytes", "10")
        .start()?;
    let topic = "runner-no-metadata";
    cluster.create_topic(topic, 1, 1, &[])?;
    let client = Client::connect(&cluster.bootstrap()).await?;
    fill(&client, topic, 30).await?;
    let (release, may) = watch::channel(false);
    let handled = Handled::default();
    let running = with_stuck(&client, topic, &may, &handled).await?;
    until("two thirds are handled", || {
        handled.lock().unwrap().len() == 20
    })
    .await?;
    let account = running.shutdown(Duration::ZERO).await;
    let error = account.error;
    assert!(error.is_none(), "{error:?}");
    let reader = client.consumer(topic).build().await?;
    let found = reader
        .committed(all_of(topic, 1))
        .await?
        .remove(0)
        .ok_or("nothing")?;
    assert_eq!((found.offset, found.metadata), (0, None));
    release.send(true)?;
    let again = with_stuck(&client, topic, &may, &handled).await?;
    until("all are handled", || again.metrics().handled == 30).await?;
    let account = again.shutdown(SOON).await;
    assert!(account.error.is_none(), "{account:?}");
    Ok(())
}
