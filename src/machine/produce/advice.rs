//! What to change when a broker refuses a batch, with the topic's limits where they are known.

use crate::error::ErrorCode;

/// What a topic's settings say about sizes, as far as the client may read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicLimits {
    /// `max.message.bytes`.
    pub(crate) message: Option<usize>,
    /// `segment.bytes`.
    pub(crate) segment: Option<usize>,
}

impl TopicLimits {
    /// The limit that a refusal with this code is about.
    pub(crate) fn of(&self, code: ErrorCode) -> Option<usize> {
        match code {
            ErrorCode::RECORD_LIST_TOO_LARGE => self.segment,
            _ => self.message,
        }
    }
}

/// A batch that was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused<'a> {
    pub(crate) topic: &'a str,
    pub(crate) records: u32,
    /// Bytes before its compression.
    pub(crate) plain: usize,
    /// Bytes as it was sent.
    pub(crate) wire: usize,
    pub(crate) limits: TopicLimits,
}

/// What would make the broker take it; `None` where nothing is to be changed, or nothing is known.
pub(crate) fn advice(code: ErrorCode, refused: &Refused<'_>) -> Option<String> {
    use ErrorCode as E;
    let topic = refused.topic;
    let told = match code {
        E::MESSAGE_TOO_LARGE => too_large(code, refused, "max.message.bytes"),
        E::RECORD_LIST_TOO_LARGE => too_large(code, refused, "segment.bytes"),
        E::INVALID_TIMESTAMP => format!(
            "a record's timestamp is further from the broker's clock than topic {topic} allows \
             (message.timestamp.before.max.ms, message.timestamp.after.max.ms): correct it or the clocks, or change those"
        ),
        E::INVALID_RECORD => format!(
            "the broker validates records of topic {topic}: one that is compacted (cleanup.policy) takes none without a key"
        ),
        E::TOPIC_AUTHORIZATION_FAILED => {
            format!("grant this client's principal the operation Write on topic {topic}")
        }
        E::CLUSTER_AUTHORIZATION_FAILED => {
            "grant this client's principal IdempotentWrite on the cluster, \
             or set enable.idempotence=false"
                .to_owned()
        }
        E::INVALID_TOPIC_EXCEPTION => {
            format!(
                "clients may not write to topic {topic}: it is internal, or its name is not allowed"
            )
        }
        E::UNSUPPORTED_COMPRESSION_TYPE => {
            "the broker does not know this compression.type: choose another".to_owned()
        }
        E::UNSUPPORTED_FOR_MESSAGE_FORMAT => {
            format!("topic {topic} keeps an older message format: raise its message.format.version")
        }
        E::INVALID_REQUIRED_ACKS => {
            "the broker does not take this value of acks: use 0, 1 or all".to_owned()
        }
        E::NOT_ENOUGH_REPLICAS | E::NOT_ENOUGH_REPLICAS_AFTER_APPEND => format!(
            "fewer replicas are in sync than topic {topic}'s min.insync.replicas asks for: bring brokers back, or lower it"
        ),
        E::KAFKA_STORAGE_ERROR => "a disk of the broker has failed: see its log".to_owned(),
        E::UNKNOWN_SERVER_ERROR => "see the broker's log".to_owned(),
        _ => return None,
    };
    Some(told)
}

fn too_large(code: ErrorCode, refused: &Refused<'_>, setting: &str) -> String {
    let Refused {
        topic,
        records,
        plain,
        wire,
        ..
    } = refused;
    let what = match records {
        1 => "the record".to_owned(),
        records => format!("the batch of {records} records"),
    };
    let (size, remedy) = if plain == wire {
        (
            format!("{plain} bytes"),
            "compress it, or send less at a time",
        )
    } else {
        (
            format!("{wire} bytes after compression ({plain} before)"),
            "send less at a time",
        )
    };
    match refused.limits.of(code) {
        Some(limit) => format!(
            "{what} takes {size}, topic {topic} has {setting} = {limit}: raise it, {remedy}"
        ),
        None => format!(
            "{what} takes {size}, more than {setting} of topic {topic} allows (which this client could not read): \
             raise it, {remedy}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Refused<'_> = Refused {
        topic: "t",
        records: 1,
        plain: 5000,
        wire: 5000,
        limits: TopicLimits {
            message: Some(1000),
            segment: Some(3000),
        },
    };

    #[test]
    fn refusals_for_size_name_what_was_sent_the_setting_and_the_limit() {
        let all = [
            (ErrorCode::MESSAGE_TOO_LARGE, "max.message.bytes = 1000"),
            (ErrorCode::RECORD_LIST_TOO_LARGE, "segment.bytes = 3000"),
        ];
        for (code, limit) in all {
            let told = advice(code, &REFUSED).unwrap();
            assert!(
                told.starts_with("the record takes 5000 bytes, topic t has "),
                "{told}"
            );
            assert!(told.contains(limit) && told.contains("compress"), "{told}");
        }
        let compressed = Refused {
            wire: 2000,
            records: 3,
            limits: TopicLimits::default(),
            ..REFUSED
        };
        let told = advice(ErrorCode::MESSAGE_TOO_LARGE, &compressed).unwrap();
        let expected = "the batch of 3 records takes 2000 bytes after compression (5000 before), \
                        more than max.message.bytes of topic t";
        assert!(told.starts_with(expected), "{told}");
        assert!(!told.contains("compress it"), "{told}");
    }

    #[test]
    fn every_refusal_of_a_batch_for_good_says_what_to_change() {
        use ErrorCode as E;
        let named = [
            (E::INVALID_TIMESTAMP, "message.timestamp.before.max.ms"),
            (E::INVALID_RECORD, "cleanup.policy"),
            (E::TOPIC_AUTHORIZATION_FAILED, "Write on topic t"),
            (E::CLUSTER_AUTHORIZATION_FAILED, "enable.idempotence"),
            (E::INVALID_TOPIC_EXCEPTION, "topic t"),
            (E::UNSUPPORTED_COMPRESSION_TYPE, "compression.type"),
            (E::UNSUPPORTED_FOR_MESSAGE_FORMAT, "message.format.version"),
            (E::INVALID_REQUIRED_ACKS, "acks"),
            (E::NOT_ENOUGH_REPLICAS, "min.insync.replicas"),
            (E::NOT_ENOUGH_REPLICAS_AFTER_APPEND, "min.insync.replicas"),
            (E::KAFKA_STORAGE_ERROR, "disk"),
            (E::UNKNOWN_SERVER_ERROR, "log"),
        ];
        for (code, what) in named {
            let told = advice(code, &REFUSED).unwrap();
            assert!(told.contains(what), "{code}: {told}");
        }
        assert_eq!(advice(E::NOT_LEADER_OR_FOLLOWER, &REFUSED), None);
    }
}
