//! Buffers to decompress into, used again when nobody holds a record in them any more.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// All spare buffers of one consumer together are kept up to this many bytes.
const KEPT: usize = 4 << 20;

/// What fills less of its buffer than one part in so many is copied out: few records shall not hold much memory.
const LEAST_FILL: usize = 2;

/// Spare buffers: their memory is there, in the processor's cache, and need not be cleared anew.
#[derive(Clone, Default)]
pub(crate) struct Spares(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spares {
    /// The one that was returned last, or a new and empty one.
    pub(super) fn take(&self) -> Output {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Output {
            bytes: spare.unwrap_or_default(),
            len: 0,
        }
    }

    /// The output as shared bytes, whose buffer comes back when they are dropped.
    pub(super) fn lend(&self, output: Output) -> Bytes {
        let Output { bytes, len } = output;
        if len < bytes.capacity() / LEAST_FILL {
            let copy = Bytes::copy_from_slice(bytes.get(..len).unwrap_or_default());
            self.give_back(bytes);
            return copy;
        }
        Bytes::from_owner(Lent {
            bytes,
            len,
            home: self.clone(),
        })
    }

    fn give_back(&self, bytes: Vec<u8>) {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = spares.iter().map(Vec::capacity).sum();
        if kept + bytes.capacity() <= KEPT {
            spares.push(bytes);
        }
    }
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spares").finish_non_exhaustive()
    }
}

/// A buffer that is out, the first `len` bytes of it.
struct Lent {
    bytes: Vec<u8>,
    len: usize,
    home: Spares,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

/// What a codec decompresses into: a buffer, of whose bytes the first `len` are written.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    len: usize,
}

impl Output {
    #[cfg(test)]
    pub(super) fn used(bytes: Vec<u8>) -> Self {
        Self { bytes, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Drops so many bytes at the front.
    pub(super) fn skip(&mut self, len: usize) {
        let len = len.min(self.len);
        self.bytes.copy_within(len..self.len, 0);
        self.len -= len;
    }

    /// What is written, and `room` bytes behind it to write to.
    pub(super) fn split(&mut self, room: usize) -> (&[u8], &mut [u8]) {
        let end = self.len + room;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let (written, rest) = self.bytes.split_at_mut(self.len);
        (written, rest.get_mut(..room).unwrap_or_default())
    }

    /// So many more bytes are written, of those that `split` gave.
    pub(super) fn wrote(&mut self, len: usize) {
        self.len = (self.len + len).min(self.bytes.len());
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.split(bytes.len()).1.copy_from_slice(bytes);
        self.wrote(bytes.len());
    }

    /// Writes with what appends to a vector.
    pub(super) fn with_vec<T>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.bytes.truncate(self.len);
        let done = append(&mut self.bytes);
        self.len = self.bytes.len();
        done
    }

    pub(super) fn into_vec(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(spares: &Spares, content: &[u8]) -> Output {
        let mut output = spares.take();
        output.push(content);
        output
    }

    fn spare(spares: &Spares) -> usize {
        spares.0.lock().unwrap().iter().map(Vec::capacity).sum()
    }

    #[test]
    fn a_buffer_comes_back_when_its_last_share_is_dropped() {
        let spares = Spares::default();
        let first = spares.lend(output(&spares, &[1; 1000]));
        let at = first.as_ptr();
        let share = first.slice(10..20);
        drop(first);
        assert_eq!(spare(&spares), 0, "somebody holds it");
        assert_eq!(share, [1; 10].as_slice());
        drop(share);
        assert!(spare(&spares) >= 1000);
        let second = spares.lend(output(&spares, &[2; 900]));
        assert_eq!(second.as_ptr(), at);
        assert_eq!(
            second,
            [2; 900].as_slice(),
            "nothing of what it held before"
        );
    }

    #[test]
    fn little_content_holds_no_large_buffer() {
        let spares = Spares::default();
        drop(spares.lend(output(&spares, &[1; 100_000])));
        let little = spares.lend(output(&spares, &[2; 10]));
        assert_eq!(little, [2; 10].as_slice());
        assert!(spare(&spares) >= 100_000, "its buffer is back");
    }

    #[test]
    fn spare_memory_has_a_cap() {
        let spares = Spares::default();
        let outputs: Vec<_> = (0..10).map(|_| output(&spares, &[1; 1 << 20])).collect();
        let lent: Vec<_> = outputs.into_iter().map(|o| spares.lend(o)).collect();
        drop(lent);
        assert_eq!(spare(&spares), KEPT);
        drop(spares.lend(output(&Spares::default(), &[1; KEPT + 1])));
        assert_eq!(spare(&spares), KEPT);
    }
}
