//! The command line.

use std::net::SocketAddr;

use clap::Parser;
use ottla_app::{Parts, within};

/// Confirms payments over HTTP and carries the approved ones through a topic to a table, in order per ticket type.
///
/// Without options a gateway's stand-in, a broker and a database within this process play the other parts, a thousand
/// payments are made, and the table is compared with them. Exit status: 0 when it is right, 1 when not, 2 for wrong
/// options.
#[derive(Clone, Debug, Parser)]
#[command(name = "payment", version)]
pub struct Options {
    /// Which parts to work with.
    #[command(flatten)]
    pub parts: Parts,

    /// Keep POST /payments/confirm open until Ctrl-C; without an address at 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    pub serve: Option<SocketAddr>,

    /// A payment gateway that answers as Toss Payments does; without it a stand-in, which declines keys that begin with
    /// decline, and takes its time over those that begin with slow
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,

    /// How many payments to make [default: 1000, with --serve 0]
    #[arg(long, value_name = "N", value_parser = within::<u64>(0, 100_000_000))]
    pub payments: Option<u64>,

    /// For how many ticket types; those of one are made one after another, so that they have an order
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = within::<usize>(1, 10_000))]
    pub ticket_types: usize,

    /// Wait with each answer for Kafka's acknowledgement (?sync=true)
    #[arg(long)]
    pub sync: bool,

    /// Consumers in payment-service; with 0 those of another process save the payments
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = within::<usize>(0, 100))]
    pub members: usize,
}

impl Options {
    /// How many payments to make.
    #[must_use]
    pub fn payments(&self) -> u64 {
        self.payments
            .unwrap_or(if self.serve.is_some() { 0 } else { 1000 })
    }
}
