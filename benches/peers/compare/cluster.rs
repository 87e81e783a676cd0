//! The broker under the clients: a fresh one from this repository's `kafka-cluster`, or one that is
//! running already.

use crate::programs;
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

pub(crate) struct Cluster {
    pub(crate) bootstrap: String,
    /// Ends when its standard input closes.
    fixture: Option<Child>,
}

/// A deleted topic's files go at once, and one that is not deleted cannot fill the disk.
const PROPERTIES: [&str; 2] = [
    "log.segment.delete.delay.ms=1000",
    "log.retention.bytes=2147483648",
];

impl Cluster {
    pub(crate) fn running(bootstrap: &str) -> Self {
        Cluster {
            bootstrap: bootstrap.to_string(),
            fixture: None,
        }
    }

    pub(crate) fn start(nodes: usize) -> anyhow::Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        eprintln!("starting {nodes} broker(s)");
        let mut command = programs::cargo(&workspace);
        command.args(["run", "--quiet", "-p", "kafka-cluster", "--", "up"]);
        command.args([
            "--nodes",
            &nodes.to_string(),
            "--port",
            "0",
            "--until-stdin-closes",
        ]);
        for property in PROPERTIES {
            command.args(["-o", property]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut fixture = command.spawn().context("cargo run -p kafka-cluster")?;
        let mut line = String::new();
        let output = fixture.stdout.take().context("no standard output")?;
        BufReader::new(output).read_line(&mut line)?;
        let bootstrap = line.trim().to_string();
        let cluster = Cluster {
            bootstrap,
            fixture: Some(fixture),
        };
        if cluster.bootstrap.is_empty() {
            bail!("kafka-cluster started no broker; --bootstrap HOSTS uses one that is running");
        }
        eprintln!("started {}", cluster.bootstrap);
        Ok(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(fixture) = &mut self.fixture {
            drop(fixture.stdin.take());
            if let Err(error) = fixture.wait() {
                eprintln!("waiting for kafka-cluster to end: {error}");
            }
        }
    }
}
