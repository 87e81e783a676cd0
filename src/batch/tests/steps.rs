//! Batches that are decompressed in steps: the same records, in bounded memory, whatever follows them.

use super::compress::{Scratch, codec, compress};
use super::*;

/// What a batch reads as in steps, up to its end or its first error.
fn in_steps(batch: &Batch, limit: usize, position: i64) -> (Vec<(i64, usize)>, Option<Unreadable>) {
    let mut found = Vec::new();
    let mut unpacking = batch.in_steps(limit, &Spares::default()).unwrap().unwrap();
    while let Some(part) = unpacking.next(position) {
        let records = match part {
            Ok(records) => records,
            Err(error) => {
                assert!(unpacking.next(position).is_none(), "an error is the last");
                return (found, Some(error));
            }
        };
        assert!(records.bytes().len() <= limit + (1 << 20), "bounded memory");
        for record in records {
            let record = record.unwrap();
            found.push((record.offset, record.value.map_or(0, |value| value.len())));
        }
    }
    (found, None)
}

fn packed(records: &[Plain], compression: Compression) -> Vec<u8> {
    // Compressed even where that is of no use.
    let mut bytes = sealed(records).to_vec();
    let body = bytes.split_off(HEADER_LEN);
    Scratch::with(|scratch, out| {
        compress(scratch, compression, &body, out).unwrap();
        bytes.extend_from_slice(out);
    });
    bytes[22] |= codec(compression) as u8;
    bytes
}

fn batch(bytes: Vec<u8>) -> Batch {
    let mut bytes = bytes;
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    one_batch(repaired(bytes)).unwrap()
}

fn letters(sizes: &[usize]) -> Vec<Plain> {
    sizes
        .iter()
        .map(|size| Plain::value(vec![b'a'; *size]))
        .collect()
}

const PACKED: [Compression; 4] = [
    Compression::Gzip(None),
    Compression::Snappy,
    Compression::Lz4(None),
    Compression::Zstd(None),
];

#[test]
fn a_batch_of_any_size_is_read_in_steps_and_whole() {
    let mut random = fastrand::Rng::with_seed(3);
    let sizes: Vec<_> = (0..60).map(|_| random.usize(..90_000)).collect();
    for compression in PACKED {
        let batch = batch(packed(&letters(&sizes), compression));
        let (found, error) = in_steps(&batch, 100_000, 0);
        assert_eq!(error, None, "{compression:?}");
        let expected: Vec<_> = (0..).zip(sizes.iter().copied()).collect();
        assert!(found == expected, "{compression:?}");
    }
}

#[test]
fn one_record_above_the_limit_is_told_by_its_offset_and_can_be_skipped_alone() {
    let sizes = [10, 2_000_000, 20, 30];
    for compression in PACKED {
        let batch = batch(packed(&letters(&sizes), compression));
        let (found, error) = in_steps(&batch, 1_000_000, 0);
        assert_eq!(found, [(0, 10)], "{compression:?}");
        let Some(Unreadable::TooLarge { size, offset }) = error else {
            panic!("{compression:?}: {error:?}");
        };
        assert_eq!(offset, Some(1));
        assert!((2_000_000..2_000_100).contains(&size), "{size}");
        let (found, error) = in_steps(&batch, 1_000_000, 2);
        assert_eq!(error, None, "{compression:?}");
        assert_eq!(found.last(), Some(&(3, 30)), "{compression:?}");
        let (found, _) = in_steps(&batch, 2_100_000, 0);
        assert_eq!(found.len(), 4, "a higher limit reads it");
    }
    for compression in PACKED {
        let batch = batch(packed(&letters(&[10, 2_000_000]), compression));
        assert_eq!(in_steps(&batch, 1_000_000, 2).1, None, "the last one");
    }
}

