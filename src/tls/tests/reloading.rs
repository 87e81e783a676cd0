//! Keys and certificates that change while they are used.

use super::*;

/// A client of one authority's file, and what that file is to hold later.
struct Rotation {
    file: File,
    old: Server,
    new: Server,
    new_pem: String,
}

impl Rotation {
    fn new() -> Self {
        let (one, two) = (authority(), authority());
        Self {
            file: File::of(one.pem()),
            old: Server::of(broker(&one)),
            new: Server::of(broker(&two)),
            new_pem: two.pem(),
        }
    }

    async fn trusts(&self, tls: &Tls, server: &Server) -> bool {
        let (ours, theirs) = duplex(1 << 16);
        let accepting = TlsAcceptor::from(server.config()).accept(theirs);
        let address = "b:1".into();
        let (shaken, _) = tokio::join!(tls.handshake(ours, HOST, &address, LIMIT), accepting);
        shaken.is_ok()
    }
}

#[tokio::test]
async fn what_was_changed_is_used_when_it_is_asked_for_and_only_if_it_is_of_use() {
    let rotation = Rotation::new();
    let tls = Tls::new(&TlsConfig::new().trust_file(&rotation.file.0)).unwrap();
    std::fs::write(&rotation.file.0, "half of a fi").unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("ssl.truststore.location"), "{error}");
    assert!(rotation.trusts(&tls, &rotation.old).await);
    std::fs::write(&rotation.file.0, &rotation.new_pem).unwrap();
    assert!(!rotation.trusts(&tls, &rotation.new).await);
    tls.reload().unwrap();
    assert!(rotation.trusts(&tls, &rotation.new).await);
    assert!(!rotation.trusts(&tls, &rotation.old).await);
}

#[tokio::test]
async fn what_changes_on_disk_is_taken_up_by_itself() {
    let rotation = Rotation::new();
    let short = Duration::from_millis(5);
    let config = TlsConfig::new()
        .trust_file(&rotation.file.0)
        .reload_interval(short)
        .reload_debounce(short);
    let tls = Tls::new(&config).unwrap();
    tls.watch();
    std::fs::write(&rotation.file.0, "half of a fi").unwrap();
    std::fs::write(&rotation.file.0, &rotation.new_pem).unwrap();
    let taken_up = async {
        while !rotation.trusts(&tls, &rotation.new).await {
            tokio::time::sleep(short).await;
        }
    };
    tokio::time::timeout(LIMIT, taken_up).await.unwrap();
}
