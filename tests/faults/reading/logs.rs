//! Logs that are cut, deleted, created again, or grow.

use std::time::Duration;

use libtest_mimic::Trial;
use ottla::{ConsumerBuilder, Error, NewTopic, OffsetReset, TopicPartition};

use super::{Reader, fill, soon};
use crate::faults::load::id_of;
use crate::faults::world::{Live, Outcome, World};

pub(super) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live(
            "reading::a_truncated_log_goes_on_where_the_logs_part",
            truncated,
        ),
        world.live(
            "reading::records_deleted_before_they_were_read_are_passed_over_or_told",
            deleted_records,
        ),
        world.live(
            "reading::a_topic_created_again_is_read_from_its_beginning",
            recreated,
        ),
    ]
}

/// What a consumer of a truncated log is like.
fn so_far(reset: OffsetReset) -> impl FnOnce(ConsumerBuilder) -> ConsumerBuilder {
    move |builder| builder.offset_reset(reset)
}

/// A replica that lacks half of the log becomes its leader.
async fn truncated(live: &Live) -> Outcome {
    const WHOLE: Duration = Duration::from_secs(60);
    let topic = "truncated";
    let (first, second) = (1, 2);
    let client = live.client(false).await?;
    let new = NewTopic::new(topic)
        .assignment(0, [first, second])
        .config("min.insync.replicas", "1")
        .config("unclean.leader.election.enable", "true");
    client.admin().create_topics([new]).await?.remove(0)?;
    live.wait_in_sync(WHOLE)?;
    fill(&client, topic, 0..100).await?;
    live.kill(second)?;
    fill(&client, topic, 100..200).await?;
    assert_eq!(live.leader_of(topic, 0)?, first);
    let mut behind = Reader::new(&client, topic, 1, so_far(OffsetReset::Latest)).await?;
    let mut following = Reader::new(&client, topic, 1, so_far(OffsetReset::Earliest)).await?;
    let mut strict = Reader::new(&client, topic, 1, so_far(OffsetReset::Earliest)).await?;
    let partition = TopicPartition::new(topic, 0);
    behind.consumer.seek_to_beginning(&partition)?;
    // This one has fetched all of it, and was handed half of the half that stays.
    behind.take_to(0, 50).await?;
    following.take_to(0, 200).await?;
    strict.take_to(0, 200).await?;
    // The log's other replica does not know of the second hundred.
    live.kill(first)?;
    live.start(second)?;
    let elected = || {
        live.leader_of(topic, 0)
            .is_ok_and(|leader| leader == second)
    };
    crate::faults::world::until("an unclean election", WHOLE, elected).await?;
    let book = fill(&client, topic, 1000..1050).await?;
    behind.take_to(0, 150).await?;
    behind.judge(live, book.sent())?;
    // What was handed out and is gone cannot be taken back: the consumer goes on where the logs part.
    let record = soon("a record", following.consumer.recv()).await??;
    let record = record.ok_or("the end")?;
    let id = record.value().and_then(|value| id_of(topic, value));
    assert_eq!((record.offset(), id), (100, Some(1000)));
    drop(strict);
    live.heal()?;
    live.delete_topic(topic)?;
    Ok(())
}

async fn deleted_records(live: &Live) -> Outcome {
    let topic = "deleted-records";
    live.topic(topic, 1)?;
    let client = live.client(false).await?;
    fill(&client, topic, 0..1000).await?;
    let partition = TopicPartition::new(topic, 0);
    let mut consumers = Vec::new();
    for reset in [OffsetReset::Earliest, OffsetReset::None] {
        let small =
            |builder: ConsumerBuilder| builder.offset_reset(reset).partition_fetch_bytes(2000);
        let mut reader = Reader::new(&client, topic, 1, small).await?;
        reader.consumer.seek(&partition, 0)?;
        reader.take(20).await?;
        consumers.push(reader.consumer);
    }
    live.delete_records(topic, 0, 600)?;
    for (mut consumer, resets) in consumers.into_iter().zip([true, false]) {
        let mut last = 19;
        let told = loop {
            match soon("a record", consumer.recv()).await? {
                Ok(record) => {
                    let offset = record.ok_or("the end")?.offset();
                    // What was fetched before may still be handed out; then it goes on at the log's start.
                    let is_next = offset == last + 1 || (last < 600 && offset == 600);
                    assert!(is_next, "{offset} after {last}");
                    last = offset;
                    if last == 999 {
                        break None;
                    }
                }
                Err(error) => break Some(error),
            }
        };
        match told {
            None => assert!(resets, "the application was not told"),
            Some(Error::NoOffset { partition: of, .. }) if !resets => {
                assert_eq!(of, partition);
                consumer.seek(&partition, 600)?;
                let record = soon("a record", consumer.recv()).await??;
                assert_eq!(record.ok_or("the end")?.offset(), 600);
            }
            Some(error) => return Err(error.into()),
        }
    }
    live.delete_topic(topic)?;
    Ok(())
}

async fn recreated(live: &Live) -> Outcome {
    let topic = "created-again";
    live.topic(topic, 1)?;
    let client = live.client(false).await?;
    fill(&client, topic, 0..100).await?;
    let mut reader = Reader::new(&client, topic, 1, |builder| builder).await?;
    reader.take_to(0, 100).await?;
    live.delete_topic(topic)?;
    live.topic(topic, 1)?;
    // More than before: the old position is in the new log, and means nothing there.
    fill(&live.client(false).await?, topic, 1000..1300).await?;
    for expected in 0..300 {
        let record = soon("a record", reader.consumer.recv()).await??;
        let record = record.ok_or("the end")?;
        let id = record.value().and_then(|value| id_of(topic, value));
        assert_eq!(
            (record.offset(), id),
            (expected, Some(1000 + expected as u64))
        );
    }
    live.delete_topic(topic)?;
    Ok(())
}
