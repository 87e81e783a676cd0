//! The two tasks of a stream: one reads answers, one keeps deadlines and writes on when the socket had blocked.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::frames::{BadLength, Frames};
use super::link::LinkInner;
use crate::error::Error;
use crate::wire::recognise_foreign;

pub(super) fn spawn(
    link: &Arc<LinkInner>,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    limit: usize,
) {
    tokio::spawn(keep(CloseOnDrop(link.clone())));
    tokio::spawn(read(CloseOnDrop(link.clone()), reader, limit));
}

/// Ends the stream with its task: when the runtime is shut down, nobody is left waiting.
struct CloseOnDrop(Arc<LinkInner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        // Not the client's end: others may have opened it on a runtime of theirs, and it can be opened again.
        let reason = "the runtime that opened it has ended";
        self.0.dismiss(self.0.disconnected(reason));
    }
}

async fn keep(guard: CloseOnDrop) {
    const FAR: Duration = Duration::from_secs(3600);
    let mut sleep = pin!(sleep_until(Instant::now() + FAR));
    poll_fn(|cx| {
        while let Some(due) = guard.0.tend(cx) {
            let due = due.unwrap_or_else(|| Instant::now() + FAR);
            if sleep.deadline() != due {
                sleep.as_mut().reset(due);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    })
    .await;
}

async fn read(guard: CloseOnDrop, mut reader: Box<dyn AsyncRead + Send + Unpin>, limit: usize) {
    let link = &guard.0;
    let mut frames = Frames::new(limit);
    let mut closed = pin!(link.closed());
    let mut answers = 0u32;
    loop {
        let first = answers == 0;
        let read = tokio::select! {
            biased;
            read = reader.read_buf(frames.space()) => read,
            () = &mut closed => return,
        };
        if link.is_closed() {
            return;
        }
        match read {
            Ok(0) => return link.close(ended(link, answers, frames.unread().len())),
            Ok(_) => {}
            Err(error) => {
                let hint = if first { WANTS_TLS } else { "" };
                return link.close(link.failed("reading failed", &error, hint));
            }
        }
        if first && let Some(found) = foreign(frames.unread()) {
            return link.close(not_kafka(link, found));
        }
        loop {
            match frames.next() {
                Ok(Some(frame)) => {
                    answers = answers.saturating_add(1);
                    link.answered(frame);
                }
                Ok(None) => break,
                Err(BadLength(length)) => {
                    let first = answers == 0;
                    if !first && length > 0 && limit < length as usize {
                        let beginning = beginning(&mut reader, &mut frames).await;
                        return link.too_large(length as usize, limit, beginning);
                    }
                    return link.close(bad_length(link, first, length));
                }
            }
        }
    }
}

/// So much of an answer that is not taken says what it is about.
const BEGINNING: usize = 64 << 10;
/// How long is waited for that: it is on the way.
const BEGINNING_WAIT: Duration = Duration::from_secs(1);

/// The first bytes of an answer that is not taken, without its length.
async fn beginning(reader: &mut (dyn AsyncRead + Send + Unpin), frames: &mut Frames) -> Bytes {
    let until = Instant::now() + BEGINNING_WAIT;
    while frames.unread().len() < BEGINNING {
        match timeout_at(until, reader.read_buf(frames.space())).await {
            Ok(Ok(read)) if read > 0 => {}
            _ => break,
        }
    }
    let bytes = frames.unread().get(4..).unwrap_or_default();
    Bytes::copy_from_slice(bytes)
}

/// What a server that ends the connection at once may be.
const WANTS_TLS: &str = " before its first answer (does the listener want TLS or SASL?)";

/// What a server is by its first bytes, when it is certainly no Kafka broker.
fn foreign(bytes: &[u8]) -> Option<Arc<str>> {
    // Fewer than a length's bytes prove nothing; and no first answer begins as these protocols do.
    (bytes.len() >= 4)
        .then(|| recognise_foreign(bytes))
        .flatten()
        .map(Into::into)
}

fn not_kafka(link: &LinkInner, found: Arc<str>) -> Error {
    Error::NotKafka {
        address: link.name.clone(),
        found,
    }
}

fn bad_length(link: &LinkInner, first: bool, length: i32) -> Error {
    if first {
        not_kafka(
            link,
            format!("its first answer claims {length} bytes").into(),
        )
    } else {
        Error::protocol(
            link.name.clone(),
            format!("an answer that claims {length} bytes"),
        )
    }
}

fn ended(link: &LinkInner, answers: u32, unread: usize) -> Error {
    link.disconnected(match (answers, unread) {
        (0, 0) => {
            "closed by the server before its first answer (does the listener want TLS or SASL?)"
        }
        // A listener that wants a login tells its versions to anybody, and nothing more.
        (1, 0) => {
            "closed by the broker as soon as it was asked for more than its versions (does the listener want SASL?)"
        }
        (_, 0) => "closed by the broker",
        _ => "closed by the broker in the middle of an answer",
    })
}
