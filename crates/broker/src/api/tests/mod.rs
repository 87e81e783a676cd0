//! Every call in every version, spoken by kafka_protocol's types: a second opinion on the wire.

mod admin;
mod every_version;
mod fetching;
mod groups;
mod hostile;
mod producing;
mod transactions;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{At, Call, Step};
use crate::forced::Forced;
use crate::settings::Settings;
use crate::state::nodes::Address;
use crate::state::{Connection, ConnectionId, ListenerId, Login, Now, State};
use crate::wire::{ApiKey, Header, Malformed, Reader};

/// A cluster without sockets, and a clock that stands still unless it is moved.
pub(super) struct World {
    pub(super) state: State,
    pub(super) now: Duration,
    pub(super) forced: Vec<Forced>,
}

const NODE: i32 = 1;
const START: i64 = 1_700_000_000_000;

/// A request that was not answered yet.
pub(super) struct Waiting {
    connection: ConnectionId,
    header: Header,
    call: Box<dyn Call>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            topics: vec![("t".to_owned(), 2)],
            ..Settings::default()
        };
        set(&mut settings);
        let mut state = State::new(settings);
        let ids: Vec<i32> = state.nodes.all().iter().map(|node| node.id).collect();
        for id in ids {
            let address = Address {
                host: "127.0.0.1".into(),
                port: 9092 + id as u16,
            };
            state.nodes.set_address(id, ListenerId::default(), address);
        }
        Self {
            state,
            now: Duration::from_secs(1),
            forced: Vec::new(),
        }
    }

    pub(super) fn moment(&self) -> Now {
        Now {
            up: self.now,
            wall: self.wall(),
        }
    }

    pub(super) fn wall(&self) -> i64 {
        START + self.now.as_millis() as i64
    }

    /// Reads, handles and answers a request that needs no waiting.
    pub(super) fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        match self.begin(1, version, request) {
            Ok(answer) => answer,
            Err(_) => panic!("waits"),
        }
    }

    /// The answer, or the request that waits for something.
    pub(super) fn begin<R: Request>(
        &mut self,
        connection: u64,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Waiting> {
        let frame = frame(version, request);
        let (header, call) = read(&frame).unwrap();
        self.go_on::<R>(Waiting {
            connection: ConnectionId(connection),
            header,
            call,
        })
    }

    /// Looks again at a request that waited.
    pub(super) fn go_on<R: Request>(
        &mut self,
        mut waiting: Waiting,
    ) -> Result<R::Response, Waiting> {
        match self.step(&mut waiting) {
            (Step::Answer | Step::Last, frame) => Ok(answer::<R>(waiting.header.version, frame)),
            (Step::Wait { .. }, _) => Err(waiting),
            (step, _) => panic!("{step:?}"),
        }
    }

    pub(super) fn step(&mut self, waiting: &mut Waiting) -> (Step, Bytes) {
        let mut out = super::writer(&waiting.header);
        let now = self.moment();
        let id = waiting.connection;
        if !self.state.connections.has(id) {
            let connection = Connection {
                node: NODE,
                listener: ListenerId::default(),
                host: "/127.0.0.1".into(),
                login: Login::Open,
            };
            self.state.connected(id, connection);
        }
        let mut at = At::new(&mut self.state, now, id, &waiting.header, &self.forced).unwrap();
        let step = waiting.call.step(&mut at, &mut out);
        let parts = out.finish().parts;
        (step, parts.concat().into())
    }

    /// Time passes, and what it brings happens.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.state.deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            let now = self.moment();
            self.state.tick(now);
        }
        self.now = end;
    }

    /// Whether a request that waits would be looked at again now.
    pub(super) fn is_woken(&mut self, waiting: &Waiting) -> bool {
        self.state.waits.take_woken().contains(&waiting.connection)
    }
}

