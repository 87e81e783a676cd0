//! The producer's id and epoch: asked for once, bumped when sequences must restart (KIP-98, KIP-360); in transactions
//! both are the coordinator's to tell.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::debug;

use crate::cluster::Cluster;
use crate::error::{Error, ErrorCode};
use crate::types::ProducerId;
use crate::wire::InitProducerId;

/// A broker that is silent for so long holds nobody up: the next try asks one that owes no answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The current identity.
pub(crate) struct Identity {
    current: Mutex<Option<ProducerId>>,
    /// Whether the coordinator of the producer's transactions gives ids and epochs.
    transactional: bool,
    asking: tokio::sync::Mutex<()>,
}

impl Identity {
    pub(crate) fn new(idempotent: bool, transactional: bool) -> Self {
        Self {
            current: Mutex::new((!idempotent).then_some(ProducerId::NONE)),
            transactional,
            asking: tokio::sync::Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<ProducerId>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn current(&self) -> Option<ProducerId> {
        *self.lock()
    }

    /// What the coordinator of transactions has told.
    pub(crate) fn set(&self, producer: ProducerId) {
        *self.lock() = Some(producer);
    }

    /// A later epoch than `own`, `None` when the epochs of the id are used up and a new id must be asked for.
    pub(crate) fn bump(&self, own: ProducerId) -> Option<ProducerId> {
        let mut current = self.lock();
        if self.transactional {
            // Its coordinator is asked for one once the transaction has been aborted.
            return current.filter(|current| *current != own);
        }
        if *current == Some(own) {
            *current = own
                .epoch
                .checked_add(1)
                .map(|epoch| ProducerId { epoch, ..own });
            debug!(
                producer_id = own.id,
                epoch = own.epoch,
                "bumping the producer's epoch"
            );
        }
        *current
    }

    /// Asks a broker for an id unless there is one.
    ///
    /// # Errors
    /// The broker's or the connection's; the caller tries again later when it is retriable.
    pub(crate) async fn ensure(&self, cluster: &Cluster) -> Result<ProducerId, Error> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        if self.transactional {
            // No transaction begins without one.
            return Err(Error::Closed {
                what: "the transaction",
            });
        }
        let _one_at_a_time = self.asking.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let connection = cluster.any().await?;
        let call = connection.call(
            &InitProducerId::IDEMPOTENT,
            cluster.settings().request_timeout,
        );
        let answer =
            tokio::time::timeout(PATIENCE, call)
                .await
                .map_err(|_| Error::RequestTimeout {
                    address: connection.address().to_string().into(),
                    request: "InitProducerId",
                    timeout: PATIENCE,
                })??;
        if answer.code != ErrorCode::NONE {
            return Err(refused(answer.code));
        }
        debug!(
            producer_id = answer.producer.id,
            epoch = answer.producer.epoch,
            "got a producer id"
        );
        *self.lock() = Some(answer.producer);
        Ok(answer.producer)
    }
}

/// Why there is no producer id, and what to change.
fn refused(code: ErrorCode) -> Error {
    let error = Error::broker(code, None, "asking for a producer id");
    if code == ErrorCode::CLUSTER_AUTHORIZATION_FAILED {
        return error.with_advice(
            "grant this client's principal IdempotentWrite on the cluster, or set enable.idempotence=false",
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_is_bumped_once_for_all_who_saw_the_same_one() {
        let identity = Identity::new(true, false);
        let first = ProducerId { id: 7, epoch: 0 };
        *identity.lock() = Some(first);
        let second = identity.bump(first);
        assert_eq!(second, Some(ProducerId { id: 7, epoch: 1 }));
        assert_eq!(identity.bump(first), second);
    }

    #[test]
    fn used_up_epochs_ask_for_a_new_id() {
        let identity = Identity::new(true, false);
        let last = ProducerId {
            id: 7,
            epoch: i16::MAX,
        };
        *identity.lock() = Some(last);
        assert_eq!(identity.bump(last), None);
        assert_eq!(identity.current(), None);
    }

    #[test]
    fn in_transactions_an_epoch_is_the_coordinators_to_tell() {
        let identity = Identity::new(true, true);
        let first = ProducerId { id: 7, epoch: 0 };
        identity.set(first);
        assert_eq!(identity.bump(first), None);
        assert_eq!(identity.current(), Some(first));
        let next = ProducerId { id: 7, epoch: 1 };
        identity.set(next);
        assert_eq!(identity.bump(first), Some(next));
    }
}
