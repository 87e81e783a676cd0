//! The command line.

use clap::Parser;
use ottla_app::{Parts, within};

/// Hands out 100 coupons to the first of many applicants, and checks that it did.
///
/// Without options a broker, a counter and a database within this process play the parts of Kafka, Redis and MySQL.
/// Exit status: 0 when exactly the right coupons are in the table, 1 when not, 2 for wrong options.
#[derive(Clone, Debug, Parser)]
#[command(name = "coupon", version)]
pub struct Options {
    /// Which parts to work with.
    #[command(flatten)]
    pub parts: Parts,

    /// A real Redis as the gate, redis://HOST:PORT; without it a counter within this process
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,

    /// How many users apply
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = within::<u64>(0, 1_000_000_000))]
    pub applicants: u64,

    /// How many of them at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = within::<usize>(1, 10_000))]
    pub workers: usize,

    /// Consumers in group_1; with 0 those of another process save the coupons
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within::<usize>(0, 100))]
    pub members: usize,

    /// Go on saving coupons until Ctrl-C
    #[arg(long)]
    pub serve: bool,

    /// Forget the coupons and the count of an earlier run first
    #[arg(long)]
    pub reset: bool,
}
