//! Waiting until it is known where everything is read from.

use std::pin::pin;

use super::ConsumerHandle;
use super::inner::ConsumerInner;
use crate::error::{Error, Result};

impl ConsumerHandle {
    /// Waits until every partition to be read has its position: "from the end" (`auto.offset.reset=latest`) then means
    /// the end as of now at the latest, and each record that is sent from now on is read.
    ///
    /// A member of a group first waits to be given its partitions, which may be none; a consumer that has subscribed
    /// without a group, for its topics to be there. It need not be called; `recv` and `poll` go on meanwhile. Kafka's
    /// clients have no such call: there, `position` waits, for one partition at a time.
    ///
    /// # Errors
    /// What the next [`recv`](crate::Consumer::recv) tells too, such as [`Error::NoOffset`] for a partition that the
    /// application must seek in, or a broker's refusal; [`Error::Closed`] once the consumer is closed.
    pub async fn ready(&self) -> Result<()> {
        let inner = self.inner();
        loop {
            let mut changed = pin!(inner.positioned.notified());
            changed.as_mut().enable();
            if is_ready(inner)? {
                return Ok(());
            }
            changed.await;
        }
    }
}

fn is_ready(inner: &ConsumerInner) -> Result<bool> {
    let subscription = inner.subscription().borrow().clone();
    let mut state = inner.lock();
    if let Some(error) = state.next_told() {
        return Err(error);
    }
    if state.is_closed || state.is_gone {
        return Err(Error::Closed {
            what: "the consumer",
        });
    }
    let is_given = if inner.offsets.is_some() {
        state.is_given(&subscription)
    } else {
        subscription.iter().all(|topic| state.has_topic(topic))
    };
    Ok(is_given && state.all().all(|(_, partition)| partition.is_positioned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::consumer::Consumer;
    use crate::consumer::testing::fetched::{consumer, of_group};
    use crate::consumer::testing::{consumer_settings, partitions};

    async fn is_over(consumer: &Consumer) -> Option<Result<()>> {
        timeout(Duration::ZERO, consumer.ready()).await.ok()
    }

    #[tokio::test]
    async fn a_consumer_is_ready_when_each_of_its_partitions_has_a_position() {
        let consumer = consumer(2, consumer_settings()).await;
        assert!(matches!(is_over(&consumer).await, Some(Ok(()))));
        let all = partitions(0..2);
        consumer.seek_to_end(&all[1]).unwrap();
        assert!(is_over(&consumer).await.is_none());
        let handle = consumer.handle();
        let waiting = tokio::spawn(async move { handle.ready().await });
        tokio::task::yield_now().await;
        consumer.seek(&all[1], 7).unwrap();
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_must_be_told_is_told_by_both_calls() {
        let mut consumer = consumer(1, consumer_settings()).await;
        let error = Error::NoOffset {
            partition: partitions([0])[0].clone(),
            reason: "a test".into(),
        };
        let handle = consumer.handle();
        consumer.seek_to_end(&partitions([0])[0]).unwrap();
        let waiting = tokio::spawn(async move { handle.ready().await });
        tokio::task::yield_now().await;
        let inner = consumer.inner();
        inner.apply(|state| {
            state.change_at(0, |partition, version| {
                partition.stick(version);
            })
        });
        inner.fail(error);
        let told = waiting.await.unwrap().unwrap_err();
        assert!(matches!(told, Error::NoOffset { .. }), "{told}");
        let told = consumer.recv().await.unwrap_err();
        assert!(matches!(told, Error::NoOffset { .. }), "{told}");
    }

    #[tokio::test]
    async fn a_member_is_ready_once_its_group_has_shared_out() {
        let consumer = of_group(2, consumer_settings(), Some("g")).await;
        let inner = consumer.inner();
        inner.subscribe(["t".into()].into());
        assert!(is_over(&consumer).await.is_none());
        inner.rest();
        assert!(matches!(is_over(&consumer).await, Some(Ok(()))));
        // A rebalance takes everything, and may give nothing back.
        inner.give_up(&partitions(0..2));
        assert!(is_over(&consumer).await.is_none());
        inner.rest();
        assert!(matches!(is_over(&consumer).await, Some(Ok(()))));
        inner.close();
        assert!(matches!(
            is_over(&consumer).await,
            Some(Err(Error::Closed { .. }))
        ));
    }
}
