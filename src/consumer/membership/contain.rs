//! Keeps a panic of the application's own code from ending the membership.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use super::host::Listening;

/// Runs a listener to its end; `false` when it panicked.
///
/// What the listener had borrowed is its own business: nothing of the membership is handed to it but shared handles.
pub(super) async fn contain<'a>(listen: impl FnOnce() -> Listening<'a>) -> bool {
    let Ok(mut listening) = catch_unwind(AssertUnwindSafe(listen)) else {
        return false;
    };
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| listening.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(true),
            Err(_) => Poll::Ready(false),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_the_listener_and_nothing_else() {
        assert!(contain(|| Box::pin(async {})).await);
        assert!(!contain(|| panic!("before the first await")).await);
        let later = || -> Listening<'static> {
            Box::pin(async {
                tokio::task::yield_now().await;
                panic!("after it");
            })
        };
        assert!(!contain(later).await);
    }
}
