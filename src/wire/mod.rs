//! Kafka's requests and answers as bytes; the only module that imports `kafka_protocol`.

mod call;
mod decode;

pub(crate) use call::{ApiKey, Call};
pub(crate) use decode::{Decoder, Malformed, Text};
