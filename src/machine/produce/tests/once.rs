//! No batch twice: what is sent beside a batch that may be written, and under which sequence that one goes again.

use proptest::prelude::*;

use super::*;

#[test]
fn batch_that_may_be_written_stays_among_those_that_the_broker_remembers() {
    let mut bench = Bench::new(LIMITS);
    bench.batch();
    let first = bench.take().unwrap();
    bench.lose(first, true);
    (0..10).for_each(|_| {
        bench.batch();
    });
    let mut later = 0;
    for _ in 0..3 {
        bench.pass(Duration::from_secs(1));
        let first = bench.take().unwrap();
        assert_eq!(sequence(&first), (0, 0));
        while let Some(next) = bench.take() {
            later += 1;
            bench.answer(next, ErrorCode::NONE);
        }
        assert_eq!(later, 4);
        bench.answer(first, ErrorCode::NOT_ENOUGH_REPLICAS);
    }
    bench.pass(Duration::from_secs(1));
    let first = bench.take().unwrap();
    bench.answer(first, ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    let next = bench.take().unwrap();
    assert_eq!(sequence(&next), (0, 5));
}

#[test]
fn batch_that_may_be_written_is_not_sent_under_another_sequence() {
    let mut bench = Bench::new(LIMITS);
    (0..2).for_each(|_| {
        bench.batch();
    });
    let taken = bench.take().unwrap();
    bench.lose(taken, true);
    bench.pass(Duration::from_secs(1));
    let taken = bench.take().unwrap();
    match bench.answer(taken, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) {
        Answered::Failed {
            possibly_written, ..
        } => assert!(possibly_written),
        _ => panic!("it may be in the log"),
    }
    let taken = bench.take_with(Some(NEXT));
    assert_eq!(
        sequence(&taken.unwrap()),
        (1, 0),
        "the next one goes on under a new epoch"
    );
}

/// What a broker keeps of a producer: enough to check every batch as it does.
#[derive(Default)]
struct Broker {
    /// `None` until the first batch: then any sequence is taken.
    state: Option<(i16, i32)>,
    log: Vec<u32>,
    recent: Vec<(i16, i32)>,
}

impl Broker {
    fn append(&mut self, taken: &Taken<u32>) -> ErrorCode {
        let (epoch, base) = sequence(taken);
        if self
            .recent
            .iter()
            .rev()
            .take(5)
            .any(|seen| *seen == (epoch, base))
        {
            return ErrorCode::NONE;
        }
        match self.state {
            Some((known, _)) if epoch < known => return ErrorCode::INVALID_PRODUCER_EPOCH,
            Some((known, next)) if base != if epoch > known { 0 } else { next } => {
                return ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
            }
            _ => {}
        }
        let count = i32::try_from(taken.batch.ticket.count).unwrap();
        self.state = Some((epoch, base + count));
        self.recent.push((epoch, base));
        self.log.push(taken.batch.ticket.outcome);
        ErrorCode::NONE
    }
}

proptest! {
    /// Whatever is lost on the way there or back: no batch twice, none out of order, none missing.
    #[test]
    fn every_batch_is_in_the_log_once_and_in_order_whatever_is_lost(fates in proptest::collection::vec(0u8..8, 0..200)) {
        let mut bench = Bench::fresh(LIMITS);
        let mut broker = Broker::default();
        let mut acked = Vec::new();
        let mut epoch = 0;
        let mut fates = fates.into_iter();
        let mut sent = 0;
        let mut quiet = 0;
        while quiet < 3 {
            if sent < 30 {
                bench.batch();
                sent += 1;
            }
            bench.pass(Duration::from_secs(2));
            let mut flying = Vec::new();
            loop {
                let bumped = ProducerId { epoch: epoch + 1, ..ID };
                let mut asked = false;
                let take = match bench.queue.take(LEADER, TopicId::ZERO, bench.now, false, ID, |_| { asked = true; Some(bumped) }) {
                    Take::Send(taken) => taken,
                    _ => break,
                };
                epoch += i16::from(asked);
                flying.push(take);
            }
            quiet = if flying.is_empty() { quiet + 1 } else { 0 };
            // A connection is cut at some request: those before it are answered, those from it on are not.
            let mut cut = false;
            for taken in flying {
                let fate = if cut { 7 } else { fates.next().unwrap_or(0) };
                let outcome = taken.batch.ticket.outcome;
                let answered = match fate {
                    0..=3 => { let code = broker.append(&taken); bench.answer(taken, code) }
                    4 => bench.answer(taken, ErrorCode::NOT_ENOUGH_REPLICAS),
                    5 => { cut = true; broker.append(&taken); bench.lose(taken, true) }
                    6 => { cut = true; bench.lose(taken, true) }
                    _ => bench.lose(taken, false),
                };
                if let Answered::Acked { .. } = answered { acked.push(outcome); }
            }
        }
        prop_assert_eq!(&broker.log, &(1..=30).collect::<Vec<u32>>());
        acked.sort_unstable();
        prop_assert_eq!(&acked, &broker.log);
        prop_assert_eq!(broker.state.unwrap().0, 0, "nothing was given up, so no epoch is spent");
    }
}
