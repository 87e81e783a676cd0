//! Stores that are not text.

use kafka_cluster::certificates::Subject;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use sha1::{Digest, Sha1};

use super::*;

const PASSWORD: &str = "hunter2";

fn pkcs12(entry: KeyStoreEntry) -> File {
    let mut store = KeyStore::new();
    store.add_entry("alias", entry);
    let writer = store
        .writer(PASSWORD)
        .encryption_iterations(1000)
        .mac_iterations(1000);
    File::of(writer.write().unwrap())
}

fn certificate(pem: &str) -> Certificate {
    Certificate::from_der(&pem::certificates(pem).unwrap()[0]).unwrap()
}

/// Java's own form of a store, with one trusted certificate.
fn jks(pem: &str) -> File {
    let certificate = pem::certificates(pem).unwrap().remove(0);
    let mut store = Vec::new();
    for number in [0xfeed_feed_u32, 2, 1, 2] {
        store.extend(number.to_be_bytes());
    }
    store.extend([0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    store.extend(b"X.509");
    store.extend((certificate.len() as u32).to_be_bytes());
    store.extend(certificate.as_ref());
    let mut hash = Sha1::new();
    for letter in PASSWORD.bytes() {
        hash.update([0, letter]);
    }
    hash.update(b"Mighty Aphrodite");
    hash.update(&store);
    store.extend(hash.finalize());
    File::of(store)
}

#[tokio::test]
async fn trust_stores_of_java_are_read() {
    let authority = authority();
    let server = Server::of(broker(&authority));
    let pem = authority.pem();
    let (jks, p12) = (
        jks(&pem),
        pkcs12(KeyStoreEntry::Certificate(certificate(&pem))),
    );
    for (file, needs_password) in [(&jks, false), (&p12, true)] {
        let client = TlsConfig::new().trust_file(&file.0);
        talk(&client.clone().trust_password(PASSWORD), &server, HOST)
            .await
            .unwrap();
        let wrong = Tls::new(&client.clone().trust_password("hunter3"))
            .unwrap_err()
            .to_string();
        assert!(
            wrong.contains("password") && !wrong.contains("hunter"),
            "{wrong}"
        );
        let without = Tls::new(&client).err();
        assert_eq!(without.is_some(), needs_password, "{without:?}");
    }
}

#[tokio::test]
async fn a_key_store_in_pkcs12_is_the_clients_certificate() {
    let (authority, clients) = (authority(), authority());
    let server = Server::of(broker(&authority)).wants_clients_of(&clients);
    let alice = clients.issue(&Subject::client("alice")).unwrap();
    let Key::Plain(key) = pem::private_key(&alice.key).unwrap() else {
        panic!("an encrypted key");
    };
    let key = PrivateKey::from_der(key.secret_der()).unwrap();
    let chain = [certificate(&alice.certificate)];
    let file = pkcs12(KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(
        "alice", key, chain,
    )));
    let client = TlsConfig::new()
        .trust_pem(authority.pem())
        .identity_file(&file.0);
    talk(&client.clone().key_password(PASSWORD), &server, HOST)
        .await
        .unwrap();
    let without = Tls::new(&client).unwrap_err().to_string();
    assert!(without.contains("ssl.keystore.password"), "{without}");
    let jks = jks(&authority.pem());
    let java = TlsConfig::new()
        .check_certificates(false)
        .identity_file(&jks.0);
    let java = Tls::new(&java).unwrap_err().to_string();
    assert!(java.contains("keytool -importkeystore"), "{java}");
}
