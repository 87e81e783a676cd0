//! A case in a process of its own, and what that process has used: the operating system's counts, from `/proc`.

#![allow(dead_code, reason = "each bench takes what it needs")]

use std::collections::HashMap;
use std::fmt::Display;
use std::process::Command;

/// The variable that tells a process which case it is.
const CASE: &str = "OTTLA_BENCH_CASE";

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Figures by name.
pub(crate) type Figures = HashMap<String, f64>;

/// The case that this process is to run, `None` in the process that runs them all.
pub(crate) fn case() -> Option<Vec<String>> {
    let case = std::env::var(CASE).ok()?;
    Some(case.split(' ').map(str::to_owned).collect())
}

/// Runs a case in a process of its own, and returns the figures that it printed.
pub(crate) fn run(case: &[&dyn Display]) -> Result<Figures, Failure> {
    let case: Vec<_> = case.iter().map(ToString::to_string).collect();
    let program = std::env::current_exe()?;
    let output = Command::new(program)
        .env(CASE, case.join(" "))
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("{case:?} failed: {text}").into());
    }
    let figures = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    });
    Ok(figures.collect())
}

pub(crate) fn figure(name: &str, value: f64) {
    println!("{name} {value}");
}

/// Seconds of processor time, of all threads of this process.
pub(crate) fn cpu() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may hold anything: the 12th and 13th field, in hundredths.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<f64>, _> = ticks.map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}

/// MiB of memory: `VmRSS` for now, `VmHWM` for the most since [`forget_peak`].
pub(crate) fn memory(kind: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(kind));
    let kilobytes = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    Ok(kilobytes.ok_or("no such line")?.parse::<f64>()? / 1024.0)
}

pub(crate) fn forget_peak() -> Result<(), Failure> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}
