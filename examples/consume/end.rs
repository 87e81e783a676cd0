//! When the reading ends: at the end of what there is, or by Ctrl-C.

use std::collections::HashMap;
use std::process;
use std::time::Duration;

use ottla::{ConsumerHandle, TopicPartition};
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::ending;

/// The exit status of a program that Ctrl-C ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// The first Ctrl-C ends the reading, and what was printed is committed; the second one does not wait for that.
pub(crate) async fn stop_when_interrupted(consumer: ConsumerHandle) {
    if ctrl_c().await.is_ok() {
        consumer.stop();
    }
    if ctrl_c().await.is_ok() {
        ending::note("given up");
        process::exit(INTERRUPTED);
    }
}

/// Ends the reading once every partition that this consumer has is read to its end, as it was when first seen.
pub(crate) async fn stop_at_end(consumer: ConsumerHandle) {
    const LOOK: Duration = Duration::from_millis(20);
    let mut ends = HashMap::new();
    loop {
        let partitions = consumer.assignment();
        let read = partitions
            .iter()
            .filter(|p| is_read(&consumer, &mut ends, p));
        // A member of a group has none until the group has shared them out.
        if read.count() == partitions.len() && !partitions.is_empty() {
            return consumer.stop();
        }
        sleep(LOOK).await;
    }
}

fn is_read(
    consumer: &ConsumerHandle,
    ends: &mut HashMap<TopicPartition, i64>,
    partition: &TopicPartition,
) -> bool {
    let position = || consumer.position(partition).ok().flatten();
    let Some(before) = position() else {
        return false;
    };
    if let Some(end) = ends.get(partition) {
        return before >= *end;
    }
    let Some(lag) = consumer.lag(partition).ok().flatten() else {
        return false;
    };
    // Both are of one moment where the position did not move between the two.
    if position() == Some(before) {
        ends.insert(partition.clone(), before.saturating_add_unsigned(lag));
    }
    lag == 0
}
