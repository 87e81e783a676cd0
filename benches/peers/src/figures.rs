//! The line of figures that each client's process prints, one JSON object.

use crate::usage::Usage;
use crate::work::Work;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The names are those of the first measurements, so that old and new lines can be compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub client: String,
    pub mode: String,
    pub size: usize,
    pub comp: String,
    pub n: u64,
    pub wall_s: f64,
    pub krec_s: f64,
    #[serde(rename = "MB_s")]
    pub mb_s: f64,
    pub user_s: f64,
    pub sys_s: f64,
    pub cpu_us_per_rec: f64,
    /// Peak resident memory in MiB, the whole process.
    #[serde(rename = "rss_MB")]
    pub rss_mib: f64,
    /// Zero where single records are not timed.
    pub p50_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    /// Mean batch fill, from the client's own counters where it has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_batch: Option<f64>,
}

/// What a client reports about the work it did.
#[derive(Debug)]
pub struct Outcome {
    /// Records acknowledged or handed out.
    pub records: u64,
    /// Microseconds from call to acknowledgement, where the mode times each record.
    pub latencies: Option<Histogram<u64>>,
    /// Mean batch fill, where the client counts it.
    pub records_per_batch: Option<f64>,
}

impl Outcome {
    pub fn records(records: u64) -> Self {
        Outcome {
            records,
            latencies: None,
            records_per_batch: None,
        }
    }

    pub fn timed(records: u64, latencies: Histogram<u64>) -> Self {
        Outcome {
            latencies: Some(latencies),
            ..Self::records(records)
        }
    }
}

impl Figures {
    /// From what was done in `wall` between two readings of the process's usage.
    pub fn new(
        client: &str,
        mode: &str,
        work: &Work,
        done: &Outcome,
        wall: Duration,
        before: Usage,
        after: Usage,
    ) -> Self {
        let (n, wall_s) = (done.records as f64, wall.as_secs_f64());
        let (user_s, sys_s) = (after.user_s - before.user_s, after.sys_s - before.sys_s);
        let round = |x: f64| (x * 1e4).round() / 1e4;
        let quantile = |q| {
            done.latencies
                .as_ref()
                .map_or(0, |h| h.value_at_quantile(q))
        };
        Figures {
            client: client.to_string(),
            mode: mode.to_string(),
            size: work.size,
            comp: work.compression.clone(),
            n: done.records,
            wall_s: round(wall_s),
            krec_s: round(n / wall_s / 1e3),
            mb_s: round(n * work.size as f64 / wall_s / 1e6),
            user_s: round(user_s),
            sys_s: round(sys_s),
            cpu_us_per_rec: round((user_s + sys_s) * 1e6 / n),
            rss_mib: round(after.peak_mib),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            records_per_batch: done.records_per_batch,
        }
    }

    pub fn print(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
