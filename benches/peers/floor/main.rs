//! The floor: whole requests and answers through one plain blocking socket. The least that any client could spend.
//!
//! It knows no leaders: every partition must live on the first broker of the list.

mod fetch;
mod produce;
mod wire;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use peers::figures::{Figures, Outcome};
use peers::usage::Usage;
use peers::work::Work;
use std::time::Instant;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// Batches built beforehand are sent
    Produce,
    /// Batches are read and their checksums compared
    Fetch,
}

#[derive(Parser)]
#[command(about = "Whole batches through one plain socket: prints one JSON line of figures")]
struct Args {
    mode: Mode,
    #[command(flatten)]
    work: Work,
}

fn main() -> anyhow::Result<()> {
    let Args { mode, work } = Args::parse();
    let broker = work.brokers.split(',').next().context("no broker named")?;
    let frames = match mode {
        Mode::Produce => produce::frames(&work)?,
        Mode::Fetch => Vec::new(),
    };
    let (before, start) = (Usage::so_far(), Instant::now());
    let (name, records) = match mode {
        Mode::Produce => ("produce", produce::send(&work, broker, &frames)?),
        Mode::Fetch => ("fetch", fetch::fetch(&work, broker)?),
    };
    let wall = start.elapsed();
    let done = Outcome::records(records);
    Figures::new("floor", name, &work, &done, wall, before, Usage::so_far()).print()
}
