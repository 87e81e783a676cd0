//! What the application asks for while a fetch waits at its broker is served at once, and once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ottla::{Client, Consumer, Error, OffsetReset, TopicPartition};
use tokio::time::timeout;

use super::support::{Kafka, Message, Outcome, SOON, Suite, all_of, deliver};

/// How long a fetch waits: nobody waits for that.
const LONG: Duration = Duration::from_secs(45);

/// Far less than that, and far more than it takes.
const SOONER: Duration = Duration::from_secs(10);

pub(crate) fn promises(suite: &mut Suite) {
    suite.shared(
        "waiting::a_seek_a_resume_and_an_assignment_do_not_wait_for_a_fetch_that_does",
        served_at_once,
    );
    suite.shared(
        "waiting::what_is_fetched_beside_a_fetch_that_waits_is_handed_out_once",
        served_once,
    );
}

async fn filled(
    kafka: &Kafka,
    topic: &str,
    records: usize,
) -> Result<Client, libtest_mimic::Failed> {
    kafka.topic(topic, 3, &[])?;
    let client = kafka.client().await?;
    let producer = client.producer().batch_size(500).build()?;
    let mut messages = Message::numbered(records * 3);
    for (at, message) in messages.iter_mut().enumerate() {
        message.partition = Some(at as i32 % 3);
    }
    deliver(&producer, topic, &messages).await?;
    Ok(client)
}

async fn reader(
    client: &Client,
    partitions: impl IntoIterator<Item = TopicPartition>,
) -> Result<Consumer, Error> {
    client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .fetch_max_wait(LONG)
        .request_timeout(LONG + SOON)
        .assign(partitions)
        .build()
        .await
}

/// Takes so many records, all there are; the next fetch waits for more.
async fn read(consumer: &mut Consumer, records: usize) -> Outcome {
    for _ in 0..records {
        timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    }
    let idle = timeout(Duration::from_millis(300), consumer.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    Ok(())
}

/// The next record is this one, and does not come late.
async fn next_is(consumer: &mut Consumer, partition: i32, offset: i64, why: &str) -> Outcome {
    let began = Instant::now();
    let record = timeout(SOONER, consumer.recv()).await;
    let record = record.map_err(|_| format!("{why}: nothing for {SOONER:?}"))?;
    let record = record?.ok_or("the end")?;
    println!("{why}: served after {:?}", began.elapsed());
    assert_eq!(
        (record.partition(), record.offset()),
        (partition, offset),
        "{why}"
    );
    Ok(())
}

async fn served_at_once(kafka: &Kafka) -> Outcome {
    let topic = "waiting";
    let client = filled(kafka, topic, 10).await?;
    let all = all_of(topic, 3);
    let mut consumer = reader(&client, all[..2].to_vec()).await?;
    read(&mut consumer, 20).await?;
    consumer.seek(&all[0], 9)?;
    next_is(&mut consumer, 0, 9, "a seek").await?;
    consumer.pause(&all[1])?;
    consumer.seek(&all[1], 9)?;
    let idle = timeout(Duration::from_millis(300), consumer.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    consumer.resume(&all[1])?;
    next_is(&mut consumer, 1, 9, "a resume").await?;
    consumer.seek_to_beginning(&all[0])?;
    next_is(&mut consumer, 0, 0, "a seek to the beginning").await?;
    read(&mut consumer, 9).await?;
    consumer.assign(all.clone())?;
    next_is(&mut consumer, 2, 0, "an assignment").await?;
    read(&mut consumer, 9).await?;

    // What is new comes at once, by whichever of both.
    let producer = client.producer().build()?;
    for (at, partition) in [(0, 1), (1, 2), (2, 0), (3, 2)] {
        let sent = deliver(&producer, topic, &[Message::of("new").partition(partition)]).await?;
        let offset = sent[0].offset().ok_or("no offset")?;
        next_is(&mut consumer, partition, offset, &format!("record {at}")).await?;
    }
    Ok(())
}

async fn served_once(kafka: &Kafka) -> Outcome {
    const RECORDS: i64 = 2000;
    let topic = "waiting-once";
    let client = filled(kafka, topic, RECORDS as usize).await?;
    let all = all_of(topic, 3);
    let mut consumer = reader(&client, all.clone()).await?;
    let mut next: HashMap<i32, i64> = (0..3).map(|number| (number, 0)).collect();
    for round in 0..60 {
        // To the ends, where the fetch waits, or not so far.
        let most = if fastrand::bool() {
            3 * RECORDS
        } else {
            fastrand::i64(..500)
        };
        for _ in 0..most {
            if next.values().all(|offset| *offset >= RECORDS) {
                break;
            }
            let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
            let expected = next.insert(record.partition(), record.offset() + 1);
            assert_eq!(Some(record.offset()), expected, "round {round}");
        }
        let number = fastrand::usize(..3);
        let offset = fastrand::i64(0..RECORDS);
        match fastrand::u8(..3) {
            0 => consumer.seek(&all[number], offset)?,
            1 => {
                consumer.pause(&all[number])?;
                consumer.seek(&all[number], offset)?;
                consumer.resume(&all[number])?;
            }
            _ => {
                let others = all.iter().filter(|other| **other != all[number]);
                consumer.assign(others.cloned().collect::<Vec<_>>())?;
                consumer.assign(all.clone())?;
                consumer.seek(&all[number], offset)?;
            }
        }
        next.insert(number as i32, offset);
    }
    Ok(())
}
