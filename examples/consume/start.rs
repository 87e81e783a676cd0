//! Where the reading begins, and where it goes on next time.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use ottla::{
    Client, Consumer, ConsumerHandle, Error, ListenerFuture, OffsetReset, RebalanceListener,
    RecordRef, TopicPartition,
};

use crate::options::{From, Options};

/// Why the consumer was stopped, where that was not what a person wanted.
pub(crate) type Failure = Arc<OnceLock<Error>>;

/// The consumer that the options ask for.
pub(crate) async fn consumer(options: &Options, failure: &Failure) -> Result<Consumer, Error> {
    let client = options.client.clone().connect().await?;
    let builder = match &options.group {
        Some(group) => client.consumer(group.as_str()).subscribe(&options.topics),
        None => {
            let partitions = all_partitions(&client, &options.topics).await?;
            client.standalone_consumer().assign(partitions)
        }
    };
    let builder = match options.from {
        None => builder,
        Some(From::Beginning) => builder.offset_reset(OffsetReset::Earliest),
        Some(From::End) => builder.offset_reset(OffsetReset::Latest),
        Some(From::Time(time)) => builder.listener(Since {
            time,
            failure: failure.clone(),
        }),
    };
    let consumer = builder.build().await?;
    if let (None, Some(From::Time(time))) = (&options.group, options.from) {
        for partition in consumer.assignment() {
            consumer.seek_to_time(&partition, time)?;
        }
    }
    Ok(consumer)
}

/// Those that the topics have now: without a group, nobody tells of later ones.
async fn all_partitions(client: &Client, topics: &[String]) -> Result<Vec<TopicPartition>, Error> {
    let mut partitions = Vec::new();
    for topic in client.admin().describe_topics(topics).await? {
        let topic = topic?;
        let numbers = topic.partitions.iter().map(|p| p.partition);
        partitions.extend(numbers.map(|number| TopicPartition::new(topic.name.clone(), number)));
    }
    Ok(partitions)
}

/// Begins at a time, in those of a member's partitions of which its group has committed nothing.
struct Since {
    time: SystemTime,
    failure: Failure,
}

impl Since {
    async fn seek(
        &self,
        consumer: &ConsumerHandle,
        partitions: &[TopicPartition],
    ) -> Result<(), Error> {
        let committed = consumer.committed(partitions.to_vec()).await?;
        for (partition, committed) in partitions.iter().zip(committed) {
            if committed.is_none() {
                consumer.seek_to_time(partition, self.time)?;
            }
        }
        Ok(())
    }
}

impl RebalanceListener for Since {
    fn assigned<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> ListenerFuture<'a> {
        Box::pin(async move {
            if let Err(error) = self.seek(consumer, partitions).await {
                // Going on would begin somewhere else.
                let _ = self.failure.set(error);
                consumer.stop();
            }
        })
    }
}

/// These were handed out and are not done: their partitions go on at the first of them.
pub(crate) fn give_back<'a>(consumer: &Consumer, records: impl Iterator<Item = RecordRef<'a>>) {
    let mut given = HashSet::new();
    for record in records {
        if given.insert(record.topic_partition()) {
            // A partition that is not this member's any more is another's to read.
            let _ = consumer.seek(record.topic_partition(), record.offset());
        }
    }
}
