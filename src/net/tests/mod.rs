//! Connections and the pool against scripted servers on streams in memory, on a clock that is told the time.

mod answers;
mod ends;
mod logins;
mod peers;
mod pool;
pub(crate) mod server;
mod silence;
mod tcp;
#[cfg(feature = "__rustls")]
mod tls;
