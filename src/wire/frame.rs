//! What stands around a body: length, request header, response header, and how to tell that a server is no Kafka.

use bytes::{Bytes, BytesMut};

use super::call::ApiKey;
use super::decode::{Decoder, Malformed};
use super::encode::Encoder;

/// Writes the frame's length and the request header, for a body of `body_len` bytes that follows.
pub(crate) fn request_header(
    out: &mut BytesMut,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: &str,
    body_len: usize,
) {
    let start = out.len();
    // The header's only string is rigid in every header version, so that any broker can read it.
    let mut header = Encoder::new(out, false);
    header.i32(0);
    header.i16(key.code());
    header.i16(version);
    header.i32(correlation_id);
    header.string(client_id);
    if version >= key.flexible_from() {
        header.unsigned_varint(0);
    }
    // A length beyond 31 bits is beyond every broker's socket.request.max.bytes: refused as such.
    let len = i32::try_from(out.len() - start - 4 + body_len).unwrap_or(i32::MAX);
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&len.to_be_bytes());
    }
}

/// Splits an answer (without its frame length) into the correlation id and the body.
pub(crate) fn split_response(
    key: ApiKey,
    version: i16,
    frame: Bytes,
) -> Result<(i32, Bytes), Malformed> {
    let mut header = Decoder::new(frame, true);
    let correlation_id = header.i32()?;
    // A broker that does not know the version asked for must still be understood: ApiVersions answers stay rigid.
    if version >= key.flexible_from() && key != ApiKey::ApiVersions {
        header.skip_tags()?;
    }
    let rest = header.remaining();
    Ok((correlation_id, header.take(rest)?))
}

/// What a server that is no plaintext Kafka looks like, told from the first bytes of its first answer.
///
/// Read as a frame length, each of these is more than 150 MB, which no answer to ApiVersions has.
pub(crate) fn recognise_foreign(first: &[u8]) -> Option<&'static str> {
    match first {
        [b'H', b'T', b'T', b'P', ..] => Some("it answered in HTTP"),
        [0x14..=0x17, 0x03, 0x00..=0x04, ..] => {
            Some("it expects TLS (security.protocol=SSL or SASL_SSL)")
        }
        [b'S', b'S', b'H', b'-', ..] => Some("it is an SSH server"),
        [a, b, c, d, ..] if [a, b, c, d].into_iter().all(is_text) => {
            Some("it answered in text (a web, mail or other server)")
        }
        _ => None,
    }
}

fn is_text(byte: &u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\r' | b'\n' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{ALL, versions};
    use kafka_protocol::messages::{ApiKey as TheirKey, RequestHeader, ResponseHeader};
    use kafka_protocol::protocol::{Decodable, Encodable};

    /// kafka_protocol's header versions of the request and of its answer.
    fn headers(key: ApiKey, version: i16) -> (i16, i16) {
        let theirs = TheirKey::try_from(key.code()).unwrap();
        assert_eq!(format!("{theirs:?}"), format!("{key:?}"));
        assert_eq!(key.name(), format!("{key:?}"));
        (
            theirs.request_header_version(version),
            theirs.response_header_version(version),
        )
    }

    #[test]
    fn request_headers_are_what_kafka_protocol_reads() {
        for key in ALL {
            for version in versions(key) {
                let mut out = BytesMut::from(&b"earlier frame"[..]);
                request_header(&mut out, key, version, 77, "client-1", 5);
                out.extend_from_slice(b"body!");
                let mut frame = out.freeze().slice(13..);
                let len = frame.split_to(4);
                assert_eq!(len.as_ref(), (frame.len() as i32).to_be_bytes());
                let (request, _) = headers(key, version);
                let header = RequestHeader::decode(&mut frame, request).unwrap();
                assert_eq!(header.request_api_key, key.code());
                assert_eq!(header.request_api_version, version);
                assert_eq!(header.correlation_id, 77);
                assert_eq!(header.client_id.unwrap().as_str(), "client-1");
                assert_eq!(frame.as_ref(), b"body!", "{key:?} {version}");
            }
        }
    }

    #[test]
    fn response_headers_are_what_kafka_protocol_writes() {
        for key in ALL {
            for version in versions(key) {
                let (_, response) = headers(key, version);
                let mut out = BytesMut::new();
                let mut header = ResponseHeader::default().with_correlation_id(-5);
                if response == 1 {
                    header = header.with_unknown_tagged_field(9, Bytes::from_static(b"xyz"));
                }
                header.encode(&mut out, response).unwrap();
                let header_len = out.len();
                out.extend_from_slice(b"body!");
                let frame = out.freeze();
                let (id, body) = split_response(key, version, frame.clone()).unwrap();
                assert_eq!((id, body.as_ref()), (-5, &b"body!"[..]));
                for cut in 0..header_len {
                    split_response(key, version, frame.slice(..cut)).unwrap_err();
                }
            }
        }
    }

    #[test]
    fn foreign_servers_are_recognised_by_their_first_bytes() {
        for (first, word) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP"),
            (b"<html>", "text"),
            (b"<htm", "text"),
            (b"-ERR unknown command", "text"),
            (b"\r\n220 mail", "text"),
            (b"SSH-2.0-OpenSSH_9.6", "SSH"),
            (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
            (b"\x15\x03\x03\x00", "TLS"),
            (b"\x16\x03\x01\x02", "TLS"),
        ] {
            let found = recognise_foreign(first).unwrap_or_default();
            assert!(found.contains(word), "{first:?}: {found}");
        }
    }

    #[test]
    fn no_kafka_answer_up_to_100_mb_is_taken_for_a_foreign_one() {
        for len in (0..=100_000_000i32).step_by(251) {
            assert_eq!(recognise_foreign(&len.to_be_bytes()), None, "{len}");
        }
        assert_eq!(recognise_foreign(b""), None);
        assert_eq!(recognise_foreign(b"HT"), None);
    }
}
