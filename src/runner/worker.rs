//! A worker: calls the handler with one record after the other, for as long as there are some.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tracing::{debug, warn};

use super::context::Context;
use super::failure::{Failure, HandlerError, Panicked};
use super::letters::{Told, letter};
use super::shared::Shared;
use super::state::{End, Item};
use crate::consumer::ConsumerRecord;
use crate::error::Error;
use crate::machine::runner::{OnFailure, Step, step};

/// Calls the handler until no record's turn has come.
pub(super) async fn work<F, Fut, E>(shared: Arc<Shared>, handler: Arc<F>)
where
    F: Fn(ConsumerRecord, Context) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<HandlerError>,
{
    let mut next = shared.next(None);
    let mut began = Instant::now();
    while let Some(task) = next {
        let turn = task.turn();
        let mut item = task.item;
        let (end, took) = if item.dead.is_some() {
            (bury(&shared, item).await, None)
        } else {
            item.attempt += 1;
            let record = item.record.clone();
            let done = contain(|| handler(record, task.context)).await;
            let ended = Instant::now();
            let took = ended - began;
            // The next one begins at once.
            began = ended;
            match done {
                Ok(()) => (End::Handled, Some(took)),
                Err(error) => {
                    let kind = std::any::type_name::<E>();
                    let end = fail(&shared, item, error, kind).await;
                    began = Instant::now();
                    (end, Some(took))
                }
            }
        };
        next = shared.next(Some((turn, end, took)));
        // By its name in every tokio from 1.40 on; the newer one came later.
        #[allow(deprecated)]
        tokio::task::consume_budget().await;
    }
}

/// Runs a handler to its end; a panic is an error, and ends nothing else.
async fn contain<Fut, E>(handle: impl FnOnce() -> Fut) -> Result<(), HandlerError>
where
    Fut: Future<Output = Result<(), E>>,
    E: Into<HandlerError>,
{
    let panicked = |payload: Box<dyn std::any::Any + Send>| -> HandlerError {
        Panicked::new(&*payload).into()
    };
    let handling = catch_unwind(AssertUnwindSafe(handle)).map_err(panicked)?;
    let mut handling = pin!(Some(handling));
    // What a handler has borrowed is its own business: it is handed nothing of the runner.
    let done = poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| match handling.as_mut().as_pin_mut() {
            Some(handling) => handling.poll(context).map_err(Into::into),
            None => Poll::Ready(Ok(())),
        }));
        polled.unwrap_or_else(|payload| Poll::Ready(Err(panicked(payload))))
    })
    .await;
    let dropped = catch_unwind(AssertUnwindSafe(|| handling.set(None)));
    done.and(dropped.map_err(panicked))
}

/// What becomes of a record whose handler has failed.
async fn fail(shared: &Shared, mut item: Item, error: HandlerError, kind: &'static str) -> End {
    let is_panic = error.is::<Panicked>();
    let failure = Failure {
        record: item.record.clone(),
        attempt: item.attempt,
        error,
        kind: if is_panic { "panic" } else { kind },
    };
    let conduct = &shared.conduct;
    let wanted = catch_unwind(AssertUnwindSafe(|| (conduct.classify)(&failure)));
    let wanted = wanted.unwrap_or(OnFailure::Stop);
    let has_dead_letters = conduct.dead_letters.is_some();
    let jitter = fastrand::f64();
    let step = step(
        wanted,
        item.attempt,
        conduct.attempts,
        has_dead_letters,
        jitter,
    );
    let (partition, offset) = (item.record.topic_partition().clone(), item.record.offset());
    let told = Told::of(&failure);
    let (attempt, error) = (item.attempt, &told.text);
    match step {
        Step::RetryIn(delay) => {
            debug!(%partition, offset, attempt, %error, ?delay, "a handler failed: it is called again");
            End::Again(item, delay)
        }
        Step::Skip => {
            warn!(%partition, offset, attempt, %error, "a handler failed: the record is skipped");
            End::Skipped
        }
        Step::DeadLetter => {
            warn!(%partition, offset, attempt, %error, "a handler failed: the record becomes a dead letter");
            item.dead = Some(Box::new(told));
            bury(shared, item).await
        }
        Step::Stop => {
            let error = Error::Handler {
                partition,
                offset,
                attempts: attempt,
                reason: told.text.into(),
            };
            End::Stop(item, error)
        }
    }
}

/// Sends a record to its dead-letter topic: it is finished when that is acknowledged.
async fn bury(shared: &Shared, item: Item) -> End {
    let conduct = &shared.conduct;
    let (Some(letters), Some(told)) = (&conduct.dead_letters, &item.dead) else {
        return End::Skipped;
    };
    let named = catch_unwind(AssertUnwindSafe(|| letters.topic(item.record.topic())));
    let Ok(topic) = named else {
        let error = Error::Handler {
            partition: item.record.topic_partition().clone(),
            offset: item.record.offset(),
            attempts: told.attempts,
            reason: "the function that dead_letter_topic was given panicked".into(),
        };
        return End::Stop(item, error);
    };
    let record = letter(&item.record, &topic, &conduct.group, told);
    match letters.producer.send(record).await {
        Ok(_) => End::DeadLettered,
        Err(error) if error.is_retriable() => {
            warn!(%error, topic, "a dead letter was not sent: it is tried again");
            let delay = conduct
                .attempts
                .backoff
                .delay(told.attempts, fastrand::f64());
            End::Again(item, delay)
        }
        Err(error) => End::Stop(item, error),
    }
}
