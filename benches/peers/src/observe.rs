//! Observes deliveries in a task beside the one that enqueues.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Deliveries cross over this many at a time: a channel send a record would cost as much as a good
/// client's whole path.
const CHUNK: usize = 1024;

pub(crate) struct Observer<D> {
    chunk: Vec<D>,
    chunks: mpsc::UnboundedSender<Vec<D>>,
    task: JoinHandle<Result<u64, String>>,
}

impl<D, T, E> Observer<D>
where
    D: IntoFuture<Output = Result<T, E>, IntoFuture: Send> + Send + 'static,
    T: Send,
    E: std::fmt::Display + Send,
{
    pub(crate) fn new() -> Self {
        let (chunks, mut received) = mpsc::unbounded_channel::<Vec<D>>();
        let task = tokio::spawn(async move {
            let mut acknowledged = 0;
            while let Some(chunk) = received.recv().await {
                for delivery in chunk {
                    delivery
                        .await
                        .map_err(|e| format!("after {acknowledged} acknowledged records: {e}"))?;
                    acknowledged += 1;
                }
            }
            Ok(acknowledged)
        });
        Observer {
            chunk: Vec::with_capacity(CHUNK),
            chunks,
            task,
        }
    }

    pub(crate) fn watch(&mut self, delivery: D) {
        self.chunk.push(delivery);
        if self.chunk.len() == CHUNK {
            // A send only fails after a delivery has failed; `finish` reports that one.
            let _ = self.chunks.send(std::mem::replace(
                &mut self.chunk,
                Vec::with_capacity(CHUNK),
            ));
        }
    }

    /// How many were acknowledged: all of them, or an error.
    pub(crate) async fn finish(self) -> anyhow::Result<u64> {
        let _ = self.chunks.send(self.chunk);
        drop(self.chunks);
        self.task.await?.map_err(anyhow::Error::msg)
    }
}
