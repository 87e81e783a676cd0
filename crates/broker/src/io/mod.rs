//! The shell around the state: streams, frames, the clock, and who is woken.

pub(crate) mod connection;
pub(crate) mod frames;
pub(crate) mod listener;
pub(crate) mod shared;
