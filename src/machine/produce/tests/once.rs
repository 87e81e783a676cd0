//! No batch twice: what is sent beside a batch that may be written, and under which sequence that one goes again.

use proptest::prelude::*;

use super::*;
use crate::types::ProducerId;

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
    let result = taken.batch.share.result;
    bench.answer(taken, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(bench.given_up(), [(result, true)]);
    let taken = bench.take_with(Some(NEXT));
    assert_eq!(
        sequence(&taken.unwrap()),
        (1, 0),
        "the next one goes on under a new epoch"
    );
}

#[test]
fn batches_of_which_the_broker_knows_the_last_alone_are_acknowledged_with_it() {
    let mut bench = Bench::new(LIMITS);
    (0..4).for_each(|_| {
        bench.batch();
    });
    let flying: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    flying.into_iter().for_each(|taken| {
        bench.lose(taken, true);
    });
    bench.pass(Duration::from_secs(1));
    let mut doubted = Vec::new();
    for _ in 0..3 {
        let taken = bench.take().unwrap();
        doubted.push(taken.batch.share.result);
        bench.answer(taken, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    let last = bench.take().unwrap();
    match bench.answer(last, ErrorCode::DUPLICATE_SEQUENCE_NUMBER) {
        Answered::Acked { proved, .. } => {
            let proved: Vec<_> = proved.iter().map(|batch| batch.share.result).collect();
            assert_eq!(proved, doubted);
        }
        _ => panic!("it is in the log"),
    }
    bench.batch();
    assert_eq!(sequence(&bench.take().unwrap()), (0, 4));
}

#[test]
fn another_leader_is_asked_again_for_what_the_last_one_refused() {
    let mut bench = Bench::new(LIMITS);
    (0..2).for_each(|_| {
        bench.batch();
    });
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    bench.lose(first, true);
    bench.lose(second, true);
    bench.pass(Duration::from_secs(1));
    let first = bench.take().unwrap();
    bench.answer(first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.queue.lead(Some(BrokerId(2)));
    bench.queue.lead(Some(LEADER));
    let first = bench.take().unwrap();
    assert_eq!(sequence(&first), (0, 0));
    match bench.answer(first, ErrorCode::NONE) {
        Answered::Acked { proved, .. } => assert!(proved.is_empty()),
        _ => panic!("it is in the log"),
    }
}

#[test]
fn what_a_leader_said_after_its_refusal_counts_even_if_it_was_out_of_office_meanwhile() {
    let mut bench = Bench::new(LIMITS);
    (0..2).for_each(|_| {
        bench.batch();
    });
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    bench.lose(first, true);
    bench.answer(second, ErrorCode::NOT_ENOUGH_REPLICAS);
    bench.pass(Duration::from_secs(1));
    let first = bench.take().unwrap();
    bench.answer(first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let second = bench.take().unwrap();
    bench.queue.lead(None);
    bench.queue.lead(Some(LEADER));
    bench.answer(second, ErrorCode::NONE);
    let first = bench.take().unwrap();
    assert!(matches!(
        bench.answer(first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
        Answered::Acked {
            base_offset: -1,
            ..
        }
    ));
}

#[test]
fn what_was_certainly_refused_is_sent_under_a_new_epoch_whatever_was_taken_after_it() {
    let mut bench = Bench::new(LIMITS);
    (0..2).for_each(|_| {
        bench.batch();
    });
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    bench.answer(first, ErrorCode::NOT_ENOUGH_REPLICAS);
    // The broker forgot the producer: it takes any sequence.
    bench.answer(second, ErrorCode::NONE);
    bench.pass(Duration::from_secs(1));
    let first = bench.take().unwrap();
    bench.answer(first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.pass(Duration::from_secs(1));
    assert_eq!(sequence(&bench.take_with(Some(NEXT)).unwrap()), (1, 0));
}

#[test]
fn new_leader_is_sent_one_batch_until_it_is_known_to_know_the_producer() {
    let mut bench = Bench::new(LIMITS);
    (0..4).for_each(|_| {
        bench.batch();
    });
    let late = bench.take().unwrap();
    bench.queue.lead(Some(BrokerId(2)));
    bench.queue.lead(Some(LEADER));
    bench.answer(late, ErrorCode::NONE);
    let first = bench.take().unwrap();
    assert!(
        bench.take().is_none(),
        "what was sent before the election proves nothing"
    );
    bench.answer(first, ErrorCode::NONE);
    assert_eq!(std::iter::from_fn(|| bench.take()).count(), 2);
}

#[test]
fn batch_that_may_be_written_is_given_up_when_sequences_restart_before_it() {
    let mut bench = Bench::new(LIMITS);
    (0..3).for_each(|_| {
        bench.batch();
    });
    let (first, second) = (bench.take().unwrap(), bench.take().unwrap());
    let (result, third) = (second.batch.share.result, bench.take().unwrap());
    bench.answer(third, ErrorCode::NOT_ENOUGH_REPLICAS);
    bench.lose(second, true);
    bench.answer(first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.given_up(), [(result, true)]);
    for expected in [(1, 0), (1, 1)] {
        let taken = bench.take_with(Some(NEXT)).unwrap();
        assert_eq!(sequence(&taken), expected);
        bench.answer(taken, ErrorCode::NONE);
    }
}

/// What a broker keeps of a producer: enough to check every batch as it does.
#[derive(Default)]
struct Broker {
    /// `None` until the first batch: then any sequence is taken.
    state: Option<(i16, i32)>,
    log: Vec<u32>,
    /// Epoch and sequence of each batch in the log.
    history: Vec<(i16, i32)>,
    /// Batches before this one are not recognised when they come again.
    remembered_from: usize,
}

impl Broker {
    fn append(&mut self, taken: &Taken<u32>) -> ErrorCode {
        let (epoch, base) = sequence(taken);
        let from = self
            .remembered_from
            .max(self.history.len().saturating_sub(5));
        if self.history[from..].contains(&(epoch, base)) {
            return ErrorCode::NONE;
        }
        match self.state {
            Some((known, _)) if epoch < known => return ErrorCode::INVALID_PRODUCER_EPOCH,
            Some((known, next)) if base != if epoch > known { 0 } else { next } => {
                return ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
            }
            _ => {}
        }
        let count = i32::try_from(taken.batch.share.count).unwrap();
        self.state = Some((epoch, base + count));
        self.history.push((epoch, base));
        self.log.push(taken.batch.share.result);
        ErrorCode::NONE
    }

    /// An unclean election: the new leader has the first `kept` batches, and knows what they tell.
    fn truncate(&mut self, kept: usize) {
        self.log.truncate(kept);
        self.history.truncate(kept);
        self.remembered_from = self.remembered_from.min(kept.saturating_sub(1));
        // Every batch has one record.
        self.state = self.history.last().map(|(epoch, base)| (*epoch, base + 1));
    }

    /// A restart: what is written down of a producer is its last batch alone.
    fn restart(&mut self) {
        self.remembered_from = self.history.len().saturating_sub(1);
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
                let result = taken.batch.share.result;
                let answered = match fate {
                    0..=3 => { let code = broker.append(&taken); bench.answer(taken, code) }
                    4 => bench.answer(taken, ErrorCode::NOT_ENOUGH_REPLICAS),
                    5 => { cut = true; broker.append(&taken); bench.lose(taken, true) }
                    6 => { cut = true; bench.lose(taken, true) }
                    _ => bench.lose(taken, false),
                };
                if let Answered::Acked { .. } = answered { acked.push(result); }
            }
        }
        prop_assert_eq!(&broker.log, &(1..=30).collect::<Vec<u32>>());
        acked.sort_unstable();
        prop_assert_eq!(&acked, &broker.log);
        prop_assert_eq!(broker.state.unwrap().0, 0, "nothing was given up, so no epoch is spent");
    }
}

/// What became of thirty batches.
#[derive(Debug, Default)]
struct Fates {
    log: Vec<u32>,
    acked: Vec<u32>,
    failed: Vec<(u32, bool)>,
}

/// Leaders that miss the end of the log, and that refuse what is in order.
struct Forgetful {
    bench: Bench,
    broker: Broker,
    leader: BrokerId,
    epoch: i16,
    fates: Fates,
}

impl Forgetful {
    fn new() -> Self {
        Self {
            bench: Bench::fresh(LIMITS),
            broker: Broker::default(),
            leader: LEADER,
            epoch: 0,
            fates: Fates::default(),
        }
    }

    /// Perhaps another leader, which has all of the log, half of it, or nothing; or one that was restarted,
    /// the same or another.
    fn elect(&mut self, fate: Option<u8>) {
        let kept = match fate {
            Some(0) => 0,
            Some(1) => self.broker.log.len() / 2,
            Some(2..5) => self.broker.log.len(),
            _ => return,
        };
        if fate == Some(3) || fate == Some(4) {
            self.broker.restart();
        }
        if fate != Some(3) {
            self.leader = BrokerId(3 - self.leader.0);
            self.bench.queue.lead(Some(self.leader));
        }
        self.broker.truncate(kept);
    }

    fn take_all(&mut self) -> Vec<Taken<u32>> {
        let (mut flying, now) = (Vec::new(), self.bench.now);
        loop {
            let epoch = self.epoch;
            let identity = ProducerId { epoch, ..ID };
            let bump = |own: ProducerId| {
                self.epoch = own.epoch + 1;
                let epoch = self.epoch;
                Some(ProducerId { epoch, ..own })
            };
            let queue = &mut self.bench.queue;
            match queue.take(self.leader, TopicId::ZERO, now, false, identity, bump) {
                Take::Send(taken) => flying.push(taken),
                Take::GivenUp(all) => {
                    let told = all
                        .iter()
                        .map(|end| (end.share.result, end.possibly_written));
                    self.fates.failed.extend(told);
                }
                _ => return flying,
            }
        }
    }

    fn answer(&mut self, taken: Taken<u32>, fate: u8) {
        let result = taken.batch.share.result;
        let answered = match fate {
            0..4 => {
                let code = self.broker.append(&taken);
                self.bench.answer(taken, code)
            }
            4 => self.bench.answer(taken, ErrorCode::NOT_ENOUGH_REPLICAS),
            5 => {
                let code = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
                self.bench.answer(taken, code)
            }
            10 => {
                let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
                self.bench.answer(taken, code)
            }
            6 | 7 => {
                self.broker.append(&taken);
                self.bench.lose(taken, true)
            }
            8 => self.bench.lose(taken, true),
            _ => self.bench.lose(taken, false),
        };
        match answered {
            Answered::Acked { proved, .. } => {
                let proved = proved.iter().map(|batch| batch.share.result);
                self.fates.acked.extend(proved);
                self.fates.acked.push(result);
            }
            Answered::Failed {
                possibly_written, ..
            } => self.fates.failed.push((result, possibly_written)),
            _ => {}
        }
    }

    fn run(mut self, elections: Vec<u8>, fates: Vec<u8>) -> Fates {
        let (mut elections, mut fates) = (elections.into_iter(), fates.into_iter());
        let (mut sent, mut quiet) = (0, 0);
        while quiet < 3 {
            if sent < 30 {
                self.bench.batch();
                sent += 1;
            }
            self.bench.pass(Duration::from_secs(2));
            self.elect(elections.next());
            let flying = self.take_all();
            quiet = if flying.is_empty() { quiet + 1 } else { 0 };
            // A connection is cut at some request: those from it on are not answered.
            let mut cut = false;
            for taken in flying {
                let fate = if cut { 9 } else { fates.next().unwrap_or(0) };
                cut |= (6..9).contains(&fate);
                self.answer(taken, fate);
            }
        }
        self.fates.log = self.broker.log;
        self.fates
    }
}

proptest! {
    /// Whatever new leaders miss, or refuse: no batch twice, none out of order, none told wrong.
    #[test]
    fn no_batch_is_twice_in_the_log_whatever_leaders_miss_or_refuse(
        elections in proptest::collection::vec(0u8..10, 0..40),
        fates in proptest::collection::vec(0u8..11, 0..200),
    ) {
        let ended = Forgetful::new().run(elections, fates);
        let mut once = ended.log.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), ended.log.len(), "twice: {:?}", ended);
        let acked: Vec<_> = ended.log.iter().filter(|batch| ended.acked.contains(batch)).collect();
        prop_assert!(acked.is_sorted(), "out of order: {:?}", ended);
        prop_assert_eq!(ended.acked.len() + ended.failed.len(), 30, "not told of: {:?}", ended);
        for (batch, possibly_written) in &ended.failed {
            prop_assert!(*possibly_written || !ended.log.contains(batch), "told wrong: {:?}", ended);
        }
    }

    /// Brokers that are restarted, answers and requests that are lost: nothing is missing from the log, nothing fails.
    #[test]
    fn no_batch_fails_because_a_restarted_broker_remembers_the_last_one_alone(
        elections in proptest::collection::vec(2u8..10, 0..40),
        fates in proptest::collection::vec(prop_oneof![Just(0u8), Just(4), 6u8..10], 0..200),
    ) {
        let ended = Forgetful::new().run(elections, fates);
        prop_assert!(ended.failed.is_empty(), "failed: {:?}", ended);
        prop_assert_eq!(&ended.log, &(1..=30).collect::<Vec<u32>>());
        let mut acked = ended.acked;
        acked.sort_unstable();
        prop_assert_eq!(&acked, &ended.log);
    }
}
