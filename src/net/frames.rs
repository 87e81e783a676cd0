//! Cuts a stream of bytes into answers; no length is believed before it has been checked.

use bytes::{Buf, Bytes, BytesMut};

/// Free space made before each read: one read takes many small answers.
const CHUNK: usize = 64 * 1024;
/// Up to here an answer gets its whole space at once; beyond, space follows the bytes that really came.
const TRUSTED: usize = 4 * 1024 * 1024;
/// The least an answer holds: its correlation id.
const SHORTEST: usize = 4;

/// Bytes received and not yet handed out.
pub(crate) struct Frames {
    buffer: BytesMut,
    limit: usize,
}

/// A length that no answer has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLength(pub(crate) i32);

impl Frames {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
        }
    }

    /// Where the next read goes, with room for a useful amount.
    pub(crate) fn space(&mut self) -> &mut BytesMut {
        let have = self.buffer.len();
        let missing = match self.length() {
            Some(Ok(len)) => (4 + len).saturating_sub(have).min(TRUSTED.max(have)),
            _ => 0,
        };
        if self.buffer.capacity() - have < missing.max(CHUNK / 4) {
            self.buffer.reserve(missing.max(CHUNK));
        }
        &mut self.buffer
    }

    /// What was received and not yet handed out.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer
    }

    /// The next whole frame, without its length.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, BadLength> {
        let Some(len) = self.length().transpose()? else {
            return Ok(None);
        };
        if self.buffer.len() - 4 < len {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(len).freeze()))
    }

    fn length(&self) -> Option<Result<usize, BadLength>> {
        let head = *self.buffer.first_chunk::<4>()?;
        let claimed = i32::from_be_bytes(head);
        Some(match usize::try_from(claimed) {
            Ok(len) if (SHORTEST..=self.limit).contains(&len) => Ok(len),
            _ => Err(BadLength(claimed)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(bytes: &[u8]) -> Frames {
        let mut frames = Frames::new(100);
        frames.space().extend_from_slice(bytes);
        frames
    }

    #[test]
    fn frames_are_cut_whatever_the_reads_were() {
        let mut stream = Vec::new();
        for len in [4u8, 5, 100, 4] {
            stream.extend_from_slice(&[0, 0, 0, len]);
            stream.extend(std::iter::repeat_n(len, len.into()));
        }
        for step in 1..=stream.len() {
            let mut frames = Frames::new(100);
            let mut lens = Vec::new();
            for piece in stream.chunks(step) {
                frames.space().extend_from_slice(piece);
                while let Some(frame) = frames.next().unwrap() {
                    lens.push(frame.len());
                }
            }
            assert_eq!(lens, [4, 5, 100, 4], "in steps of {step}");
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_memory_is_taken() {
        for claimed in [-1, -2, i32::MIN, 0, 3, 101, i32::MAX] {
            let mut frames = fed(&claimed.to_be_bytes());
            assert_eq!(frames.next(), Err(BadLength(claimed)));
            assert!(frames.space().capacity() < 2 * CHUNK);
        }
    }

    #[test]
    fn a_claimed_length_takes_memory_only_as_its_bytes_arrive() {
        let mut frames = Frames::new(usize::MAX);
        frames.space().extend_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(frames.next(), Ok(None));
        assert!(frames.space().capacity() <= 2 * TRUSTED);
    }
}
