//! Kinds of values: one way to parse and bound each, for Kafka's names and typed setters alike.

mod number;
mod servers;
mod text;
mod words;

pub(super) use number::{Bounded, INT, LONG, OrNone};
pub(super) use servers::Servers;
pub(super) use text::{FilePath, Hidden, Jaas, Pem, Text};
pub(super) use words::{Choice, Choices, Flag, Identifier, List};
