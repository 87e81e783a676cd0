//! What a group's members tell each other by way of the coordinator: subscriptions to the leader, assignments back.
//!
//! A version stands before each. Later ones only append fields, so that what follows the known fields is left
//! unread, as in Java. The bytes come from other members, of any make: lengths are bounded by what is there.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::types::{TopicName, TopicPartition};
use crate::wire::{Decoder, Encoder, Malformed};

/// The newest version known, and the one that is written (KIP-881).
const VERSION: i16 = 3;

/// A partition array's least size: an empty name and no elements.
const LEAST_TOPIC: usize = 6;

/// What one member wants, and what it has. Kafka: `ConsumerProtocolSubscription`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Sorted, without duplicates.
    pub(crate) topics: Vec<TopicName>,
    /// The assignor's own; empty where it has none.
    pub(crate) user_data: Bytes,
    /// What the member still owns while it joins: of a cooperative member alone (version 1).
    pub(crate) owned: Vec<TopicPartition>,
    /// The generation in which it came to own that, `None` where the member does not tell (version 2).
    pub(crate) generation: Option<i32>,
    /// Where it runs (version 3).
    pub(crate) rack: Option<Arc<str>>,
}

impl Subscription {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut body = Encoder::new(&mut out, false);
        body.i16(VERSION);
        body.array(&self.topics, |body, topic| body.string(topic));
        write_user_data(&mut body, &self.user_data);
        write_partitions(&mut body, &self.owned);
        body.i32(self.generation.unwrap_or(-1));
        body.nullable_string(self.rack.as_deref());
        out.freeze()
    }

    /// # Errors
    /// What is wrong with the bytes; nothing of the member's metadata can then be used.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut d = Decoder::new(bytes, false);
        let version = read_version(&mut d)?;
        let mut topics = d.array(2, read_name)?;
        topics.sort_unstable();
        topics.dedup();
        let mut read = Self {
            topics,
            user_data: d.bytes()?,
            ..Self::default()
        };
        // Some clients say version 1 and write what version 0 has.
        if version >= 1 && d.remaining() > 0 {
            read.owned = read_partitions(&mut d)?;
        }
        if version >= 2 {
            read.generation = Some(d.i32()?).filter(|generation| *generation >= 0);
        }
        if version >= 3 {
            let rack = d.nullable_string()?;
            read.rack = rack
                .map(|rack| rack.as_str().into())
                .filter(|rack: &Arc<str>| !rack.is_empty());
        }
        Ok(read)
    }
}

/// What one member is given. Kafka: `ConsumerProtocolAssignment`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// Sorted, without duplicates.
    pub(crate) partitions: Vec<TopicPartition>,
}

impl Assignment {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut body = Encoder::new(&mut out, false);
        body.i16(VERSION);
        write_partitions(&mut body, &self.partitions);
        write_user_data(&mut body, &Bytes::new());
        out.freeze()
    }

    /// # Errors
    /// What is wrong with the bytes.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut d = Decoder::new(bytes, false);
        read_version(&mut d)?;
        let partitions = read_partitions(&mut d)?;
        // No assignor here has user data for its members.
        d.bytes()?;
        Ok(Self { partitions })
    }
}

fn read_version(d: &mut Decoder) -> Result<i16, Malformed> {
    match d.i16()? {
        version if version < 0 => Err(Malformed::new(format!("version {version}"))),
        version => Ok(version),
    }
}

fn read_name(d: &mut Decoder) -> Result<TopicName, Malformed> {
    let name = d.string()?;
    // Kafka has no such topic, and each would cost many times the two bytes that it came in.
    if name.as_str().is_empty() {
        return Err(Malformed::new("empty topic name"));
    }
    Ok(name.as_str().into())
}

/// Writes the user data, null where there is none.
fn write_user_data(body: &mut Encoder<'_>, user_data: &Bytes) {
    if user_data.is_empty() {
        body.null_array();
    } else {
        body.bytes(user_data);
    }
}

