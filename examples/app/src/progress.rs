//! Progress on a terminal, and log lines that do not run into it.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// What is drawn on standard error; nothing where that is no terminal.
fn screen() -> &'static MultiProgress {
    static SCREEN: OnceLock<MultiProgress> = OnceLock::new();
    SCREEN.get_or_init(MultiProgress::new)
}

/// A bar for work of a known length; it goes when it is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// For `length` steps, such as "applications".
    #[must_use]
    pub fn new(length: u64, steps: &str) -> Self {
        let bar = screen().add(ProgressBar::new(length));
        let template = format!("{{bar:30}} {{pos}}/{{len}} {steps}  {{msg}}  {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// One step more.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// What is going on.
    pub fn status(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Says something on standard error; whether someone still reads there changes nothing.
pub fn say(text: &str) {
    let _ = writeln!(Log, "{text}");
}

/// Standard error, above the bars.
pub(crate) struct Log;

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        screen().suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
