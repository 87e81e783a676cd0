//! Single steps.

use std::sync::Arc;

use crate::error::Error;
use crate::machine::transaction::{
    Began, Enrolment, Next, Outcome, Protocol, TransactionManager, TxnRequest, TxnVerdict,
};
use crate::types::{GroupMetadata, ProducerId, TopicPartition};

const FIRST: ProducerId = ProducerId { id: 7, epoch: 0 };
const NEXT: ProducerId = ProducerId { id: 7, epoch: 1 };
/// The first transaction's.
const NUMBER: u64 = 1;

fn error() -> Arc<Error> {
    Arc::new(Error::Closed { what: "test" })
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

/// A manager with an identity.
fn ready(protocol: Protocol) -> TransactionManager {
    let mut manager = TransactionManager::new();
    manager.offer(protocol);
    assert!(matches!(
        manager.next(false),
        Next::Call(TxnRequest::InitProducerId(ProducerId::NONE))
    ));
    let _ = manager.answered(Outcome::Done(Some(FIRST)));
    manager
}

/// The same in a transaction.
fn begun(protocol: Protocol) -> TransactionManager {
    let mut manager = ready(protocol);
    assert!(matches!(manager.begin(), Began::Yes(1)));
    manager
}

fn next_call(manager: &mut TransactionManager) -> TxnRequest {
    match manager.next(true) {
        Next::Call(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn partitions_that_come_together_are_enrolled_in_one_call() {
    let mut manager = begun(Protocol::First);
    for number in 0..3 {
        assert!(matches!(
            manager.enroll(&partition(number)),
            Enrolment::Later
        ));
    }
    assert!(matches!(manager.enroll(&partition(0)), Enrolment::Known));
    let TxnRequest::AddPartitions(all) = next_call(&mut manager) else {
        panic!("partitions");
    };
    assert_eq!(*all, [partition(0), partition(1), partition(2)]);
    let told = manager.answered(Outcome::Done(None));
    assert_eq!(told.enrolled.as_deref(), Some(&*all));
}

#[test]
fn partitions_that_are_refused_for_now_are_asked_for_with_those_that_came_since() {
    let mut manager = begun(Protocol::First);
    manager.enroll(&partition(0));
    next_call(&mut manager);
    manager.enroll(&partition(1));
    let _ = manager.answered(Outcome::Refused(TxnVerdict::Concurrent, error()));
    let TxnRequest::AddPartitions(all) = next_call(&mut manager) else {
        panic!("partitions");
    };
    assert_eq!(*all, [partition(0), partition(1)]);
}

#[test]
fn by_the_second_protocol_writing_enrolls_and_offsets_need_no_call_before_them() {
    let mut manager = begun(Protocol::Second);
    assert!(matches!(manager.enroll(&partition(0)), Enrolment::Now));
    assert!(matches!(manager.next(false), Next::Nothing));
    manager
        .add_offsets(NUMBER, GroupMetadata::new("g"), Vec::new())
        .unwrap();
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::CommitOffsets(_)
    ));
    let _ = manager.answered(Outcome::Done(None));
    manager.commit(NUMBER).unwrap();
    assert!(
        matches!(manager.next(false), Next::Nothing),
        "before every record's fate is known"
    );
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::EndTxn { commit: true }
    ));
    let told = manager.answered(Outcome::Done(Some(NEXT)));
    assert!(matches!(told.committed, Some(Ok(()))));
    assert_eq!(manager.producer(), NEXT);
    assert!(matches!(manager.begin(), Began::Yes(2)));
}

#[test]
fn an_empty_transaction_ends_without_a_call() {
    for protocol in [Protocol::First, Protocol::Second] {
        let mut manager = begun(protocol);
        manager.commit(NUMBER).unwrap();
        assert!(matches!(manager.next(true), Next::Finish));
        assert!(matches!(manager.finish().committed, Some(Ok(()))));
        assert!(matches!(manager.begin(), Began::Yes(2)));
        let _ = manager.abort(None, || Error::Closed { what: "test" });
        assert!(matches!(manager.next(true), Next::Finish));
        let _ = manager.finish();
        assert!(matches!(manager.begin(), Began::Yes(3)));
    }
}

