//! Fields that several answers have, read as our own types.

use std::sync::Arc;
use std::time::Duration;

use super::decode::{Decoder, Malformed};
use crate::error::ErrorCode;
use crate::types::{Address, BrokerId, TopicId};

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
