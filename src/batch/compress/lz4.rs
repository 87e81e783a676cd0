//! LZ4 frames around lz4_flex's blocks.
//!
//! The frame is our own: lz4_flex's encoder allocates its tables and buffers anew for each frame,
//! and its decoder copies once more and takes a frame without an end for a whole one.

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into_with_dict, get_maximum_output_size,
};

use bytes::Bytes;

use super::parts::{failed, split, split_array, too_large};
use crate::batch::spare::Output;
use crate::error::Error;
use crate::wire::Malformed;

const MAGIC: u32 = 0x184d_2204;
/// Frames of other content, to be skipped: 16 magic numbers.
const SKIPPABLE: u32 = 0x184d_2a50;

/// Magic, independent blocks without checksums, of up to 64 kB, and the checksum of these two bytes.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const END_MARK: [u8; 4] = [0; 4];
const BLOCK: usize = 64 << 10;
/// Set in a block's length when its bytes are as they were.
const STORED: u32 = 1 << 31;

/// A byte of input adds at most 255 to a match's length: no block becomes more than this many times as long.
const MOST_EXPANSION: usize = 255;
/// How far back a block may refer into those before it.
const WINDOW: usize = 64 << 10;

/// A hash table, and one block's output.
pub(super) struct Encoder {
    table: CompressTable,
    block: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: CompressTable::large(),
            block: Vec::new(),
        }
    }
}

impl Encoder {
    pub(super) fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.block.resize(get_maximum_output_size(BLOCK), 0);
        out.extend_from_slice(&HEADER);
        for block in input.chunks(BLOCK) {
            let len = compress_into_with_table(block, &mut self.block, &mut self.table)
                .map_err(|e| failed("lz4", e))?;
            // Lengths are below 2^31, by the block's size.
            let (mark, bytes) = match self.block.get(..len) {
                Some(packed) if len < block.len() => (len as u32, packed),
                _ => (block.len() as u32 | STORED, block),
            };
            out.extend_from_slice(&mark.to_le_bytes());
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(&END_MARK);
        Ok(())
    }
}

/// Reads one frame or several, their blocks independent or linked.
///
/// Checksums are stepped over: the batch's CRC covers the same bytes.
pub(super) fn decompress(
    mut input: &[u8],
    limit: usize,
    out: &mut Output,
) -> Result<(), Malformed> {
    while let Some(header) = next_frame(&mut input)? {
        frame(&header, &mut input, out, limit)?;
    }
    Ok(())
}

/// The header of the next frame; `None` behind the last one.
fn next_frame(input: &mut &[u8]) -> Result<Option<Header>, Malformed> {
    while !input.is_empty() {
        match u32::from_le_bytes(split_array(input)?) {
            MAGIC => return header(input).map(Some),
            magic if magic & !0xf == SKIPPABLE => {
                let len = u32::from_le_bytes(split_array(input)?);
                split(input, usize::try_from(len).unwrap_or(usize::MAX))?;
            }
            magic => {
                return Err(Malformed::new(format!("{magic:#010x} begins no LZ4 frame")));
            }
        }
    }
    Ok(None)
}

/// What a frame says of itself.
struct Header {
    /// Blocks refer to those before them.
    linked: bool,
    block_checksum: bool,
    content_checksum: bool,
    /// The length of all it holds.
    claimed: Option<u64>,
    /// The length of a block, decompressed.
    most: usize,
}

fn header(input: &mut &[u8]) -> Result<Header, Malformed> {
    let [flags, sizes] = split_array(input)?;
    if flags >> 6 != 1 {
        return Err(Malformed::new(format!("LZ4 frame version {}", flags >> 6)));
    }
    if flags & 0x01 != 0 {
        return Err(Malformed::new("LZ4 frame that needs a dictionary"));
    }
    let most = match sizes >> 4 & 7 {
        code @ 4..=7 => 1usize << (8 + 2 * code),
        code => return Err(Malformed::new(format!("LZ4 block size code {code}"))),
    };
    let claimed = if flags & 0x08 != 0 {
        Some(u64::from_le_bytes(split_array(input)?))
    } else {
        None
    };
    split(input, 1)?; // the header's checksum
    Ok(Header {
        linked: flags & 0x20 == 0,
        block_checksum: flags & 0x10 != 0,
        content_checksum: flags & 0x04 != 0,
        claimed,
        most,
    })
}

