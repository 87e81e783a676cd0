//! Child processes that cannot outlive the test that started them.

use std::{
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Context, Error};

/// How often a condition is looked at while waiting for it.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// A process group with a watchdog that ends the whole group when this process goes away.
///
/// The watchdog leads the group and reads a pipe whose only writer is this process. However this
/// process ends, `kill -9` included, the pipe closes and the watchdog kills its own group: no
/// process ids are kept, so none can go stale. Being in a group of their own, the members do not
/// see a Ctrl-C meant for the test run.
#[derive(Debug)]
pub(crate) struct Group {
    watchdog: Child,
}

impl Group {
    pub(crate) fn new() -> Result<Self, Error> {
        let watchdog = Command::new("sh")
            .args([
                "-c",
                "trap '' HUP INT QUIT TERM; read -r line; kill -s KILL 0",
            ])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(|| "starting the watchdog (sh)".to_owned())?;
        Ok(Self { watchdog })
    }

    /// Makes the command's process a member of this group.
    pub(crate) fn adopt(&self, command: &mut Command) -> Result<(), Error> {
        let leader = i32::try_from(self.watchdog.id())
            .map_err(|_| Error::Invalid("the watchdog's process id is out of range".to_owned()))?;
        command.process_group(leader);
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// A server's process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) paused: bool,
}

impl Process {
    pub(crate) fn spawn(group: &Group, mut command: Command) -> Result<Self, Error> {
        group.adopt(&mut command)?;
        let child = command.stdin(Stdio::null()).spawn().context(|| {
            let program = command.get_program().to_string_lossy();
            format!("starting {program}")
        })?;
        Ok(Self {
            child,
            paused: false,
        })
    }

    /// The pipe with the process's output, if its command asked for one; the first time.
    pub(crate) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How the process ended, once it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal; a process that has ended is left alone.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        // Only this struct reaps the child, so the id still belongs to it.
        if self.ended().is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), signal).context(|| format!("sending {signal:?}"))
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, then SIGKILL after `limit`; false when it came to that.
    pub(crate) fn terminate(&mut self, limit: Duration) -> Result<bool, Error> {
        self.signal(Signal::CONT)?;
        self.signal(Signal::TERM)?;
        if wait_for(limit, || self.ended().is_some()) {
            return Ok(true);
        }
        self.kill();
        Ok(false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Polls `condition` until it holds; false when `limit` passed first.
pub(crate) fn wait_for(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Runs a command to its end with `input` on its standard input, and kills it after `limit`.
pub(crate) fn run(
    mut command: Command,
    input: &[u8],
    limit: Duration,
    what: &str,
) -> Result<Output, Error> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context(|| format!("starting {what}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A tool may end without reading all of it.
                let _ = stdin.write_all(input);
            }
        });
        let stdout = scope.spawn(move || drain(stdout));
        let stderr = scope.spawn(move || drain(stderr));
        let mut status = None;
        wait_for(limit, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        match status {
            Some(status) => Ok(Output {
                status,
                stdout,
                stderr,
            }),
            None => Err(Error::Timeout {
                what: format!("the end of {what}"),
                limit,
            }),
        }
    })
}

fn drain(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// The last lines of a log file, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    tail_of(&String::from_utf8_lossy(&bytes))
}

/// The last lines of a text.
pub(crate) fn tail_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(25)..)
        .unwrap_or_default()
        .join("\n")
}
