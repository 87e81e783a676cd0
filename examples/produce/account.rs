//! What became of the lines: counted as outcomes come in, and told in the end.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ottla::{Delivery, ProducerMetrics};

use crate::ending;
use crate::screen::Screen;

/// Why no more lines were read.
pub(crate) enum End {
    /// There were none.
    Complete,
    /// By Ctrl-C.
    Interrupted,
    /// The last one could not be sent, nor could those after it.
    Refused,
    /// Standard input failed.
    Unreadable(io::Error),
}

pub(crate) struct Account {
    screen: Screen,
    started: Instant,
    /// Accepted and not yet counted, in the order of the lines.
    on_the_way: VecDeque<Sent>,
    /// How many lines were accepted or refused: the number of the last one.
    lines: u64,
    records: u64,
    bytes: u64,
    failed: u64,
    partitions: BTreeMap<i32, u64>,
    end: End,
}

/// A record on the way, and the line it came from.
struct Sent {
    line: u64,
    bytes: usize,
    delivery: Delivery,
}

impl Account {
    pub(crate) fn open(screen: Screen) -> Self {
        Self {
            screen,
            started: Instant::now(),
            on_the_way: VecDeque::new(),
            lines: 0,
            records: 0,
            bytes: 0,
            failed: 0,
            partitions: BTreeMap::new(),
            end: End::Complete,
        }
    }

    /// So many bytes of input were read.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.screen.advance(bytes);
        self.screen.status(format!(
            "{} delivered, {} failed",
            self.records, self.failed
        ));
    }

    /// The next line is a record on the way.
    pub(crate) fn accepted(&mut self, bytes: usize, delivery: Delivery) {
        self.lines += 1;
        self.on_the_way.push_back(Sent {
            line: self.lines,
            bytes,
            delivery,
        });
    }

    /// The next line is none.
    pub(crate) fn refused(&mut self, why: &dyn fmt::Display) {
        self.lines += 1;
        self.failed(self.lines, why);
    }

    fn failed(&mut self, line: u64, why: &dyn fmt::Display) {
        self.failed += 1;
        self.screen.say(&format_args!("line {line}: {why}"));
    }

    pub(crate) fn end(&mut self, end: End) {
        self.end = end;
    }

    pub(crate) fn wait(&self, what: &str) {
        self.screen.status(what.to_owned());
    }

    pub(crate) fn on_the_way(&self) -> usize {
        self.on_the_way.len()
    }

    /// Counts what is known already, which takes no waiting.
    pub(crate) async fn settle_known(&mut self) {
        while self
            .on_the_way
            .front()
            .is_some_and(|oldest| oldest.delivery.is_done())
        {
            self.settle_oldest().await;
        }
    }

    /// Waits for the oldest record's outcome; dropped half-way, it loses nothing.
    pub(crate) async fn settle_oldest(&mut self) {
        let Some(oldest) = self.on_the_way.front_mut() else {
            return;
        };
        let outcome = (&mut oldest.delivery).await;
        let (line, bytes) = (oldest.line, oldest.bytes);
        self.on_the_way.pop_front();
        self.settle(line, bytes, outcome);
    }

    pub(crate) async fn settle_all(&mut self) {
        while self.on_the_way() > 0 {
            self.settle_oldest().await;
        }
    }

    fn settle(&mut self, line: u64, bytes: usize, outcome: ottla::Result<ottla::RecordMetadata>) {
        match outcome {
            Ok(metadata) => {
                self.records += 1;
                self.bytes += bytes as u64;
                *self.partitions.entry(metadata.partition()).or_default() += 1;
            }
            Err(error) => self.failed(line, &error),
        }
    }

    /// Prints the account; its status is whether every line was delivered.
    pub(crate) fn close(self, metrics: &ProducerMetrics) -> ExitCode {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(metrics, &mut text);
        drop(self.screen);
        let printed = ending::print(&text);
        match self.end {
            End::Complete | End::Interrupted if self.failed == 0 => printed,
            _ => ExitCode::FAILURE,
        }
    }

    fn write(&self, metrics: &ProducerMetrics, out: &mut String) -> fmt::Result {
        let Self {
            lines,
            records,
            bytes,
            failed,
            ..
        } = self;
        match &self.end {
            End::Complete => {}
            End::Interrupted if *failed == 0 => writeln!(
                out,
                "interrupted    after line {lines}; everything accepted until then was delivered"
            )?,
            End::Interrupted => writeln!(out, "interrupted    after line {lines}")?,
            End::Refused => writeln!(
                out,
                "given up       at line {lines}; those after it were not sent"
            )?,
            End::Unreadable(error) => writeln!(
                out,
                "given up       after line {lines}: standard input: {error}"
            )?,
        }
        let took = self.started.elapsed();
        let rate = *records as f64 / took.as_secs_f64().max(1e-9);
        writeln!(
            out,
            "records        {records} in {took:.1?}, {rate:.0} a second; {failed} failed"
        )?;
        writeln!(
            out,
            "bytes          {bytes} of keys and values; {} sent in batches",
            metrics.sent_bytes
        )?;
        self.write_partitions(out)?;
        writeln!(
            out,
            "batches        {}, {:.1} records each, {:.1} % of batch.size full",
            metrics.batches,
            metrics.records_per_batch().unwrap_or_default(),
            metrics.batch_fill * 100.0
        )?;
        writeln!(out, "retries        {}", metrics.retries)?;
        let latency = &metrics.delivery_latency;
        let [p50, p99] = [latency.p50, latency.p99].map(millis);
        writeln!(out, "latency        p50 {p50} ms, p99 {p99} ms")
    }

    /// A few to a line, since there may be a thousand.
    fn write_partitions(&self, out: &mut String) -> fmt::Result {
        let counts: Vec<_> = self
            .partitions
            .iter()
            .map(|(partition, count)| format!("{partition}: {count}"))
            .collect();
        for (at, counts) in counts.chunks(6).enumerate() {
            let title = if at == 0 { "partitions" } else { "" };
            writeln!(out, "{title:<15}{}", counts.join("  "))?;
        }
        Ok(())
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
