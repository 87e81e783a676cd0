//! Suites of live tests: left out unless they are asked for, and then nothing that they need may be missing.

use std::env;
use std::path::PathBuf;
use std::process;

use libtest_mimic::{Arguments, Conclusion, Failed, FormatSetting, Trial};

use crate::available;

/// A program that tests need beside Kafka.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// What it is called.
    pub name: &'static str,
    /// Debian's package of it.
    pub package: &'static str,
}

impl Program {
    /// Where it is; Debian's servers are where only root's `PATH` looks.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let paths = env::var_os("PATH").unwrap_or_default();
        let mut folders = env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
        folders.find_map(|folder| Some(folder.join(self.name)).filter(|path| path.is_file()))
    }
}

/// Tests of which some are live: on real Kafka, and whatever else they need.
#[derive(Debug)]
pub struct Suite {
    /// The command line, as far as it is for the test harness.
    pub arguments: Arguments,
    live: bool,
    needs: String,
}

impl Suite {
    /// A suite for this command line.
    ///
    /// Live tests run with `OTTLA_LIVE=1`, or when the command line asks for ignored tests; else they are left out
    /// even where all that they need is there, so that a plain `cargo test` does the same everywhere. When they are to run
    /// and something is missing, this ends the process and says what, before anything is started.
    #[must_use]
    pub fn from_args(programs: &[Program]) -> Self {
        let mut arguments = Arguments::from_args();
        let asked = env::var_os("OTTLA_LIVE").is_some_and(|value| value == "1");
        let live = asked || arguments.ignored || arguments.include_ignored;
        if live && !arguments.list {
            let missing = missing(available().err(), programs);
            if !missing.is_empty() {
                eprintln!("live tests cannot run, as parts of them are missing:\n{missing}");
                process::exit(1);
            }
        }
        if !live {
            // A line of letters, not a line a test.
            arguments.format.get_or_insert(FormatSetting::Terse);
        }
        let names = programs.iter().map(|program| program.name);
        let needs: Vec<_> = ["real Kafka"].into_iter().chain(names).collect();
        Self {
            arguments,
            live,
            needs: needs.join(", "),
        }
    }

    /// Whether live tests run.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// A live test.
    pub fn live(
        &self,
        name: impl Into<String>,
        test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        self.gate(Trial::test(name, test))
    }

    /// Makes a test a live one.
    #[must_use]
    pub fn gate(&self, trial: Trial) -> Trial {
        trial.with_ignored_flag(!self.live)
    }

    /// Runs the tests that the command line names; says in one line what is left out.
    pub fn run(&self, trials: Vec<Trial>) -> Conclusion {
        let left_out = |trial: &&Trial| {
            trial.has_ignored_flag()
                && !self.arguments.is_filtered_out(trial)
                && !self.arguments.list
        };
        let count = trials.iter().filter(left_out).count();
        if count > 0 {
            println!(
                "\nleft out, for they need {}: {count} live tests; OTTLA_LIVE=1 runs them",
                self.needs
            );
        }
        libtest_mimic::run(&self.arguments, trials)
    }
}

/// What is missing, a line each.
fn missing(kafka: Option<String>, programs: &[Program]) -> String {
    let absent = programs.iter().filter(|program| program.find().is_none());
    let absent = absent.map(|Program { name, package }| {
        format!("{name} is not installed: on Debian it is in the package {package}")
    });
    let lines: Vec<_> = kafka.into_iter().chain(absent).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Program = Program {
        name: "sh",
        package: "dash",
    };
    const NONE: Program = Program {
        name: "no-such-program",
        package: "no-such-package",
    };

    #[test]
    fn everything_that_is_missing_is_named_with_where_it_comes_from() {
        assert!(SHELL.find().is_some_and(|path| path.ends_with("sh")));
        assert_eq!(missing(None, &[SHELL]), "");
        let all = missing(Some("no Java".to_owned()), &[NONE, SHELL]);
        let expected = "no Java\nno-such-program is not installed: on Debian it is in the package no-such-package";
        assert_eq!(all, expected);
    }
}
