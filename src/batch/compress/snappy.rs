//! Snappy in the framing of xerial's snappy-java, which Kafka's Java client writes; raw is read too.

use bytes::{Buf, Bytes};
use snap::raw;

use super::parts::{Broken, failed, split, split_array, too_large, truncated};
use crate::batch::spare::Output;
use crate::error::Error;
use crate::wire::Malformed;

/// Magic, version 1, readable since version 1.
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const MAGIC: &[u8] = b"\x82SNAPPY\0";
const BLOCK: usize = 32 << 10;

/// A match of 64 bytes takes 3: no input becomes more than this many times as long.
const MOST_EXPANSION: usize = 22;

/// Hash tables, and one block's output.
pub(super) struct Encoder {
    state: raw::Encoder,
    block: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            state: raw::Encoder::new(),
            block: Vec::new(),
        }
    }
}

impl Encoder {
    pub(super) fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.block.resize(raw::max_compress_len(BLOCK), 0);
        out.extend_from_slice(&HEADER);
        for block in input.chunks(BLOCK) {
            let len = self
                .state
                .compress(block, &mut self.block)
                .map_err(|e| failed("snappy", e))?;
            let packed = self.block.get(..len).unwrap_or_default();
            // Below 40 kB, by the block's size.
            out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
            out.extend_from_slice(packed);
        }
        Ok(())
    }
}

/// Reads xerial's framing, once or several times over, or else raw snappy.
pub(super) fn decompress(
    mut input: &[u8],
    limit: usize,
    out: &mut Output,
) -> Result<(), Malformed> {
    if !input.starts_with(MAGIC) {
        return block(input, out, limit);
    }
    while !input.is_empty() {
        // The versions behind the magic are not looked at: some writers have them in the wrong byte order.
        if input.starts_with(MAGIC) {
            split(&mut input, HEADER.len())?;
            continue;
        }
        let len = u32::from_be_bytes(split_array(&mut input)?);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        block(split(&mut input, len)?, out, limit)?;
    }
    Ok(())
}

fn block(input: &[u8], out: &mut Output, limit: usize) -> Result<(), Malformed> {
    let malformed = |e: snap::Error| Malformed::new(e.to_string());
    // The length is only a claim, of up to 4 GiB: both checks come before any memory.
    let len = raw::decompress_len(input).map_err(malformed)?;
    if len > limit.saturating_sub(out.len()) {
        return Err(too_large(limit));
    }
    if len > input.len().saturating_mul(MOST_EXPANSION) {
        return Err(Malformed::new(format!(
            "{len} bytes claimed to be in {}",
            input.len()
        )));
    }
    let (_, place) = out.split(len);
    let len = raw::Decoder::new()
        .decompress(input, place)
        .map_err(malformed)?;
    out.wrote(len);
    Ok(())
}

/// The bytes of a block's length: fewer at the end are nothing, as in Java.
const LENGTH: usize = 4;

/// Reads block after block; raw snappy is one block.
pub(in crate::batch) struct Reader {
    input: Bytes,
    is_framed: bool,
    limit: usize,
}

impl Reader {
    pub(super) fn new(input: Bytes, limit: usize) -> Self {
        Self {
            is_framed: input.starts_with(MAGIC),
            input,
            limit,
        }
    }

    pub(super) fn read(&mut self, out: &mut Output) -> Result<usize, Broken> {
        loop {
            let packed = if self.is_framed {
                if self.input.starts_with(MAGIC) {
                    self.take(HEADER.len())?;
                    continue;
                }
                if self.input.len() < LENGTH {
                    return Ok(0);
                }
                let len = self.input.get_u32();
                self.take(usize::try_from(len).unwrap_or(usize::MAX))?
            } else if self.input.is_empty() {
                return Ok(0);
            } else {
                std::mem::take(&mut self.input)
            };
            let malformed = |e: snap::Error| Malformed::new(e.to_string());
            let len = raw::decompress_len(&packed).map_err(malformed)?;
            if len > self.limit {
                return Err(Broken::TooLarge(len));
            }
            let before = out.len();
            block(&packed, out, usize::MAX)?;
            if out.len() > before {
                return Ok(out.len() - before);
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Malformed> {
        if len > self.input.len() {
            return Err(truncated());
        }
        Ok(self.input.split_to(len))
    }
}
