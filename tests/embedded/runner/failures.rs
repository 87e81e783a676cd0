//! What becomes of records whose handlers fail.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use ottla::runner::{HandlerError, OnFailure, Panicked};
use ottla::{ConsumerRecord, Error, OffsetReset, Record, TopicPartition};
use tokio::time::timeout;

use super::{cluster, committed, fill, runner, until};
use crate::SOON;

#[tokio::test]
async fn what_fails_is_tried_again_in_its_order_and_then_buried_with_where_it_came_from() {
    let (cluster, client) = cluster(1).await;
    fill(&client, 30, 3).await;
    let producer = client.producer().build().unwrap();
    let calls: Arc<Mutex<Vec<(String, String, u32)>>> = Arc::default();
    let noted = calls.clone();
    let running = runner(&client)
        .dead_letters(&producer)
        .max_attempts(3)
        .start(move |record: ConsumerRecord, context| {
            let noted = noted.clone();
            async move {
                let (key, value) = (record.key_as::<String>()?, record.value_as::<String>()?);
                noted
                    .lock()
                    .unwrap()
                    .push((key.clone(), value.clone(), context.attempt()));
                match (&*key, &*value) {
                    ("0", "2") => Err("no such account".into()),
                    ("1", "2") => panic!("out of ideas"),
                    ("2", "2") if context.attempt() < 3 => Err("not yet".into()),
                    _ => Ok::<_, HandlerError>(()),
                }
            }
        })
        .await
        .unwrap();
    let done = || {
        let metrics = running.metrics();
        metrics.handled + metrics.dead_letters == 30
    };
    until("all are finished", done).await;
    let account = running.shutdown(SOON).await;
    let told = (
        account.handled,
        account.dead_letters,
        account.retries,
        account.left,
    );
    assert_eq!(told, (28, 2, 6, 0));
    assert_eq!(committed(&client, 1).await, [Some(30)]);
    for key in ["0", "1", "2"] {
        let calls = calls.lock().unwrap();
        let of_key = calls.iter().filter(|(of, ..)| of == key);
        let found: Vec<_> = of_key
            .map(|(_, value, attempt)| (value.parse().unwrap(), *attempt))
            .collect();
        let once = |number| (number, 1);
        let expected = [once(0), once(1), once(2), (2, 2), (2, 3)].into_iter();
        assert_eq!(
            found,
            expected.chain((3..10).map(once)).collect::<Vec<_>>(),
            "{key}"
        );
    }

    let mut letters = client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign([TopicPartition::new("t-dlt", 0)])
        .build()
        .await
        .unwrap();
    let mut told = BTreeMap::new();
    for _ in 0..2 {
        let letter = timeout(SOON, letters.recv())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(letter.value(), Some(&b"2"[..]));
        let text = |name: &str| letter.header_as::<String>(name).unwrap();
        assert_eq!(text("kafka_dlt-original-topic"), "t");
        assert_eq!(text("kafka_dlt-original-consumer-group"), "g");
        assert_eq!(
            letter
                .header_as::<i32>("kafka_dlt-original-partition")
                .unwrap(),
            0
        );
        assert_eq!(letter.header_as::<i32>("retry_topic-attempts").unwrap(), 3);
        let time = letter
            .header_as::<i64>("kafka_dlt-original-timestamp")
            .unwrap();
        assert_eq!(time, letter.timestamp_millis());
        let offset = letter
            .header_as::<i64>("kafka_dlt-original-offset")
            .unwrap();
        told.insert(
            letter.key_as::<String>().unwrap(),
            (offset, text("kafka_dlt-exception-message")),
        );
    }
    let panicked = "the handler panicked: out of ideas".to_owned();
    let expected = [
        ("0", (6, "no such account".to_owned())),
        ("1", (7, panicked)),
    ];
    assert_eq!(
        told,
        expected.map(|(key, told)| (key.to_owned(), told)).into()
    );
    assert_eq!(cluster.log("t-dlt", 0).len(), 2);
}

#[tokio::test]
async fn a_record_that_cannot_be_decoded_is_buried_at_once_as_it_is() {
    let (cluster, client) = cluster(1).await;
    let producer = client.producer().build().unwrap();
    let raw: &[u8] = b"\xff\x00 no text";
    producer.send(Record::to("t").value(raw)).await.unwrap();
    producer.send(Record::to("t").value("text")).await.unwrap();
    let running = runner(&client)
        .dead_letters(&producer)
        .start(|record: ConsumerRecord, _| async move { record.value_as::<&str>().map(drop) })
        .await
        .unwrap();
    until("one is handled, one is buried", || {
        let metrics = running.metrics();
        (metrics.handled, metrics.dead_letters, metrics.retries) == (1, 1, 0)
    })
    .await;
    let letters = cluster.log("t-dlt", 0);
    assert_eq!(letters.len(), 1);
    let mut reader = client
        .standalone_consumer()
        .offset_reset(OffsetReset::Earliest)
        .assign([TopicPartition::new("t-dlt", 0)])
        .build()
        .await
        .unwrap();
    let letter = timeout(SOON, reader.recv())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(letter.value(), Some(raw));
    let kind = letter
        .header_as::<&str>("kafka_dlt-exception-fqcn")
        .unwrap();
    assert_eq!(kind, "ottla::error::Error");
}

