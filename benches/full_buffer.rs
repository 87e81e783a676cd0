//! A full buffer: thousands of tasks, each of which sends a keyed record of 1 kB, awaits its acknowledgement, and sends the
//! next one, with more memory than they need and with far less.
//!
//! ```sh
//! cargo bench --bench full_buffer                                  # a broker that keeps nothing, in another process
//! cargo bench --bench full_buffer -- --bootstrap localhost:9092    # a real one: topic "full-buffer", 12 partitions
//! ```
//!
//! Each case is a process of its own; `peak` is what it needs beyond the same tasks asleep. A first case warms the broker up and
//! does not count; then come three turns, of which the medians are judged. Bars: `peak` is at most the buffer and 32 MiB, batches
//! are filled to 0.3, and, where a real broker sets the pace, the small buffer gives at least 0.7 times the records of the large
//! one, and four times the tasks are no worse (within 10 %, the noise of a run). A broker that keeps nothing shows what waiting
//! costs in processor time instead: each record wakes its task once more. Needs Linux. `--seconds` is a case's length (10).

#![allow(
    clippy::indexing_slicing,
    reason = "a panic ends a benchmark as well as anything"
)]

#[path = "support/broker.rs"]
mod broker;
#[path = "support/process.rs"]
mod process;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla::{Client, Producer, Record};
use tokio::sync::watch;

use process::{Failure, Figures, figure};

const TOPIC: &str = "full-buffer";
const PARTITIONS: i32 = 12;
const LARGE: usize = 32 << 20;
const SMALL: usize = 2_000_000;
/// Tasks and `buffer.memory` of each case.
const CASES: [(usize, usize); 3] = [(5_000, LARGE), (5_000, SMALL), (20_000, SMALL)];
const TURNS: usize = 3;
const LEAST_RATE: f64 = 0.7;
const LEAST_FILL: f64 = 0.3;
const LEAST_SCALING: f64 = 0.9;
const MOST_BESIDE: f64 = 32.0;

fn main() -> Result<(), Failure> {
    if let Some(case) = process::case() {
        let [address, tasks, memory, seconds] = &case[..] else {
            return Err("a case is an address, tasks, bytes and seconds".into());
        };
        let runtime = tokio::runtime::Runtime::new()?;
        let seconds = Duration::from_secs(seconds.parse()?);
        return runtime.block_on(measure(address, tasks.parse()?, memory.parse()?, seconds));
    }
    let (mut bootstrap, mut seconds) = (None, 10);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bootstrap" => bootstrap = arguments.next(),
            "--seconds" => seconds = arguments.next().ok_or("how many?")?.parse()?,
            // Cargo's own.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let is_real = bootstrap.is_some();
    let address = match bootstrap {
        Some(address) => address,
        None => broker::start(PARTITIONS)?.to_string(),
    };
    let [(tasks, memory), ..] = CASES;
    process::run(&[&address, &tasks, &memory, &seconds])?;
    println!("  tasks     buffer   records/s   fill   us/record   waits/record   peak MiB");
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let mut turn = Vec::new();
        for (tasks, memory) in CASES {
            let figures = process::run(&[&address, &tasks, &memory, &seconds])?;
            print(tasks, memory, &figures)?;
            turn.push(figures);
        }
        turns.push(turn);
    }
    println!("medians:");
    let mut all = Vec::new();
    for (case, (tasks, memory)) in CASES.into_iter().enumerate() {
        let of_case: Vec<_> = turns.iter().map(|turn| &turn[case]).collect();
        let figures = medians(&of_case);
        print(tasks, memory, &figures)?;
        all.push(figures);
    }
    judge(&all, is_real)
}

fn print(tasks: usize, memory: usize, figures: &Figures) -> Result<(), Failure> {
    let of = |name| get(figures, name);
    println!(
        "{tasks:7} {memory:10} {:11.0} {:6.3} {:11.2} {:14.2} {:10.1}",
        of("rate")?,
        of("fill")?,
        of("cpu")?,
        of("waits")?,
        of("peak")?
    );
    Ok(())
}

/// Of each figure, the one in the middle of all turns.
fn medians(turns: &[&Figures]) -> Figures {
    let mut medians = Figures::new();
    for name in turns.first().into_iter().flat_map(|turn| turn.keys()) {
        let mut all: Vec<_> = turns.iter().filter_map(|turn| turn.get(name)).collect();
        all.sort_by(|a, b| a.total_cmp(b));
        medians.insert(name.clone(), *all[all.len() / 2]);
    }
    medians
}

