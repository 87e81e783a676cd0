//! Fields that several calls have, read as our own types and written from them.

use std::sync::Arc;
use std::time::Duration;

use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;
use crate::types::{Address, BrokerId, ProducerId, TopicId, TopicName};

/// What a group of consumers calls its protocols.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

/// Topics by name, each with what is said of its partitions.
pub(super) type Topics<T> = Vec<(TopicName, Vec<T>)>;

impl Decoder {
    pub(super) fn code(&mut self) -> Result<ErrorCode, Malformed> {
        self.i16().map(ErrorCode::new)
    }

    /// Milliseconds; below zero means none.
    pub(super) fn millis(&mut self) -> Result<Duration, Malformed> {
        let millis = u64::try_from(self.i32()?).unwrap_or(0);
        Ok(Duration::from_millis(millis))
    }

    /// A string to keep: a copy, which does not hold the frame in memory.
    pub(super) fn owned(&mut self) -> Result<Arc<str>, Malformed> {
        Ok(self.string()?.as_str().into())
    }

    pub(super) fn nullable_owned(&mut self) -> Result<Option<Arc<str>>, Malformed> {
        Ok(self.nullable_string()?.map(|text| text.as_str().into()))
    }

    pub(super) fn producer(&mut self) -> Result<ProducerId, Malformed> {
        Ok(ProducerId {
            id: self.i64()?,
            epoch: self.i16()?,
        })
    }

    pub(super) fn topic_id(&mut self) -> Result<TopicId, Malformed> {
        self.uuid().map(TopicId)
    }

    /// A broker's id; below zero means that there is none.
    pub(super) fn broker(&mut self) -> Result<Option<BrokerId>, Malformed> {
        let id = self.i32()?;
        Ok((id >= 0).then_some(BrokerId(id)))
    }

    pub(super) fn brokers(&mut self) -> Result<Vec<BrokerId>, Malformed> {
        self.array(4, |d| d.i32().map(BrokerId))
    }

    /// A broker's host and port; `None` when the port is none that could be connected to.
    pub(super) fn address(&mut self) -> Result<Option<Address>, Malformed> {
        let host = self.string()?;
        let port = self.i32()?;
        Ok(match u16::try_from(port) {
            Ok(port) if port > 0 => Some(Address::new(host.as_str(), port)),
            _ => None,
        })
    }

    /// Topics with what `partition` reads, which takes at least `least_partition` bytes.
    pub(super) fn topics<T>(
        &mut self,
        least_partition: usize,
        mut partition: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Topics<T>, Malformed> {
        self.array(3, |d| {
            let name = d.owned()?;
            let partitions = d.array(least_partition, &mut partition)?;
            d.skip_tags()?;
            Ok((name, partitions))
        })
    }

    /// A partition's new leader and its epoch, as a tagged field says it (KIP-951); `None` when there is none.
    pub(super) fn leader_hint(&mut self) -> Result<Option<(BrokerId, i32)>, Malformed> {
        let leader = self.broker()?;
        let epoch = self.i32()?;
        self.skip_tags()?;
        self.all_read()?;
        Ok(leader.map(|leader| (leader, epoch)))
    }

    /// Where new leaders are, as a tagged field says it (KIP-951).
    ///
    /// A node that could not be connected to is left out: a hint must not cost the answer it came with.
    pub(super) fn hinted_nodes(&mut self) -> Result<Vec<(BrokerId, Address)>, Malformed> {
        let nodes = self.array(11, |d| {
            let id = d.broker()?;
            let address = d.address()?;
            d.nullable_string()?; // rack
            d.skip_tags()?;
            Ok(id.zip(address))
        })?;
        self.all_read()?;
        Ok(nodes.into_iter().flatten().collect())
    }

    /// Checks that a tagged field of a known tag is used up.
    pub(super) fn all_read(&self) -> Result<(), Malformed> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(Malformed::new(format!(
                "{left} bytes left in a tagged field"
            ))),
        }
    }
}

impl Encoder<'_> {
    pub(super) fn producer(&mut self, producer: ProducerId) {
        self.i64(producer.id);
        self.i16(producer.epoch);
    }

    /// Topics with what `partition` writes, its tagged fields too.
    pub(super) fn topics<T>(
        &mut self,
        topics: &[(TopicName, Vec<T>)],
        mut partition: impl FnMut(&mut Self, &T),
    ) {
        self.array(topics, |body, (name, partitions)| {
            body.string(name);
            body.array(partitions, &mut partition);
            body.no_tags();
        });
    }
}
