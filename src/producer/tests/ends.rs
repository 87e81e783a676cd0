//! Every delivery is resolved once the producer, or its runtime, is gone.

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::config::Compression;

#[test]
fn close_resolves_what_is_being_compressed() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let broker = Broker::start();
        let producer = producer(&broker, |o| o.set_compression(Compression::Gzip(None))).await;
        producer.send(record("a broker, an identity")).await.unwrap();
        // The one thread that compresses has other work.
        let (free, busy) = oneshot::channel::<()>();
        let working = tokio::task::spawn_blocking(move || {
            let _ = busy.blocking_recv();
        });
        let value = "x".repeat(60_000);
        let delivery = producer.enqueue(record(&value)).await.unwrap();
        let flushing = tokio::spawn({
            let producer = producer.clone();
            async move { producer.flush().await }
        });
        let queue = producer.shared().all_queues().into_iter().next().unwrap();
        let packing = async {
            while queue.lock().queue.backlog() > 0 || queue.lock().queue.has_open() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, packing).await.unwrap();
        let closed = timeout(SOON, producer.close(Duration::ZERO)).await.unwrap();
        assert!(closed.is_err());
        let error = timeout(SOON, delivery).await.unwrap().unwrap_err();
        assert!(!error.possibly_written());
        timeout(SOON, flushing).await.unwrap().unwrap().unwrap();
        drop(free);
        working.await.unwrap();
        let memory_back = async {
            while producer.metrics().buffer_used > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, memory_back).await.unwrap();
        assert_eq!(broker.seen().len(), 1, "nothing is written after close");
    });
}
