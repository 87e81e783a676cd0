//! Kinds of values: one way to parse and bound each, for Kafka's names and typed setters alike.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::sasl::{JaasLine, Secret};
use crate::types::{Address, is_legal_name};

/// The largest value of Java's `int`, which bounds most settings and some fields on the wire.
pub(super) const INT: i64 = i32::MAX as i64;
/// The largest value of Java's `long`.
pub(super) const LONG: i64 = i64::MAX;

/// A number that a [`Bounded`] setting holds.
pub(super) trait Number: Copy {
    fn from_whole(whole: i64) -> Option<Self>;
    /// Rounded down to the setting's unit.
    fn whole(self) -> i128;
}

impl Number for Duration {
    fn from_whole(whole: i64) -> Option<Self> {
        whole.try_into().ok().map(Self::from_millis)
    }

    fn whole(self) -> i128 {
        // u64::MAX seconds are far below i128::MAX milliseconds.
        self.as_millis() as i128
    }
}

impl Number for usize {
    fn from_whole(whole: i64) -> Option<Self> {
        whole.try_into().ok()
    }

    fn whole(self) -> i128 {
        self as i128
    }
}

impl Number for u32 {
    fn from_whole(whole: i64) -> Option<Self> {
        whole.try_into().ok()
    }

    fn whole(self) -> i128 {
        self.into()
    }
}

impl Number for i32 {
    fn from_whole(whole: i64) -> Option<Self> {
        whole.try_into().ok()
    }

    fn whole(self) -> i128 {
        self.into()
    }
}

/// A whole number between two bounds.
pub(super) struct Bounded<T> {
    pub(super) name: &'static str,
    unit: &'static str,
    least: i64,
    most: i64,
    /// What follows the bounds in the error's text.
    note: &'static str,
    kind: PhantomData<T>,
}

impl Bounded<Duration> {
    pub(super) const fn millis(name: &'static str, least: i64, most: i64) -> Self {
        Self::new(name, "milliseconds", least, most)
    }
}

impl Bounded<usize> {
    pub(super) const fn bytes(name: &'static str, least: i64, most: i64) -> Self {
        Self::new(name, "bytes", least, most)
    }
}

impl<T> Bounded<T> {
    /// `unit` may be empty.
    pub(super) const fn new(name: &'static str, unit: &'static str, least: i64, most: i64) -> Self {
        Self {
            name,
            unit,
            least,
            most,
            note: "",
            kind: PhantomData,
        }
    }

    pub(super) const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }
}

impl<T: Number> Bounded<T> {
    pub(super) fn parse(&self, text: &str) -> Result<T> {
        let text = text.trim();
        let whole: i128 = match text.parse() {
            Ok(whole) => whole,
            Err(_) if is_digits(text) => return Err(self.out_of_bounds(text)),
            Err(_) => {
                let of = if self.unit.is_empty() { "" } else { " of " };
                let unit = self.unit;
                return Err(self.refuse(format!("{text:?} is not a whole number{of}{unit}")));
            }
        };
        i64::try_from(whole)
            .ok()
            .filter(|whole| self.holds((*whole).into()))
            .and_then(T::from_whole)
            .ok_or_else(|| self.out_of_bounds(text))
    }

    /// For a value that came through a typed setter.
    pub(super) fn check(&self, value: T) -> Result<T> {
        if self.holds(value.whole()) {
            Ok(value)
        } else {
            Err(self.out_of_bounds(&value.whole().to_string()))
        }
    }

    /// What was set, or what it is unless set.
    pub(super) fn pick(&self, set: Option<T>, default: T) -> Result<T> {
        set.map_or(Ok(default), |value| self.check(value))
    }

    fn holds(&self, whole: i128) -> bool {
        whole >= self.least.into() && whole <= self.most.into()
    }

    fn out_of_bounds(&self, given: &str) -> Error {
        let Self {
            unit,
            least,
            most,
            note,
            ..
        } = self;
        let space = if unit.is_empty() { "" } else { " " };
        self.refuse(format!(
            "{given} is out of bounds ({least} to {most}{space}{unit}{note})"
        ))
    }

    pub(super) fn refuse(&self, reason: String) -> Error {
        Error::config(self.name, reason)
    }
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A whole number between two bounds, or -1 for none: never, or whatever the operating system or the codec does.
pub(super) struct OrNone<T> {
    pub(super) name: &'static str,
    bounded: Bounded<T>,
}

impl<T: Number> OrNone<T> {
    pub(super) const fn new(bounded: Bounded<T>) -> Self {
        Self {
            name: bounded.name,
            bounded,
        }
    }

