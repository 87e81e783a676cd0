//! All runs of one entry, summed up.

use peers::figures::Figures;

/// A figure's median, and how far the runs lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) label: String,
    pub(crate) runs: usize,
    pub(crate) failed: usize,
    /// CPU microseconds a record: user, system and their sum.
    pub(crate) user: Option<Spread>,
    pub(crate) sys: Option<Spread>,
    pub(crate) cpu: Option<Spread>,
    /// Thousands of records a second.
    pub(crate) rate: Option<Spread>,
    /// MiB.
    pub(crate) peak: Option<Spread>,
    /// Microseconds, where single records are timed.
    pub(crate) p50: Option<Spread>,
    pub(crate) p99: Option<Spread>,
    /// Records a batch, where the client counts them.
    pub(crate) fill: Option<Spread>,
}

impl Summary {
    /// `None` is a run that failed.
    pub(crate) fn new(label: String, runs: &[Option<Figures>]) -> Self {
        let done: Vec<&Figures> = runs.iter().flatten().collect();
        let spread = |figure: fn(&Figures) -> f64| Spread::of(done.iter().map(|f| figure(f)));
        let timed = |figure: fn(&Figures) -> u64| {
            Spread::of(
                done.iter()
                    .map(|f| figure(f))
                    .filter(|us| *us > 0)
                    .map(|us| us as f64),
            )
        };
        Summary {
            label,
            runs: runs.len(),
            failed: runs.len() - done.len(),
            user: spread(|f| f.user_s * 1e6 / f.n as f64),
            sys: spread(|f| f.sys_s * 1e6 / f.n as f64),
            cpu: spread(|f| f.cpu_us_per_rec),
            rate: spread(|f| f.krec_s),
            peak: spread(|f| f.rss_mib),
            p50: timed(|f| f.p50_us),
            p99: timed(|f| f.p99_us),
            fill: Spread::of(done.iter().filter_map(|f| f.records_per_batch)),
        }
    }
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Some(Spread {
            median,
            least,
            most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let of = |figures: &[f64]| {
            Spread::of(figures.iter().copied()).map(|s| (s.median, s.least, s.most))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), Some((2.5, 1.0, 4.0)));
    }
}
