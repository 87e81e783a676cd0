//! One hand-written Metadata request: quick enough to poll, and no client's code.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

const METADATA: i16 = 3;
/// Known to every broker from 1.0 to 4.x, and free of tagged fields.
const METADATA_VERSION: i16 = 5;
const ANSWER_CAP: usize = 64 << 20;

/// What one broker says about the cluster.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) cluster_id: String,
    pub(crate) brokers: Vec<i32>,
    pub(crate) controller: i32,
    pub(crate) topics: BTreeMap<String, TopicView>,
}

/// What one broker says about a topic.
#[derive(Debug)]
pub(crate) struct TopicView {
    pub(crate) error: i16,
    pub(crate) partitions: BTreeMap<i32, PartitionView>,
}

/// What one broker says about a partition.
#[derive(Debug)]
pub(crate) struct PartitionView {
    pub(crate) leader: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
}

/// Which topics are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    None,
    One(&'a str),
    All,
}

/// Asks the broker on a loopback port.
pub(crate) fn metadata(port: u16, ask: Ask<'_>) -> io::Result<View> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(&request(ask))?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_CAP {
        return Err(malformed());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    view(&mut Reader(&answer))
}

fn request(ask: Ask<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(METADATA_VERSION.to_be_bytes());
    body.extend(0i32.to_be_bytes());
    body.extend((-1i16).to_be_bytes());
    match ask {
        Ask::None => body.extend(0i32.to_be_bytes()),
        Ask::All => body.extend((-1i32).to_be_bytes()),
        Ask::One(topic) => {
            body.extend(1i32.to_be_bytes());
            body.extend(u16::try_from(topic.len()).unwrap_or(0).to_be_bytes());
            body.extend(topic.as_bytes());
        }
    }
    body.push(0);
    let mut frame = u32::try_from(body.len())
        .unwrap_or(0)
        .to_be_bytes()
        .to_vec();
    frame.extend(body);
    frame
}

fn view(reader: &mut Reader<'_>) -> io::Result<View> {
    let (_correlation, _throttle) = (reader.i32()?, reader.i32()?);
    let brokers = reader.array(|reader| {
        let id = reader.i32()?;
        let (_host, _port, _rack) = (reader.string()?, reader.i32()?, reader.string()?);
        Ok(id)
    })?;
    let cluster_id = reader.string()?;
    let controller = reader.i32()?;
    let topics = reader.array(|reader| {
        let error = reader.i16()?;
        let name = reader.string()?;
        reader.take(1)?;
        let partitions = reader.array(|reader| {
            let (_error, index, leader) = (reader.i16()?, reader.i32()?, reader.i32()?);
            let (replicas, in_sync) = (reader.array(Reader::i32)?, reader.array(Reader::i32)?);
            let _offline = reader.array(Reader::i32)?;
            Ok((
                index,
                PartitionView {
                    leader,
                    replicas,
                    in_sync,
                },
            ))
        })?;
        Ok((
            name,
            TopicView {
                error,
                partitions: partitions.into_iter().collect(),
            },
        ))
    })?;
    Ok(View {
        cluster_id,
        brokers,
        controller,
        topics: topics.into_iter().collect(),
    })
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed Metadata answer")
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn fixed<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| malformed())
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    /// A null string reads as an empty one.
    fn string(&mut self) -> io::Result<String> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn array<T>(&mut self, mut item: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        (0..self.i32()?.max(0)).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_answer_is_an_error() {
        let mut answer = Vec::new();
        for number in [0, 0, 1, 7] {
            answer.extend(i32::to_be_bytes(number));
        }
        answer.extend([0, 1, b'h', 0, 0, 0x23, 0x84, 0xff, 0xff]);
        answer.extend([0xff, 0xff]);
        answer.extend(7i32.to_be_bytes());
        answer.extend(0i32.to_be_bytes());
        let whole = view(&mut Reader(&answer)).unwrap();
        assert_eq!((whole.brokers, whole.controller), (vec![7], 7));
        for length in 0..answer.len() {
            assert!(view(&mut Reader(&answer[..length])).is_err());
        }
    }
}
