use std::time::{Duration, SystemTime};

use super::{Header, Record, millis, system_time};

fn epoch(millis: i64) -> SystemTime {
    let distance = Duration::from_millis(millis.unsigned_abs());
    match millis {
        0.. => SystemTime::UNIX_EPOCH + distance,
        _ => SystemTime::UNIX_EPOCH - distance,
    }
}

#[test]
fn what_was_put_into_a_record_is_read_from_it() {
    let record = Record::to("t").key("k").value(7_i32).partition(2);
    let record = record.header("h", 1).headers([Header::null("n")]);
    let record = record.timestamp(epoch(1500));
    assert_eq!(record.topic(), "t");
    assert_eq!(record.get_key(), Some(&b"k"[..]));
    assert_eq!(record.get_value(), Some(&[0, 0, 0, 7][..]));
    assert_eq!(record.get_partition(), Some(2));
    assert_eq!(record.get_timestamp_millis(), Some(1500));
    assert_eq!(record.get_timestamp(), Some(epoch(1500)));
    let names: Vec<_> = record.get_headers().iter().map(Header::name).collect();
    assert_eq!(names, ["h", "n"]);
    assert_eq!(record.get_header("n"), Some(&Header::null("n")));
    assert_eq!(record.get_header("none"), None);
    assert_eq!(record.clone().into_owned(), record);
}

#[test]
fn nothing_is_read_where_nothing_was_put() {
    let record = Record::to("t");
    assert_eq!((record.get_key(), record.get_value()), (None, None));
    assert_eq!(record.get_partition(), None);
    assert_eq!(record.get_timestamp_millis(), None);
    assert_eq!(record.get_timestamp(), None);
    assert!(record.get_headers().is_empty());
}

#[test]
fn the_last_header_of_a_name_is_the_one_that_is_read() {
    let record = Record::to("t").header("h", 1).header("h", 2);
    assert_eq!(record.get_header("h"), Some(&Header::new("h", 2)));
}

#[test]
fn a_header_replaces_all_of_its_name_and_no_other() {
    let record = Record::to("t").header("a", 1).header("b", 1).header("a", 2);
    let replaced = record.clone().set_header("a", 3);
    let expected = [Header::new("b", 1), Header::new("a", 3)];
    assert_eq!(replaced.get_headers(), expected);
    let added = record.clone().set_header("c", 3);
    assert_eq!(added.get_headers().len(), 4);
    let removed = record.remove_header("a").remove_header("none");
    assert_eq!(removed.get_headers(), [Header::new("b", 1)]);
}

#[test]
fn times_before_1970_are_times_and_only_minus_one_is_none() {
    for time in [i64::from(i32::MIN), -1000, -2, 0, 1, 1_700_000_000_000] {
        assert_eq!(system_time(time), Some(epoch(time)), "{time}");
        assert_eq!(millis(epoch(time)), time);
    }
    assert_eq!(system_time(-1), None);
    // Further than any clock goes, but no panic.
    let _ = (system_time(i64::MAX), system_time(i64::MIN));
}

#[test]
fn a_part_of_a_millisecond_is_in_the_millisecond_that_began_before_it() {
    let part = Duration::from_micros(500);
    assert_eq!(millis(epoch(7) + part), 7);
    assert_eq!(millis(epoch(-7) + part), -7);
    assert_eq!(millis(epoch(-7) - part), -8);
}
