//! The codecs of record batches: what is written, and what is accepted with a cap on its size.

mod gzip;
mod lz4;
mod parts;
mod snappy;
mod stream;
mod zstd;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::header::Codec;
use super::spare::Output;
use crate::config::Compression;
use crate::error::Error;
use crate::wire::Malformed;

#[cfg(test)]
mod tests;

pub(super) use parts::Broken;
use parts::{failed, too_large};
pub(super) use stream::Stream;

/// Output buffers up to this long stay with their thread.
const KEPT_OUTPUT: usize = 2 << 20;

/// What the encoders reuse from batch to batch; the large parts are made when they are first needed.
#[derive(Default)]
pub(super) struct Scratch {
    gzip: gzip::Encoder,
    snappy: snappy::Encoder,
    lz4: lz4::Encoder,
    zstd: zstd::Encoder,
}

impl Scratch {
    /// Lends out this thread's scratch and an empty output buffer.
    pub(super) fn with<T>(work: impl FnOnce(&mut Self, &mut Vec<u8>) -> T) -> T {
        thread_local! {
            static SCRATCH: RefCell<(Scratch, Vec<u8>)> = RefCell::default();
        }
        SCRATCH.with_borrow_mut(|(scratch, out)| {
            out.clear();
            let done = work(scratch, out);
            if out.capacity() > KEPT_OUTPUT {
                *out = Vec::new();
            }
            done
        })
    }
}

pub(super) fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::None,
        Compression::Gzip(_) => Codec::Gzip,
        Compression::Snappy => Codec::Snappy,
        Compression::Lz4(_) => Codec::Lz4,
        Compression::Zstd(_) => Codec::Zstd,
    }
}

/// Appends `input`, compressed, to `out`.
///
/// Levels: gzip 1 to 9 (default 6), zstd -7 to 4 (default 3); lz4's is ignored, its encoder has
/// one speed, and snappy has none. An encoder that panics is an error like any other.
pub(super) fn compress(
    scratch: &mut Scratch,
    compression: Compression,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    guarded(scratch, |scratch| match compression {
        Compression::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Compression::Gzip(level) => scratch.gzip.compress(level, input, out),
        Compression::Snappy => scratch.snappy.compress(input, out),
        Compression::Lz4(_) => scratch.lz4.compress(input, out),
        Compression::Zstd(level) => scratch.zstd.compress(level, input, out),
    })
}

/// Makes a panic of an encoder its error; what it leaves half-way is not used again.
fn guarded(
    scratch: &mut Scratch,
    work: impl FnOnce(&mut Scratch) -> Result<(), Error>,
) -> Result<(), Error> {
    catch_unwind(AssertUnwindSafe(|| work(scratch))).unwrap_or_else(|_| {
        *scratch = Scratch::default();
        Err(failed("the encoder", "it panicked"))
    })
}

/// Appends `input`, decompressed, to `out`, refusing to make `out` longer than `limit` bytes.
pub(super) fn decompress(
    codec: Codec,
    input: &[u8],
    limit: usize,
    out: &mut Output,
) -> Result<(), Malformed> {
    match codec {
        Codec::None if input.len() > limit.saturating_sub(out.len()) => Err(too_large(limit)),
        Codec::None => {
            out.push(input);
            Ok(())
        }
        Codec::Gzip => out.with_vec(|out| gzip::decompress(input, limit, out)),
        Codec::Snappy => snappy::decompress(input, limit, out),
        Codec::Lz4 => lz4::decompress(input, limit, out),
        Codec::Zstd => out.with_vec(|out| zstd::decompress(input, limit, out)),
    }
}
