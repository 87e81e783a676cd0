//! gzip, by flate2 with its zlib-rs backend.

use std::io::Read;

use bytes::{Buf, Bytes, buf};
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::{Compress, Crc, FlushCompress, Status};

use super::parts::{PIECE, failed, too_large};
use crate::batch::spare::Output;
use crate::error::Error;
use crate::wire::Malformed;

/// Magic, deflate, no flags, no time, no extra flags, unknown system: as Java writes it.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const TRAILER_LEN: usize = 8;
const DEFAULT_LEVEL: i32 = 6;

/// A deflate state, some 300 kB, for the level that was last used.
#[derive(Default)]
pub(super) struct Encoder(Option<(u32, Compress)>);

impl Encoder {
    pub(super) fn compress(
        &mut self,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let level = level.unwrap_or(DEFAULT_LEVEL);
        let level = u32::try_from(level)
            .ok()
            .filter(|level| (1..=9).contains(level))
            .ok_or_else(|| {
                Error::config("compression.gzip.level", format!("{level} is not 1 to 9"))
            })?;
        let state = match &mut self.0 {
            Some((kept, state)) if *kept == level => state,
            other => {
                let fresh = Compress::new(flate2::Compression::new(level), false);
                &mut other.insert((level, fresh)).1
            }
        };
        // Reset first, not last: an error may have left it half-way.
        state.reset();
        // What does not shrink is of no use, and what does fits into this; a little more is grown below.
        out.reserve(input.len() + HEADER.len() + TRAILER_LEN + 64);
        out.extend_from_slice(&HEADER);
        let mut rest = input;
        loop {
            let before = state.total_in();
            let status = state
                .compress_vec(rest, out, FlushCompress::Finish)
                .map_err(|e| failed("gzip", e))?;
            let taken = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            if status == Status::StreamEnd {
                break;
            }
            out.reserve(rest.len().max(1024));
        }
        let mut crc = Crc::new();
        crc.update(input);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        Ok(())
    }
}

/// Reads one member or several.
pub(super) fn decompress(input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let left = limit.saturating_sub(out.len());
    out.reserve(input.len().saturating_mul(4).min(left));
    // One byte above the limit tells "just fits" from "too large".
    let most = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(input)
        .take(most)
        .read_to_end(out)
        .map_err(|e| Malformed::new(e.to_string()))?;
    if out.len() > limit {
        return Err(too_large(limit));
    }
    Ok(())
}

/// So many members one after another that hold nothing are no way to write records.
const MOST_EMPTY: u32 = 1000;

/// Reads members one after another; what follows them and begins none is not looked at, as in Java.
pub(in crate::batch) struct Reader(Option<GzDecoder<buf::Reader<Bytes>>>);

impl Reader {
    pub(super) fn new(input: Bytes) -> Self {
        Self(Some(GzDecoder::new(input.reader())))
    }

    pub(super) fn read(&mut self, out: &mut Output) -> Result<usize, Malformed> {
        for _ in 0..MOST_EMPTY {
            let Some(member) = &mut self.0 else {
                return Ok(0);
            };
            let (_, place) = out.split(PIECE);
            let read = member
                .read(place)
                .map_err(|e| Malformed::new(e.to_string()))?;
            if read > 0 {
                out.wrote(read);
                return Ok(read);
            }
            let rest = self.0.take().map(|member| member.into_inner().into_inner());
            self.0 = rest
                .filter(|rest| begins_member(rest))
                .map(|rest| GzDecoder::new(rest.reader()));
        }
        Err(Malformed::new("too many empty members"))
    }
}

/// Magic, deflate, no reserved flags; and as many bytes as Java wants to see, of header and trailer.
fn begins_member(rest: &[u8]) -> bool {
    matches!(rest, [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0)
        && rest.len() >= HEADER.len() + TRAILER_LEN
}
