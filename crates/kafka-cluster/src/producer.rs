//! Java's producer, told what to write step by step.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Cluster, Error, Header, helper::Answers};

/// A record for Java's producer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducedRecord {
    /// The partition; `None` leaves it to the partitioner.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; `None` is the producer's clock.
    pub timestamp: Option<i64>,
    /// The key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// The headers in their order.
    pub headers: Vec<Header>,
}

/// One of Java's producers; what it has open when it is dropped stays so, as after a crash.
#[derive(Debug)]
pub struct JavaProducer<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl Cluster {
    /// Starts one of Java's producers, with settings by their Kafka names; one with a
    /// `transactional.id` is ready to begin a transaction.
    ///
    /// # Errors
    ///
    /// What Java reports.
    pub fn java_producer(&self, settings: &[(&str, &str)]) -> Result<JavaProducer<'_>, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let producer = JavaProducer {
            cluster: self,
            name: NEXT.fetch_add(1, Ordering::Relaxed).to_string(),
        };
        let settings: Vec<&str> = settings
            .iter()
            .flat_map(|&(name, value)| [name, value])
            .collect();
        producer.tell("open", &settings)?;
        Ok(producer)
    }
}

impl JavaProducer<'_> {
    /// Sends records and waits until all are written; each one's partition and offset.
    ///
    /// # Errors
    ///
    /// What Java reports.
    pub fn send(&self, topic: &str, records: &[ProducedRecord]) -> Result<Vec<(i32, i64)>, Error> {
        let decimal = |number: Option<i64>| number.map(|number| number.to_string().into_bytes());
        let mut fields: Vec<Option<Vec<u8>>> = vec![Some(topic.into())];
        for record in records {
            fields.push(decimal(record.partition.map(i64::from)));
            fields.push(decimal(record.timestamp));
            fields.push(record.key.clone());
            fields.push(record.value.clone());
            fields.push(Some(record.headers.len().to_string().into_bytes()));
            for (name, value) in &record.headers {
                fields.push(Some(name.clone().into_bytes()));
                fields.push(value.clone());
            }
        }
        let fields: Vec<Option<&[u8]>> = fields.iter().map(Option::as_deref).collect();
        let row = |answers: &mut Answers| Ok((answers.i32()?, answers.i64()?));
        self.cluster.ask("send", &self.name, &fields, row)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// What Java reports, as when there is one open.
    pub fn begin(&self) -> Result<(), Error> {
        self.tell("begin", &[])
    }

    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// What Java reports, as when there is none open.
    pub fn commit(&self) -> Result<(), Error> {
        self.tell("commit", &[])
    }

    /// Aborts the transaction.
    ///
    /// # Errors
    ///
    /// What Java reports, as when there is none open.
    pub fn abort(&self) -> Result<(), Error> {
        self.tell("abort", &[])
    }

    /// Makes a group's offset of a partition part of the transaction.
    ///
    /// # Errors
    ///
    /// What Java reports.
    pub fn send_offset(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), Error> {
        let (partition, offset) = (partition.to_string(), offset.to_string());
        self.tell("send-offset", &[group, topic, &partition, &offset])
    }

    fn tell(&self, command: &str, arguments: &[&str]) -> Result<(), Error> {
        let arguments: Vec<Option<&[u8]>> = arguments
            .iter()
            .map(|argument| Some(argument.as_bytes()))
            .collect();
        self.cluster
            .ask(command, &self.name, &arguments, |_| Ok(()))
            .map(drop)
    }
}

impl Drop for JavaProducer<'_> {
    fn drop(&mut self) {
        // Its process may be gone, and it with that.
        let _ = self.tell("forget", &[]);
    }
}
