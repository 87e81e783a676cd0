//! One proxy before each broker, and what they have seen together.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::frames::Request;
use super::proxy::{Fate, Proxy};
use super::trace::Trace;

/// A snapshot of [`Counts`] is a sum over proxies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) connections: usize,
    pub(crate) produce_requests: usize,
    pub(crate) cuts: usize,
    pub(crate) dropped_answers: usize,
    pub(crate) deepest: usize,
}

/// One proxy for each broker.
pub(crate) struct Proxies {
    all: Vec<Proxy>,
    pub(crate) trace: Arc<Trace>,
}

impl Proxies {
    pub(crate) async fn start(nodes: i32) -> io::Result<Self> {
        let trace = Arc::new(Trace::default());
        let mut all = Vec::new();
        for node in 1..=nodes {
            all.push(Proxy::start(node, Arc::clone(&trace)).await?);
        }
        Ok(Self { all, trace })
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.all.iter().map(Proxy::address).collect()
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.addresses().join(",")
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &Proxy> {
        self.all.iter()
    }

    /// The proxy before a broker.
    pub(crate) fn of(&self, node: i32) -> &Proxy {
        let index = usize::try_from(node - 1).expect("brokers are numbered from 1");
        self.all.get(index).expect("every broker has a proxy")
    }

    pub(crate) fn pass(&self) {
        self.all.iter().for_each(Proxy::pass);
    }

    /// The same rule for all, called for one request at a time.
    pub(crate) fn rule(&self, rule: impl FnMut(&Request) -> Fate + Send + 'static) {
        let rule = Arc::new(Mutex::new(rule));
        for proxy in &self.all {
            let rule = Arc::clone(&rule);
            proxy.rule(move |request| (rule.lock().unwrap())(request));
        }
    }

    /// Forgets what was seen.
    pub(crate) fn reset(&self) {
        self.trace.clear();
        for counts in self.all.iter().map(Proxy::counts) {
            for count in [
                &counts.connections,
                &counts.produce_requests,
                &counts.cuts,
                &counts.dropped_answers,
                &counts.deepest,
            ] {
                count.store(0, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for counts in self.all.iter().map(Proxy::counts) {
            totals.connections += counts.connections.load(Ordering::Relaxed);
            totals.produce_requests += counts.produce_requests.load(Ordering::Relaxed);
            totals.cuts += counts.cuts.load(Ordering::Relaxed);
            totals.dropped_answers += counts.dropped_answers.load(Ordering::Relaxed);
            totals.deepest = totals.deepest.max(counts.deepest.load(Ordering::Relaxed));
        }
        totals
    }
}
