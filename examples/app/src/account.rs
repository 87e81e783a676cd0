//! What happened, in a few lines, and whether it is what should have happened.

use std::fmt;

/// Lines of a name and a value, and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Account {
    title: String,
    lines: Vec<(String, String)>,
    wrong: Vec<String>,
    verdict: String,
}

impl Account {
    /// An account under this title.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// Adds a line.
    pub fn line(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        self.lines.push((name.into(), value.to_string()));
    }

    /// What must hold; else `wrong` is part of the account, and the application fails.
    pub fn check(&mut self, holds: bool, wrong: impl fmt::Display) {
        if !holds {
            self.wrong.push(wrong.to_string());
        }
    }

    /// What a group has not committed of its topic, which must be nothing.
    pub fn lag(&mut self, group: &str, lag: Option<u64>) {
        let shown = lag.map_or_else(|| "unknown".to_owned(), |lag| lag.to_string());
        self.check(
            lag == Some(0),
            format!("records that {group} has not saved yet: {shown}"),
        );
        self.line(format!("lag of {group}"), shown);
    }

    /// What to say when nothing is wrong.
    pub fn verdict(&mut self, text: impl Into<String>) {
        self.verdict = text.into();
    }

    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let width = self.lines.iter().map(|(name, _)| name.chars().count());
        let width = width.max().unwrap_or(0) + 2;
        for (name, value) in &self.lines {
            writeln!(f, "  {name:width$}{value}")?;
        }
        for wrong in &self.wrong {
            writeln!(f, "wrong: {wrong}")?;
        }
        if self.wrong.is_empty() {
            writeln!(f, "all is well: {}", self.verdict)?;
        }
        Ok(())
    }
}
