//! Words that mean something, one or several.

use crate::error::{Error, Result};
use crate::types::is_legal_name;

/// `true` or `false`.
pub(in crate::config) struct Flag {
    pub(in crate::config) name: &'static str,
}

impl Flag {
    pub(in crate::config) fn parse(&self, text: &str) -> Result<bool> {
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
pub(in crate::config) struct Choice<T: 'static> {
    pub(in crate::config) name: &'static str,
    /// Named in the error's text.
    pub(in crate::config) words: &'static [(&'static str, T)],
    /// Understood as well.
    pub(in crate::config) aliases: &'static [(&'static str, T)],
    /// What follows the words in the error's text.
    pub(in crate::config) note: &'static str,
}

impl<T: Clone> Choice<T> {
    pub(in crate::config) fn parse(&self, text: &str) -> Result<T> {
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
pub(in crate::config) struct Choices<T: 'static> {
    pub(in crate::config) name: &'static str,
    choice: Choice<T>,
}

impl<T> Choices<T> {
    pub(in crate::config) const fn new(choice: Choice<T>) -> Self {
        Self {
            name: choice.name,
            choice,
        }
    }
}

impl<T: Clone + PartialEq> Choices<T> {
    pub(in crate::config) fn parse(&self, text: &str) -> Result<Vec<T>> {
        let words = text.split(',').filter(|word| !word.trim().is_empty());
        let chosen: Vec<_> = words
            .map(|word| self.choice.parse(word))
            .collect::<Result<_>>()?;
        self.check(&chosen)
    }

    /// Keeps the order; what is named twice counts once.
    pub(in crate::config) fn check(&self, chosen: &[T]) -> Result<Vec<T>> {
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
pub(in crate::config) struct Identifier {
    pub(in crate::config) name: &'static str,
}

impl Identifier {
    pub(in crate::config) fn parse(&self, text: &str) -> Result<String> {
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

/// Words separated by commas.
pub(in crate::config) struct List {
    pub(in crate::config) name: &'static str,
}

impl List {
    pub(in crate::config) const fn new(name: &'static str) -> Self {
        Self { name }
    }

    pub(in crate::config) fn parse(&self, text: &str) -> Result<Vec<String>> {
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
