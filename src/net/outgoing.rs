//! What is to be written: pieces in order, and how far into the stream they have gone.
//!
//! The socket's half is taken out while someone writes, so that no lock is held over a system call:
//!
//! ```text
//!            take (pieces go with it)
//!   ───▶ Home ─────────────────────▶ Away
//!          ▲        put back           │
//!          └───────────────────────────┘
//! ```
//!
//! Places in the stream are counted in bytes since it began.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Pieces handed to the socket at once; tokio and Linux take at most this many usefully.
const SLICES: usize = 64;

/// The queue, and the socket's half while no one writes.
pub(super) struct Outgoing {
    queue: VecDeque<Bytes>,
    writer: Option<Writer>,
    queued: u64,
    written: u64,
    /// The socket took no more; its task goes on as soon as it does.
    blocked: bool,
}

/// The socket's half with the pieces that it is writing.
pub(super) struct Writer {
    io: Box<dyn AsyncWrite + Send + Unpin>,
    pieces: VecDeque<Bytes>,
    flushed: bool,
}

impl Outgoing {
    pub(super) fn new(io: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self {
            queue: VecDeque::new(),
            writer: Some(Writer {
                io,
                pieces: VecDeque::new(),
                flushed: true,
            }),
            queued: 0,
            written: 0,
            blocked: false,
        }
    }

    /// Queues a request's pieces; returns where it begins and ends in the stream.
    pub(super) fn push(&mut self, head: Bytes, body: Vec<Bytes>) -> (u64, u64) {
        let start = self.queued;
        let pieces = std::iter::once(head).chain(body);
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            self.queued += piece.len() as u64;
            self.queue.push_back(piece);
        }
        (start, self.queued)
    }

    /// The writer with everything queued; none when there is nothing to do, or someone is at it.
    ///
    /// Only the socket's task (`owner`) goes on where the socket had blocked: its waker stays.
    pub(super) fn take(&mut self, owner: bool) -> Option<Writer> {
        if self.blocked && !owner {
            return None;
        }
        let idle = self.queue.is_empty();
        let mut writer = self
            .writer
            .take_if(|writer| !(idle && writer.pieces.is_empty() && writer.flushed))?;
        if writer.pieces.is_empty() {
            std::mem::swap(&mut writer.pieces, &mut self.queue);
        } else {
            writer.pieces.append(&mut self.queue);
        }
        self.blocked = false;
        Some(writer)
    }

    /// Puts the writer back after it has written `bytes`.
    pub(super) fn put_back(&mut self, writer: Writer, bytes: u64, blocked: bool) {
        self.written += bytes;
        self.blocked = blocked;
        self.writer = Some(writer);
    }

    /// Up to where the stream has certainly been written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// From where on not one byte can have been written.
    pub(super) fn exposed(&self) -> u64 {
        // Someone who writes just now may write all that was taken; what was queued since is safe.
        match self.writer {
            Some(_) => self.written,
            None => {
                self.queued
                    - self
                        .queue
                        .iter()
                        .map(|piece| piece.len() as u64)
                        .sum::<u64>()
            }
        }
    }

    /// Drops the socket's half, if it is here, and everything queued.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.writer = None;
    }
}

impl Writer {
    /// Writes as much as the socket takes; also says how many bytes that was.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> (u64, Poll<io::Result<()>>) {
        let mut written = 0;
        let result = self.poll_all(cx, &mut written);
        (written, result)
    }

    fn poll_all(&mut self, cx: &mut Context<'_>, written: &mut u64) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let slices = slices.get(..count).unwrap_or_default();
            let bytes = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += bytes as u64;
            self.flushed = false;
            self.advance(bytes);
        }
        // TLS keeps bytes back until it is told; for TCP this costs nothing.
        if !self.flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut bytes: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            if bytes < piece.len() {
                piece.advance(bytes);
                return;
            }
            bytes -= piece.len();
            self.pieces.pop_front();
        }
    }
}
