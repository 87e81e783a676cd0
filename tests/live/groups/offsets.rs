//! A group resumes at what it has committed, by whichever call, and nothing else is committed for it.

use std::time::Duration;

use ottla::{Error, NewTopic, OffsetAndMetadata, OffsetReset, TopicPartition};
use tokio::time::timeout;

use super::{SOON, fill, filled, member, take};
use crate::live::support::{Kafka, Outcome, eventually, until};

pub(super) async fn restart(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-restart", 1, 0..100).await?;
    let mut from = 0;
    for count in [30, 1, 69] {
        let mut consumer = member(&client, topic, topic).build().await?;
        let numbers = take(&mut consumer, count).await?;
        assert_eq!(numbers, (from..from + count as i32).collect::<Vec<_>>());
        from += count as i32;
        consumer.close(SOON).await?;
    }
    let mut consumer = member(&client, topic, topic).build().await?;
    fill(&client, topic, 1, 100..101).await?;
    assert_eq!(take(&mut consumer, 1).await?, [100]);
    consumer.close(SOON).await?;
    Ok(())
}

pub(super) async fn dropped(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-dropped", 1, 0..10).await?;
    let mut consumer = member(&client, topic, topic).build().await?;
    assert_eq!(take(&mut consumer, 5).await?, [0, 1, 2, 3, 4]);
    drop(consumer);
    let mut consumer = member(&client, topic, topic).build().await?;
    assert_eq!(
        take(&mut consumer, 2).await?,
        [4, 5],
        "4 may not have been done with"
    );
    consumer.close(SOON).await?;
    Ok(())
}

pub(super) async fn commits(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-commits", 2, 0..20).await?;
    let mut consumer = member(&client, topic, topic)
        .auto_commit(false)
        .build()
        .await?;
    let both = [0, 1].map(|number| TopicPartition::new(topic, number));
    let handle = consumer.handle();
    let committed = async || -> Result<Vec<Option<i64>>, Error> {
        let found = handle.committed(both.clone()).await?;
        Ok(found
            .into_iter()
            .map(|one| one.map(|one| one.offset))
            .collect())
    };
    let mut last = Vec::new();
    for _ in 0..20 {
        let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
        last.push(record);
    }
    assert_eq!(committed().await?, [None, None]);
    let of = |partition, offset| {
        let mut all = last.iter();
        all.find(|r| (r.partition(), r.offset()) == (partition, offset))
            .unwrap()
    };
    consumer.commit(of(0, 3)).await?;
    assert_eq!(committed().await?, [Some(4), None]);
    consumer.commit_in_background(of(1, 1))?;
    consumer.commit_in_background(of(1, 2))?;
    eventually("the commit in the background", async || {
        committed()
            .await
            .is_ok_and(|found| found == [Some(4), Some(3)])
    })
    .await?;
    let mut chosen = OffsetAndMetadata::new(2);
    chosen.metadata = Some("by hand".into());
    consumer
        .commit_offsets([(both[0].clone(), chosen.clone())])
        .await?;
    let found = consumer.committed(both.clone()).await?;
    assert_eq!(found[0].as_ref().map(|one| one.offset), Some(2));
    assert_eq!(
        found[0].as_ref().and_then(|one| one.metadata.clone()),
        Some("by hand".into())
    );
    consumer.commit_positions().await?;
    assert_eq!(committed().await?, [Some(10), Some(10)]);
    // The last word of a consumer that commits by itself, though nobody waits for it.
    consumer.commit_in_background(of(0, 6))?;
    consumer.close(SOON).await?;
    let other = client.consumer(topic).build().await?;
    let found = other.committed(both.clone()).await?;
    assert_eq!(found[0].as_ref().map(|one| one.offset), Some(7));
    other.close(SOON).await?;
    Ok(())
}

