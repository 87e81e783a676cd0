//! Handshakes that fail, and what is said of them.

use kafka_cluster::certificates::{Subject, Validity};

use super::*;

#[tokio::test]
async fn what_is_wrong_with_a_brokers_certificate_is_told_with_what_to_do() {
    let authority = authority();
    let trusting = TlsConfig::new().trust_pem(authority.pem());
    let stranger = TlsConfig::new().trust_pem(super::authority().pem());
    let good = Subject::broker(&[HOST, "second.test"]);
    let issue = |subject: &Subject| Server::of(authority.issue(subject).unwrap());
    let expired = issue(&good.clone().valid(Validity::Past));
    let early = issue(&good.clone().valid(Validity::Future));
    let nameless = issue(&Subject::client("broker.test"));
    let fitting = issue(&good);
    let own = Server::of(good.clone().authority().self_signed().unwrap());
    for (server, client, host, says) in [
        (&fitting, &stranger, HOST, "nobody who is trusted"),
        (&fitting, &stranger, HOST, "ssl.truststore.location"),
        (&expired, &trusting, HOST, "expired on 2020-02-03"),
        (&early, &trusting, HOST, "valid from 2090-02-03"),
        (
            &fitting,
            &trusting,
            "other.test",
            "not for \"other.test\" but for broker.test, second.test:",
        ),
        (
            &fitting,
            &trusting,
            "10.1.2.3",
            "not for \"10.1.2.3\" but for broker.test",
        ),
        (&nameless, &trusting, HOST, "no subjectAltName"),
        (&own, &trusting, HOST, "CA:TRUE"),
    ] {
        let text = refused(client, server, host).await;
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn an_authority_that_was_made_anew_under_its_name_is_told() {
    let (old, new) = (
        Authority::new("one").unwrap(),
        Authority::new("one").unwrap(),
    );
    let client = TlsConfig::new().trust_pem(old.pem());
    let text = refused(&client, &Server::of(broker(&new)), HOST).await;
    assert!(
        text.contains("another authority of the same name"),
        "{text}"
    );
}

#[tokio::test]
async fn a_pinned_certificate_must_still_be_in_date_and_for_the_host() {
    let own = Subject::broker(&[HOST]).authority().self_signed().unwrap();
    let client = TlsConfig::new().trust_pem(&own.certificate);
    let text = refused(&client, &Server::of(own), "other.test").await;
    assert!(text.contains("not for \"other.test\""), "{text}");
    let late = Subject::broker(&[HOST]).authority().valid(Validity::Past);
    let late = late.self_signed().unwrap();
    let client = TlsConfig::new().trust_pem(&late.certificate);
    let text = refused(&client, &Server::of(late), HOST).await;
    assert!(text.contains("expired on"), "{text}");
}

#[tokio::test]
async fn a_wanted_client_certificate_is_told_in_either_version() {
    let (authority, clients) = (authority(), authority());
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let server = Server::of(broker(&authority))
            .speaks(version)
            .wants_clients_of(&clients);
        let client = TlsConfig::new().trust_pem(authority.pem());
        let text = refused(&client, &server, HOST).await;
        assert!(
            text.contains("ssl.keystore.location") || text.contains("certificate from the client"),
            "{text}"
        );
        // One of another authority.
        let alice = authority.issue(&Subject::client("alice")).unwrap();
        let client = client.identity_pem(&alice.certificate, alice.key.as_str());
        let text = refused(&client, &server, HOST).await;
        assert!(
            text.contains("does not take the client's certificate"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn versions_and_suites_without_a_common_one_are_told() {
    let authority = authority();
    let client = TlsConfig::new().trust_pem(authority.pem());
    let server = Server::of(broker(&authority)).speaks(TlsVersion::V1_2);
    let text = refused(&client.clone().versions([TlsVersion::V1_3]), &server, HOST).await;
    assert!(text.contains("ssl.enabled.protocols"), "{text}");
    let rsa = client
        .versions([TlsVersion::V1_2])
        .cipher_suites(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    let text = refused(&rsa, &server, HOST).await;
    assert!(text.contains("ssl.cipher.suites"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_listener_without_tls_is_named_however_it_behaves() {
    let tls = Tls::new(&TlsConfig::new().check_certificates(false)).unwrap();
    let address: Arc<str> = "b:1".into();
    for (answer, hangs_up, stays, says) in [
        (&b""[..], true, false, "is the listener SSL or SASL_SSL?"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            true,
            true,
            "does not speak TLS",
        ),
        (
            &[0, 0, 0, 9, 1, 2, 3, 4, 5, 6],
            true,
            true,
            "does not speak TLS",
        ),
        (b"", false, false, "did not end within 30.0s"),
    ] {
        let (ours, mut theirs) = duplex(1 << 16);
        let server = async {
            let mut hello = [0; 64];
            theirs.read_exact(&mut hello).await.unwrap();
            theirs.write_all(answer).await.unwrap();
            if !hangs_up {
                std::future::pending::<()>().await;
            }
            drop(theirs);
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            error = tls.handshake(ours, HOST, &address, LIMIT) => error.err().unwrap(),
            () = server => unreachable!(),
        };
        let text = error.to_string();
        assert!(text.contains(says), "{text}");
        assert!(
            matches!(error, Error::Tls { refused, .. } if refused == stays),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_host_that_no_certificate_can_be_for_is_told() {
    let tls = Tls::new(&TlsConfig::new().check_certificates(false)).unwrap();
    let (ours, _theirs) = duplex(64);
    let result = tls.handshake(ours, "a b", &"a b:1".into(), LIMIT).await;
    let text = result.err().unwrap().to_string();
    assert!(
        text.contains("no name that a certificate can be for"),
        "{text}"
    );
}
