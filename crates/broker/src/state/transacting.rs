//! Work on transactions: what the coordinator is asked, and the markers that it writes.

use std::time::Duration;

use super::groups::Group;
use super::marker::Marker;
use super::timers::Alarm;
use super::transactions::{Identity, Phase, Transaction, Verdict};
use super::{NodeId, Now, State};
use crate::wire::{ErrorCode, Name};

/// When markers are tried again whose partitions have no leader.
const TRY_AGAIN: Duration = Duration::from_millis(100);

impl State {
    /// Whether the cluster's transactions are of the second protocol (KIP-890).
    pub(crate) fn bumps_epochs(&self) -> bool {
        self.settings.transaction_version >= 2
    }

    /// InitProducerId of a transactional producer.
    pub(crate) fn init_transaction(
        &mut self,
        id: &Name,
        before: Option<Identity>,
        timeout: Duration,
        now: Now,
    ) -> Result<Identity, ErrorCode> {
        if timeout.is_zero() || timeout > self.settings.max_transaction_timeout {
            return Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT);
        }
        if self.transactions.get(id).is_none() {
            if !self.transactions.has_room() {
                return Err(ErrorCode::POLICY_VIOLATION);
            }
            let first = self.new_producer_id();
            self.transactions
                .insert(id.clone(), Transaction::new(first, timeout));
        }
        let bumps = self.bumps_epochs();
        self.in_transaction(id, now, |transaction, fresh| {
            transaction.init(before, timeout, bumps, fresh)
        })
    }

    /// EndTxn: decides how it ends.
    pub(crate) fn end_transaction(
        &mut self,
        id: &Name,
        producer: Identity,
        commit: bool,
        bumps: bool,
        now: Now,
    ) -> Result<Identity, ErrorCode> {
        self.in_transaction(id, now, |transaction, fresh| {
            transaction.end(producer, commit, bumps, fresh)
        })
    }

    /// Makes partitions and groups part of the transaction.
    pub(crate) fn join_transaction(
        &mut self,
        id: &Name,
        producer: Identity,
        now: Now,
        part: impl FnOnce(&mut Transaction),
    ) -> Result<(), ErrorCode> {
        self.in_transaction(id, now, |transaction, _| {
            transaction.join(producer, now, part)
        })
    }

    /// Whether something is part of the transaction.
    pub(crate) fn verify_transaction(
        &self,
        id: &str,
        producer: Identity,
        found: impl FnOnce(&Transaction) -> bool,
    ) -> Result<Verdict, ErrorCode> {
        let transaction = self.transactions.get(id);
        let transaction = transaction.ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        transaction.verify(producer, found)
    }

    fn in_transaction<T>(
        &mut self,
        id: &Name,
        now: Now,
        work: impl FnOnce(&mut Transaction, &mut dyn FnMut() -> i64) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        let Self {
            transactions,
            next_producer_id,
            ..
        } = self;
        let transaction = transactions.get_mut(id);
        let transaction = transaction.ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        let before = transaction.phase;
        let result = work(transaction, &mut || {
            *next_producer_id += 1;
            *next_producer_id - 1
        });
        let phase = transaction.phase;
        if phase != before {
            let next = match phase {
                Phase::Ongoing => Some(now.up + transaction.timeout),
                Phase::Prepare { .. } => Some(now.up + self.settings.marker_delay),
                Phase::Empty | Phase::Complete { .. } => None,
            };
            self.timers.set(Alarm::Transaction(id.clone()), next);
        }
        result
    }

    /// A transaction that took too long is aborted; one whose end is decided gets its markers.
    pub(super) fn tick_transaction(&mut self, id: &Name, now: Now) {
        let bumps = self.bumps_epochs();
        match self.transactions.get(id).map(|of| of.phase) {
            Some(Phase::Ongoing) => {
                // It was there a moment ago.
                let _ = self.in_transaction(id, now, |transaction, _| {
                    transaction.fence(bumps);
                    Ok(())
                });
            }
            Some(Phase::Prepare { commit }) => self.write_markers(id, commit, now),
            _ => {}
        }
    }

    /// Ends a transaction in one partition, by hand.
    pub(crate) fn write_marker(
        &mut self,
        (topic, index): (&Name, i32),
        marker: Marker,
        node: NodeId,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let found = self.topics.get_mut(topic);
        let found = found.and_then(|of| of.partition_mut(index));
        let (partition, configs) = found.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        partition.check_leader(node, -1)?;
        let newest = partition.log.producers().epoch(marker.producer_id);
        if newest.is_some_and(|newest| marker.producer_epoch < newest) {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        partition
            .log
            .mark(marker, partition.epoch, now.wall, configs);
        self.waits.changed(topic, index);
        Ok(())
    }

    /// Ends the transaction in each partition and group that it has touched, as far as they have a leader.
    fn write_markers(&mut self, id: &Name, commit: bool, now: Now) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        let producer = transaction.producer;
        let marker = Marker {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            commit,
        };
        let groups = std::mem::take(&mut transaction.groups);
        let Self { topics, waits, .. } = self;
        transaction.partitions.retain(|(name, index)| {
            let topic = topics.get_mut(name);
            let Some((partition, configs)) = topic.and_then(|of| of.partition_mut(*index)) else {
                return false;
            };
            if partition.leader.is_none() {
                return true;
            }
            partition
                .log
                .mark(marker, partition.epoch, now.wall, configs);
            waits.changed(name, *index);
            false
        });
        if transaction.partitions.is_empty() {
            transaction.complete();
        } else {
            let again = Some(now.up + TRY_AGAIN);
            self.timers.set(Alarm::Transaction(id.clone()), again);
        }
        for name in groups {
            self.in_group(&name, |group: &mut Group| {
                group.offsets.end(producer.id, commit)
            });
        }
    }
}
