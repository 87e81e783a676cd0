//! Topics created, described and deleted.

use std::time::Duration;

use ottla::{Admin, Error, ErrorCode, NewTopic, Record, TopicDescription};
use tokio::time::sleep;

use super::support::{Kafka, Outcome, Suite, codes, random_bytes, within};

pub(crate) fn promises(suite: &mut Suite) {
    let ensured = "admin::ensured_topics_are_there_and_led_whoever_made_them";
    suite.shared(ensured, ensure);
    suite.shared("admin::a_created_topic_is_as_it_was_asked_for", create);
    suite.shared("admin::each_topic_has_its_own_result_in_order", results);
    suite.shared("admin::deletions_have_their_own_results_in_order", delete);
    suite.shared(
        "admin::descriptions_have_their_own_results_in_order",
        describe,
    );
    suite.shared("admin::a_topic_may_be_used_at_once", use_at_once);
    suite.exclusive(
        "admin::a_call_keeps_its_timeout_while_the_broker_hangs",
        timeout,
    );
}

async fn ensure(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    let new = |partitions| {
        let new = NewTopic::new("admin-ensured");
        new.partitions(partitions).replication(1)
    };
    let made = admin
        .ensure_topics([new(3), NewTopic::new("bad name")])
        .await?;
    let first = made[0].as_ref().unwrap();
    assert_eq!(first.partitions.len(), 3);
    assert!(first.partitions.iter().all(|p| p.leader.is_some()));
    let refusal = made[1].as_ref().unwrap_err().broker_code();
    assert_eq!(refusal, Some(ErrorCode::INVALID_TOPIC_EXCEPTION));
    let again = admin.ensure_topics([new(5)]).await?.remove(0)?;
    assert_eq!(
        (again.id, again.partitions.len()),
        (first.id, 3),
        "it stays as it was"
    );
    assert_eq!(admin.describe_topic("admin-ensured").await?, again);
    Ok(())
}

/// Describes a topic that was created a moment ago.
async fn described(admin: &Admin, name: &str) -> Result<TopicDescription, Error> {
    loop {
        match admin.describe_topics([name]).await?.remove(0) {
            Err(error) if error.is_retriable() => sleep(Duration::from_millis(5)).await,
            Ok(topic)
                if topic
                    .partitions
                    .iter()
                    .any(|partition| partition.leader.is_none()) =>
            {
                sleep(Duration::from_millis(5)).await;
            }
            done => return done,
        }
    }
}

async fn create(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let admin = client.admin();
    let topics = [
        NewTopic::new("admin-plain"),
        NewTopic::new("admin-config")
            .partitions(5)
            .replication(1)
            .config("max.message.bytes", "5000"),
        NewTopic::new("admin-assigned")
            .assignment(0, [1])
            .assignment(1, [1]),
    ];
    let created = admin.create_topics(topics).await?;
    let expected = [
        ("admin-plain", 3),
        ("admin-config", 5),
        ("admin-assigned", 2),
    ];
    assert_eq!(created.len(), 3);
    for (created, (name, partitions)) in created.into_iter().zip(expected) {
        let created = created?;
        assert_eq!(
            (&*created.name, created.partitions),
            (name, Some(partitions))
        );
        assert_eq!(created.replication, Some(1));
        assert!(!created.id.is_zero());
        let limit = Duration::from_secs(10);
        let topic = within(limit, "the description", described(&admin, name)).await??;
        assert_eq!(
            (&*topic.name, topic.id, topic.internal),
            (name, created.id, false)
        );
        let numbers: Vec<_> = topic.partitions.iter().map(|p| p.partition).collect();
        assert_eq!(numbers, (0..partitions).collect::<Vec<_>>());
        for partition in &topic.partitions {
            assert_eq!(
                (partition.leader, &partition.replicas[..]),
                (Some(1), &[1][..])
            );
            assert_eq!(
                (&partition.in_sync[..], &partition.offline[..]),
                (&[1][..], &[][..])
            );
            assert!(partition.leader_epoch >= 0);
        }
        // Java sees the same.
        assert_eq!(i32::try_from(kafka.offsets(name)?.len())?, partitions);
    }
    // The setting is in force.
    let producer = client.producer().build()?;
    let record = Record::to("admin-config").value(random_bytes(6000));
    let code = producer
        .send(record)
        .await
        .err()
        .and_then(|error| error.broker_code());
    assert_eq!(code, Some(ErrorCode::MESSAGE_TOO_LARGE));
    Ok(())
}

