//! What TLS promises, tried against a server in memory.

mod handshakes;
mod refusals;
mod reloading;
mod settings;
#[cfg(feature = "keystores")]
mod stores;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kafka_cluster::certificates::{Authority, Issued, Subject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::pem::{self, Key};
use super::provider::provider;
use super::{Tls, TlsConfig, TlsVersion};
use crate::error::Error;

const HOST: &str = "broker.test";
const LIMIT: Duration = Duration::from_secs(30);

/// One of another name each time.
fn authority() -> Authority {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Authority::new(&format!("authority {number}")).unwrap()
}

fn broker(authority: &Authority) -> Issued {
    authority
        .issue(&Subject::broker(&[HOST, "10.1.2.3"]))
        .unwrap()
}

/// What a server speaks, and whom it wants.
struct Server {
    identity: Issued,
    clients: Option<String>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
}

impl Server {
    fn of(identity: Issued) -> Self {
        Self {
            identity,
            clients: None,
            versions: rustls::ALL_VERSIONS,
        }
    }

    fn wants_clients_of(mut self, authority: &Authority) -> Self {
        self.clients = Some(authority.pem());
        self
    }

    fn speaks(mut self, version: TlsVersion) -> Self {
        const ONLY_1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
        const ONLY_1_3: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
        self.versions = match version {
            TlsVersion::V1_2 => ONLY_1_2,
            TlsVersion::V1_3 => ONLY_1_3,
        };
        self
    }

    fn config(&self) -> Arc<ServerConfig> {
        let provider = provider().unwrap();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in pem::certificates(authority).unwrap() {
                    roots.add(certificate).unwrap();
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let chain = pem::certificates(&self.identity.certificate).unwrap();
        let Key::Plain(key) = pem::private_key(&self.identity.key).unwrap() else {
            panic!("an encrypted key");
        };
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    /// Answers one connection's "ping" by "pong".
    async fn serve(&self, stream: DuplexStream) -> io::Result<()> {
        let mut stream = TlsAcceptor::from(self.config()).accept(stream).await?;
        let mut ping = [0; 4];
        stream.read_exact(&mut ping).await?;
        assert_eq!(&ping, b"ping");
        stream.write_all(b"pong").await?;
        stream.flush().await
    }
}

/// Shakes hands, asks and is answered.
async fn talk(client: &TlsConfig, server: &Server, host: &str) -> Result<(), Error> {
    let tls = Tls::new(client)?;
    let address: Arc<str> = "broker.test:9093".into();
    let (ours, theirs) = duplex(1 << 16);
    let talking = async {
        let mut stream = tls.handshake(ours, host, &address, LIMIT).await?;
        let told = |error: io::Error| {
            let refusal = tls.refusal(&address, &error);
            refusal.unwrap_or_else(|| panic!("not told: {error:?}"))
        };
        stream.write_all(b"ping").await.map_err(told)?;
        stream.flush().await.map_err(told)?;
        let mut pong = [0; 4];
        stream.read_exact(&mut pong).await.map_err(told)?;
        assert_eq!(&pong, b"pong");
        Ok(())
    };
    let (talked, served) = tokio::join!(talking, server.serve(theirs));
    if talked.is_ok() {
        served.unwrap();
    }
    talked
}

/// The text of the error, which must be a refusal that stays.
async fn refused(client: &TlsConfig, server: &Server, host: &str) -> String {
    let error = talk(client, server, host).await.unwrap_err();
    assert!(
        matches!(error, Error::Tls { refused: true, .. }),
        "{error:?}"
    );
    assert!(!error.is_retriable());
    let text = error.to_string();
    assert!(
        text.starts_with("TLS with broker.test:9093 failed: "),
        "{text}"
    );
    text
}

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn of(content: impl AsRef<[u8]>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ottla-tls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
