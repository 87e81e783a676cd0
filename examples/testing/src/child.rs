//! Server processes that cannot outlive the test that started them, nor can their files.

use std::env;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs a server until standard input ends, which it does with the test, however that ends.
const WATCH: &str = r#""$@" & child=$!; read -r line; kill -s KILL $child; wait"#;

/// A server, ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    watch: Child,
    _folder: Folder,
}

impl Server {
    /// Starts `command`, whose files are in `folder`; what it says goes to a file there.
    pub(crate) fn start(command: &[&str], folder: Folder) -> io::Result<Self> {
        let log = fs::File::create(folder.path().join("output"))?;
        let watch = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .args(command)
            // A Ctrl-C is for the test, which then ends this.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self {
            watch,
            _folder: folder,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
    }
}

/// A folder for one test's files, removed when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(what: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ottla-{what}-{}-{number}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Whether a program is installed.
pub(crate) fn is_there(program: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    folders.any(|folder| folder.join(program).is_file())
}
