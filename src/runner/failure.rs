//! A handler's failure, as the application is asked about it.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;

use crate::consumer::ConsumerRecord;
use crate::error::Error;
use crate::machine::runner::OnFailure;

/// What a handler may fail with: whatever `?` takes.
pub type HandlerError = Box<dyn StdError + Send + Sync>;

/// A handler panicked, with these words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the handler panicked: {message}")]
pub struct Panicked {
    message: String,
}

impl Panicked {
    pub(super) fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self {
            message: text.unwrap_or_else(|| "without words".to_owned()),
        }
    }

    /// What the panic said.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// A record whose handler has failed.
pub struct Failure {
    pub(super) record: ConsumerRecord,
    pub(super) attempt: u32,
    pub(super) error: HandlerError,
    /// The error's Rust type.
    pub(super) kind: &'static str,
}

impl Failure {
    /// The record.
    #[must_use]
    pub fn record(&self) -> &ConsumerRecord {
        &self.record
    }

    /// How often the handler has been called with it.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// What the handler returned, or [`Panicked`].
    #[must_use]
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }

    /// Whether the error, or what caused it, is of this type; that.
    #[must_use]
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&*self.error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }

    /// The error's text with those of its causes.
    pub(super) fn text(&self) -> String {
        let mut text = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let words = error.to_string();
            // Many an error's text has its cause's in it.
            if !text.contains(&words) {
                text = format!("{text}: {words}");
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("record", &self.record)
            .field("attempts", &self.attempt)
            .field("error", &self.error)
            .finish()
    }
}

/// What is done without a function of the application's: what cannot be decoded fails again, everything else may pass.
pub(super) fn by_default(failure: &Failure) -> OnFailure {
    match failure.find() {
        Some(Error::Decode { .. }) => OnFailure::DeadLetter,
        _ => OnFailure::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panics_words_are_kept() {
        let caught = std::panic::catch_unwind(|| panic!("number {}", 7)).unwrap_err();
        assert_eq!(Panicked::new(&*caught).message(), "number 7");
        let caught = std::panic::catch_unwind(|| std::panic::panic_any(7)).unwrap_err();
        assert_eq!(Panicked::new(&*caught).message(), "without words");
    }
}
