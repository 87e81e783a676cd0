//! The reading task: takes records from the consumer while there is room for them.

use std::sync::Arc;
use std::time::Instant;

use tracing::{info, warn};

use super::shared::Shared;
use super::state::{Reading, Room};
use crate::consumer::Consumer;
use crate::error::Error;
use crate::timer::wait_until;

/// Reads until the runner is closed or cannot go on; gives the consumer back.
pub(super) async fn read(shared: Arc<Shared>, mut consumer: Consumer) -> Consumer {
    loop {
        look_after(&shared, &consumer);
        let room = {
            let mut state = shared.lock();
            let room = state.room(Instant::now());
            state.reading = match room {
                Room::For(_) => Reading::Asking,
                Room::None(_) | Room::Ended => Reading::Resting,
            };
            room
        };
        match room {
            Room::Ended => return consumer,
            Room::None(until) => {
                tokio::select! {
                    () = shared.news.notified() => {}
                    () = wait_until(until) => {}
                }
            }
            Room::For(most) => {
                let polled = tokio::select! {
                    polled = consumer.poll_at_most(most) => Some(polled),
                    () = shared.news.notified() => None,
                };
                match polled {
                    None => {}
                    Some(Ok(Some(records))) => {
                        for partition in shared.add(&records) {
                            info!(%partition, "nothing is read for now: its oldest record is unfinished");
                            // Gone meanwhile, where it is not assigned.
                            let _ = consumer.pause(&partition);
                        }
                    }
                    Some(Ok(None)) => {
                        shared.apply(|state| state.fail(Error::Closed { what: "consumer" }));
                    }
                    Some(Err(error)) if ends_runner(&error) => {
                        shared.apply(|state| state.fail(error));
                    }
                    Some(Err(error)) => warn!(%error, "reading goes on"),
                }
            }
        }
    }
}

/// Tells the consumer what is in use, and lets it read what can be read again.
fn look_after(shared: &Shared, consumer: &Consumer) {
    let (resumable, held) = {
        let mut state = shared.lock();
        state.reading = Reading::Busy;
        state.held_told = state.held;
        (std::mem::take(&mut state.resumable), state.held)
    };
    for partition in resumable {
        // Gone meanwhile, where it is not assigned.
        let _ = consumer.resume(&partition);
    }
    consumer.passed_on(held);
}

/// Whether reading cannot go on, or only by leaving something out, which is for the application to say.
fn ends_runner(error: &Error) -> bool {
    match error {
        Error::Corrupt { .. }
        | Error::TooLargeToRead { .. }
        | Error::NoOffset { .. }
        | Error::LogTruncated { .. }
        | Error::UnknownTopic { .. } => true,
        error => error.ends_consumer(),
    }
}
