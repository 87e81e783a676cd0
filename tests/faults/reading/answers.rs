//! Answers that a broker gives seldom, put in place by the proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{
    ApiKey, FetchResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse,
};
use libtest_mimic::Trial;
use ottla::{Error, ErrorCode, TopicPartition};

use super::{Reader, fill, soon};
use crate::faults::frames::Request;
use crate::faults::proxy::Fate;
use crate::faults::world::{Live, NODES, Outcome, World};

pub(super) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live("reading::what_is_refused_is_asked_again", refused),
        world.live(
            "reading::a_lookup_that_fails_for_good_resets_nothing",
            lookup_refused,
        ),
        world.live("reading::damage_is_told_and_may_be_skipped", damaged),
        world.live(
            "reading::an_unknown_replica_is_left_for_the_leader",
            unknown_replica,
        ),
        world.live(
            "reading::a_replica_that_dies_is_left_for_the_leader",
            dead_replica,
        ),
        world.live(
            "reading::a_replica_whose_time_is_up_is_left_for_the_leader",
            expired_replica,
        ),
        world.live(
            "reading::what_a_replica_lacks_the_leader_is_asked_for",
            lacking_replica,
        ),
    ]
}

/// Changes each partition of a Fetch answer.
fn each(request: &Request, change: impl Fn(&mut PartitionData) + Send + 'static) -> Fate {
    request.rewrite_as(move |answer: &mut FetchResponse| {
        let topics = answer.responses.iter_mut();
        topics
            .flat_map(|topic| &mut topic.partitions)
            .for_each(change);
    })
}

fn refuse(data: &mut PartitionData, code: ErrorCode) {
    data.error_code = code.code();
    data.records = None;
    data.high_watermark = -1;
}

/// Each code some times, of fetches and of the lookups before them.
async fn refused(live: &Live) -> Outcome {
    const CODES: [ErrorCode; 10] = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::REPLICA_NOT_AVAILABLE,
        ErrorCode::OFFSET_NOT_AVAILABLE,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::UNKNOWN_TOPIC_ID,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ];
    let topic = "refused-fetches";
    live.topic(topic, 1)?;
    let book = fill(&live.client(false).await?, topic, 0..2000).await?;
    let (fetches, lookups) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (fetches.clone(), lookups.clone());
    live.proxies.rule(move |request| {
        if request.is(ApiKey::ListOffsets) {
            let at = counts.1.fetch_add(1, Ordering::Relaxed);
            let Some(code) = CODES.get(at).filter(|code| code.is_retriable()) else {
                return Fate::Pass;
            };
            return request.rewrite_as(move |answer: &mut ListOffsetsResponse| {
                for one in answer
                    .topics
                    .iter_mut()
                    .flat_map(|topic| &mut topic.partitions)
                {
                    (one.error_code, one.offset) = (code.code(), -1);
                }
            });
        }
        if !request.is(ApiKey::Fetch) {
            return Fate::Pass;
        }
        // Every third fetch is refused.
        let at = counts.0.fetch_add(1, Ordering::Relaxed);
        match CODES.get(at / 3).filter(|_| at % 3 == 1) {
            Some(code) => each(request, |data| refuse(data, *code)),
            None => Fate::Pass,
        }
    });
    let client = live.client(true).await?;
    let small = |builder: ottla::ConsumerBuilder| builder.partition_fetch_bytes(3000);
    let mut reader = Reader::new(&client, topic, 1, small).await?;
    reader.take_to(0, 2000).await?;
    let asked = fetches.load(Ordering::Relaxed);
    assert!(asked > 3 * CODES.len(), "only {asked} fetches");
    reader.judge(live, book.sent())?;
    live.delete_topic(topic)?;
    Ok(())
}

