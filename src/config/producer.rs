//! A producer's settings: raw as they are set, checked together with its client's in the end.

use std::time::Duration;

use super::client::retry_backoff;
use super::properties as p;
use super::settings::{
    Acks, ClientSettings, Compression, PartitionerChoice, ProducerSettings, TransactionSettings,
};
use crate::error::{Error, Result};

/// `batch.size` unless set.
pub(crate) const DEFAULT_BATCH_SIZE: usize = 131_072;
const DEFAULT_LINGER: Duration = Duration::from_millis(5);
const DEFAULT_BUFFER_MEMORY: usize = 33_554_432;
const DEFAULT_MAX_BLOCK: Duration = Duration::from_secs(60);
const DEFAULT_RETRIES: u32 = i32::MAX as u32;
const DEFAULT_DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);
const DEFAULT_MAX_IN_FLIGHT: usize = 5;
const DEFAULT_METADATA_MAX_IDLE: Duration = Duration::from_secs(300);
const DEFAULT_MAX_REQUEST_SIZE: usize = 1_048_576;
const DEFAULT_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// As many batches of one partition as a broker remembers the sequences of.
const MAX_IN_FLIGHT_IDEMPOTENT: usize = 5;

/// What was set, by whichever way; `None` is the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProducerOptions {
    pub(crate) batch_size: Option<usize>,
    pub(crate) linger: Option<Duration>,
    pub(crate) buffer_memory: Option<usize>,
    pub(crate) max_block: Option<Duration>,
    pub(crate) acks: Option<Acks>,
    pub(crate) idempotence: Option<bool>,
    pub(crate) retries: Option<u32>,
    pub(crate) retry_backoff: Option<Duration>,
    pub(crate) retry_backoff_max: Option<Duration>,
    pub(crate) delivery_timeout: Option<Duration>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) metadata_max_idle: Option<Duration>,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) max_request_size: Option<usize>,
    /// The levels are in fields of their own, as they are settings of their own.
    pub(crate) codec: Option<Compression>,
    pub(crate) gzip_level: Option<Option<i32>>,
    pub(crate) lz4_level: Option<i32>,
    pub(crate) zstd_level: Option<i32>,
    pub(crate) partitioner: Option<PartitionerChoice>,
    pub(crate) ignore_keys: Option<bool>,
    pub(crate) adaptive: Option<bool>,
    pub(crate) transactional_id: Option<String>,
    pub(crate) transaction_timeout: Option<Duration>,
}

impl ProducerOptions {
    /// Sets the codec with its level; levels that were set before are forgotten.
    pub(crate) fn set_compression(&mut self, compression: Compression) {
        (self.gzip_level, self.lz4_level, self.zstd_level) = (None, None, None);
        self.codec = Some(match compression {
            Compression::Gzip(level) => {
                // -1 is Kafka's number for the default.
                self.gzip_level = level.map(|level| Some(level).filter(|level| *level != -1));
                Compression::Gzip(None)
            }
            Compression::Lz4(level) => {
                self.lz4_level = level;
                Compression::Lz4(None)
            }
            Compression::Zstd(level) => {
                self.zstd_level = level;
                Compression::Zstd(None)
            }
            plain @ (Compression::None | Compression::Snappy) => plain,
        });
    }

    /// The settings of a producer of a client with the settings `client`.
    pub(crate) fn check(&self, client: &ClientSettings) -> Result<ProducerSettings> {
        let settings = ProducerSettings {
            batch_size: p::BATCH_SIZE.pick(self.batch_size, DEFAULT_BATCH_SIZE)?,
            linger: p::LINGER.pick(self.linger, DEFAULT_LINGER)?,
            buffer_memory: p::BUFFER_MEMORY.pick(self.buffer_memory, DEFAULT_BUFFER_MEMORY)?,
            max_block: p::MAX_BLOCK.pick(self.max_block, DEFAULT_MAX_BLOCK)?,
            acks: self.acks.unwrap_or_default(),
            idempotence: self.idempotence.unwrap_or(true),
            retries: p::RETRIES.pick(self.retries, DEFAULT_RETRIES)?,
            retry_backoff: retry_backoff(
                self.retry_backoff,
                self.retry_backoff_max,
                client.retry_backoff,
            )?,
            delivery_timeout: p::DELIVERY_TIMEOUT
                .pick(self.delivery_timeout, DEFAULT_DELIVERY_TIMEOUT)?,
            request_timeout: p::REQUEST_TIMEOUT
                .pick(self.request_timeout, client.request_timeout)?,
            max_in_flight: p::MAX_IN_FLIGHT.pick(self.max_in_flight, DEFAULT_MAX_IN_FLIGHT)?,
            max_request_size: p::MAX_REQUEST_SIZE
                .pick(self.max_request_size, DEFAULT_MAX_REQUEST_SIZE)?,
            compression: self.compression()?,
            partitioner: self.partitioner.clone().unwrap_or_default(),
            ignore_keys: self.ignore_keys.unwrap_or(false),
            adaptive: self.adaptive.unwrap_or(true),
            metadata_max_idle: p::METADATA_MAX_IDLE
                .pick(self.metadata_max_idle, DEFAULT_METADATA_MAX_IDLE)?,
            transactions: self.transactions()?,
        };
        self.check_transactions(&settings)?;
        self.check_idempotence(&settings)?;
        self.check_memory(&settings)?;
        check_delivery_timeout(&settings)?;
        Ok(settings)
    }

