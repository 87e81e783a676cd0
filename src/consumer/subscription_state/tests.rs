use super::*;
use crate::consumer::testing::partitions;
use crate::error::ErrorCode;

#[test]
fn a_paused_partition_that_comes_back_with_the_next_assignment_is_paused_still() {
    let mut state = SubscriptionState::default();
    let all = partitions(0..3);
    state.hold(&all);
    let _ = state.pause(&all[0], true);
    let _ = state.pause(&all[1], true);
    let _ = state.give_up(&all);
    state.hold(&all[..1]);
    let _ = state.rest(Arc::default());
    state.hold(&all[1..]);
    let paused: Vec<_> = state.all().filter(|(_, p)| p.paused).collect();
    assert_eq!(paused.len(), 1, "that which came back at once");
    assert_eq!(paused[0].1.name, all[0]);
    let _ = state.remove(&all);
    state.hold(&all);
    assert!(state.all().all(|(_, partition)| !partition.paused));
}

#[test]
fn of_many_errors_none_is_lost_but_those_that_say_the_same() {
    let mut state = SubscriptionState::default();
    let partitions = partitions(0..200);
    state.hold(&partitions);
    for partition in &partitions {
        let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        let context = format!("fetching {partition}");
        let _ = state.tell(Some(partition), Error::broker(code, None, context));
        let _ = state.change(partition, |partition, version| {
            partition.stick(version);
        });
        let error = Error::NoOffset {
            partition: partition.clone(),
            reason: "a test".into(),
        };
        let _ = state.tell(Some(partition), error);
    }
    for _ in 0..2 {
        let _ = state.tell(None, Error::Closed { what: "a test" });
    }
    let told: Vec<_> = std::iter::from_fn(|| state.next_error()).collect();
    assert_eq!(told.len(), 1 + 200 + 1, "each partition is stuck");
    assert!(matches!(told.last(), Some(Error::Closed { .. })));
}
