//! Prints the records of topics, as a member of a group or alone.
//!
//! ```text
//! cargo run --example consume -- --topic T [--group G] [--from-beginning] [--exit-at-end] -X bootstrap.servers=HOSTS
//! ```

#[path = "../common/command_line.rs"]
mod command_line;
mod end;
#[path = "../common/ending.rs"]
mod ending;
mod format;
mod options;
mod printer;
mod start;

use std::process::ExitCode;
use std::time::Duration;

use ottla::{Consumer, Error};

use crate::options::Options;
use crate::printer::{Enough, Printer};
use crate::start::Failure;

/// How long leaving the group, with the last commit, may take.
const LEAVE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::from_command_line() {
        Ok(Some(options)) => options,
        Ok(None) => return ending::print(options::USAGE),
        Err(wrong) => return ending::refuse(2, &format!("{wrong} {}", command_line::HINT)),
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ending::fail(&error),
    }
}

async fn run(options: Options) -> Result<(), Error> {
    let failure = Failure::default();
    let mut consumer = start::consumer(&options, &failure).await?;
    tokio::spawn(end::stop_when_interrupted(consumer.handle()));
    if options.exit_at_end {
        tokio::spawn(end::stop_at_end(consumer.handle()));
    }
    let mut printer = Printer::new(options.format, options.count);
    let ended = print(&mut consumer, &mut printer).await;
    // Whatever ended it, what was printed is committed, and the partitions go to others at once.
    let left = consumer.close(LEAVE).await;
    ending::note(&format!("records printed: {}", printer.printed()));
    let failed = failure.get().cloned().map_or(Ok(()), Err);
    ended.and(failed).and(left)
}

/// Prints until there is enough, or the consumer was stopped.
async fn print(consumer: &mut Consumer, printer: &mut Printer) -> Result<(), Error> {
    loop {
        let records = match consumer.poll().await {
            Ok(Some(records)) => records,
            Ok(None) => return Ok(()),
            // Told once, and the next call goes on.
            Err(error) if error.is_retriable() => {
                ending::note(&error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        match printer.print(&records) {
            Ok(()) => {}
            Err(Enough { printed, failure }) => {
                // Coming back for more, or closing, says that these are done; the rest are not.
                start::give_back(consumer, records.iter().skip(printed));
                if let Some(failure) = failure {
                    ending::note(&format!("writing to standard output: {failure}"));
                }
                return Ok(());
            }
        }
    }
}
