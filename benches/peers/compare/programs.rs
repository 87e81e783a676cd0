//! The clients' programs: building them, running one, reading its line of figures.

mod java;

use crate::programs::java::Java;
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use peers::figures::Figures;
use peers::usage::{self, Usage};
use peers::work::Work;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Client {
    Ottla,
    /// ottla, asked for one record at a time
    OttlaRecv,
    Rdkafka,
    Krafka,
    Kacrab,
    Rskafka,
    FranzGo,
    Java,
    Floor,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Produce,
    Latency,
    Fetch,
    EndToEnd,
    GroupStart,
}

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Client::Ottla => "ottla",
            Client::OttlaRecv => "ottla-recv",
            Client::Rdkafka => "rdkafka",
            Client::Krafka => "krafka",
            Client::Kacrab => "kacrab",
            Client::Rskafka => "rskafka",
            Client::FranzGo => "franz-go",
            Client::Java => "java",
            Client::Floor => "floor",
        }
    }

    /// Whether the client's program does this kind of work.
    pub(crate) fn can(self, mode: Mode, work: &Work) -> bool {
        let produce = mode == Mode::Produce && !work.keyed && !work.spread;
        match self {
            Client::Java => produce || mode == Mode::Fetch,
            Client::Floor if work.replication != 1 => false,
            Client::Floor if mode == Mode::Fetch => work.hold_ms == 0,
            Client::Floor => produce && work.compression == "none",
            Client::OttlaRecv => mode == Mode::Fetch,
            Client::Rskafka => mode != Mode::GroupStart,
            Client::Ottla | Client::Rdkafka | Client::Krafka | Client::Kacrab | Client::FranzGo => {
                true
            }
        }
    }
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Produce => "produce",
            Mode::Latency => "latency",
            Mode::Fetch => "fetch",
            Mode::EndToEnd => "end-to-end",
            Mode::GroupStart => "group-start",
        }
    }

    /// Whether what is read must be there before.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Mode::Fetch | Mode::GroupStart)
    }
}

pub(crate) struct Programs {
    /// Where cargo put the Rust programs, this one among them.
    binaries: PathBuf,
    franz_go: Result<PathBuf, String>,
    java: Result<Java, String>,
    limit: Duration,
}

impl Programs {
    /// Builds everything. A client whose tools are not installed is left out; a run that takes
    /// longer than `limit` fails.
    pub(crate) fn build(limit: Duration) -> anyhow::Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        eprintln!("building the clients' programs (in a fresh checkout, many minutes)");
        let mut cargo = cargo(package);
        cargo.args(["build", "--release", "--bins"]);
        ensure!(
            cargo.status().context("cargo")?.success(),
            "the Rust programs do not build"
        );
        let this = std::env::current_exe()?;
        Ok(Programs {
            binaries: this.parent().context("no folder")?.to_path_buf(),
            franz_go: build_franz_go(&package.join("franz-go"))
                .map_err(|error| format!("{error:#}")),
            java: Java::build(&package.join("java")).map_err(|error| format!("{error:#}")),
            limit,
        })
    }

    /// Why `client` cannot run, if it cannot.
    pub(crate) fn missing(&self, client: Client) -> Option<&str> {
        match client {
            Client::FranzGo => self.franz_go.as_ref().err().map(String::as_str),
            Client::Java => self.java.as_ref().err().map(String::as_str),
            _ => None,
        }
    }

    pub(crate) fn create_topic(&self, work: &Work) -> anyhow::Result<()> {
        self.topic("create", work)
    }

    pub(crate) fn delete_topic(&self, work: &Work) -> anyhow::Result<()> {
        self.topic("delete", work)
    }

    fn topic(&self, verb: &str, work: &Work) -> anyhow::Result<()> {
        let mut command = Command::new(self.binaries.join("peers"));
        command.args(["rdkafka", verb]).args(work.to_args());
        finish(command, self.limit).with_context(|| format!("{verb} {}", work.topic))?;
        Ok(())
    }

    /// Runs one client once.
    pub(crate) fn run(&self, client: Client, mode: Mode, work: &Work) -> anyhow::Result<Figures> {
        let missing = |reason: &String| anyhow::anyhow!("{reason}");
        let mut command = match client {
            Client::Java => {
                let java = self.java.as_ref().map_err(missing)?;
                return match mode {
                    Mode::Fetch => java.fetch(work, self.limit),
                    _ => java.produce(work, &self.binaries, self.limit),
                };
            }
            Client::FranzGo => {
                let mut command = Command::new(self.franz_go.as_ref().map_err(missing)?);
                command.args(["--mode", mode.name()]);
                command
            }
            Client::Floor => {
                let mut command = Command::new(self.binaries.join("floor"));
                command.arg(mode.name());
                command
            }
            Client::OttlaRecv => {
                let mut command = Command::new(self.binaries.join("peers"));
                command.args(["ottla", mode.name(), "--recv"]);
                command
            }
            Client::Ottla | Client::Rdkafka | Client::Krafka | Client::Kacrab | Client::Rskafka => {
                let mut command = Command::new(self.binaries.join("peers"));
                command.args([client.name(), mode.name()]);
                command
            }
        };
        command.args(work.to_args());
        let (output, _) = finish(command, self.limit)?;
        let line = output.lines().last().context("it printed nothing")?;
        serde_json::from_str(line).with_context(|| format!("its figures: {line}"))
    }
}

/// Cargo, to be run in `dir` as from a shell.
///
/// `cargo run` tells this program's package to its environment, and with it to every program that this one starts.
/// Build scripts watch those variables: to cargo they would have changed with each build from in here and back with
/// each from a shell, and TLS, krafka and all programs would be compiled anew every time, for minutes.
pub(crate) fn cargo(dir: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(dir);
    for (name, _) in std::env::vars_os() {
        let ours =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(ours) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn build_franz_go(dir: &Path) -> anyhow::Result<PathBuf> {
    let mut go = Command::new("go");
    let status = go
        .current_dir(dir)
        .args(["build", "-o", "franz", "."])
        .status();
    ensure!(
        status.context("Go is not installed")?.success(),
        "it does not build"
    );
    Ok(dir.join("franz"))
}

/// Runs a program to its end; its standard output, and what it has spent, if it succeeds.
fn finish(mut command: Command, limit: Duration) -> anyhow::Result<(String, Usage)> {
    let mut child = command
        // A failure is told in its last lines, which a backtrace would fill.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Read beside the wait: a program that fails may print more than a pipe holds.
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let read = |pipe: &mut dyn Read| {
        let mut text = Vec::new();
        // What was read before an error is still worth showing.
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let (result, output, errors) = std::thread::scope(|scope| {
        let output = scope.spawn(|| out.as_mut().map_or(String::new(), |pipe| read(pipe)));
        let errors = scope.spawn(|| err.as_mut().map_or(String::new(), |pipe| read(pipe)));
        let result = usage::wait(&child, limit);
        (
            result,
            output.join().unwrap_or_default(),
            errors.join().unwrap_or_default(),
        )
    });
    let (status, usage) = result?;
    if !status.success() {
        let last = errors.lines().rev().take(20).collect::<Vec<_>>();
        bail!(
            "{status} (longest run allowed: {limit:?})\n{}",
            last.into_iter().rev().collect::<Vec<_>>().join("\n")
        );
    }
    Ok((output, usage))
}
