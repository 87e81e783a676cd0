//! What the codecs have in common: errors, and input taken apart.

use crate::error::Error;
use crate::wire::Malformed;

/// So much is decompressed at a time where that is done in steps.
pub(super) const PIECE: usize = 64 << 10;

/// Why a stream cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::batch) enum Broken {
    Malformed(Malformed),
    /// Nothing is wrong with it, but so many bytes are needed at once, and that is more than the limit.
    TooLarge(usize),
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

#[cold]
pub(super) fn too_large(limit: usize) -> Malformed {
    Malformed::new(format!("more than {limit} bytes when decompressed"))
}

#[cold]
pub(super) fn truncated() -> Malformed {
    Malformed::new("compressed data ends too early")
}

/// For an encoder that fails on valid input: none of them does, but their signatures say so.
#[cold]
pub(super) fn failed(codec: &'static str, error: impl std::fmt::Display) -> Error {
    Error::config("compression.type", format!("{codec} failed: {error}"))
}

/// Splits `len` bytes off the front.
pub(super) fn split<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], Malformed> {
    let (front, rest) = input.split_at_checked(len).ok_or_else(truncated)?;
    *input = rest;
    Ok(front)
}

/// Splits an array off the front.
pub(super) fn split_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (front, rest) = input.split_first_chunk().ok_or_else(truncated)?;
    *input = rest;
    Ok(*front)
}
