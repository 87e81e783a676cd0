//! DescribeTransactions: what a coordinator knows of transactions (KIP-664, Kafka 3.0).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use super::fields::Topics;
use crate::error::ErrorCode;
use crate::types::ProducerId;

#[derive(Clone, Debug)]
pub(crate) struct DescribeTransactions {
    pub(crate) ids: Vec<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribeTransactionsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) transactions: Vec<DescribedTransaction>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DescribedTransaction {
    pub(crate) code: ErrorCode,
    pub(crate) id: Arc<str>,
    pub(crate) state: Arc<str>,
    pub(crate) timeout: Duration,
    /// Milliseconds since 1970; below zero while none is under way.
    pub(crate) started: i64,
    pub(crate) producer: ProducerId,
    pub(crate) topics: Topics<i32>,
}

impl Call for DescribeTransactions {
    type Response = DescribeTransactionsAnswer;
    const KEY: ApiKey = ApiKey::DescribeTransactions;

    fn throttle(response: &DescribeTransactionsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, _version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.ids, |body, id| body.string(id));
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let transactions = d.array(28, |d| {
            let transaction = DescribedTransaction {
                code: d.code()?,
                id: d.owned()?,
                state: d.owned()?,
                timeout: d.millis()?,
                started: d.i64()?,
                producer: d.producer()?,
                topics: d.topics(4, Decoder::i32)?,
            };
            d.skip_tags()?;
            Ok(transaction)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(DescribeTransactionsAnswer {
            throttle,
            transactions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
    use kafka_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        let call = DescribeTransactions {
            ids: vec!["t".into()],
        };
        let id = StrBytes::from("t").into();
        let expected = DescribeTransactionsRequest::default().with_transactional_ids(vec![id]);
        for version in versions(ApiKey::DescribeTransactions) {
            let read: DescribeTransactionsRequest = request(&call, version);
            assert_eq!(read, expected, "version {version}");
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::DescribeTransactions) {
            let topic = TopicData::default()
                .with_topic(StrBytes::from("a").into())
                .with_partitions(vec![0, 2])
                .with_unknown_tagged_fields(tag());
            let state = TransactionState::default()
                .with_error_code(105)
                .with_transactional_id(StrBytes::from("t").into())
                .with_transaction_state("Ongoing".into())
                .with_transaction_timeout_ms(60_000)
                .with_transaction_start_time_ms(5)
                .with_producer_id(7.into())
                .with_producer_epoch(8)
                .with_topics(vec![topic]);
            let theirs = DescribeTransactionsResponse::default()
                .with_throttle_time_ms(3)
                .with_transaction_states(vec![state]);
            let body = encoded(&theirs, version);
            let answer = DescribeTransactions::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            let expected = DescribedTransaction {
                code: ErrorCode::TRANSACTIONAL_ID_NOT_FOUND,
                id: "t".into(),
                state: "Ongoing".into(),
                timeout: Duration::from_secs(60),
                started: 5,
                producer: ProducerId { id: 7, epoch: 8 },
                topics: vec![("a".into(), vec![0, 2])],
            };
            assert_eq!(answer.transactions, [expected]);
            refuses_damage::<DescribeTransactions>(version, &body);
        }
    }
}
