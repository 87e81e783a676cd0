//! TLS: how connections are encrypted, whom they trust, and by what the client shows who it is.
//!
//! [`ClientBuilder::tls`](crate::ClientBuilder::tls) takes a [`TlsConfig`], with
//! [`SecurityProtocol::Ssl`](crate::SecurityProtocol::Ssl) or
//! [`SecurityProtocol::SaslSsl`](crate::SecurityProtocol::SaslSsl); the same can be set by the names that Java's clients and
//! librdkafka have. Without any of it brokers are trusted as the operating system trusts servers, and their host names checked.
//!
//! The cryptography is a feature: `tls`, on by default, is pure Rust, for x86_64 and aarch64 processors that have
//! instructions for AES and, on x86_64, ADX and AVX2; `tls-ring` and `tls-aws-lc-rs` run on others too, compile C, and are
//! taken when they are enabled. rustls' process-wide default is never asked or set.
//!
//! Files that change are read anew, and new connections use what is in them: by themselves, a while after the change, or at
//! once by [`Client::reload_tls`](crate::Client::reload_tls). What is of no use leaves the old in place.
//!
//! For a TLS of your own (a `rustls::ClientConfig` with a session store, a hardware key, another library altogether) leave
//! `security_protocol` without SSL and give a [`Connector`](crate::Connector) whose [`Transport`](crate::Transport) is your
//! encrypted stream: no version of rustls is part of this crate's API.

mod names;
mod options;
#[cfg_attr(
    not(feature = "__rustls"),
    expect(dead_code, reason = "without TLS they are checked, and not read")
)]
mod sources;

#[cfg(not(feature = "__rustls"))]
mod without;

#[cfg(feature = "__rustls")]
mod engine;
#[cfg(feature = "__rustls")]
mod failure;
#[cfg(feature = "__rustls")]
mod identity;
#[cfg(feature = "keystores")]
mod jks;
#[cfg(feature = "keystores")]
mod keystore;
#[cfg(feature = "__rustls")]
mod pem;
#[cfg(feature = "__rustls")]
mod provider;
#[cfg(feature = "__rustls")]
mod reload;
#[cfg(feature = "__rustls")]
mod store;
#[cfg(feature = "__rustls")]
mod stream;
#[cfg(feature = "__rustls")]
mod verifier;

#[cfg(test)]
#[cfg(feature = "__rustls")]
mod tests;

#[cfg(feature = "__rustls")]
pub(crate) use engine::Tls;
pub use options::{StoreFormat, TlsConfig, TlsVersion};
#[cfg(not(feature = "__rustls"))]
pub(crate) use without::Tls;

/// Reads a text as certificates and as a key, whatever comes of it.
#[cfg(all(fuzzing, feature = "__rustls"))]
pub(crate) fn read_pem(text: &str) {
    let _ = pem::certificates(text);
    let _ = pem::private_key(text);
}
