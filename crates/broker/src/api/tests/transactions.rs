//! Transactions, where real Kafka cannot be asked: its clock, its markers' time, and faults.

use std::time::Duration;

use kafka_protocol::messages::*;

use super::producing::produce;
use super::{START, World, batch, s, transactional};
use crate::forced::Forced;
use crate::state::transactions::Phase;
use crate::wire::ErrorCode;

const SECOND: Duration = Duration::from_secs(1);
const BUSY: ErrorCode = ErrorCode::CONCURRENT_TRANSACTIONS;

type Producer = (i64, i16);

fn x() -> TransactionalId {
    TransactionalId(s("x"))
}

fn code(number: i16) -> ErrorCode {
    ErrorCode::new(number)
}

fn init(world: &mut World) -> Result<Producer, ErrorCode> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(x()))
        .with_transaction_timeout_ms(10_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = world.ask(4, &request);
    match code(answer.error_code) {
        ErrorCode::NONE => Ok((answer.producer_id.0, answer.producer_epoch)),
        code => Err(code),
    }
}

fn request(world: &World, (id, epoch): Producer, sequence: i32) -> ProduceRequest {
    let records = batch((id, epoch, sequence), START, &[("v", 0)]);
    let mut request = produce(world, 12, 0, transactional(records));
    request.transactional_id = Some(x());
    request
}

fn send(world: &mut World, producer: Producer, sequence: i32) -> ErrorCode {
    let request = request(world, producer, sequence);
    let answer = world.ask(12, &request);
    code(answer.responses[0].partition_responses[0].error_code)
}

fn end(world: &mut World, (id, epoch): Producer, commit: bool) -> Result<Producer, ErrorCode> {
    let request = EndTxnRequest::default()
        .with_transactional_id(x())
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch)
        .with_committed(commit);
    let answer = world.ask(5, &request);
    match code(answer.error_code) {
        ErrorCode::NONE => Ok((answer.producer_id.0, answer.producer_epoch)),
        code => Err(code),
    }
}

/// High watermark and last stable offset.
fn marks(world: &World) -> (i64, i64) {
    let log = &world.state.topics.partition("t", 0).unwrap().log;
    (log.high_watermark(), log.last_stable_offset())
}

fn phase(world: &World) -> Phase {
    world.state.transactions.get("x").unwrap().phase
}

#[test]
fn markers_are_a_step_of_their_own() {
    let mut world = World::with(|settings| settings.marker_delay = SECOND);
    let one = init(&mut world).unwrap();
    assert_eq!(send(&mut world, one, 0), ErrorCode::NONE);
    let two = end(&mut world, one, true).unwrap();
    assert_eq!(two, (one.0, one.1 + 1));
    assert_eq!(marks(&world), (1, 0));
    assert_eq!(end(&mut world, one, true), Err(BUSY));
    assert_eq!(init(&mut world), Err(BUSY));
    world.pass(SECOND);
    assert_eq!(marks(&world), (2, 2));
    assert_eq!(end(&mut world, one, true), Ok(two));
    assert_eq!(send(&mut world, two, 0), ErrorCode::NONE);
}