/// A request as a client sends it, behind its length.
pub(super) fn frame<R: Request>(version: i16, request: &R) -> BytesMut {
    let mut out = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(77)
        .with_client_id(Some("someone".to_owned().into()));
    header.encode(&mut out, R::header_version(version)).unwrap();
    request.encode(&mut out, version).unwrap();
    out
}

pub(super) fn read(frame: &[u8]) -> Result<(Header, Box<dyn Call>), Malformed> {
    let mut reader = Reader::new(frame.into());
    let header = Header::read(&mut reader)?;
    let call = super::read(&header, &mut reader)?;
    Ok((header, call))
}

/// What kafka_protocol reads of an answer, which must be the bytes that it would have written itself.
fn answer<R: Request>(version: i16, mut frame: Bytes) -> R::Response {
    let length = frame.split_to(4);
    assert_eq!(*length, (frame.len() as u32).to_be_bytes());
    let whole = frame.clone();
    let header_version = R::Response::header_version(version);
    let header = ResponseHeader::decode(&mut frame, header_version).unwrap();
    assert_eq!(header.correlation_id, 77);
    let response = R::Response::decode(&mut frame, version).unwrap();
    assert!(frame.is_empty(), "{} bytes left", frame.len());
    let mut again = BytesMut::new();
    header.encode(&mut again, header_version).unwrap();
    response.encode(&mut again, version).unwrap();
    assert_eq!(again, whole, "version {version}");
    response
}

pub(super) fn versions<R: Request>() -> RangeInclusive<i16> {
    ApiKey::from_code(R::KEY).unwrap().versions()
}

pub(super) fn s(text: &str) -> StrBytes {
    text.to_owned().into()
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName(s(name))
}

/// A batch of records with these values and timestamps; sequence -1 without a producer.
pub(super) fn batch(
    producer: (i64, i16, i32),
    base_timestamp: i64,
    records: &[(&str, i64)],
) -> Bytes {
    let mut body = BytesMut::new();
    for (at, (value, delta)) in records.iter().enumerate() {
        let mut record = BytesMut::new();
        record.put_u8(0);
        varint(&mut record, *delta);
        varint(&mut record, at as i64);
        varint(&mut record, -1);
        varint(&mut record, value.len() as i64);
        record.put_slice(value.as_bytes());
        varint(&mut record, 0);
        varint(&mut body, record.len() as i64);
        body.put_slice(&record);
    }
    let last = records.iter().map(|(_, delta)| delta).max().unwrap();
    sealed(
        producer,
        base_timestamp,
        base_timestamp + last,
        records.len(),
        &body,
    )
}

/// The same as part of a transaction.
pub(super) fn transactional(batch: Bytes) -> Bytes {
    let mut batch = BytesMut::from(batch);
    batch[22] |= 0x10;
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.freeze()
}

/// A batch of one record with this timestamp.
pub(crate) fn test_batch(timestamp: i64) -> Bytes {
    batch((-1, -1, -1), timestamp, &[("value", 0)])
}

fn sealed(
    (id, epoch, sequence): (i64, i16, i32),
    base_timestamp: i64,
    max_timestamp: i64,
    count: usize,
    body: &[u8],
) -> Bytes {
    let mut covered = BytesMut::new();
    covered.put_i16(0);
    covered.put_i32(count as i32 - 1);
    covered.put_i64(base_timestamp);
    covered.put_i64(max_timestamp);
    covered.put_i64(id);
    covered.put_i16(epoch);
    covered.put_i32(sequence);
    covered.put_i32(count as i32);
    covered.put_slice(body);
    let mut out = BytesMut::new();
    out.put_i64(0);
    out.put_i32(covered.len() as i32 + 9);
    out.put_i32(-1);
    out.put_u8(2);
    out.put_u32(crc32c::crc32c(&covered));
    out.put_slice(&covered);
    out.freeze()
}

fn varint(out: &mut BytesMut, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.put_u8(left as u8 | 0x80);
        left >>= 7;
    }
    out.put_u8(left as u8);
}
