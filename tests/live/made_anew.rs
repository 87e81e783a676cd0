//! Topics that are deleted and made anew, on brokers that give topics no ids as well.

use std::time::Duration;

use kafka_cluster::Version;
use ottla::{Admin, Error, NewTopic, Record};
use tokio::time::sleep;

use super::support::{Kafka, Message, Outcome, deliver, within};

/// Longest wait for brokers to forget a topic, and to have it again.
const SOON: Duration = Duration::from_secs(20);

/// Deletes a topic, and waits until no broker has it.
async fn delete(admin: &Admin, topic: &str) -> Outcome {
    admin.delete_topics([topic]).await?.remove(0)?;
    let gone = async {
        while admin.describe_topics([topic]).await?.remove(0).is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, Error>(())
    };
    Ok(within(SOON, "the end of the topic", gone).await??)
}

/// Makes it again: ZooKeeper has not forgotten the old one when the brokers have.
async fn create(kafka: &Kafka, topic: &str, partitions: i32) -> Outcome {
    let again = async {
        while let Err(error) = kafka.create_topic(topic, partitions, 1, &[]) {
            assert!(error.to_string().contains("Exists"), "{error}");
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(SOON, "the topic's return", again).await
}

/// A topic that is deleted and created again is taken up again, though an old broker gives it no id.
pub(super) async fn goes_on(kafka: &Kafka) -> Outcome {
    let topic = "made-again";
    let client = kafka.client().await?;
    let admin = client.admin();
    let new = NewTopic::new(topic).partitions(2).replication(1);
    let created = admin.create_topics([new]).await?.remove(0)?;
    let has_no_ids = kafka.version() == Version::V2_5_0;
    assert_eq!(created.id.is_zero(), has_no_ids, "{created:?}");
    let producer = client.producer().build()?;
    let messages = Message::numbered(20);
    deliver(&producer, topic, &messages).await?;
    delete(&admin, topic).await?;
    // Enqueued while there is no such topic.
    let early = Record::to(topic).partition(0).value("early");
    let waiting = producer.enqueue(early).await?;
    create(kafka, topic, 2).await?;
    waiting.await?;
    let mut all = vec![Message::of("early").partition(0)];
    all.extend(
        Message::numbered(20)
            .into_iter()
            .map(|message| message.partition(0)),
    );
    deliver(&producer, topic, &all[1..]).await?;
    let read = kafka.consume_all(topic)?;
    let values: Vec<_> = read.into_iter().map(|record| record.value).collect();
    assert!(
        values
            .into_iter()
            .eq(all.into_iter().map(|message| message.value))
    );
    Ok(())
}

/// What waits for a partition that the topic does not have any more fails long before `delivery.timeout.ms`.
pub(super) async fn with_fewer(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("made-again-with-fewer", 2, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    let to = |partition| Record::to(topic).partition(partition).value("v");
    for partition in 0..2 {
        producer.send(to(partition)).await?;
    }
    delete(&client.admin(), topic).await?;
    let (kept, lost) = (
        producer.enqueue(to(0)).await?,
        producer.enqueue(to(1)).await?,
    );
    create(kafka, topic, 1).await?;
    kept.await?;
    let limit = Duration::from_secs(60);
    let error = within(limit, "what is lost", lost).await?.unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
    Ok(())
}