/// `tells`: whether brokers are told of which topic an offset is.
pub(super) async fn made_anew(kafka: &Kafka, tells: bool) -> Outcome {
    let (topic, client) = filled(kafka, "group-made-anew", 1, 0..10).await?;
    let partition = TopicPartition::new(topic, 0);
    let mut consumer = client
        .consumer(topic)
        .offset_reset(OffsetReset::Earliest)
        .auto_commit(false)
        .assign([partition.clone()])
        .build()
        .await?;
    let mut records = Vec::new();
    while records.len() < 10 {
        records.push(timeout(SOON, consumer.recv()).await??.ok_or("the end")?);
    }
    let admin = client.admin();
    admin.delete_topics([topic]).await?.remove(0)?;
    let anew = || NewTopic::new(topic).partitions(1).replication(1);
    eventually("the topic made anew", async || {
        let made = admin.create_topics([anew()]).await;
        made.is_ok_and(|made| made[0].is_ok())
    })
    .await?;
    let other = kafka.client().await?;
    fill(&other, topic, 1, 100..103).await?;
    if tells {
        let error = consumer.commit(&records[9]).await.unwrap_err();
        assert!(matches!(error, Error::TopicRecreated { .. }), "{error}");
        assert_eq!(consumer.committed([partition.clone()]).await?, [None]);
    }
    let mut numbers = take(&mut consumer, 2).await?;
    let last = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    numbers.push(super::number(&last));
    assert_eq!(numbers, [100, 101, 102]);
    let error = consumer.commit(&records[9]).await.unwrap_err();
    assert!(matches!(error, Error::TopicRecreated { .. }), "{error}");
    let error = consumer.commit_in_background(&records[9]).unwrap_err();
    assert!(matches!(error, Error::TopicRecreated { .. }), "{error}");
    consumer.commit(&last).await?;
    let found = consumer.committed([partition]).await?;
    assert_eq!(found[0].as_ref().map(|one| one.offset), Some(3));
    consumer.close(SOON).await?;
    Ok(())
}

pub(super) async fn refused(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-refused", 1, 0..2).await?;
    let limit = Duration::from_secs(6);
    let mut consumer = member(&client, topic, topic)
        .auto_commit(false)
        .max_poll_interval(limit)
        .build()
        .await?;
    let record = timeout(SOON, consumer.recv()).await??.ok_or("the end")?;
    let handle = consumer.handle();
    until("the partition is lost", || handle.assignment().is_empty()).await?;
    let error = consumer.commit(&record).await.unwrap_err();
    assert!(matches!(error, Error::NotAssigned { .. }), "{error}");
    let found = consumer
        .committed([record.topic_partition().clone()])
        .await?;
    assert_eq!(found, [None]);
    consumer.close(SOON).await?;
    Ok(())
}

pub(super) async fn no_offset(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-none", 1, 0..2).await?;
    let mut consumer = member(&client, topic, topic)
        .offset_reset(OffsetReset::None)
        .build()
        .await?;
    let error = timeout(SOON, consumer.recv()).await?.unwrap_err();
    assert!(matches!(error, Error::NoOffset { .. }), "{error}");
    consumer.seek(&TopicPartition::new(topic, 0), 1)?;
    assert_eq!(take(&mut consumer, 1).await?, [1]);
    consumer.close(SOON).await?;
    Ok(())
}

pub(super) async fn by_hand(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-by-hand", 2, 0..10).await?;
    let [first, second] = [0, 1].map(|number| TopicPartition::new(topic, number));
    let mut consumer = client
        .consumer(topic)
        .offset_reset(OffsetReset::Earliest)
        .assign([first.clone()])
        .build()
        .await?;
    assert_eq!(take(&mut consumer, 3).await?, [0, 2, 4]);
    consumer.assign([second])?;
    assert_eq!(take(&mut consumer, 1).await?, [1]);
    eventually("what was done is committed", async || {
        let found = consumer.committed([first.clone()]).await;
        found.is_ok_and(|found| found[0].as_ref().is_some_and(|one| one.offset == 2))
    })
    .await?;
    consumer.close(SOON).await?;
    let alone = async || {
        client
            .standalone_consumer()
            .offset_reset(OffsetReset::None)
            .assign([first.clone()])
            .build()
            .await
    };
    let mut consumer = alone().await?;
    let error = timeout(SOON, consumer.recv()).await?.unwrap_err();
    assert!(matches!(error, Error::NoOffset { .. }), "{error}");
    consumer.seek(&first, 4)?;
    assert_eq!(take(&mut consumer, 1).await?, [8]);
    consumer.close(SOON).await?;
    // Who seeks at once has nothing to be told.
    let mut consumer = alone().await?;
    consumer.seek(&first, 4)?;
    assert_eq!(take(&mut consumer, 1).await?, [8]);
    consumer.close(SOON).await?;
    Ok(())
}