#[test]
fn a_commit_without_an_answer_is_followed_by_itself_alone() {
    let mut manager = begun(Protocol::Second);
    manager.enroll(&partition(0));
    manager.commit(NUMBER).unwrap();
    for _ in 0..3 {
        assert!(matches!(
            next_call(&mut manager),
            TxnRequest::EndTxn { commit: true }
        ));
        assert_eq!(manager.producer(), FIRST, "the same epoch");
        let told = manager.answered(Outcome::Unanswered(error()));
        assert!(told.committed.is_none());
        assert!(matches!(manager.begin(), Began::Wait));
        let told = manager.abort(None, || Error::Closed { what: "test" });
        assert!(told.committed.is_none());
    }
    let _ = manager.answered(Outcome::Refused(TxnVerdict::Find, error()));
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::EndTxn { commit: true }
    ));
    let told = manager.answered(Outcome::Done(Some(NEXT)));
    assert!(matches!(told.committed, Some(Ok(()))));
}

#[test]
fn a_commit_that_is_refused_after_a_lost_answer_may_have_been_done() {
    for verdict in [TxnVerdict::Abort, TxnVerdict::Forgotten, TxnVerdict::Fenced] {
        let mut manager = begun(Protocol::Second);
        manager.enroll(&partition(0));
        manager.commit(NUMBER).unwrap();
        next_call(&mut manager);
        let _ = manager.answered(Outcome::Unanswered(error()));
        let told = manager.answered(Outcome::Refused(verdict, error()));
        assert!(
            matches!(told.committed, Some(Err((_, true)))),
            "{verdict:?}"
        );
        assert!(told.fatal.is_some());
    }
}

#[test]
fn a_commit_that_is_refused_for_now_may_have_been_done() {
    for first in [TxnVerdict::Find, TxnVerdict::Retry] {
        for verdict in [TxnVerdict::Abort, TxnVerdict::Forgotten, TxnVerdict::Fenced] {
            let mut manager = begun(Protocol::Second);
            manager.enroll(&partition(0));
            manager.commit(NUMBER).unwrap();
            next_call(&mut manager);
            let told = manager.answered(Outcome::Refused(first, error()));
            assert!(told.committed.is_none());
            assert!(matches!(
                next_call(&mut manager),
                TxnRequest::EndTxn { commit: true }
            ));
            let told = manager.answered(Outcome::Refused(verdict, error()));
            assert!(matches!(told.committed, Some(Err((_, true)))));
            assert!(told.fatal.is_some());
        }
    }
}

#[test]
fn a_commit_that_another_one_is_in_the_way_of_has_not_been_done() {
    let mut manager = begun(Protocol::Second);
    manager.enroll(&partition(0));
    manager.commit(NUMBER).unwrap();
    next_call(&mut manager);
    let _ = manager.answered(Outcome::Refused(TxnVerdict::Concurrent, error()));
    next_call(&mut manager);
    let told = manager.answered(Outcome::Refused(TxnVerdict::Fenced, error()));
    assert!(matches!(told.committed, Some(Err((_, false)))));
    assert!(told.fatal.is_some());
}

#[test]
fn a_commit_that_is_refused_at_once_was_not_done() {
    for (verdict, fatal) in [
        (TxnVerdict::Abort, false),
        (TxnVerdict::Forgotten, false),
        (TxnVerdict::Fenced, true),
        (TxnVerdict::Fatal, true),
    ] {
        let mut manager = begun(Protocol::First);
        manager.enroll(&partition(0));
        next_call(&mut manager);
        let _ = manager.answered(Outcome::Done(None));
        manager.commit(NUMBER).unwrap();
        next_call(&mut manager);
        let told = manager.answered(Outcome::Refused(verdict, error()));
        assert!(
            matches!(told.committed, Some(Err((_, false)))),
            "{verdict:?}"
        );
        assert_eq!(told.fatal.is_some(), fatal);
    }
}

