//! A real Redis.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::child::{Folder, Server, free_port};
use crate::until;

/// A Redis without files on a port of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    _server: Server,
}

impl Redis {
    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start() -> Result<Self, String> {
        let start = || -> io::Result<Self> {
            let folder = Folder::new("redis")?;
            let port = free_port()?;
            let dir = folder.path().to_string_lossy().into_owned();
            let number = port.to_string();
            let mut command = vec!["redis-server", "--port", &number, "--bind", "127.0.0.1"];
            command.extend(["--save", "", "--appendonly", "no", "--dir", &dir]);
            let server = Server::start(&command, folder)?;
            Ok(Self {
                port,
                _server: server,
            })
        };
        let redis = start().map_err(|error| format!("redis-server: {error}"))?;
        until("redis-server answers", || redis.ask("PING").ok())?;
        Ok(redis)
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
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.trim_end_matches("+OK\r\n").trim().to_owned())
    }
}
