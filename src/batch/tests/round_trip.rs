//! What is written reads back.

use super::*;

/// Two records as Kafka describes the format, worked out by hand; the CRC is from a few lines of Python.
#[rustfmt::skip]
const GOLDEN: &[u8] = &[
    0, 0, 0, 0, 0, 0, 0, 0,                 // base offset
    0, 0, 0, 73,                            // length: 49 and the records' 11 and 13
    0xff, 0xff, 0xff, 0xff,                 // leader epoch
    2,                                      // magic
    0xcc, 0xa7, 0xe6, 0x19,                 // CRC32C
    0, 0,                                   // attributes
    0, 0, 0, 1,                             // last offset delta
    0, 0, 0, 0, 0, 0, 0x03, 0xe8,           // base timestamp: 1000
    0, 0, 0, 0, 0, 0, 0x03, 0xe8,           // max timestamp: the second record is older
    0, 0, 0, 0, 0, 0, 0x12, 0x67,           // producer id: 4711
    0, 3,                                   // producer epoch
    0, 0, 0, 7,                             // base sequence
    0, 0, 0, 2,                             // records
    20, 0, 0, 0, 2, b'k', 6, b'a', b'b', b'c', 0,
    24, 0, 1, 2, 1, 0, 4, 2, b'h', 1, 2, b'h', 0,
];

fn golden() -> Vec<Plain> {
    vec![
        Plain {
            key: Some(b"k".to_vec()),
            ..Plain::value("abc")
        },
        Plain {
            timestamp: 999,
            key: None,
            value: Some(Vec::new()),
            headers: vec![("h".to_owned(), None), ("h".to_owned(), Some(Vec::new()))],
        },
    ]
}

#[test]
fn a_known_batch_is_these_bytes() {
    assert_eq!(sealed(&golden()), GOLDEN);
}

#[test]
fn these_bytes_are_a_known_batch() {
    let batch = one_batch(Bytes::from_static(GOLDEN)).unwrap();
    assert_eq!(batch.verify_crc(), Ok(()));
    assert_eq!(batch.size(), GOLDEN.len());
    let header = batch.header();
    assert_eq!(
        (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence
        ),
        (4711, 3, 7)
    );
    assert_eq!(
        (header.count, header.last_offset(), header.max_timestamp),
        (2, 1, 1000)
    );
    assert_eq!(header.timestamp_type(), TimestampType::Create);
    assert!(!header.is_control() && !header.is_transactional());
    let records: Vec<_> = (0..).zip(golden()).collect();
    assert_eq!(read(Bytes::from_static(GOLDEN)), Ok(records));
}

#[test]
fn appending_with_room_for_the_bound_never_reallocates() {
    let record = Plain {
        key: Some(vec![1; 70]),
        headers: vec![("name".to_owned(), Some(vec![2; 300]))],
        ..Plain::value(vec![3; 5_000])
    };
    for record in [record, Plain::value(""), Plain::value(vec![0; 100])] {
        record.with_parts(|parts| {
            let mut writer = BatchWriter::new(Vec::new());
            for _ in 0..200 {
                writer.grow(writer.len() + size_bound(parts));
                let (capacity, place) = (writer.capacity(), writer.len());
                let exact = writer.encoded_len(parts);
                writer.append(parts);
                assert_eq!(writer.capacity(), capacity);
                assert_eq!(writer.len(), place + exact);
                assert!(exact <= size_bound(parts));
            }
        });
    }
}

#[test]
fn appending_with_exactly_enough_room_never_reallocates() {
    Plain::value(vec![0; 100]).with_parts(|parts| {
        let mut writer = BatchWriter::new(Vec::new());
        for _ in 0..200 {
            writer.grow(writer.len() + writer.encoded_len(parts));
            let capacity = writer.capacity();
            writer.append(parts);
            assert_eq!(writer.capacity(), capacity);
        }
    });
}

#[test]
fn a_batch_that_does_not_shrink_stays_plain() {
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(1_000)
        .collect();
    for codec in CODECS {
        let (closed, old) = write(&[Plain::value(noise.clone())])
            .compress(codec)
            .unwrap();
        assert!(!closed.is_compressed() && old.is_none(), "{codec:?}");
        let records = read(closed.seal(PRODUCER, 0)).unwrap();
        assert_eq!(records, [(0, Plain::value(noise.clone()))]);
    }
}

#[test]
fn compressing_gives_the_plain_buffer_back() {
    let mut writer = BatchWriter::new(Vec::with_capacity(10_000));
    Plain::value(vec![b'x'; 5_000]).with_parts(|parts| writer.append(parts));
    let (closed, old) = writer.close().compress(Compression::Lz4(None)).unwrap();
    assert_eq!(old.unwrap().capacity(), 10_000);
    assert!(closed.is_compressed() && closed.len() < 200 && closed.count() == 1);
    assert_eq!(closed.capacity(), closed.len());
}

#[test]
fn a_level_that_does_not_exist_is_refused_and_the_batch_kept() {
    for codec in [
        Compression::Gzip(Some(0)),
        Compression::Gzip(Some(10)),
        Compression::Zstd(Some(5)),
        Compression::Zstd(Some(-8)),
    ] {
        let record = Plain::value(vec![0; 500]);
        let closed = write(std::slice::from_ref(&record));
        let (closed, error) = closed.compress(codec).unwrap_err();
        assert!(error.to_string().contains("level"), "{error}");
        assert_eq!(read(closed.seal(PRODUCER, 0)).unwrap(), [(0, record)]);
    }
}

