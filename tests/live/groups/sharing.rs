//! Members share partitions and take them over, and their listeners hear of what comes and goes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla::{
    Assignor, Client, Consumer, ConsumerHandle, Error, ListenerFuture, LostReason, NewPartitions,
    RebalanceListener, TopicPartition,
};
use tokio::time::timeout;

use super::{SOON, fill, filled, member, number, take};
use crate::live::support::{Kafka, Outcome, until};

/// What a listener was told, and of which partitions.
type Heard = (&'static str, Vec<i32>);

/// What a listener heard, and whether it commits before it gives partitions up.
#[derive(Clone, Default)]
struct Notes {
    heard: Arc<Mutex<Vec<Heard>>>,
    commits: bool,
}

impl Notes {
    fn note(&self, what: &'static str, partitions: &[TopicPartition]) {
        let mut numbers: Vec<_> = partitions.iter().map(TopicPartition::partition).collect();
        numbers.sort();
        self.heard.lock().unwrap().push((what, numbers));
    }

    fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl RebalanceListener for Notes {
    fn assigned<'a>(
        &'a self,
        _consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> ListenerFuture<'a> {
        Box::pin(async move { self.note("assigned", partitions) })
    }

    fn revoked<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> ListenerFuture<'a> {
        Box::pin(async move {
            if self.commits {
                consumer
                    .commit_positions()
                    .await
                    .expect("these are still ours");
            }
            self.note("revoked", partitions);
        })
    }

    fn lost<'a>(
        &'a self,
        _consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
        reason: LostReason,
    ) -> ListenerFuture<'a> {
        Box::pin(async move {
            assert_eq!(reason, LostReason::PollInterval);
            self.note("lost", partitions);
        })
    }
}

async fn has(consumer: &ConsumerHandle, count: usize) -> Outcome {
    until("the assignment", || consumer.assignment().len() == count).await
}

/// A consumer that reads until it is stopped, and then what it has read, in order.
type Reading = tokio::task::JoinHandle<Result<(Consumer, Vec<i32>), Error>>;

/// Lets a consumer read, steered by the handle.
fn read_on(mut consumer: Consumer) -> (ConsumerHandle, Reading) {
    let handle = consumer.handle();
    let reading = tokio::spawn(async move {
        let mut numbers = Vec::new();
        while let Some(record) = consumer.recv().await? {
            numbers.push(number(&record));
        }
        Ok((consumer, numbers))
    });
    (handle, reading)
}

pub(super) async fn share(kafka: &Kafka, topic: &str, assignor: Assignor) -> Outcome {
    kafka.topic(topic, 4, &[])?;
    let client = kafka.client().await?;
    let notes = [Notes::default(), Notes::default()];
    let build = |at: usize| {
        member(&client, topic, topic)
            .assignors([assignor])
            .listener(notes[at].clone())
            .build()
    };
    let (first, reading_first) = read_on(build(0).await?);
    fill(&client, topic, 4, 0..400).await?;
    has(&first, 4).await?;
    let (second, reading_second) = read_on(build(1).await?);
    has(&second, 2).await?;
    has(&first, 2).await?;
    fill(&client, topic, 4, 400..800).await?;
    let ends = |consumer: &ConsumerHandle| {
        consumer
            .assignment()
            .iter()
            .all(|partition| consumer.position(partition).is_ok_and(|at| at == Some(200)))
    };
    until("everything is read", || ends(&first) && ends(&second)).await?;

    second.stop();
    let (consumer, by_second) = reading_second.await??;
    consumer.close(SOON).await?;
    has(&first, 4).await?;
    fill(&client, topic, 4, 800..1200).await?;
    until("the rest is read", || {
        let all = first.assignment();
        all.len() == 4
            && all
                .iter()
                .all(|p| first.position(p).is_ok_and(|at| at == Some(300)))
    })
    .await?;
    first.stop();
    let (consumer, by_first) = reading_first.await??;
    consumer.close(SOON).await?;

    let mut all: Vec<i32> = by_first.iter().chain(&by_second).copied().collect();
    for partition in 0..4 {
        let of = |numbers: &[i32]| -> Vec<i32> {
            numbers
                .iter()
                .copied()
                .filter(|number| number % 4 == partition)
                .collect()
        };
        assert!(of(&by_first).is_sorted(), "in order");
        assert!(of(&by_second).is_sorted(), "in order");
    }
    all.sort();
    assert_eq!(all, (0..1200).collect::<Vec<_>>(), "each once: nobody died");

    let heard = notes[0].take();
    let everything = vec![0, 1, 2, 3];
    if assignor == Assignor::CooperativeSticky {
        let [(_, given_up), (_, taken_back)] = [heard[1].clone(), heard[2].clone()];
        let expected = [
            ("assigned", everything.clone()),
            ("revoked", given_up.clone()),
            ("assigned", taken_back.clone()),
            ("revoked", everything),
        ];
        assert_eq!(heard, expected, "what stayed was not touched");
        assert_eq!((given_up.len(), given_up), (2, taken_back));
    } else {
        let expected = [
            ("assigned", everything.clone()),
            ("revoked", everything.clone()),
            ("assigned", vec![0, 1]),
            ("revoked", vec![0, 1]),
            ("assigned", everything.clone()),
            ("revoked", everything),
        ];
        // The order of members is that of their random ids.
        let other: Vec<_> = expected
            .iter()
            .cloned()
            .map(|(what, list)| {
                if list == [0, 1] {
                    (what, vec![2, 3])
                } else {
                    (what, list)
                }
            })
            .collect();
        assert!(heard == expected || heard == other, "{heard:?}");
    }
    Ok(())
}

