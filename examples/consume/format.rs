//! How a record is printed: as a template says, or as an object of JSON.

use std::io::{self, Write};

use ottla::{Header, RecordRef};
use serde::Serialize;

/// What stands for null.
const NULL: &[u8] = b"null";

#[derive(Debug)]
pub(crate) enum Format {
    Template(Vec<Piece>),
    Json,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    Value,
    Headers,
}

impl Default for Format {
    fn default() -> Self {
        Self::Template(vec![Piece::Value])
    }
}

impl Format {
    pub(crate) fn parse(template: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut letters = template.chars();
        while let Some(letter) = letters.next() {
            let piece = match letter {
                '%' => match letters.next() {
                    Some('%') => None,
                    Some(letter) => Some(piece(letter)?),
                    None => return Err("% at the end: %% is a percent sign".to_owned()),
                },
                '\\' => {
                    text.push(escaped(letters.next())?);
                    continue;
                }
                _ => None,
            };
            let Some(piece) = piece else {
                text.push(letter);
                continue;
            };
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(piece);
        }
        pieces.push(Piece::Text(text));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self::Template(pieces))
    }

    /// Writes the record with the end of its line.
    pub(crate) fn write(&self, record: RecordRef<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Template(pieces) => {
                for piece in pieces {
                    piece.write(record, out)?;
                }
            }
            Self::Json => serde_json::to_writer(&mut *out, &Line::of(record))?,
        }
        out.write_all(b"\n")
    }
}

fn piece(letter: char) -> Result<Piece, String> {
    Ok(match letter {
        't' => Piece::Topic,
        'p' => Piece::Partition,
        'o' => Piece::Offset,
        'T' => Piece::Timestamp,
        'k' => Piece::Key,
        'v' => Piece::Value,
        'h' => Piece::Headers,
        other => return Err(format!("%{other} means nothing")),
    })
}

fn escaped(letter: Option<char>) -> Result<char, String> {
    match letter {
        Some('t') => Ok('\t'),
        Some('n') => Ok('\n'),
        Some('\\') => Ok('\\'),
        Some(other) => Err(format!("\\{other} means nothing")),
        None => Err("\\ at the end: \\\\ is a backslash".to_owned()),
    }
}

impl Piece {
    fn write(&self, record: RecordRef<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Text(text) => out.write_all(text.as_bytes()),
            Self::Topic => out.write_all(record.topic().as_bytes()),
            Self::Partition => write!(out, "{}", record.partition()),
            Self::Offset => write!(out, "{}", record.offset()),
            Self::Timestamp => write!(out, "{}", record.timestamp_millis()),
            Self::Key => out.write_all(record.key().unwrap_or(NULL)),
            Self::Value => out.write_all(record.value().unwrap_or(NULL)),
            Self::Headers => write_headers(record, out),
        }
    }
}

fn write_headers(record: RecordRef<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    for (number, header) in record.headers().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        write!(out, "{comma}{}=", header.name())?;
        out.write_all(header.value().unwrap_or(NULL))?;
    }
    Ok(())
}

/// A record as an object.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    /// Pairs: names may repeat, and their order counts.
    headers: Vec<(String, Option<Content>)>,
    key: Option<Content>,
    value: Option<Content>,
}

impl<'a> Line<'a> {
    fn of(record: RecordRef<'a>) -> Self {
        let pair = |header: Header<'_>| (header.name().to_owned(), header.value().map(Content::of));
        Self {
            topic: record.topic(),
            partition: record.partition(),
            offset: record.offset(),
            timestamp: record.timestamp_millis(),
            headers: record.headers().map(pair).collect(),
            key: record.key().map(Content::of),
            value: record.value().map(Content::of),
        }
    }
}

/// Bytes, as text where they are text.
#[derive(Serialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Hex { hex: String },
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex {
                hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_taken_apart() {
        let Format::Template(pieces) = Format::parse("%t[%p]\\t100%%%k\\\\").unwrap() else {
            panic!("a template is JSON");
        };
        let text = |text: &str| Piece::Text(text.to_owned());
        let expected = [
            Piece::Topic,
            text("["),
            Piece::Partition,
            text("]\t100%"),
            Piece::Key,
            text("\\"),
        ];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (template, told) in [
            ("%s", "%s means nothing"),
            ("%", "%% is a percent sign"),
            ("\\r", "\\r means nothing"),
            ("x\\", "\\\\ is a backslash"),
        ] {
            let wrong = Format::parse(template).unwrap_err();
            assert!(wrong.contains(told), "{template}: {wrong}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_hex() {
        let shown = |bytes| serde_json::to_string(&Content::of(bytes)).unwrap();
        assert_eq!(shown(b"a\"b"), "\"a\\\"b\"");
        assert_eq!(shown(b"\x00\xff"), "{\"hex\":\"00ff\"}");
    }
}
