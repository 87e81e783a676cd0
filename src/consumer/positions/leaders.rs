//! Questions to the leaders of partitions whose positions are looked up, and what their answers lead to.

use hashbrown::HashMap;
use tracing::debug;

use super::sought::{Applied, Sought, apply_found, puzzle, retry};
use crate::cluster::Purpose;
use crate::consumer::inner::ConsumerInner;
use crate::consumer::subscription_state::{SubscriptionState, Wakes};
use crate::error::{Error, ErrorCode, Result};
use crate::machine::fetch::{LookupVerdict, lookup_verdict};
use crate::types::{BrokerId, TopicName, TopicPartition};
use crate::wire::Call;

pub(super) async fn ask<C: Call>(
    inner: &ConsumerInner,
    broker: BrokerId,
    call: &C,
) -> Result<C::Response> {
    let connection = inner.cluster.broker(broker, Purpose::Control).await?;
    connection.call(call, inner.settings.request_timeout).await
}

/// What a leader told of its partitions.
pub(super) type ByPartition<T> = HashMap<TopicPartition, (ErrorCode, T)>;

/// Answers by partition; `read` tells the number and the code of one.
pub(super) fn by_partition<A, T>(
    topics: Vec<(TopicName, Vec<A>)>,
    read: impl Fn(A) -> (i32, ErrorCode, T),
) -> ByPartition<T> {
    let mut told = HashMap::new();
    for (topic, answers) in topics {
        for answer in answers {
            let (number, code, answer) = read(answer);
            told.insert(TopicPartition::new(topic.clone(), number), (code, answer));
        }
    }
    told
}

/// Takes in what was told of the partitions sought: `apply` where it is good, another try later where it is not.
pub(super) fn take_in<Q, T>(
    inner: &ConsumerInner,
    sought: &[(Sought, Q)],
    told: Result<ByPartition<T>>,
    apply: impl Fn(&mut SubscriptionState, u32, &(Sought, Q), &T) -> Applied,
) {
    let mut after = LookupFollowUp::default();
    match told {
        Ok(told) => {
            for question in sought {
                let one = &question.0;
                let found = told.get(&one.name);
                let code = found.map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |(code, _)| *code);
                match (lookup_verdict(code), found) {
                    (LookupVerdict::Take, Some((_, answer))) => {
                        apply_found(inner, one, |state, index| {
                            apply(state, index, question, answer)
                        });
                        after.is_found = true;
                    }
                    (verdict, _) => after.failed(inner, one, verdict, code),
                }
            }
        }
        Err(error) => after.lost(inner, sought.iter().map(|(one, _)| one), &error),
    }
    after.finish(inner);
}

/// What is to be done after the answers were looked at.
#[must_use = "the answers have consequences for others"]
#[derive(Default)]
struct LookupFollowUp {
    is_found: bool,
    refreshes: bool,
}

impl LookupFollowUp {
    fn failed(
        &mut self,
        inner: &ConsumerInner,
        sought: &Sought,
        verdict: LookupVerdict,
        code: ErrorCode,
    ) {
        let context = format!("looking up the position of {}", sought.name);
        let error = Error::broker(code, None, context);
        if verdict == LookupVerdict::Tell {
            retry(inner, sought, Some((code, error)));
        } else {
            let code = (verdict == LookupVerdict::Log).then_some(code);
            puzzle(inner, sought, code, &error);
        }
        self.refreshes = true;
    }

    /// No answer came.
    fn lost<'a>(
        &mut self,
        inner: &ConsumerInner,
        sought: impl Iterator<Item = &'a Sought>,
        error: &Error,
    ) {
        debug!(%error, "positions not found");
        for one in sought {
            let tell =
                (!error.is_retriable()).then(|| (ErrorCode::UNKNOWN_SERVER_ERROR, error.clone()));
            retry(inner, one, tell);
        }
        self.refreshes = true;
    }

    fn finish(self, inner: &ConsumerInner) {
        if self.refreshes {
            inner.cluster.request_refresh();
        }
        if self.is_found || self.refreshes {
            inner.wake(Wakes::keeper());
        }
    }
}
