//! Members of a group share partitions, resume where the group stopped, and commit nothing that was not handed out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla::{
    Assignor, Client, Consumer, ConsumerBuilder, ConsumerHandle, ConsumerRecord, Error,
    ListenerFuture, LostReason, NewPartitions, OffsetAndMetadata, OffsetReset, RebalanceListener,
    Record, TopicPartition,
};
use tokio::time::timeout;

use super::support::{Kafka, Outcome, Suite, eventually, until};

/// Longest wait for what is to happen by itself.
const SOON: Duration = Duration::from_secs(30);

pub(crate) fn promises(suite: &mut Suite) {
    suite.shared("groups::a_restart_resumes_at_the_committed_offset", restart);
    suite.shared(
        "groups::a_dropped_consumer_hands_its_last_record_to_the_next",
        dropped,
    );
    suite.shared("groups::each_kind_of_commit_is_what_the_group_has", commits);
    suite.shared(
        "groups::members_share_and_take_over",
        async |kafka: &Kafka| share(kafka, "share-range", Assignor::Range).await,
    );
    suite.shared(
        "groups::what_stays_is_not_interrupted",
        async |kafka: &Kafka| share(kafka, "share-cooperative", Assignor::CooperativeSticky).await,
    );
    suite.shared(
        "groups::a_listener_commits_before_it_gives_up",
        listener_commits,
    );
    suite.shared(
        "groups::a_slow_handler_is_told_so_and_may_come_back",
        slow_handler,
    );
    suite.shared("groups::new_topics_and_partitions_are_read", growth);
    suite.shared(
        "groups::a_static_member_returns_without_a_rebalance",
        static_member,
    );
    suite.shared(
        "groups::a_commit_of_what_went_to_another_is_refused",
        refused,
    );
    suite.shared("groups::a_stream_hands_out_what_recv_would", stream);
    suite.shared("groups::without_an_offset_none_is_an_error", no_offset);
    suite.shared(
        "groups::the_end_of_the_client_is_told_with_every_call",
        ended,
    );
    suite.shared(
        "groups::an_assignment_by_hand_commits_what_it_drops",
        by_hand,
    );
    suite.shared("groups::wrong_uses_are_refused_with_a_way_out", wrong_uses);
}

async fn fill(
    client: &Client,
    topic: &str,
    partitions: i32,
    numbers: std::ops::Range<i32>,
) -> Outcome {
    let producer = client.producer().build()?;
    let mut deliveries = Vec::new();
    for number in numbers {
        let value = number.to_string();
        let record = Record::to(topic)
            .partition(number % partitions)
            .value(&value);
        deliveries.push(producer.enqueue(record).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    Ok(producer.close(SOON).await?)
}

fn member(client: &Client, group: &str, topic: &str) -> ConsumerBuilder {
    client
        .consumer(group)
        .offset_reset(OffsetReset::Earliest)
        .heartbeat_interval(Duration::from_millis(300))
        .session_timeout(Duration::from_secs(6))
        .subscribe([topic])
}

fn number(record: &ConsumerRecord) -> i32 {
    let text = std::str::from_utf8(record.value().unwrap()).unwrap();
    text.parse().unwrap()
}

async fn take(consumer: &mut Consumer, count: usize) -> Result<Vec<i32>, Error> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let record = timeout(SOON, consumer.recv())
            .await
            .expect("a record in time")?;
        numbers.push(number(&record.expect("a record")));
    }
    Ok(numbers)
}

