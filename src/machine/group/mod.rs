//! The consumer group's pure half: what members tell each other, how partitions are shared out, and membership itself.

pub(crate) mod assign;
pub(crate) mod protocol;
