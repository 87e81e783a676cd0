//! What a connection makes of the server it finds.

use std::sync::Arc;
use std::time::Duration;

use super::answers::{Echo, LIMIT};
use super::server::{Listener, Memory, address, api_versions, dial, settings};
use crate::error::Error;
use crate::net::Connection;
use crate::wire::ApiKey;

async fn open(memory: &Arc<Memory>) -> Result<Connection, Error> {
    let at = address("one");
    dial(memory.clone(), &at, Arc::new(settings(&[&at]))).await
}

fn network() -> (Arc<Memory>, Listener) {
    let memory = Memory::new();
    let listener = memory.listen(&address("one"));
    (memory, listener)
}

async fn greeted_with(bytes: &[u8], pieces: usize) -> Error {
    let (memory, mut listener) = network();
    let (got, ()) = tokio::join!(open(&memory), async {
        let mut peer = listener.accept_raw().await;
        for piece in bytes.chunks(pieces) {
            peer.raw(piece).await;
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    });
    got.err().unwrap()
}

#[tokio::test(start_paused = true)]
async fn http_and_tls_servers_are_recognised() {
    let tls = b"\x15\x03\x03\x00\x02\x02\x46";
    for pieces in [1, 1000] {
        for (bytes, found) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
            (&tls[..], "TLS"),
            (b"\xff\xff\xff\xff", "claims -1 bytes"),
            (b"\x7f\xff\xff\xff", "claims 2147483647 bytes"),
        ] {
            let error = greeted_with(bytes, pieces).await;
            assert!(matches!(error, Error::NotKafka { .. }), "{error}");
            assert!(error.to_string().contains(found), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_is_an_error_with_a_hint() {
    let error = greeted_with(b"", 1).await;
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_ends_in_time() {
    let (memory, mut listener) = network();
    let (got, _peer) = tokio::join!(open(&memory), listener.accept_raw());
    assert!(matches!(got.err().unwrap(), Error::RequestTimeout { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_ends_in_time() {
    let memory = Memory::new();
    memory.swallow(&address("one"));
    let error = open(&memory).await.err().unwrap();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(error.to_string().contains("one:9092"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn api_versions_is_downgraded_to_what_the_broker_names() {
    let (memory, mut listener) = network();
    let (got, asked) = tokio::join!(open(&memory), async {
        let mut peer = listener.accept_raw().await;
        let first = peer.request().await.unwrap();
        peer.answer(&first, &api_versions(0, 35, &[(18, 0, 2)]))
            .await;
        let second = peer.request().await.unwrap();
        peer.answer(&second, &api_versions(2, 0, &[(18, 0, 2), (3, 0, 9)]))
            .await;
        [first.version, second.version]
    });
    assert_eq!(asked, [4, 2]);
    assert_eq!(
        got.unwrap().versions().range(ApiKey::Metadata),
        Some((0, 9))
    );
}

#[tokio::test(start_paused = true)]
async fn downgrading_api_versions_ends_when_every_version_is_refused() {
    let (memory, mut listener) = network();
    let (got, asked) = tokio::join!(open(&memory), async {
        let mut peer = listener.accept_raw().await;
        let mut asked = 0;
        while let Ok(request) = peer.request().await {
            asked += 1;
            peer.answer(&request, &api_versions(0, 35, &[])).await;
        }
        asked
    });
    let error = got.err().unwrap();
    assert!(matches!(error, Error::Broker { .. }), "{error}");
    assert_eq!(asked, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_the_broker_lacks_is_an_error_naming_both_ranges() {
    let (memory, mut listener) = network();
    let (got, _peer) = tokio::join!(open(&memory), async {
        let mut peer = listener.accept_raw().await;
        let asked = peer.request().await.unwrap();
        peer.answer(&asked, &api_versions(4, 0, &[(3, 0, 2)])).await;
        peer
    });
    let error = got.unwrap().call(&Echo(b""), LIMIT).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("Metadata versions 0 to 2") && text.contains("9 to 13"),
        "{text}"
    );
}
