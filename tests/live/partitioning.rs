//! Which partition a record goes to.

use std::panic::resume_unwind;
use std::time::Duration;

use ottla::{Error, Producer, ProducerBuilder, Record};

use super::support::{Kafka, Message, Outcome, Suite, assert_java_reads, deliver, random_bytes};

pub(crate) fn promises(suite: &mut Suite) {
    suite.shared(
        "partitioning::ten_thousand_keys_go_where_javas_producer_sends_them",
        keys,
    );
    suite.shared(
        "partitioning::round_robin_takes_each_partition_in_turn",
        round_robin,
    );
    suite.shared(
        "partitioning::a_partitioner_of_ones_own_chooses_or_leaves_it_to_turns",
        custom,
    );
    suite.shared(
        "partitioning::a_partitioner_that_fails_fails_the_one_record",
        failing,
    );
    suite.shared(
        "partitioning::an_explicit_partition_wins_over_key_and_partitioner",
        explicit,
    );
    suite.shared(
        "partitioning::records_without_keys_fill_one_batch_after_the_other",
        sticky,
    );
    suite.shared(
        "partitioning::many_records_without_keys_spread_evenly",
        even,
    );
    suite.shared(
        "partitioning::keys_that_are_ignored_spread_evenly",
        ignored_keys,
    );
}

async fn keys(kafka: &Kafka) -> Outcome {
    const PARTITIONS: i32 = 17;
    let topic = kafka.topic("keys", PARTITIONS, &[])?;
    let javas_topic = kafka.topic("keys-by-java", PARTITIONS, &[])?;
    let mut keys: Vec<Vec<u8>> = (0..40).map(random_bytes).collect();
    keys.resize_with(9_000, || random_bytes(fastrand::usize(1..40)));
    keys.extend((0..999).map(|number| format!("customer-{number}").into_bytes()));
    keys.push(random_bytes(5_000));
    assert!(keys.len() >= 10_000 && keys[0].is_empty());
    let expected = kafka.java_partitions(javas_topic, &keys)?;

    let producer = kafka.client().await?.producer().build()?;
    let messages: Vec<_> = keys
        .into_iter()
        .map(|key| Message::of("v").key(key))
        .collect();
    let places = deliver(&producer, topic, &messages).await?;
    for ((message, place), partition) in messages.iter().zip(&places).zip(expected) {
        assert_eq!(place.partition(), partition, "{message:?}");
    }
    assert_java_reads(kafka, topic, &messages, &places)
}

async fn round_robin(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("round-robin", 4, &[])?;
    let builders: [fn(ProducerBuilder) -> Result<ProducerBuilder, Error>; 2] = [
        |builder| Ok(builder.round_robin()),
        |builder| builder.set("partitioner.class", "round_robin"),
    ];
    for build in builders {
        let producer = build(kafka.client().await?.producer())?.build()?;
        producer.prepare(topic).await?;
        let mut last = None;
        for number in 0..40 {
            // With and without a key: it does not matter.
            let record = Record::to(topic).value("v");
            let record = if number % 2 == 0 {
                record.key("k")
            } else {
                record
            };
            let delivery = producer.enqueue(record).await?;
            let partition = delivery.target().partition();
            assert!(
                last.is_none_or(|last| (last + 1) % 4 == partition),
                "{last:?} {partition}"
            );
            last = Some(partition);
            assert_eq!(delivery.await?.partition(), partition);
        }
    }
    Ok(())
}

/// By the header first, then by the key's first letter and the value's length, then in turn.
fn chosen(record: &Record<'_>, partitions: u32) -> Option<u32> {
    assert_eq!((record.topic(), partitions), ("custom-partitioner", 4));
    if let Some(header) = record.get_header("partition") {
        return header.value()?.first().copied().map(u32::from);
    }
    let letter = record.get_key()?.first()? - b'a';
    Some(u32::from(letter) + u32::try_from(record.get_value()?.len()).ok()?)
}

