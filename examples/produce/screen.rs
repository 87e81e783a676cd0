//! What a person sees: progress on a terminal, and messages.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on standard error, hidden where that is no terminal, and the messages above it.
pub(crate) struct Screen(ProgressBar);

impl Screen {
    pub(crate) fn new() -> Self {
        let (bar, style) = match standard_input_len() {
            Some(len) => (
                ProgressBar::new(len),
                "{bar:30} {bytes}/{total_bytes}  {msg}  {bytes_per_sec}  {eta} left",
            ),
            None => (
                ProgressBar::new_spinner(),
                "{spinner} {bytes}  {msg}  {bytes_per_sec}",
            ),
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    pub(crate) fn advance(&self, bytes: usize) {
        self.0.inc(bytes as u64);
    }

    pub(crate) fn status(&self, text: String) {
        self.0.set_message(text);
    }

    /// Shows a line; whether someone still reads standard error changes nothing.
    pub(crate) fn say(&self, line: &dyn fmt::Display) {
        self.0.suspend(|| {
            let _ = writeln!(io::stderr(), "{line}");
        });
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Of a file the length is known, and with it how much is left.
fn standard_input_len() -> Option<u64> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    input
        .metadata()
        .ok()
        .filter(|input| input.is_file())
        .map(|input| input.len())
}
