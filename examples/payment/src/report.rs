//! What happened, and whether it is what should have happened.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use ottla_app::{Account, Done};

use crate::callers::Told;
use crate::service::Totals;
use crate::store::Saved;

/// The most ticket types, or troubled payments, that are shown one by one.
const SHOWN: usize = 20;

/// The run in numbers.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where Kafka is.
    pub kafka: String,
    /// Where the table is.
    pub database: String,
    /// Consumers of this process.
    pub members: usize,
    /// What the service counted, whoever called it.
    pub counts: Totals,
    /// Payments whose end is not known.
    pub open: u64,
    /// What this run's callers were told.
    pub told: Told,
    /// What the members did.
    pub work: Done,
    /// This run's payments in the table, in the order of the table.
    pub saved: Vec<Saved>,
    /// What the group has not committed; `None` when Kafka did not tell.
    pub lag: Option<u64>,
    /// How long the callers took.
    pub took: Duration,
}

/// One ticket type's payments in the table.
#[derive(Default)]
struct Line<'a> {
    partitions: BTreeSet<i64>,
    keys: Vec<&'a str>,
}

impl Report {
    /// For people.
    #[must_use]
    pub fn account(&self) -> Account {
        let counts = &self.counts;
        let asked = counts.approved + counts.declined + counts.unknown;
        let mut account = Account::new(format!(
            "payment: {asked} payments in {:.2} s",
            self.took.as_secs_f64()
        ));
        account.line("topic", format!("payment-topic, {}", self.kafka));
        account.line("table", format!("payment, {}", self.database));
        account.line("approved", counts.approved);
        account.line("declined", counts.declined);
        if counts.unknown > 0 {
            account.line("no answer", counts.unknown);
        }
        account.line("delivered", counts.delivered);
        if counts.taken_up > 0 {
            account.line("taken up", format!("{}, open before", counts.taken_up));
        }
        if self.open > 0 {
            account.line(
                "open",
                format!("{}, looked up after the next start", self.open),
            );
        }
        let saved = format!(
            "{} by {} members of payment-service",
            self.work.new, self.members
        );
        account.line("saved", saved);
        if self.work.again > 0 {
            account.line("came again", self.work.again);
        }
        account.lag("payment-service", self.lag);
        let lines = self.by_ticket_type();
        for (ticket_type, line) in lines.iter().take(SHOWN) {
            let partitions: Vec<_> = line.partitions.iter().map(i64::to_string).collect();
            account.line(
                format!("ticket type {ticket_type}"),
                format!(
                    "partition {}, {} payments",
                    partitions.join(", "),
                    line.keys.len()
                ),
            );
        }
        if lines.len() > SHOWN {
            account.line("and", format!("{} ticket types more", lines.len() - SHOWN));
        }
        self.judge(&lines, &mut account);
        account
    }

    fn by_ticket_type(&self) -> BTreeMap<i64, Line<'_>> {
        let mut lines = BTreeMap::<_, Line<'_>>::new();
        for saved in &self.saved {
            let line = lines.entry(saved.ticket_type_id).or_default();
            line.partitions.insert(saved.topic_partition);
            line.keys.push(&saved.payment_key);
        }
        lines
    }

    fn judge(&self, lines: &BTreeMap<i64, Line<'_>>, account: &mut Account) {
        let counts = &self.counts;
        for troubled in self.told.troubled.iter().take(SHOWN) {
            account.check(false, troubled);
        }
        let troubled = self.told.troubled.len();
        account.check(
            troubled <= SHOWN,
            format!("{troubled} payments were answered by an error"),
        );
        account.check(
            counts.undelivered == 0,
            format!(
                "{} approved payments were not delivered: see the log",
                counts.undelivered
            ),
        );
        account.check(
            self.work.unreadable == 0,
            format!("{} records are no payment", self.work.unreadable),
        );
        account.check(
            self.work.unfit == 0,
            format!(
                "{} payments do not fit the table: see set_aside",
                self.work.unfit
            ),
        );
        for (ticket_type, told) in &self.told.approved {
            let line = lines.get(ticket_type);
            let keys = line.map_or(&[][..], |line| &line.keys);
            account.check(keys == told, difference(*ticket_type, told, keys));
            let partitions = line.map_or(0, |line| line.partitions.len());
            account.check(
                partitions <= 1,
                format!("ticket type {ticket_type} is in {partitions} partitions"),
            );
        }
        account
            .verdict("each approved payment is in the table once, in order for each ticket type");
    }
}

/// How the table differs from what was told.
fn difference(ticket_type: i64, told: &[String], keys: &[&str]) -> String {
    let there: HashSet<_> = keys.iter().copied().collect();
    let missing = told.iter().filter(|key| !there.contains(key.as_str()));
    let missing = missing.count();
    let wrong = match (missing, keys.len().cmp(&told.len())) {
        (0, std::cmp::Ordering::Equal) => "the order is another one".to_owned(),
        (0, _) => format!(
            "{} payments that nobody was told of",
            keys.len() - told.len()
        ),
        (missing, _) => format!("{missing} of {} payments are missing", told.len()),
    };
    format!("ticket type {ticket_type}: {wrong}")
}