#[test]
fn a_coordinator_that_has_forgotten_the_producer_gives_another_epoch_and_ends_nothing() {
    let mut manager = begun(Protocol::First);
    manager.enroll(&partition(0));
    next_call(&mut manager);
    let _ = manager.answered(Outcome::Refused(TxnVerdict::Forgotten, error()));
    assert!(manager.commit(NUMBER).is_err());
    assert!(matches!(manager.next(true), Next::Finish));
    let _ = manager.finish();
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::InitProducerId(FIRST)
    ));
}

#[test]
fn a_record_that_fails_makes_the_commit_fail_and_the_next_transaction_has_another_epoch() {
    for fails_first in [true, false] {
        let mut manager = begun(Protocol::First);
        manager.enroll(&partition(0));
        next_call(&mut manager);
        let _ = manager.answered(Outcome::Done(None));
        if fails_first {
            let _ = manager.fail(error());
            assert!(manager.commit(NUMBER).is_err());
        } else {
            manager.commit(NUMBER).unwrap();
            let told = manager.fail(error());
            assert!(matches!(told.committed, Some(Err((_, false)))));
        }
        assert!(matches!(
            next_call(&mut manager),
            TxnRequest::EndTxn { commit: false }
        ));
        let _ = manager.answered(Outcome::Done(None));
        assert!(matches!(manager.begin(), Began::Wait));
        assert!(matches!(
            next_call(&mut manager),
            TxnRequest::InitProducerId(FIRST)
        ));
        let _ = manager.answered(Outcome::Done(Some(NEXT)));
        assert!(matches!(manager.begin(), Began::Yes(2)));
    }
}

#[test]
fn what_the_coordinator_may_have_enrolled_is_known_before_the_transaction_is_ended() {
    let mut manager = begun(Protocol::First);
    manager.enroll(&partition(0));
    next_call(&mut manager);
    let _ = manager.answered(Outcome::Unanswered(error()));
    let _ = manager.abort(None, || Error::Closed { what: "test" });
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::AddPartitions(_)
    ));
    let _ = manager.answered(Outcome::Done(None));
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::EndTxn { commit: false }
    ));
}

#[test]
fn another_protocol_is_taken_up_between_transactions_under_another_epoch() {
    let mut manager = begun(Protocol::First);
    manager.offer(Protocol::Second);
    assert!(matches!(manager.enroll(&partition(0)), Enrolment::Later));
    next_call(&mut manager);
    let _ = manager.answered(Outcome::Done(None));
    manager.commit(NUMBER).unwrap();
    next_call(&mut manager);
    let _ = manager.answered(Outcome::Done(None));
    assert!(matches!(manager.begin(), Began::Wait));
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::InitProducerId(FIRST)
    ));
    let _ = manager.answered(Outcome::Done(Some(NEXT)));
    assert!(matches!(manager.begin(), Began::Yes(2)));
    assert_eq!(manager.protocol(), Protocol::Second);
}

#[test]
fn a_second_transaction_beside_an_open_one_is_refused() {
    let mut manager = begun(Protocol::First);
    assert!(matches!(manager.begin(), Began::Open));
    let _ = manager.fail(error());
    assert!(matches!(manager.begin(), Began::Open));
}

#[test]
fn what_another_has_aborted_is_not_committed_nor_added_to_by_its_owner() {
    for protocol in [Protocol::First, Protocol::Second] {
        for has_ended in [false, true] {
            let mut manager = begun(protocol);
            let _ = manager.abort(None, || Error::Closed { what: "test" });
            if has_ended {
                assert!(matches!(manager.next(true), Next::Finish));
                let _ = manager.finish();
            }
            assert!(matches!(
                manager.enroll(&partition(0)),
                Enrolment::Refused(_)
            ));
            let group = GroupMetadata::new("g");
            assert!(manager.add_offsets(NUMBER, group, Vec::new()).is_err());
            assert!(manager.commit(NUMBER).is_err());
            assert!(!matches!(
                manager.next(true),
                Next::Call(TxnRequest::EndTxn { commit: true })
            ));
        }
    }
}

