//! A bar: one of ottla's figures against a peer's, or against a limit.

use crate::summary::{Spread, Summary};

#[derive(Clone, Copy)]
pub(crate) enum Metric {
    Cpu,
    Rate,
    Peak,
    P50,
    P99,
}

pub(crate) enum Against {
    /// The entry of this label.
    Entry(&'static str),
    /// The smallest figure of any client but ottla and the floor.
    BestPeer,
    /// The same of those that number their batches, as a full client does: without rskafka.
    BestIdempotent,
    Limit(f64),
}

#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// A goal and no bar: how far it is to a limit that nobody can pass.
    Goal(f64),
}

pub(crate) struct Bar {
    pub(crate) text: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) metric: Metric,
    pub(crate) against: Against,
    pub(crate) target: Target,
}

/// A bar's line in the table; a figure that was not measured is `None`.
pub(crate) struct Judged {
    pub(crate) ours: Option<f64>,
    pub(crate) theirs: Option<f64>,
    /// Whose figure `theirs` is.
    pub(crate) whose: String,
    pub(crate) ratio: Option<f64>,
    pub(crate) verdict: &'static str,
}

impl Metric {
    pub(crate) fn of(self, summary: &Summary) -> Option<Spread> {
        match self {
            Metric::Cpu => summary.cpu,
            Metric::Rate => summary.rate,
            Metric::Peak => summary.peak,
            Metric::P50 => summary.p50,
            Metric::P99 => summary.p99,
        }
    }
}

impl Bar {
    pub(crate) fn judge(&self, summaries: &[Summary]) -> Judged {
        let median = |summary: &Summary| self.metric.of(summary).map(|spread| spread.median);
        let find = |label: &str| summaries.iter().find(|summary| summary.label == label);
        let best = |counts: &dyn Fn(&str) -> bool| {
            summaries
                .iter()
                .filter(|summary| is_peer(&summary.label) && counts(&summary.label))
                .filter_map(|summary| Some((median(summary)?, summary.label.clone())))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map_or((None, "best peer".to_string()), |(figure, label)| {
                    (Some(figure), label)
                })
        };
        let (theirs, whose) = match self.against {
            Against::Limit(limit) => (Some(limit), "limit".to_string()),
            Against::Entry(label) => (find(label).and_then(median), label.to_string()),
            Against::BestPeer => best(&|_| true),
            Against::BestIdempotent => best(&|label| label != "rskafka"),
        };
        let subject = find(self.ours);
        let ours = subject.and_then(median);
        let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
        let verdict = match (subject, ratio) {
            // Failing is no way to reach a bar, whatever the runs that went well show.
            (Some(summary), _) if summary.failed > 0 => "MISS (runs failed)",
            (_, None) => "not measured",
            (_, Some(ratio)) => self.target.verdict(ratio),
        };
        Judged {
            ours,
            theirs,
            whose,
            ratio,
            verdict,
        }
    }
}

fn is_peer(label: &str) -> bool {
    !label.starts_with("ottla") && label != "floor"
}

impl Target {
    fn verdict(self, ratio: f64) -> &'static str {
        match self {
            Target::AtMost(limit) if ratio <= limit => "PASS",
            Target::AtLeast(limit) if ratio >= limit => "PASS",
            Target::AtMost(_) | Target::AtLeast(_) => "MISS",
            Target::Goal(limit) if ratio <= limit => "reached",
            Target::Goal(_) => "not yet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(label: &str, cpu: f64, failed: usize) -> Summary {
        let cpu = Some(Spread {
            median: cpu,
            least: cpu,
            most: cpu,
        });
        Summary {
            label: label.into(),
            runs: 1,
            failed,
            cpu,
            ..Summary::default()
        }
    }

    fn verdict(target: Target, against: Against, summaries: &[Summary]) -> (&'static str, String) {
        let bar = Bar {
            text: "",
            ours: "ottla",
            metric: Metric::Cpu,
            against,
            target,
        };
        let judged = bar.judge(summaries);
        (judged.verdict, judged.whose)
    }

    #[test]
    fn a_bar_is_reached_from_the_right_side_and_at_its_edge() {
        let both = [summary("ottla", 1.0, 0), summary("peer", 4.0, 0)];
        let judge = |target| verdict(target, Against::Entry("peer"), &both).0;
        assert_eq!(judge(Target::AtMost(0.25)), "PASS");
        assert_eq!(judge(Target::AtMost(0.24)), "MISS");
        assert_eq!(judge(Target::AtLeast(0.25)), "PASS");
        assert_eq!(judge(Target::AtLeast(0.26)), "MISS");
    }

    #[test]
    fn a_goal_not_yet_reached_is_no_miss() {
        let both = [summary("ottla", 1.0, 0), summary("floor", 0.25, 0)];
        let judge = |target| verdict(target, Against::Entry("floor"), &both).0;
        assert_eq!(judge(Target::Goal(4.0)), "reached");
        assert_eq!(judge(Target::Goal(3.9)), "not yet");
    }

    #[test]
    fn the_best_peer_is_neither_ottla_nor_the_floor_nor_rskafka_where_batches_are_numbered() {
        let all = [
            summary("ottla", 1.0, 0),
            summary("ottla-recv", 0.5, 0),
            summary("floor", 0.1, 0),
            summary("slow", 4.0, 0),
            summary("rskafka", 2.0, 0),
            summary("fast", 3.0, 0),
        ];
        let judged = |against| verdict(Target::AtMost(1.0), against, &all);
        let best = ("PASS", "rskafka".to_string());
        assert_eq!(judged(Against::BestPeer), best);
        let idempotent = ("PASS", "fast".to_string());
        assert_eq!(judged(Against::BestIdempotent), idempotent);
    }

    #[test]
    fn a_missing_figure_passes_nothing_and_a_failed_run_misses() {
        let target = Target::AtMost(1.0);
        let alone = [summary("ottla", 1.0, 0)];
        assert_eq!(
            verdict(target, Against::Entry("peer"), &alone).0,
            "not measured"
        );
        assert_eq!(verdict(target, Against::Limit(2.0), &[]).0, "not measured");
        let failed = [summary("ottla", 1.0, 1)];
        assert_eq!(
            verdict(target, Against::Limit(2.0), &failed).0,
            "MISS (runs failed)"
        );
    }
}
