//! Whether a broker's certificate is trusted: webpki's judgement, and where Kafka's clients judge otherwise, theirs.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::names;
use super::sources::Sources;
use super::store;
use crate::error::{Error, Result};

/// Judges by roots, or by nothing.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Roots,
    checks_host: bool,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Roots {
    /// The operating system's, judged as it does.
    Platform(rustls_platform_verifier::Verifier),
    /// A trust store's, each of which is trusted as a broker's own certificate too.
    Given(Arc<WebPkiServerVerifier>, Vec<CertificateDer<'static>>),
    Anybody,
}

impl Verifier {
    pub(super) fn new(sources: &Sources, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let roots = match &sources.trust {
            _ if !sources.checks_certificates => Roots::Anybody,
            Some(trust) => given(store::trusted(trust)?, provider)?,
            None => platform(sources.checks_host, provider)?,
        };
        Ok(Self {
            roots,
            checks_host: sources.checks_host,
            provider: provider.clone(),
        })
    }
}

fn given(
    certificates: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Roots> {
    let refuse = |reason: String| Error::config(names::TRUST_LOCATION, reason);
    let mut roots = RootCertStore::empty();
    for (number, certificate) in certificates.iter().enumerate() {
        let added = roots.add(certificate.clone());
        added.map_err(|error| {
            refuse(format!(
                "its certificate {} is damaged: {error}",
                number + 1
            ))
        })?;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
    let verifier = verifier.map_err(|error| refuse(error.to_string()))?;
    Ok(Roots::Given(verifier, certificates))
}

fn platform(checks_host: bool, provider: &Arc<CryptoProvider>) -> Result<Roots> {
    // Elsewhere the system judges name and trust in one.
    const WEBPKI: bool = cfg!(all(
        unix,
        not(target_vendor = "apple"),
        not(target_os = "android")
    ));
    if !checks_host && !WEBPKI {
        let reason = "a certificate of any host is only taken with a trust store: set ssl.truststore.location";
        return Err(Error::config(names::CHECKS_HOST, reason));
    }
    let verifier = rustls_platform_verifier::Verifier::new(provider.clone());
    let verifier = verifier.map_err(|error| {
        let reason = format!(
            "not set, and the operating system has no certificates to trust ({error}): install them (Debian: \
             ca-certificates), or name a file"
        );
        Error::config(names::TRUST_LOCATION, reason)
    })?;
    Ok(Roots::Platform(verifier))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let judge = |verifier: &dyn ServerCertVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let judged = match &self.roots {
            Roots::Anybody => return Ok(ServerCertVerified::assertion()),
            Roots::Platform(verifier) => judge(verifier),
            Roots::Given(verifier, pinned) => match judge(verifier.as_ref()) {
                Err(error) if is_issue_of_issuer(&error) && pinned.contains(end_entity) => {
                    let parsed = ParsedCertificate::try_from(end_entity)?;
                    verify_server_name(&parsed, server_name)
                        .map(|()| ServerCertVerified::assertion())
                }
                judged => judged,
            },
        };
        match judged {
            // webpki looks at the name last, when all else is well.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_host => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Whether nothing is wrong with a certificate but who signed it, its dates included: webpki looks at those first.
fn is_issue_of_issuer(error: &TlsError) -> bool {
    match error {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        TlsError::InvalidCertificate(CertificateError::Other(other)) => {
            // What `openssl req -x509` makes is an authority's, and used as a broker's.
            let cause = other.0.downcast_ref::<webpki::Error>();
            cause == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}