fn get(figures: &Figures, name: &str) -> Result<f64, Failure> {
    Ok(*figures
        .get(name)
        .ok_or_else(|| format!("no figure for {name}"))?)
}

/// Fails when a bar was missed.
fn judge(all: &[Figures], is_real: bool) -> Result<(), Failure> {
    let [large, small, many] = all else {
        return Err("three cases are compared".into());
    };
    let ratio = get(small, "rate")? / get(large, "rate")?;
    let scaling = get(many, "rate")? / get(small, "rate")?;
    let fill = get(small, "fill")?.min(get(many, "fill")?);
    let mut beside = f64::MIN;
    for (figures, (_, memory)) in all.iter().zip(CASES) {
        beside = beside.max(get(figures, "peak")? - memory as f64 / f64::from(1 << 20));
    }
    println!("small buffer: {ratio:.2} x the records/s of the large one, fill {fill:.2}");
    println!("20,000 tasks: {scaling:.2} x the records/s of 5,000");
    println!("memory beside the buffer: {beside:.1} MiB at most");
    let bars = [
        (
            "records/s with a small buffer",
            !is_real || ratio >= LEAST_RATE,
        ),
        ("batch fill", fill >= LEAST_FILL),
        (
            "records/s of 20,000 tasks",
            !is_real || scaling >= LEAST_SCALING,
        ),
        ("memory beside the buffer", beside <= MOST_BESIDE),
    ];
    let missed: Vec<_> = bars.iter().filter(|bar| !bar.1).map(|bar| bar.0).collect();
    if missed.is_empty() {
        Ok(())
    } else {
        Err(format!("bars missed: {}", missed.join(", ")).into())
    }
}

/// One case.
async fn measure(
    address: &str,
    tasks: usize,
    memory: usize,
    length: Duration,
) -> Result<(), Failure> {
    let client = Client::connect(address).await?;
    let producer = client.producer().buffer_memory(memory).build()?;
    let partitions = producer.prepare(TOPIC).await?;
    if i64::from(partitions) != i64::from(PARTITIONS) {
        return Err(format!("{TOPIC} has {partitions} partitions, not {PARTITIONS}").into());
    }
    let payload: Arc<[u8]> = support::payload(1, 1000).into();
    let (begin, begun) = watch::channel(false);
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let asleep = Arc::new(AtomicU64::new(0));
    let running: Vec<_> = (0..tasks as u64)
        .map(|task| {
            let task = Task {
                producer: producer.clone(),
                payload: Arc::clone(&payload),
                stop: Arc::clone(&stop),
                sent: Arc::clone(&sent),
                asleep: Arc::clone(&asleep),
                begun: begun.clone(),
                key: task,
            };
            tokio::spawn(task.run())
        })
        .collect();
    while asleep.load(Ordering::Relaxed) < tasks as u64 {
        tokio::task::yield_now().await;
    }
    process::forget_peak()?;
    let before = process::memory("VmRSS")?;
    begin.send_replace(true);
    // Not before the first batches, which grow from nothing, are gone.
    tokio::time::sleep(length / 5).await;
    let (cpu, from, waits) = (
        process::cpu()?,
        sent.load(Ordering::Relaxed),
        producer.metrics().buffer_waits,
    );
    let began = Instant::now();
    tokio::time::sleep(length).await;
    let took = began.elapsed().as_secs_f64();
    let records = (sent.load(Ordering::Relaxed) - from) as f64;
    let metrics = producer.metrics();
    figure("rate", records / took);
    figure("cpu", (process::cpu()? - cpu) * 1e6 / records);
    figure("waits", (metrics.buffer_waits - waits) as f64 / records);
    figure("fill", metrics.batch_fill);
    figure("peak", process::memory("VmHWM")? - before);
    stop.store(true, Ordering::Relaxed);
    for task in running {
        task.await??;
    }
    assert_eq!(producer.metrics().buffer_used, 0);
    producer.close(Duration::from_secs(10)).await?;
    Ok(())
}

struct Task {
    producer: Producer,
    payload: Arc<[u8]>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    asleep: Arc<AtomicU64>,
    begun: watch::Receiver<bool>,
    key: u64,
}

impl Task {
    async fn run(mut self) -> ottla::Result<()> {
        self.asleep.fetch_add(1, Ordering::Relaxed);
        if self.begun.wait_for(|begun| *begun).await.is_err() {
            return Ok(());
        }
        while !self.stop.load(Ordering::Relaxed) {
            let key = self.key.to_be_bytes();
            let record = Record::to(TOPIC).key(&key).value(&self.payload[..]);
            self.producer.send(record).await?;
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.key += 1;
        }
        Ok(())
    }
}