#[test]
fn who_writes_before_the_markers_waits_a_little_and_is_told_to_try_again() {
    let mut world = World::with(|settings| settings.marker_delay = SECOND);
    let one = init(&mut world).unwrap();
    send(&mut world, one, 0);
    let two = end(&mut world, one, true).unwrap();
    let request = request(&world, two, 0);
    let Err(mut waiting) = world.begin(2, 12, &request) else {
        panic!("answered");
    };
    let mut looked = 0;
    let answer = loop {
        world.pass(SECOND / 50);
        looked += 1;
        match world.go_on::<ProduceRequest>(waiting) {
            Ok(answer) => break answer,
            Err(again) => waiting = again,
        }
    };
    let told = code(answer.responses[0].partition_responses[0].error_code);
    assert_eq!((told, looked), (ErrorCode::NOT_ENOUGH_REPLICAS, 5));
    let Err(waiting) = world.begin(2, 12, &request) else {
        panic!("answered");
    };
    world.pass(SECOND);
    let answer = world.go_on::<ProduceRequest>(waiting);
    let answer = answer.unwrap_or_else(|_| panic!("waits"));
    let told = code(answer.responses[0].partition_responses[0].error_code);
    assert_eq!(told, ErrorCode::NONE);
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    for level in [1, 2] {
        let mut world = World::with(|settings| settings.transaction_version = level);
        let one = init(&mut world).unwrap();
        let add = {
            use add_partitions_to_txn_request::AddPartitionsToTxnTopic;
            let topic = AddPartitionsToTxnTopic::default()
                .with_name(super::topic("t"))
                .with_partitions(vec![0]);
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(x())
                .with_v3_and_below_producer_id(ProducerId(one.0))
                .with_v3_and_below_producer_epoch(one.1)
                .with_v3_and_below_topics(vec![topic])
        };
        world.ask(3, &add);
        assert_eq!(send(&mut world, one, 0), ErrorCode::NONE);
        world.pass(10 * SECOND - SECOND / 1000);
        assert_eq!((phase(&world), marks(&world)), (Phase::Ongoing, (1, 0)));
        world.pass(SECOND / 1000);
        assert_eq!(phase(&world), Phase::Complete { commit: false });
        assert_eq!(marks(&world), (2, 2));
        let fenced = send(&mut world, one, 1);
        assert_eq!(fenced, ErrorCode::INVALID_PRODUCER_EPOCH);
        let refused = end(&mut world, one, true).unwrap_err();
        let expected = [ErrorCode::PRODUCER_FENCED, ErrorCode::INVALID_TXN_STATE];
        assert_eq!(refused, expected[level as usize - 1]);
        // By the second protocol a late abort passes for a repeated one.
        let late = end(&mut world, one, false);
        assert_eq!(late.is_ok(), level == 2);
        assert_eq!(init(&mut world), Ok((one.0, one.1 + 2)));
    }
}

#[test]
fn markers_wait_for_a_leader() {
    let mut world = World::new();
    let one = init(&mut world).unwrap();
    send(&mut world, one, 0);
    let partition = world.state.topics.partition_mut("t", 0).unwrap();
    let leader = partition.leader.take();
    end(&mut world, one, true).unwrap();
    world.pass(SECOND);
    assert_eq!(phase(&world), Phase::Prepare { commit: true });
    assert_eq!(end(&mut world, one, true), Err(BUSY));
    world.state.topics.partition_mut("t", 0).unwrap().leader = leader;
    world.pass(SECOND);
    assert_eq!(phase(&world), Phase::Complete { commit: true });
    assert_eq!(marks(&world), (2, 2));
}

#[test]
fn a_deleted_topic_holds_no_transaction_up() {
    let mut world = World::new();
    let one = init(&mut world).unwrap();
    send(&mut world, one, 0);
    world.state.delete_topic(&"t".into()).unwrap();
    end(&mut world, one, true).unwrap();
    world.pass(SECOND);
    assert_eq!(phase(&world), Phase::Complete { commit: true });
}

#[test]
fn an_end_whose_answer_is_an_error_may_have_been_decided() {
    for takes_effect in [false, true] {
        let mut world = World::new();
        let one = init(&mut world).unwrap();
        send(&mut world, one, 0);
        world.forced = vec![Forced {
            code: ErrorCode::REQUEST_TIMED_OUT,
            topic: None,
            partition: None,
            group: None,
            transactional_id: Some("x".into()),
            takes_effect,
        }];
        let told = end(&mut world, one, true);
        assert_eq!(told, Err(ErrorCode::REQUEST_TIMED_OUT));
        assert_eq!(phase(&world) == Phase::Ongoing, !takes_effect);
        world.forced.clear();
    }
}

#[test]
fn the_longest_timeout_is_the_brokers() {
    let mut world = World::with(|settings| settings.max_transaction_timeout = 9 * SECOND);
    let refused = init(&mut world);
    assert_eq!(refused, Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT));
}

#[test]
fn clients_are_told_the_level_of_the_feature() {
    for (level, told) in [(0, None), (1, Some(1)), (2, Some(2))] {
        let mut world = World::with(|settings| settings.transaction_version = level);
        let request = ApiVersionsRequest::default()
            .with_client_software_name(s("a-client"))
            .with_client_software_version(s("1.0"));
        for version in [3, 4] {
            let answer = world.ask(version, &request);
            let finalized = answer.finalized_features.iter();
            let levels: Vec<_> = finalized.map(|one| one.max_version_level).collect();
            assert_eq!(levels, Vec::from_iter(told));
            let supported = answer.supported_features.len();
            assert_eq!(supported, usize::from(version == 4));
        }
    }
}
