//! Pure state machines: no tokio, clock, lock, random or IO; time is an argument.

pub(crate) mod fetch;
pub(crate) mod group;
pub(crate) mod interest;
pub(crate) mod produce;
pub(crate) mod runner;
pub(crate) mod topology;
pub(crate) mod transaction;
