//! What a transactional producer's handles and driver have in common: its transactions, and who waits for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::{Notify, oneshot, watch};

use super::batch_result::BatchResult;
use super::unresolved::Unresolved;
use crate::config::TransactionSettings;
use crate::error::{Error, ErrorCode, Result};
use crate::machine::transaction::{
    Began, Enrolment, Next, Outcome, Protocol, Told, TransactionManager,
};
use crate::types::{GroupMetadata, OffsetAndMetadata, TopicPartition};
use crate::wire::InTransaction;

/// Who waits for what came of it.
type Waiting = oneshot::Sender<Result<()>>;

/// One producer's transactions.
pub(crate) struct Transactions {
    pub(super) settings: TransactionSettings,
    held: Mutex<Held>,
    /// The driver has something to look at.
    work: Notify,
    /// Told after each change.
    changes: watch::Sender<()>,
    /// Whether the open transaction is one of the second protocol.
    joins: AtomicBool,
}

struct Held {
    manager: TransactionManager,
    committing: Option<Waiting>,
    offsets: HashMap<u64, Waiting>,
    unresolved: Unresolved,
    /// Why the last call did not succeed, until one does.
    trouble: Option<Arc<Error>>,
}

impl Transactions {
    pub(crate) fn new(settings: TransactionSettings) -> Self {
        Self {
            settings,
            held: Mutex::new(Held {
                manager: TransactionManager::new(),
                committing: None,
                offsets: HashMap::new(),
                unresolved: Unresolved::new(),
                trouble: None,
            }),
            work: Notify::new(),
            changes: watch::Sender::new(()),
            joins: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&TransactionManager) -> R) -> R {
        look(&self.lock().manager)
    }

    /// Changes the state of the transactions, and tells those whom that concerns.
    pub(super) fn change(&self, change: impl FnOnce(&mut TransactionManager) -> Told) -> Told {
        let (told, waiting) = {
            let mut held = self.lock();
            let mut told = change(&mut held.manager);
            let mut waiting = Vec::new();
            if let Some(outcome) = told.committed.take()
                && let Some(who) = held.committing.take()
            {
                let outcome = outcome.map_err(|(cause, maybe)| self.not_committed(cause, maybe));
                waiting.push((who, outcome));
            }
            for (number, outcome) in told.offsets.drain(..) {
                if let Some(who) = held.offsets.remove(&number) {
                    waiting.push((
                        who,
                        outcome.map_err(|cause| self.not_committed(cause, false)),
                    ));
                }
            }
            (told, waiting)
        };
        for (who, outcome) in waiting {
            // Who has given the waiting up needs no answer.
            let _ = who.send(outcome);
        }
        self.work.notify_one();
        self.changes.send_replace(());
        told
    }

    fn not_committed(&self, cause: Arc<Error>, possibly_committed: bool) -> Error {
        Error::NotCommitted {
            transactional_id: Arc::clone(&self.settings.id),
            possibly_committed,
            cause,
        }
    }

    /// Begins a transaction, as soon as the last one has ended; waits for up to `limit`.
    pub(super) async fn begin(&self, limit: Duration) -> Result<u64> {
        let began = async {
            let mut changes = self.changes.subscribe();
            loop {
                changes.borrow_and_update();
                match self.try_begin() {
                    Began::Yes(number) => return Ok(number),
                    Began::Never(error) => return Err((*error).clone()),
                    Began::Open => {
                        let transactional_id = Arc::clone(&self.settings.id);
                        return Err(Error::TransactionOpen { transactional_id });
                    }
                    Began::Wait => {}
                }
                // Its sender lives as long as `self`.
                let _ = changes.changed().await;
            }
        };
        let began = tokio::time::timeout(limit, began).await;
        began.unwrap_or_else(|_| Err(self.late("begin of a transaction", limit)))
    }

    fn try_begin(&self) -> Began {
        let began = {
            let mut held = self.lock();
            let began = held.manager.begin();
            let joins = held.manager.protocol() == Protocol::Second;
            self.joins.store(joins, Ordering::Relaxed);
            began
        };
        // It may have found that another epoch is needed first.
        self.work.notify_one();
        began
    }

    /// Why something has not come in time.
    fn late(&self, what: &'static str, limit: Duration) -> Error {
        let trouble = self.lock().trouble.clone();
        trouble.map_or(Error::Deadline { what, limit }, |trouble| {
            (*trouble).clone()
        })
    }

    /// A batch was made for this partition: whether it may be sent.
    pub(crate) fn enroll(
        &self,
        partition: &TopicPartition,
        result: &Arc<BatchResult>,
    ) -> Enrolment {
        let enrolment = {
            let mut held = self.lock();
            held.unresolved.add(result);
            held.manager.enroll(partition)
        };
        if matches!(enrolment, Enrolment::Later) {
            self.work.notify_one();
        }
        enrolment
    }

    /// Waits until the fate of every batch is known, and what of it fails the transaction has.
    ///
    /// A queue lets go of a batch before that: what it waits for alone does not tell that no record has failed.
    pub(super) async fn resolved(&self) {
        loop {
            let results = self.lock().unresolved.take();
            if results.is_empty() {
                return;
            }
            for result in results {
                result.resolved().await;
            }
        }
    }

