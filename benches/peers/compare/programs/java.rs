//! Java's own benchmarks of its producer and its consumer. They print no CPU time, so that comes from the kernel's
//! account of the process, with the start of the JVM and the making of the payload list included.

use crate::programs::finish;
use anyhow::{Context, ensure};
use peers::figures::{Figures, Outcome};
use peers::usage::Usage;
use peers::work::{PAYLOADS, Work, payload};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) struct Java {
    jars: PathBuf,
}

impl Java {
    /// Fetches the jars, once.
    pub(crate) fn build(dir: &Path) -> anyhow::Result<Self> {
        let mut java = Command::new("java");
        let java = java
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ensure!(
            java.context("Java is not installed")?.success(),
            "java -version fails"
        );
        let jars = dir.join("libs");
        if !jars.exists() {
            let mut maven = Command::new("mvn");
            maven
                .current_dir(dir)
                .args(["-q", "-B", "dependency:copy-dependencies"]);
            let status = maven
                .arg("-DoutputDirectory=libs.part")
                .stdout(Stdio::null())
                .status();
            ensure!(
                status.context("Maven is not installed")?.success(),
                "Maven did not bring the jars"
            );
            // Only now, so that what an interrupted fetch leaves is not taken for all of them.
            std::fs::rename(dir.join("libs.part"), &jars)?;
        }
        Ok(Java { jars })
    }

    /// `scratch` takes the file of payloads.
    pub(crate) fn produce(
        &self,
        work: &Work,
        scratch: &Path,
        limit: Duration,
    ) -> anyhow::Result<Figures> {
        let mut command = self.tool("ProducerPerformance");
        command.args([
            "--bootstrap-server",
            &work.brokers,
            "--topic",
            &work.topic,
            "--throughput",
            "-1",
        ]);
        command.args(["--num-records", &work.records.to_string()]);
        command
            .arg("--payload-file")
            .arg(payload_file(work.size, scratch)?);
        command.args(["--command-property", "acks=all"]);
        command.arg(format!("enable.idempotence={}", !work.no_idempotence));
        command.arg(format!("linger.ms={}", work.linger_ms));
        command.arg(format!("batch.size={}", work.batch_size));
        command.arg(format!("buffer.memory={}", work.buffer));
        command.arg(format!("compression.type={}", work.compression));
        let (output, spent) = finish(command, limit)?;
        let (records, per_second) =
            account(&output).with_context(|| format!("its last line: {output}"))?;
        ensure!(records == work.records, "acknowledged {records}");
        Ok(figures("produce", work, per_second, spent))
    }

    /// In a group, for the tool knows no other way; its rate leaves the joining out.
    pub(crate) fn fetch(&self, work: &Work, limit: Duration) -> anyhow::Result<Figures> {
        let mut command = self.tool("ConsumerPerformance");
        command.args(["--bootstrap-server", &work.brokers, "--topic", &work.topic]);
        command.args(["--num-records", &work.records.to_string()]);
        let (output, spent) = finish(command, limit)?;
        let (bytes, records, per_second) =
            fetched(&output).with_context(|| format!("its last line: {output}"))?;
        ensure!(records == work.records, "{records} records came");
        // In MiB, with four digits.
        let expected = (work.records * work.size as u64) as f64;
        ensure!((bytes / expected - 1.0).abs() < 1e-3, "{bytes} bytes came");
        Ok(figures("fetch", work, per_second, spent))
    }

    fn tool(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        // The heap that Kafka's own script for these tools gives them.
        command.args(["-Xmx512m", "-cp"]).arg(self.jars.join("*"));
        command.arg(format!("org.apache.kafka.tools.{class}"));
        command
    }
}

fn figures(mode: &str, work: &Work, per_second: f64, spent: Usage) -> Figures {
    let nothing = Usage {
        user_s: 0.0,
        sys_s: 0.0,
        peak_mib: 0.0,
    };
    let wall = Duration::from_secs_f64(work.records as f64 / per_second);
    let done = Outcome::records(work.records);
    Figures::new("java", mode, work, &done, wall, nothing, spent)
}

/// The payloads that every other client sends, one a line.
fn payload_file(size: usize, scratch: &Path) -> anyhow::Result<PathBuf> {
    let path = scratch.join(format!("payloads-{size}.txt"));
    let lines: Vec<Vec<u8>> = (0..PAYLOADS).map(|n| payload(n, size)).collect();
    std::fs::write(&path, lines.join(&b'\n')).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// Records and records a second from the closing line: `2000000 records sent, 656000.0 records/sec
/// (...), ...`.
fn account(output: &str) -> Option<(u64, f64)> {
    let line = output.lines().rfind(|line| line.contains("99.9th"))?;
    let (records, rest) = line.split_once(" records sent, ")?;
    let (per_second, _) = rest.split_once(" records/sec")?;
    Some((
        records.trim().parse().ok()?,
        per_second.trim().parse().ok()?,
    ))
}

/// Bytes, records and records a second from the consumer's closing line: start.time, end.time, data.consumed.in.MB,
/// MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec.
fn fetched(output: &str) -> Option<(f64, u64, f64)> {
    let line = output.lines().rfind(|line| !line.trim().is_empty())?;
    let columns: Vec<&str> = line.split(',').map(str::trim).collect();
    let number = |column: usize| columns.get(column)?.parse::<f64>().ok();
    Some((
        number(2)? * f64::from(1 << 20),
        columns.get(4)?.parse().ok()?,
        number(9)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_counts_and_not_the_progress() {
        let output = "\
            100 records sent, 20.0 records/sec (0.1 MB/sec), 1.0 ms avg latency.\n\
            2000000 records sent, 656000.5 records/sec (62.56 MB/sec), 12.3 ms avg latency, \
            200.00 ms max latency, 3 ms 50th, 9 ms 95th, 20 ms 99th, 30 ms 99.9th.\n";
        assert_eq!(account(output), Some((2_000_000, 656_000.5)));
        assert_eq!(account("1 records sent, 2 records/sec"), None);
    }

    #[test]
    fn the_consumers_rate_is_the_one_without_the_joining() {
        let output = "\
            start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
            rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
            2026-11-21 16:00:00:000, 2026-11-21 16:00:02:000, 286.1023, 143.0511, 3000000, \
            1500000.0000, 500, 1500, 190.7349, 2000000.5000\n";
        let (bytes, records, per_second) = fetched(output).expect("a closing line");
        assert_eq!((records, per_second), (3_000_000, 2_000_000.5));
        assert!((bytes - 3e8).abs() < 1e3, "{bytes}");
        assert_eq!(fetched("start.time, end.time\n"), None);
    }
}
