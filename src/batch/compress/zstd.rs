//! Zstandard, by zrip.

use std::io::Read;

use bytes::{Buf, Bytes, BytesMut, buf};
use zrip::{CompressContext, FrameDecoder, frame::header::FrameHeader};

use super::parts::{Broken, PIECE, failed, split, split_array, too_large};
use crate::batch::spare::Output;
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
        let Some(frame) = frame(input)? else {
            skip(&mut input)?;
            continue;
        };
        let left = limit.saturating_sub(out.len());
        if frame
            .header
            .frame_content_size
            .is_some_and(|size| size > left as u64)
        {
            return Err(too_large(limit));
        }
        frame.check()?;
        let frame = split(&mut input, frame.len)?;
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

/// A frame, as far as its headers tell.
struct Frame {
    header: FrameHeader,
    len: usize,
    blocks: u64,
    /// The most bytes that its blocks can hold.
    most: usize,
}

impl Frame {
    /// Refuses a content size that the frame's blocks cannot hold: memory is reserved by it.
    fn check(&self) -> Result<(), Malformed> {
        match self.header.frame_content_size {
            Some(size) if size > self.most as u64 => {
                Err(Malformed::new("zstd frame shorter than it says"))
            }
            _ => Ok(()),
        }
    }
}

/// The frame at the front, `None` when it is to be skipped.
fn frame(input: &[u8]) -> Result<Option<Frame>, Malformed> {
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
    let (mut most, mut blocks) = (0usize, 0);
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
        blocks += 1;
        if block & 1 != 0 {
            break;
        }
    }
    if header.content_checksum {
        split(&mut rest, 4)?;
    }
    Ok(Some(Frame {
        header,
        len: input.len() - rest.len(),
        blocks,
        most,
    }))
}

fn skip(input: &mut &[u8]) -> Result<(), Malformed> {
    let [_, _, _, _, len @ ..] = split_array::<8>(input)?;
    let len = u32::from_le_bytes(len);
    split(input, usize::try_from(len).unwrap_or(usize::MAX))?;
    Ok(())
}

/// Every decoder is to take a window of this size.
const COMMON_WINDOW: u64 = 8 << 20;
/// zrip moves the window for each block: that many bytes moved for one frame are seconds.
const MOST_MOVED: u64 = 32 << 30;

/// Reads frame after frame.
pub(in crate::batch) struct Reader {
    input: Bytes,
    /// The largest window that is kept, a power of two.
    window: u64,
    open: Option<Open>,
}

/// The frame that is being read.
struct Open {
    decoder: FrameDecoder<buf::Reader<buf::Chain<Bytes, Bytes>>>,
    /// How far back the frame says that it refers, where that is farther than what is kept.
    too_far: Option<u64>,
    claimed: Option<u64>,
    len: u64,
}

impl Reader {
    pub(super) fn new(input: Bytes, limit: usize) -> Self {
        let half = (limit as u64 / 2).max(1);
        Self {
            input,
            window: (1 << half.ilog2()).max(COMMON_WINDOW),
            open: None,
        }
    }

    pub(super) fn read(&mut self, out: &mut Output) -> Result<usize, Broken> {
        loop {
            let Some(open) = &mut self.open else {
                if self.input.is_empty() {
                    return Ok(0);
                }
                self.open()?;
                continue;
            };
            let (_, place) = out.split(PIECE);
            match open.decoder.read(place) {
                Ok(0) => {
                    open.check()?;
                    self.open = None;
                }
                Ok(read) => {
                    open.len += read as u64;
                    out.wrote(read);
                    return Ok(read);
                }
                Err(error) => return Err(open.broken(&error)),
            }
        }
    }

    /// Begins the next frame.
    fn open(&mut self) -> Result<(), Malformed> {
        let mut rest = &self.input[..];
        let Some(frame) = frame(rest)? else {
            skip(&mut rest)?;
            self.input = self.input.slice_ref(rest);
            return Ok(());
        };
        frame.check()?;
        let header = &frame.header;
        if header.dict_id.is_some_and(|id| id != 0) {
            return Err(Malformed::new("zstd frame that needs a dictionary"));
        }
        // Of a frame in one segment the window is all of it; encoders seldom refer farther back than their own.
        let declared = header.window_size.max(1 << 10);
        let window = declared
            .checked_next_power_of_two()
            .unwrap_or(u64::MAX)
            .min(self.window);
        if frame.most as u64 > window && frame.blocks.saturating_mul(window) > MOST_MOVED {
            return Err(Malformed::new("zstd blocks too small for their window"));
        }
        let bytes = self.input.split_to(frame.len);
        let blocks = bytes.slice(header.header_size..);
        self.open = Some(Open {
            decoder: FrameDecoder::new(rewritten(header, window).chain(blocks).reader()),
            too_far: Some(declared).filter(|declared| *declared > window),
            claimed: header.frame_content_size,
            len: 0,
        });
        Ok(())
    }
}

impl Open {
    fn check(&self) -> Result<(), Malformed> {
        match self.claimed {
            Some(size) if size != self.len => {
                Err(Malformed::new("zstd frame of another length than it says"))
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn broken(&self, error: &std::io::Error) -> Broken {
        match self.too_far {
            Some(window) => Broken::TooLarge(usize::try_from(window).unwrap_or(usize::MAX)),
            None => Broken::Malformed(Malformed::new(error.to_string())),
        }
    }
}

/// A header for the same blocks, with this window, a power of two from 1024 on, and without a content size, by which
/// memory would be taken.
fn rewritten(header: &FrameHeader, window: u64) -> Bytes {
    let mut bytes = BytesMut::with_capacity(6);
    bytes.extend_from_slice(&MAGIC.to_le_bytes());
    let exponent = window.ilog2().saturating_sub(10) as u8;
    bytes.extend_from_slice(&[u8::from(header.content_checksum) << 2, exponent << 3]);
    bytes.freeze()
}
