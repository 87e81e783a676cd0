//! What the client has to tell about itself, on standard error, when `OTTLA_TRACE=1`.

use std::fmt::{self, Write};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Prints what ottla logs; for looking into a test that fails.
pub(crate) fn install() {
    if std::env::var_os("OTTLA_TRACE").is_some_and(|value| value == "1") {
        let printer = Printer(Instant::now());
        let _ = tracing::subscriber::set_global_default(printer);
    }
}

struct Printer(Instant);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ottla")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let (at, metadata) = (self.0.elapsed(), event.metadata());
        eprintln!(
            "{at:>9.3?} {} {}: {}",
            metadata.level(),
            metadata.target(),
            line.0
        );
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
