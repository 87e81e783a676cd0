//! Decompresses batches, to check them and for who looks into a log; what is stored stays as it came.

use std::borrow::Cow;
use std::io::Read;

use bytes::Bytes;

use super::head::{HEADER_LEN, Head};
use super::records::{self, RawRecord};

/// Larger batches are not looked into: a small one can claim to be of any size.
const MOST: usize = 64 * 1024 * 1024;

/// The first bytes of snappy as Java frames it: then two versions, then blocks with their length in front.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

/// Why a batch was not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// What it has for compressed records is none.
    Damaged,
    /// There would be more than [`MOST`].
    TooLarge,
}

/// All records of a stored batch; `None` if they cannot be read.
pub(crate) fn records(batch: &Bytes, head: &Head) -> Option<Vec<RawRecord>> {
    let section = match opened(batch, head).ok()? {
        Cow::Borrowed(section) => batch.slice_ref(section),
        Cow::Owned(section) => section.into(),
    };
    records::decode(&section, head.count)
}

/// A batch's records as they are without compression.
pub(crate) fn opened<'a>(batch: &'a [u8], head: &Head) -> Result<Cow<'a, [u8]>, Closed> {
    let section = batch.get(HEADER_LEN..).ok_or(Closed::Damaged)?;
    let opened = match head.codec() {
        0 => return Ok(Cow::Borrowed(section)),
        1 => all(flate2::read::MultiGzDecoder::new(section))?,
        2 => snappy(section)?,
        // Nothing at all is not even a frame.
        3 if section.is_empty() => return Err(Closed::Damaged),
        3 => all(lz4_flex::frame::FrameDecoder::new(section))?,
        4 => zstd(section)?,
        _ => return Err(Closed::Damaged),
    };
    Ok(Cow::Owned(opened))
}

fn all(reader: impl Read) -> Result<Vec<u8>, Closed> {
    let mut out = Vec::new();
    let read = reader.take(MOST as u64 + 1).read_to_end(&mut out);
    match read {
        Ok(read) if read > MOST => Err(Closed::TooLarge),
        Ok(_) => Ok(out),
        Err(_) => Err(Closed::Damaged),
    }
}

fn zstd(input: &[u8]) -> Result<Vec<u8>, Closed> {
    use zrip::DecompressError::{OutputTooSmall, WindowTooLarge};
    zrip::decompress_with_limit(input, MOST).map_err(|error| match error {
        OutputTooSmall | WindowTooLarge { .. } => Closed::TooLarge,
        _ => Closed::Damaged,
    })
}

fn snappy(input: &[u8]) -> Result<Vec<u8>, Closed> {
    let mut out = Vec::new();
    if !input.starts_with(XERIAL) {
        snappy_block(input, &mut out)?;
        return Ok(out);
    }
    let mut left = input.get(XERIAL_HEADER..).ok_or(Closed::Damaged)?;
    while !left.is_empty() {
        let (len, rest) = left.split_first_chunk::<4>().ok_or(Closed::Damaged)?;
        let len = u32::from_be_bytes(*len) as usize;
        let (block, rest) = rest.split_at_checked(len).ok_or(Closed::Damaged)?;
        snappy_block(block, &mut out)?;
        left = rest;
    }
    Ok(out)
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> Result<(), Closed> {
    let len = snap::raw::decompress_len(block).map_err(|_| Closed::Damaged)?;
    let before = out.len();
    let after = before.saturating_add(len);
    if after > MOST {
        return Err(Closed::TooLarge);
    }
    out.resize(after, 0);
    let room = out.get_mut(before..).unwrap_or_default();
    let read = snap::raw::Decoder::new().decompress(block, room);
    read.map(drop).map_err(|_| Closed::Damaged)
}
