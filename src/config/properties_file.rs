//! Java's properties files, read as Java reads them, so that a service's own file does for this client too.

use std::fmt;
use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The settings of a Java client's properties file, such as the `client.properties` that Kafka's own tools take by
/// `--command-config`: for [`ClientBuilder::properties_file`](crate::ClientBuilder::properties_file).
///
/// Read as `java.util.Properties` does: comments by `#` and `!`, names and values parted by `=`, `:` or blanks, lines that
/// go on after a backslash, `\uXXXX`; of a name that is there twice the last value counts. Other than there, a file is
/// taken for UTF-8 where it can be, and for ISO 8859-1 where not. Its `Debug` shows no value.
#[derive(Clone)]
pub struct PropertiesFile {
    entries: Vec<(String, Zeroizing<String>)>,
}

impl PropertiesFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Config`] with the path for a file that cannot be read, or is none of Java's.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refused = |reason: String| Error::config(&path.display().to_string(), reason);
        let bytes = fs::read(path).map_err(|error| refused(error.to_string()))?;
        let bytes = Zeroizing::new(bytes);
        let text = Zeroizing::new(match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        });
        Self::parsed(&text).map_err(refused)
    }

    /// Reads text.
    ///
    /// # Errors
    /// [`Error::Config`] for text that is none of Java's: a `\u` without a number.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parsed(text).map_err(|reason| Error::config("properties", reason))
    }

    fn parsed(text: &str) -> Result<Self, String> {
        let mut file = Self {
            entries: Vec::new(),
        };
        let text = Zeroizing::new(text.replace("\r\n", "\n"));
        let mut lines = text.split(['\n', '\r']).enumerate();
        while let Some((number, line)) = lines.next() {
            let line = line.trim_start_matches(BLANKS);
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let mut whole = Zeroizing::new(line.to_owned());
            while goes_on(&whole) {
                whole.pop();
                let Some((_, next)) = lines.next() else {
                    break;
                };
                whole.push_str(next.trim_start_matches(BLANKS));
            }
            let (name, value) = parted(&whole);
            let read = |text| unescaped(text).ok_or_else(|| malformed(number));
            file.put(read(name)?.to_string(), read(value)?);
        }
        Ok(file)
    }

    fn put(&mut self, name: String, value: Zeroizing<String>) {
        self.entries.retain(|(known, _)| *known != name);
        self.entries.push((name, value));
    }

    /// The value of a setting, by its Kafka name; `group.id` is for who makes the consumer.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.entries.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All settings, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.entries.iter();
        entries.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for PropertiesFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.entries.iter().map(|(name, _)| name).collect();
        f.debug_tuple("PropertiesFile").field(&names).finish()
    }
}

const BLANKS: [char; 3] = [' ', '\t', '\x0c'];

fn malformed(line: usize) -> String {
    format!(
        "line {}: \\u without four hexadecimal digits, or of no character",
        line + 1
    )
}

/// Whether the line's end is escaped: by an odd number of backslashes.
fn goes_on(line: &str) -> bool {
    let backslashes = line.chars().rev().take_while(|char| *char == '\\').count();
    backslashes % 2 == 1
}

/// Name and value, which the first `=`, `:` or blank parts that is not escaped.
fn parted(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|char| {
        let parts = !escaped && (matches!(char, '=' | ':') || BLANKS.contains(&char));
        escaped = !escaped && char == '\\';
        parts
    });
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (name, rest.trim_start_matches(BLANKS))
}

/// `None` for a `\u` without four digits, and for half a character.
fn unescaped(text: &str) -> Option<Zeroizing<String>> {
    let mut units = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let char = match char {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let digits: Option<Vec<_>> = (0..4).map(|_| chars.next()).collect();
                    let digits = digits?.into_iter();
                    let number = digits
                        .map(|digit| digit.to_digit(16))
                        .try_fold(0, |number: u32, digit| Some(number << 4 | digit?))?;
                    units.push(u16::try_from(number).ok()?);
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_java_reads_it() {
        for (text, expected) in [
            ("a=b", vec![("a", "b")]),
            ("a = b ", vec![("a", "b ")]),
            ("a:b\nc d", vec![("a", "b"), ("c", "d")]),
            ("  # a\n! b\n\n a\t=\tb", vec![("a", "b")]),
            ("a=b\r\nc=d\r\n", vec![("a", "b"), ("c", "d")]),
            ("a=1\\\n   2\\\r\n  3", vec![("a", "123")]),
            ("a=1\\\\\nb=2", vec![("a", "1\\"), ("b", "2")]),
            ("a\\=b\\ c=d\\:e", vec![("a=b c", "d:e")]),
            (
                "a=\\u00e9\\uD83D\\uDE00\\t.",
                vec![("a", "\u{e9}\u{1f600}\t.")],
            ),
            ("a", vec![("a", "")]),
            ("a==b", vec![("a", "=b")]),
            ("a=1\nb=2\na=3", vec![("b", "2"), ("a", "3")]),
            ("a=b\\", vec![("a", "b")]),
            ("# comment \\\na=b", vec![("a", "b")]),
            ("", vec![]),
        ] {
            let file = PropertiesFile::parse(text).unwrap();
            let read: Vec<_> = file.iter().collect();
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn what_java_refuses_is_refused_by_its_line() {
        for text in ["\n\na=\\u00", "a=1\nb=\\uzzzz", "a=\\ud83d"] {
            let error = PropertiesFile::parse(text).unwrap_err().to_string();
            assert!(error.contains("line "), "{error}");
        }
        let error = PropertiesFile::read("/nowhere/client.properties");
        let error = error.unwrap_err().to_string();
        assert!(error.contains("/nowhere/client.properties"), "{error}");
    }

    #[test]
    fn no_value_is_shown() {
        let file = PropertiesFile::parse("sasl.password=open sesame").unwrap();
        assert_eq!(format!("{file:?}"), "PropertiesFile([\"sasl.password\"])");
        assert_eq!(file.get("sasl.password"), Some("open sesame"));
    }
}
