//! What came of the call that was on the way.

use std::sync::Arc;

use super::{State, Told, TransactionManager};
use crate::error::Error;
use crate::machine::transaction::requests::{Outcome, TxnRequest};
use crate::machine::transaction::verdict::TxnVerdict;
use crate::types::ProducerId;

impl TransactionManager {
    /// Takes what came of the call that was given out last.
    pub(crate) fn answered(&mut self, outcome: Outcome) -> Told {
        let Some(request) = self.call.clone() else {
            return Told::default();
        };
        match outcome {
            Outcome::Done(producer) => {
                self.call = None;
                self.done(request, producer)
            }
            Outcome::Unanswered(_) => {
                self.is_unknown = true;
                self.is_started |= joins(&request);
                Told::default()
            }
            Outcome::Refused(verdict, error) => self.refused(request, verdict, error),
        }
    }

    fn done(&mut self, request: TxnRequest, producer: Option<ProducerId>) -> Told {
        let mut told = Told::default();
        match request {
            TxnRequest::InitProducerId(_) => {
                self.producer = producer.unwrap_or(self.producer);
                self.protocol = self.offered;
                self.bumps = false;
                self.state = State::Ready;
            }
            TxnRequest::AddPartitions(partitions) => {
                self.is_started = true;
                told.enrolled = Some(partitions);
            }
            TxnRequest::AddOffsets(group) => {
                self.is_started = true;
                self.groups.insert(group);
            }
            TxnRequest::CommitOffsets(offsets) => {
                self.is_started = true;
                // Not where they have failed with the transaction meanwhile.
                if self.pop_offsets(offsets.number) {
                    told.offsets.push((offsets.number, Ok(())));
                }
            }
            TxnRequest::EndTxn { commit } => {
                if let Some(next) = producer {
                    self.producer = next;
                    self.bumps = false;
                }
                told.committed = commit.then_some(Ok(()));
                self.end();
            }
        }
        told
    }

    fn pop_offsets(&mut self, number: u64) -> bool {
        let is_first = self.offsets.front().is_some_and(|own| own.number == number);
        is_first && self.offsets.pop_front().is_some()
    }

    fn refused(&mut self, request: TxnRequest, verdict: TxnVerdict, error: Arc<Error>) -> Told {
        let ends = matches!(request, TxnRequest::EndTxn { .. });
        let commits = matches!(request, TxnRequest::EndTxn { commit: true });
        match verdict {
            TxnVerdict::Done | TxnVerdict::Retry | TxnVerdict::Find | TxnVerdict::Concurrent => {
                if ends {
                    // Its end may be decided already, and only not be known by as many brokers as it must be; but not where
                    // an earlier transaction, or the new epoch of another producer, is in the way.
                    self.is_unknown |= verdict != TxnVerdict::Concurrent;
                    return Told::default();
                }
                // It may have been done, as far as one broker goes.
                self.is_started |= joins(&request) && verdict != TxnVerdict::Concurrent;
                // An attempt whose answer was lost may have been done all the same. What it has made part of a transaction
                // that failed ends with it; but offsets that come late would be the next one's.
                let is_left = self.failure().is_some() && joins(&request) && !carries(&request);
                if !self.is_unknown || is_left {
                    self.again_later(request);
                }
                Told::default()
            }
            TxnVerdict::NotOpen if ends && !commits => {
                self.call = None;
                self.is_started = false;
                self.bumps = true;
                Told::default()
            }
            // There is nothing else to do about it.
            TxnVerdict::Abort if ends && !commits => Told::default(),
            // What may have been committed must not be aborted.
            TxnVerdict::Abort | TxnVerdict::Forgotten if commits && self.is_unknown => {
                self.end_for_good(error)
            }
            TxnVerdict::Abort if !ends => {
                self.call = None;
                self.fail(error)
            }
            TxnVerdict::Forgotten if !matches!(request, TxnRequest::InitProducerId(_)) => {
                self.call = None;
                self.is_started = false;
                self.fail(error)
            }
            TxnVerdict::Abort if matches!(self.state, State::Committing) => {
                self.call = None;
                self.fail(error)
            }
            _ => {
                if !self.is_unknown {
                    self.call = None;
                }
                self.end_for_good(error)
            }
        }
    }

    /// What was refused for now joins what has come to be asked since; of a transaction that failed it is left.
    fn again_later(&mut self, request: TxnRequest) {
        self.call = None;
        if self.failure().is_some() {
            return;
        }
        if let TxnRequest::AddPartitions(partitions) = request {
            let newer = std::mem::take(&mut self.new_partitions);
            self.new_partitions = partitions.iter().cloned().chain(newer).collect();
        }
    }
}

/// Whether the coordinator has a transaction open once it has done this.
fn joins(request: &TxnRequest) -> bool {
    match request {
        TxnRequest::AddPartitions(_) | TxnRequest::AddOffsets(_) | TxnRequest::CommitOffsets(_) => {
            true
        }
        TxnRequest::InitProducerId(_) | TxnRequest::EndTxn { .. } => false,
    }
}

/// Whether it brings something that becomes visible with the transaction.
fn carries(request: &TxnRequest) -> bool {
    matches!(request, TxnRequest::CommitOffsets(_))
}