async fn custom(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("custom-partitioner", 4, &[])?;
    let builder = kafka.client().await?.producer().partitioner(chosen);
    let producer = builder.build()?;
    let record = || Record::to(topic).key("b").value("");
    for (record, partition) in [
        (record(), 1),
        (record().value("1"), 2),
        (record().value("12"), 3),
        (record().value("12").header("partition", b"\0"), 0),
        // One that is named is not asked for.
        (record().partition(2), 2),
    ] {
        let shown = format!("{record:?}");
        assert_eq!(
            producer.send(record).await?.partition(),
            partition,
            "{shown}"
        );
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let without_key = Record::to(topic).value("any");
        seen.push(producer.send(without_key).await?.partition());
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
    Ok(())
}

async fn failing(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("failing-partitioner", 3, &[])?;
    let builder =
        kafka
            .client()
            .await?
            .producer()
            .partitioner(|record: &Record<'_>, partitions| {
                if *record == Record::to("failing-partitioner").value("panic") {
                    // Unlike `panic!`, this leaves no message in the tests' output.
                    resume_unwind(Box::new("on purpose"));
                }
                Some(partitions)
            });
    let producer = builder.build()?;
    for (value, word) in [("panic", "panicked"), ("beyond", "partition 3 of 3")] {
        match producer.send(Record::to(topic).value(value)).await {
            Err(error @ Error::Partitioner { .. }) => {
                assert!(error.to_string().contains(word), "{error}");
                assert!(error.to_string().contains(topic), "{error}");
                assert!(!error.possibly_written() && !error.is_retriable() && !error.is_fatal());
            }
            other => return Err(format!("{value}: {other:?}").into()),
        }
        let refused = producer.try_enqueue(Record::to(topic).value(value)).err();
        assert_eq!(
            refused.map(|refused| refused.record),
            Some(Record::to(topic).value(value))
        );
    }
    assert_eq!(producer.metrics().buffer_used, 0);
    // The producer is none the worse for it.
    assert_eq!(
        producer
            .send(Record::to(topic).partition(1).value("v"))
            .await?
            .partition(),
        1
    );
    assert_eq!(kafka.consume_all(topic)?.len(), 1);
    Ok(())
}

async fn explicit(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("explicit-partition", 5, &[])?;
    let messages: Vec<_> = (0..50)
        .map(|number| Message::of("v").key("the same").partition(number % 5))
        .collect();
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    let places = deliver(&producer, topic, &messages).await?;
    assert_java_reads(kafka, topic, &messages, &places)?;
    let builder = client.producer().partitioner(|_: &Record<'_>, _| Some(0));
    let place = builder
        .build()?
        .send(Record::to(topic).partition(3))
        .await?;
    assert_eq!(place.partition(), 3);
    match producer.send(Record::to(topic).partition(-1)).await {
        Err(error @ Error::Partitioner { .. }) => {
            assert!(error.to_string().contains("-1"), "{error}");
        }
        other => return Err(format!("partition -1: {other:?}").into()),
    }
    Ok(())
}

async fn sticky(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("sticky", 6, &[])?;
    // Sent by `flush` alone.
    let builder = kafka
        .client()
        .await?
        .producer()
        .linger(Duration::from_secs(60));
    let producer = builder.build()?;
    let places = deliver(&producer, topic, &Message::numbered(500)).await?;
    assert!(
        places
            .iter()
            .all(|place| place.partition() == places[0].partition())
    );
    assert_eq!(producer.metrics().batches, 1);
    Ok(())
}

async fn even(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("even", 6, &[])?;
    let client = kafka.client().await?;
    for adaptive in [false, true] {
        let builder = client
            .producer()
            .batch_size(4096)
            .adaptive_partitioning(adaptive);
        let counts = spread(&builder.build()?, topic, |_| Message::of(vec![b'x'; 100])).await?;
        println!("adaptive {adaptive}: {counts:?}");
        // In turn, exactly; else away from partitions that are behind, which on one broker evens out.
        let least = if adaptive { 2_500 } else { 4_900 };
        assert!(
            counts.iter().all(|count| *count >= least),
            "adaptive {adaptive}: {counts:?}"
        );
    }
    Ok(())
}

async fn ignored_keys(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("ignored-keys", 6, &[])?;
    let builder = kafka.client().await?.producer().batch_size(4096);
    let producer = builder
        .ignore_keys(true)
        .adaptive_partitioning(false)
        .build()?;
    let counts = spread(&producer, topic, |_| Message::of(vec![b'x'; 97]).key("k")).await?;
    assert!(counts.iter().all(|count| *count >= 4_900), "{counts:?}");
    Ok(())
}

/// How many of 30,000 records went to each of six partitions.
async fn spread(
    producer: &Producer,
    topic: &str,
    message: impl Fn(usize) -> Message,
) -> Result<[usize; 6], Error> {
    let messages: Vec<_> = (0..30_000).map(message).collect();
    let mut counts = [0; 6];
    for place in deliver(producer, topic, &messages).await? {
        counts[usize::try_from(place.partition()).unwrap()] += 1;
    }
    Ok(counts)
}
