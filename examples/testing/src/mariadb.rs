//! A real MariaDB.

use std::io::{self, Read};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use kafka_cluster::{Server, suite::Program};

use crate::LIMIT;
use crate::place::{Folder, free_port};

/// The first byte of a server's greeting, behind the four of its length.
const PROTOCOL: u8 = 10;

/// What makes a server's files.
pub(crate) const INSTALL: Program = Program {
    name: "mariadb-install-db",
    package: "mariadb-server",
};

/// The server.
pub(crate) const SERVER: Program = Program {
    name: "mariadbd",
    package: "mariadb-server",
};

/// Its own client.
pub(crate) const CLIENT: Program = Program {
    name: "mariadb",
    package: "mariadb-client",
};

/// An empty MariaDB on a port of its own, whose root has no password; it ends when it is dropped.
#[derive(Debug)]
pub struct MariaDb {
    port: u16,
    // Before its files go.
    _server: Server,
    _folder: Folder,
}

impl MariaDb {
    /// Makes its files, starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, or ends before it answers.
    pub fn start() -> Result<Self, String> {
        let start = || -> Result<Self, Box<dyn std::error::Error>> {
            let folder = Folder::new("mariadb")?;
            let data = format!("--datadir={}/data", folder.path().display());
            let user = format!("--user={}", printed(Command::new("id").arg("-un"))?.trim());
            let mut install = Command::new(INSTALL.find().ok_or("its installer is missing")?);
            install.args(["--no-defaults", &data, &user, "--skip-test-db"]);
            printed(install.arg("--auth-root-authentication-method=normal"))?;
            let port = free_port()?;
            let socket = format!("--socket={}/socket", folder.path().display());
            let mut command = Command::new(SERVER.find().ok_or("it is not installed")?);
            command.args(["--no-defaults", &data, &user, &socket]);
            command.arg(format!("--port={port}"));
            command.args(["--bind-address=127.0.0.1", "--skip-name-resolve"]);
            // What a crash of the machine would do is not tried.
            command.args(["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]);
            let mut server = Server::start(command, &folder.path().join("output"))?;
            server.wait_for("it answers", LIMIT, || greeting(port))?;
            Ok(Self {
                port,
                _server: server,
                _folder: folder,
            })
        };
        start().map_err(|error| format!("MariaDB: {error}"))
    }

    /// Makes a database in it; gives its URL.
    ///
    /// # Errors
    /// When it is there already.
    pub fn create(&self, name: &str) -> Result<String, String> {
        self.ask(&format!("CREATE DATABASE {name}"))?;
        Ok(format!("mysql://root@127.0.0.1:{}/{name}", self.port))
    }

    /// What MariaDB's own client prints for a statement: a line a row, tabs between columns.
    ///
    /// # Errors
    /// The database's refusal.
    pub fn ask(&self, statement: &str) -> Result<String, String> {
        let mut client = Command::new("mariadb");
        client.args([
            "--no-defaults",
            "--host=127.0.0.1",
            "--user=root",
            "-N",
            "-B",
        ]);
        client.arg(format!("--port={}", self.port));
        let answer = printed(client.args(["-e", statement]));
        answer.map_err(|error| format!("{statement}: {error}"))
    }

    /// A number that a statement asks for.
    ///
    /// # Errors
    /// The database's refusal.
    pub fn count(&self, statement: &str) -> Result<u64, String> {
        let answer = self.ask(statement)?;
        let count = answer.trim().parse();
        count.map_err(|_| format!("{statement}: {answer:?} is no count"))
    }
}

fn greeting(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).ok()?;
    (bytes.last() == Some(&PROTOCOL)).then_some(())
}

/// What a command prints, when it succeeds.
fn printed(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        let said = text(&output.stderr) + &text(&output.stdout);
        Err(io::Error::other(format!("{}: {said}", output.status)))
    }
}
