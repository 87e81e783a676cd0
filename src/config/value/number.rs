//! Whole numbers between two bounds, whatever they count.

use std::marker::PhantomData;
use std::time::Duration;

use crate::error::{Error, Result};

/// The largest value of Java's `int`, which bounds most settings and some fields on the wire.
pub(in crate::config) const INT: i64 = i32::MAX as i64;
/// The largest value of Java's `long`.
pub(in crate::config) const LONG: i64 = i64::MAX;

/// A number that a [`Bounded`] setting holds.
pub(in crate::config) trait Number: Copy {
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
pub(in crate::config) struct Bounded<T> {
    pub(in crate::config) name: &'static str,
    unit: &'static str,
    least: i64,
    most: i64,
    /// What follows the bounds in the error's text.
    note: &'static str,
    kind: PhantomData<T>,
}

impl Bounded<Duration> {
    pub(in crate::config) const fn millis(name: &'static str, least: i64, most: i64) -> Self {
        Self::new(name, "milliseconds", least, most)
    }
}

impl Bounded<usize> {
    pub(in crate::config) const fn bytes(name: &'static str, least: i64, most: i64) -> Self {
        Self::new(name, "bytes", least, most)
    }
}

impl<T> Bounded<T> {
    /// `unit` may be empty.
    pub(in crate::config) const fn new(
        name: &'static str,
        unit: &'static str,
        least: i64,
        most: i64,
    ) -> Self {
        Self {
            name,
            unit,
            least,
            most,
            note: "",
            kind: PhantomData,
        }
    }

    pub(in crate::config) const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }
}

impl<T: Number> Bounded<T> {
    pub(in crate::config) fn parse(&self, text: &str) -> Result<T> {
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
    pub(in crate::config) fn check(&self, value: T) -> Result<T> {
        if self.holds(value.whole()) {
            Ok(value)
        } else {
            Err(self.out_of_bounds(&value.whole().to_string()))
        }
    }

    /// What was set, or what it is unless set.
    pub(in crate::config) fn pick(&self, set: Option<T>, default: T) -> Result<T> {
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

    pub(in crate::config) fn refuse(&self, reason: String) -> Error {
        Error::config(self.name, reason)
    }
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A whole number between two bounds, or -1 for none: never, or whatever the operating system or the codec does.
pub(in crate::config) struct OrNone<T> {
    pub(in crate::config) name: &'static str,
    bounded: Bounded<T>,
}

impl<T: Number> OrNone<T> {
    pub(in crate::config) const fn new(bounded: Bounded<T>) -> Self {
        Self {
            name: bounded.name,
            bounded,
        }
    }

    pub(in crate::config) fn parse(&self, text: &str) -> Result<Option<T>> {
        if text.trim() == "-1" {
            return Ok(None);
        }
        self.bounded.parse(text).map(Some)
    }

    fn check(&self, value: Option<T>) -> Result<Option<T>> {
        value.map(|value| self.bounded.check(value)).transpose()
    }

    pub(in crate::config) fn pick(
        &self,
        set: Option<Option<T>>,
        default: Option<T>,
    ) -> Result<Option<T>> {
        set.map_or(Ok(default), |value| self.check(value))
    }
}
