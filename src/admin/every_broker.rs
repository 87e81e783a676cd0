//! One question to every broker, for what each knows a part of.

use hashbrown::HashMap;

use super::Admin;
use crate::cluster::each;
use crate::error::Result;
use crate::types::BrokerId;
use crate::wire::MetadataTopics;

impl Admin {
    /// What all brokers tell, each asked until it has answered or is gone; within the timeout.
    pub(super) async fn of_every_broker<T, F>(
        &self,
        what: &'static str,
        ask: impl Fn(Self, BrokerId) -> F + Sync,
    ) -> Result<Vec<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<Vec<T>>> + Send + 'static,
    {
        let deadline = self.calls.deadline();
        let known = std::sync::Mutex::new(HashMap::<BrokerId, Vec<T>>::new());
        let lock = || {
            known
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        let (lock, ask) = (&lock, &ask);
        self.calls
            .retry_until(deadline, what, || async move {
                let brokers_alone = MetadataTopics::Names(Vec::new());
                let metadata = self.calls.metadata(deadline, what, brokers_alone).await?;
                let brokers: Vec<_> = metadata.brokers.iter().map(|broker| broker.id).collect();
                // What a broker said that is gone by now, another one says.
                lock().retain(|id, _| brokers.contains(id));
                let open: Vec<_> = {
                    let known = lock();
                    brokers
                        .into_iter()
                        .filter(|id| !known.contains_key(id))
                        .collect()
                };
                let answers = each(open.clone(), |id| ask(self.clone(), id)).await;
                let mut failed = None;
                for (id, answer) in open.into_iter().zip(answers) {
                    match answer {
                        Ok(told) => drop(lock().insert(id, told)),
                        Err(error) => failed = Some(error),
                    }
                }
                failed.map_or(Ok(()), Err)
            })
            .await?;
        let told = std::mem::take(&mut *lock());
        Ok(told.into_values().flatten().collect())
    }
}