    pub(super) fn parse(&self, text: &str) -> Result<Option<T>> {
        if text.trim() == "-1" {
            return Ok(None);
        }
        self.bounded.parse(text).map(Some)
    }

    fn check(&self, value: Option<T>) -> Result<Option<T>> {
        value.map(|value| self.bounded.check(value)).transpose()
    }

    pub(super) fn pick(&self, set: Option<Option<T>>, default: Option<T>) -> Result<Option<T>> {
        set.map_or(Ok(default), |value| self.check(value))
    }
}

/// `true` or `false`.
pub(super) struct Flag {
    pub(super) name: &'static str,
}

impl Flag {
    pub(super) fn parse(&self, text: &str) -> Result<bool> {
        match text.trim() {
            word if word.eq_ignore_ascii_case("true") => Ok(true),
            word if word.eq_ignore_ascii_case("false") => Ok(false),
            other => Err(Error::config(
                self.name,
                format!("{other:?} is neither true nor false"),
            )),
        }
    }
}

/// One of some words, in upper or lower case.
pub(super) struct Choice<T: 'static> {
    pub(super) name: &'static str,
    /// Named in the error's text.
    pub(super) words: &'static [(&'static str, T)],
    /// Understood as well.
    pub(super) aliases: &'static [(&'static str, T)],
    /// What follows the words in the error's text.
    pub(super) note: &'static str,
}

impl<T: Clone> Choice<T> {
    pub(super) fn parse(&self, text: &str) -> Result<T> {
        let text = text.trim();
        self.words
            .iter()
            .chain(self.aliases)
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, value)| value.clone())
            .ok_or_else(|| {
                let words: Vec<_> = self.words.iter().map(|(word, _)| *word).collect();
                let one_of = if words.len() > 1 { "one of " } else { "" };
                let (words, note) = (words.join(", "), self.note);
                Error::config(self.name, format!("{text:?} is not {one_of}{words}{note}"))
            })
    }
}

/// One or more of some words, separated by commas, the most wanted first.
pub(super) struct Choices<T: 'static> {
    pub(super) name: &'static str,
    choice: Choice<T>,
}

impl<T> Choices<T> {
    pub(super) const fn new(choice: Choice<T>) -> Self {
        Self {
            name: choice.name,
            choice,
        }
    }
}

impl<T: Clone + PartialEq> Choices<T> {
    pub(super) fn parse(&self, text: &str) -> Result<Vec<T>> {
        let words = text.split(',').filter(|word| !word.trim().is_empty());
        let chosen: Vec<_> = words
            .map(|word| self.choice.parse(word))
            .collect::<Result<_>>()?;
        self.check(&chosen)
    }

    /// Keeps the order; what is named twice counts once.
    pub(super) fn check(&self, chosen: &[T]) -> Result<Vec<T>> {
        let mut once: Vec<T> = Vec::with_capacity(chosen.len());
        for choice in chosen {
            if !once.contains(choice) {
                once.push(choice.clone());
            }
        }
        if once.is_empty() {
            return Err(Error::config(
                self.name,
                "none is named: give one or more, separated by commas",
            ));
        }
        Ok(once)
    }
}

/// A word of the characters that topics' names may have.
pub(super) struct Identifier {
    pub(super) name: &'static str,
}

impl Identifier {
    pub(super) fn parse(&self, text: &str) -> Result<String> {
        let text = text.trim();
        if is_legal_name(text) {
            return Ok(text.to_owned());
        }
        Err(Error::config(
            self.name,
            format!(
                "{text:?} is not 1 to 249 letters, digits, dots, underscores and hyphens, other than \".\" and \"..\""
            ),
        ))
    }
}

/// Words without line breaks or other control characters.
pub(super) struct Text {
    pub(super) name: &'static str,
    /// In bytes.
    pub(super) most: usize,
}

impl Text {
    pub(super) fn parse(&self, text: &str) -> Result<String> {
        let text = text.trim();
        let (length, most) = (text.len(), self.most);
        if length > most {
            let reason = format!("{length} bytes are more than {most}");
            Err(Error::config(self.name, reason))
        } else if text.chars().any(char::is_control) {
            let reason = format!("{text:?} has a control character");
            Err(Error::config(self.name, reason))
        } else {
            Ok(text.to_owned())
        }
    }
}

