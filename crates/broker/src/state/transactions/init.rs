//! InitProducerId: a producer takes a transactional id, and fences whoever had it before.

use std::time::Duration;

use super::transaction::{Identity, Phase, Transaction};
use crate::wire::ErrorCode;

impl Transaction {
    /// The producer's identity from now on. `before` is what it was, for one that goes on after an error (KIP-360);
    /// `fresh` gives another id where all epochs of this one are used up.
    ///
    /// A transaction that goes on is aborted, and the client is to ask again.
    pub(crate) fn init(
        &mut self,
        before: Option<Identity>,
        timeout: Duration,
        bumps: bool,
        fresh: impl FnOnce() -> i64,
    ) -> Result<Identity, ErrorCode> {
        let known = before.is_none_or(|before| {
            self.producer.epoch == -1
                || before.id == self.producer.id
                || (before.id == self.previous_id && before.is_exhausted())
        });
        if !known {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match self.phase {
            Phase::Prepare { .. } => return Err(ErrorCode::CONCURRENT_TRANSACTIONS),
            Phase::Ongoing => {
                self.fence(bumps);
                return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
            }
            Phase::Empty | Phase::Complete { .. } => {}
        }
        let epoch = self.producer.epoch;
        let same = |before: Identity| before.epoch == epoch;
        if self.producer.is_exhausted() && before.is_none_or(same) {
            self.previous_id = self.producer.id;
            self.last_epoch = if before.is_some() { epoch } else { -1 };
            self.producer = Identity {
                id: fresh(),
                epoch: 0,
            };
        } else {
            self.bump(before)?;
        }
        self.timeout = timeout;
        self.phase = Phase::Empty;
        self.begun = None;
        self.bumps = false;
        Ok(self.producer)
    }

    fn bump(&mut self, before: Option<Identity>) -> Result<(), ErrorCode> {
        let epoch = self.producer.epoch;
        match before {
            None => self.last_epoch = -1,
            Some(before) if epoch == -1 || before.epoch == epoch => self.last_epoch = epoch,
            // The answer got lost, and it asks again.
            Some(before) if before.epoch == self.last_epoch => return Ok(()),
            Some(_) => return Err(ErrorCode::PRODUCER_FENCED),
        }
        self.producer.epoch = epoch.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::ids::Now;

    const MINUTE: Duration = Duration::from_secs(60);

    fn init(of: &mut Transaction, before: Option<(i64, i16)>) -> Result<(i64, i16), ErrorCode> {
        let before = before.map(|(id, epoch)| Identity { id, epoch });
        let made = of.init(before, MINUTE, true, || 99);
        made.map(|made| (made.id, made.epoch))
    }

    #[test]
    fn each_producer_has_an_epoch_of_its_own_and_a_lost_answer_costs_none() {
        let mut of = Transaction::new(7, MINUTE);
        assert_eq!(init(&mut of, None), Ok((7, 0)));
        assert_eq!(init(&mut of, None), Ok((7, 1)));
        assert_eq!(init(&mut of, Some((7, 1))), Ok((7, 2)));
        assert_eq!(init(&mut of, Some((7, 1))), Ok((7, 2)));
        assert_eq!(init(&mut of, Some((7, 0))), Err(ErrorCode::PRODUCER_FENCED));
        assert_eq!(init(&mut of, Some((8, 2))), Err(ErrorCode::PRODUCER_FENCED));
    }

    #[test]
    fn an_id_whose_epochs_are_used_up_is_replaced() {
        let mut of = Transaction::new(7, MINUTE);
        of.producer.epoch = i16::MAX - 1;
        assert_eq!(init(&mut of, Some((7, i16::MAX - 1))), Ok((99, 0)));
        assert_eq!(init(&mut of, Some((7, i16::MAX - 1))), Ok((99, 0)));
        assert_eq!(init(&mut of, Some((99, 0))), Ok((99, 1)));
    }

    #[test]
    fn what_goes_on_is_aborted_first() {
        let mut of = Transaction::new(7, MINUTE);
        init(&mut of, None).unwrap();
        let now = Now {
            up: MINUTE,
            wall: 0,
        };
        let one = Identity { id: 7, epoch: 0 };
        of.join(one, now, |_| {}).unwrap();
        let busy = Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        assert_eq!(init(&mut of, None), busy);
        assert_eq!(of.phase, Phase::Prepare { commit: false });
        assert_eq!(init(&mut of, None), busy);
        of.complete();
        assert_eq!(init(&mut of, None), Ok((7, 2)));
    }
}
