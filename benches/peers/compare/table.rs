//! One case's figures and bars as markdown.

use crate::bars::{Bar, Target};
use crate::cases::Case;
use crate::summary::{Spread, Summary};

pub(crate) fn print(case: &Case, summaries: &[Summary]) {
    println!("\n## {}\n\n{}\n", case.name, case.title);
    println!(
        "| client | CPU us/record (least-most) | user + sys | krec/s (least-most) | peak MiB \
         | p50 us | p99 us | records/batch | runs |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for summary in summaries {
        print_summary(summary);
    }
    println!("\n| bar | ottla | peer | ratio | target | verdict |");
    println!("|---|---|---|---|---|---|");
    for bar in &case.bars {
        print_bar(bar, summaries);
    }
}

fn print_summary(summary: &Summary) {
    let user_sys = match (summary.user, summary.sys) {
        (Some(user), Some(sys)) => format!("{} + {}", digits(user.median), digits(sys.median)),
        _ => "-".into(),
    };
    println!(
        "| {} | {} | {user_sys} | {} | {} | {} | {} | {} | {} of {} |",
        summary.label,
        range(summary.cpu),
        range(summary.rate),
        median(summary.peak),
        median(summary.p50),
        median(summary.p99),
        median(summary.fill),
        summary.runs - summary.failed,
        summary.runs,
    );
}

fn print_bar(bar: &Bar, summaries: &[Summary]) {
    let judged = bar.judge(summaries);
    let figure = |figure: Option<f64>| figure.map_or("-".into(), digits);
    let target = match bar.target {
        Target::AtMost(limit) => format!("<= {limit:.2}"),
        Target::AtLeast(limit) => format!(">= {limit:.2}"),
        Target::Goal(limit) => format!("goal {limit:.2}"),
    };
    println!(
        "| {} | {} | {} ({}) | {} | {target} | {} |",
        bar.text,
        figure(judged.ours),
        figure(judged.theirs),
        judged.whose,
        judged
            .ratio
            .map_or("-".into(), |ratio| format!("{ratio:.3}")),
        judged.verdict,
    );
}

fn median(spread: Option<Spread>) -> String {
    spread.map_or("-".into(), |spread| digits(spread.median))
}

fn range(spread: Option<Spread>) -> String {
    spread.map_or(
        "-".into(),
        |Spread {
             median,
             least,
             most,
         }| { format!("{} ({}-{})", digits(median), digits(least), digits(most)) },
    )
}

/// Three digits or more: 0.043, 1.16, 57.1, 1252.
fn digits(figure: f64) -> String {
    let places = match figure {
        f if f < 1.0 => 3,
        f if f < 10.0 => 2,
        f if f < 100.0 => 1,
        _ => 0,
    };
    format!("{figure:.places$}")
}
