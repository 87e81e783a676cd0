//! A development Kafka in one process.

fn main() {}
