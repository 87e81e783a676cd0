//! The cryptography: that of the enabled features which this processor can run.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// AWS-LC or ring where they are enabled, which is asked for; else graviola.
pub(super) fn provider() -> Result<Arc<CryptoProvider>, &'static str> {
    #[cfg(feature = "tls-aws-lc-rs")]
    let provider = Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc-rs")))]
    let provider = Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc-rs")))]
    let provider = pure();
    provider
}

#[cfg(all(
    feature = "tls",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(any(feature = "tls-ring", feature = "tls-aws-lc-rs")),
))]
fn pure() -> Result<Arc<CryptoProvider>, &'static str> {
    // It would panic in the middle of a handshake otherwise.
    if graviola::util::is_cpu_supported() {
        Ok(Arc::new(rustls_graviola::default_provider()))
    } else {
        Err(
            "this processor lacks instructions that the built-in cryptography of TLS needs: build ottla with its feature \
             \"tls-ring\" or \"tls-aws-lc-rs\"",
        )
    }
}

#[cfg(not(any(
    feature = "tls-ring",
    feature = "tls-aws-lc-rs",
    all(feature = "tls", any(target_arch = "x86_64", target_arch = "aarch64"),),
)))]
fn pure() -> Result<Arc<CryptoProvider>, &'static str> {
    Err(
        "the built-in cryptography of TLS does not know this kind of processor: build ottla with its feature \"tls-ring\" \
         or \"tls-aws-lc-rs\"",
    )
}
