//! Finds out soon that a stream which was idle is dead, though nothing says so: a load balancer may have forgotten it.
//!
//! When the first request after a pause stays without an answer, a second stream is opened to the same place. Only if a
//! broker answers there and the first stays silent, the first is given up: a broker that is merely stopped answers on
//! neither, and when it goes on, on both.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::attempt::Dialler;
use super::link::LinkInner;

/// What the first stream still has when a broker has answered on the second.
const GRACE: Duration = Duration::from_millis(500);

/// Probes whenever the stream is silent, for as long as it is open.
pub(super) fn keep(link: Arc<LinkInner>, dialler: Dialler) {
    tokio::spawn(async move {
        let mut last = None;
        loop {
            tokio::select! {
                biased;
                () = link.closed() => return,
                heard = link.silent(last) => {
                    last = Some(heard);
                    tokio::spawn(probe(link.clone(), dialler.clone(), heard));
                }
            }
        }
    });
}

/// Opens a second stream, and gives the first one up if it alone is silent.
async fn probe(first: Arc<LinkInner>, dialler: Dialler, heard: u64) {
    let second = async {
        let answers = dialler.answers(&first.endpoint).await;
        sleep(GRACE).await;
        answers && first.heard() == heard
    };
    let is_dead = tokio::select! {
        is_dead = second => is_dead,
        () = first.closed() => false,
    };
    if is_dead && !first.is_closed() {
        warn!(address = %first.name, "a connection that was idle is dead, a new one works");
        let reason = "it was idle and stays silent, while the broker answers on a new connection";
        first.close(first.disconnected(reason));
    }
}
