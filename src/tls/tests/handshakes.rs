//! Handshakes that succeed.

use kafka_cluster::certificates::{KeyKind, Subject};

use tokio::io::AsyncWrite;

use super::*;

#[tokio::test]
async fn a_broker_is_trusted_by_its_authority_in_a_file_a_folder_and_as_text() {
    let authority = authority();
    let server = Server::of(broker(&authority));
    let pem = authority.pem();
    let file = File::of(&pem);
    let folder = std::env::temp_dir().join(format!("ottla-tls-folder-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ca.pem"), &pem).unwrap();
    std::fs::write(folder.join("README"), [0xff, 0xfe]).unwrap();
    for client in [
        TlsConfig::new().trust_file(&file.0),
        TlsConfig::new().trust_file(&folder),
        TlsConfig::new().trust_pem(&pem),
        TlsConfig::new().trust_pem(pem.replace('\n', " ")),
    ] {
        talk(&client, &server, HOST).await.unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn both_versions_are_spoken_and_either_can_be_asked_for() {
    let authority = authority();
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let server = Server::of(broker(&authority)).speaks(version);
        let client = TlsConfig::new().trust_pem(authority.pem());
        talk(&client, &server, HOST).await.unwrap();
        talk(&client.clone().versions([version]), &server, HOST)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_client_shows_a_certificate_of_each_kind_of_key_in_each_form() {
    let (authority, clients) = (authority(), authority());
    for kind in [KeyKind::Ecdsa, KeyKind::Ed25519, KeyKind::Rsa] {
        let alice = clients.issue(&Subject::client("alice").key(kind)).unwrap();
        let both = File::of(alice.both());
        let (chain, key) = (File::of(&alice.certificate), File::of(&alice.key));
        let one_line = alice.key.replace('\n', " ");
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let server = Server::of(broker(&authority))
                .speaks(version)
                .wants_clients_of(&clients);
            let client = TlsConfig::new().trust_pem(authority.pem());
            for client in [
                client.clone().identity_file(&both.0),
                client.clone().identity_files(&chain.0, &key.0),
                client
                    .clone()
                    .identity_pem(&alice.certificate, one_line.as_str()),
            ] {
                talk(&client, &server, HOST).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_broker_has_a_certificate_of_each_kind_of_key() {
    let authority = authority();
    let client = TlsConfig::new().trust_pem(authority.pem());
    for kind in [KeyKind::Ecdsa, KeyKind::Ed25519, KeyKind::Rsa] {
        let identity = authority
            .issue(&Subject::broker(&[HOST]).key(kind))
            .unwrap();
        talk(&client, &Server::of(identity), HOST).await.unwrap();
    }
}

#[tokio::test]
async fn hosts_are_names_and_addresses() {
    let authority = authority();
    let server = Server::of(broker(&authority));
    let client = TlsConfig::new().trust_pem(authority.pem());
    for host in [HOST, "BROKER.test", "broker.test.", "10.1.2.3"] {
        talk(&client, &server, host).await.unwrap();
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_when_it_is_in_the_trust_store() {
    let subject = Subject::broker(&[HOST]);
    for subject in [subject.clone(), subject.authority()] {
        let identity = subject.self_signed().unwrap();
        let client = TlsConfig::new().trust_pem(&identity.certificate);
        talk(&client, &Server::of(identity), HOST).await.unwrap();
    }
    // And so is one whose authority is not.
    let identity = broker(&authority());
    let client = TlsConfig::new().trust_pem(&identity.certificate);
    talk(&client, &Server::of(identity), HOST).await.unwrap();
}

#[tokio::test]
async fn checks_are_left_out_where_that_was_asked_for() {
    let authority = authority();
    let server = Server::of(broker(&authority));
    let no_name = TlsConfig::new()
        .trust_pem(authority.pem())
        .check_host_name(false);
    talk(&no_name, &server, "other.test").await.unwrap();
    let nothing = TlsConfig::new().check_certificates(false);
    talk(&nothing, &server, "other.test").await.unwrap();
    let pinned = Subject::broker(&[HOST]).authority().self_signed().unwrap();
    let client = TlsConfig::new()
        .trust_pem(&pinned.certificate)
        .check_host_name(false);
    talk(&client, &Server::of(pinned), "other.test")
        .await
        .unwrap();
}

#[tokio::test]
async fn cipher_suites_are_chosen_by_name() {
    let authority = authority();
    let server = Server::of(broker(&authority));
    let client = TlsConfig::new().trust_pem(authority.pem()).cipher_suites([
        "TLS_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ]);
    talk(&client, &server, HOST).await.unwrap();
}

#[tokio::test]
async fn what_is_written_in_pieces_arrives_and_an_end_without_a_word_is_an_end() {
    let authority = authority();
    let server = Server::of(broker(&authority));
    let tls = Tls::new(&TlsConfig::new().trust_pem(authority.pem())).unwrap();
    let (ours, theirs) = duplex(1 << 12);
    let large: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let client = async {
        let mut stream = tls
            .handshake(ours, HOST, &"b:1".into(), LIMIT)
            .await
            .unwrap();
        assert!(stream.is_write_vectored());
        let (mut first, mut second) = large.split_at(333_333);
        while !first.is_empty() || !second.is_empty() {
            let pieces = [io::IoSlice::new(first), io::IoSlice::new(second)];
            let written = stream.write_vectored(&pieces).await.unwrap();
            let of_first = written.min(first.len());
            (first, second) = (&first[of_first..], &second[written - of_first..]);
        }
        stream.flush().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"done");
    };
    let served = async {
        let acceptor = TlsAcceptor::from(server.config());
        let mut stream = acceptor.accept(theirs).await.unwrap();
        let mut received = vec![0; large.len()];
        stream.read_exact(&mut received).await.unwrap();
        assert!(received == large);
        stream.write_all(b"done").await.unwrap();
        stream.flush().await.unwrap();
        // It hangs up as a killed process does.
        drop(stream);
    };
    tokio::join!(client, served);
}