async fn restart(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-restart", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 1, 0..100).await?;
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

async fn dropped(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-dropped", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 1, 0..10).await?;
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

async fn commits(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-commits", 2, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 2, 0..20).await?;
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

async fn share(kafka: &Kafka, topic: &str, assignor: Assignor) -> Outcome {
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

async fn listener_commits(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-listener", 2, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 2, 0..10).await?;
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

async fn slow_handler(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-slow", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 1, 0..3).await?;
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

async fn growth(kafka: &Kafka) -> Outcome {
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

async fn static_member(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-static", 2, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 2, 0..4).await?;
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

async fn refused(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-refused", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 1, 0..2).await?;
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

async fn stream(kafka: &Kafka) -> Outcome {
    use std::future::poll_fn;
    use std::pin::Pin;

    use futures_core::Stream;

    let topic = kafka.topic("group-stream", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 1, 0..700).await?;
    let mut consumer = member(&client, topic, topic).build().await?;
    let handle = consumer.handle();
    let mut numbers = Vec::new();
    {
        let mut stream = consumer.stream();
        loop {
            let next = poll_fn(|context| Pin::new(&mut stream).poll_next(context));
            match timeout(SOON, next).await? {
                Some(record) => numbers.push(number(&record?)),
                None => break,
            }
            if numbers.len() == 700 {
                handle.stop();
            }
        }
    }
    assert_eq!(numbers, (0..700).collect::<Vec<_>>());
    consumer.close(SOON).await?;
    Ok(())
}

async fn no_offset(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-none", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 1, 0..2).await?;
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

async fn wrong_uses(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let refusals: BTreeMap<&str, Error> = [
        (
            "no group",
            client
                .standalone_consumer()
                .subscribe(["t"])
                .build()
                .await
                .unwrap_err(),
        ),
        (
            "an empty group",
            client.consumer("").build().await.unwrap_err(),
        ),
        (
            "a name",
            client
                .consumer("g")
                .subscribe(["no topic"])
                .build()
                .await
                .unwrap_err(),
        ),
        (
            "both",
            client
                .consumer("g")
                .subscribe(["t"])
                .assign([TopicPartition::new("t", 0)])
                .build()
                .await
                .unwrap_err(),
        ),
    ]
    .into();
    assert!(
        refusals["no group"]
            .to_string()
            .contains("client.consumer(group)")
    );
    assert!(refusals["an empty group"].to_string().contains("group.id"));
    assert!(matches!(refusals["a name"], Error::InvalidTopic { .. }));
    assert!(refusals["both"].to_string().contains("another consumer"));
    let standalone = client.standalone_consumer().build().await?;
    let error = standalone.commit_positions().await.unwrap_err();
    assert!(
        error.to_string().contains("client.consumer(group)"),
        "{error}"
    );
    let began = Instant::now();
    standalone.close(SOON).await?;
    client.consumer("g").build().await?.close(SOON).await?;
    assert!(began.elapsed() < Duration::from_secs(5));
    Ok(())
}

async fn ended(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-ended", 1, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 1, 0..1).await?;
    let mut consumer = member(&client, topic, topic).build().await?;
    take(&mut consumer, 1).await?;
    client.close();
    for _ in 0..5 {
        let error = timeout(SOON, consumer.recv()).await?.unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
        let error = timeout(SOON, consumer.poll())
            .await?
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
    }
    // Nothing can be committed any more; it ends all the same.
    let _ = timeout(SOON, consumer.close(SOON)).await?;
    Ok(())
}

async fn by_hand(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("group-by-hand", 2, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, 2, 0..10).await?;
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
    let mut alone = client
        .standalone_consumer()
        .offset_reset(OffsetReset::None)
        .assign([first.clone()])
        .build()
        .await?;
    let error = timeout(SOON, alone.recv()).await?.unwrap_err();
    assert!(matches!(error, Error::NoOffset { .. }), "{error}");
    alone.seek(&first, 4)?;
    assert_eq!(take(&mut alone, 1).await?, [8]);
    alone.close(SOON).await?;
    // Who seeks at once has nothing to be told.
    let mut alone = client
        .standalone_consumer()
        .offset_reset(OffsetReset::None)
        .assign([first.clone()])
        .build()
        .await?;
    alone.seek(&first, 4)?;
    assert_eq!(take(&mut alone, 1).await?, [8]);
    alone.close(SOON).await?;
    Ok(())
}
