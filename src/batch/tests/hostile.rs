//! Hostile bytes end in an error: no panic, no hang, no allocation by an unchecked number.

use super::*;

/// A batch of one record, its record section replaced; the header says `count` records.
fn with_records(records: &[u8], count: i32) -> Bytes {
    let mut batch = sealed(&[Plain::value("x")])[..HEADER_LEN].to_vec();
    batch.extend_from_slice(records);
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    repaired(batch)
}

/// As above, with the record's length made right.
fn with_body(body: &[u8]) -> Bytes {
    let mut record = vec![(body.len() * 2) as u8];
    record.extend_from_slice(body);
    with_records(&record, 1)
}

fn with_header(at: usize, bytes: &[u8]) -> Bytes {
    let mut batch = sealed(&[Plain::value("x")]).to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    repaired(batch)
}

fn error(bytes: Bytes) -> String {
    read(bytes).expect_err("malformed").to_string()
}

#[test]
fn a_partial_last_batch_ends_iteration_quietly() {
    let whole = sealed(&[Plain::value("first")]);
    let mut two = whole.to_vec();
    two.extend_from_slice(&sealed(&[Plain::value("second")]));
    for len in whole.len()..two.len() {
        let records = read(Bytes::copy_from_slice(&two[..len])).unwrap();
        assert_eq!(records, [(0, Plain::value("first"))], "cut at {len}");
    }
    assert_eq!(read(two.into()).unwrap().len(), 2);
    assert!(read(Bytes::new()).unwrap().is_empty());
}

#[test]
fn impossible_batch_lengths_are_errors() {
    for length in [-1, -2, 0, 48, i32::MIN] {
        let text = error(with_header(8, &length.to_be_bytes()));
        assert!(text.contains(&format!("length {length}")), "{text}");
    }
    // Longer than what is there: partial.
    assert_eq!(
        read(with_header(8, &i32::MAX.to_be_bytes())),
        Ok(Vec::new())
    );
}

#[test]
fn other_record_formats_are_refused_by_name() {
    assert!(error(with_header(16, &[0])).contains("format v0, from before Kafka 0.11"));
    assert!(error(with_header(16, &[1])).contains("format v1, from before Kafka 0.11"));
    assert!(error(with_header(16, &[3])).contains("unknown record format v3"));
    // A whole message of format v0 is shorter than a batch's header.
    let mut old = vec![0; 26];
    old[11] = 14;
    assert!(error(old.into()).contains("format v0"));
}

#[test]
fn an_error_ends_the_iteration() {
    let mut batches = Batches::new(with_header(16, &[3]));
    assert!(batches.next().unwrap().is_err());
    assert!(batches.next().is_none());
    let mut records = one_batch(with_body(&[0, 0, 2, 1, 1, 0]))
        .unwrap()
        .records(LIMIT)
        .unwrap();
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none());
}

#[test]
fn a_changed_byte_fails_the_crc() {
    let whole = sealed(&[Plain::value("some value")]);
    for at in 17..whole.len() {
        let mut batch = whole.to_vec();
        batch[at] ^= 0x40;
        if let Ok(batch) = one_batch(batch.into()) {
            let text = batch.verify_crc().expect_err("wrong CRC").to_string();
            assert!(text.contains("CRC"), "{text}");
        }
    }
}

#[test]
fn headers_that_would_mislead_a_position_are_errors() {
    for delta in [-1, i32::MIN] {
        assert!(error(with_header(23, &delta.to_be_bytes())).contains("last offset delta"));
    }
    assert!(error(with_header(0, &(-1i64).to_be_bytes())).contains("negative offset"));
    assert!(error(with_header(0, &i64::MAX.to_be_bytes())).contains("overflows"));
}

#[test]
fn unknown_codecs_are_errors() {
    for codec in 5..8 {
        assert!(error(with_header(22, &[codec])).contains(&format!("compression {codec}")));
    }
}

#[test]
fn record_counts_that_do_not_fit_are_errors() {
    for count in [-1, i32::MIN, i32::MAX, 2] {
        let text = error(with_header(57, &count.to_be_bytes()));
        assert!(text.contains(&format!("{count} records")), "{text}");
    }
    // One record fewer than there are: the last is left over.
    let mut batch = sealed(&[Plain::value("x"), Plain::value("y")]).to_vec();
    batch[60] = 1;
    assert!(error(repaired(batch)).contains("bytes behind its last record"));
    // Two short records announced, one long one there.
    let mut batch = sealed(&[Plain::value(vec![0; 100])]).to_vec();
    batch[60] = 2;
    assert!(error(repaired(batch)).contains("ends in the middle"));
}

#[test]
fn bytes_behind_the_last_record_are_an_error() {
    let record = [14, 0, 0, 0, 1, 2, b'x', 0];
    assert!(read(with_records(&record, 1)).is_ok());
    let mut longer = record.to_vec();
    longer.push(0);
    assert!(error(with_records(&longer, 1)).contains("1 bytes behind"));
}

