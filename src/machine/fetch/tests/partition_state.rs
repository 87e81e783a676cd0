//! What an assigned partition does when its log is not what it was.

use super::*;

/// What was fetched up to 20 of the partition at 10.
fn ahead(partition: &mut PartitionState) {
    let records = Bytes::from(plain(10, &["a", "b"]));
    partition.answered(FetchedPart {
        completed: Some(CompletedFetch::new(name(0), 10, -1, records, Vec::new())),
        next: Some(Position {
            offset: 12,
            leader_epoch: 5,
        }),
        is_damaged: false,
        high_watermark: 12,
        last_stable_offset: 12,
        log_start_offset: 0,
    });
}

#[test]
fn what_is_buffered_is_handed_out_before_an_offset_that_is_not_in_the_log_is_asked_for_again() {
    let now = Instant::now();
    let mut partition = fetching(0, 1);
    assert!(!partition.drain(), "nothing is buffered");
    ahead(&mut partition);
    assert!(partition.drain());
    assert!(!partition.is_fetchable(now));
    assert!(partition.has_some());
    assert!(!partition.take_drained());
    let completed = partition.take_completed().expect("a completed");
    partition.release(completed.size());
    partition.hand_out((11, 5));
    assert!(!partition.take_drained(), "one is left");
    partition.hand_out((12, 5));
    assert!(partition.take_drained());
    assert!(!partition.take_drained(), "once");
    assert!(partition.is_fetchable(now));
    assert_eq!(partition.wanted(0).offset, 12);
    assert!(!partition.drain(), "now the position is not in the log");
}

#[test]
fn a_partition_fetched_anew_while_its_log_is_compared_asks_for_no_epoch_that_it_does_not_know() {
    let now = Instant::now();
    // Of a position that was sought to, no epoch is known: there is nothing to compare.
    let mut partition = fetching(0, 1);
    ahead(&mut partition);
    partition.lead_by(Some(BrokerId(2)), 6, TopicId([9; 16]));
    assert!(matches!(partition.need(now), Some(Need::EndOf { .. })));
    partition.refetch(2);
    assert_eq!(partition.need(now), None);
    assert!(partition.is_fetchable(now));
    assert_eq!(partition.wanted(0).offset, 10);
    // Of one that was read, it is.
    let mut partition = fetching(0, 1);
    ahead(&mut partition);
    partition.hand_out((11, 5));
    partition.lead_by(Some(BrokerId(2)), 6, TopicId([9; 16]));
    partition.refetch(2);
    let position = Position {
        offset: 11,
        leader_epoch: 5,
    };
    assert_eq!(partition.need(now), Some(Need::EndOf { position }));
}