#[test]
fn an_end_of_a_transaction_leaves_the_next_one_alone() {
    let mut manager = begun(Protocol::Second);
    let _ = manager.abort(Some(NUMBER), || Error::Closed { what: "test" });
    assert!(matches!(manager.next(true), Next::Finish));
    let _ = manager.finish();
    assert!(matches!(manager.begin(), Began::Yes(2)));
    let _ = manager.abort(Some(NUMBER), || Error::Closed { what: "test" });
    assert!(manager.commit(NUMBER).is_err());
    assert!(manager.is_open());
    assert!(manager.commit(2).is_ok());
}

#[test]
fn by_the_second_protocol_offsets_that_are_refused_are_ended_with_their_transaction() {
    for verdict in [TxnVerdict::Abort, TxnVerdict::Find, TxnVerdict::Retry] {
        let mut manager = begun(Protocol::Second);
        let group = GroupMetadata::new("g");
        manager.add_offsets(NUMBER, group, Vec::new()).unwrap();
        next_call(&mut manager);
        let _ = manager.answered(Outcome::Refused(verdict, error()));
        let _ = manager.abort(Some(NUMBER), || Error::Closed { what: "test" });
        assert!(matches!(
            next_call(&mut manager),
            TxnRequest::EndTxn { commit: false }
        ));
    }
}

#[test]
fn a_sequence_that_was_spent_for_an_abort_gives_the_next_transaction_another_epoch() {
    for is_late in [false, true] {
        let mut manager = begun(Protocol::First);
        manager.enroll(&partition(0));
        next_call(&mut manager);
        let _ = manager.answered(Outcome::Done(None));
        let _ = manager.abort(Some(NUMBER), || Error::Closed { what: "test" });
        if !is_late {
            manager.spent();
        }
        next_call(&mut manager);
        let _ = manager.answered(Outcome::Done(None));
        if is_late {
            manager.spent();
        }
        assert!(matches!(manager.begin(), Began::Wait));
        assert!(matches!(
            next_call(&mut manager),
            TxnRequest::InitProducerId(FIRST)
        ));
    }
}

#[test]
fn what_may_have_been_enrolled_before_it_was_refused_is_ended() {
    for first in [
        Outcome::Unanswered(error()),
        Outcome::Refused(TxnVerdict::Find, error()),
    ] {
        let mut manager = begun(Protocol::First);
        manager.enroll(&partition(0));
        next_call(&mut manager);
        let _ = manager.answered(first);
        next_call(&mut manager);
        let _ = manager.answered(Outcome::Refused(TxnVerdict::Abort, error()));
        assert!(manager.commit(NUMBER).is_err());
        assert!(matches!(
            next_call(&mut manager),
            TxnRequest::EndTxn { commit: false }
        ));
        // Nothing was enrolled.
        let told = manager.answered(Outcome::Refused(TxnVerdict::NotOpen, error()));
        assert!(told.fatal.is_none());
        assert!(matches!(manager.next(true), Next::Finish));
        let _ = manager.finish();
        assert!(matches!(
            next_call(&mut manager),
            TxnRequest::InitProducerId(FIRST)
        ));
    }
}

#[test]
fn a_failed_transaction_is_ended_although_its_partitions_are_refused_for_ever() {
    let mut manager = begun(Protocol::First);
    manager.enroll(&partition(0));
    next_call(&mut manager);
    let _ = manager.answered(Outcome::Unanswered(error()));
    let _ = manager.abort(Some(NUMBER), || Error::Closed { what: "test" });
    next_call(&mut manager);
    let _ = manager.answered(Outcome::Refused(TxnVerdict::Retry, error()));
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::EndTxn { commit: false }
    ));
}

#[test]
fn an_abort_that_is_refused_is_asked_for_again() {
    let mut manager = begun(Protocol::Second);
    manager.enroll(&partition(0));
    let _ = manager.abort(Some(NUMBER), || Error::Closed { what: "test" });
    next_call(&mut manager);
    let told = manager.answered(Outcome::Refused(TxnVerdict::Abort, error()));
    assert!(told.fatal.is_none());
    assert!(matches!(
        next_call(&mut manager),
        TxnRequest::EndTxn { commit: false }
    ));
}
