//! Runs a Kafka cluster in the foreground, or one of Kafka's tools.

#![forbid(unsafe_code)]

use std::{
    error::Error,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    process::{self, ExitCode},
    sync::mpsc,
    thread,
};

use kafka_cluster::{Cluster, Version, tool_command};
use lexopt::{Arg, Parser, ValueExt};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

const USAGE: &str = "\
Real Apache Kafka brokers on loopback, from the jars on Maven Central.

  kafka-cluster up [--nodes 1] [--version 4.3.0] [--port 9092] [--heap 512m] [-o key=value ...] [--dir DIR]
                   [--until-stdin-closes]
  kafka-cluster tool [--version 4.3.0] CLASS ARGS...

up    starts the brokers, prints their addresses, and ends them on Ctrl-C or, with --until-stdin-closes, when standard
      input closes. Broker N listens on 127.0.0.1:(port + 10*(N-1)); --port 0 takes free ports. With --dir the data
      stays there for the next start, else it is deleted.
tool  runs a Java class, such as org.apache.kafka.tools.TopicCommand.

Versions are 4.3.0, 3.9.1 (KRaft) and 2.5.0 (ZooKeeper). Needs a JDK, 17 or newer, and Maven.
";

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match run(Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kafka-cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Parser) -> Result<(), Failure> {
    match arguments.next()? {
        Some(Arg::Value(verb)) if verb == "up" => up(arguments),
        Some(Arg::Value(verb)) if verb == "tool" => tool(arguments),
        Some(Arg::Long("help") | Arg::Short('h')) => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(other.unexpected().into()),
        None => Err(format!("what is to be done?\n\n{USAGE}").into()),
    }
}

fn up(mut arguments: Parser) -> Result<(), Failure> {
    let mut builder = Cluster::builder();
    let mut port = 9092;
    let mut until_stdin_closes = false;
    while let Some(argument) = arguments.next()? {
        builder = match argument {
            Arg::Long("nodes") => builder.nodes(arguments.value()?.parse()?),
            Arg::Long("version") => builder.version(arguments.value()?.parse()?),
            Arg::Long("heap") => builder.heap(arguments.value()?.string()?),
            Arg::Long("dir") => builder.dir(arguments.value()?),
            Arg::Short('o') => {
                let setting = arguments.value()?.string()?;
                let (name, value) = setting
                    .split_once('=')
                    .ok_or(format!("-o {setting}: expected key=value"))?;
                builder.property(name, value)
            }
            Arg::Long("port") => {
                port = arguments.value()?.parse()?;
                builder
            }
            Arg::Long("until-stdin-closes") => {
                until_stdin_closes = true;
                builder
            }
            other => return Err(other.unexpected().into()),
        };
    }
    if port != 0 {
        builder = builder.port(port);
    }
    let (end, ended) = mpsc::channel();
    // Before the start, so that a Ctrl-C during it is not lost.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let by_signal = end.clone();
    thread::spawn(move || {
        let mut signals = signals.forever();
        signals.next();
        let _ = by_signal.send(());
        // Who asks twice does not want to wait for a start or an end; the watchdog clears up.
        signals.next();
        process::exit(130);
    });
    if until_stdin_closes {
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = end.send(());
        });
    }
    let cluster = builder.start()?;
    println!("{}", cluster.bootstrap());
    ended.recv()?;
    drop(cluster);
    Ok(())
}

fn tool(mut arguments: Parser) -> Result<(), Failure> {
    let mut version = Version::default();
    let class = loop {
        match arguments.next()? {
            Some(Arg::Long("version")) => version = arguments.value()?.parse()?,
            Some(Arg::Value(class)) => break class.string()?,
            Some(other) => return Err(other.unexpected().into()),
            None => return Err("tool: which class?".into()),
        }
    };
    let rest: Vec<OsString> = arguments.raw_args()?.collect();
    // Returns only when Java could not be started.
    Err(tool_command(version, &class)?.args(rest).exec().into())
}