/// OffsetForLeaderEpoch is refused: the application is told, and the position stays.
async fn lookup_refused(live: &Live) -> Outcome {
    let topic = "refused-lookup";
    live.topic(topic, 1)?;
    let direct = live.client(false).await?;
    let mut book = fill(&direct, topic, 0..100).await?;
    let client = live.client(true).await?;
    let mut reader = Reader::new(&client, topic, 1, |builder| builder).await?;
    reader.take_to(0, 100).await?;
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    live.proxies.rule(move |request| {
        if !request.is(ApiKey::OffsetForLeaderEpoch) {
            return Fate::Pass;
        }
        // First what passes, then what does not.
        let code = match count.fetch_add(1, Ordering::Relaxed) {
            0 => ErrorCode::FENCED_LEADER_EPOCH,
            1 => ErrorCode::UNKNOWN_LEADER_EPOCH,
            _ => ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        };
        request.rewrite_as(move |answer: &mut OffsetForLeaderEpochResponse| {
            for one in answer
                .topics
                .iter_mut()
                .flat_map(|topic| &mut topic.partitions)
            {
                (one.error_code, one.end_offset, one.leader_epoch) = (code.code(), -1, -1);
            }
        })
    });
    let leader = live.leader_of(topic, 0)?;
    live.move_leader(topic, 0, leader % NODES + 1)?;
    let error = soon("the refusal", reader.recv()).await?.unwrap_err();
    let code = error.broker_code();
    assert_eq!(code, Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED), "{error}");
    assert!(told.load(Ordering::Relaxed) >= 3);
    let partition = TopicPartition::new(topic, 0);
    assert_eq!(reader.consumer.position(&partition)?, Some(100));
    // Told once, and asked for again all the same.
    assert!(reader.is_idle().await);
    live.proxies.pass();
    let more = fill(&direct, topic, 100..150).await?;
    reader.take_to(0, 150).await?;
    book.merge(more);
    reader.judge(live, book.sent())?;
    live.delete_topic(topic)?;
    Ok(())
}