async fn results(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    kafka.topic("admin-exists", 1, &[])?;
    let one = |name: &str| NewTopic::new(name).partitions(1).replication(1);
    let results = admin
        .create_topics([
            one("admin-result-1"),
            one("admin-exists"),
            one("not a name"),
            one("admin-replication").replication(3),
            one("admin-result-2"),
            one("admin-setting").config("no.such.setting", "1"),
            one("admin-value").config("retention.ms", "soon"),
            one("admin-partitions").partitions(0),
            one("admin-result-3"),
        ])
        .await?;
    let exists = results[1].as_ref().err().ok_or("created twice")?;
    assert!(exists.to_string().contains("admin-exists"), "{exists}");
    assert!(
        exists.to_string().contains("TOPIC_ALREADY_EXISTS"),
        "{exists}"
    );
    let expected = [
        ErrorCode::NONE,
        ErrorCode::TOPIC_ALREADY_EXISTS,
        ErrorCode::INVALID_TOPIC_EXCEPTION,
        ErrorCode::INVALID_REPLICATION_FACTOR,
        ErrorCode::NONE,
        ErrorCode::INVALID_CONFIG,
        ErrorCode::INVALID_CONFIG,
        ErrorCode::INVALID_PARTITIONS,
        ErrorCode::NONE,
    ];
    assert_eq!(codes(&results), expected);
    assert!(admin.create_topics([]).await?.is_empty());
    Ok(())
}

async fn delete(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    // Enough of them that an order which is not theirs shows.
    let names: Vec<_> = (0..12)
        .map(|number| format!("admin-delete-{number}"))
        .collect();
    let exists = |number: usize| number % 3 != 1;
    let existing = names
        .iter()
        .enumerate()
        .filter(|(number, _)| exists(*number));
    let new: Vec<_> = existing
        .map(|(_, name)| NewTopic::new(name.as_str()).partitions(1))
        .collect();
    for created in admin.create_topics(new).await? {
        created?;
    }
    let results = admin.delete_topics(&names).await?;
    assert_eq!(results.len(), names.len());
    for (name, result) in names.iter().zip(&results) {
        if let Err(error) = result {
            assert!(
                error.to_string().contains(name),
                "the result of {name}: {error}"
            );
        }
    }
    let expected = (0..names.len()).map(|number| {
        if exists(number) {
            ErrorCode::NONE
        } else {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        }
    });
    assert_eq!(codes(&results), expected.collect::<Vec<_>>());
    let gone = async {
        while admin
            .describe_topics(&names)
            .await?
            .iter()
            .any(Result::is_ok)
        {
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, Error>(())
    };
    within(Duration::from_secs(10), "their end", gone).await??;
    Ok(())
}

async fn describe(kafka: &Kafka) -> Outcome {
    let admin = kafka.client().await?.admin();
    kafka.topic("admin-describe-a", 1, &[])?;
    kafka.topic("admin-describe-b", 2, &[])?;
    let names = [
        "admin-describe-b",
        "admin-no-such",
        "admin-describe-a",
        "not a name",
        "admin-describe-b",
    ];
    let results = admin.describe_topics(names).await?;
    let told: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok(topic) => Ok((&*topic.name, topic.partitions.len())),
            Err(error) => Err(error.broker_code()),
        })
        .collect();
    let expected = [
        Ok(("admin-describe-b", 2)),
        Err(Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
        Ok(("admin-describe-a", 1)),
        Err(Some(ErrorCode::INVALID_TOPIC_EXCEPTION)),
        Ok(("admin-describe-b", 2)),
    ];
    assert_eq!(told, expected);
    let error = results[1].as_ref().err().ok_or("described")?;
    assert!(error.to_string().contains("admin-no-such"), "{error}");
    // Asking does not create.
    assert!(kafka.offsets("admin-no-such").is_err());
    Ok(())
}

async fn use_at_once(kafka: &Kafka) -> Outcome {
    let client = kafka.client().await?;
    let producer = client.producer().build()?;
    for number in 0..5 {
        let name = format!("admin-at-once-{number}");
        let new = NewTopic::new(name.as_str()).partitions(2).replication(1);
        client.admin().create_topics([new]).await?.remove(0)?;
        let place = producer.send(Record::to(name.as_str()).value("v")).await?;
        assert_eq!(place.offset(), Some(0));
    }
    Ok(())
}

async fn timeout(kafka: &Kafka) -> Outcome {
    let limit = Duration::from_secs(1);
    let admin = kafka.client().await?.admin().timeout(limit);
    kafka.freeze().await?;
    let calls = async {
        [
            admin
                .create_topics([NewTopic::new("admin-frozen")])
                .await
                .err(),
            admin.describe_topics(["admin-frozen"]).await.err(),
            admin.delete_topics(["admin-frozen"]).await.err(),
        ]
    };
    for error in within(limit * 6, "three calls", calls).await? {
        let error = error.ok_or("answered by a frozen broker")?;
        assert!(error.is_retriable(), "{error:?}");
    }
    Ok(())
}
