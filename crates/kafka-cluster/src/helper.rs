//! The Java process that answers questions by Java's own clients.

use std::{
    fs::OpenOptions,
    io::{self, BufReader, BufWriter, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use crate::{
    error::{Context, Error},
    jars,
    process::{Group, tail},
};

/// No record that a broker takes comes near this.
const BLOB_CAP: i32 = 1 << 30;

/// A header's name, and its value unless that is null.
pub type Header = (String, Option<Vec<u8>>);

/// A record as Java's consumer read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// The partition it is in.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Who set the timestamp.
    pub timestamp_type: TimestampType,
    /// The key; `None` is null, which an empty key is not.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is null, which an empty value is not.
    pub value: Option<Vec<u8>>,
    /// The headers in their order, duplicates included.
    pub headers: Vec<Header>,
}

/// Who set a record's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Nobody: the record has none.
    None,
    /// The producer.
    Create,
    /// The broker, when it appended the record.
    LogAppend,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The partition.
    pub partition: i32,
    /// The first offset that is still there.
    pub start: i64,
    /// The offset that the next record gets, as far as it is replicated.
    pub end: i64,
}

/// A connection to the Java process.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
    output: Answers,
    log: PathBuf,
}

impl Helper {
    pub(crate) fn start(group: &Group, log: PathBuf) -> Result<Self, Error> {
        let mut command = jars::helper()?;
        group.adopt(&mut command)?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .context(|| format!("opening {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .context(|| "starting Java".to_owned())?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                child,
                input: Some(BufWriter::new(input)),
                output: Answers(BufReader::with_capacity(1 << 18, output)),
                log,
            }),
            _ => Err(Error::Invalid("the Java helper has no pipes".to_owned())),
        }
    }

    /// Sends a request and reads its rows; an [`Error::Io`] or [`Error::Failed`] leaves the helper
    /// unusable.
    pub(crate) fn ask<T>(
        &mut self,
        arguments: &[Option<&[u8]>],
        row: fn(&mut Answers) -> io::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        match self
            .send(arguments)
            .and_then(|()| self.output.read(row, &mut rows))
        {
            Ok(None) => Ok(rows),
            Ok(Some(message)) => Err(Error::Java(message)),
            Err(error) => {
                let what = format!("the Java helper broke off ({error})");
                Err(Error::Failed {
                    what,
                    output: tail(&self.log),
                })
            }
        }
    }

    fn send(&mut self, arguments: &[Option<&[u8]>]) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(&length(arguments.len())?)?;
        for argument in arguments {
            match argument {
                None => input.write_all(&(-1i32).to_be_bytes())?,
                Some(bytes) => {
                    input.write_all(&length(bytes.len())?)?;
                    input.write_all(bytes)?;
                }
            }
        }
        input.flush()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn length(length: usize) -> io::Result<[u8; 4]> {
    let length = i32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(length.to_be_bytes())
}

/// The helper's side of the conversation.
#[derive(Debug)]
pub(crate) struct Answers(BufReader<ChildStdout>);

impl Answers {
    /// Reads rows up to the end of an answer, which is a message when Java failed.
    fn read<T>(
        &mut self,
        row: fn(&mut Self) -> io::Result<T>,
        rows: &mut Vec<T>,
    ) -> io::Result<Option<String>> {
        loop {
            match self.bytes::<1>()? {
                [b'R'] => rows.push(row(self)?),
                [b'K'] => return Ok(None),
                [b'E'] => return self.text().map(Some),
                [other] => return Err(io::Error::other(format!("unexpected byte {other}"))),
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn i32(&mut self) -> io::Result<i32> {
        self.bytes().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> io::Result<i64> {
        self.bytes().map(i64::from_be_bytes)
    }

    fn blob(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = self.i32()?;
        if length > BLOB_CAP {
            return Err(io::Error::other(format!("{length} bytes announced")));
        }
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn text(&mut self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.blob()?.unwrap_or_default()).into_owned())
    }

    pub(crate) fn record(&mut self) -> io::Result<ConsumedRecord> {
        Ok(ConsumedRecord {
            partition: self.i32()?,
            offset: self.i64()?,
            timestamp: self.i64()?,
            timestamp_type: match self.i32()? {
                0 => TimestampType::Create,
                1 => TimestampType::LogAppend,
                _ => TimestampType::None,
            },
            key: self.blob()?,
            value: self.blob()?,
            headers: (0..self.i32()?)
                .map(|_| Ok((self.text()?, self.blob()?)))
                .collect::<io::Result<_>>()?,
        })
    }

    pub(crate) fn offsets(&mut self) -> io::Result<PartitionOffsets> {
        Ok(PartitionOffsets {
            partition: self.i32()?,
            start: self.i64()?,
            end: self.i64()?,
        })
    }
}
