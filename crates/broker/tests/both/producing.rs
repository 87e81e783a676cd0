//! Produce and InitProducerId.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};

use ottla_broker::ErrorCode;

use super::talk::{Batch, Talk, code, recently};

pub(crate) async fn request(
    talk: &mut Talk,
    version: i16,
    topic: &str,
    partition: i32,
    records: Option<Bytes>,
) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(records);
    let mut of = TopicProduceData::default().with_partition_data(vec![data]);
    if version >= 13 {
        of.topic_id = talk.topic_id(topic).await;
    } else {
        of.name = talk.topic_name(topic);
    }
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![of])
}

fn told(answer: &ProduceResponse) -> impl std::fmt::Debug + use<> {
    let one = &answer.responses[0].partition_responses[0];
    let (base, start) = (one.base_offset, one.log_start_offset);
    let rejected = one.record_errors.iter().map(|error| error.batch_index);
    let rejected: Vec<_> = rejected.collect();
    (
        code(one.error_code),
        base,
        one.log_append_time_ms,
        start,
        rejected,
    )
}

pub(crate) async fn send(talk: &mut Talk, what: &str, records: Bytes) {
    let request = request(talk, 11, "t", 0, Some(records)).await;
    let answer = talk.ask(11, &request).await;
    talk.note(what, told(&answer));
}

pub(crate) async fn batches_and_versions(talk: &mut Talk) {
    talk.topic("t", 2, &[]).await;
    for version in 3..=13 {
        let records = Some(Batch::of(version as usize).bytes());
        let request = request(talk, version, "t", 1, records).await;
        let answer = talk.ask(version, &request).await;
        talk.note(&format!("version {version}"), told(&answer));
    }
}

pub(crate) async fn duplicates_gaps_and_epochs(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000);
    let mut answer = talk.ask(4, &request).await;
    // Real Kafka has to fetch a block of ids first.
    while code(answer.error_code) == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = talk.ask(4, &request).await;
    }
    talk.note("producer", (code(answer.error_code), answer.producer_epoch));
    let id = answer.producer_id.0;
    let batch = |epoch, sequence, count| Batch::of(count).producer(id, epoch, sequence).bytes();
    for (what, epoch, sequence, count) in [
        ("first", 0, 0, 2),
        ("again", 0, 0, 2),
        ("the same sequence, more records", 0, 0, 3),
        ("second", 0, 2, 1),
        ("third", 0, 3, 1),
        ("fourth", 0, 4, 1),
        ("fifth", 0, 5, 1),
        ("first again", 0, 0, 2),
        ("sixth", 0, 6, 1),
        ("first, not among the last five", 0, 0, 2),
        ("second again", 0, 2, 1),
        ("a gap", 0, 8, 1),
        ("a new epoch in the middle", 1, 7, 1),
        ("a new epoch", 1, 0, 1),
        ("an old epoch", 0, 7, 1),
        ("a duplicate of an old epoch", 0, 6, 1),
        ("goes on", 1, 1, 3),
    ] {
        send(talk, what, batch(epoch, sequence, count)).await;
    }
    let stranger = |sequence| Batch::of(2).producer(id + 1_000_000, 5, sequence).bytes();
    send(
        talk,
        "an unknown producer in the middle",
        stranger(i32::MAX - 1),
    )
    .await;
    send(talk, "whose sequence begins again", stranger(0)).await;
}

pub(crate) async fn refused_batches(talk: &mut Talk) {
    talk.topic("t", 1, &[("max.message.bytes", "2000")]).await;
    let good = Batch::of(2);
    let bytes = good.bytes();
    let changed = |change: &dyn Fn(&mut Batch)| {
        let mut batch = good.clone();
        change(&mut batch);
        batch.bytes()
    };
    let hours = 3 * 3_600_000;
    for (what, records) in [
        ("good", bytes.clone()),
        ("nothing", Bytes::new()),
        ("a wrong checksum", changed(&|b| b.harm_crc = true)),
        (
            "two batches",
            [bytes.clone(), bytes.clone()].concat().into(),
        ),
        ("too large", Batch::of(300).bytes()),
        ("more records than it says", changed(&|b| b.count = Some(1))),
        (
            "fewer records than it says",
            changed(&|b| b.count = Some(3)),
        ),
        ("no records", changed(&|b| b.records.clear())),
        ("another last offset", changed(&|b| b.last_delta = Some(5))),
        ("offsets from 1", changed(&|b| b.first_delta = 1)),
        (
            "of the future",
            changed(&|b| {
                b.base_timestamp = recently() + hours;
                b.max_timestamp = recently() + hours;
            }),
        ),
        ("control", changed(&|b| b.attributes = 0x20)),
        ("no such codec", changed(&|b| b.attributes = 5)),
        ("with time of the broker", changed(&|b| b.attributes = 8)),
        (
            "a producer without a sequence",
            changed(&|b| b.producer = (7, 0, -1)),
        ),
        (
            "a sequence without a producer",
            changed(&|b| b.producer = (-1, -1, 3)),
        ),
    ] {
        send(talk, what, records).await;
    }
}

