//! The states of a producer's transactions; the diagram is at the top of `machine/transaction/mod.rs`.

mod answer;

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashSet;

use super::requests::{GroupOffsets, Protocol, TxnRequest};
use crate::error::Error;
use crate::types::{GroupMetadata, OffsetAndMetadata, ProducerId, TopicPartition};

/// The transactions of one producer. Kafka: `TransactionManager`.
#[derive(Debug)]
pub(crate) struct TransactionManager {
    state: State,
    /// Counts the transactions.
    number: u64,
    producer: ProducerId,
    protocol: Protocol,
    /// What the coordinator speaks by now.
    offered: Protocol,
    /// The call that was given out and whose answer must come before any other call.
    call: Option<TxnRequest>,
    /// Whether `call` may have been done by an attempt whose answer was lost.
    is_unknown: bool,
    /// Partitions that are part of the transaction, or will be before anything is written to them.
    partitions: HashSet<TopicPartition>,
    /// Those of them that the coordinator has not been asked for.
    new_partitions: Vec<TopicPartition>,
    /// Groups that are part of the transaction.
    groups: HashSet<Arc<str>>,
    offsets: VecDeque<Arc<GroupOffsets>>,
    last_offsets: u64,
    /// Whether the coordinator may know of the transaction.
    is_started: bool,
    /// Whether another epoch is needed before the next transaction.
    bumps: bool,
}

#[derive(Debug)]
enum State {
    Initializing,
    Ready,
    InTransaction,
    /// The transaction has failed, and is still to be ended by who has it.
    AbortableError(Arc<Error>),
    Committing,
    Aborting(Arc<Error>),
    Fatal(Arc<Error>),
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing, before something else happens.
    Nothing,
    /// This call.
    Call(TxnRequest),
    /// To end a transaction of which the coordinator knows nothing, by [`TransactionManager::finish`].
    Finish,
}

/// Whether a transaction has begun.
#[derive(Debug)]
pub(crate) enum Began {
    /// This one.
    Yes(u64),
    /// The last one is not ended yet, or there is no identity.
    Wait,
    /// The last one has not been committed, aborted or dropped.
    Open,
    Never(Arc<Error>),
}

/// Whether a batch may be written to a partition.
#[derive(Debug)]
pub(crate) enum Enrolment {
    /// The partition was part of the transaction before, or will be.
    Known,
    /// It is by what is written.
    Now,
    /// It is when the coordinator has been asked.
    Later,
    /// The transaction has failed.
    Refused(Arc<Error>),
}

/// Whom to tell of what came of a call or a failure.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Partitions to which batches may be written now.
    pub(crate) enrolled: Option<Arc<[TopicPartition]>>,
    /// Offsets that are part of the transaction, or failed to be.
    pub(crate) offsets: Vec<(u64, Result<(), Arc<Error>>)>,
    /// The transaction that was to be committed was, or never will be; the flag tells of an error whether it may have been.
    pub(crate) committed: Option<Result<(), (Arc<Error>, bool)>>,
    /// Nothing more is to be done with this producer.
    pub(crate) fatal: Option<Arc<Error>>,
}

