//! The handshake as a part of the attempt at each of a server's addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::server::{Memory, address, dial, settings};
use crate::error::Error;
use crate::tls::{Tls, TlsConfig};

#[tokio::test(start_paused = true)]
async fn a_server_whose_handshake_does_not_end_gives_way_to_the_next_address_in_time() {
    let memory = Memory::new();
    let addresses = ["10.0.0.1", "10.0.0.2"];
    let sockets = addresses.map(|ip| SocketAddr::new(ip.parse().unwrap(), 9092));
    memory.name("kafka", &sockets);
    let mut silent = memory.listen(&address(addresses[0]));
    let mut other = memory.listen(&address(addresses[1]));
    let servers = async {
        let _silent = silent.accept_raw().await;
        let mut other = other.accept_raw().await;
        other.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending::<()>().await;
    };
    let at = address("kafka");
    let mut settings = settings(&[&at]);
    settings.tls = Some(Tls::new(&TlsConfig::new().check_certificates(false)).unwrap());
    let limit = settings.connect_timeout;
    let start = Instant::now();
    let error = tokio::select! {
        connected = dial(memory.clone(), &at, Arc::new(settings)) => connected.err().unwrap(),
        () = servers => unreachable!(),
    };
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    assert!(start.elapsed() <= limit, "{:?}", start.elapsed());
    assert_eq!(memory.dials(&address(addresses[1])), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_in_the_handshake_is_tried_again() {
    let memory = Memory::new();
    let at = address("one");
    let mut listener = memory.listen(&at);
    let mut settings = settings(&[&at]);
    settings.tls = Some(Tls::new(&TlsConfig::new().check_certificates(false)).unwrap());
    let hang_up = async {
        drop(listener.accept_raw().await);
        sleep(Duration::from_secs(3600)).await;
    };
    let error = tokio::select! {
        connected = dial(memory, &at, Arc::new(settings)) => connected.err().unwrap(),
        () = hang_up => unreachable!(),
    };
    assert!(
        matches!(error, Error::Tls { refused: false, .. }),
        "{error:?}"
    );
    assert!(error.is_retriable());
}
