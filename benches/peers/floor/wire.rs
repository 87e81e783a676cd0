//! Requests and answers in their frames.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::io::Read;
use std::net::TcpStream;

/// Of the headers of every call of these programs: with tagged fields.
const REQUEST_HEADER: i16 = 2;
const RESPONSE_HEADER: i16 = 1;

pub(crate) fn connect(broker: &str) -> anyhow::Result<TcpStream> {
    let socket = TcpStream::connect(broker)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A request with its header and its length.
pub(crate) fn frame(call: ApiKey, version: i16, request: &impl Encodable) -> anyhow::Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(call as i16)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("floor")));
    let mut bytes = BytesMut::new();
    bytes.put_u32(0);
    header.encode(&mut bytes, REQUEST_HEADER)?;
    request.encode(&mut bytes, version)?;
    let length = bytes.len() as u32 - 4;
    (&mut bytes[..4]).put_u32(length);
    Ok(bytes.freeze())
}

/// The next answer with its header, in `buffer`, of which nothing is kept.
pub(crate) fn read(socket: &mut TcpStream, mut buffer: BytesMut) -> anyhow::Result<Bytes> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    buffer.resize((&length[..]).get_u32() as usize, 0);
    socket.read_exact(&mut buffer)?;
    Ok(buffer.freeze())
}

/// What an answer says; its bytes stay where they are in `frame`.
pub(crate) fn answer<A: Decodable>(frame: &Bytes, version: i16) -> anyhow::Result<A> {
    let mut bytes = frame.clone();
    ResponseHeader::decode(&mut bytes, RESPONSE_HEADER)?;
    A::decode(&mut bytes, version)
}

/// The buffer of an answer that nobody reads any more, to be used again.
pub(crate) fn reuse(frame: Bytes) -> BytesMut {
    frame.try_into_mut().unwrap_or_default()
}
