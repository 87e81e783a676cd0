//! An application that spills, killed again and again while all brokers are away.
//!
//! `OTTLA_SPILL_SECONDS` is how long they are away; default 15.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use libtest_mimic::Trial;
use ottla::spill::{Sent, SpillDelivery};
use ottla::{Client, Error, Record};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::world::{Live, NODES, Outcome, World, seconds, until};

/// What tells a process that it is the application: servers, directory, topic, and its first record's number.
const APPLICATION: &str = "OTTLA_SPILL_APPLICATION";
/// What the application exits with when the directory is in use.
const LOCKED: u8 = 3;
const PARTITIONS: i32 = 3;
const KILLS: u64 = 5;
/// Each application's numbers begin at a multiple of this.
const BLOCK: u64 = 1_000_000;
/// Longest wait for all that was spilled to be delivered.
const DRAINED: Duration = Duration::from_secs(90);

pub(crate) fn trials(world: &World) -> Vec<Trial> {
    vec![world.live(
        "spilling::what_an_application_was_told_is_safe_outlasts_kills_in_an_outage",
        kills,
    )]
}

/// The application, as the test has it.
struct Application {
    process: Child,
    lines: Receiver<String>,
}

impl Application {
    fn start(live: &Live, directory: &Path, topic: &str, number: u64) -> Outcome<Self> {
        let block = number * BLOCK;
        let directory = directory.display();
        let arguments = format!("{}|{directory}|{topic}|{block}", live.bootstrap());
        let mut process = Command::new(std::env::current_exe()?)
            .env(APPLICATION, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let (told, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines();
            lines
                .map_while(Result::ok)
                .try_for_each(|line| told.send(line))
        });
        Ok(Self { process, lines })
    }

    /// Ends it without a word to it; what it had told before.
    fn kill(mut self) -> Outcome<Vec<String>> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(self.lines.iter().collect())
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Notes the numbers of what was told as safe.
fn note(safe: &mut BTreeSet<u64>, lines: impl IntoIterator<Item = String>) {
    let numbers = lines.into_iter().filter_map(|line| {
        let number = line.strip_prefix("safe ")?;
        number.parse::<u64>().ok()
    });
    safe.extend(numbers);
}

async fn kills(live: &Live) -> Outcome {
    let topic = "spilling-kills";
    live.topic(topic, PARTITIONS)?;
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults-spilling");
    let _ = std::fs::remove_dir_all(&directory);
    let mut safe = BTreeSet::new();
    let mut application = Application::start(live, &directory, topic, 0)?;
    // It has begun when something is safe.
    note(&mut safe, [application.lines.recv()?]);
    let mut second = Application::start(live, &directory, topic, 900)?;
    let status = second.process.wait()?;
    assert_eq!(
        status.code(),
        Some(i32::from(LOCKED)),
        "one process a directory"
    );
    for node in 1..=NODES {
        live.kill(node)?;
    }
    let pause = seconds("OTTLA_SPILL_SECONDS", 15) / (KILLS as u32 + 1);
    for kill in 1..=KILLS {
        sleep(pause).await;
        note(&mut safe, application.kill()?);
        println!("kill {kill}: {} records are safe", safe.len());
        application = Application::start(live, &directory, topic, kill)?;
    }
    sleep(pause).await;
    live.heal()?;
    drop(application.process.stdin.take());
    let mut lines = Vec::new();
    until("all that was spilled is delivered", DRAINED, || {
        lines.extend(application.lines.try_iter());
        lines.iter().any(|line| line == "drained")
    })
    .await?;
    note(&mut safe, lines);
    let status = application.process.wait()?;
    assert!(status.success(), "{status}");

    let mut log: Vec<_> = live.consume_all(topic)?;
    log.sort_by_key(|record| (record.partition, record.offset));
    let mut logged: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for record in &log {
        let value = record.value.as_deref().unwrap_or_default();
        let number = std::str::from_utf8(value)?.parse()?;
        if seen.insert(number) {
            logged.entry(record.partition).or_default().push(number);
        }
    }
    let copies = log.len() - seen.len();
    println!(
        "{} safe, {} in the log, {copies} copies",
        safe.len(),
        seen.len()
    );
    let lost: Vec<_> = safe.difference(&seen).take(10).collect();
    assert!(lost.is_empty(), "told as safe and not in the log: {lost:?}");
    for (partition, numbers) in logged {
        let step = numbers.windows(2).find(|pair| pair[0] > pair[1]);
        assert_eq!(step, None, "out of order in partition {partition}");
    }
    std::fs::remove_dir_all(&directory)?;
    live.delete_topic(topic)?;
    Ok(())
}

/// Runs as the application, if this process is to be that.
pub(crate) fn application() -> Option<ExitCode> {
    let arguments = std::env::var(APPLICATION).ok()?;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    Some(match runtime.block_on(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let is_locked = matches!(
                error.downcast_ref::<Error>(),
                Some(Error::SpillLocked { .. })
            );
            ExitCode::from(if is_locked { LOCKED } else { 1 })
        }
    })
}

/// Sends numbers until its input ends, and tells of each that is safe, in order.
async fn run(arguments: &str) -> Result<(), Box<dyn std::error::Error>> {
    let [servers, directory, topic, first] = arguments.split('|').collect::<Vec<_>>()[..] else {
        return Err("four arguments are wanted".into());
    };
    let client = Client::builder()
        .bootstrap_servers(servers)
        .connect_lazily()?;
    let producer = client.producer().request_timeout(Duration::from_secs(1));
    let producer = producer.delivery_timeout(Duration::from_millis(1500));
    let producer = producer
        .spill(directory)
        .accept_second_copies(true)
        .open()
        .await?;
    let (ended, mut input) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let mut number: u64 = first.parse()?;
    let mut waiting: VecDeque<(u64, SpillDelivery)> = VecDeque::new();
    let mut ticks = interval(Duration::from_millis(10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut output = std::io::stdout();
    while input.try_recv().is_err() {
        for _ in 0..20 {
            let record = Record::to(topic).key(format!("key {}", number % 50));
            let record = record.value(number.to_string());
            waiting.push_back((number, producer.enqueue(record).await?));
            number += 1;
        }
        ticks.tick().await;
        while let Some((number, delivery)) = waiting.front_mut() {
            let outcome = tokio::select! {
                biased;
                outcome = delivery => outcome,
                () = std::future::ready(()) => break,
            };
            tell(&mut output, *number, outcome?)?;
            waiting.pop_front();
        }
    }
    for (number, delivery) in waiting {
        tell(&mut output, number, delivery.await?)?;
    }
    while producer.metrics().waiting > 0 {
        ticks.tick().await;
    }
    producer.close(Duration::from_secs(10)).await?;
    writeln!(output, "drained")?;
    Ok(())
}

/// In the pipe before the next thing happens: it outlasts the process.
fn tell(output: &mut impl Write, number: u64, _: Sent) -> std::io::Result<()> {
    writeln!(output, "safe {number}")?;
    output.flush()
}
