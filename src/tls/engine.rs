//! What a client's connections are encrypted by: settings made into a configuration, and the handshake.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, InconsistentKeys, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::failure;
use super::identity::{KeyPair, key_pair};
use super::names;
use super::options::{TlsConfig, TlsVersion};
use super::provider::provider;
use super::reload::{Files, Fingerprint, watch};
use super::sources::Sources;
use super::stream::Stream;
use super::verifier::Verifier;
use crate::error::{Error, Result};

/// What is read from the socket at once: by itself rustls would ask for a few thousand bytes each time.
const READ_AHEAD: usize = 64 << 10;
/// What is encrypted ahead of the socket.
const WRITE_AHEAD: usize = 256 << 10;

/// A client's TLS.
pub(crate) struct Tls {
    /// As it was set, to read the files again.
    settings: TlsConfig,
    current: ArcSwap<ClientConfig>,
    has_identity: bool,
    /// Until they are watched.
    files: Mutex<Option<(Files, Fingerprint)>>,
}

impl Tls {
    /// Reads every key and certificate.
    pub(crate) fn new(config: &TlsConfig) -> Result<Arc<Self>> {
        let sources = Sources::of(config)?;
        let files = sources.reload.map(|(interval, debounce)| Files {
            paths: sources.files(),
            interval,
            debounce,
        });
        // Before they are read: what changes meanwhile is seen later.
        let files = files.filter(|files| !files.paths.is_empty());
        let files = files.map(|files| {
            let fingerprint = files.fingerprint();
            (files, fingerprint)
        });
        Ok(Arc::new(Self {
            settings: config.clone(),
            current: ArcSwap::new(build(&sources)?),
            has_identity: sources.identity.is_some(),
            files: Mutex::new(files),
        }))
    }

    /// Looks at the files from now on, on this runtime.
    pub(crate) fn watch(self: &Arc<Self>) {
        let files = self
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((files, fingerprint)) = files {
            let user = Arc::downgrade(self);
            tokio::spawn(watch(user, Self::reload, files, fingerprint));
        }
    }

    /// Reads every key and certificate again; new connections use them, if they are of use.
    pub(crate) fn reload(&self) -> Result<()> {
        let sources = Sources::of(&self.settings)?;
        self.current.store(build(&sources)?);
        Ok(())
    }

    /// Encrypts a stream to a server, which is called `address` in errors and shows a certificate for `host`.
    pub(crate) async fn handshake<S>(
        &self,
        stream: S,
        host: &str,
        address: &Arc<str>,
        limit: Duration,
    ) -> Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let name = server_name(host).map_err(|reason| failure::failed(address, reason, true))?;
        let connector = TlsConnector::from(self.current.load_full());
        let buffered = BufReader::with_capacity(READ_AHEAD, stream);
        let connecting = connector.connect_with(name, buffered, |session| {
            session.set_buffer_limit(Some(WRITE_AHEAD));
        });
        match timeout(limit, connecting).await {
            Ok(Ok(stream)) => Ok(Stream::new(stream)),
            Ok(Err(error)) => Err(failure::of_handshake(address, &error, self.has_identity)),
            Err(_) => Err(failure::silent(address, limit)),
        }
    }

    /// What the server meant by an error on a stream that had its handshake; none where it is not TLS that failed.
    ///
    /// In TLS 1.3 a server judges the client's certificate after the client's handshake has ended.
    pub(crate) fn refusal(&self, address: &Arc<str>, error: &io::Error) -> Option<Error> {
        failure::of_stream(address, error, self.has_identity)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("has_identity", &self.has_identity)
            .finish_non_exhaustive()
    }
}

/// An address in brackets' place, a zone and a last dot are not part of what a certificate is for.
fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    let bare = host.split('%').next().unwrap_or(host);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| format!("{host:?} is no name that a certificate can be for"))
}

fn build(sources: &Sources) -> Result<Arc<ClientConfig>> {
    let mut provider = Arc::unwrap_or_clone(
        provider().map_err(|reason| Error::config("security.protocol", reason))?,
    );
    if let Some(suites) = &sources.suites {
        choose_suites(&mut provider, suites, &sources.versions)?;
    }
    let provider = Arc::new(provider);
    let verifier = Verifier::new(sources, &provider)?;
    let versions: Vec<_> = sources.versions.iter().map(|v| version(*v)).collect();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| Error::config(names::VERSIONS, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match &sources.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let KeyPair {
                chain,
                key,
                setting,
            } = key_pair(identity)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| Error::config(setting, bad_key(&error)))?
        }
    };
    Ok(Arc::new(config))
}

fn bad_key(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key is not that of the first certificate".into()
        }
        other => format!(
            "the key is of no use ({other}): RSA from 2048 bits, ECDSA on P-256 or P-384 and Ed25519 are"
        ),
    }
}

fn version(version: TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::V1_2 => &rustls::version::TLS12,
        TlsVersion::V1_3 => &rustls::version::TLS13,
    }
}

/// Keeps those that are named, in the order in which they are.
fn choose_suites(
    provider: &mut CryptoProvider,
    suites: &[String],
    versions: &[TlsVersion],
) -> Result<()> {
    let refuse = |reason: String| Error::config(names::SUITES, reason);
    let known = |suite: &rustls::SupportedCipherSuite| {
        format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
    };
    let mut chosen = Vec::new();
    for name in suites {
        let suite = provider.cipher_suites.iter().find(|s| known(s) == *name);
        chosen.push(*suite.ok_or_else(|| {
            let all: Vec<_> = provider.cipher_suites.iter().map(known).collect();
            refuse(format!("{name:?} is not one of {}", all.join(", ")))
        })?);
    }
    let used = |v: &TlsVersion| chosen.iter().any(|s| s.version() == version(*v));
    if let Some(unused) = versions.iter().find(|v| !used(v)) {
        let version = match unused {
            TlsVersion::V1_2 => "TLSv1.2",
            TlsVersion::V1_3 => "TLSv1.3",
        };
        return Err(refuse(format!(
            "conflicts with {}: none of them is {version}'s; name one, or leave {version} out",
            names::VERSIONS
        )));
    }
    provider.cipher_suites = chosen;
    Ok(())
}
