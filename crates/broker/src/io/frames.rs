//! Frames: read within a bound and as they come, written without copying records together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::wire::Frame;

/// What is set aside for a frame before any of it has come: its length is only a claim.
const FIRST: usize = 16 * 1024;
/// A frame of which so much has come is given all its room: one growth, and a copy of little.
const TRUSTED: usize = 64 * 1024;
/// The call and its version, which every request begins with.
const HEAD: usize = 4;

/// The next frame, without its length; `None` at the end of the stream.
///
/// `ahead` is its first byte, if that was read already. `most` is asked how long a request of this call and version may be, before the rest of it is read.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    ahead: Option<u8>,
    most: impl FnOnce(i16, i16) -> Option<usize>,
) -> io::Result<Option<BytesMut>> {
    let Some(length) = read_length(stream, ahead).await? else {
        return Ok(None);
    };
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length >= HEAD)
        .ok_or_else(|| invalid("a frame of that length"))?;
    let (key, version) = (stream.read_i16().await?, stream.read_i16().await?);
    let most = most(key, version).ok_or_else(|| invalid("no such call or version"))?;
    if length > most {
        return Err(invalid("a longer frame than is taken"));
    }
    let mut frame = BytesMut::with_capacity(length.min(FIRST));
    frame.put_i16(key);
    frame.put_i16(version);
    while frame.len() < length {
        let left = length - frame.len();
        if frame.len() == frame.capacity() {
            let more = if frame.len() >= TRUSTED {
                left
            } else {
                left.min(TRUSTED)
            };
            frame.reserve(more);
        }
        if stream.read_buf(&mut (&mut frame).limit(left)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(frame))
}

async fn read_length(
    stream: &mut (impl AsyncRead + Unpin),
    ahead: Option<u8>,
) -> io::Result<Option<i32>> {
    let mut length = BytesMut::with_capacity(4);
    length.extend(ahead);
    while length.len() < 4 {
        let left = 4 - length.len();
        if stream.read_buf(&mut (&mut length).limit(left)).await? == 0 {
            return if length.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
    Ok(Some(length.get_i32()))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes an answer, or only its first `most` bytes.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: Frame,
    most: usize,
) -> io::Result<()> {
    let mut pieces = Pieces::new(frame.parts, most);
    while pieces.has_remaining() {
        stream.write_buf(&mut pieces).await?;
    }
    stream.flush().await
}

/// Several buffers one after the other, none of them empty.
struct Pieces(VecDeque<Bytes>);

impl Pieces {
    fn new(parts: Vec<Bytes>, most: usize) -> Self {
        let mut left = most;
        let cut = parts.into_iter().map(|mut part| {
            part.truncate(left);
            left -= part.len();
            part
        });
        Self(cut.filter(|part| !part.is_empty()).collect())
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, piece) in into.iter_mut().zip(&self.0) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut by: usize) {
        while by > 0 {
            let Some(piece) = self.0.front_mut() else {
                return;
            };
            let here = by.min(piece.len());
            piece.advance(here);
            by -= here;
            if piece.is_empty() {
                self.0.pop_front();
            }
        }
    }
}

impl Frame {
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }
}