    /// Commits this transaction; waits for up to `limit` for what comes of it, which may be longer in coming.
    pub(super) async fn commit(&self, number: u64, limit: Duration) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        let begun = {
            let mut held = self.lock();
            let begun = held.manager.commit(number);
            if begun.is_ok() {
                held.committing = Some(sender);
            }
            begun
        };
        self.work.notify_one();
        begun.map_err(|cause| self.not_committed(cause, false))?;
        match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(outcome)) => outcome,
            // Whatever ends the producer tells it to who waits.
            Ok(Err(_)) => Err(Error::Closed { what: "producer" }),
            Err(_) => {
                let cause = Arc::new(self.late("commit of a transaction", limit));
                Err(self.not_committed(cause, true))
            }
        }
    }

    /// Aborts the transaction that is open, where it is this one or none is named.
    pub(super) fn abort(&self, number: Option<u64>) {
        let why = || Error::Aborted {
            transactional_id: Arc::clone(&self.settings.id),
        };
        self.change(|manager| manager.abort(number, why));
    }

    /// Waits for a transaction's end, for up to `limit`.
    pub(super) async fn ended(&self, number: u64, limit: Duration) -> Result<()> {
        let ended = self.wait_for(|manager| manager.has_ended(number));
        let in_time = tokio::time::timeout(limit, ended).await;
        in_time.map_err(|_| self.late("abort of a transaction", limit))
    }

    /// Why nothing more can be done, where that is so.
    pub(super) fn end_error(&self) -> Result<()> {
        self.look(TransactionManager::end_error)
            .map_or(Ok(()), |error| Err((*error).clone()))
    }

    async fn wait_for(&self, condition: impl Fn(&TransactionManager) -> bool) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if self.look(&condition) {
                return;
            }
            let _ = changes.changed().await;
        }
    }

    /// Waits until no transaction is being ended, but no longer than the coordinator would.
    pub(crate) async fn settled(&self) {
        let settled = self.wait_for(|manager| !manager.is_ending());
        let _ = tokio::time::timeout(self.settings.timeout, settled).await;
    }

    /// Makes a group's offsets part of this transaction; waits for up to `limit`, and what comes later counts as well.
    pub(super) async fn send_offsets(
        &self,
        transaction: u64,
        group: GroupMetadata,
        offsets: Vec<(TopicPartition, OffsetAndMetadata)>,
        limit: Duration,
    ) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut held = self.lock();
            let number = held.manager.add_offsets(transaction, group, offsets);
            if let Ok(number) = number {
                held.offsets.insert(number, sender);
            }
            number
        };
        self.work.notify_one();
        number.map_err(|cause| self.not_committed(cause, false))?;
        match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::Closed { what: "producer" }),
            Err(_) => Err(self.late("offsets of a transaction", limit)),
        }
    }

    /// A record failed, so that its transaction cannot be committed.
    pub(crate) fn fail(&self, error: &Error) {
        self.change(|manager| {
            let own = manager.failure();
            match (error, own) {
                // It was retracted because of a failure before.
                (
                    Error::Delivery {
                        cause, attempts, ..
                    },
                    Some(own),
                ) if Arc::ptr_eq(cause, &own) => {
                    if *attempts > 0 {
                        manager.spent();
                    }
                    Told::default()
                }
                _ => manager.fail(Arc::new(error.clone())),
            }
        });
    }

    /// What a refusal of a batch is told as that ends the producer because another one has its id.
    pub(crate) fn fenced(&self, cause: &Arc<Error>) -> Option<Error> {
        let is_fenced = cause.broker_code() == Some(ErrorCode::PRODUCER_FENCED);
        is_fenced.then(|| Error::Fenced {
            transactional_id: Arc::clone(&self.settings.id),
            cause: Arc::clone(cause),
        })
    }

    /// Nothing more is done.
    pub(crate) fn end_for_good(&self, error: Arc<Error>) {
        self.change(|manager| manager.end_for_good(error));
    }

    /// What a request with batches says of their transaction.
    pub(crate) fn on_the_wire(&self) -> InTransaction<'_> {
        InTransaction {
            transactional_id: &self.settings.id,
            joins: self.joins.load(Ordering::Relaxed),
        }
    }

    /// The driver's next step.
    pub(super) fn next(&self, quiet: bool) -> Next {
        self.lock().manager.next(quiet)
    }

    /// What came of the driver's call.
    pub(super) fn answered(&self, outcome: Outcome) -> Told {
        self.lock().trouble = match &outcome {
            Outcome::Done(_) => None,
            Outcome::Refused(_, error) | Outcome::Unanswered(error) => Some(Arc::clone(error)),
        };
        self.change(|manager| manager.answered(outcome))
    }

    /// What the coordinator speaks by now.
    pub(super) fn offer(&self, protocol: Protocol) {
        self.lock().manager.offer(protocol);
    }

    /// Waits until there is something to look at.
    pub(super) async fn work(&self) {
        self.work.notified().await;
    }
}