pub(crate) async fn refused_requests(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    talk.topic("strict", 1, &[("min.insync.replicas", "2")])
        .await;
    let good = || Some(Batch::of(2).bytes());
    for (what, topic, partition, acks) in [
        ("acks 1", "t", 0, 1),
        ("acks 2", "t", 0, 2),
        ("no such partition", "t", 7, -1),
        ("a negative partition", "t", -7, -1),
        ("no such topic", "none", 0, -1),
        ("too few replicas", "strict", 0, -1),
        ("too few replicas, acks 1", "strict", 0, 1),
    ] {
        let mut request = request(talk, 11, topic, partition, good()).await;
        request.acks = acks;
        let answer = talk.ask(11, &request).await;
        talk.note(what, told(&answer));
    }
    let mut request = request(talk, 13, "t", 0, good()).await;
    request.topic_data[0].topic_id = uuid::Uuid::from_u128(77);
    let answer = talk.ask(13, &request).await;
    talk.note("no such id", told(&answer));
}

fn gzip(records: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(records).unwrap();
    encoder.finish().unwrap()
}

/// As Java frames it: one block.
fn snappy(records: &[u8]) -> Vec<u8> {
    let block = snap::raw::Encoder::new().compress_vec(records).unwrap();
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    out.extend((block.len() as u32).to_be_bytes());
    out.extend(block);
    out
}

fn lz4(records: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(records).unwrap();
    encoder.finish().unwrap()
}

fn zstd(records: &[u8]) -> Vec<u8> {
    zrip::compress(records, 1).unwrap()
}

/// Half of it is missing.
fn half(mut packed: Vec<u8>) -> Vec<u8> {
    packed.truncate(packed.len() / 2);
    packed
}

type Pack = fn(&[u8]) -> Vec<u8>;

/// The key of a batch's n-th record.
type Keys = fn(usize) -> Option<&'static str>;

/// What is within a compressed batch is looked at, too.
pub(crate) async fn compressed_batches(talk: &mut Talk) {
    talk.topic("t", 1, &[]).await;
    let codecs: [(&str, i16, Pack, Pack); 4] = [
        ("gzip", 1, gzip, |records| half(gzip(records))),
        ("snappy", 2, snappy, |records| half(snappy(records))),
        ("lz4", 3, lz4, |records| half(lz4(records))),
        ("zstd", 4, zstd, |records| half(zstd(records))),
    ];
    for (name, codec, pack, halved) in codecs {
        let mut good = Batch::of(20);
        (good.attributes, good.pack) = (codec, pack);
        let changed = |change: &dyn Fn(&mut Batch)| {
            let mut batch = good.clone();
            change(&mut batch);
            batch.bytes()
        };
        let hours = 3 * 3_600_000;
        for (what, records) in [
            ("good", good.bytes()),
            ("not compressed", changed(&|b| b.pack = <[u8]>::to_vec)),
            ("nothing", changed(&|b| b.pack = |_| Vec::new())),
            ("half of it", changed(&|b| b.pack = halved)),
            (
                "more records than it says",
                changed(&|b| b.count = Some(19)),
            ),
            (
                "more, by both numbers",
                changed(&|b| {
                    (b.count, b.last_delta) = (Some(19), Some(18));
                }),
            ),
            (
                "fewer, by both numbers",
                changed(&|b| {
                    (b.count, b.last_delta) = (Some(21), Some(20));
                }),
            ),
            ("one of the future", changed(&|b| b.records[7] = hours)),
            (
                "a wrong highest time",
                changed(&|b| b.max_timestamp += hours),
            ),
        ] {
            send(talk, &format!("{name}, {what}"), records).await;
        }
    }
}

pub(crate) async fn compacted_topics(talk: &mut Talk) {
    for (what, policy) in [
        ("compact", "compact"),
        ("both", "compact,delete"),
        ("delete", "delete"),
    ] {
        talk.topic(what, 1, &[("cleanup.policy", policy)]).await;
        let mut batch = Batch::of(3);
        let keys: [(&str, Keys); 4] = [
            ("no keys", |_| None),
            ("one without", |at| (at != 1).then_some("key")),
            ("empty keys", |_| Some("")),
            ("keys", |_| Some("key")),
        ];
        for (keyed, keys) in keys {
            batch.keys = keys;
            let codecs: [(i16, Pack); 2] = [(0, <[u8]>::to_vec), (1, gzip)];
            for (codec, pack) in codecs {
                (batch.attributes, batch.pack) = (codec, pack);
                let request = request(talk, 11, what, 0, Some(batch.bytes())).await;
                let answer = talk.ask(11, &request).await;
                talk.note(&format!("{what}: {keyed}, codec {codec}"), told(&answer));
            }
        }
    }
}

/// Records older than the topic keeps them are there when they were acknowledged.
pub(crate) async fn old_records(talk: &mut Talk) {
    talk.topic("t", 1, &[("retention.ms", "1000")]).await;
    let day = 86_400_000;
    for (what, back) in [("a day old", day), ("of 1970", recently()), ("of now", 0)] {
        let mut batch = Batch::of(2);
        batch.base_timestamp -= back;
        batch.max_timestamp -= back;
        send(talk, what, batch.bytes()).await;
    }
    super::fetching::fetch(talk, "all of them", 12, &[(0, 0, 1_000_000)]).await;
    let bounds = [
        ("message.timestamp.before.max.ms", "7200000"),
        ("message.timestamp.after.max.ms", "7200000"),
    ];
    talk.topic("bounded", 1, &bounds).await;
    for (what, times) in [
        ("of now", [0, 0, 0]),
        ("one too old", [0, -3 * day, 0]),
        ("one too new", [0, 0, 3 * day]),
        ("each kind", [-3 * day, 3 * day, 0]),
    ] {
        let mut batch = Batch::of(0);
        batch.records = times.to_vec();
        let request = request(talk, 11, "bounded", 0, Some(batch.bytes())).await;
        let answer = talk.ask(11, &request).await;
        talk.note(what, told(&answer));
    }
}