/// One bit is not as it was written.
async fn damaged(live: &Live) -> Outcome {
    let topic = "damaged";
    live.topic(topic, 1)?;
    let book = fill(&live.client(false).await?, topic, 0..100).await?;
    let is_on = Arc::new(AtomicBool::new(true));
    let on = is_on.clone();
    live.proxies.rule(move |request| {
        if !request.is(ApiKey::Fetch) || !on.load(Ordering::Relaxed) {
            return Fate::Pass;
        }
        each(request, |data| {
            data.records = data.records.take().map(damage_last_batch);
        })
    });
    let client = live.client(true).await?;
    let mut reader = Reader::new(&client, topic, 1, |builder| builder).await?;
    let partition = TopicPartition::new(topic, 0);
    let damage = loop {
        match soon("the damage", reader.recv()).await? {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let whole = reader.ledger.handed_to(0);
    let Error::Corrupt {
        partition: told,
        offset,
        next_offset,
        ..
    } = damage
    else {
        return Err(format!("{damage:?}").into());
    };
    assert_eq!((&told, offset, next_offset), (&partition, whole, 100));
    assert!(whole > 0 && whole < 100, "{whole}");
    // The position stays: the same is told again.
    assert_eq!(reader.consumer.position(&partition)?, Some(whole));
    let again = soon("the damage again", reader.recv()).await?;
    assert!(matches!(again, Err(Error::Corrupt { .. })), "{again:?}");
    // It may be skipped.
    let mut other = client
        .standalone_consumer()
        .assign([partition.clone()])
        .build()
        .await?;
    other.seek(&partition, next_offset)?;
    assert_eq!(other.position(&partition)?, Some(100));
    let idle = tokio::time::timeout(std::time::Duration::from_millis(500), other.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    // Or it was the network's: what comes whole is handed out.
    is_on.store(false, Ordering::Relaxed);
    loop {
        match soon("the records", reader.recv()).await? {
            Ok(_) => break,
            // Fetched before.
            Err(Error::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    reader.take_to(0, 100).await?;
    reader.judge(live, book.sent())?;
    live.delete_topic(topic)?;
    Ok(())
}

/// Flips a bit of the last byte, which is the last batch's.
fn damage_last_batch(records: Bytes) -> Bytes {
    let mut bytes = BytesMut::from(&records[..]);
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.freeze()
}

/// The leader sends to a replica that there is not (KIP-392).
async fn unknown_replica(live: &Live) -> Outcome {
    let topic = "unknown-replica";
    live.topic(topic, 1)?;
    let book = fill(&live.client(false).await?, topic, 0..500).await?;
    let sent_away = Arc::new(AtomicUsize::new(0));
    let count = sent_away.clone();
    live.proxies.rule(move |request| {
        if !request.is(ApiKey::Fetch) || !count.fetch_add(1, Ordering::Relaxed).is_multiple_of(4) {
            return Fate::Pass;
        }
        each(request, |data| {
            data.records = None;
            data.preferred_read_replica = 99.into();
        })
    });
    let client = live.client(true).await?;
    let near = |builder: ottla::ConsumerBuilder| builder.rack("rack-9").partition_fetch_bytes(3000);
    let mut reader = Reader::new(&client, topic, 1, near).await?;
    reader.take_to(0, 500).await?;
    assert!(sent_away.load(Ordering::Relaxed) > 4);
    reader.judge(live, book.sent())?;
    live.delete_topic(topic)?;
    Ok(())
}

/// A follower that says that the offset is out of range is no reason to begin anew.
async fn lacking_replica(live: &Live) -> Outcome {
    let topic = "lacking-replica";
    live.topic(topic, 1)?;
    let book = fill(&live.client(false).await?, topic, 0..500).await?;
    let leader = live.leader_of(topic, 0)?;
    let follower = leader % NODES + 1;
    let asked = Arc::new(AtomicUsize::new(0));
    let lacked = Arc::new(AtomicUsize::new(0));
    let counts = (asked, lacked.clone());
    live.proxies.rule(move |request| {
        if !request.is(ApiKey::Fetch) {
            return Fate::Pass;
        }
        if request.node == follower {
            counts.1.fetch_add(1, Ordering::Relaxed);
            return each(request, |data| refuse(data, ErrorCode::OFFSET_OUT_OF_RANGE));
        }
        // Some records first, so that beginning anew would show.
        match counts.0.fetch_add(1, Ordering::Relaxed) {
            2 | 5 => each(request, move |data| {
                data.records = None;
                data.preferred_read_replica = follower.into();
            }),
            _ => Fate::Pass,
        }
    });
    let client = live.client(true).await?;
    let near = |builder: ottla::ConsumerBuilder| builder.rack("rack-9").partition_fetch_bytes(3000);
    let mut reader = Reader::new(&client, topic, 1, near).await?;
    reader.take_to(0, 500).await?;
    assert!(lacked.load(Ordering::Relaxed) >= 2, "no follower was asked");
    reader.judge(live, book.sent())?;
    live.delete_topic(topic)?;
    Ok(())
}

/// Sends the first of the leader's readers to a follower; counts the follower's fetches.
fn send_to(live: &Live, follower: i32) -> Arc<AtomicUsize> {
    let (sent, asked) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    live.proxies.rule(move |request| {
        if !request.is(ApiKey::Fetch) {
            return Fate::Pass;
        }
        if request.node == follower {
            count.fetch_add(1, Ordering::Relaxed);
            return Fate::Pass;
        }
        if sent.swap(true, Ordering::Relaxed) {
            return Fate::Pass;
        }
        each(request, move |data| {
            data.records = None;
            data.preferred_read_replica = follower.into();
        })
    });
    asked
}

async fn dead_replica(live: &Live) -> Outcome {
    let topic = "dead-replica";
    live.topic(topic, 1)?;
    let direct = live.client(false).await?;
    let mut book = fill(&direct, topic, 0..500).await?;
    let follower = live.leader_of(topic, 0)? % NODES + 1;
    let asked = send_to(live, follower);
    let client = live.client(true).await?;
    let near = |builder: ottla::ConsumerBuilder| builder.rack("rack-9");
    let mut reader = Reader::new(&client, topic, 1, near).await?;
    reader.take_to(0, 500).await?;
    assert!(asked.load(Ordering::Relaxed) > 0, "no follower was asked");
    live.kill(follower)?;
    book.merge(fill(&direct, topic, 500..600).await?);
    reader.take_to(0, 600).await?;
    live.heal()?;
    reader.judge(live, book.sent())?;
    live.delete_topic(topic)?;
    Ok(())
}

async fn expired_replica(live: &Live) -> Outcome {
    let topic = "expired-replica";
    live.topic(topic, 1)?;
    let direct = live.client(false).await?;
    let mut book = fill(&direct, topic, 0..500).await?;
    let follower = live.leader_of(topic, 0)? % NODES + 1;
    let asked = send_to(live, follower);
    let client = ottla::Client::builder()
        .bootstrap_servers(live.proxies.bootstrap())
        .metadata_max_age(std::time::Duration::from_secs(2))
        .connect()
        .await?;
    let near = |builder: ottla::ConsumerBuilder| builder.rack("rack-9");
    let mut reader = Reader::new(&client, topic, 1, near).await?;
    reader.take_to(0, 500).await?;
    assert!(asked.load(Ordering::Relaxed) > 0, "no follower was asked");
    let before = Arc::new(AtomicUsize::new(0));
    let quiet = || {
        let now = asked.load(Ordering::Relaxed);
        before.swap(now, Ordering::Relaxed) == now
    };
    // Each fetch waits for 200 ms; without one for a second the follower is left.
    let mut rounds = 0;
    while !quiet() {
        rounds += 1;
        assert!(rounds < 30, "the follower is still asked");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    book.merge(fill(&direct, topic, 500..600).await?);
    reader.take_to(0, 600).await?;
    reader.judge(live, book.sent())?;
    live.delete_topic(topic)?;
    Ok(())
}
