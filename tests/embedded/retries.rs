//! What a producer's log says of batches that are sent again, at the default level.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ottla::{Client, Record};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;

use super::super::SOON;

/// Lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn with(&self, partition: &str, text: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = log
            .lines()
            .filter(|line| line.contains(partition) && line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_told_with_its_cause_once_and_when_it_is_written() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    // For all threads: one that has none of its own may be the first to come by what is logged, and switch it off for all.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let cluster = Cluster::builder()
        .topic("sent-again", 1)
        .start()
        .await
        .unwrap();
    let refusal = Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS).on(ApiKey::Produce);
    cluster.faults().add(refusal.times(4));
    let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
    let producer = client.producer().build().unwrap();
    for _ in 0..3 {
        let record = Record::to("sent-again").value("v");
        timeout(SOON, producer.send(record)).await.unwrap().unwrap();
    }
    let refused = lines.with("sent-again-0", "sent again");
    assert_eq!(refused.len(), 1, "{refused:?}");
    for part in ["WARN", "NOT_ENOUGH_REPLICAS"] {
        assert!(refused[0].contains(part), "{refused:?}");
    }
    let written = lines.with("sent-again-0", "written now");
    assert_eq!(written.len(), 1, "{written:?}");
    for part in ["INFO", "NOT_ENOUGH_REPLICAS", "refusals=4"] {
        assert!(written[0].contains(part), "{written:?}");
    }
    producer.close(SOON).await.unwrap();
}
