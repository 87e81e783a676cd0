//! Zstandard, by zrip.

use zrip::CompressContext;

use super::{failed, split, split_array, too_large};
use crate::error::Error;
use crate::wire::Malformed;

/// Zstandard's own default, which Kafka's Java client uses too.
const DEFAULT_LEVEL: i32 = 3;

const MAGIC: u32 = 0xfd2f_b528;
/// Frames of other content, to be skipped: 16 magic numbers.
const SKIPPABLE: u32 = 0x184d_2a50;
const MOST_BLOCK: usize = 128 << 10;

/// Hash tables and buffers for the level that was last used.
#[derive(Default)]
pub(super) struct Encoder(Option<(i32, CompressContext)>);

impl Encoder {
    pub(super) fn compress(
        &mut self,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let level = level.unwrap_or(DEFAULT_LEVEL);
        let state = match &mut self.0 {
            Some((kept, state)) if *kept == level => state,
            other => {
                if !(-7..=4).contains(&level) {
                    return Err(Error::config(
                        "compression.zstd.level",
                        format!("{level} is not -7 to 4"),
                    ));
                }
                let fresh = CompressContext::new(level).map_err(|e| failed("zstd", e))?;
                &mut other.insert((level, fresh)).1
            }
        };
        let packed = state.compress(input).map_err(|e| failed("zstd", e))?;
        out.extend_from_slice(&packed);
        Ok(())
    }
}

/// Reads one frame or several.
///
/// zrip takes its limit for each frame alone, so the frames are found here and handed over one by one.
pub(super) fn decompress(
    mut input: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    while !input.is_empty() {
        let frame = match frame(input, limit.saturating_sub(out.len()), limit)? {
            Some(len) => split(&mut input, len)?,
            None => {
                skip(&mut input)?;
                continue;
            }
        };
        let plain = zrip::decompress_with_limit(frame, limit.saturating_sub(out.len())).map_err(
            |e| match e {
                zrip::DecompressError::OutputTooSmall => too_large(limit),
                e => Malformed::new(e.to_string()),
            },
        )?;
        if out.is_empty() {
            *out = plain;
        } else {
            out.extend_from_slice(&plain);
        }
    }
    if out.len() > limit {
        return Err(too_large(limit));
    }
    Ok(())
}

/// The length of the frame at the front, `None` when it is to be skipped.
///
/// Also refuses a content size that the frame's blocks cannot hold: memory is reserved by it.
fn frame(input: &[u8], left: usize, limit: usize) -> Result<Option<usize>, Malformed> {
    let mut rest = input;
    let magic = u32::from_le_bytes(split_array(&mut rest)?);
    if magic & !0xf == SKIPPABLE {
        return Ok(None);
    }
    if magic != MAGIC {
        return Err(Malformed::new(format!(
            "{magic:#010x} begins no zstd frame"
        )));
    }
    let header = zrip::frame::header::parse_frame_header(input)
        .map_err(|e| Malformed::new(e.to_string()))?;
    rest = input.get(header.header_size..).unwrap_or_default();
    let mut most = 0usize;
    loop {
        let [low, middle, high] = split_array(&mut rest)?;
        let block = u32::from_le_bytes([low, middle, high, 0]);
        let size = usize::try_from(block >> 3).unwrap_or(usize::MAX);
        let (len, content) = match block >> 1 & 3 {
            0 => (size, size),
            1 => (1, size),
            2 => (size, MOST_BLOCK),
            _ => return Err(Malformed::new("zstd block of an unknown type")),
        };
        split(&mut rest, len)?;
        most = most.saturating_add(content);
        if block & 1 != 0 {
            break;
        }
    }
    if header.content_checksum {
        split(&mut rest, 4)?;
    }
    if let Some(size) = header.frame_content_size {
        if size > left as u64 {
            return Err(too_large(limit));
        }
        if size > most as u64 {
            return Err(Malformed::new("zstd frame shorter than it says"));
        }
    }
    Ok(Some(input.len() - rest.len()))
}

fn skip(input: &mut &[u8]) -> Result<(), Malformed> {
    let [_, _, _, _, len @ ..] = split_array::<8>(input)?;
    let len = u32::from_le_bytes(len);
    split(input, usize::try_from(len).unwrap_or(usize::MAX))?;
    Ok(())
}
