//! The lookup of one partition's position: what is asked for, and what its end leads to.

use std::time::Instant;

use tracing::warn;

use crate::consumer::inner::ConsumerInner;
use crate::consumer::subscription_state::{SubscriptionState, Wakes};
use crate::error::{Error, ErrorCode};
use crate::types::TopicPartition;

/// A partition whose position is looked up; `version` tells whether the answer is still wanted.
#[derive(Clone)]
pub(super) struct Sought {
    pub(super) name: TopicPartition,
    pub(super) version: u64,
    pub(super) leader_epoch: i32,
}

/// What a lookup's end has led to: the application may have to be told of an error.
pub(super) type Applied = (Option<Error>, Wakes);

/// A found or failed lookup, applied only if nothing has voided it.
pub(super) fn apply_found(
    inner: &ConsumerInner,
    sought: &Sought,
    apply: impl FnOnce(&mut SubscriptionState, u32) -> Applied,
) {
    let mut state = inner.lock();
    let Some(index) = state.index(&sought.name) else {
        return;
    };
    let is_wanted = state
        .get(index)
        .is_some_and(|p| p.version == sought.version);
    if !is_wanted {
        return;
    }
    let (error, mut wakes) = apply(&mut state, index);
    if let Some(error) = error {
        wakes = wakes.and(state.tell(Some(&sought.name), error));
    }
    drop(state);
    inner.wake(wakes);
}

/// The lookup failed: it is made again after a while, and the application told where trying again is no help.
pub(super) fn retry(inner: &ConsumerInner, sought: &Sought, error: Option<(ErrorCode, Error)>) {
    let now = Instant::now();
    apply_found(inner, sought, |state, index| {
        let told = state.get(index).and_then(|partition| {
            partition.failed(now, |failures| {
                inner
                    .settings
                    .retry_backoff
                    .delay(failures, fastrand::f64())
            });
            let (code, error) = error?;
            partition.is_news(code).then_some(error)
        });
        (told, state.look_after(index))
    });
}

/// As `retry`; nothing that the application could do is of help. A code that nobody expects is logged, once for as long as
/// it lasts.
pub(super) fn puzzle(
    inner: &ConsumerInner,
    sought: &Sought,
    unexpected: Option<ErrorCode>,
    error: &Error,
) {
    let is_news = unexpected.is_some_and(|code| {
        let mut state = inner.lock();
        let partition = state.find(&sought.name);
        partition.is_some_and(|partition| partition.is_news(code))
    });
    if is_news {
        warn!(partition = %sought.name, %error, "position not found: asking again");
    }
    retry(inner, sought, None);
}