    /// The codec with its level; a level of another codec is a mistake, not something to ignore.
    fn compression(&self) -> Result<Compression> {
        let codec = self.codec.unwrap_or_default();
        let level_of = [
            ("gzip", p::GZIP_LEVEL.name, self.gzip_level.is_some()),
            ("lz4", p::LZ4_LEVEL.name, self.lz4_level.is_some()),
            ("zstd", p::ZSTD_LEVEL.name, self.zstd_level.is_some()),
        ];
        let codec_name = codec_name(codec);
        for (of, name, is_set) in level_of {
            if is_set && of != codec_name {
                let reason = format!(
                    "no effect with compression.type = {codec_name}: \
                     leave it out, or set compression.type={of}"
                );
                return Err(Error::config(name, reason));
            }
        }
        Ok(match codec {
            Compression::None => Compression::None,
            Compression::Snappy => Compression::Snappy,
            Compression::Gzip(_) => Compression::Gzip(p::GZIP_LEVEL.pick(self.gzip_level, None)?),
            Compression::Lz4(_) => {
                Compression::Lz4(self.lz4_level.map(|l| p::LZ4_LEVEL.check(l)).transpose()?)
            }
            Compression::Zstd(_) => Compression::Zstd(
                self.zstd_level
                    .map(|l| p::ZSTD_LEVEL.check(l))
                    .transpose()?,
            ),
        })
    }

    /// Whose transactions the producer's records are sent in.
    fn transactions(&self) -> Result<Option<TransactionSettings>> {
        match (&self.transactional_id, self.transaction_timeout) {
            (Some(id), timeout) => Ok(Some(TransactionSettings {
                id: id.as_str().into(),
                timeout: p::TRANSACTION_TIMEOUT.pick(timeout, DEFAULT_TRANSACTION_TIMEOUT)?,
            })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(p::TRANSACTION_TIMEOUT.refuse(
                "no effect without transactional.id: leave it out, or set transactional.id"
                    .to_owned(),
            )),
        }
    }

    /// Transactions need each record once and in order.
    fn check_transactions(&self, settings: &ProducerSettings) -> Result<()> {
        let Some(transactions) = &settings.transactions else {
            return Ok(());
        };
        if transactions.id.is_empty() {
            return Err(Error::config(p::TRANSACTIONAL_ID.name, "it is empty"));
        }
        if !settings.idempotence {
            let reason = "false conflicts with transactional.id: leave one of them out";
            return Err(Error::config(p::IDEMPOTENCE.name, reason));
        }
        Ok(())
    }

    /// What "exactly one copy, in order" rests on; both ways out of a conflict are told.
    fn check_idempotence(&self, settings: &ProducerSettings) -> Result<()> {
        if !settings.idempotence {
            return Ok(());
        }
        let refuse = |name: &str, given: &str, instead: &str| {
            if settings.transactions.is_some() {
                let reason = format!(
                    "{given} conflicts with transactional.id: set {instead}, or leave transactional.id out"
                );
                return Err(Error::config(name, reason));
            }
            let default = if self.idempotence.is_none() {
                " (the default)"
            } else {
                ""
            };
            let reason = format!(
                "{given} conflicts with enable.idempotence = true{default}: set {instead}, or enable.idempotence=false"
            );
            Err(Error::config(name, reason))
        };
        match settings.acks {
            Acks::All => {}
            Acks::Leader => return refuse(p::ACKS.name, "1", "acks=all"),
            Acks::None => return refuse(p::ACKS.name, "0", "acks=all"),
        }
        if settings.max_in_flight > MAX_IN_FLIGHT_IDEMPOTENT {
            let name = p::MAX_IN_FLIGHT.name;
            let instead = format!("{name} to at most {MAX_IN_FLIGHT_IDEMPOTENT}");
            return refuse(name, &settings.max_in_flight.to_string(), &instead);
        }
        if settings.retries == 0 {
            return refuse(p::RETRIES.name, "0", "retries to at least 1");
        }
        Ok(())
    }

    /// Whether a full batch, and the largest record that was asked for, fit into the buffer.
    fn check_memory(&self, settings: &ProducerSettings) -> Result<()> {
        let memory = settings.buffer_memory;
        let larger = [
            (p::BATCH_SIZE.name, Some(settings.batch_size)),
            // A smaller buffer beside the default limit is no conflict: a record that does not fit is refused by itself.
            (p::MAX_REQUEST_SIZE.name, self.max_request_size),
        ];
        for (name, bytes) in larger {
            if let Some(bytes) = bytes.filter(|bytes| *bytes > memory) {
                let reason =
                    format!("{memory} is below {name} = {bytes}: raise it, or lower {name}");
                return Err(p::BUFFER_MEMORY.refuse(reason));
            }
        }
        Ok(())
    }
}

fn check_delivery_timeout(settings: &ProducerSettings) -> Result<()> {
    let (limit, linger) = (settings.delivery_timeout, settings.linger);
    let request = settings.request_timeout;
    if limit >= linger.saturating_add(request) {
        return Ok(());
    }
    Err(p::DELIVERY_TIMEOUT.refuse(format!(
        "{} is below linger.ms = {} + request.timeout.ms = {}: raise it, or lower one of these",
        limit.as_millis(),
        linger.as_millis(),
        request.as_millis()
    )))
}

fn codec_name(codec: Compression) -> &'static str {
    match codec {
        Compression::None => "none",
        Compression::Gzip(_) => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4(_) => "lz4",
        Compression::Zstd(_) => "zstd",
    }
}
