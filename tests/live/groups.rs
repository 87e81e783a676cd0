//! Members of a group share partitions, resume where the group stopped, and commit nothing that was not handed out.

mod blocked;
mod calls;
mod offsets;
mod sharing;

use std::time::Duration;

use ottla::{
    Assignor, Client, Consumer, ConsumerBuilder, ConsumerRecord, Error, OffsetReset, Record,
};
use tokio::time::timeout;

use calls::{ended, short_session, stream, wrong_uses};
use offsets::{by_hand, commits, dropped, made_anew, no_offset, refused, restart};
use sharing::{growth, listener_commits, share, slow_handler, static_member};

use kafka_cluster::Version;

use super::support::{Kafka, Outcome, Suite};

/// Longest wait for what is to happen by itself.
const SOON: Duration = Duration::from_secs(30);

/// The shortest session that brokers take, unless they are told otherwise.
const SESSION: Duration = Duration::from_secs(6);

pub(crate) fn promises(suite: &mut Suite) {
    suite.exclusive(
        "groups::handlers_that_block_every_worker_keep_their_groups_when_connections_end",
        blocked::blocked,
    );
    suite.alone(
        "groups::handlers_that_block_every_worker_keep_their_groups_when_the_coordinator_restarts",
        blocked::restarted,
    );
    suite.shared("groups::a_restart_resumes_at_the_committed_offset", restart);
    suite.shared(
        "groups::a_dropped_consumer_hands_its_last_record_to_the_next",
        dropped,
    );
    suite.shared("groups::each_kind_of_commit_is_what_the_group_has", commits);
    suite.shared(
        "groups::a_record_is_committed_for_the_topic_that_it_was_read_from",
        async |kafka: &Kafka| made_anew(kafka, true).await,
    );
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
    suite.shared(
        "groups::a_session_that_the_brokers_do_not_take_is_refused_with_those_that_they_do",
        short_session,
    );
    suite.shared("groups::wrong_uses_are_refused_with_a_way_out", wrong_uses);
}

/// On brokers that take offsets for whichever topic has the name.
pub(crate) fn older_brokers(suite: &mut Suite) {
    suite.on(
        Version::V3_9_1,
        "groups::a_record_is_committed_for_the_topic_that_it_was_read_from_on_3_9",
        async |kafka: &Kafka| made_anew(kafka, false).await,
    );
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
    producer.close(SOON).await?;
    Ok(())
}

/// A new topic with these numbers, and a client.
async fn filled<'a>(
    kafka: &Kafka,
    topic: &'a str,
    partitions: i32,
    numbers: std::ops::Range<i32>,
) -> Result<(&'a str, Client), libtest_mimic::Failed> {
    let topic = kafka.topic(topic, partitions, &[])?;
    let client = kafka.client().await?;
    fill(&client, topic, partitions, numbers).await?;
    Ok((topic, client))
}

fn member(client: &Client, group: &str, topic: &str) -> ConsumerBuilder {
    client
        .consumer(group)
        .offset_reset(OffsetReset::Earliest)
        .heartbeat_interval(Duration::from_millis(300))
        .session_timeout(SESSION)
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