#[test]
fn restamping_in_place_keeps_the_memory() {
    let batch = sealed(&golden());
    let place = batch.as_ptr();
    let batch = restamp(batch, ProducerId { id: 1, epoch: 0 }, 0);
    assert_eq!(batch.as_ptr(), place);
    let header = *one_batch(batch.clone()).unwrap().header();
    assert_eq!(
        (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence
        ),
        (1, 0, 0)
    );
    assert_eq!(read(batch).unwrap().len(), 2);
}

#[test]
fn restamping_a_batch_that_is_being_written_leaves_its_bytes_alone() {
    let held = sealed(&golden());
    let batch = restamp(held.clone(), ProducerId { id: 1, epoch: 0 }, 0);
    assert_eq!(held, GOLDEN);
    assert_eq!(one_batch(batch).unwrap().header().producer_id, 1);
}

#[test]
fn a_buffer_comes_back_only_when_nobody_holds_it() {
    let mut writer = BatchWriter::new(Vec::with_capacity(4_096));
    Plain::value("x").with_parts(|parts| writer.append(parts));
    let batch = writer.close().seal(PRODUCER, 0);
    let held = batch.clone();
    assert!(reclaim(batch).is_none());
    let buf = reclaim(held).unwrap();
    assert_eq!((buf.len(), buf.capacity()), (0, 4_096));
}

#[test]
fn log_append_time_stands_for_every_record() {
    let mut batch = sealed(&golden()).to_vec();
    batch[22] |= 0x08;
    batch[35..43].copy_from_slice(&5_000i64.to_be_bytes());
    let records = read(repaired(batch)).unwrap();
    assert!(records.iter().all(|(_, record)| record.timestamp == 5_000));
}

#[test]
fn an_empty_batch_still_covers_its_offsets() {
    for attributes in 0..5 {
        let mut batch = sealed(&golden())[..HEADER_LEN].to_vec();
        batch[8..12].copy_from_slice(&49i32.to_be_bytes());
        batch[22] = attributes;
        batch[57..61].fill(0);
        let batch = one_batch(repaired(batch)).unwrap();
        assert_eq!(batch.header().last_offset(), 1);
        assert_eq!(batch.records(LIMIT).unwrap().count(), 0);
    }
}

#[test]
fn a_compacted_batch_keeps_its_records_offsets() {
    let mut batch = sealed(&golden()).to_vec();
    batch[..8].copy_from_slice(&100i64.to_be_bytes());
    batch[23..27].copy_from_slice(&9i32.to_be_bytes());
    let place = HEADER_LEN + 11 + 3;
    batch[place] = 10; // the second record's offset delta: 5
    let records = read(repaired(batch)).unwrap();
    let offsets: Vec<_> = records.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [100, 105]);
}

#[test]
fn control_records_tell_abort_from_commit() {
    assert_eq!(control_type(Some(&[0, 0, 0, 0])), Ok(ControlType::Abort));
    assert_eq!(control_type(Some(&[0, 0, 0, 1])), Ok(ControlType::Commit));
    assert_eq!(
        control_type(Some(&[0, 1, 0, 2, 9])),
        Ok(ControlType::Other(2))
    );
    for short in [&[][..], &[0], &[0, 0], &[0, 0, 0], &[0xff, 0xff, 0, 0]] {
        assert!(control_type(Some(short)).is_err());
    }
    assert!(control_type(None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_read_back_as_written(
        records in proptest::collection::vec(plain(), 1..40),
        codec in proptest::sample::select(&CODECS[..]),
    ) {
        let (closed, _) = write(&records).compress(codec).unwrap();
        prop_assert_eq!(closed.count() as usize, records.len());
        let len = closed.len();
        let bytes = closed.seal(PRODUCER, 7);
        prop_assert_eq!(bytes.len(), len);
        let latest = records.iter().map(|record| record.timestamp).max().unwrap();
        prop_assert_eq!(one_batch(bytes.clone()).unwrap().header().max_timestamp, latest);
        let expected: Vec<_> = (0..).zip(records).collect();
        prop_assert_eq!(read(bytes).unwrap(), expected);
    }

    #[test]
    fn long_fields_read_back_as_written(
        key in 0usize..3,
        value in 0usize..3,
        gap in any::<i64>(),
        codec in proptest::sample::select(&CODECS[..]),
    ) {
        const SIZES: [usize; 3] = [0, 127 << 7, (1 << 20) - 1_000];
        let record = |key: usize, value: usize, timestamp| Plain {
            timestamp,
            key: Some(vec![b'k'; SIZES[key] / 2]),
            value: Some(vec![b'v'; SIZES[value] / 2]),
            headers: Vec::new(),
        };
        let records = vec![record(0, 0, 5), record(key, value, gap)];
        let (closed, _) = write(&records).compress(codec).unwrap();
        let expected: Vec<_> = (0..).zip(records).collect();
        prop_assert_eq!(read(closed.seal(PRODUCER, 7)).unwrap(), expected);
    }
}