#[test]
fn record_lengths_that_do_not_fit_are_errors() {
    let padded = |length: &[u8]| [length, &[0; 20]].concat();
    for length in [
        &[0x00][..],
        &[0x01],
        &[0x03],
        &[0x0a],
        &[0xfe, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
    ] {
        assert!(
            read(with_records(&padded(length), 1)).is_err(),
            "{length:02x?}"
        );
    }
    // One byte more, and one fewer, than there are.
    assert!(read(with_records(&[16, 0, 0, 0, 1, 2, b'x', 0], 1)).is_err());
    assert!(read(with_records(&[12, 0, 0, 0, 1, 2, b'x', 0], 1)).is_err());
}

#[test]
fn fields_longer_than_their_record_are_errors() {
    // attributes, timestamp delta, offset delta, key, value, headers
    assert!(read(with_body(&[0, 0, 0, 1, 1, 0])).is_ok());
    for body in [
        &[0, 0, 0, 2, 1, 0][..],
        &[0, 0, 0, 1, 4, 0],
        &[0, 0, 0, 3, 1, 0],
        &[0, 0, 0, 1, 3, 0],
        &[0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 0],
        &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0],
        &[0, 0, 0, 1, 1, 0, 0],
        &[0, 0, 0, 1, 1],
    ] {
        assert!(read(with_body(body)).is_err(), "{body:02x?}");
    }
}

#[test]
fn header_counts_and_lengths_that_do_not_fit_are_errors() {
    let body = |headers: &[u8]| with_body(&[&[0, 0, 0, 1, 1], headers].concat());
    assert!(read(body(&[2, 0, 1])).is_ok());
    assert!(error(body(&[0xfe, 0xff, 0xff, 0xff, 0x0f])).contains("2147483647 headers"));
    assert!(error(body(&[1])).contains("length -1"));
    assert!(error(body(&[2, 1, 1])).contains("without a name"));
    assert!(read(body(&[2, 0, 3])).is_err());
    assert!(read(body(&[2, 0, 2])).is_err());
    assert!(read(body(&[4, 0, 1])).is_err());
    assert!(read(body(&[2, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1])).is_err());
}

#[test]
fn offset_deltas_outside_the_batch_are_errors() {
    assert!(error(with_body(&[0, 0, 1, 1, 1, 0])).contains("offset delta -1"));
    assert!(error(with_body(&[0, 0, 2, 1, 1, 0])).contains("offset delta 1"));
    let most = [0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 1, 0];
    assert!(error(with_body(&most)).contains("offset delta 2147483647"));
}

#[test]
fn timestamp_deltas_beyond_the_range_wrap_without_a_panic() {
    let delta = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let body = [&[0][..], &delta, &[0, 1, 1, 0]].concat();
    let records = read(with_body(&body)).unwrap();
    assert_eq!(records[0].1.timestamp, 1_000i64.wrapping_add(i64::MAX));
}

#[test]
fn decompressing_stops_at_the_limit() {
    let records = vec![Plain::value(vec![b'x'; 1_000]); 50];
    for codec in &CODECS[1..] {
        let (closed, _) = write(&records).compress(*codec).unwrap();
        let batch = one_batch(closed.seal(PRODUCER, 0)).unwrap();
        let size = 50 * 1_010;
        let text = batch.records(size / 2).unwrap_err().to_string();
        assert!(
            text.contains(&format!("more than {} bytes", size / 2)),
            "{text}"
        );
        assert_eq!(batch.records(size + 100).unwrap().count(), 50);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn bytes_changed_at_random_never_panic(
        records in proptest::collection::vec(plain(), 1..8),
        codec in proptest::sample::select(&CODECS[..]),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let (closed, _) = write(&records).compress(codec).unwrap();
        let mut batch = closed.seal(PRODUCER, 7).to_vec();
        for (at, byte) in changes {
            let at = at.index(batch.len());
            batch[at] = byte;
        }
        if let Some(cut) = cut {
            // The section is cut, and the header says so: a cut set alone would be a partial batch.
            batch.truncate(HEADER_LEN + cut.index(batch.len() - HEADER_LEN));
            let length = (batch.len() - 12) as i32;
            batch[8..12].copy_from_slice(&length.to_be_bytes());
        }
        let _ = read(repaired(batch));
    }

    #[test]
    fn bytes_at_random_never_panic(
        records in proptest::collection::vec(any::<u8>(), 0..200),
        codec in 0u8..8,
        count in 0i32..20,
    ) {
        let mut batch = with_records(&records, count).to_vec();
        batch[22] = codec;
        let _ = read(repaired(batch.clone()));
        let _ = read(batch.split_off(HEADER_LEN).into());
    }
}

#[test]
fn stamping_what_is_too_short_for_a_batch_does_nothing() {
    let mut short = [7; 20];
    stamp(&mut short, PRODUCER, 0);
    assert_eq!(short, [7; 20]);
}
