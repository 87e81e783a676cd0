//! Records on standard output.

use std::io::{self, Write};

use ottla::Records;

use crate::format::Format;

pub(crate) struct Printer {
    format: Format,
    /// How many more are wanted, where that is limited.
    left: Option<usize>,
    printed: u64,
    buffer: Vec<u8>,
}

/// No more is wanted, or can be written.
pub(crate) struct Enough {
    /// How many of the records that were to be printed were.
    pub(crate) printed: usize,
    pub(crate) failure: Option<io::Error>,
}

impl Printer {
    pub(crate) fn new(format: Format, count: Option<usize>) -> Self {
        Self {
            format,
            left: count,
            printed: 0,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn printed(&self) -> u64 {
        self.printed
    }

    /// Prints as many as are wanted; when it returns, they are out of this program's hands.
    pub(crate) fn print(&mut self, records: &Records) -> Result<(), Enough> {
        let count = self
            .left
            .map_or(records.len(), |left| left.min(records.len()));
        self.buffer.clear();
        self.write(records, count).map_err(|failure| Enough {
            printed: 0,
            // A reader that has gone away wants no more, which is no failure.
            failure: Some(failure).filter(|e| e.kind() != io::ErrorKind::BrokenPipe),
        })?;
        self.printed += count as u64;
        if let Some(left) = &mut self.left {
            *left -= count;
            if *left == 0 {
                return Err(Enough {
                    printed: count,
                    failure: None,
                });
            }
        }
        Ok(())
    }

    fn write(&mut self, records: &Records, count: usize) -> io::Result<()> {
        for record in records.iter().take(count) {
            self.format.write(record, &mut self.buffer)?;
        }
        let mut output = io::stdout().lock();
        output.write_all(&self.buffer)?;
        output.flush()
    }
}
