//! How an application starts and ends: options, logs, Ctrl-C, the account, the exit status.

use std::io::{self, Write};
use std::process::{ExitCode, exit};

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use crate::progress::{Log, say};
use crate::{Account, Failure};

/// What a shell makes of Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Runs an application to its end and prints its account.
///
/// The exit status is 0 when all is well, 1 when something failed or the account is wrong, and 2 for wrong options. The
/// token is cancelled by Ctrl-C or SIGTERM; a second one ends the process at once. Log lines from warnings on go to
/// standard error, others too with `RUST_LOG=info` or `debug`.
pub fn main<O, F>(run: F) -> ExitCode
where
    O: Parser,
    F: AsyncFnOnce(O, CancellationToken) -> Result<Account, Failure>,
{
    let options = O::parse();
    let level = std::env::var("RUST_LOG").ok();
    let level = level.and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_writer(Log)
        .with_max_level(level.unwrap_or(LevelFilter::WARN))
        .init();
    let name = O::command().get_name().to_owned();
    let ended = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::of("starting"))
        .and_then(|runtime| {
            runtime.block_on(async {
                let interrupt = CancellationToken::new();
                listen(&interrupt).map_err(Failure::of("listening for Ctrl-C"))?;
                run(options, interrupt).await
            })
        });
    match ended {
        Ok(account) => {
            // A reader that has gone away changes nothing about what happened.
            let _ = write!(io::stdout(), "{account}");
            ExitCode::from(u8::from(!account.is_right()))
        }
        Err(failure) => {
            say(&format!("{name}: {failure}"));
            ExitCode::from(failure.status())
        }
    }
}

fn listen(interrupt: &CancellationToken) -> io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        tokio::spawn(obey(signal(kind)?, interrupt.clone()));
    }
    Ok(())
}

async fn obey(mut signal: Signal, interrupt: CancellationToken) {
    while signal.recv().await.is_some() {
        if interrupt.is_cancelled() {
            exit(INTERRUPTED);
        }
        say("ending; once more to end at once");
        interrupt.cancel();
    }
}
