//! Servers other than Kafka, such as Redis, that cannot outlive the test that started them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{Context, Error};
use crate::process::{Group, Process, tail, wait_for};

/// A server's process, ended when it is dropped, and with this process however that ends.
#[derive(Debug)]
pub struct Server {
    process: Process,
    name: String,
    log: PathBuf,
    _group: Group,
}

impl Server {
    /// Starts a program; what it says goes to the file `log`.
    ///
    /// # Errors
    /// [`Error::Io`] when the program is not there, or the file cannot be made.
    pub fn start(mut command: Command, log: &Path) -> Result<Self, Error> {
        let group = Group::new()?;
        let file = File::create(log).context(|| format!("creating {}", log.display()))?;
        let copy = file.try_clone().context(|| "copying a file".to_owned())?;
        command.stdout(copy).stderr(file);
        let name = command.get_program().to_string_lossy().into_owned();
        Ok(Self {
            process: Process::spawn(&group, command)?,
            name,
            log: log.to_owned(),
            _group: group,
        })
    }

    /// Looks until something is there, such as the server's first answer.
    ///
    /// # Errors
    /// [`Error::Failed`] as soon as the process has ended, with the end of what it said; [`Error::Timeout`] when it
    /// lives on and nothing is found within `limit`.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, Error> {
        let mut found = None;
        let mut ended = None;
        wait_for(limit, || {
            ended = self.process.ended();
            found = look();
            found.is_some() || ended.is_some()
        });
        match (found, ended) {
            (Some(found), _) => Ok(found),
            (None, Some(status)) => Err(Error::Failed {
                what: format!("{} ended before {what}: {status}", self.name),
                output: tail(&self.log),
            }),
            (None, None) => Err(Error::Timeout {
                what: format!("{}: {what}", self.name),
                limit,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Longer than any test may take.
    const LONG: Duration = Duration::from_secs(300);

    fn log(name: &str) -> PathBuf {
        let name = format!("kafka-cluster-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_that_ends_is_told_at_once_with_its_last_words() {
        let log = log("ends");
        let begin = Instant::now();
        let mut server = Server::start(shell("echo no port left; exit 3"), &log).unwrap();
        let Err(error) = server.wait_for::<()>("it answers", LONG, || None) else {
            panic!("what ended has answered");
        };
        let text = error.to_string();
        assert!(
            text.starts_with("sh ended before it answers: exit status: 3"),
            "{text}"
        );
        assert!(text.ends_with("no port left"), "{text}");
        assert!(begin.elapsed() < LONG / 5);
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_by_name() {
        let log = log("missing");
        let error = Server::start(Command::new("no-such-program"), &log).unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_server_lives_until_it_is_dropped() {
        let log = log("lives");
        let mut server = Server::start(shell("echo ready; exec sleep 300"), &log).unwrap();
        let said = || {
            std::fs::read_to_string(&log)
                .ok()
                .filter(|said| !said.is_empty())
        };
        assert_eq!(server.wait_for("it speaks", LONG, said).unwrap(), "ready\n");
        assert!(server.process.ended().is_none());
        let begin = Instant::now();
        drop(server);
        assert!(begin.elapsed() < LONG / 5);
        std::fs::remove_file(log).unwrap();
    }
}
