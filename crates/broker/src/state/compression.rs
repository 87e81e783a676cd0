//! Decompresses batches for who looks into a log; what is stored stays as it came.

use std::io::Read;

use bytes::Bytes;

use super::batch::{HEADER_LEN, Head};
use super::records::{self, RawRecord};

/// Larger batches are not looked into: a small one can claim to be of any size.
const MOST: usize = 64 * 1024 * 1024;

/// The first bytes of snappy as Java frames it: then two versions, then blocks with their length in front.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

/// All records of a stored batch; `None` if they cannot be read.
pub(crate) fn records(batch: &Bytes, head: &Head) -> Option<Vec<RawRecord>> {
    if batch.len() < HEADER_LEN {
        return None;
    }
    let section = batch.slice(HEADER_LEN..);
    let section = match head.codec() {
        0 => section,
        codec => decompress(codec, &section)?.into(),
    };
    records::decode(&section, head.count)
}

fn decompress(codec: i16, input: &[u8]) -> Option<Vec<u8>> {
    match codec {
        1 => all(flate2::read::MultiGzDecoder::new(input)),
        2 => snappy(input),
        3 => all(lz4_flex::frame::FrameDecoder::new(input)),
        4 => zrip::decompress_with_limit(input, MOST).ok(),
        _ => None,
    }
}

fn all(reader: impl Read) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let read = reader.take(MOST as u64 + 1).read_to_end(&mut out).ok()?;
    (read <= MOST).then_some(out)
}

fn snappy(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if !input.starts_with(XERIAL) {
        snappy_block(input, &mut out)?;
        return Some(out);
    }
    let mut left = input.get(XERIAL_HEADER..)?;
    while let Some((len, rest)) = left.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        snappy_block(rest.get(..len)?, &mut out)?;
        left = rest.get(len..)?;
    }
    Some(out)
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let len = snap::raw::decompress_len(block).ok()?;
    let before = out.len();
    let after = before.checked_add(len).filter(|after| *after <= MOST)?;
    out.resize(after, 0);
    let room = out.get_mut(before..)?;
    snap::raw::Decoder::new().decompress(block, room).ok()?;
    Some(())
}
