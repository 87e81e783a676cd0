//! Sends each line of standard input as a record, and tells what became of them.
//!
//! ```text
//! cargo run --example produce -- --topic T -X bootstrap.servers=HOSTS [-X name=value ...] < lines
//! ```

mod account;
#[path = "../common/command_line.rs"]
mod command_line;
#[path = "../common/ending.rs"]
mod ending;
mod lines;
mod options;
mod screen;

use std::process::ExitCode;
use std::time::Duration;

use ottla::{Error, Producer, Record};
use tokio::signal::ctrl_c;

use crate::account::{Account, End};
use crate::lines::Lines;
use crate::options::Options;
use crate::screen::Screen;

/// Records on the way, at most; `buffer.memory` bounds their bytes, and this what is kept to tell of each.
const ON_THE_WAY: usize = 100_000;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::from_command_line() {
        Ok(Some(options)) => options,
        Ok(None) => return ending::print(options::USAGE),
        Err(wrong) => return ending::refuse(2, &format!("{wrong} {}", command_line::HINT)),
    };
    match run(options).await {
        Ok((account, producer)) => account.close(&producer.metrics()),
        Err(error) => ending::fail(&error),
    }
}

async fn run(options: Options) -> Result<(Account, Producer), Error> {
    let screen = Screen::new();
    screen.status(format!("looking for topic {}", options.topic));
    let client = options.client.connect().await?;
    let producer = client.producer().build()?;
    // A topic that does not exist is told before a line is read, not as the first line's fault.
    producer.prepare(&options.topic).await?;

    let mut lines = Lines::of_standard_input();
    let mut account = Account::open(screen);
    tokio::select! {
        () = send(&producer, &options.topic, &mut lines, &mut account) => {}
        // A record is accepted or it is not: dropping `send` in the middle leaves no third case.
        _ = ctrl_c() => account.end(End::Interrupted),
    }

    account.wait("delivering the rest; Ctrl-C gives it up");
    tokio::select! {
        _ = async { tokio::join!(producer.flush(), account.settle_all()) } => {}
        _ = ctrl_c() => {}
    }
    // Nothing is left to deliver, unless Ctrl-C was pressed twice: then what is left fails, and says so.
    let _ = producer.close(Duration::ZERO).await;
    account.settle_all().await;
    Ok((account, producer))
}

/// Sends lines until they end or one cannot be sent; whoever drops it in the middle loses no delivery.
async fn send(producer: &Producer, topic: &str, lines: &mut Lines, account: &mut Account) {
    loop {
        let block = tokio::select! {
            block = lines.next() => block,
            // While no line comes, outcomes are counted, and failures shown, as they become known.
            () = account.settle_oldest(), if account.on_the_way() > 0 => continue,
        };
        let block = match block {
            Ok(Some(block)) => block,
            Ok(None) => return,
            Err(error) => return account.end(End::Unreadable(error)),
        };
        account.read(block.len());
        for line in block.lines() {
            if line.len() > lines::LONGEST {
                account.refused(&format_args!("longer than {} bytes", lines::LONGEST));
                continue;
            }
            let (key, value) = key_and_value(line);
            let record = Record::to(topic).key_or_null(key).value(value);
            match producer.enqueue(record).await {
                Ok(delivery) => {
                    let bytes = key.map_or(0, <[u8]>::len) + value.len();
                    account.accepted(bytes, delivery);
                }
                // This line's own fault: the next one may be better.
                Err(error @ Error::RecordTooLarge { .. }) => account.refused(&error),
                Err(error) => {
                    account.refused(&error);
                    return account.end(End::Refused);
                }
            }
            account.settle_known().await;
            while account.on_the_way() >= ON_THE_WAY {
                account.settle_oldest().await;
            }
        }
    }
}

/// `key<TAB>value`, or a value alone; either may be empty.
fn key_and_value(line: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut parts = line.splitn(2, |byte| *byte == b'\t');
    match (parts.next(), parts.next()) {
        (Some(key), Some(value)) => (Some(key), value),
        _ => (None, line),
    }
}
