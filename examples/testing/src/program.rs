//! An application as people run it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::place::Folder;
use crate::until;

/// A folder for a test's files, such as settings; removed when it is dropped.
///
/// # Errors
/// When it cannot be made.
pub fn folder(what: &str) -> std::io::Result<Folder> {
    Folder::new(what)
}

/// A running program, killed when it is dropped.
pub struct Program {
    child: Child,
    /// Lines of standard error so far.
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
    printed: Arc<Mutex<String>>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; `None` when it was killed.
    pub status: Option<i32>,
    /// Its standard output.
    pub printed: String,
    /// Its standard error.
    pub said: String,
}

impl Program {
    /// Starts a program.
    ///
    /// # Errors
    /// When it is not there.
    pub fn start<A: AsRef<str>>(
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (said, printed) = (Arc::default(), Arc::default());
        let readers = vec![
            read_lines(child.stderr.take(), Arc::clone(&said)),
            read_all(child.stdout.take(), Arc::clone(&printed)),
        ];
        Ok(Self {
            child,
            said,
            readers,
            printed,
        })
    }

    /// Waits for a line of standard error that has `text` in it.
    ///
    /// # Errors
    /// When there is none, with all that there is.
    pub fn says(&mut self, text: &str) -> Result<String, String> {
        let said = Arc::clone(&self.said);
        let lines = || said.lock().unwrap_or_else(PoisonError::into_inner);
        let found = until(text, || {
            let line = lines().iter().find(|line| line.contains(text)).cloned();
            // Nothing more comes from a program that has ended.
            line.map(Some).or_else(|| self.has_ended().then_some(None))
        })?;
        found.ok_or_else(|| format!("ended without {text:?}: {:?}", lines()))
    }

    /// Sends a signal, such as `INT` or `KILL`.
    ///
    /// # Errors
    /// When `kill` is missing.
    pub fn signal(&self, name: &str) -> std::io::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-s", name, &id]).status()?;
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it hangs.
    pub fn end(mut self) -> Result<Ended, String> {
        let status: ExitStatus =
            until("the program's end", || self.child.try_wait().ok().flatten())?;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Ended {
            status: status.code(),
            printed: printed.clone(),
            said: said.join("\n"),
        })
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
            && self.readers.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(
    pipe: Option<impl Read + Send + 'static>,
    lines: Arc<Mutex<Vec<String>>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let read = pipe
            .into_iter()
            .flat_map(|pipe| BufReader::new(pipe).lines());
        for line in read.map_while(Result::ok) {
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    })
}

fn read_all(pipe: Option<impl Read + Send + 'static>, text: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut all = String::new();
        let _ = pipe.map(|mut pipe| pipe.read_to_string(&mut all));
        *text.lock().unwrap_or_else(PoisonError::into_inner) = all;
    })
}
