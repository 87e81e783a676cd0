//! Decompresses in steps what is too large to be decompressed at once.

use bytes::Bytes;

use super::parts::Broken;
use super::{gzip, lz4, snappy, zstd};
use crate::batch::header::Codec;
use crate::batch::spare::Output;

/// A compressed stream that is read in steps of some 100 kB.
pub(in crate::batch) enum Stream {
    Gzip(Box<gzip::Reader>),
    Snappy(snappy::Reader),
    Lz4(lz4::Reader),
    Zstd(Box<zstd::Reader>),
}

impl Stream {
    /// Takes no more memory at once than some `limit` bytes, and what a codec's own window takes, of 8 MiB at most.
    pub(in crate::batch) fn new(codec: Codec, input: Bytes, limit: usize) -> Option<Self> {
        Some(match codec {
            Codec::None => return None,
            Codec::Gzip => Self::Gzip(Box::new(gzip::Reader::new(input))),
            Codec::Snappy => Self::Snappy(snappy::Reader::new(input, limit)),
            Codec::Lz4 => Self::Lz4(lz4::Reader::new(input)),
            Codec::Zstd => Self::Zstd(Box::new(zstd::Reader::new(input, limit))),
        })
    }

    /// Appends some more bytes to `out`, and tells how many; none at the end.
    pub(in crate::batch) fn read(&mut self, out: &mut Output) -> Result<usize, Broken> {
        match self {
            Self::Gzip(reader) => Ok(reader.read(out)?),
            Self::Snappy(reader) => reader.read(out),
            Self::Lz4(reader) => Ok(reader.read(out)?),
            Self::Zstd(reader) => reader.read(out),
        }
    }

    /// Everything that was to be read is there: only what still belongs to it is looked at.
    pub(in crate::batch) fn complete(&mut self) {
        // Of LZ4, Java reads one frame and does not look behind it.
        if let Self::Lz4(reader) = self {
            reader.complete();
        }
    }
}
