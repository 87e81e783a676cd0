//! The same connections on real sockets, with several threads at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::answers::LIMIT;
use super::server::{self, RANGES, api_versions, settings};
use crate::error::Error;
use crate::net::{Connection, TcpConnector};
use crate::types::Address;
use crate::wire::ApiKey;

async fn open(address: &Address) -> Result<Connection, Error> {
    let settings = Arc::new(settings(&[address]));
    server::dial(Arc::new(TcpConnector::new()), address, settings).await
}

/// Answers each request with its own body.
async fn echo(mut stream: TcpStream) {
    let mut answers = Vec::new();
    while let Ok(len) = stream.read_u32().await {
        let mut frame = vec![0; len as usize];
        stream.read_exact(&mut frame).await.unwrap();
        let request = server::Request::parse(frame);
        let body = match request.key {
            18 => api_versions(request.version, 0, RANGES),
            _ => request.body.clone(),
        };
        answers.extend(server::answer(&request, &body));
        stream.write_all(&answers).await.unwrap();
        answers.clear();
    }
}

async fn listening() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Address::new("127.0.0.1", port))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn requests_of_many_threads_get_their_own_answers() {
    const THREADS: u32 = 4;
    const EACH: u32 = 3000;
    let (listener, address) = listening().await;
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let connection = open(&address).await.unwrap();
    let (right, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let submitters: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (connection, right, done) = (connection.clone(), right.clone(), done.clone());
            std::thread::spawn(move || {
                for number in 0..EACH {
                    // Now and then more than a socket takes at once.
                    let size = if number % 500 == 7 { 3_000_000 } else { 20 };
                    let tag = Bytes::copy_from_slice(&(thread * EACH + number).to_be_bytes());
                    let body = vec![tag.clone(), Bytes::from(vec![thread as u8; size])];
                    let (right, done) = (right.clone(), done.clone());
                    let on_answer = Box::new(move |answer: Result<Bytes, _>| {
                        let answer: Bytes = answer.map_err(|_| "no answer").unwrap();
                        assert_eq!((answer.len(), &answer[..4]), (4 + size, &tag[..]));
                        right.fetch_add(1, Ordering::Relaxed);
                        done.notify_one();
                    });
                    connection.submit(ApiKey::Metadata, 12, body, LIMIT, on_answer);
                }
            })
        })
        .collect();
    while right.load(Ordering::Relaxed) < (THREADS * EACH) as usize {
        let more = tokio::time::timeout(Duration::from_secs(20), done.notified()).await;
        assert!(more.is_ok(), "{} answers", right.load(Ordering::Relaxed));
    }
    submitters
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(connection.in_flight(), 0);
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_named_in_the_error() {
    let (listener, address) = listening().await;
    drop(listener);
    let error = open(&address).await.err().unwrap();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn each_address_of_a_host_is_tried() {
    // localhost is ::1 and 127.0.0.1 on most machines: only one of them listens here.
    let (listener, address) = listening().await;
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    open(&Address::new("localhost", address.port))
        .await
        .unwrap();
}
