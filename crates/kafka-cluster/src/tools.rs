//! Kafka's own command line tools.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    Cluster, Error, Version,
    error::Context,
    jars::Jars,
    process::{Process, run},
};

/// Longest run of one tool.
const LIMIT: Duration = Duration::from_secs(120);

/// A command that runs a Java class of a Kafka version, such as
/// `org.apache.kafka.tools.TopicCommand`.
///
/// # Errors
///
/// When Java or Maven is missing.
pub fn tool_command(version: Version, class: &str) -> Result<Command, Error> {
    let mut command = Jars::get(version)?.java();
    command.args([
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        class,
    ]);
    Ok(command)
}

/// Longest wait for the orderly end of one that runs until it is told to end.
const END: Duration = Duration::from_secs(30);

/// A tool that runs until it is told to end, such as a consumer of a group; killed when dropped.
#[derive(Debug)]
pub struct RunningTool {
    process: Process,
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl RunningTool {
    /// What it has printed on its standard output up to now.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }

    /// Has it end in order (SIGTERM), and gives all that it has printed.
    ///
    /// # Errors
    ///
    /// When it did not end within 30 s and was killed.
    pub fn terminate(mut self) -> Result<Vec<String>, Error> {
        let has_ended = self.process.terminate(END)?;
        // Its pipe is closed, so that the reader ends as well.
        let _ = self.reader.join();
        if !has_ended {
            return Err(Error::Timeout {
                what: "the orderly end of a tool".to_owned(),
                limit: END,
            });
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(lines.clone())
    }
}

impl Cluster {
    /// Starts a Java tool of the cluster's version that runs until it is told to end;
    /// `--bootstrap-server` is the caller's to pass.
    ///
    /// What it prints on standard error goes to `tools.log` in the cluster's directory.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start_tool(&self, class: &str, arguments: &[&str]) -> Result<RunningTool, Error> {
        let log = self.dir().join("tools.log");
        let errors = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .context(|| format!("opening {}", log.display()))?;
        let mut command = tool_command(self.version(), class)?;
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut process = Process::spawn(&self.group, command)?;
        let output = process.stdout();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = lines.clone();
        let reader = thread::spawn(move || {
            let output = output
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).lines());
            for line in output.map_while(Result::ok) {
                read.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        Ok(RunningTool {
            process,
            lines,
            reader,
        })
    }

    /// Runs a Java tool of the cluster's version to its end; `--bootstrap-server` is the caller's
    /// to pass.
    ///
    /// # Errors
    ///
    /// When it cannot be started or runs longer than two minutes; a bad exit status is in the
    /// [`Output`].
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<Output, Error> {
        self.tool_with_input(class, arguments, &[])
    }

    /// As [`Cluster::tool`], with `input` on its standard input.
    ///
    /// # Errors
    ///
    /// As [`Cluster::tool`].
    pub fn tool_with_input(
        &self,
        class: &str,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Output, Error> {
        let mut command = tool_command(self.version(), class)?;
        command.args(arguments);
        self.group.adopt(&mut command)?;
        run(command, input, LIMIT, class)
    }

    /// Reads a topic from its beginning to its end by the stock console consumer of the cluster's
    /// version, as text.
    ///
    /// Each line has timestamp, partition, offset, headers, key and value, as far as the version
    /// can print them: 2.5.0 leaves out partition, offset and headers. `properties` are added for
    /// the formatter, such as `null.literal`. Meant for topics whose offsets have no gaps; for
    /// exact bytes use [`Cluster::consume_all`].
    ///
    /// # Errors
    ///
    /// When the topic does not exist, or the tool fails or finds fewer records than the offsets
    /// tell.
    pub fn console_consume(
        &self,
        topic: &str,
        properties: &[(&str, &str)],
    ) -> Result<String, Error> {
        let total: i64 = self
            .offsets(topic)?
            .iter()
            .map(|partition| partition.end - partition.start)
            .sum();
        if total == 0 {
            return Ok(String::new());
        }
        let (class, option) = match self.version() {
            Version::V2_5_0 => ("kafka.tools.ConsoleConsumer", "--property"),
            Version::V3_9_1 => (
                "org.apache.kafka.tools.consumer.ConsoleConsumer",
                "--property",
            ),
            // The old option still works, but says on standard output that it is old.
            Version::V4_3_0 => (
                "org.apache.kafka.tools.consumer.ConsoleConsumer",
                "--formatter-property",
            ),
        };
        let printed = ["timestamp", "partition", "offset", "headers", "key"]
            .map(|name| format!("print.{name}=true"));
        let added = properties
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let formatting: Vec<String> = printed.into_iter().chain(added).collect();
        let (bootstrap, total) = (self.running_addresses()?, total.to_string());
        let mut arguments = vec![
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            topic,
            "--from-beginning",
        ];
        arguments.extend(["--max-messages", &total, "--timeout-ms", "20000"]);
        arguments.extend(formatting.iter().flat_map(|property| [option, property]));
        let output = self.tool(class, &arguments)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let errors = text(&output.stderr);
        // Running into the timeout is not an error to every version, but each says how many it
        // read.
        if output.status.success()
            && errors.contains(&format!("Processed a total of {total} messages"))
        {
            return Ok(text(&output.stdout));
        }
        Err(Error::Failed {
            what: format!("the console consumer did not read {total} records"),
            output: errors,
        })
    }
}
