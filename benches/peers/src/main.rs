//! The same work through one Rust client a process; prints one JSON line of figures.
//!
//! To add a client: a file with a [`Peer`] in it, a variant of [`Client`], an arm in `main`.

mod arrivals;
mod kacrab;
mod krafka;
mod observe;
mod ottla;
mod peer;
mod rdkafka;
mod rskafka;
mod tally;
mod topics;

use crate::peer::{Peer, Pool};
use clap::builder::PossibleValue;
use clap::{Parser, ValueEnum};
use peers::figures::{Figures, Outcome};
use peers::usage::Usage;
use peers::work::Work;
use std::time::Instant;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Client {
    Ottla,
    Rdkafka,
    Krafka,
    Kacrab,
    Rskafka,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// Every record enqueued as fast as it goes, every acknowledgement observed
    Produce,
    /// One record at a time, each acknowledged before the next
    Latency,
    /// Every record of the topic read from the beginning, its partitions named by hand
    Fetch,
    /// One record at a time, from being sent until a consumer is handed it
    EndToEnd,
    /// One consumer after another, alone in a new group, until it is handed its first record
    GroupStart,
    /// Create the topic, replacing one that exists (through rdkafka, whatever the client)
    Create,
    /// Delete the topic (through rdkafka, whatever the client)
    Delete,
}

#[derive(Parser, Debug)]
#[command(about = "The same work through one client: prints one JSON line of figures")]
struct Args {
    client: Client,
    mode: Mode,
    #[command(flatten)]
    work: Work,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let Args { client, mode, work } = Args::parse();
    match mode {
        Mode::Create => return topics::create(&work).await,
        Mode::Delete => return topics::delete(&work).await,
        Mode::Produce | Mode::Latency | Mode::Fetch | Mode::EndToEnd | Mode::GroupStart => {}
    }
    let pool = Pool::new(&work);
    let (before, start) = (Usage::so_far(), Instant::now());
    let done = match client {
        Client::Ottla => run::<ottla::Ottla>(mode, &work, &pool).await?,
        Client::Rdkafka => run::<rdkafka::Rdkafka>(mode, &work, &pool).await?,
        Client::Krafka => run::<krafka::Krafka>(mode, &work, &pool).await?,
        Client::Kacrab => run::<kacrab::Kacrab>(mode, &work, &pool).await?,
        Client::Rskafka => run::<rskafka::Rskafka>(mode, &work, &pool).await?,
    };
    let wall = start.elapsed();
    let name =
        |value: Option<PossibleValue>| value.map(|v| v.get_name().to_string()).unwrap_or_default();
    Figures::new(
        &name(client.to_possible_value()),
        &name(mode.to_possible_value()),
        &work,
        &done,
        wall,
        before,
        Usage::so_far(),
    )
    .print()
}

async fn run<P: Peer>(mode: Mode, work: &Work, pool: &Pool) -> anyhow::Result<Outcome> {
    match mode {
        Mode::Produce => P::produce(work, pool).await,
        Mode::Latency => P::latency(work, pool).await,
        Mode::Fetch => P::fetch(work).await,
        Mode::EndToEnd => P::end_to_end(work, pool).await,
        Mode::GroupStart => P::group_start(work).await,
        Mode::Create | Mode::Delete => unreachable!("handled before any client is made"),
    }
}
