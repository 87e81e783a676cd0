//! The topics that a case's clients read from: one for each kind of work, filled once, read by all.

use crate::cases::{Case, Entry};
use crate::cluster::Cluster;
use crate::programs::{Client, Mode, Programs};
use anyhow::Context;
use peers::work::Work;

/// Where only first records are read, as many as this are there.
const FIRST_RECORDS: u64 = 10_000;

pub(crate) struct Stock {
    /// An entry's work, and the same as it was done to fill its topic.
    topics: Vec<(Work, Work)>,
}

impl Stock {
    /// Nothing, in a case that reads nothing.
    pub(crate) fn fill(
        case: &Case,
        entries: &[Entry],
        cluster: &Cluster,
        programs: &Programs,
    ) -> anyhow::Result<Self> {
        let mut stock = Stock { topics: Vec::new() };
        for entry in entries.iter().filter(|_| case.mode.reads()) {
            if stock.topic(&entry.work).is_some() {
                continue;
            }
            let records = match case.mode {
                Mode::GroupStart => FIRST_RECORDS,
                _ => entry.work.records,
            };
            let filled = Work {
                brokers: cluster.bootstrap.clone(),
                topic: format!(
                    "{}-{}-{}",
                    case.name,
                    stock.topics.len(),
                    std::process::id()
                ),
                records,
                // So that batches are full, which every client reads fastest.
                linger_ms: 100,
                ..entry.work.clone()
            };
            eprintln!("{}: filling {} ...", case.name, filled.topic);
            programs.create_topic(&filled)?;
            programs
                .run(Client::Ottla, Mode::Produce, &filled)
                .with_context(|| format!("filling {}", filled.topic))?;
            stock.topics.push((entry.work.clone(), filled));
        }
        Ok(stock)
    }

    /// The topic with what this work reads.
    pub(crate) fn topic(&self, work: &Work) -> Option<&str> {
        let (_, filled) = self.topics.iter().find(|(entry, _)| entry == work)?;
        Some(&filled.topic)
    }

    pub(crate) fn delete(&self, programs: &Programs) -> anyhow::Result<()> {
        for (_, filled) in &self.topics {
            programs.delete_topic(filled)?;
        }
        Ok(())
    }
}
