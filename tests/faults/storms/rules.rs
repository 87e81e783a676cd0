//! What goes wrong with requests and their answers, as rules for the proxies.

use std::time::Duration;

use crate::faults::frames::Request;
use crate::faults::proxy::Fate;

/// A rule that cuts one in so many Produce requests after some of its bytes, and now and then another request.
pub(super) fn cut_one_in(count: u64) -> impl FnMut(&Request) -> Fate + Send + 'static {
    let mut random = fastrand::Rng::new();
    move |request| {
        let count = if request.is_produce() { count } else { 10 };
        match random.u64(..count) {
            0 => Fate::Cut(random.usize(..=request.len())),
            _ => Fate::Pass,
        }
    }
}

/// Swallows the answers of one in so many Produce requests.
pub(super) fn drop_one_in(count: u64) -> impl FnMut(&Request) -> Fate + Send + 'static {
    let mut random = fastrand::Rng::new();
    move |request| match request.is_produce() && random.u64(..count) == 0 {
        true => Fate::DropAnswers,
        false => Fate::Pass,
    }
}

/// Cuts, dropped answers and slow answers together.
pub(super) fn battered() -> impl FnMut(&Request) -> Fate + Send + 'static {
    let (mut cut, mut dropped) = (cut_one_in(40), drop_one_in(40));
    let mut random = fastrand::Rng::new();
    move |request| match cut(request) {
        Fate::Pass => match dropped(request) {
            Fate::Pass if random.u32(..4) == 0 => {
                Fate::Delay(Duration::from_millis(random.u64(..30)))
            }
            fate => fate,
        },
        fate => fate,
    }
}
