//! A real Redis.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use kafka_cluster::{Server, suite::Program};

use crate::LIMIT;
use crate::place::{Folder, free_port};

/// The program, and where it comes from.
pub(crate) const SERVER: Program = Program {
    name: "redis-server",
    package: "redis-server",
};

/// A Redis without files on a port of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    // Before its files go.
    _server: Server,
    _folder: Folder,
}

impl Redis {
    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, or ends before it answers.
    pub fn start() -> Result<Self, String> {
        let start = || -> Result<Self, Box<dyn std::error::Error>> {
            let folder = Folder::new("redis")?;
            let port = free_port()?;
            let mut command = Command::new(SERVER.find().ok_or("it is not installed")?);
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--save", "", "--appendonly", "no"]);
            command.arg("--dir").arg(folder.path());
            let mut server = Server::start(command, &folder.path().join("output"))?;
            server.wait_for("it answers", LIMIT, || ask(port, "PING").ok())?;
            Ok(Self {
                port,
                _server: server,
                _folder: folder,
            })
        };
        start().map_err(|error| format!("redis-server: {error}"))
    }

    /// For clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its one-line answer to a command, such as `GET coupon_count`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, command: &str) -> io::Result<String> {
        ask(self.port, command)
    }
}

fn ask(port: u16, command: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.trim_end_matches("+OK\r\n").trim().to_owned())
}
