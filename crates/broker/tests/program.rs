//! The program: soon ready, small, and unimpressed by a thousand connections that send nothing or garbage.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Killed when the test ends, however it does.
struct Program {
    child: Child,
    address: String,
    ready_after: Duration,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ottla-broker"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let ready_after = start.elapsed();
        let (_, servers) = line.trim().split_once("bootstrap.servers=").unwrap();
        let address = servers.split(',').next().unwrap().to_owned();
        Self {
            child,
            address,
            ready_after,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }

    /// Resident memory in kB; `None` where the system does not tell.
    fn memory(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// ApiVersions version 0: its answer's length, correlation id, and error code.
fn asks(mut stream: TcpStream) -> (u32, u32, u16) {
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    stream.write_all(&request).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    let number = |at: usize| u32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
    let code = u16::from_be_bytes([answer[8], answer[9]]);
    (number(0), number(4), code)
}

#[test]
fn it_is_soon_ready_and_small() {
    let program = Program::start(&["--port", "0", "--nodes", "3", "--topic", "t:6"]);
    let (length, id, code) = asks(program.connect());
    assert!(length > 100);
    assert_eq!((id, code), (7, 0));
    // Well above what it takes, for a machine that is busy.
    assert!(program.ready_after < Duration::from_secs(1));
    println!(
        "ready after {:?}, {:?} kB",
        program.ready_after,
        program.memory()
    );
    assert!(program.memory().is_none_or(|kb| kb < 20_000));
}

#[test]
fn within_a_container_it_listens_on_all_addresses_and_names_its_host() {
    let line = [
        "--port",
        "0",
        "--bind",
        "0.0.0.0",
        "--advertised-host",
        "kafka",
    ];
    let mut program = Program::start(&line);
    let port = program.address.strip_prefix("kafka:").unwrap().to_owned();
    // Another address of this machine than the usual one.
    program.address = format!("127.0.0.3:{port}");
    assert_eq!(asks(program.connect()).2, 0);
}

#[test]
fn a_thousand_hostile_connections_cost_little_and_disturb_nobody() {
    let program = Program::start(&["--port", "0"]);
    let mut numbers = 1_u64;
    let mut garbage = || {
        // A generator of Lehmer's: garbage that is the same in each run.
        numbers = numbers.wrapping_mul(48_271) % 0x7fff_ffff;
        (numbers >> 8) as u8
    };
    let connections: Vec<TcpStream> = (0..1000)
        .map(|n| {
            let mut stream = program.connect();
            let bytes: Vec<u8> = match n % 6 {
                0 => Vec::new(),
                // The longest Produce request, of which nothing more comes.
                1 => [&[0x06, 0x40, 0, 0, 0, 0, 0, 9][..], &[0; 5000]].concat(),
                2 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
                3 => (0..100_000).map(|_| garbage()).collect(),
                // A whole frame of garbage that begins as JoinGroup does.
                4 => {
                    let head = [0, 0, 0x40, 0, 0, 11, 0, 5];
                    let rest: Vec<u8> = (0..0x3ffc).map(|_| garbage()).collect();
                    [&head[..], &rest].concat()
                }
                // Half a header.
                _ => vec![0, 0, 0, 20, 0],
            };
            // The program may close it half-way.
            let _ = stream.write_all(&bytes);
            stream
        })
        .collect();
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(asks(program.connect()).2, 0);
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    println!(
        "{:?} kB with {} connections",
        program.memory(),
        connections.len()
    );
    assert!(program.memory().is_none_or(|kb| kb < 64_000));
}

#[test]
fn wrong_arguments_are_named_with_status_2() {
    for (arguments, named) in [
        (&["--porr", "1"][..], "--porr"),
        (&["--topic", "a:x"], "a:x"),
        (&["--topic", "a b"], "a b"),
        (&["--nodes", "0"], "0"),
        (&["--nodes", "many"], "many"),
        (&["--replication-factor", "2"], "replication factor 2"),
        (&["--bind", "nowhere"], "nowhere"),
        (&["--advertised-host", "kafka:9092"], "kafka:9092"),
    ] {
        let program = Command::new(env!("CARGO_BIN_EXE_ottla-broker"))
            .args(["--port", "0"])
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(program.status.code(), Some(2), "{arguments:?}");
        let errors = String::from_utf8(program.stderr).unwrap();
        assert!(errors.contains(named), "{arguments:?}: {errors}");
    }
}