/// Characters that may not be seen, and that count as they are: blanks too.
pub(super) struct Hidden {
    pub(super) name: &'static str,
}

impl Hidden {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name }
    }

    pub(super) fn parse(&self, text: &str) -> Result<Secret> {
        if text.is_empty() {
            return Err(Error::config(self.name, "it is empty"));
        }
        Ok(text.into())
    }
}

/// Where a file is.
pub(super) struct FilePath {
    pub(super) name: &'static str,
}

impl FilePath {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name }
    }

    pub(super) fn parse(&self, text: &str) -> Result<PathBuf> {
        match text.trim() {
            "" => Err(Error::config(
                self.name,
                "it is empty: give the path of a file",
            )),
            path => Ok(path.into()),
        }
    }
}

/// Certificates as text.
pub(super) struct Pem {
    pub(super) name: &'static str,
}

impl Pem {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name }
    }

    pub(super) fn parse(&self, text: &str) -> Result<String> {
        match text.trim() {
            "" => Err(Error::config(
                self.name,
                "it is empty: give certificates in PEM",
            )),
            text => Ok(text.to_owned()),
        }
    }
}

/// Words separated by commas.
pub(super) struct List {
    pub(super) name: &'static str,
}

impl List {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name }
    }

    pub(super) fn parse(&self, text: &str) -> Result<Vec<String>> {
        let words = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(str::to_owned).collect();
        match words.is_empty() {
            true => Err(Error::config(
                self.name,
                "none is named: give one or more, separated by commas",
            )),
            false => Ok(words),
        }
    }
}

/// A login module of Java's with its options.
pub(super) struct Jaas {
    pub(super) name: &'static str,
}

impl Jaas {
    pub(super) fn parse(&self, text: &str) -> Result<JaasLine> {
        JaasLine::parse(text).map_err(|reason| Error::config(self.name, reason))
    }
}

/// Servers as `host:port`, separated by commas.
pub(super) struct Servers {
    pub(super) name: &'static str,
}

impl Servers {
    /// Keeps the order; one that is named twice counts once.
    pub(super) fn parse(&self, text: &str) -> Result<Vec<Address>> {
        let mut servers = Vec::new();
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let server = address(entry).map_err(|reason| Error::config(self.name, reason))?;
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        if servers.is_empty() {
            return Err(Error::config(
                self.name,
                "no server is named: give one or more as host:port, separated by commas",
            ));
        }
        Ok(servers)
    }
}

/// Reads `host:port`, `[IPv6]:port`, either after Java's optional `PLAINTEXT://`.
fn address(entry: &str) -> Result<Address, String> {
    let server = match entry.split_once("://") {
        None => entry,
        Some((scheme, server)) if scheme.eq_ignore_ascii_case("PLAINTEXT") => server,
        Some((scheme, _)) => {
            return Err(format!(
                "{entry:?} asks for {scheme}: give host:port here, and the protocol of all servers by security.protocol"
            ));
        }
    };
    let no_port = || format!("{entry:?} has no port: give host:port, such as localhost:9092");
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or_else(|| format!("{entry:?} has no \"]\" after its IPv6 address"))?;
            // A zone ("fe80::1%eth0") is the resolver's business.
            let ip = host.split('%').next().unwrap_or(host);
            if ip.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!(
                    "{entry:?} has no IPv6 address between \"[\" and \"]\""
                ));
            }
            (host, port.strip_prefix(':').ok_or_else(no_port)?)
        }
        None => {
            let (host, port) = server.rsplit_once(':').ok_or_else(no_port)?;
            if host.contains(':') {
                return Err(format!(
                    "{entry:?} is not host:port: an IPv6 address goes in brackets, as in [::1]:9092"
                ));
            }
            (host, port)
        }
    };
    if host.is_empty() {
        return Err(format!("{entry:?} has no host: give host:port"));
    }
    let in_a_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '%' | ':');
    if let Some(c) = host.chars().find(|c| !in_a_name(*c)) {
        return Err(format!("{entry:?} is not host:port: a host has no {c:?}"));
    }
    if port.is_empty() {
        return Err(no_port());
    }
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "{entry:?} is not host:port: {port:?} is no port number"
        ));
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Address::new(host, port)),
        _ => Err(format!("{entry:?} has a port that is not from 1 to 65535")),
    }
}
