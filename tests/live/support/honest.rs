//! Whether what a producer says of its records is true.

use std::collections::HashMap;

use kafka_cluster::Cluster;
use libtest_mimic::Failed;
use ottla::{Delivery, Error, RecordMetadata};

/// How an outcome and what Java reads may go together.
fn assert_honest(outcome: &Result<RecordMetadata, Error>, found: &[i64]) {
    match (outcome, found) {
        (Ok(place), [offset]) => assert_eq!(place.offset(), Some(*offset)),
        (Err(error), []) => assert!(matches!(error, Error::Delivery { .. }), "{error:?}"),
        (Err(error), [_]) => assert!(error.possibly_written(), "in the log all the same: {error}"),
        other => panic!("not once: {other:?}"),
    }
}

/// Checks every outcome against the log of a topic in which each record has a key of its own.
pub(crate) async fn assert_all_honest(
    cluster: &Cluster,
    topic: &str,
    deliveries: Vec<(Vec<u8>, Delivery)>,
) -> Result<usize, Failed> {
    let mut outcomes = Vec::new();
    for (key, delivery) in deliveries {
        assert!(delivery.is_done(), "not resolved: {delivery:?}");
        outcomes.push((key, delivery.await));
    }
    let mut found = HashMap::<_, Vec<i64>>::new();
    for record in cluster.consume_all(topic)? {
        found
            .entry(record.key.unwrap_or_default())
            .or_default()
            .push(record.offset);
    }
    for (key, outcome) in &outcomes {
        assert_honest(outcome, &found.remove(key).unwrap_or_default());
    }
    assert!(found.is_empty(), "nobody sent these: {found:?}");
    Ok(outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_ok())
        .count())
}
