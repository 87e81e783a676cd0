//! Dead letters: the record as it was, with what happened to it in headers, by Spring's names.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::failure::Failure;
use crate::consumer::{ConsumerRecord, TimestampType};
use crate::producer::Producer;
use crate::record::Record;

/// Bytes of an error's text that are kept.
const MOST_TEXT: usize = 8192;

/// What a record's topic is called with the letters that came of it.
pub(super) type Naming = dyn Fn(&str) -> String + Send + Sync;

/// Where records go whose handlers have failed for good.
pub(super) struct DeadLetters {
    pub(super) producer: Producer,
    pub(super) naming: Box<Naming>,
}

impl DeadLetters {
    pub(super) fn topic(&self, of: &str) -> String {
        (self.naming)(of)
    }
}

/// What is told of a failure.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) kind: &'static str,
    pub(super) attempts: u32,
}

impl Told {
    pub(super) fn of(failure: &Failure) -> Self {
        // The words are the application's.
        let text = catch_unwind(AssertUnwindSafe(|| failure.text()));
        let mut text = text
            .unwrap_or_else(|_| "its error panicked when it was asked for its words".to_owned());
        if text.len() > MOST_TEXT {
            let end = (0..=MOST_TEXT)
                .rev()
                .find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or_default());
        }
        Self {
            text,
            kind: failure.kind,
            attempts: failure.attempt,
        }
    }
}

/// The dead letter of a record: its key, value, headers and time, and where it came from and why.
pub(super) fn letter<'a>(
    record: &'a ConsumerRecord,
    topic: &'a str,
    group: &'a str,
    told: &'a Told,
) -> Record<'a> {
    let kind = match record.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    record
        .to_record(topic)
        .set_header("kafka_dlt-original-topic", record.topic())
        .set_header("kafka_dlt-original-partition", record.partition())
        .set_header("kafka_dlt-original-offset", record.offset())
        .set_header("kafka_dlt-original-timestamp", record.timestamp_millis())
        .set_header("kafka_dlt-original-timestamp-type", kind)
        .set_header("kafka_dlt-original-consumer-group", group)
        .set_header("kafka_dlt-exception-fqcn", told.kind)
        .set_header("kafka_dlt-exception-message", told.text.as_str())
        .set_header(
            "retry_topic-attempts",
            i32::try_from(told.attempts).unwrap_or(i32::MAX),
        )
}