pub(super) async fn listener_commits(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-listener", 2, 0..10).await?;
    let notes = Notes {
        commits: true,
        ..Notes::default()
    };
    let build = || {
        member(&client, topic, topic)
            .auto_commit(false)
            .listener(notes.clone())
            .build()
    };
    let (first, reading) = read_on(build().await?);
    has(&first, 2).await?;
    until("all is read", || {
        let all = first.assignment();
        all.iter()
            .all(|p| first.position(p).is_ok_and(|at| at == Some(5)))
    })
    .await?;
    let second = build().await?;
    has(&second, 1).await?;
    let moved = second.assignment();
    let committed = second.committed(moved.clone()).await?;
    assert_eq!(committed[0].as_ref().map(|one| one.offset), Some(5));
    second.close(SOON).await?;
    first.stop();
    reading.await??.0.close(SOON).await?;
    Ok(())
}

pub(super) async fn slow_handler(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-slow", 1, 0..3).await?;
    let notes = Notes::default();
    let limit = Duration::from_secs(6);
    let mut consumer = member(&client, topic, topic)
        .max_poll_interval(limit)
        .listener(notes.clone())
        .build()
        .await?;
    assert_eq!(take(&mut consumer, 1).await?, [0]);
    let handle = consumer.handle();
    // The handler is busy with the record all the time.
    until("the partition is lost", || handle.assignment().is_empty()).await?;
    assert_eq!(notes.take().last(), Some(&("lost", vec![0])));
    let error = consumer.recv().await.unwrap_err();
    assert!(matches!(error, Error::PollInterval { .. }), "{error}");
    assert!(
        error.to_string().contains("max.poll.interval.ms"),
        "{error}"
    );
    assert_eq!(
        take(&mut consumer, 3).await?,
        [0, 1, 2],
        "nothing of it was committed"
    );
    consumer.close(SOON).await?;
    Ok(())
}

pub(super) async fn growth(kafka: &Kafka) -> Outcome {
    let topic = "group-growth";
    let client = Client::builder()
        .bootstrap_servers(kafka.bootstrap())
        .metadata_max_age(Duration::from_secs(1))
        .connect()
        .await?;
    let mut consumer = member(&client, topic, topic)
        .auto_create_topics(false)
        .build()
        .await?;
    let early = timeout(Duration::from_millis(1500), consumer.recv()).await;
    assert!(early.is_err(), "there is no such topic: {early:?}");
    kafka.topic(topic, 1, &[])?;
    fill(&client, topic, 1, 0..3).await?;
    assert_eq!(take(&mut consumer, 3).await?, [0, 1, 2]);
    let admin = client.admin();
    admin
        .create_partitions([NewPartitions::new(topic, 2)])
        .await?
        .remove(0)?;
    let (handle, reading) = read_on(consumer);
    has(&handle, 2).await?;
    fill(&client, topic, 2, 3..13).await?;
    let new = TopicPartition::new(topic, 1);
    until("the new partition is read", || {
        handle.position(&new).is_ok_and(|at| at == Some(5))
    })
    .await?;
    handle.stop();
    let (consumer, mut numbers) = reading.await??;
    numbers.sort();
    assert_eq!(numbers, (3..13).collect::<Vec<_>>());
    consumer.close(SOON).await?;
    Ok(())
}

pub(super) async fn static_member(kafka: &Kafka) -> Outcome {
    let (topic, client) = filled(kafka, "group-static", 2, 0..4).await?;
    let notes = Notes::default();
    let build = |id: &'static str| {
        member(&client, topic, topic)
            .instance_id(id)
            .session_timeout(Duration::from_secs(30))
            .assignors([Assignor::Range])
    };
    let (first, reading) = read_on(build("first").listener(notes.clone()).build().await?);
    has(&first, 2).await?;
    let second = build("second").build().await?;
    has(&second, 1).await?;
    has(&first, 1).await?;
    let before = second.assignment();
    notes.take();
    second.close(SOON).await?;
    let second = build("second").build().await?;
    has(&second, 1).await?;
    assert_eq!(second.assignment(), before);
    assert_eq!(notes.take(), [], "the other one has not heard of it");
    first.stop();
    reading.await??.0.close(SOON).await?;
    second.close(SOON).await?;
    Ok(())
}