impl TransactionManager {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Initializing,
            number: 0,
            producer: ProducerId::NONE,
            protocol: Protocol::First,
            offered: Protocol::First,
            call: None,
            is_unknown: false,
            partitions: HashSet::new(),
            new_partitions: Vec::new(),
            groups: HashSet::new(),
            offsets: VecDeque::new(),
            last_offsets: 0,
            is_started: false,
            bumps: false,
        }
    }

    pub(crate) fn producer(&self) -> ProducerId {
        self.producer
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Notes what the coordinator speaks; taken up between transactions.
    pub(crate) fn offer(&mut self, protocol: Protocol) {
        self.offered = protocol;
    }

    /// Begins a transaction, if that can be.
    pub(crate) fn begin(&mut self) -> Began {
        match &self.state {
            State::Ready if self.offered == self.protocol && !self.bumps => {
                self.state = State::InTransaction;
                self.number += 1;
                Began::Yes(self.number)
            }
            State::Ready => {
                // Another epoch is needed: a sequence was spent, or what the first protocol left on the way must not be taken
                // for a part of a transaction of the second.
                self.state = State::Initializing;
                Began::Wait
            }
            State::Initializing | State::Committing | State::Aborting(_) => Began::Wait,
            State::InTransaction | State::AbortableError(_) => Began::Open,
            State::Fatal(error) => Began::Never(Arc::clone(error)),
        }
    }

    /// Makes a partition part of the transaction, before its first batch is written.
    pub(crate) fn enroll(&mut self, partition: &TopicPartition) -> Enrolment {
        let is_new = self.partitions.insert(partition.clone());
        if let Some(error) = self.failure() {
            return Enrolment::Refused(error);
        }
        if !matches!(self.state, State::InTransaction | State::Committing) {
            return Enrolment::Refused(over());
        }
        if !is_new {
            return Enrolment::Known;
        }
        match self.protocol {
            Protocol::First => {
                self.new_partitions.push(partition.clone());
                Enrolment::Later
            }
            Protocol::Second => {
                self.is_started = true;
                Enrolment::Now
            }
        }
    }

    /// Makes a group's offsets part of this transaction; gives their number.
    pub(crate) fn add_offsets(
        &mut self,
        transaction: u64,
        group: GroupMetadata,
        offsets: Vec<(TopicPartition, OffsetAndMetadata)>,
    ) -> Result<u64, Arc<Error>> {
        self.check(transaction)?;
        self.last_offsets += 1;
        let number = self.last_offsets;
        self.offsets.push_back(Arc::new(GroupOffsets {
            number,
            group,
            offsets,
        }));
        Ok(number)
    }

    /// Why the transaction cannot be committed any more.
    pub(crate) fn failure(&self) -> Option<Arc<Error>> {
        match &self.state {
            State::AbortableError(error) | State::Aborting(error) | State::Fatal(error) => {
                Some(Arc::clone(error))
            }
            _ => None,
        }
    }

    /// Why nothing more can be done.
    pub(crate) fn end_error(&self) -> Option<Arc<Error>> {
        match &self.state {
            State::Fatal(error) => Some(Arc::clone(error)),
            _ => None,
        }
    }

    /// Whether this transaction is open and can still be committed; else why not.
    fn check(&self, number: u64) -> Result<(), Arc<Error>> {
        match &self.state {
            State::Fatal(error) => Err(Arc::clone(error)),
            _ if self.number != number => Err(over()),
            State::AbortableError(error) | State::Aborting(error) => Err(Arc::clone(error)),
            State::InTransaction => Ok(()),
            State::Initializing | State::Ready | State::Committing => Err(over()),
        }
    }

    /// Commits this transaction once the fate of its records is known.
    ///
    /// # Errors
    /// Why it cannot be: then it is aborted, or was because the producer was closed.
    pub(crate) fn commit(&mut self, number: u64) -> Result<(), Arc<Error>> {
        let checked = self.check(number);
        self.state = match &self.state {
            State::AbortableError(error) if self.number == number => {
                State::Aborting(Arc::clone(error))
            }
            State::InTransaction if self.number == number => State::Committing,
            _ => return checked,
        };
        checked
    }

    /// Aborts the transaction that is open, where it is this one or none is named; `why` is told to who waits for its
    /// offsets.
    pub(crate) fn abort(&mut self, number: Option<u64>, why: impl FnOnce() -> Error) -> Told {
        if !self.is_open() || number.is_some_and(|number| number != self.number) {
            return Told::default();
        }
        let why = self.failure().unwrap_or_else(|| Arc::new(why()));
        self.state = State::Aborting(Arc::clone(&why));
        self.drop_pending(&why)
    }

    /// Which transaction is the last one.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether somebody has a transaction to end.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::InTransaction | State::AbortableError(_))
    }

    /// Partitions that batches of the transaction were made for.
    pub(crate) fn partitions(&self) -> Vec<TopicPartition> {
        self.partitions.iter().cloned().collect()
    }

    /// Whether this transaction has ended.
    pub(crate) fn has_ended(&self, number: u64) -> bool {
        self.number != number || !(self.is_open() || self.is_ending())
    }

    /// Whether a transaction is being ended: what is not sent is sent without lingering, or not at all.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.state, State::Committing | State::Aborting(_))
    }

    /// A sequence was spent and never reached the log, as far as is known.
    pub(crate) fn spent(&mut self) {
        self.bumps = true;
    }

    /// A record failed, so that the transaction cannot be committed; not one that was retracted because of that.
    pub(crate) fn fail(&mut self, error: Arc<Error>) -> Told {
        self.bumps = true;
        match self.state {
            State::InTransaction => {
                self.state = State::AbortableError(Arc::clone(&error));
                self.drop_pending(&error)
            }
            State::Committing => {
                self.state = State::Aborting(Arc::clone(&error));
                // Every record's fate is known before the end is asked for; else it is too late to promise anything.
                let possibly = matches!(self.call, Some(TxnRequest::EndTxn { .. }));
                let mut told = self.drop_pending(&error);
                told.committed = Some(Err((error, possibly)));
                told
            }
            _ => Told::default(),
        }
    }

    /// Ends everything; the transaction that was to be committed may have been, if that was asked for.
    pub(crate) fn end_for_good(&mut self, error: Arc<Error>) -> Told {
        if let State::Fatal(_) = self.state {
            return Told::default();
        }
        let possibly = matches!(self.call, Some(TxnRequest::EndTxn { .. }));
        let was_committing = matches!(self.state, State::Committing);
        self.state = State::Fatal(Arc::clone(&error));
        self.call = None;
        let mut told = self.drop_pending(&error);
        told.committed = was_committing.then(|| Err((Arc::clone(&error), possibly)));
        told.fatal = Some(error);
        told
    }

    /// Drops what was to become part of a transaction that has failed.
    fn drop_pending(&mut self, error: &Arc<Error>) -> Told {
        self.new_partitions.clear();
        let failed = self.offsets.drain(..);
        let failed = failed.map(|offsets| (offsets.number, Err(Arc::clone(error))));
        Told {
            offsets: failed.collect(),
            ..Told::default()
        }
    }

    /// The call to make, when none is on the way; `quiet` tells that the fate of every record is known.
    pub(crate) fn next(&mut self, quiet: bool) -> Next {
        if let Some(call) = &self.call {
            return Next::Call(call.clone());
        }
        let request = match &self.state {
            State::Ready | State::AbortableError(_) | State::Fatal(_) => return Next::Nothing,
            State::Initializing => TxnRequest::InitProducerId(self.producer),
            State::InTransaction | State::Committing if !self.new_partitions.is_empty() => {
                TxnRequest::AddPartitions(self.new_partitions.drain(..).collect())
            }
            State::InTransaction | State::Committing if !self.offsets.is_empty() => {
                match self.next_offsets() {
                    Some(request) => request,
                    None => return Next::Nothing,
                }
            }
            State::InTransaction => return Next::Nothing,
            State::Committing | State::Aborting(_) if !quiet => return Next::Nothing,
            State::Committing | State::Aborting(_) if !self.is_started => return Next::Finish,
            State::Committing => TxnRequest::EndTxn { commit: true },
            State::Aborting(_) => TxnRequest::EndTxn { commit: false },
        };
        // The group becomes part of the transaction before anything of the offsets is looked at that may be refused.
        self.is_started |=
            self.protocol == Protocol::Second && matches!(request, TxnRequest::CommitOffsets(_));
        self.call = Some(request.clone());
        self.is_unknown = false;
        Next::Call(request)
    }

    fn next_offsets(&self) -> Option<TxnRequest> {
        let next = self.offsets.front()?;
        let group = next.group.shared_group();
        let is_enrolled = self.protocol == Protocol::Second || self.groups.contains(group);
        Some(if is_enrolled {
            TxnRequest::CommitOffsets(Arc::clone(next))
        } else {
            TxnRequest::AddOffsets(Arc::clone(group))
        })
    }

    /// A transaction of which the coordinator knows nothing has ended.
    pub(crate) fn finish(&mut self) -> Told {
        let committed = matches!(self.state, State::Committing).then_some(Ok(()));
        self.end();
        Told {
            committed,
            ..Told::default()
        }
    }

    fn end(&mut self) {
        self.partitions.clear();
        self.new_partitions.clear();
        self.groups.clear();
        self.is_started = false;
        self.state = if self.bumps {
            State::Initializing
        } else {
            State::Ready
        };
    }
}

/// Why nothing can be added to a transaction that its owner has not ended: closing the producer has.
fn over() -> Arc<Error> {
    Arc::new(Error::Closed { what: "producer" })
}