#[test]
fn what_is_in_front_of_damage_is_read() {
    let records: Vec<_> = (0..20)
        .map(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            Plain::value(
                (0..60_000)
                    .map(|_| random.u8(b'a'..=b'z'))
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    for compression in PACKED {
        let mut bytes = packed(&records, compression);
        let len = bytes.len();
        bytes.truncate(len - len / 8);
        let (found, error) = in_steps(&batch(bytes), 200_000, 0);
        let offsets: Vec<_> = found.iter().map(|(offset, _)| *offset).collect();
        assert!(
            matches!(error, Some(Unreadable::Malformed(_))),
            "{compression:?}: {error:?}"
        );
        // zstd's frames are looked at as a whole first.
        let least = if matches!(compression, Compression::Zstd(_)) {
            0
        } else {
            12
        };
        assert!(found.len() >= least, "{compression:?}: {}", found.len());
        assert!(offsets.into_iter().eq(0..found.len() as i64));
    }
}

/// How many records are read of a batch of three with these bytes behind its compressed stream, and whether that is an
/// error: as Java's `DefaultRecordBatch` of Kafka 4.3.0 has it, but for records that are in front of an error, all of
/// which are read.
#[test]
fn bytes_behind_a_compressed_stream_are_what_they_are_to_java() {
    const FINE: bool = true;
    const WRONG: bool = false;
    let stream = |compression| packed(&letters(&[5, 6]), compression).split_off(HEADER_LEN);
    let zeros = |len: usize| vec![0; len];
    for (compression, tails) in [
        (
            Compression::Gzip(None),
            vec![
                (zeros(1), FINE),
                (zeros(16), FINE),
                (zeros(1000), FINE),
                (vec![0xff; 16], FINE),
                (stream(Compression::Gzip(None))[..12].to_vec(), FINE),
                (stream(Compression::Gzip(None)), WRONG),
            ],
        ),
        (
            Compression::Snappy,
            vec![
                (zeros(3), FINE),
                (vec![0xff; 3], FINE),
                (zeros(4), WRONG),
                (zeros(16), WRONG),
                (vec![0xff; 16], WRONG),
                (stream(Compression::Snappy), WRONG),
            ],
        ),
        (
            Compression::Lz4(None),
            vec![
                (zeros(1), FINE),
                (zeros(16), FINE),
                (vec![0xff; 16], FINE),
                (stream(Compression::Lz4(None)), FINE),
                (stream(Compression::Lz4(None))[..12].to_vec(), FINE),
            ],
        ),
        (
            Compression::Zstd(None),
            vec![
                (zeros(1), WRONG),
                (zeros(16), WRONG),
                (vec![0xff; 16], WRONG),
                (stream(Compression::Zstd(None)), WRONG),
                // A frame that is to be skipped.
                (vec![0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], FINE),
            ],
        ),
    ] {
        for (tail, is_fine) in tails {
            let whole = packed(&letters(&[1, 2, 3]), compression);
            let batch = batch([&whole[..], &tail].concat());
            let (found, error) = in_steps(&batch, 1 << 20, 0);
            assert_eq!(found, [(0, 1), (1, 2), (2, 3)], "{compression:?}: {tail:?}");
            assert_eq!(
                error.is_none(),
                is_fine,
                "{compression:?}: {tail:?}: {error:?}"
            );
            let found = match batch.open(1 << 20, &Spares::default()).unwrap() {
                Opened::Whole(records) => records.map(|one| one.is_ok()).collect::<Vec<_>>(),
                Opened::InSteps(mut more) => {
                    let first = more.next(0).unwrap().unwrap();
                    let rest = std::iter::from_fn(|| more.next(0).map(|part| part.is_ok()));
                    first
                        .map(|one| one.is_ok())
                        .chain(rest.collect::<Vec<_>>())
                        .collect()
                }
            };
            let expected: &[bool] = if is_fine {
                &[true; 3]
            } else {
                &[true, true, true, false]
            };
            assert_eq!(found, expected, "{compression:?}: {tail:?}");
        }
    }
}

#[test]
fn a_zstd_window_that_is_declared_larger_than_needed_takes_no_memory() {
    // In one segment: the window is all of it.
    let value = vec![b'a'; 9 << 20];
    let batch = batch(packed(&[Plain::value(value)], Compression::Zstd(None)));
    let (found, error) = in_steps(&batch, 1 << 20, 1);
    assert_eq!((found.len(), error), (0, None), "it was passed over");
    let (_, error) = in_steps(&batch, 1 << 20, 0);
    assert!(matches!(
        error,
        Some(Unreadable::TooLarge {
            offset: Some(0),
            ..
        })
    ));
}

proptest! {
    #[test]
    fn changed_bytes_end_in_an_error_or_in_records_that_fit(
        chosen in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = packed(&letters(&[100, 7_000, 3]), PACKED[chosen]);
        let len = HEADER_LEN + 1 + cut.index(bytes.len() - HEADER_LEN);
        bytes.truncate(len);
        for (at, change) in changes {
            let at = HEADER_LEN + at.index(bytes.len() - HEADER_LEN);
            bytes[at] ^= change;
        }
        let batch = batch(bytes);
        let mut unpacking = batch.in_steps(5_000, &Spares::default()).unwrap().unwrap();
        let mut records = 0;
        while let Some(part) = unpacking.next(0) {
            let Ok(part) = part else { continue };
            prop_assert!(part.bytes().len() <= 5_000 + (2 << 20));
            records += part.filter(Result::is_ok).count();
        }
        prop_assert!(records <= 3);
    }
}

#[test]
fn records_that_are_shorter_than_any_record_end_the_reading() {
    let mut bytes = sealed(&letters(&[1, 1])).to_vec();
    bytes.truncate(HEADER_LEN);
    bytes[22] |= codec(Compression::Snappy) as u8;
    // Snappy, raw: two bytes, both literal, each a record's length of nothing.
    bytes.extend([2, 0, 0, 0, 57]);
    let (found, error) = in_steps(&batch(bytes), 1 << 20, 0);
    assert!(found.is_empty() && error.is_some());
}
