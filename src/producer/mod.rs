//! The producer.

mod partitioner;

pub use partitioner::Partitioner;