/// Reads partitions by topic, sorted and without duplicates.
pub(super) fn read_partitions(d: &mut Decoder) -> Result<Vec<TopicPartition>, Malformed> {
    let mut all = Vec::new();
    for _ in 0..d.array_len(LEAST_TOPIC)? {
        let topic = read_name(d)?;
        for partition in d.array(4, Decoder::i32)? {
            if partition < 0 {
                return Err(Malformed::new(format!("partition {partition}")));
            }
            all.push(TopicPartition::new(topic.clone(), partition));
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Writes partitions by topic; those of a topic must follow each other, as in a sorted list.
pub(super) fn write_partitions(body: &mut Encoder<'_>, partitions: &[TopicPartition]) {
    let topics: Vec<_> = partitions.chunk_by(|a, b| a.topic() == b.topic()).collect();
    body.array(&topics, |body, partitions| {
        body.string(partitions.first().map_or("", TopicPartition::topic));
        body.array(partitions, |body, p| body.i32(p.partition()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::consumer_protocol_assignment as theirs_assignment;
    use kafka_protocol::messages::consumer_protocol_subscription as theirs_subscription;
    use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
    use proptest::prelude::*;

    fn partitions(of: &[(&str, i32)]) -> Vec<TopicPartition> {
        of.iter()
            .map(|(topic, partition)| TopicPartition::new(*topic, *partition))
            .collect()
    }

    fn sample() -> Subscription {
        Subscription {
            topics: vec!["a".into(), "b".into()],
            user_data: Bytes::from_static(b"data"),
            owned: partitions(&[("a", 0), ("a", 2), ("b", 1)]),
            generation: Some(7),
            rack: Some("r1".into()),
        }
    }

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn their_sample() -> ConsumerProtocolSubscription {
        let owned = |topic, partitions: &[i32]| {
            theirs_subscription::TopicPartition::default()
                .with_topic(text(topic).into())
                .with_partitions(partitions.to_vec())
        };
        ConsumerProtocolSubscription::default()
            .with_topics(vec![text("a"), text("b")])
            .with_user_data(Some(Bytes::from_static(b"data")))
            .with_owned_partitions(vec![owned("a", &[0, 2]), owned("b", &[1])])
            .with_generation_id(7)
            .with_rack_id(Some(text("r1")))
    }

    fn encoded(message: &impl Encodable, version: i16) -> Bytes {
        let mut out = BytesMut::new();
        message.encode(&mut out, version).unwrap();
        out.freeze()
    }

    fn read<T: Decodable>(mut bytes: Bytes, version: i16) -> T {
        let read = T::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty());
        read
    }

    fn versioned(version: i16, body: &[u8]) -> Bytes {
        [&version.to_be_bytes(), body].concat().into()
    }

    #[test]
    fn the_subscription_is_what_kafka_protocol_reads() {
        let ours = sample().encode();
        assert_eq!(ours.slice(..2).as_ref(), [0, 3]);
        let theirs: ConsumerProtocolSubscription = read(ours.slice(2..), 3);
        assert_eq!(theirs, their_sample());
        let ours = Subscription::default().encode();
        let theirs: ConsumerProtocolSubscription = read(ours.slice(2..), 3);
        assert_eq!(theirs, ConsumerProtocolSubscription::default());
    }

    #[test]
    fn a_subscription_of_each_version_has_the_fields_of_that_version() {
        for version in 0..=3 {
            let mut theirs = their_sample();
            let mut expected = sample();
            if version < 3 {
                (theirs.rack_id, expected.rack) = (None, None);
            }
            if version < 2 {
                (theirs.generation_id, expected.generation) = (-1, None);
            }
            if version < 1 {
                (theirs.owned_partitions, expected.owned) = (vec![], vec![]);
            }
            let bytes = versioned(version, &encoded(&theirs, version));
            let ours = Subscription::decode(bytes).unwrap();
            assert_eq!(ours, expected, "version {version}");
        }
    }

    #[test]
    fn fields_of_a_version_from_the_future_are_left_unread() {
        let body = [&encoded(&their_sample(), 3)[..], b"more"].concat();
        let read = Subscription::decode(versioned(4, &body)).unwrap();
        assert_eq!(read, sample());
    }

    #[test]
    fn version_1_without_owned_partitions_is_read_as_owning_none() {
        let mut theirs = their_sample();
        theirs = theirs
            .with_owned_partitions(vec![])
            .with_generation_id(-1)
            .with_rack_id(None);
        let read = Subscription::decode(versioned(1, &encoded(&theirs, 0))).unwrap();
        assert_eq!(read.owned, []);
        assert_eq!(read.topics.len(), 2);
    }

    #[test]
    fn the_assignment_is_what_kafka_protocol_reads_and_writes() {
        let ours = Assignment {
            partitions: partitions(&[("a", 0), ("a", 2), ("b", 1)]),
        };
        let theirs: ConsumerProtocolAssignment = read(ours.encode().slice(2..), 3);
        let of = |topic, partitions: &[i32]| {
            theirs_assignment::TopicPartition::default()
                .with_topic(text(topic).into())
                .with_partitions(partitions.to_vec())
        };
        // In the order of another client, with user data that nobody here asked for.
        let expected = ConsumerProtocolAssignment::default()
            .with_assigned_partitions(vec![of("a", &[0, 2]), of("b", &[1])]);
        assert_eq!(theirs, expected);
        let unsorted = ConsumerProtocolAssignment::default()
            .with_assigned_partitions(vec![of("b", &[1]), of("a", &[2, 0])])
            .with_user_data(Some(Bytes::from_static(b"data")));
        for version in 0..=3 {
            let bytes = versioned(version, &encoded(&unsorted, version));
            assert_eq!(Assignment::decode(bytes).unwrap(), ours);
        }
    }

    #[test]
    fn truncated_and_impossible_metadata_is_refused() {
        let whole = sample().encode();
        for cut in 0..whole.len() {
            // Where a version 1 of another client would end.
            let read = Subscription::decode(whole.slice(..cut));
            assert!(read.is_err(), "cut at {cut}: {read:?}");
        }
        let bad: [&[u8]; 9] = [
            b"",
            &[0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0x7f, 0xff, 0xff, 0xff],
            &[0, 0, 0xff, 0xff, 0xff, 0xfe],
            &[0, 0, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe],
            &[0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
            &[
                0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff,
            ],
        ];
        for bytes in bad {
            let read = Subscription::decode(Bytes::from_static(bytes));
            assert!(read.is_err(), "{bytes:x?}: {read:?}");
        }
    }

    #[test]
    fn a_negative_partition_and_a_claimed_billion_are_refused() {
        for partition in [-1, i32::MIN] {
            let bytes = Assignment {
                partitions: partitions(&[("a", partition)]),
            };
            assert!(Assignment::decode(bytes.encode()).is_err());
        }
        let claimed = [
            0, 0, 0, 0, 0, 1, 0, 1, b'a', 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1,
        ];
        assert!(Assignment::decode(Bytes::copy_from_slice(&claimed)).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic_or_hold_more_than_they_are(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            version in 0i16..4,
        ) {
            let bytes = versioned(version, &bytes);
            if let Ok(read) = Subscription::decode(bytes.clone()) {
                prop_assert!(read.topics.len() * 3 + read.owned.len() * 4 <= bytes.len());
            }
            if let Ok(read) = Assignment::decode(bytes.clone()) {
                prop_assert!(read.partitions.len() * 4 <= bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read_as_it_was(
            topics in proptest::collection::btree_set("[a-z]{1,5}", 0..9),
            owned in proptest::collection::btree_set(("[a-z]{1,3}", 0..100i32), 0..50),
            generation in proptest::option::of(0..i32::MAX),
            rack in proptest::option::of("[a-z]{1,5}"),
        ) {
            let subscription = Subscription {
                topics: topics.into_iter().map(Into::into).collect(),
                user_data: Bytes::new(),
                owned: owned.iter().map(|(t, p)| TopicPartition::new(t.as_str(), *p)).collect(),
                generation,
                rack: rack.map(Into::into),
            };
            prop_assert_eq!(&Subscription::decode(subscription.encode()).unwrap(), &subscription);
            let assignment = Assignment { partitions: subscription.owned };
            prop_assert_eq!(&Assignment::decode(assignment.encode()).unwrap(), &assignment);
        }
    }
}