#[tokio::test]
async fn without_dead_letters_a_runner_ends_rather_than_lose_a_record() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 20, 1).await;
    let running = runner(&client)
        .max_attempts(2)
        .start(|record: ConsumerRecord, _| async move {
            match record.offset() {
                7 => Err("never"),
                _ => Ok(()),
            }
        })
        .await
        .unwrap();
    let error = timeout(SOON, running.failed()).await.unwrap();
    let Error::Handler {
        offset, attempts, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*offset, *attempts), (7, 2));
    let account = running.shutdown(SOON).await;
    assert_eq!((account.handled, account.left), (7, 13));
    assert!(
        matches!(account.error, Some(Error::Handler { .. })),
        "{account:?}"
    );
    assert_eq!(committed(&client, 1).await, [Some(7)]);
}

#[tokio::test]
async fn the_application_says_what_is_skipped_and_what_stops() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 10, 1).await;
    let running = runner(&client)
        .on_failure(|failure| match failure.find::<Panicked>() {
            Some(_) => OnFailure::Stop,
            None => OnFailure::Skip,
        })
        .start(|record: ConsumerRecord, _| async move {
            match record.offset() {
                2 => Err("no matter"),
                5 => panic!("it matters"),
                _ => Ok(()),
            }
        })
        .await
        .unwrap();
    let error = timeout(SOON, running.failed()).await.unwrap();
    assert!(error.to_string().contains("it matters"), "{error}");
    let account = running.shutdown(SOON).await;
    assert_eq!(
        (account.handled, account.skipped, account.retries),
        (4, 1, 0)
    );
    assert_eq!(committed(&client, 1).await, [Some(5)]);
}

/// An error that cannot be told, or not even be made one.
#[derive(Debug)]
enum Mute {
    WhenMade,
    WhenTold,
}

/// What is told of it.
#[derive(Debug)]
struct Untold;

impl fmt::Display for Untold {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words for it")
    }
}

impl std::error::Error for Untold {}

impl From<Mute> for HandlerError {
    fn from(mute: Mute) -> Self {
        match mute {
            Mute::WhenMade => panic!("it is no error"),
            Mute::WhenTold => Untold.into(),
        }
    }
}

/// A handler of which everything panics but itself.
struct Trouble(i64);

impl Future for Trouble {
    type Output = Result<(), Mute>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.0 {
            1 => Err(Mute::WhenMade),
            2 => Err(Mute::WhenTold),
            _ => Ok(()),
        })
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        assert_ne!(self.0, 0, "it goes with a bang");
    }
}

#[tokio::test]
async fn a_panic_around_a_handler_is_a_failure_like_any_other() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 5, 1).await;
    let running = runner(&client)
        .max_handlers(1)
        .on_failure(|_| OnFailure::Skip)
        .start(|record: ConsumerRecord, _| Trouble(record.offset()))
        .await
        .unwrap();
    until("three are skipped, and the others are handled", || {
        let metrics = running.metrics();
        (metrics.handled, metrics.skipped, metrics.in_flight) == (2, 3, 0)
    })
    .await;
    let account = running.shutdown(SOON).await;
    assert!(account.error.is_none(), "{account:?}");
    assert_eq!(committed(&client, 1).await, [Some(5)]);
}

#[tokio::test]
async fn a_dead_letter_whose_topic_cannot_be_named_ends_the_runner() {
    let (_cluster, client) = cluster(1).await;
    fill(&client, 3, 1).await;
    let producer = client.producer().build().unwrap();
    let is_named = AtomicBool::new(false);
    let running = runner(&client)
        .dead_letters(&producer)
        .dead_letter_topic(move |topic| {
            assert!(!is_named.swap(true, Ordering::SeqCst), "once is enough");
            format!("{topic}-dlt")
        })
        .on_failure(|_| OnFailure::DeadLetter)
        .start(|_, _| async { Err::<(), _>("never") })
        .await
        .unwrap();
    let error = timeout(SOON, running.failed()).await.unwrap();
    assert!(error.to_string().contains("dead_letter_topic"), "{error}");
    let account = running.shutdown(SOON).await;
    assert_eq!((account.dead_letters, account.left), (0, 3));
}
