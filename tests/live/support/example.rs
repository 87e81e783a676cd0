//! The examples, run as a person runs them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use libtest_mimic::Failed;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{self, Child, ChildStdout};

use super::{Outcome, within};

/// Longest run of one example; none comes near it unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the examples are, as they are now: the first who asks waits until they are built.
pub(super) fn built() -> Result<&'static Path, Failed> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|e| format!("building the examples: {e}")));
    Ok(built.as_ref()?)
}

/// A command that runs this example.
pub(crate) fn example(name: &str) -> Result<Command, Failed> {
    let mut command = Command::new(built()?.join(name));
    command.stdin(Stdio::null());
    Ok(command)
}

/// Runs it to its end.
pub(crate) async fn run_example(command: Command) -> Result<Output, Failed> {
    let mut command = process::Command::from(command);
    let run = command.kill_on_drop(true).output();
    Ok(within(LIMIT, "an example", run).await??)
}

/// An example while it runs; ended when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Result<Self, Failed> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::Command::from(command).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let lines = BufReader::new(output).lines();
        Ok(Self { child, lines })
    }

    /// The next line that it prints.
    pub(crate) async fn line(&mut self) -> Result<String, Failed> {
        let line = within(LIMIT, "a line of an example", self.lines.next_line()).await??;
        Ok(line.ok_or("the example ended")?)
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) -> Outcome {
        let id = self.child.id().ok_or("the example ended")?;
        let line = format!("kill -INT {id}");
        let sent = Command::new("sh").args(["-c", &line]).status()?;
        assert!(sent.success());
        Ok(())
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool, Failed> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Reads no more of what it prints, and waits until it ends.
    pub(crate) async fn end(self) -> Result<Output, Failed> {
        drop(self.lines);
        let ended = self.child.wait_with_output();
        Ok(within(LIMIT, "an example", ended).await??)
    }
}

/// What it printed.
pub(crate) fn printed(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// By the profile that this test was built with, since `cargo test --test live` builds no examples; of the whole workspace,
/// so that what `cargo test --workspace` has built is not built again with fewer features.
fn build() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let this = env::current_exe()?;
    let folder = this.ancestors().nth(2).ok_or("this program is nowhere")?;
    let target = folder.parent().ok_or("its target is nowhere")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => return Err("its profile has no name".into()),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--examples"])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !status.success() {
        return Err(status.to_string().into());
    }
    Ok(folder.join("examples"))
}
