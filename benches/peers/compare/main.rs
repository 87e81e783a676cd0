//! Runs the same work through ottla and its peers, interleaved, on one fresh broker, and prints
//! tables and ratios.

mod bars;
mod cases;
mod cluster;
mod programs;
mod stock;
mod summary;
mod table;

use crate::cases::{Case, Entry};
use crate::cluster::Cluster;
use crate::programs::{Client, Programs};
use crate::stock::Stock;
use crate::summary::Summary;
use anyhow::{Context, ensure};
use clap::Parser;
use peers::figures::Figures;
use std::time::Duration;

#[derive(Parser, Debug)]
#[command(about = "ottla beside its peers: the same work, one broker, one run; prints markdown")]
struct Args {
    /// Only this case (repeatable); the README lists them
    #[arg(long)]
    case: Vec<String>,
    /// Runs of each client, after one that is not counted; the tables show medians
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Use these running brokers instead of starting fresh ones; three hosts for the cases with three nodes, one for
    /// the others
    #[arg(long)]
    bootstrap: Option<String>,
    /// Only these clients, separated by commas
    #[arg(long, value_delimiter = ',')]
    clients: Option<Vec<Client>>,
    /// At most this many records a run, for a quick try
    #[arg(long)]
    records: Option<u64>,
    /// Count the first run as well
    #[arg(long)]
    no_warm_up: bool,
    /// Seconds after which one client's run has failed
    #[arg(long, default_value_t = 180)]
    limit: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!(
        !cfg!(debug_assertions),
        "figures of a debug build mean nothing: run it with --release"
    );
    ensure!(args.runs > 0, "--runs 0 would measure nothing");
    let cases = cases::chosen(&args.case, args.bootstrap.as_deref())?;
    let programs = Programs::build(Duration::from_secs(args.limit))?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "Medians of {} runs on one machine of {cores} cores, shared with the brokers.",
        args.runs
    );
    if let Some(most) = args.records {
        println!("At most {most} records a run: a try, not a measurement.");
    }
    for case in cases {
        let entries = entries(&args, &case, &programs);
        let summaries = measure(&args, &case, &entries, &programs)
            .with_context(|| format!("case {}", case.name))?;
        table::print(&case, &summaries);
    }
    Ok(())
}

/// What is to run in this case: the clients asked for, less those that cannot do the work or are
/// not installed.
fn entries(args: &Args, case: &Case, programs: &Programs) -> Vec<Entry> {
    let mut entries = case.entries(args.clients.as_deref());
    entries.retain(|entry| match programs.missing(entry.client) {
        Some(reason) => {
            eprintln!("{}: {} is left out: {reason}", case.name, entry.label);
            false
        }
        None => true,
    });
    if let Some(records) = args.records {
        entries
            .iter_mut()
            .for_each(|entry| entry.work.records = entry.work.records.min(records));
    }
    entries
}

fn measure(
    args: &Args,
    case: &Case,
    entries: &[Entry],
    programs: &Programs,
) -> anyhow::Result<Vec<Summary>> {
    let mut runs: Vec<Vec<Option<Figures>>> = vec![Vec::new(); entries.len()];
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let cluster = match &args.bootstrap {
        Some(hosts) => Cluster::running(hosts),
        None => Cluster::start(case.nodes)?,
    };
    let stock = Stock::fill(case, entries, &cluster, programs)?;
    let warm_up = usize::from(!args.no_warm_up);
    for round in 0..args.runs + warm_up {
        // Each round begins with another client, so that none always follows the same one.
        for turn in 0..entries.len() {
            let index = (round + turn) % entries.len();
            let figures = run_once(case, &entries[index], &cluster, &stock, programs, round)?;
            if round >= warm_up {
                runs[index].push(figures);
            }
        }
    }
    stock.delete(programs)?;
    let summaries = entries.iter().zip(&runs);
    Ok(summaries
        .map(|(entry, runs)| Summary::new(entry.label.clone(), runs))
        .collect())
}

/// One client's run, on a topic of its own unless it reads what is in stock; `None`, with the reason on standard error, when the
/// client failed.
fn run_once(
    case: &Case,
    entry: &Entry,
    cluster: &Cluster,
    stock: &Stock,
    programs: &Programs,
    round: usize,
) -> anyhow::Result<Option<Figures>> {
    let mut work = entry.work.clone();
    work.brokers = cluster.bootstrap.clone();
    eprintln!("{} round {round}: {} ...", case.name, entry.label);
    let result = if let Some(topic) = stock.topic(&entry.work) {
        work.topic = topic.to_string();
        programs.run(entry.client, case.mode, &work)
    } else {
        work.topic = format!(
            "{}-{}-{}-{round}-{}",
            case.name,
            entry.client.name(),
            work.partitions,
            std::process::id()
        );
        programs.create_topic(&work)?;
        let result = programs.run(entry.client, case.mode, &work);
        programs.delete_topic(&work)?;
        result
    };
    match result {
        Ok(figures) => {
            eprintln!(
                "{} round {round}: {}",
                case.name,
                serde_json::to_string(&figures)?
            );
            Ok(Some(figures))
        }
        Err(error) => {
            eprintln!(
                "{} round {round}: {} FAILED: {error:#}",
                case.name, entry.label
            );
            Ok(None)
        }
    }
}