impl Header {
    /// The next block as it is in the frame, and whether it is stored as it was; `None` behind the last one.
    fn next_block<'a>(&self, input: &mut &'a [u8]) -> Result<Option<(&'a [u8], bool)>, Malformed> {
        let mark = u32::from_le_bytes(split_array(input)?);
        if mark == 0 {
            if self.content_checksum {
                split(input, 4)?;
            }
            return Ok(None);
        }
        let len = usize::try_from(mark & !STORED).unwrap_or(usize::MAX);
        if len > self.most {
            return Err(Malformed::new(format!("LZ4 block of {len} bytes")));
        }
        let bytes = split(input, len)?;
        if self.block_checksum {
            split(input, 4)?;
        }
        Ok(Some((bytes, mark & STORED != 0)))
    }

    /// Whether the frame was as long as it said.
    fn check(&self, len: u64) -> Result<(), Malformed> {
        match self.claimed {
            Some(size) if size != len => {
                Err(Malformed::new("LZ4 frame of another length than it says"))
            }
            _ => Ok(()),
        }
    }
}

fn frame(
    header: &Header,
    input: &mut &[u8],
    out: &mut Output,
    limit: usize,
) -> Result<(), Malformed> {
    let start = out.len();
    while let Some((bytes, is_stored)) = header.next_block(input)? {
        if is_stored {
            if bytes.len() > limit.saturating_sub(out.len()) {
                return Err(too_large(limit));
            }
            out.push(bytes);
        } else {
            let window = if header.linked { start } else { out.len() };
            block(bytes, out, window, header.most, limit)?;
        }
    }
    header.check((out.len() - start) as u64)
}

/// Decompresses a block to the end of `out`; it may refer to what is there from `window` on.
fn block(
    input: &[u8],
    out: &mut Output,
    window: usize,
    most: usize,
    limit: usize,
) -> Result<(), Malformed> {
    let start = out.len();
    let left = limit.saturating_sub(start);
    let room = most
        .min(left)
        .min(input.len().saturating_mul(MOST_EXPANSION));
    let (past, place) = out.split(room);
    let window = past.get(window.max(start.saturating_sub(WINDOW))..);
    match decompress_into_with_dict(input, place, window.unwrap_or_default()) {
        Ok(len) => {
            out.wrote(len);
            Ok(())
        }
        // With less room than a block may take, it is the limit that was met.
        Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if room == left => {
            Err(too_large(limit))
        }
        Err(e) => Err(Malformed::new(e.to_string())),
    }
}

/// Reads block after block.
pub(in crate::batch) struct Reader {
    input: Bytes,
    frame: Option<Header>,
    /// Of the frame, so far.
    len: u64,
    /// What linked blocks may refer to.
    past: Vec<u8>,
    /// No further frame is begun.
    is_complete: bool,
}

impl Reader {
    pub(super) fn new(input: Bytes) -> Self {
        Self {
            input,
            frame: None,
            len: 0,
            past: Vec::new(),
            is_complete: false,
        }
    }

    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    pub(super) fn read(&mut self, out: &mut Output) -> Result<usize, Malformed> {
        let whole = self.input.clone();
        let mut input = &whole[..];
        let read = self.next(&mut input, out);
        self.input = whole.slice_ref(input);
        read
    }

    fn next(&mut self, input: &mut &[u8], out: &mut Output) -> Result<usize, Malformed> {
        loop {
            let Some(header) = &self.frame else {
                if !self.is_complete {
                    self.frame = next_frame(input)?;
                }
                if self.frame.is_none() {
                    return Ok(0);
                }
                self.len = 0;
                self.past.clear();
                continue;
            };
            let Some((bytes, is_stored)) = header.next_block(input)? else {
                header.check(self.len)?;
                self.frame = None;
                continue;
            };
            let before = out.len();
            if is_stored {
                out.push(bytes);
            } else {
                let room = header.most.min(bytes.len().saturating_mul(MOST_EXPANSION));
                let (_, place) = out.split(room);
                let len = decompress_into_with_dict(bytes, place, &self.past)
                    .map_err(|e| Malformed::new(e.to_string()))?;
                out.wrote(len);
            }
            let fresh = out.written().get(before..).unwrap_or_default();
            if header.linked {
                self.past.extend_from_slice(fresh);
                let old = self.past.len().saturating_sub(WINDOW);
                self.past.drain(..old);
            }
            self.len += fresh.len() as u64;
            if !fresh.is_empty() {
                return Ok(fresh.len());
            }
        }
    }
}
