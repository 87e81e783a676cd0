//! One question about each of many items, several at the same time.

use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// Questions under way at the same time, at most.
const AT_ONCE: usize = 64;

/// Asks about each item; the outcomes are in the items' order. Dropped half-way, it asks no more.
pub(crate) async fn each<T, R, F>(items: Vec<T>, ask: impl Fn(T) -> F) -> Vec<Result<R>>
where
    F: Future<Output = Result<R>> + Send + 'static,
    R: Send + 'static,
{
    // What a runtime that is being shut down leaves.
    let unasked = || Err(Error::RuntimeEnded { what: "client" });
    let mut outcomes: Vec<_> = items.iter().map(|_| unasked()).collect();
    let mut items = items.into_iter().enumerate();
    let mut asked = JoinSet::new();
    loop {
        while asked.len() < AT_ONCE {
            let Some((place, item)) = items.next() else {
                break;
            };
            let answer = ask(item);
            asked.spawn(async move { (place, answer.await) });
        }
        match asked.join_next().await {
            Some(Ok((place, outcome))) => {
                if let Some(slot) = outcomes.get_mut(place) {
                    *slot = outcome;
                }
            }
            Some(Err(_)) => {}
            None => return outcomes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn outcomes_are_in_order_and_no_more_than_so_many_are_under_way() {
        let now = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let outcomes = each((0..1000u64).collect(), |number| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1 + number * 7 % 5)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                if number % 10 == 3 {
                    return Err(Error::Closed { what: "this one" });
                }
                Ok(number)
            }
        })
        .await;
        assert_eq!(outcomes.len(), 1000);
        for (number, outcome) in (0..).zip(outcomes) {
            assert_eq!(outcome.ok(), (number % 10 != 3).then_some(number));
        }
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    }
}
