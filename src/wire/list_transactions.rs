//! ListTransactions: the transactions that one coordinator knows (KIP-664, Kafka 3.0).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{ApiKey, Call};
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;
use crate::error::ErrorCode;

/// From here on those that are younger can be left out (KIP-994).
const DURATION_FROM: i16 = 1;
/// From here on those whose ids do not match a pattern can be left out (KIP-1152).
const PATTERN_FROM: i16 = 2;

#[derive(Clone, Debug)]
pub(crate) struct ListTransactions {
    /// States, by Kafka's words; none for all.
    pub(crate) states: Vec<Arc<str>>,
    /// None for those of all producers.
    pub(crate) producers: Vec<i64>,
    /// Those that have lasted for longer, in milliseconds; below zero for all.
    pub(crate) longer_than: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct ListTransactionsAnswer {
    pub(crate) throttle: Duration,
    pub(crate) code: ErrorCode,
    pub(crate) transactions: Vec<ListedTransaction>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedTransaction {
    pub(crate) id: Arc<str>,
    pub(crate) producer: i64,
    pub(crate) state: Arc<str>,
}

impl Call for ListTransactions {
    type Response = ListTransactionsAnswer;
    const KEY: ApiKey = ApiKey::ListTransactions;

    fn min_version(&self) -> i16 {
        if self.longer_than < 0 {
            0
        } else {
            DURATION_FROM
        }
    }

    fn throttle(response: &ListTransactionsAnswer) -> Duration {
        response.throttle
    }

    fn encode(&self, version: i16, out: &mut BytesMut) {
        let mut body = Encoder::new(out, true);
        body.array(&self.states, |body, state| body.string(state));
        body.array(&self.producers, |body, producer| body.i64(*producer));
        if version >= DURATION_FROM {
            body.i64(self.longer_than);
        }
        if version >= PATTERN_FROM {
            body.nullable_string(None);
        }
        body.no_tags();
    }

    fn decode(_version: i16, body: Bytes) -> Result<Self::Response, Malformed> {
        let mut d = Decoder::new(body, true);
        let throttle = d.millis()?;
        let code = d.code()?;
        d.array(1, Decoder::string)?; // states that the broker does not know
        let transactions = d.array(11, |d| {
            let transaction = ListedTransaction {
                id: d.owned()?,
                producer: d.i64()?,
                state: d.owned()?,
            };
            d.skip_tags()?;
            Ok(transaction)
        })?;
        d.skip_tags()?;
        d.finish()?;
        Ok(ListTransactionsAnswer {
            throttle,
            code,
            transactions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{encoded, refuses_damage, request, tag, versions};
    use kafka_protocol::messages::list_transactions_response::TransactionState;
    use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn the_request_is_what_kafka_protocol_reads() {
        for version in versions(ApiKey::ListTransactions) {
            let call = ListTransactions {
                states: vec!["Ongoing".into()],
                producers: vec![7],
                longer_than: if version >= DURATION_FROM { 5000 } else { -1 },
            };
            assert!(call.min_version() <= version);
            let mut expected = ListTransactionsRequest::default()
                .with_state_filters(vec!["Ongoing".into()])
                .with_producer_id_filters(vec![7.into()]);
            if version >= DURATION_FROM {
                expected = expected.with_duration_filter(5000);
            }
            if version >= PATTERN_FROM {
                expected = expected.with_transactional_id_pattern(None);
            }
            let mut out = BytesMut::new();
            call.encode(version, &mut out);
            assert_eq!(
                encoded(&expected, version),
                out.freeze(),
                "version {version}"
            );
            let read: ListTransactionsRequest = request(&call, version);
            assert_eq!(read.state_filters, expected.state_filters);
        }
    }

    #[test]
    fn the_answer_is_what_kafka_protocol_writes() {
        for version in versions(ApiKey::ListTransactions) {
            let state = TransactionState::default()
                .with_transactional_id(StrBytes::from("t").into())
                .with_producer_id(7.into())
                .with_transaction_state("Ongoing".into())
                .with_unknown_tagged_fields(tag());
            let theirs = ListTransactionsResponse::default()
                .with_throttle_time_ms(3)
                .with_error_code(14)
                .with_unknown_state_filters(vec!["Sleeping".into()])
                .with_transaction_states(vec![state]);
            let body = encoded(&theirs, version);
            let answer = ListTransactions::decode(version, body.clone()).unwrap();
            assert_eq!(answer.throttle, Duration::from_millis(3));
            assert_eq!(answer.code, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
            let expected = ListedTransaction {
                id: "t".into(),
                producer: 7,
                state: "Ongoing".into(),
            };
            assert_eq!(answer.transactions, [expected]);
            refuses_damage::<ListTransactions>(version, &body);
        }
    }
}
