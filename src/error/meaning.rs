//! What an error means to who gets it: whether to try again, to build anew, or to fear a second copy.

use super::{Error, ErrorCode};

impl Error {
    /// Whether the same call may succeed later without a change to the call or the cluster's settings.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Bootstrap { .. }
            | Self::Disconnected { .. }
            | Self::RequestTimeout { .. }
            | Self::UnknownTopic { .. }
            | Self::BufferFull { .. }
            | Self::DeliveryTimeout { .. }
            | Self::Deadline { .. }
            | Self::PollInterval { .. }
            | Self::PartitionsLost { .. } => true,
            #[cfg(feature = "spill")]
            Self::Spill { .. } | Self::SpillFull { .. } => true,
            #[cfg(feature = "spill")]
            Self::SpillLocked { .. } => false,
            Self::Authentication { refused, .. } | Self::Tls { refused, .. } => !refused,
            Self::Commit { rejoining, cause } => *rejoining || cause.is_retriable(),
            Self::Broker { code, .. } => code.is_retriable(),
            Self::Delivery { cause, .. } => cause.is_retriable(),
            Self::NotCommitted {
                possibly_committed,
                cause,
                ..
            } => !possibly_committed && !cause.is_fatal(),
            Self::Config { .. }
            | Self::UnknownSetting { .. }
            | Self::NotKafka { .. }
            | Self::Protocol { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Unsupported { .. }
            | Self::InvalidTopic { .. }
            | Self::RecordTooLarge { .. }
            | Self::Partitioner { .. }
            | Self::NoOffset { .. }
            | Self::LogTruncated { .. }
            | Self::Corrupt { .. }
            | Self::TooLargeToRead { .. }
            | Self::NotAssigned { .. }
            | Self::TopicRecreated { .. }
            | Self::Decode { .. }
            | Self::Handler { .. }
            | Self::Encode { .. }
            | Self::Undelivered { .. }
            | Self::Fenced { .. }
            | Self::Aborted { .. }
            | Self::TransactionOpen { .. }
            | Self::RuntimeEnded { .. }
            | Self::Closed { .. } => false,
        }
    }

    /// Whether the client (or role) that returned it is of no more use and must be built anew.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Closed { .. } | Self::RuntimeEnded { .. } | Self::Fenced { .. } => true,
            Self::Broker { code, .. } => matches!(
                *code,
                ErrorCode::CLUSTER_AUTHORIZATION_FAILED
                    | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
                    | ErrorCode::FENCED_INSTANCE_ID
                    | ErrorCode::PRODUCER_FENCED
                    | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            ),
            Self::Delivery { cause, .. }
            | Self::Commit { cause, .. }
            | Self::NotCommitted { cause, .. } => cause.is_fatal(),
            _ => false,
        }
    }

    /// Whether a consumer that returned it from [`recv`](crate::Consumer::recv), [`poll`](crate::Consumer::poll) or its
    /// stream hands out nothing more, and returns it again with each call; after every other error it goes on with the
    /// next call.
    ///
    /// `true` for what was [closed](Self::Closed) and for a member whose `group.instance.id` another one has taken. A
    /// loop that ends with every error, such as `while let Some(record) = consumer.recv().await?`, ends a service where
    /// a topic's name was mistyped, or a partition is to be sought in:
    ///
    /// ```no_run
    /// # async fn handle(_: ottla::ConsumerRecord) {}
    /// # async fn example(mut consumer: ottla::Consumer) -> ottla::Result<()> {
    /// use ottla::Error;
    ///
    /// loop {
    ///     match consumer.recv().await {
    ///         Ok(Some(record)) => handle(record).await,
    ///         // The consumer was stopped.
    ///         Ok(None) => return Ok(()),
    ///         Err(error) if error.ends_consumer() => return Err(error),
    ///         // Told again with each call until the damage is passed.
    ///         Err(
    ///             Error::Corrupt { partition, next_offset, .. }
    ///             | Error::TooLargeToRead { partition, next_offset, .. },
    ///         ) => {
    ///             consumer.seek(&partition, next_offset)?;
    ///         }
    ///         Err(error) => eprintln!("reading goes on: {error}"),
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn ends_consumer(&self) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Commit { cause, .. } => cause.ends_consumer(),
            error => error.broker_code() == Some(ErrorCode::FENCED_INSTANCE_ID),
        }
    }

    /// Whether a record that failed with this error may be in the log all the same, or a transaction be committed.
    ///
    /// `false` is a promise: the record is not in the log and never will be. Sending it again is
    /// then safe; after `true` it may make a second copy. A record of a transaction that was not committed is not visible
    /// to `read_committed`, whatever is told of the record by itself.
    #[must_use]
    pub fn possibly_written(&self) -> bool {
        matches!(
            self,
            Self::Delivery {
                possibly_written: true,
                ..
            } | Self::NotCommitted {
                possibly_committed: true,
                ..
            }
        )
    }

    /// The broker's error code at the root of this error, where a broker gave one.
    #[must_use]
    pub fn broker_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            Self::Delivery { cause, .. }
            | Self::Commit { cause, .. }
            | Self::NotCommitted { cause, .. }
            | Self::Fenced { cause, .. } => cause.broker_code(),
            Self::DeliveryTimeout {
                last: Some(last), ..
            } => last.broker_code(),
            _ => None,
        }
    }
}
