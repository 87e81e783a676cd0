//! What happened, and whether it is what should have happened.

use std::time::Duration;

use ottla_app::{Account, Done};

use crate::service::COUPONS;

/// The run in numbers.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where the counter is.
    pub gate: &'static str,
    /// Where Kafka is.
    pub kafka: String,
    /// Where the table is.
    pub database: String,
    /// The topic's.
    pub partitions: usize,
    /// Consumers of this process.
    pub members: usize,
    /// Applicants that there were to be.
    pub asked: u64,
    /// Applicants that there were: fewer after Ctrl-C.
    pub applications: u64,
    /// The counter before this run.
    pub drawn_before: u64,
    /// The counter after it.
    pub drawn: u64,
    /// Winners of this run, whose records are in the topic.
    pub winners: u64,
    /// Those among them who had won before, and whose record may not have arrived then.
    pub resent: u64,
    /// Applicants who had won before.
    pub had_one: u64,
    /// Winners whose records may not be there, and why.
    pub undelivered: Vec<String>,
    /// Winners without a coupon in the table.
    pub missing: u64,
    /// What the members did.
    pub saved: Done,
    /// Rows of the table.
    pub coupons: u64,
    /// Different users in it.
    pub users: u64,
    /// What the group has not committed; `None` when Kafka did not tell.
    pub lag: Option<u64>,
    /// How long the applications took.
    pub took: Duration,
}

impl Report {
    /// For people.
    #[must_use]
    pub fn account(&self) -> Account {
        let mut account = Account::new(format!(
            "coupon: {} applications in {:.2} s",
            self.applications,
            self.took.as_secs_f64()
        ));
        account.line("gate", self.gate);
        account.line(
            "topic",
            format!(
                "coupon_create, {} partitions, {}",
                self.partitions, self.kafka
            ),
        );
        account.line("table", format!("coupon, {}", self.database));
        if self.applications < self.asked {
            let left = self.asked - self.applications;
            account.line(
                "interrupted",
                format!("{left} users did not apply any more"),
            );
        }
        account.line("won", self.winners);
        if self.had_one > 0 {
            account.line("won before", self.had_one);
        }
        account.line("too late", self.too_late());
        account.line(
            "saved",
            format!(
                "{} by {} of group_1",
                self.saved.new,
                counted(self.members, "member")
            ),
        );
        if self.saved.again > 0 {
            account.line("came again", self.saved.again);
        }
        if self.asked > 0 {
            account.lag("group_1", self.lag);
        }
        account.line(
            "coupons",
            format!("{} for {} users", self.coupons, self.users),
        );
        self.judge(&mut account);
        account
    }

    fn too_late(&self) -> u64 {
        let others = self.winners + self.had_one + self.undelivered.len() as u64;
        self.applications.saturating_sub(others)
    }

    fn judge(&self, account: &mut Account) {
        account.check(self.users == self.coupons, "a user has two coupons");
        account.check(
            self.saved.unreadable == 0,
            format!("{} records are no user's id", self.saved.unreadable),
        );
        account.check(
            self.saved.unfit == 0,
            format!(
                "{} coupons do not fit the table: see set_aside",
                self.saved.unfit
            ),
        );
        if self.asked == 0 {
            // This process has only saved, and cannot tell who has won.
            return account.verdict("every record was saved before it was committed");
        }
        for undelivered in &self.undelivered {
            account.check(false, format!("not delivered: {undelivered}"));
        }
        let left = COUPONS.saturating_sub(self.drawn_before);
        let new = left.min(self.drawn.saturating_sub(self.drawn_before));
        let due = (new + self.resent).saturating_sub(self.undelivered.len() as u64);
        account.check(
            self.winners == due,
            format!("{} applicants won, not {due}", self.winners),
        );
        account.check(
            self.missing == 0,
            format!("{} winners have no coupon", self.missing),
        );
        let all = COUPONS.min(self.drawn);
        account.check(
            self.coupons == all,
            format!(
                "the table has {} coupons, not {all}; --reset forgets those of earlier runs",
                self.coupons
            ),
        );
        account.verdict(format!("exactly {all} coupons, for {all} different users"));
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
