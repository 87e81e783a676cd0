//! One producer has a transactional id at a time, and its transactions are not open for ever.

use std::time::Duration;

use libtest_mimic::Failed;
use ottla::{Client, Error, Record, TransactionalProducer};
use tokio::time::timeout;

use super::super::support::{Kafka, Message, Outcome, SOON};
use super::{begin, commit, committed, producer, settled};

/// The commit was refused because of another producer, and so is whatever comes after it.
async fn assert_fenced(committed: ottla::Result<()>, producer: &TransactionalProducer) -> Outcome {
    let error = committed.err().ok_or("a fenced producer committed")?;
    let Error::NotCommitted { cause, .. } = &error else {
        return Err(format!("not told as not committed: {error}").into());
    };
    assert!(matches!(**cause, Error::Fenced { .. }), "{error}");
    assert!(error.is_fatal() && !error.possibly_written(), "{error}");
    let next = timeout(SOON, producer.begin()).await?;
    assert!(matches!(next, Err(Error::Fenced { .. })), "{next:?}");
    Ok(())
}

pub(super) async fn by_another(kafka: &Kafka) -> Outcome {
    let topic = kafka.topic("transactions-fenced", 1, &[])?;
    let client = kafka.client().await?;
    let first = producer(&client, topic)?;
    let ours = begin(&first).await?;
    ours.send(Record::to(topic).value("fenced by Java's"))
        .await?;

    let java = kafka.java_producer(&[("transactional.id", topic)])?;
    java.begin()?;
    java.send(topic, &[Message::of("Java's").for_java()])?;
    java.commit()?;
    assert_fenced(commit(ours).await?, &first).await?;
    java.begin()?;
    java.send(topic, &[Message::of("fenced by ours").for_java()])?;

    let second = producer(&client, topic)?;
    let ours = begin(&second).await?;
    ours.send(Record::to(topic).value("ours")).await?;
    commit(ours).await??;
    let told = java.commit().err().ok_or("Java's was not fenced")?;
    assert!(
        told.to_string().contains("Fenced") || told.to_string().contains("Epoch"),
        "{told}"
    );

    let ours = begin(&second).await?;
    ours.send(Record::to(topic).value("fenced by ours")).await?;
    let third = producer(&client, topic)?;
    let theirs = begin(&third).await?;
    theirs.send(Record::to(topic).value("theirs")).await?;
    assert_fenced(commit(ours).await?, &second).await?;
    commit(theirs).await??;
    assert_eq!(
        committed(kafka, &client, topic, 1).await?,
        [["Java's", "ours", "theirs"]]
    );
    third.close(SOON).await?;
    Ok(())
}

/// What is done with a transaction that its coordinator has aborted.
#[derive(Clone, Copy, Debug)]
enum Late {
    Commit,
    Abort,
    Send,
}

pub(super) async fn by_time(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let ways = [
        ("transactions-late-commit", Late::Commit),
        ("transactions-late-abort", Late::Abort),
        ("transactions-late-send", Late::Send),
    ];
    // At the same time: a broker looks for what is open too long each ten seconds.
    let all = ways.map(|(topic, late)| too_late(kafka, &client, topic, late));
    let [commit, abort, send] = all;
    let (commit, abort, send) = tokio::join!(commit, abort, send);
    commit.and(abort).and(send)
}

async fn too_late(kafka: &Kafka, client: &Client, topic: &str, late: Late) -> Outcome {
    kafka.topic(topic, 1, &[])?;
    let build = || client.producer().transactional_id(topic);
    let first = build()
        .transaction_timeout(Duration::from_millis(300))
        .build()?;
    let open = begin(&first).await?;
    open.send(Record::to(topic).value("late")).await?;
    // The marker is behind it then.
    settled(kafka, topic).await?;
    let told = match late {
        Late::Commit => commit(open).await?,
        Late::Abort => timeout(SOON, open.abort()).await?,
        Late::Send => {
            let sent = timeout(SOON, open.send(Record::to(topic).value("later"))).await?;
            println!("a late send is told {sent:?}");
            assert!(
                sent.is_err(),
                "a record of a transaction that has ended was taken"
            );
            commit(open).await?
        }
    };
    let next = timeout(SOON, first.begin()).await?;
    println!("{late:?}: {told:?}, then {next:?}");
    goes_on(topic, told, next).await?;
    let second = build().build()?;
    let transaction = begin(&second).await?;
    transaction.send(Record::to(topic).value("next")).await?;
    commit(transaction).await??;
    let values = committed(kafka, client, topic, 1).await?;
    let values = values.concat();
    assert_eq!(values.last().map(String::as_str), Some("next"), "{late:?}");
    assert!(
        !values.iter().any(|value| value.starts_with("late")),
        "{values:?}"
    );
    second.close(SOON).await?;
    Ok(())
}

/// A producer either goes on, or has said that it does not.
async fn goes_on(
    topic: &str,
    told: ottla::Result<()>,
    next: ottla::Result<ottla::Transaction>,
) -> Result<(), Failed> {
    match (told, next) {
        (_, Ok(next)) => {
            next.send(Record::to(topic).value("on")).await?;
            commit(next).await??;
        }
        (Err(told), Err(next)) => {
            // A leader's refusal alone does not end a producer; its coordinator's does.
            assert!(matches!(next, Error::Fenced { .. }), "{told}; {next}");
            assert!(!told.possibly_written(), "{told}");
        }
        (Ok(()), Err(next)) => return Err(format!("nothing was told before {next}").into()),
    }
    Ok(())
}
