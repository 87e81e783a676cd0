//! Why an application ends early, and with which exit status.

use std::fmt::Display;

/// What keeps an application from its work; a sentence that names the part or the option.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An option or a settings file is wrong, and nothing was begun: exit status 2.
    #[error("{option}: {reason}")]
    Option {
        /// The option, as it is typed.
        option: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A part did not do what it was asked: exit status 1.
    #[error("{part}: {reason}")]
    Part {
        /// Which part, and what it was asked.
        part: String,
        /// Why not.
        reason: String,
    },
}

impl Failure {
    /// An option is wrong.
    pub fn option(option: impl Into<String>, reason: impl Display) -> Self {
        Self::Option {
            option: option.into(),
            reason: reason.to_string(),
        }
    }

    /// For `map_err`: a part fails.
    pub fn of<E: Display>(part: impl Into<String>) -> impl FnOnce(E) -> Self {
        let part = part.into();
        move |reason| Self::Part {
            part,
            reason: reason.to_string(),
        }
    }

    /// The exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Option { .. } => 2,
            Self::Part { .. } => 1,
        }
    }
}

impl From<ottla::Error> for Failure {
    fn from(error: ottla::Error) -> Self {
        Self::of("Kafka")(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::of("database")(error)
    }
}
