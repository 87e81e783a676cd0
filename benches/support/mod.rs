//! What the benches share: payloads, keys, and how long each case is measured.

#![allow(dead_code, reason = "each bench takes what it needs")]

use std::time::Duration;

use criterion::Criterion;

/// Different payloads; record `i` carries number `i % PAYLOADS`, as in `benches/peers`.
pub(crate) const PAYLOADS: usize = 4096;
/// Different keys, as there.
pub(crate) const KEYS: u64 = 1000;

/// Payload number `n`: JSON-like text that compresses about threefold, as in `benches/peers`.
pub(crate) fn payload(n: u64, size: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while text.len() < size {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        text += &format!(
            "{{\"id\":{n},\"ticketTypeId\":{},\"status\":\"DONE\"}}",
            x % 100_000
        );
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(size);
    bytes
}

pub(crate) fn payloads(size: usize) -> Vec<Vec<u8>> {
    (0..PAYLOADS as u64).map(|n| payload(n, size)).collect()
}

pub(crate) fn key(i: u64) -> [u8; 8] {
    (i % KEYS).to_be_bytes()
}

/// The one in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Short times: the whole of `cargo bench` stays below three minutes.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args()
}
