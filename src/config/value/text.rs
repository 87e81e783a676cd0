//! Texts that are taken as they are: names, secrets, paths of files, certificates, logins.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::sasl::{JaasLine, Secret};

/// Words without line breaks or other control characters.
pub(in crate::config) struct Text {
    pub(in crate::config) name: &'static str,
    /// In bytes.
    pub(in crate::config) most: usize,
}

impl Text {
    pub(in crate::config) fn parse(&self, text: &str) -> Result<String> {
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
pub(in crate::config) struct Hidden {
    pub(in crate::config) name: &'static str,
}

impl Hidden {
    pub(in crate::config) const fn new(name: &'static str) -> Self {
        Self { name }
    }

    pub(in crate::config) fn parse(&self, text: &str) -> Result<Secret> {
        if text.is_empty() {
            return Err(Error::config(self.name, "it is empty"));
        }
        Ok(text.into())
    }
}

/// Where a file is.
pub(in crate::config) struct FilePath {
    pub(in crate::config) name: &'static str,
}

impl FilePath {
    pub(in crate::config) const fn new(name: &'static str) -> Self {
        Self { name }
    }

    pub(in crate::config) fn parse(&self, text: &str) -> Result<PathBuf> {
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
pub(in crate::config) struct Pem {
    pub(in crate::config) name: &'static str,
}

impl Pem {
    pub(in crate::config) const fn new(name: &'static str) -> Self {
        Self { name }
    }

    pub(in crate::config) fn parse(&self, text: &str) -> Result<String> {
        match text.trim() {
            "" => Err(Error::config(
                self.name,
                "it is empty: give certificates in PEM",
            )),
            text => Ok(text.to_owned()),
        }
    }
}

/// A login module of Java's with its options.
pub(in crate::config) struct Jaas {
    pub(in crate::config) name: &'static str,
}

impl Jaas {
    pub(in crate::config) fn parse(&self, text: &str) -> Result<JaasLine> {
        JaasLine::parse(text).map_err(|reason| Error::config(self.name, reason))
    }
}
