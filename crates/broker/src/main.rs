//! `ottla-broker`: a development Kafka in one process, with all that it holds in memory.

use std::process::ExitCode;
use std::time::Instant;

use lexopt::prelude::*;
use ottla_broker::Builder;

const HELP: &str = "\
A development Kafka that starts in milliseconds. All records are in memory, and gone when it ends (Ctrl-C).

Usage: ottla-broker [OPTIONS]

Options:
      --port PORT                 Port of the first node; the others take those that follow; 0 for free ones
                                  [default: 9092]
      --bind ADDRESS              Where it listens; 0.0.0.0 for all of the machine's addresses, as within a container
                                  [default: 127.0.0.1]
      --advertised-host HOST      By which clients find it [default: as --bind; 127.0.0.1 for 0.0.0.0]
      --nodes COUNT               Number of nodes [default: 1]
      --topic NAME[:PARTITIONS]   A topic that is there from the start; may be repeated
      --partitions COUNT          Partitions of a topic that is made when it is first used [default: 1]
      --replication-factor COUNT  Replicas of a topic when nobody says [default: 1]
      --no-auto-create            Topics are not made when they are first used
      --user NAME:PASSWORD        Who may log in, by SASL PLAIN or SCRAM; with one, clients have to; may be repeated
      --retention-bytes BYTES     How much of a partition is kept when its topic does not say [default: all]
  -h, --help                      Print this
  -V, --version                   Print the version
";

/// What the arguments ask for.
enum Asked {
    Start(Box<Builder>),
    Help,
    Version,
}

fn main() -> ExitCode {
    let start = Instant::now();
    match parse(lexopt::Parser::from_env()) {
        Ok(Asked::Start(builder)) => run(*builder, start),
        Ok(Asked::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Asked::Version) => {
            println!("ottla-broker {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ottla-broker: {error}");
            eprintln!("ottla-broker --help tells the options");
            ExitCode::from(2)
        }
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<Asked, lexopt::Error> {
    let mut builder = Builder::default().first_port(9092);
    while let Some(argument) = arguments.next()? {
        builder = match argument {
            Long("port") => builder.first_port(arguments.value()?.parse()?),
            Long("bind") => builder.bind(arguments.value()?.parse()?),
            Long("advertised-host") => builder.advertised_host(arguments.value()?.string()?),
            Long("nodes") => builder.nodes(arguments.value()?.parse()?),
            Long("topic") => {
                let (name, partitions) = topic(&arguments.value()?.string()?)?;
                builder.topic(name, partitions)
            }
            Long("partitions") => builder.default_partitions(arguments.value()?.parse()?),
            Long("replication-factor") => builder.replication_factor(arguments.value()?.parse()?),
            Long("no-auto-create") => builder.auto_create_topics(false),
            Long("user") => {
                let text = arguments.value()?.string()?;
                let (name, password) = text
                    .split_once(':')
                    .ok_or("--user takes NAME:PASSWORD, with a colon between them")?;
                builder.user(name, password)
            }
            Long("retention-bytes") => builder.retention_bytes(arguments.value()?.parse()?),
            Short('h') | Long("help") => return Ok(Asked::Help),
            Short('V') | Long("version") => return Ok(Asked::Version),
            _ => return Err(argument.unexpected()),
        };
    }
    Ok(Asked::Start(Box::new(builder)))
}

/// `name` or `name:partitions`.
fn topic(text: &str) -> Result<(String, i32), lexopt::Error> {
    let Some((name, count)) = text.split_once(':') else {
        return Ok((text.to_owned(), 1));
    };
    let wrong = || format!("--topic {text}: `{count}` is no number of partitions");
    let count = count.parse().map_err(|_| wrong())?;
    Ok((name.to_owned(), count))
}

fn run(builder: Builder, start: Instant) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ottla-broker: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let cluster = match builder.start().await {
            Ok(cluster) => cluster,
            Err(error) => {
                eprintln!("ottla-broker: {error}");
                return match error {
                    ottla_broker::Error::Invalid(_) => ExitCode::from(2),
                    _ => ExitCode::FAILURE,
                };
            }
        };
        println!(
            "ready after {:.1?}: bootstrap.servers={}",
            start.elapsed(),
            cluster.bootstrap_servers()
        );
        // Without the signal there is no way to end but by force.
        let _ = tokio::signal::ctrl_c().await;
        cluster.close().await;
        ExitCode::SUCCESS
    })
}
